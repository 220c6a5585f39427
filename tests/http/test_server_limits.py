"""The listener with clients that are late, too many, or still there when it stops."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
import trio
import trio.testing
import trustme

from holo.http.server import Server, open_server
from holo.profile import Http
from tests.http.h2_client import H2Client, ended, h2_client
from tests.http.listener import QUICK, Toy, connect, read_all, serving, still_serves, until


class TestTime:
    @pytest.mark.parametrize("sent", [b"", b"GET / HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
    async def test_a_head_that_does_not_come(self, sent: bytes) -> None:
        async with serving() as (server, _), await connect(server) as stream:
            began = trio.current_time()
            if sent:
                await stream.send_all(sent)
            await read_all(stream)
            assert trio.current_time() - began < 3

    async def test_a_head_that_comes_byte_by_byte(self) -> None:
        async with serving() as (server, _), await connect(server) as stream:
            began = trio.current_time()

            async def drip() -> None:
                for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 1000:
                    await stream.send_all(bytes((byte,)))
                    await trio.sleep(0.02)

            with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
                await drip()
            assert trio.current_time() - began < 3

    async def test_silence_between_requests(self) -> None:
        async with serving() as (server, _), await connect(server) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            began = trio.current_time()
            assert (await read_all(stream)).endswith(b"hello")
            assert 0.5 < trio.current_time() - began < 4

    async def test_a_slow_answer_is_no_silence(self) -> None:
        async with serving() as (server, toy), await connect(server) as stream:
            await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            await trio.sleep(1.2)  # longer than both timeouts
            toy.release.set()
            assert (await read_all(stream)).endswith(b"hello")

    async def test_a_client_that_takes_no_bytes_is_cut(self) -> None:
        async with serving() as (server, toy), await connect(server) as stream:
            await stream.send_all(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.fail_after(10):
                await until(lambda: toy.ended == 1 and server.connections == 0)

    async def test_an_http2_stream_that_is_not_read_is_cut_and_the_connection_goes_on(self) -> None:
        async with serving() as (server, toy), h2_client(server) as client:
            flood = await client.get(b"/flood")
            with trio.fail_after(10):
                await until(lambda: toy.ended == 1)
            good = await client.get(b"/")
            seen = await client.until(ended(good))
            assert isinstance(seen[-1], h2.events.StreamEnded)
            resets = [event for event in seen if isinstance(event, h2.events.StreamReset)]
            if not resets:
                resets = [
                    event for event in await client.until(ended(flood)) if isinstance(event, h2.events.StreamReset)
                ]
            assert resets[0].stream_id == flood


class TestCrowds:
    async def test_the_longest_idle_makes_room(self) -> None:
        http = Http(listen="127.0.0.1:0", max_connections=3, header_timeout_ms=60_000)
        async with serving(http) as (server, _):
            streams = [await connect(server) for _ in range(3)]
            for stream in streams:
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await trio.testing.wait_all_tasks_blocked(0.01)
            await still_serves(server)
            assert (await read_all(streams[0])).endswith(b"hello")
            for stream in streams:
                await stream.aclose()

    async def test_a_crowd_at_once_gets_no_more_than_the_bound(self) -> None:
        http = Http(listen="127.0.0.1:0", max_connections=4, header_timeout_ms=60_000)
        async with serving(http) as (server, _):
            streams = []
            async with trio.open_nursery() as nursery:

                async def come() -> None:
                    streams.append(await connect(server))

                for _ in range(60):
                    nursery.start_soon(come)
            with trio.fail_after(5):
                await until(lambda: server.connections <= 4)
            await still_serves(server)
            for stream in streams:
                await stream.aclose()

    async def test_busy_connections_are_not_pushed_out(self) -> None:
        http = Http(listen="127.0.0.1:0", max_connections=2)
        async with serving(http) as (server, toy):
            busy = [await connect(server) for _ in range(2)]
            for stream in busy:
                await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            with trio.fail_after(5):
                await until(lambda: toy.started == 2)
            async with await connect(server) as one_more:
                assert await read_all_or_reset(one_more) == b""
            toy.release.set()
            for stream in busy:
                assert (await read_all(stream)).endswith(b"hello")
                await stream.aclose()

    @pytest.mark.parametrize("tls", [False, True])
    async def test_http2_clients_that_vanish_under_load(self, tmp_path: Path, tls: bool) -> None:
        """What ends hypercorn's own server: connections cut while many streams are being answered."""
        http, context = QUICK, None
        if tls:
            authority = trustme.CA()
            issued = authority.issue_cert("localhost")
            cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
            issued.private_key_pem.write_to_path(key)
            issued.cert_chain_pems[0].write_to_path(cert)
            http = Http(listen="127.0.0.1:0", tls_cert=str(cert), tls_key=str(key))
            context = ssl.create_default_context()
            authority.configure_trust(context)
            context.set_alpn_protocols(["h2"])
        async with serving(http) as (server, toy):
            for _ in range(4):
                async with trio.open_nursery() as nursery:
                    for number in range(12):
                        nursery.start_soon(_vanish, server, context, number)
            with trio.fail_after(10):
                await until(lambda: toy.started == toy.ended and server.connections == 0)
            if context is None:
                await still_serves(server)
            else:
                async with httpx.AsyncClient(verify=context, http2=True) as client:
                    url = server.url.replace("127.0.0.1", "localhost")
                    assert (await client.get(url)).text == "hello"


async def _vanish(server: Server, context: ssl.SSLContext | None, number: int) -> None:
    host, port = server.url.partition("://")[2].split(":")
    socket = await trio.open_tcp_stream(host, int(port))
    stream: Any = socket
    if context is not None:
        stream = trio.SSLStream(socket, context, server_hostname="localhost", https_compatible=True)
    client = H2Client(stream)
    for path in (b"/flood", b"/read", b"/", b"/slow") * 10:
        await client.get(path, method=b"POST", end=False)
    if number % 2:
        with trio.move_on_after(0.05):
            await client.until(lambda event: False)
    # Linger with nothing: the kernel answers what is still sent with a reset.
    socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await trio.aclose_forcefully(socket)


async def read_all_or_reset(stream: trio.SocketStream) -> bytes:
    try:
        return await read_all(stream)
    except trio.BrokenResourceError:
        return b""


class TestStopping:
    async def test_answers_under_way_arrive_and_idle_connections_end_at_once(self) -> None:
        answers: list[bytes] = []

        async def take(stream: trio.SocketStream) -> None:
            answers.append(await read_all(stream))
            await stream.aclose()

        toy = Toy()
        server = await open_server(toy, QUICK, grace_s=5)
        async with trio.open_nursery() as clients:
            async with trio.open_nursery() as nursery:
                await nursery.start(server.run)
                idle, busy = await connect(server), await connect(server)
                await busy.send_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
                with trio.fail_after(5):
                    await until(lambda: toy.started == 1 and server.connections == 2)
                clients.start_soon(take, busy)
                clients.start_soon(_release_once_stopping, toy)
                began = trio.current_time()
                nursery.cancel_scope.cancel()
            assert trio.current_time() - began < 3
            assert await read_all(idle) == b""
            await idle.aclose()
        assert answers[0].endswith(b"hello")
        with pytest.raises(OSError):
            await connect(server)

    async def test_the_grace_ends(self) -> None:
        toy = Toy()
        server = await open_server(toy, Http(listen="127.0.0.1:0"), grace_s=0.3)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            slow, flooded = await connect(server), await connect(server)
            await slow.send_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await flooded.send_all(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.fail_after(5):
                await until(lambda: toy.started == 2)
            began = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < 3
        assert toy.ended == 2
        await slow.aclose()
        await flooded.aclose()

    async def test_http2_is_told_to_go_away(self) -> None:
        async with serving() as (server, _), h2_client(server) as client:
            await client.until(ended(await client.get(b"/")))
            server_stops = client.until(lambda event: isinstance(event, h2.events.ConnectionTerminated))
            for connection in list(server._connections):
                connection.stop()
            await server_stops


async def _release_once_stopping(toy: Toy) -> None:
    await toy.stopping.wait()
    toy.release.set()
