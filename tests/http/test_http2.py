"""HTTP/2: the same answers by the hot path and by the whole server, and streams that do not get in each other's way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog.testing
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from holo.http.server import Server, open_server
from holo.profile import Http
from tests.http import frames
from tests.http.frames import (
    DATA,
    END_STREAM,
    GOAWAY,
    PING,
    RST_STREAM,
    WINDOW_UPDATE,
    block,
    frame,
    headers,
    literal,
    reset,
    window,
)
from tests.http.framing import HOT, connect, framing
from tests.http.listener import QUICK, Toy, serving, until


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
