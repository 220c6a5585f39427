"""A listener over a toy application, and clients that speak to it in bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from holo.http.hot_answer import HotAnswers
from holo.http.server import Server, open_server
from holo.profile import Http


class Toy:
    """A small ASGI application: answers at once, slowly, for ever or without reading, by path."""

    def __init__(self) -> None:
        self.stopping = trio.Event()
        self.release = trio.Event()
        self.started = 0
        self.ended = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        self.started += 1
        try:
            await self._answer(scope["path"], receive, send)
        finally:
            self.ended += 1

    async def _answer(self, path: str, receive: Any, send: Any) -> None:
        if path == "/fault":
            raise RuntimeError("a fault of the application")
        if path == "/slow":
            await self.release.wait()
        if path == "/read":
            while (await receive()).get("more_body"):
                pass
        headers = [(b"content-type", b"text/plain")]
        body = bytes(1 << 24) if path == "/large" else b"hello"
        if path != "/flood":
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while path == "/flood":
            with trio.move_on_after(1) as patience:
                await trio.lowlevel.checkpoint()
                await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            if patience.cancelled_caught:
                return
        await send({"type": "http.response.body", "body": body, "more_body": False})


QUICK = Http(listen="127.0.0.1:0", header_timeout_ms=400, idle_timeout_ms=800, max_connections=64)


@asynccontextmanager
async def serving(
    http: Http = QUICK, grace_s: float = 5.0, answers: HotAnswers | None = None
) -> AsyncIterator[tuple[Server, Toy]]:
    """A listening server over a toy application, stopped at the end of the block; hot reads go to ``answers``."""
    toy = Toy()
    server = await open_server(toy, http, grace_s=grace_s, answers=answers)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        yield server, toy
        nursery.cancel_scope.cancel()


async def connect(server: Server) -> trio.SocketStream:
    """A connection that has sent nothing, not even of TLS."""
    host, port = server.url.partition("://")[2].split(":")
    return await trio.open_tcp_stream(host, int(port))


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Everything until the end, which must come soon."""
    data = b""
    with trio.fail_after(10):
        async for chunk in stream:
            data += chunk
    return data


async def still_serves(server: Server) -> None:
    """A fresh client gets a whole answer."""
    with trio.fail_after(10):
        async with await connect(server) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert (await read_all(stream)).endswith(b"hello")


async def until(holds: Callable[[], bool]) -> None:
    """Let the server work until something holds; whoever calls bounds the time."""
    while not holds():  # noqa: ASYNC110 there is no event for what another connection sees
        await trio.sleep(0.01)
