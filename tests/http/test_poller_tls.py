"""TLS at the poller: handshakes that do not come, and hot answers over TLS."""

from __future__ import annotations

import ssl

import pytest
import trio
import trio.testing

from holo.http.server import Server
from holo.node import Node
from tests.http.listener import connect, read_all, serving, until
from tests.http.polling import HOT, Authority, read_all_or_reset, read_answers, secured
from tests.http.two_listeners import quiet


class TestTls:
    @pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16"])
    async def test_a_handshake_that_does_not_come(self, authority: Authority, sent: bytes) -> None:
        async with serving(authority.http) as (server, _), await connect(server) as stream:
            began = trio.current_time()
            await stream.send_all(sent)
            await read_all_or_reset(stream)
            assert trio.current_time() - began < 3
            assert server.connections == 0

    async def test_bytes_that_are_no_tls(self, authority: Authority) -> None:
        async with serving(authority.http) as (server, _), await connect(server) as stream:
            await stream.send_all(HOT)
            assert not (await read_all_or_reset(stream)).startswith(b"HTTP")
            assert server.connections == 0

    async def test_clients_that_vanish_in_the_handshake(self, authority: Authority, node: Node) -> None:
        async with serving(authority.http, answers=node.app.answers) as (server, _):
            hello = _client_hello(authority.trusted)
            for number in range(40):
                stream = await connect(server)
                await stream.send_all(hello[: len(hello) - number % 3 * 50])
                await quiet()
                if number % 2:
                    stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                await trio.aclose_forcefully(stream)
            with trio.fail_after(5):
                await until(lambda: server.connections == 0)
            await _secured_answers(server, authority)

    async def test_more_requests_in_one_record_than_are_answered_at_once(
        self, authority: Authority, node: Node
    ) -> None:
        async with serving(authority.http, answers=node.app.answers) as (server, toy):
            stream = await secured(server, authority)
            count = 16_000 // len(HOT)
            for _ in range(3):
                await stream.send_all(HOT * count)  # a record has 16 KiB
                await read_answers(stream, count)
            assert toy.started == 0
            await stream.send_all(HOT[:-1])
            await quiet()
            await stream.send_all(HOT[-1:])
            await read_answers(stream, 1)
            await trio.aclose_forcefully(stream)

    async def test_a_client_that_does_not_read_is_cut(self, authority: Authority, node: Node) -> None:
        async with serving(authority.http, answers=node.app.answers) as (server, _):
            stream = await secured(server, authority)

            async def ask_on() -> None:
                while True:
                    await stream.send_all(HOT * 100)

            with trio.fail_after(10), pytest.raises(trio.BrokenResourceError):
                await ask_on()
            await trio.aclose_forcefully(stream)
            assert server.connections == 0

    @pytest.mark.parametrize("sent", [b"", HOT, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"])
    async def test_an_end_that_the_listener_decides_is_told(
        self, authority: Authority, node: Node, sent: bytes
    ) -> None:
        async with serving(authority.http, answers=node.app.answers) as (server, _):
            stream = await secured(server, authority)
            await stream.send_all(sent)
            await read_all(stream)  # raises where the end may be somebody else's
            await trio.aclose_forcefully(stream)


async def _secured_answers(server: Server, authority: Authority) -> None:
    stream = await secured(server, authority)
    await stream.send_all(HOT)
    await read_answers(stream, 1)
    await trio.aclose_forcefully(stream)


def _client_hello(context: ssl.SSLContext) -> bytes:
    """The first bytes of a client."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(into, out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return out.read()
