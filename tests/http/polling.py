"""What the tests of the poller share: listeners over a node, and clients that read its answers."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
import trio.testing

from holo.http.hot_answer import HotAnswers
from holo.http.server import Server, open_server
from holo.node import Node
from holo.profile import Http
from tests.http.listener import connect, read_all

HOT = b"GET /v1/resolve?handle=acme/holo:beta HTTP/1.1\r\nHost: localhost\r\n\r\n"


_OK = b"HTTP/1.1 200 "


NODE = b"GET /v1/node HTTP/1.1\r\nHost: localhost\r\n\r\n"


SLOW = b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"


PATIENT = Http(listen="127.0.0.1:0", header_timeout_ms=60_000, idle_timeout_ms=60_000, max_connections=64)


@asynccontextmanager
async def serving_node(node: Node, http: Http, answers: HotAnswers | None) -> AsyncIterator[Server]:
    """A listener over a node's whole application, which the end of the block does not stop."""
    server = await open_server(_Lasting(node), http, grace_s=1, answers=answers)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        yield server
        nursery.cancel_scope.cancel()


class _Lasting:
    def __init__(self, node: Node) -> None:
        self.stopping = trio.Event()
        self._app = node.app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class Authority:
    """A listener's certificate, and who trusts it."""

    http: Http
    trusted: ssl.SSLContext


async def secured(server: Server, authority: Authority) -> trio.SSLStream[trio.SocketStream]:
    """A TLS session with the listener."""
    stream = trio.SSLStream(await connect(server), authority.trusted, server_hostname="localhost")
    await stream.do_handshake()
    return stream


async def read_answers(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    """So many answers that are JSON; they must come soon."""
    data = bytearray()
    with trio.fail_after(30):
        while count or not data.endswith(b"}"):
            more = await stream.receive_some()
            assert more, "the connection ended"
            known = max(0, len(data) - len(_OK) + 1)
            data += more
            count -= data.count(_OK, known)
    assert count == 0
    return bytes(data)


async def read_hello(stream: trio.abc.ReceiveStream) -> None:
    """The application's answer; it must come soon."""
    data = b""
    with trio.fail_after(20):
        while not data.endswith(b"hello"):
            more = await stream.receive_some()
            assert more, "the connection ended"
            data += more


async def still_hot(server: Server) -> None:
    """A fresh client gets a hot answer."""
    with trio.fail_after(10):
        async with await connect(server) as stream:
            await stream.send_all(HOT)
            await read_answers(stream, 1)


async def read_all_or_reset(stream: trio.SocketStream) -> bytes:
    try:
        return await read_all(stream)
    except trio.BrokenResourceError:
        return b""
