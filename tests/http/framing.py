"""Connections of HTTP/2 to a listener, frame by frame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from holo.http.server import Server
from tests.http.frames import (
    FrameClient,
)

HOT = b"/v1/resolve?handle=acme/holo:beta"


async def connect(port: int) -> FrameClient:
    client = FrameClient(await trio.open_tcp_stream("127.0.0.1", port))
    await client.begin()
    return client


@asynccontextmanager
async def framing(server: Server, **values: int) -> AsyncIterator[FrameClient]:
    """A client of ``server`` that has said hello with these settings."""
    async with await trio.open_tcp_stream("127.0.0.1", int(server.url.rpartition(":")[2])) as stream:
        client = FrameClient(stream)
        await client.begin(**values)
        yield client
