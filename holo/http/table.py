"""The table of routes: what routing, the OpenAPI document and the documentation page are all made from."""

from __future__ import annotations

from typing import Final

from holo.http.resources import (
    bindings,
    catalogs,
    events,
    namespaces,
    node,
    objects,
    peers,
    posting,
    probes,
    receipts,
    resolve,
)
from holo.http.resources.documentation import documented
from holo.http.route import Route

ROUTES: Final[tuple[Route, ...]] = documented(
    (
        *node.ROUTES,
        *peers.ROUTES,
        *namespaces.ROUTES,
        *bindings.ROUTES,
        *posting.ROUTES,
        *resolve.ROUTES,
        *catalogs.ROUTES,
        *objects.ROUTES,
        *receipts.ROUTES,
        *events.ROUTES,
        *probes.ROUTES,
    )
)
