"""Any request at all: the node answers what its document says, never with a fault, and goes on."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holo.http.table import ROUTES
from holo.testing import node_in_background
from tests.http.scene import MANY_DENIALS, acme, wire
from tests.http.schema import check
from tests.records import content

CID = str(content("x"))

segments = st.sampled_from(["acme", "nowhere", CID, "current", "..", ".", "a%2Fb", "%00", "ä", "A", ""]) | st.text(
    st.characters(codec="utf-8"), max_size=8
)
values = st.sampled_from(
    ["", "0", "1", "1000", "acme/holo:beta", "acme", CID, "stable", "%", "%zz", "+", "binding"]
) | st.text(max_size=12)
names = st.sampled_from(sorted({item.name for route in ROUTES for item in route.parameters} | {"x", ""}))
media_types = st.sampled_from(
    ["application/json", "application/cose", "*/*", "text/html", "", ";q=", "a/b;q=0.5,*/*;q=0"]
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "accept": media_types,
        "content-type": media_types,
        "if-none-match": st.sampled_from(["*", '"x"', "W/", ""]),
        "prefer": st.sampled_from(["wait=0", "wait=x", "respond-async", ""]),
        "host": st.sampled_from(["localhost", "127.0.0.1:1", "evil.example", ""]),
        "cookie": st.just("x=y"),
        "range": st.just("bytes=0-1"),
        "transfer-encoding": st.just("chunked"),
    },
)
bodies = st.binary(max_size=64) | st.sampled_from(
    [b'{"records":[["AA"]]}', b'{"queries":[{"handle":"acme/a"}]}', b'{"policy_cose":["0oQ"]}', b"{}", b"\xd2\x84"]
)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """Return a client of a node in the background that hosts acme."""
    with (
        node_in_background(settings=MANY_DENIALS) as running,
        httpx.Client(base_url=running.url, verify=False) as found,
    ):
        assert found.post("/v1/namespaces", json={"policy_cose": wire(acme())}).status_code == 201
        yield found


@pytest.mark.parametrize("path", ["/v1/resolve", "/v1/namespaces", "/v1/namespaces/acme/bindings"])
def test_a_body_that_is_no_utf8_is_refused(client: httpx.Client, path: str) -> None:
    headers = {"host": "localhost", "content-type": "application/json"}
    status, _, content = exchange(client.base_url, "POST", path, headers, b'{"po\x91ies":0}')
    assert (status, json.loads(content)["code"]) == (400, "request-invalid")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_request(client: httpx.Client, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from([route for route in ROUTES if route.path != "/v1/events"]))
    parts = [data.draw(segments) if part.startswith("{") else part for part in route.path.split("/")]
    query = "&".join(f"{name}={value}" for name, value in data.draw(st.lists(st.tuples(names, values), max_size=4)))
    target = quote("/".join(parts), safe="/%:@+,.") + ("?" + quote(query, safe="%=&/:@+,;") if query else "")
    method = data.draw(st.sampled_from([route.method, "HEAD", "GET", "POST", "PUT", "OPTIONS"]))
    sent = {"host": "localhost", **data.draw(headers)}
    body = data.draw(bodies) if method in ("POST", "PUT") else b""
    status, answered, content = exchange(client.base_url, method, target, sent, body)
    assert status < 500, content
    if status >= 400:
        assert answered["content-type"] == "application/problem+json"
    if "%" not in target:  # the document is about paths as they are written in it
        check(method, target.partition("?")[0], httpx.Response(status, headers=answered, content=content))


def exchange(
    base: httpx.URL, method: str, target: str, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    """One request as it is, without what a good client does to it."""
    connection = http.client.HTTPConnection(base.host, base.port, timeout=20)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body and "transfer-encoding" not in headers:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders()
        if "transfer-encoding" in headers:
            connection.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n")
        elif body:
            connection.send(body)
        response = connection.getresponse()
        answered = {name.lower(): value for name, value in response.getheaders()}
        return response.status, answered, response.read()
    finally:
        connection.close()
