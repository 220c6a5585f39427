"""Ways through the interface: what one answer gives the next request, and values that exist.

The served document says what may be sent. With these links and examples added to a copy of it, schemathesis also asks
for what is there, and goes on with what it is told: cursors, catalogs, receipts, names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_CURSOR: Final = {"cursor": "$response.body#/next"}
_LISTS: Final = {
    "listPeers": (), "listNamespaces": (), "listHeads": (), "listReceipts": (), "listBindings": ("ns",),
    "listHistory": ("ns",), "listCatalogEntries": ("cid",), "diffCatalogs": ("cid",),
}  # fmt: skip

_LINKS: Final[list[tuple[str, str, dict[str, str]]]] = [
    ("listNamespaces", "getPolicy", {"ns": "$response.body#/items/0/ns"}),
    ("listNamespaces", "listBindings", {"ns": "$response.body#/items/0/ns"}),
    ("getPolicy", "getPolicy", {"ns": "$request.path.ns", "policy": "$response.body#/policy"}),
    ("listBindings", "listHistory", {"ns": "$request.path.ns", "handle": "$response.body#/items/0/name"}),
    ("listBindings", "resolve", {"handle": "$response.body#/items/0/name"}),
    ("getCurrentCatalog", "getCatalog", {"cid": "$response.body#/catalog"}),
    ("getCurrentCatalog", "listCatalogEntries", {"cid": "$response.body#/catalog"}),
    ("getCurrentCatalog", "getObject", {"cid": "$response.body#/catalog"}),
    ("getCurrentCatalog", "diffCatalogs", {"cid": "$response.body#/catalog", "from": "$response.body#/catalog"}),
    ("listCatalogEntries", "proveName", {"cid": "$request.path.cid", "name": "$response.body#/items/0/name"}),
    (
        "listHeads",
        "diffCatalogs",
        {"cid": "$response.body#/items/1/catalog", "from": "$response.body#/items/0/catalog"},
    ),
    ("listReceipts", "getReceipt", {"cid": "$response.body#/items/0/receipt"}),
    ("listReceipts", "proveReceipt", {"cid": "$response.body#/items/0/receipt"}),
    ("resolve", "resolve", {"handle": "$response.body#/name", "policyRef": "$response.body#/genesis"}),
]
"""(operation, what follows it, the parameters of that and where they are taken from)."""


def with_paths(document: dict[str, Any], examples: Mapping[str, str]) -> dict[str, Any]:
    """``document`` with the links, and ``examples`` as values of the parameters of these names."""
    operations = {
        operation["operationId"]: operation for item in document["paths"].values() for operation in item.values()
    }
    for operation in operations.values():
        for parameter in operation["parameters"]:
            if parameter["name"] in examples:
                parameter["example"] = examples[parameter["name"]]
    pages = [(name, name, {**{at: f"$request.path.{at}" for at in path}, **_CURSOR}) for name, path in _LISTS.items()]
    for name, following, parameters in [*_LINKS, *pages]:
        links = operations[name]["responses"]["200"].setdefault("links", {})
        links[f"{following}{len(links)}"] = {"operationId": following, "parameters": parameters}
    return document
