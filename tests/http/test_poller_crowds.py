"""More clients than there is room for, or than there is time for: everybody gets a turn."""

from __future__ import annotations

import contextlib

import h2.config
import h2.connection
import pytest
import trio
import trio.testing

from holo.http.server import Server, open_server
from holo.node import Node
from holo.profile import Http
from tests.http.listener import Toy, connect, serving, still_serves, until
from tests.http.polling import HOT, PATIENT, SLOW, read_all_or_reset, read_answers, read_hello, still_hot
from tests.http.two_listeners import quiet


class TestCrowds:
    async def test_the_idle_make_room_then_the_slow_and_never_the_busy(self, node: Node) -> None:
        http = Http(listen="127.0.0.1:0", header_timeout_ms=60_000, max_connections=5)
        async with serving(http, answers=node.app.answers) as (server, toy):
            busy, slow_here, slow_there, idle_long, idle_short = [await connect(server) for _ in range(5)]
            for stream, sent in (
                (busy, SLOW),
                (slow_there, b"GET /half"),
                (slow_here, HOT[:20]),
                (idle_long, HOT),
                (idle_short, HOT),
            ):
                await stream.send_all(sent)
                await quiet()
            assert (server.connections, toy.started) == (5, 1)
            more = []
            for leaves in (idle_long, idle_short, slow_here, slow_there):  # of the slow, the one that is so for longer
                more.append(await busy_client(server, toy))
                found = await read_all_or_reset(leaves)
                assert found.count(b"HTTP/1.1 200 ") == (leaves in (idle_long, idle_short))
                await leaves.aclose()
            async with await connect(server) as refused:
                assert await read_all_or_reset(refused) == b""
            toy.release.set()
            for stream in (busy, *more):
                await read_hello(stream)
                await stream.aclose()

    async def test_half_heads_keep_nobody_out(self, node: Node) -> None:
        http = Http(listen="127.0.0.1:0", header_timeout_ms=60_000, max_connections=32)
        async with serving(http, answers=node.app.answers) as (server, _):
            slow = []
            for number in range(64):
                slow.append(await connect(server))
                await slow[-1].send_all((b"", HOT[:30], b"POST / HT", b"\x16\x03")[number % 4])
            for _ in range(20):
                await still_hot(server)
                await still_serves(server)
            assert server.connections <= 32
            for stream in slow:
                await stream.aclose()

    @pytest.mark.parametrize("http2", [False, True])
    async def test_half_bodies_keep_nobody_out_for_longer_than_a_head(self, node: Node, http2: bool) -> None:
        http = Http(listen="127.0.0.1:0", header_timeout_ms=500, idle_timeout_ms=60_000, max_connections=4)
        async with serving(http, answers=node.app.answers) as (server, toy):
            busy = await busy_client(server, toy)
            slow = [await connect(server) for _ in range(3)]
            for stream in slow:
                await stream.send_all(_half_upload(http2))
            with trio.fail_after(5):
                await until(lambda: toy.started == 4)
            async with await connect(server) as early:
                assert await read_all_or_reset(early) == b""
            await trio.sleep(0.6)  # until they have taken longer than a head may
            late = await admitted_client(server, toy)
            with trio.fail_after(5):
                await until(lambda: server.connections == 2)
            toy.release.set()
            for stream in (busy, late):
                await read_hello(stream)
            for stream in (busy, late, *slow):
                await stream.aclose()

    @pytest.mark.parametrize("sent", [SLOW, HOT[:20], b"GET /half"])
    async def test_a_crowd_that_comes_at_once_is_counted_wherever_it_is(self, node: Node, sent: bytes) -> None:
        toy = Toy()
        http = Http(listen="127.0.0.1:0", header_timeout_ms=60_000, max_connections=4)
        server = await open_server(toy, http, grace_s=1, answers=node.app.answers)
        streams = [await connect(server) for _ in range(50)]
        for stream in streams:
            await stream.send_all(sent)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            await quiet()
            assert 1 <= server.connections <= 4
            assert toy.started <= 4
            nursery.cancel_scope.cancel()
        for stream in streams:
            await stream.aclose()

    async def test_who_asks_without_end_gets_a_turn_like_the_others(self, node: Node) -> None:
        longest = 0
        async with (
            serving(PATIENT, answers=node.app.answers) as (server, _),
            await connect(server) as stream,
            trio.open_nursery() as nursery,
        ):

            async def watch() -> None:
                nonlocal longest
                while True:
                    longest = max(longest, len(server._poller._more))
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(watch)
            nursery.start_soon(stream.send_all, HOT * 2000)
            await read_answers(stream, 2000)
            nursery.cancel_scope.cancel()
        assert longest == 1


def _half_upload(http2: bool) -> bytes:
    """A request whose body does not come."""
    if not http2:
        return b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12"
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    client.initiate_connection()
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"localhost"), (b":path", b"/read")]
    client.send_headers(1, fields)
    client.send_data(1, b"12")
    return client.data_to_send()


async def busy_client(server: Server, toy: Toy) -> trio.SocketStream:
    """A client whose request is under way."""
    started = toy.started
    stream = await connect(server)
    await stream.send_all(SLOW)
    with trio.fail_after(5):
        await until(lambda: toy.started > started)
    return stream


async def admitted_client(server: Server, toy: Toy) -> trio.SocketStream:
    """A client whose request is under way, and who comes again where it is turned away."""
    with trio.fail_after(10):
        while True:
            started = toy.started
            stream = await connect(server)
            with trio.move_on_after(1), contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(SLOW)
                await until(lambda before=started: toy.started > before)  # type: ignore[misc]
                return stream
            await stream.aclose()
