"""The client against real nodes: pages, TLS, failover, bounds, and answers that are none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from holo.client import Client, Connection, Endpoint, NodeRefused
from holo.client.transport import Network
from holo.core import limits
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.draft import draft_binding, draft_policy
from holo.core.envelope import make_record
from holo.core.errors import HoloError
from holo.core.keys import SigningKey, did_of
from holo.core.names import Name
from holo.core.policy import KeySet, Signer
from holo.node import Listening, configure_logging
from holo.testing import node_in_background

KEY, RECOVERY = SigningKey(bytes(32)), SigningKey(bytes([1]) * 32)
GENESIS = draft_policy(
    "acme",
    roots=KeySet((KEY.kid,), 1),
    recovery=KeySet((RECOVERY.kid,), 1),
    signers=[Signer(KEY.kid, ("*",), ("*",))],
)


@pytest.fixture(scope="module")
def node() -> Iterator[Listening]:
    """Return a node with acme and five names in it."""
    configure_logging("error", "json")
    with node_in_background(settings=["roles.registry.head_interval_ms=50"]) as running:
        with Client(Connection([Endpoint(running.url, running.node.kid)])) as client:
            fill(client)
        yield running


def fill(client: Client) -> None:
    """Make acme with the names t0 to t4; the last is in a head when this returns."""
    client.post_policy(None, make_record(GENESIS.statement, KEY).envelopes())
    for number in range(5):
        client.post_record("acme", binding(f"t{number}+x"), wait_s=5)


def binding(tag: str) -> list[bytes]:
    """The record of acme/tool with a tag."""
    drafted = draft_binding(
        Name("acme", "tool", tag),
        genesis=GENESIS.id,
        policy=GENESIS.id,
        rev=1,
        prev=(),
        cid=Cid.of(RAW, tag.encode()),
        at_ms=0,
    )
    return make_record(drafted.statement, KEY).envelopes()


@contextmanager
def answering(answer: bytes, told: list[bytes] | None = None) -> Iterator[str]:
    """Something that answers every request with these bytes and hangs up; ``told`` gets what it was asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    asked = connection.recv(65536)
                    if told is not None:
                        told.append(asked)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_pages_are_followed_to_the_end(node: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIST_LIMIT_MAX", 2)
    with Client(Connection([Endpoint(node.url)])) as client:
        assert [item.name for item in client.bindings("acme")] == [f"acme/tool:t{number}+x" for number in range(5)]
        assert [item.seq for item in client.receipts()] == list(range(6))
        assert [item.name for item in client.catalog_entries(client.catalog().catalog)] == [
            f"acme/tool:t{number}+x" for number in range(5)
        ]


def test_a_plus_in_a_name_stays_a_plus(node: Listening) -> None:
    with Client(Connection([Endpoint(node.url)])) as client:
        assert client.resolve("acme/tool:t1+x").cid == str(Cid.of(RAW, b"t1+x"))


def test_over_tls_a_certificate_somebody_vouches_for_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    pem = tmp_path / "both.pem"
    with node_in_background(settings=[f'http.tls_cert="{pem}"', f'http.tls_key="{pem}"']) as running:
        assert running.url.startswith("https://")
        endpoint = Endpoint(running.url, running.node.kid)
        with pytest.raises(HoloError) as refused, Client(Connection([endpoint])) as client:
            client.node()
        assert refused.value.code == "unreachable"  # nobody vouched for that certificate
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with Connection([endpoint]) as connection:
            client = Client(connection)
            client.post_policy(None, make_record(GENESIS.statement, KEY).envelopes())
            assert client.policy("acme").policy == str(GENESIS.id)


def test_the_next_node_is_asked_where_one_fails(node: Listening) -> None:
    told: list[str] = []
    busy = (
        b"HTTP/1.1 503 x\r\ncontent-type: application/problem+json\r\ncontent-length: 21\r\n\r\n"
        + b'{"code":"overloaded"}'
    )
    with answering(busy) as one, answering(b"not http at all\r\n\r\n") as two:
        endpoints = [Endpoint("http://127.0.0.1:9"), Endpoint(one), Endpoint(two), Endpoint(node.url)]
        with Client(Connection(endpoints, timeout_s=10, warn=told.append)) as client:
            assert client.node().node == did_of(node.node.kid)
            assert client.url == node.url
    assert len(told) == 3
    assert ["unreachable" in told[0], "overloaded" in told[1], "unreachable" in told[2]] == [True, True, True]


def test_a_kept_connection_that_the_node_closed_is_opened_again() -> None:
    told: list[bytes] = []
    with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", told) as url:
        network = Network(url, timeout_s=10)
        assert [network.request("GET", "/", None, {}).body for _ in range(3)] == [b"hi"] * 3
        network.close()
    assert len(told) == 3


def test_a_proxy_is_asked_where_the_environment_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bytes] = []
    with answering(b"HTTP/1.1 404 no\r\ncontent-length: 2\r\n\r\n{}", told) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with pytest.raises(HoloError), Client(Connection([Endpoint("http://registry.example:81/a/")])) as client:
            client.node()
        with pytest.raises(HoloError), Client(Connection([Endpoint("http://127.0.0.1:9")])) as client:
            client.node()
    assert [line.partition(b"\r\n")[0] for line in told] == [b"GET http://registry.example:81/a/v1/node HTTP/1.1"]


@pytest.mark.parametrize("url", ["ftp://a/", "http://", "nothing", "http://a:0", "http://a:b", "http://[::1"])
def test_what_is_no_address_of_a_node(url: str) -> None:
    with pytest.raises(HoloError) as refused, Client(Connection([Endpoint(url)])) as client:
        client.node()
    assert refused.value.code == "unreachable"


def test_an_answer_that_is_no_is_not_asked_elsewhere(node: Listening) -> None:
    told: list[str] = []
    with (
        pytest.raises(NodeRefused) as refused,
        Client(Connection([Endpoint(node.url), Endpoint(node.url)], warn=told.append)) as client,
    ):
        client.policy("nobody")
    assert (refused.value.code, refused.value.http_status, told) == ("genesis-unknown", 404, [])
    assert refused.value.problem["fix"] == refused.value.fix


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"[" * 200_000,
        b'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"po\x91":0}',
        b'HTTP/1.1 404 no\r\ncontent-length: 9\r\n\r\n{"po\x91":0}',
        b"HTTP/1.1 404 no\r\ncontent-length: 9\r\n\r\n<html>no\n",
        b"HTTP/1.1 404 no\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 302 away\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
    ],
)
def test_what_answers_like_no_node_is_no_node(answer: bytes) -> None:
    with (
        pytest.raises(HoloError) as refused,
        answering(answer) as url,
        Client(Connection([Endpoint(url)], timeout_s=10)) as client,
    ):
        client.node()
    assert refused.value.code == "reply-invalid"


def test_a_reply_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holo.client.transport.REPLY_BYTES", 1000)
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + bytes(100_000)
    with (
        pytest.raises(HoloError) as refused,
        answering(endless) as url,
        Client(Connection([Endpoint(url)], timeout_s=10)) as client,
    ):
        client.node()
    assert "more than 1000 bytes" in refused.value.detail


def test_an_unknown_code_of_a_newer_node_is_passed_on() -> None:
    body = b'{"code":"tired","title":"Tired","detail":"of this","fix":"rest","status":418}'
    head = f"HTTP/1.1 418 x\r\ncontent-type: application/problem+json\r\ncontent-length: {len(body)}\r\n\r\n"
    with (
        pytest.raises(NodeRefused) as refused,
        answering(head.encode() + body) as url,
        Client(Connection([Endpoint(url)], timeout_s=10)) as client,
    ):
        client.node()
    error = refused.value
    assert (error.code, error.title, error.fix, error.http_status) == ("tired", "Tired", "rest", 418)


def test_another_node_than_the_one_expected_is_noticed_before_anything_is_sent(node: Listening) -> None:
    with Client(Connection([Endpoint(node.url, RECOVERY.kid)])) as client, pytest.raises(HoloError) as refused:
        client.resolve("acme/tool:t1+x")
    assert refused.value.code == "anchor-missing"


def test_objects_have_to_be_what_their_cid_says(node: Listening) -> None:
    with Client(Connection([Endpoint(node.url)])) as client:
        assert client.object(GENESIS.id).type == "policy"
        with pytest.raises(HoloError) as refused:
            client.object(Cid.of(DAG_CBOR, b"nothing"))
    assert refused.value.code == "not-found"
