"""A reader of server-sent events over a real connection."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import h11
import trio


@dataclass(frozen=True)
class Event:
    """One event: its id as it stood, its type and its data. A comment has the type ``:``."""

    id: str | None
    type: str
    data: Any


class Reader:
    """Reads events one by one; ``last_id`` is where to resume. ``comments`` counts what only kept the line open."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self._text = b""
        self.last_id: str | None = None
        self.comments = 0

    async def open(self, query: str, last_id: str | None) -> None:
        """Send the request and read the head of the answer."""
        headers = [("Host", "localhost"), ("Accept", "text/event-stream")]
        if last_id is not None:
            headers.append(("Last-Event-ID", last_id))
        request = h11.Request(method="GET", target=f"/v1/events{query}", headers=headers)
        await self._stream.send_all((self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b""))
        response = await self._event()
        assert isinstance(response, h11.Response), response
        assert response.status_code == 200, response
        assert dict(response.headers)[b"content-type"] == b"text/event-stream"

    async def next(self) -> Event:
        """The next event; comments and bare ids are passed over. Raises EOFError where the stream ends."""
        with trio.fail_after(20):
            while (event := self.skim()) is None:
                await self.read_some()
        return event

    async def take(self, count: int) -> list[Event]:
        """The next ``count`` events."""
        return [await self.next() for _ in range(count)]

    def skim(self) -> Event | None:
        """The next event of what was read, if it is all there."""
        while b"\n\n" in self._text:
            block, _, self._text = self._text.partition(b"\n\n")
            event = self._parse(block.decode())
            if event is not None:
                return event
        return None

    async def read_some(self) -> None:
        """Wait for more of the stream."""
        event = await self._event()
        if not isinstance(event, h11.Data):
            raise EOFError
        self._text += event.data

    def _parse(self, block: str) -> Event | None:
        type, data = "message", None
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "event":
                type = value
            elif name == "data":
                data = json.loads(value)
            else:
                self.comments += 1
        return None if data is None else Event(self.last_id, type, data)

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._stream.receive_some())
        return event


@asynccontextmanager
async def reading(url: str, query: str = "", last_id: str | None = None) -> AsyncIterator[Reader]:
    """A stream from ``url``, from the present on or behind ``last_id``."""
    host, port = url.removeprefix("http://").split(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        reader = Reader(stream)
        await reader.open(query, last_id)
        yield reader
