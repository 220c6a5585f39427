"""The OpenAPI document and the documentation page: valid, complete, and made from the one table."""

from __future__ import annotations

import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from holo.core.errors import CODES
from holo.http.table import ROUTES
from tests.http.scene import Scene
from tests.http.schema import document


def test_the_document_is_valid_openapi() -> None:
    errors = [error.message for error in OpenAPIV31SpecValidator(document()).iter_errors()]
    assert errors == []


def test_every_route_is_in_it_once() -> None:
    described = {(method.upper(), path) for path, operations in document()["paths"].items() for method in operations}
    assert described == {(route.method, route.path) for route in ROUTES}
    assert len(described) == len(ROUTES)
    ids = [operation["operationId"] for operations in document()["paths"].values() for operation in operations.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_operation_says_what_its_route_takes(route: object) -> None:
    from holo.http.route import Route

    assert isinstance(route, Route)
    operation = document()["paths"][route.path][route.method.lower()]
    names = {item["name"]: item for item in operation["parameters"]}
    assert set(names) == {*route.path_names, *(item.name for item in route.parameters), *route.headers}
    assert all(names[item.name]["required"] == item.required for item in route.parameters)
    assert ("requestBody" in operation) == bool(route.takes)
    assert set(map(str, route.replies)) <= set(operation["responses"])
    assert operation["description"].endswith(".")


def test_every_schema_is_used_and_every_field_described_by_type() -> None:
    text = str(document())
    for name, schema in document()["components"]["schemas"].items():
        assert text.count(f"#/components/schemas/{name}'") >= 1, name
        assert schema["type"] == "object"
        assert schema["description"]


async def test_served(scene: Scene) -> None:
    response = await scene.client.get("/openapi.json")
    assert response.json() == document()
    assert response.headers["etag"]
    page = (await scene.client.get("/docs")).text
    for route in ROUTES:
        assert f'id="{route.name}"' in page
    for code in CODES:
        assert f'<tr id="{code}">' in page
    assert not re.search(r'(?:src|href)="(?!#|/openapi\.json")', page), "it loads and links nothing else"
    problem = (await scene.client.get("/v1/nothing")).json()
    path, _, anchor = problem["type"].partition("#")
    assert (path, anchor in CODES) == ("/docs", True)
