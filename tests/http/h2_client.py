"""A client of HTTP/2 that shows its events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import h2.config
import h2.connection
import h2.events
import trio
import trio.testing

from holo.http.server import Server
from tests.http.listener import connect


class H2Client:
    """A client that speaks HTTP/2 as badly as a test wants."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.http = h2.connection.H2Connection(
            h2.config.H2Configuration(header_encoding=None, validate_outbound_headers=False)
        )
        self.http.initiate_connection()

    async def flush(self) -> None:
        await self.stream.send_all(self.http.data_to_send())

    async def get(self, path: bytes, *, method: bytes = b"GET", end: bool = True) -> int:
        stream_id = self.http.get_next_available_stream_id()
        headers = [(b":method", method), (b":scheme", b"http"), (b":authority", b"localhost"), (b":path", path)]
        if method == b"CONNECT":
            headers.append((b":protocol", b"websocket"))
        self.http.send_headers(stream_id, headers, end_stream=end)
        await self.flush()
        return stream_id

    async def until(self, wanted: Callable[[Any], bool]) -> list[Any]:
        """Every event up to the first that is wanted."""
        seen: list[Any] = []
        with trio.fail_after(10):
            while True:
                data = await self.stream.receive_some()
                if not data:
                    raise EOFError(seen)
                for event in self.http.receive_data(bytes(data)):
                    seen.append(event)
                    if isinstance(event, h2.events.DataReceived):
                        self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    if wanted(event):
                        await self.flush()
                        return seen
                await self.flush()


@asynccontextmanager
async def h2_client(server: Server) -> AsyncIterator[H2Client]:
    async with await connect(server) as stream:
        client = H2Client(stream)
        await client.flush()
        yield client


def ended(stream_id: int) -> Callable[[Any], bool]:
    return lambda event: (
        isinstance(event, h2.events.StreamEnded | h2.events.StreamReset) and event.stream_id == stream_id
    )
