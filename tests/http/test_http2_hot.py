"""Hot answers over HTTP/2 are those of the application, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from holo.http.server import open_server
from holo.node import open_node
from holo.store.home import Home
from holo.testing import small_profile
from tests.http.frames import (
    RST_STREAM,
    Header,
    block,
    fields,
    headers,
    literal,
    window,
)
from tests.http.framing import HOT, connect, framing
from tests.http.listener import QUICK, Toy
from tests.http.two_listeners import Pair, settle, two_listeners


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Return two listeners over one node."""
    with two_listeners(tmp_path_factory.mktemp("pair")) as found:
        yield found


def ask(pair: Pair, request: list[Header]) -> tuple[object, object]:
    """What the hot and the slow listener answer, dates aside; a reset is an answer, too."""

    async def one(port: int) -> object:
        client = await connect(port)
        async with client.stream:
            await client.send(headers(1, literal(request)))
            try:
                found, body = await client.answer(1)
            except AssertionError:
                return [(part.kind, part.stream_id, part.code) for part in client.frames if part.kind == RST_STREAM]
        assert [name for name, _ in found].count(b"date") == 1
        return [(name, b"" if name == b"date" else value) for name, value in found], body

    async def both() -> tuple[object, object]:
        return await one(pair.plain[0]), await one(pair.plain[1])

    return trio.from_thread.run(both, trio_token=pair.token)


REQUESTS = {
    "plain": fields(HOT),
    "https": [(b":scheme", b"https") if item[0] == b":scheme" else item for item in fields(HOT)],
    "other-order": fields(HOT)[::-1],
    "tag": fields(b"/v1/resolve?handle=acme/holo&tag=beta"),
    "escaped": fields(b"/v1/resolve?handle=acme%2Fholo%3Abeta"),
    "absent": fields(b"/v1/resolve?handle=acme/nothing:beta"),
    "foreign": fields(b"/v1/resolve?handle=other/holo:beta"),
    "no-name": fields(b"/v1/resolve?"),
    "no-query": fields(b"/v1/resolve"),
    "bad-name": fields(b"/v1/resolve?handle=Acme"),
    "unknown-parameter": fields(HOT + b"&x=1"),
    "receipt": fields(HOT + b"&receipt=0"),
    "fragment": fields(HOT + b"#x"),
    "high-bytes": fields(HOT + b"\xe4"),
    "control": fields(HOT + b"\x01"),
    "path-encoded": fields(b"/v1/%72esolve?handle=acme/holo:beta"),
    "path-doubled": fields(b"//v1/resolve?handle=acme/holo:beta"),
    "head": fields(HOT, method=b"HEAD"),
    "post": fields(HOT, method=b"POST"),
    "lower": fields(HOT, method=b"get"),
    "options": fields(HOT, method=b"OPTIONS"),
    "json": fields(HOT, (b"accept", b"application/json")),
    "cose": fields(HOT, (b"accept", b"application/cose")),
    "either": fields(HOT, (b"accept", b"application/cose;q=0.5, application/json")),
    "text": fields(HOT, (b"accept", b"text/html")),
    "accept-twice": fields(HOT, (b"accept", b"text/html"), (b"accept", b"application/json")),
    "accept-empty": fields(HOT, (b"accept", b"")),
    "match-any": fields(HOT, (b"if-none-match", b"*")),
    "match-other": fields(HOT, (b"if-none-match", b'"x"')),
    "agent": fields(HOT, (b"user-agent", b"x/1 (y)"), (b"accept-encoding", b"gzip, br")),
    "cookies": fields(HOT, (b"cookie", b"a=1"), (b"cookie", b"b=2")),
    "unknown-field": fields(HOT, (b"x-slow", b"1")),
    "te": fields(HOT, (b"te", b"trailers")),
    "length": fields(HOT, (b"content-length", b"0")),
    "length-of-no-body": fields(HOT, (b"content-length", b"5")),
    "connection": fields(HOT, (b"connection", b"close")),
    "upper-name": fields(HOT, (b"X-Upper", b"1")),
    "foreign-host": [(b":authority", b"evil.example") if item[0] == b":authority" else item for item in fields(HOT)],
    "host-instead": [(b"host", b"localhost") if item[0] == b":authority" else item for item in fields(HOT)][::-1],
    "host-too": fields(HOT, (b"host", b"localhost")),
    "other-host-too": fields(HOT, (b"host", b"evil.example")),
    "no-host": [item for item in fields(HOT) if item[0] != b":authority"],
    "path-twice": fields(HOT, (b":path", b"/v1/node")),
    "method-twice": [(b":method", b"GET"), *fields(HOT)],
    "protocol": fields(HOT, (b":protocol", b"websocket"), method=b"CONNECT"),
    "connect": [(b":method", b"CONNECT"), (b":authority", b"localhost")],
    "star": fields(b"*", method=b"OPTIONS"),
    "no-slash": fields(b"v1/resolve?handle=acme/holo:beta"),
    "line-end": fields(HOT, (b"user-agent", b"a\r\nx-slow: 1")),
    "node": fields(b"/v1/node/nothing"),
}


class TestSameAnswers:
    @pytest.mark.parametrize("name", REQUESTS)
    def test_whoever_answers(self, pair: Pair, name: str) -> None:
        hot, slow = ask(pair, REQUESTS[name])
        assert hot == slow
        assert hot

    def test_what_the_client_has(self, pair: Pair) -> None:
        answered: Any = ask(pair, fields(HOT))[0]
        etag = dict(answered[0])[b"etag"]
        for value in (etag, b"W/" + etag, b'"x", ' + etag, etag.upper(), etag[:-1]):
            hot: Any
            hot, slow = ask(pair, fields(HOT, (b"if-none-match", value)))
            assert hot == slow
            assert hot[0][0][1] == (b"304" if value.endswith(etag) else b"200")

    @given(
        more=st.lists(
            st.tuples(
                st.sampled_from([b"accept", b"if-none-match", b"host", b"cookie", b"range", b"prefer", b"x", b"te"]),
                st.sampled_from([b"*/*", b"application/json", b"localhost", b"*", b"trailers", b"bytes=0-1"])
                | st.binary(max_size=4),
            ),
            max_size=3,
        ),
        path=st.sampled_from([HOT, b"/v1/resolve?handle=acme/holo", b"/v1/resolve?handle="])
        | st.binary(max_size=8).map(lambda tail: HOT + tail),
        at=st.integers(0, 5),
    )
    def test_whatever_is_asked(self, pair: Pair, more: list[Header], path: bytes, at: int) -> None:
        request = fields(path)
        request[at:at] = more
        hot, slow = ask(pair, request)
        assert hot == slow

    async def test_hot_reads_are_answered_without_the_application(self, tmp_path: Path) -> None:
        toy = Toy()
        async with open_node(Home(tmp_path / "home"), small_profile()) as node, trio.open_nursery() as nursery:
            setting = await open_server(node.app, QUICK, grace_s=1)
            await settle(await nursery.start(setting.run))
            await node.registry.sign_head()
            server = await open_server(toy, QUICK, grace_s=1, answers=node.app.answers)
            await nursery.start(server.run)
            async with framing(server) as client:
                await client.send(window(0, 2**20), *(headers(number, block(HOT)) for number in range(1, 121, 2)))
                for number in range(1, 121, 2):
                    found, body = await client.answer(number)
                    assert (found[0], body[:1]) == ((b":status", b"200"), b"{")
                assert toy.started == 0
            # Where the answer does not fit into what the client takes, the application answers, and waits for it.
            async with framing(server, window=100) as client:
                await client.send(headers(1, block(HOT)))
                assert (await client.answer(1))[1] == b"hello"
            assert toy.started == 1
            nursery.cancel_scope.cancel()
