"""HTTP/2: the same answers by the hot path and by the whole server, and streams that do not get in each other's way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from holo.http.server import Server, open_server
from holo.node import open_node
from holo.profile import Http
from holo.store.home import Home
from holo.testing import small_profile
from tests.http import frames
from tests.http.frames import (
    DATA,
    END_STREAM,
    GOAWAY,
    PING,
    RST_STREAM,
    WINDOW_UPDATE,
    FrameClient,
    Header,
    block,
    fields,
    frame,
    headers,
    literal,
    reset,
    window,
)
from tests.http.listener import QUICK, Toy, serving, until
from tests.http.two_listeners import Pair, settle, two_listeners

HOT = b"/v1/resolve?handle=acme/holo:beta"


async def connect(port: int) -> FrameClient:
    client = FrameClient(await trio.open_tcp_stream("127.0.0.1", port))
    await client.begin()
    return client


@asynccontextmanager
async def framing(server: Server, **values: int) -> AsyncIterator[FrameClient]:
    """A client of ``server`` that has said hello with these settings."""
    async with await trio.open_tcp_stream("127.0.0.1", int(server.url.rpartition(":")[2])) as stream:
        client = FrameClient(stream)
        await client.begin(**values)
        yield client


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


class TestBodies:
    async def test_many_uploads_at_once(self) -> None:
        """300 kB on each of 100 streams, in turns: more than any window, all of it read."""
        received: dict[bytes, int] = {}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            count_bytes = 0
            while True:
                message = await receive()
                count_bytes += len(message.get("body", b""))
                if not message.get("more_body"):
                    break
            received[scope["raw_path"]] = count_bytes
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"%d" % count_bytes, "more_body": False})

        async with serving_app(app) as server, framing(server) as client:
            ids = range(1, 201, 2)
            left = dict.fromkeys(ids, 300_000)
            windows = {0: 65_535, **dict.fromkeys(ids, 65_535)}
            await client.send(*(headers(number, block(b"/%d" % number, method=b"POST"), end=False) for number in ids))
            answered = 0
            initial = 65_535
            while answered < 100:
                for number in ids:
                    size = min(left[number], windows[0], windows[number], 16_384)
                    if size > 0:
                        left[number] -= size
                        windows[0] -= size
                        windows[number] -= size
                        await client.send(frame(DATA, 0 if left[number] else END_STREAM, number, bytes(size)))
                with trio.fail_after(20):
                    found = await client.next()
                assert found is not None
                assert found.kind not in (RST_STREAM, GOAWAY), found
                if found.kind == frames.SETTINGS and not found.flags:
                    values = {int.from_bytes(found.payload[at : at + 2]): int.from_bytes(found.payload[at + 2 : at + 6])
                              for at in range(0, len(found.payload), 6)}  # fmt: skip
                    for number in ids:
                        windows[number] += values[4] - initial
                    initial = values[4]
                elif found.kind == WINDOW_UPDATE:
                    windows[found.stream_id] += int.from_bytes(found.payload)
                elif found.kind == DATA and found.flags & END_STREAM:
                    answered += 1
        assert list(received.values()) == [300_000] * 100

    async def test_what_is_not_taken_is_not_acknowledged_and_stops_nobody_else(self) -> None:
        release = trio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/late":
                await release.wait()
            count_bytes = 0
            while True:
                message = await receive()
                count_bytes += len(message.get("body", b""))
                if not message.get("more_body"):
                    break
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"%d" % count_bytes, "more_body": False})

        async with serving_app(app) as server, framing(server) as client:
            await client.until(frames.SETTINGS, 0, frames.ACK)
            await client.send(headers(1, block(b"/late", method=b"POST"), end=False))
            for _ in range(16):
                await client.send(*(frame(DATA, 0, 1, bytes(1024)) for _ in range(16)))
            # The window of this stream is used up, by the byte: nothing more may be sent on it.
            await client.send(headers(3, block(b"/", method=b"POST"), end=False), frame(DATA, END_STREAM, 3, b"three"))
            assert (await client.answer(3))[1] == b"5"
            assert not [part for part in client.frames if part.kind == WINDOW_UPDATE and part.stream_id == 1]
            release.set()
            await client.until(WINDOW_UPDATE, 1)
            await client.send(frame(DATA, END_STREAM, 1, b"end"))
            assert (await client.answer(1))[1] == b"%d" % (16 * 16 * 1024 + 3)

    async def test_trailers_end_a_body(self) -> None:
        async with serving() as (server, _), framing(server) as client:
            await client.send(
                headers(1, block(b"/read", method=b"POST"), end=False),
                frame(DATA, 0, 1, b"body"),
                headers(1, literal([(b"x-checksum", b"1")])),
            )
            assert (await client.answer(1))[1] == b"hello"

    async def test_an_answer_may_come_before_the_end_of_the_body(self) -> None:
        async with serving() as (server, _), framing(server) as client:
            await client.send(headers(1, block(b"/", method=b"POST"), end=False))
            assert (await client.answer(1))[1] == b"hello"
            await client.send(frame(DATA, END_STREAM, 1, b"what nobody reads"))
            await client.send(headers(3, block(b"/")))
            assert (await client.answer(3))[1] == b"hello"
            assert not [part for part in client.frames if part.kind in (RST_STREAM, GOAWAY)]

    async def test_uploads_that_are_cut_in_the_middle_of_a_frame_do_not_eat_up_the_window(self) -> None:
        """Each of them takes a piece of the window with it; before uploads stall, a new connection is asked for."""
        async with serving() as (server, _), framing(server) as client:
            await client.until(frames.SETTINGS, 0, frames.ACK)
            goodbyes: list[int] = []
            for number in range(1, 400, 4):
                await client.send(headers(number, block(b"/", method=b"POST"), end=False))
                await client.answer(number)
                await client.send(frame(DATA, 0, number, b"x"), frame(DATA, 0, number, bytes(16_384))[:-1])
                assert (await client.until(RST_STREAM, number)).code == 0
                await client.send(b"\0", frame(PING, 0, 0, bytes(8)))
                while (part := await client.next()) is not None and part.kind not in (PING, GOAWAY):
                    pass
                goodbyes = [part.code for part in client.frames if part.kind == GOAWAY]
                if goodbyes:
                    break
                await client.send(headers(number + 2, block(b"/read", method=b"POST"), end=False))
                await client.send(*(frame(DATA, 0, number + 2, bytes(16_384)) for _ in range(4)))
                await client.send(frame(DATA, END_STREAM, number + 2, b"end"))
                assert (await client.answer(number + 2))[1] == b"hello"
            assert goodbyes == [0]


@asynccontextmanager
async def serving_app(app: Any, http: Http = QUICK) -> AsyncIterator[Server]:
    """A listening server over an ASGI application."""
    app.stopping = trio.Event()
    server = await open_server(app, http, grace_s=5)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        yield server
        nursery.cancel_scope.cancel()


class TestAnswers:
    async def test_no_window_makes_the_application_wait(self) -> None:
        sent = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal sent
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for number in range(64):
                await send({"type": "http.response.body", "body": bytes(16_384), "more_body": number < 63})
                sent += 16_384

        async with serving_app(app) as server, framing(server, window=1000) as client:
            await client.send(headers(1, block()))
            await client.until(DATA, 1)
            await trio.testing.wait_all_tasks_blocked()
            assert 0 < sent < 6 * 16_384
            await client.send(window(1, 2**20), window(0, 2**20))
            count_bytes = 1000
            while not (part := await client.until(DATA, 1)).flags & END_STREAM:
                count_bytes += len(part.payload)
            assert count_bytes + len(part.payload) == 64 * 16_384

    async def test_a_stream_that_its_client_resets_ends_its_request_and_no_other(self) -> None:
        left = trio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            while (await receive())["type"] != "http.disconnect":
                if scope["path"] == "/":
                    await left.wait()
                    break
            else:
                left.set()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})

        async with serving_app(app) as server, framing(server) as client:
            await client.send(headers(1, block()), headers(3, block(b"/watch")))
            await client.send(reset(3))
            assert (await client.answer(1))[1] == b"hello"
            assert [part for part in client.frames if part.stream_id == 3] == []

    async def test_a_fault_of_the_application_is_an_answer(self) -> None:
        async with serving() as (server, _), framing(server) as client:
            await client.send(headers(1, block(b"/fault")))
            found, _ = await client.answer(1)
            assert found[0] == (b":status", b"500")
            assert b"connection" not in dict(found)

    async def test_padding_counts_for_nothing(self) -> None:
        async with serving() as (server, _), framing(server) as client:
            padded = frame(DATA, frames.PADDED | END_STREAM, 1, b"\xff" + b"body" + bytes(255))
            await client.send(headers(1, block(b"/read", method=b"POST"), end=False), padded)
            assert (await client.answer(1))[1] == b"hello"


class TestStopping:
    async def test_streams_under_way_finish(self) -> None:
        toy = Toy()
        server = await open_server(toy, QUICK, grace_s=5)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            client = await connect(int(server.url.rpartition(":")[2]))
            async with client.stream:
                await client.send(headers(1, block(b"/slow")), headers(3, block(b"/slow")))
                with trio.fail_after(5):
                    await until(lambda: toy.started == 2)
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await toy.stopping.wait()
                    # Sent before the client knows: answered, or left alone by the GOAWAY that says so.
                    await client.send(headers(5, block(b"/slow")))
                    toy.release.set()
                    found = await client.ending()
        ended = {part.stream_id for part in found if part.kind == DATA and part.flags & END_STREAM}
        (goodbye,) = (part for part in found if part.kind == GOAWAY)
        assert goodbye.code == 0
        assert ended == {1, 3} | ({5} if int.from_bytes(goodbye.payload[:4]) >= 5 else set())
        assert not [part for part in found if part.kind == RST_STREAM]

    async def test_a_client_that_says_goodbye_gets_its_answers(self) -> None:
        async with serving() as (server, toy), framing(server) as client:
            await client.send(headers(1, block(b"/slow")), frame(GOAWAY, 0, 0, bytes(8)))
            with trio.fail_after(5):
                await until(lambda: toy.started == 1)
            toy.release.set()
            await client.until(DATA, 1, END_STREAM)
            await client.ending()

    async def test_hot_reads_and_answers_keep_a_connection(self) -> None:
        async with serving() as (server, _), framing(server) as client:
            for number in range(1, 9, 2):
                await trio.sleep(0.3)
                await client.send(headers(number, block()))
                assert (await client.answer(number))[1] == b"hello"
            assert not [part for part in client.frames if part.kind == GOAWAY]
            assert (await client.ending())[-1].kind == GOAWAY


@st.composite
def some_frames(draw: st.DrawFn) -> bytes:
    """Frames as they may come, and as they must not."""
    found = b""
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from([*range(10), 16, 10, 12, 255]))
        stream_id = draw(st.sampled_from([0, 1, 3, 5, 2, 2**31 - 1]))
        flags = draw(st.sampled_from([0, 1, 4, 5, 8, 13, 32, 255]))
        usual = [b"", bytes(4), bytes(8), block(), block(b"/read", method=b"POST"), block(HOT), literal([(b"x", b"y")])]
        payload = draw(st.sampled_from(usual) | st.binary(max_size=30))
        found += frame(kind, flags, stream_id, payload)
    if draw(st.booleans()):
        return found
    start = draw(st.integers(0, len(found)))
    return found[:start] + draw(st.binary(max_size=8)) + found[start + draw(st.integers(0, 8)) :]


@given(sent=some_frames(), cuts=st.lists(st.integers(0, 400), max_size=3), hello=st.booleans())
def test_whatever_frames_come(sent: bytes, cuts: list[int], hello: bool) -> None:
    """The connection goes on or ends, and the server serves; nothing that is raised gets as far as the connection."""

    async def main() -> None:
        async with serving() as (server, toy):
            toy.release.set()
            async with framing(server) as client:
                if hello:
                    await client.send(headers(1, block(b"/read", method=b"POST"), end=False))
                try:
                    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(sent)], strict=True):
                        await client.send(sent[start:end])
                        await trio.testing.wait_all_tasks_blocked()
                except trio.BrokenResourceError:
                    pass
            async with framing(server) as client:
                await client.send(headers(1, block()))
                assert (await client.answer(1))[1] == b"hello"

    with structlog.testing.capture_logs() as logs:
        trio.run(main)
    assert not logs
