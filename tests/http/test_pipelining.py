"""Requests one behind the other on one connection, cut anywhere: each is answered as it is alone, in order."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from io import BufferedReader
from itertools import pairwise

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holo.core.limits import PIPELINED_AT_ONCE
from holo.testing import node_in_background
from tests.http.scene import MANY_DENIALS, acme, wire
from tests.records import binding_record, content

NAMES = ("acme/a:v1", "acme/b:v1", "acme/absent", "nowhere/x")


def request(line: str, *fields: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode() + body


JSON = b'{"queries":[{"handle":"acme/a:v1"}]}'
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(JSON), JSON)
HOT = [
    request(f"GET /v1/resolve?handle={name}", *fields)
    for name in NAMES
    for fields in ((), ("Accept: */*", "Cookie: a=b"))
]
COLD = [
    *(request(f"GET /v1/resolve?handle={name}", "X-Odd: 1") for name in NAMES),
    request("GET /v1/resolve?handle=acme/a:v1", "Content-Length: 0"),
    request("GET /v1/resolve?handle=acme/a:v1", "Content-Length: 3", body=b"abc"),
    request("GET /v1/resolve?handle=Acme"),
    request("GET /v1/resolve?handle=acme/a&receipt=2"),
    request("GET /v1/resolve?handle=acme/a:v1&tag=v2"),
    request("GET /v1/resolve?handle=acme/a:v1", "Accept: application/cose"),
    request("GET /v1/resolve?handle=acme/a:v1", 'If-None-Match: *'),
    request("HEAD /v1/resolve?handle=acme/a:v1"),
    request("GET /v1/resolve"),
    request("GET /v1/nowhere"),
    request("POST /v1/resolve", "Content-Type: application/json", f"Content-Length: {len(JSON)}", body=JSON),
    request("POST /v1/resolve", "Content-Type: application/json", "Transfer-Encoding: chunked", body=CHUNKED),
    request("GET /healthz"),
]  # fmt: skip


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Return where a node listens that hosts acme with two names in a head, and signs no other head."""
    with (
        node_in_background(settings=[*MANY_DENIALS, "roles.registry.head_idle_ms=3600000"]) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        genesis = acme()
        assert client.post("/v1/namespaces", json={"policy_cose": wire(genesis)}).status_code == 201
        own = genesis.statement.id
        records = [wire(binding_record(own, own, name, content(name))) for name in NAMES[:2]]
        body = {"records": records}
        posted = client.post("/v1/namespaces/acme/bindings", json=body, headers={"prefer": "wait=20"})
        assert posted.is_success
        yield client.base_url.host, client.base_url.port or 0


def answers(address: tuple[str, int], requests: Sequence[bytes], cuts: Sequence[int] = ()) -> list[bytes]:
    """The responses to requests sent on one connection, in the pieces that end at ``cuts``; without their dates."""
    data = b"".join(requests)
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    with socket.create_connection(address, timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin, end in pairwise(edges):
            connection.sendall(data[begin:end])
        stream = connection.makefile("rb")
        return [response(stream, head_only=item.startswith(b"HEAD")) for item in requests]


def response(stream: BufferedReader, *, head_only: bool) -> bytes:
    """The next response of a stream."""
    lines = [stream.readline()]
    assert lines[0].startswith(b"HTTP/1.1 "), lines
    while lines[-1] not in (b"\r\n", b""):
        lines.append(stream.readline())
    fields = dict(line.rstrip().lower().split(b": ", 1) for line in lines[1:-1])
    assert b"connection" not in fields, lines
    length = 0 if head_only else int(fields.get(b"content-length", b"0"))
    return b"".join(line for line in lines if not line.lower().startswith(b"date:")) + stream.read(length)


@pytest.fixture(scope="module")
def alone(address: tuple[str, int]) -> dict[bytes, bytes]:
    """Return the response to each request by itself."""
    found = {item: answers(address, [item])[0] for item in [*HOT, *COLD]}
    assert {item[9:12] for item in found.values()} == {b"200", b"304", b"400", b"404", b"406"}
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*HOT, *COLD]), min_size=1, max_size=12), st.lists(st.integers(0, 4000), max_size=8))
def test_many_are_answered_as_each_is_alone(
    address: tuple[str, int], alone: dict[bytes, bytes], requests: list[bytes], cuts: list[int]
) -> None:
    assert answers(address, requests, cuts) == [alone[item] for item in requests]


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(HOT), min_size=PIPELINED_AT_ONCE * 2, max_size=PIPELINED_AT_ONCE * 4),
    st.sampled_from(COLD),
)
def test_so_are_more_than_are_answered_at_once(
    address: tuple[str, int], alone: dict[bytes, bytes], requests: list[bytes], last: bytes
) -> None:
    assert answers(address, [*requests, last]) == [alone[item] for item in [*requests, last]]
