"""The table of routes: what routing, the OpenAPI document and the documentation page are all made from."""

from __future__ import annotations

from typing import Final

from holo.http.resources import bindings, namespaces, node
from holo.http.route import Route

ROUTES: Final[tuple[Route, ...]] = (
    *node.ROUTES,
    *namespaces.ROUTES,
    *bindings.ROUTES,
)
