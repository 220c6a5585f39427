"""Every reply is checked against the OpenAPI document: the document must not say what the node does not do."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from holo.http.openapi import build_openapi
from holo.http.table import ROUTES
from holo.http.types import encode_json


@functools.cache
def document() -> dict[str, Any]:
    """The OpenAPI document as a client would read it."""
    found: dict[str, Any] = json.loads(encode_json(build_openapi(ROUTES)))
    return found


async def check_response(response: httpx.Response) -> None:
    """As :func:`check`, for a response that may not have been read yet."""
    if response.headers.get("content-type", "") != "text/event-stream":
        await response.aread()
        check(response.request.method, response.request.url.path, response)


def check(method: str, path: str, response: httpx.Response) -> None:
    """Fail unless the document allows this response to ``method`` on ``path``."""
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if media_type == "text/event-stream" or response.status_code == 304:
        return
    operation = _operation(method, path)
    if operation is None:
        assert response.status_code in (404, 405, 421), response.text
        return
    responses = operation["responses"]
    described = responses.get(str(response.status_code))
    assert described is not None, f"{path}: {response.status_code} is not in the document: {response.text}"
    assert media_type in described["content"], f"{media_type} is not in the document"
    if media_type.endswith("json") and method != "HEAD":
        errors = [
            error.message
            for error in _validator(described["content"][media_type]["schema"]).iter_errors(response.json())
        ]
        assert not errors, (path, errors, response.text)


def _operation(method: str, asked: str) -> Any:
    for path, operations in document()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))
        if re.fullmatch(pattern, asked):
            verb = "get" if method == "HEAD" else method.lower()
            if verb in operations and (path == asked or asked not in document()["paths"]):
                return operations[verb]
    return None


def _validator(schema: Any) -> Any:
    resource = Resource.from_contents(document(), default_specification=DRAFT202012)
    registry: Any = Registry().with_resource("urn:openapi", resource)
    return Draft202012Validator(_absolute(schema), registry=registry)


def _absolute(schema: Any) -> Any:
    """The schema with its references into the document made absolute."""
    return json.loads(json.dumps(schema).replace('"#/components', '"urn:openapi#/components'))
