"""Cursors that no node gave out, for every list: a cursor is not signed, so anybody can write one."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.http.cursor import Cursor, encode_cursor
from holo.http.parameters import CURSOR
from holo.http.route import Route
from holo.http.serving import list_name
from holo.http.table import ROUTES
from holo.testing import node_in_background
from tests.http.scene import acme, wire
from tests.records import binding_record, content

QUERIES = {
    "/v1/namespaces/{ns}/bindings": [
        "",
        "since=0",
        "state=pending",
        "state=forked",
        "handle=acme/app",
        "handle=acme/app:v1",
    ],
    "/v1/namespaces/{ns}/history": ["handle=acme/app:v1"],
    "/v1/catalogs/{cid}/diff": ["from={cid}"],
    "/v1/catalogs/{cid}/entries": ["", "prefix=acme/"],
    "/v1/receipts": ["", "since=1", "type=policy-receipt", "subject=acme", "subject=acme/app:v1", "subject={cid}"],
    "/v1/heads": ["", "since=0"],
    "/v1/namespaces": ["", "prefix=a"],
    "/v1/peers": [""],
}
POSITIONS = [
    b"", b"\x00", b"\xff", b"a", b"acme", b"app/v1", b"acme/app/v1", b"\xff" * 8, bytes(8), b"\xff" * 9, b"\xff" * 36,
    bytes(Cid.of(RAW, b"")), b"a" * 321, b"\x00" * 400, "ü".encode(), b"a/\xff/b", b"a\x00b", b"\x7f" + b"\xff" * 7,
]  # fmt: skip
PAGED = [(route, query) for route in ROUTES if CURSOR in route.parameters for query in QUERIES[route.path]]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """Return a client of a node that hosts acme with a name."""
    with node_in_background() as running, httpx.Client(base_url=running.url) as found:
        record = acme()
        assert found.post("/v1/namespaces", json={"policy_cose": wire(record)}).status_code == 201
        bound = binding_record(record.statement.id, record.statement.id, "acme/app:v1", content("x"))
        posted = found.post(
            "/v1/namespaces/acme/bindings", json={"records": [wire(bound)]}, headers={"prefer": "wait=20"}
        )
        assert posted.status_code == 201
        yield found


@pytest.mark.parametrize(("route", "query"), PAGED, ids=lambda item: item if isinstance(item, str) else item.path)
def test_a_forged_cursor_reaches_nothing_and_breaks_nothing(client: httpx.Client, route: Route, query: str) -> None:
    catalog = client.get("/v1/catalogs/current").json()["catalog"]
    path, query = (text.replace("{ns}", "acme").replace("{cid}", catalog) for text in (route.path, query))
    whole = client.get(f"{path}?{query}" if query else path)
    assert whole.status_code == 200, whole.text
    items = whole.json()["items"]
    for snapshot in (None, Cid.parse(catalog), Cid.of(DAG_CBOR, b""), Cid.of(RAW, b"")):
        for position in POSITIONS:
            cursor = encode_cursor(list_name(path, query.encode()), Cursor(snapshot, position))
            found = client.get(f"{path}?{query}{'&' if query else ''}cursor={cursor}")
            assert found.status_code in (200, 400, 404, 410), (position, found.text)
            if found.status_code == 200:
                assert all(item in items for item in found.json()["items"])
