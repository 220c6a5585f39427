"""Committed state: ``/v1/catalogs`` and what is under each."""

from __future__ import annotations

import contextlib
from typing import Final

import trio

from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Missing, Rejected
from holo.core.names import Name
from holo.core.state import Catalog
from holo.http import parameters, patterns, types
from holo.http.base64url import encode_base64url
from holo.http.catalog_reading import Place, count_names, count_names_since, iterate_changes, iterate_names, prove_name
from holo.http.edge import Edge
from holo.http.negotiation import COSE, JSON
from holo.http.paging import start_of, take_page
from holo.http.parameters import CURSOR, LIMIT, PREFIX, text_schema
from holo.http.query import Parameter
from holo.http.route import Answer, Cache, Call, Route
from holo.http.shapes import envelopes
from holo.store.view import View

FROM: Final = parameters.cid("from", "The catalog to compare with.", required=True)
NAME: Final = Parameter(
    "name", Name.parse, text_schema(patterns.UNPINNED), "A name: `namespace/handle[:tag]`.", required=True
)

_COUNTS_KEPT: Final = 64


async def get_current(edge: Edge, call: Call) -> Answer:
    """The newest head and what it commits to."""
    with edge.registry.view() as view:
        newest = view.head()
        if newest is None:
            raise Missing("not-found", "no head was signed in this log yet")
        head, envelope = newest
        if call.accepts == COSE:
            return Answer(envelope, media_type=COSE, etag=str(head.id))
    count = await _count(edge, head.catalog)
    return Answer(
        types.CatalogReply(
            catalog=str(head.catalog),
            count=count,
            head=str(head.id),
            head_cose=encode_base64url(envelope),
            log=str(head.log),
            seq=head.seq,
            at_ms=head.at_ms,
            log_size=head.log_size,
            log_root=encode_base64url(head.log_root),
        ),
        etag=str(head.id),
    )


async def get_catalog(edge: Edge, call: Call) -> Answer:
    """One catalog object."""
    cid = _cid(call)
    with edge.registry.view() as view:
        catalog = view.catalog(cid)
    count = await _count(edge, cid)
    return Answer(
        types.CatalogSnapshot(
            catalog=str(cid),
            namespaces=str(catalog.namespaces),
            evidence=str(catalog.evidence),
            count=count,
            data=encode_base64url(catalog.as_statement().bytes),
        )
    )


async def list_entries(edge: Edge, call: Call) -> Answer:
    """The names of a catalog and their current statements."""
    cid, start, prefix = _cid(call), start_of(call), call.query.get(PREFIX) or ""

    def entry(place: Place) -> types.CatalogEntry:
        return types.CatalogEntry(name=place[0], statements=place[1])

    with edge.registry.view() as view:
        found = iterate_names(view, _paged(view, cid, call), prefix, start.position if start else b"")
        items, following = take_page(call, found, entry, snapshot=cid)
    return Answer(types.CatalogEntries(items=items, next=following), next=following)


async def get_proof(edge: Edge, call: Call) -> Answer:
    """The proof that a catalog has a name, with which statements, or that it has none."""
    cid, name = _cid(call), call.query.need(NAME)
    if name.cid is not None:
        raise Rejected("request-invalid", "a proof is about a name, not about a pin", at="query.name")
    with edge.registry.view() as view:
        statements, nodes = prove_name(view, cid, view.catalog(cid), name)
    return Answer(types.CatalogProof(catalog=str(cid), name=str(name), statements=statements, nodes=envelopes(nodes)))


async def list_changes(edge: Edge, call: Call) -> Answer:
    """What differs between the catalog ``from`` and this one."""
    cid, before, start = _cid(call), call.query.need(FROM), start_of(call)

    def change(found: tuple[str, list[str], list[str]]) -> types.CatalogChange:
        return types.CatalogChange(name=found[0], before=found[1], after=found[2])

    with edge.registry.view() as view:
        catalogs = _paged(view, before, call), _paged(view, cid, call)
        found = iterate_changes(view, *catalogs, start.position if start else b"")
        items, following = take_page(call, found, change, snapshot=cid)
    return Answer(types.CatalogChanges(items=items, next=following), next=following)


def _cid(call: Call) -> Cid:
    cid = Cid.parse(call.path["cid"])
    if cid.codec != DAG_CBOR:
        raise Missing("not-found", f"{cid!s} is not a DAG-CBOR object, so no catalog", subject=str(cid))
    return cid


def _paged(view: View, cid: Cid, call: Call) -> Catalog:
    """A catalog a listing reads. Raises ``cursor-gone`` where it was collected since the page before."""
    try:
        return view.catalog(cid)
    except Missing as error:
        if error.code == "gone" and call.query.get(CURSOR) is not None:
            raise Missing("cursor-gone", f"catalog {cid!s} is no longer kept", subject=str(cid)) from None
        raise


async def _count(edge: Edge, cid: Cid) -> int:
    """The number of names in a catalog; counted once, since a catalog never changes, and from the one counted last."""
    count = edge.name_counts.get(cid)
    if count is None:
        last = next(reversed(edge.name_counts.items()), None)
        # In a thread: the first one after the start reads the state of every namespace.
        count = await trio.to_thread.run_sync(_count_from, edge, cid, last)
        while len(edge.name_counts) >= _COUNTS_KEPT:
            del edge.name_counts[next(iter(edge.name_counts))]
        edge.name_counts[cid] = count
    return count


def _count_from(edge: Edge, cid: Cid, last: tuple[Cid, int] | None) -> int:
    with edge.registry.view() as view:
        catalog = view.catalog(cid)
        if last is not None:
            with contextlib.suppress(Missing):  # collected meanwhile
                return count_names_since(view, view.catalog(last[0]), last[1], catalog)
        return count_names(view, catalog)


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/catalogs/current",
        handler=get_current,
        name="getCurrentCatalog",
        summary="The newest head and what it commits to",
        cache=Cache.CHECKED,
        replies={200: types.CatalogReply},
        problems=(404, 406),
        offers=(JSON, COSE),
    ),
    Route(
        method="GET",
        path="/v1/catalogs/{cid}",
        handler=get_catalog,
        name="getCatalog",
        summary="One catalog object",
        cache=Cache.IMMUTABLE,
        replies={200: types.CatalogSnapshot},
        problems=(400, 404, 410),
    ),
    Route(
        method="GET",
        path="/v1/catalogs/{cid}/entries",
        handler=list_entries,
        name="listCatalogEntries",
        summary="The names of a catalog",
        cache=Cache.IMMUTABLE,
        replies={200: types.CatalogEntries},
        problems=(400, 404, 410),
        parameters=(PREFIX, LIMIT, CURSOR),
    ),
    Route(
        method="GET",
        path="/v1/catalogs/{cid}/proof",
        handler=get_proof,
        name="proveName",
        summary="Proof that a catalog has a name, or has not",
        cache=Cache.IMMUTABLE,
        replies={200: types.CatalogProof},
        problems=(400, 404, 410),
        parameters=(NAME,),
    ),
    Route(
        method="GET",
        path="/v1/catalogs/{cid}/diff",
        handler=list_changes,
        name="diffCatalogs",
        summary="What differs between two catalogs",
        cache=Cache.IMMUTABLE,
        replies={200: types.CatalogChanges},
        problems=(400, 404, 410),
        parameters=(FROM, LIMIT, CURSOR),
    ),
)
