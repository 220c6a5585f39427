"""What a hostile client does to a listener, as loops that go on until they are cancelled.

Each is run by several tasks at once. What a flood is refused, or how its connections end, is its own affair.
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, NoReturn

import trio

from holo.http.base64url import encode_base64url
from tests.http.scene import acme
from tests.records import binding_record, content

HOT: Final = b"GET /v1/resolve?handle=acme/holo:beta HTTP/1.1\r\nHost: localhost\r\n\r\n"
_RESET: Final = b"\1\0\0\0\0\0\0\0"  # linger for no time: closing sends a reset
_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


@dataclass(frozen=True)
class Target:
    """The node that is flooded."""

    host: str
    port: int

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[trio.SocketStream]:
        """A connection, and patience with how it ends."""
        with contextlib.suppress(*_GONE):
            async with await trio.open_tcp_stream(self.host, self.port) as stream:
                yield stream


Flood = Callable[[Target], Awaitable[NoReturn]]


async def connections(target: Target) -> NoReturn:
    """Come and go, half of the times with a reset."""
    while True:
        async with target.connected() as stream:
            if os.urandom(1)[0] % 2:
                stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, _RESET)


async def silence(target: Target) -> NoReturn:
    """Hold connections that say nothing."""
    await _hold(target, 25, b"")


async def half_heads(target: Target) -> NoReturn:
    """Hold connections that send their head a few bytes at a time."""
    await _drip(target, 10, HOT[:-2], b"User-Agent: x\r\n")


async def half_other_heads(target: Target) -> NoReturn:
    """The same, with requests that are certainly not hot."""
    await _drip(target, 10, b"POST /v1/resolve HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n")


async def half_bodies(target: Target) -> NoReturn:
    """Hold connections that announce much and send little."""
    await _drip(target, 10, _head("/v1/resolve", 8 << 20), b" " * 100)


async def large_bodies(target: Target) -> NoReturn:
    """Send the largest bodies there may be, full of nothing."""
    while True:
        async with target.connected() as stream:
            await stream.send_all(_head("/v1/resolve", 8 << 20))
            for _ in range(128):
                await stream.send_all(bytes(65536))
            await stream.receive_some()


async def pipelines(target: Target) -> NoReturn:
    """Ask without end, and read."""
    while True:
        async with target.connected() as stream, trio.open_nursery() as nursery:
            nursery.start_soon(_swallow, stream)
            while True:
                await stream.send_all(HOT * 200)


async def unread(target: Target) -> NoReturn:
    """Ask without end, and read nothing."""
    while True:
        async with target.connected() as stream:
            while True:
                await stream.send_all(HOT * 200)


async def absent_names(target: Target) -> NoReturn:
    """Ask for names that are not there, each another one."""
    await _ask(target, lambda: HOT.replace(b"holo:beta", b"x" + os.urandom(8).hex().encode()))


async def absent_paths(target: Target) -> NoReturn:
    """Ask for resources that are not there."""
    await _ask(target, lambda: HOT.replace(b"resolve", os.urandom(8).hex().encode()))


async def large_heads(target: Target) -> NoReturn:
    """Send heads of a megabyte."""
    while True:
        async with target.connected() as stream:
            await stream.send_all(HOT[:-2] + b"User-Agent: " + bytes(1 << 20).replace(b"\0", b"x"))
            await stream.receive_some()


async def garbage(target: Target) -> NoReturn:
    """Send bytes of no kind."""
    while True:
        async with target.connected() as stream:
            await stream.send_all(os.urandom(4096))
            await stream.receive_some()


async def event_streams(target: Target) -> NoReturn:
    """Hold streams of events, and read none."""
    await _hold(target, 25, b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")


async def many_names(target: Target) -> NoReturn:
    """Ask for a thousand names at once, each with its proof."""
    queries = [{"handle": f"acme/holo:{number}"} for number in range(1000)]
    body = json.dumps({"queries": queries, "receipt": True}).encode()
    await _ask(target, lambda: _head("/v1/resolve", len(body)) + body)


async def receipts(target: Target) -> NoReturn:
    """Have every answer signed."""
    await _ask(target, lambda: HOT.replace(b" HTTP", b"&receipt=1 HTTP"))


async def denials(target: Target) -> NoReturn:
    """Publish what a proven key may not."""
    genesis = acme().statement.id
    record = binding_record(genesis, genesis, "acme/holo:beta", content("x"), by=["mallory"])
    body = json.dumps({"records": [[encode_base64url(item) for item in record.envelopes()]]}).encode()
    await _ask(target, lambda: _head("/v1/namespaces/acme/bindings", len(body)) + body)


async def handshakes(target: Target) -> NoReturn:
    """Begin TLS, which costs the node more than the client, and leave."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    while True:
        async with target.connected() as stream:
            await trio.SSLStream(stream, context, server_hostname="localhost").do_handshake()


async def half_handshakes(target: Target) -> NoReturn:
    """Hold connections that have begun TLS."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(into, out, server_hostname="localhost").do_handshake()
    await _hold(target, 10, out.read()[:-20])


async def _ask(target: Target, request: Callable[[], bytes]) -> NoReturn:
    while True:
        async with target.connected() as stream:
            while True:
                await stream.send_all(request())
                if not await stream.receive_some():
                    break


async def _hold(target: Target, count: int, sent: bytes) -> NoReturn:
    """Keep so many connections that have sent this; each that ends is made anew."""

    async def one() -> NoReturn:
        while True:
            async with target.connected() as stream:
                if sent:
                    await stream.send_all(sent)
                await _swallow(stream)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(one)
    raise AssertionError


async def _drip(target: Target, count: int, first: bytes, then: bytes) -> NoReturn:
    """Keep so many connections that send ``first`` and go on with ``then``, slowly."""

    async def one() -> NoReturn:
        while True:
            async with target.connected() as stream:
                await stream.send_all(first)
                while True:
                    await trio.sleep(0.1)
                    await stream.send_all(then)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(one)
    raise AssertionError


async def _swallow(stream: trio.SocketStream) -> None:
    with contextlib.suppress(*_GONE):
        while await stream.receive_some():
            pass


def _head(path: str, length: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()
