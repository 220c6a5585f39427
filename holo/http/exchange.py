"""One request over HTTP/2 and its answer: what arrives is handed over and acknowledged as it is taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from hypercorn.protocol.events import Body, EndBody
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import AppWrapper


class Exchange:
    """``http`` is hypercorn's side of it.

    ``ended`` says that the request is whole, ``answered`` that the answer was written, ``gone`` that the stream is
    closed. ``room`` is set once what is unsent is at most ``unsent_bytes``, or the stream is gone.
    """

    def __init__(
        self,
        stream_id: int,
        app: AppWrapper,
        spawn: Callable[[Callable[..., Awaitable[object]]], None],
        acknowledge: Callable[[int, int], None],
    ) -> None:
        """``spawn`` runs a task beside the connection; ``acknowledge`` takes the id and a number of bytes."""
        self.http: HTTPStream
        self.ended = False
        self.answered = False
        self.gone = False
        self.room = trio.Event()
        self.unsent_bytes = 0
        self._stream_id = stream_id
        self._app = app
        self._spawn = spawn
        self._acknowledge = acknowledge
        self._arrived = bytearray()
        self._untaken_bytes = 0
        self._over = False
        self._feeding = False

    def take(self, data: bytes, *, end: bool) -> None:
        """A part of the request's body, and whether it is the last."""
        self._arrived += data
        self.ended = self.ended or end
        if not self._feeding and (data or end):
            self._feeding = True
            self._spawn(self._feed)

    async def run(self, scope: Any, receive: Any, send: Any, sync_spawn: Any, call_soon: Any) -> None:
        """The application: what it takes of the body is acknowledged, and in the end all that it was handed."""

        async def take() -> Any:
            message = await receive()
            self._taken(len(message.get("body", b"")))
            return message

        try:
            await self._app(scope, take, send, sync_spawn, call_soon)
        finally:
            self._over = True
            self._taken(self._untaken_bytes)

    async def _feed(self) -> None:
        """Hand what has arrived to the application. Parts that come while it is busy are handed over as one."""
        while self._arrived:
            data = bytes(self._arrived)
            self._arrived.clear()
            self._untaken_bytes += len(data)
            if self._over:
                self._taken(len(data))
            await self.http.handle(Body(stream_id=self._stream_id, data=data))
        if self.ended:
            await self.http.handle(EndBody(stream_id=self._stream_id))
        else:
            self._feeding = False

    def _taken(self, count_bytes: int) -> None:
        if count_bytes:
            self._untaken_bytes -= count_bytes
            self._acknowledge(self._stream_id, count_bytes)
