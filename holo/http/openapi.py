"""The OpenAPI 3.1 document, made from the table of routes and the types of its bodies."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from holo import __version__
from holo.http import patterns
from holo.http.negotiation import COSE, DAG_CBOR, EVENTS, JSON
from holo.http.problem import PROBLEM_JSON
from holo.http.route import Cache, Route
from holo.http.types import Problem

_REF: Final = "#/components/schemas/{name}"
_PATH_SCHEMAS: Final = {
    "ns": {"type": "string", "pattern": patterns.NAMESPACE},
    "cid": {"type": "string", "pattern": patterns.CID},
}
_PATH_TEXTS: Final = {"ns": "A namespace.", "cid": "A CID, as holo prints it."}
_HEADER_TEXTS: Final = {
    "Prefer": "`wait=N` waits up to N seconds for a head that cites what was taken in (RFC 7240).",
    "Last-Event-ID": "The id of the last event received; the stream goes on behind it.",
    "Holo-Catalog": "The catalog of the newest head; the live state is at or past it.",
    "Holo-Head": "The newest head.",
    "ETag": "A strong validator; send it back in If-None-Match.",
    "Link": 'The next page, as `rel="next"` (RFC 8288).',
}
# An unknown parameter, an Accept that nothing here fits, a foreign Host.
_ANYWHERE: Final = (400, 406, 421)
_BINARY: Final = {"type": "string", "format": "binary"}


def build_openapi(routes: Iterable[Route]) -> dict[str, Any]:
    """The document as JSON can carry it."""
    rows = list(routes)
    named = {kind for route in rows for kind in (route.body, Problem, *_reply_types(route)) if kind is not None}
    ordered = sorted(named, key=lambda kind: kind.__name__)
    refs, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    schemas = dict(zip(ordered, refs, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in rows:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "holo",
            "version": __version__,
            "summary": "A registry of signed names",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": {name: components[name] for name in sorted(components)}},
    }


def description_of(route: Route) -> str:
    """What the resource's own documentation says of it."""
    return inspect.getdoc(route.handler) or route.summary


def reply_headers_of(route: Route) -> list[str]:
    """The header fields, beside the usual ones, that a good answer has or may have."""
    names = list(route.reply_headers)
    if route.cache is not Cache.NEVER:
        names.append("ETag")
    if any(parameter.name == "cursor" for parameter in route.parameters):
        names.append("Link")
    return names


def header_text(name: str) -> str:
    """One sentence about a header field."""
    return _HEADER_TEXTS[name]


def _reply_types(route: Route) -> list[type[msgspec.Struct]]:
    found: list[type[msgspec.Struct]] = []
    for kinds in route.replies.values():
        found += kinds if isinstance(kinds, tuple) else [] if kinds is None else [kinds]
    return found


def _operation(route: Route, schemas: Mapping[type, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": description_of(route),
        "tags": [route.path.split("/")[2] if route.path.startswith("/v1/") else "node"],
        "parameters": _parameters(route),
        "responses": {str(status): _response(route, status, schemas) for status in sorted(route.replies)},
    }
    for status in sorted({*route.problems, *_ANYWHERE}):
        operation["responses"][str(status)] = _problem(status, schemas)
    operation["responses"]["default"] = _problem(500, schemas)
    if route.body is not None:
        content = {kind: {"schema": schemas[route.body] if kind == JSON else _BINARY} for kind in route.takes}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS[name], "description": _PATH_TEXTS[name]}
        for name in route.path_names
    ]
    query = [
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.required,
            "schema": dict(parameter.schema),
            "description": parameter.summary,
            "allowReserved": True,
        }
        for parameter in route.parameters
    ]
    headers = [
        {
            "name": name,
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": header_text(name),
        }
        for name in route.headers
    ]
    return path + query + headers


def _response(route: Route, status: int, schemas: Mapping[type, Any]) -> dict[str, Any]:
    kinds = route.replies[status]
    several = kinds if isinstance(kinds, tuple) else () if kinds is None else (kinds,)
    shapes = [schemas[kind] for kind in several]
    schema = {"anyOf": shapes} if len(shapes) > 1 else shapes[0] if shapes else {"type": "object"}
    content: dict[str, Any] = {}
    for media_type in route.offers:
        if media_type in (COSE, DAG_CBOR):
            content[media_type] = {"schema": _BINARY}
        elif media_type == EVENTS:
            content[media_type] = {"schema": {"type": "string"}, "x-event-data": schema}
        else:
            content[media_type] = {"schema": schema if media_type == JSON else {"type": "string"}}
    response: dict[str, Any] = {"description": HTTPStatus(status).phrase, "content": content}
    headers = reply_headers_of(route) if status == 200 else []
    if headers:
        response["headers"] = {
            name: {"schema": {"type": "string"}, "description": header_text(name)} for name in headers
        }
    return response


def _problem(status: int, schemas: Mapping[type, Any]) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase if status != 500 else "A problem",
        "content": {PROBLEM_JSON: {"schema": schemas[Problem]}},
    }
