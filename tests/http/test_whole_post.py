"""Posts that come whole, answered without the framework: the same answers as from the whole server, and when not."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import limits
from holo.http.bodies import Bodies
from holo.http.whole_post import WholePosts
from holo.profile import Http
from tests.http.scene import Scene, acme, wire
from tests.http.two_listeners import Pair, transcript, two_listeners
from tests.records import binding_record, content

GENESIS = acme().statement.id


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Return two listeners over one node."""
    with two_listeners(tmp_path_factory.mktemp("whole")) as found:
        yield found


READ = b"GET /v1/resolve?handle=acme/holo:beta HTTP/1.1\r\nHost: localhost\r\n\r\n"


def record(tag: str, text: str = "one") -> list[str]:
    """A first revision by alice of a tag of acme/holo, whose beta is there, as JSON carries it."""
    return wire(binding_record(GENESIS, GENESIS, f"acme/holo:{tag}", content(text)))


def post(body: bytes, *lines: str, ns: str = "acme", kind: str = "application/json", length: object = None) -> bytes:
    """A request that posts ``body``; ``lines`` are further header fields."""
    fields = ["Host: localhost", *lines, f"Content-Type: {kind}", f"Content-Length: {length or len(body)}"]
    head = "\r\n".join([f"POST /v1/namespaces/{ns}/bindings HTTP/1.1", *fields])
    return f"{head}\r\n\r\n".encode() + body


def sent(*records: list[str], **more: Any) -> bytes:
    """A body with these records."""
    return json.dumps({"records": records, **more}).encode()


def test_what_was_accepted_is_answered_the_same_again_by_both(pair: Pair) -> None:
    request = post(sent(record("again")))
    first = pair.hot([request])
    assert first.startswith(b"HTTP/1.1 201 \r\ncache-control: no-store\r\n")
    again = pair.slow([request])
    assert again.startswith(b"HTTP/1.1 200 \r\n")
    assert pair.hot([request]) == again
    assert (
        json.loads(first.partition(b"\r\n\r\n")[2])["receipt"] == json.loads(again.partition(b"\r\n\r\n")[2])["receipt"]
    )


def test_what_one_of_them_accepts_has_the_fields_of_the_other(pair: Pair) -> None:
    fast, slow = pair.hot([post(sent(record("fast")))]), pair.slow([post(sent(record("slow")))])
    heads = [answer.partition(b"\r\n\r\n")[0] for answer in (fast, slow)]
    assert heads[0] == heads[1]
    bodies = [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in (fast, slow)]
    assert [list(body) for body in bodies] == [list(bodies[0])] * 2
    assert [body["state"] for body in bodies] == ["current", "current"]


def test_a_refusal_with_a_receipt_has_the_fields_of_the_others(pair: Pair) -> None:
    request = post(sent(record("beta", "another")))
    fast, slow = (
        json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in (pair.hot([request]), pair.slow([request]))
    )
    assert fast["code"] == slow["code"] == "binding-conflict"
    assert {**fast, "denial": None, "denial_cose": None} == {**slow, "denial": None, "denial_cose": None}


REFUSED = {
    "no JSON": post(b"{"),
    "no records": post(sent()),
    "empty body": post(b"", length="0"),
    "not a record": post(sent(["AAAA"])),
    "unknown namespace": post(sent(record("x")), ns="nobody"),
    "no namespace": post(sent(record("x")), ns="a..b-"),
    "another media type": post(sent(record("x")), kind="text/plain"),
    "a media type with a parameter": post(b"{", kind="application/json; charset=utf-8"),
    "not acceptable": post(sent(record("x")), "Accept: text/html"),
    "a foreign host": post(sent(record("x"))).replace(b"Host: localhost", b"Host: evil.example"),
    "no host": post(sent(record("x"))).replace(b"Host: localhost\r\n", b""),
    "a query": post(sent(record("x"))).replace(b"/bindings ", b"/bindings?x=1 "),
    "a signed length": post(b"{}", length="+2"),
    "a length of another body": post(b"{}", length="1"),
    "two lengths": post(b"{}", "Content-Length: 2"),
    "two ends": post(b"{}", "Transfer-Encoding: chunked"),
    "chunked": post(b"{}")
    .replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")
    .replace(b"{}", b"2\r\n{}\r\n0\r\n\r\n"),
    "expecting": post(b"{}", "Expect: 100-continue"),
    "closing": post(b"{}", "Connection: close"),
    "folded": post(b"{}", "X: a\r\n b"),
    "an old version": post(b"{}").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "too long a head": post(b"{}", "User-Agent: " + "x" * limits.REQUEST_HEAD_BYTES),
    "two posts": post(b"{}") * 2,
    "a read behind it": post(b"{}") + READ,
    "a read before it": READ + post(b"{}"),
    "a body that looks like a request": post(READ),
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
def test_refusals_are_worded_the_same(pair: Pair, request_: bytes) -> None:
    for tls in (False, True):
        assert pair.hot([request_], tls=tls) == pair.slow([request_], tls=tls)


@given(st.sampled_from(list(REFUSED.values())), st.lists(st.floats(0, 1), max_size=4))
def test_nothing_depends_on_how_the_bytes_come_apart(pair: Pair, request_: bytes, cuts: list[float]) -> None:
    places = sorted({0, len(request_), *(int(cut * len(request_)) for cut in cuts)})
    packets = [request_[start:stop] for start, stop in pairwise(places)]
    assert pair.hot(packets) == pair.slow(packets)


def posts(http: Http | None = None, room_bytes: int = 1000) -> WholePosts:
    """What reads posts, for a node of which only the settings are asked for."""
    edge: Any = SimpleNamespace(profile=SimpleNamespace(http=http or Http()))
    return WholePosts(edge, Bodies(room_bytes))


def test_one_byte_less_or_more_is_left_to_the_rest_of_the_server() -> None:
    whole = post(b'{"records": []}')
    found = posts().read(whole)
    assert found is not None
    assert (found.ns, found.target, found.body) == ("acme", "/v1/namespaces/acme/bindings", b'{"records": []}')
    assert found.lacking_bytes == 0
    head_bytes = len(whole) - len(found.body)
    assert all(posts().read(whole[:end]) is None for end in range(head_bytes))
    begun = [posts().read(whole[:end]) for end in range(head_bytes, len(whole))]
    assert [item and item.lacking_bytes for item in begun] == [*range(len(found.body), 0, -1)]
    assert posts().read(whole + b"\r\n") is None


@given(st.integers(0, 400), st.integers(0, 255), st.randoms(use_true_random=False))
def test_a_byte_out_of_place_never_changes_where_a_post_ends(at: int, byte: int, rng: random.Random) -> None:
    whole = bytearray(post(b'{"records": []}', "User-Agent: x"))
    whole[at % len(whole)] = byte
    found = posts().read(bytes(whole))
    assert found is None or found.lacking_bytes or bytes(whole).endswith(b"\r\n\r\n" + found.body)


def test_a_body_above_the_profiles_bound_is_left_to_the_rest_of_the_server() -> None:
    assert posts(Http(max_body_bytes=10)).read(post(b" " * 11)) is None
    assert posts(Http(max_body_bytes=10)).read(post(b" " * 10)) is not None


async def test_without_room_for_the_body_nothing_is_done() -> None:
    reader = posts(room_bytes=5)
    found = reader.read(post(b" " * 6))
    assert found is not None
    assert await reader.answer(found, "127.0.0.1") is None


async def test_what_goes_past_the_framework_is_answered_where_that_is_broken(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.publish()
    await scene.catalog()

    async def broken(*_: Any) -> None:
        raise AssertionError("this request was not to come here")

    monkeypatch.setattr(scene.running.node.app, "_quart", broken)
    port = int(scene.running.url.rpartition(":")[2])
    signed = READ.replace(b" HTTP", b"&receipt=1 HTTP")
    alone = signed[:-2] + b"Accept: application/cose\r\n\r\n"
    names = json.dumps({"queries": [{"handle": "acme/holo:stable"}] * 500}).encode()  # more than is read at a time
    many = b"POST /v1/resolve HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    many += b"Content-Length: %d\r\n\r\n%b" % (len(names), names)
    for request in (READ, signed, alone, many, post(b"{")):
        status = b"HTTP/1.1 400" if request.endswith(b"{") else b"HTTP/1.1 200"
        assert (await transcript(port, [request], None)).startswith(status)
    assert not (await transcript(port, [READ.replace(b"GET", b"HEAD")], None)).startswith(b"HTTP/1.1 200")
