"""Which protocol a connection speaks: HTTP/2 by ALPN or prior knowledge, HTTP/1.1 otherwise.

hypercorn 0.18 leaves a connection that begins with prior knowledge marked busy until its first request; it starts idle
here, so timeouts apply.
"""

from __future__ import annotations

from functools import partial

from hypercorn.config import Config
from hypercorn.events import Event, RawData, Updated
from hypercorn.protocol.h11 import H2ProtocolAssumedError
from hypercorn.typing import AppWrapper, ConnectionState, TaskGroup, WorkerContext

from holo.http.hot_stream import HotStreams
from holo.http.http1 import Http1
from holo.http.http2 import Http2, Send


class Protocols:
    """The protocol of one connection, whichever it turns out to be."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        tasks: TaskGroup,
        *,
        tls: bool,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        send: Send,
        alpn: str,
        hot: HotStreams | None,
    ) -> None:
        state = ConnectionState({})
        common = (app, config, context, tasks, state, tls, client, server, send)
        self._http2 = partial(Http2, *common, hot)
        self._send = send
        self.current: Http1 | Http2 = self._http2() if alpn == "h2" else Http1(*common)

    async def initiate(self) -> None:
        """Send what the protocol begins with."""
        await self.current.initiate()

    async def handle(self, event: Event) -> None:
        """Take bytes from the wire, or the news that it is closed."""
        try:
            await self.current.handle(event)
        except H2ProtocolAssumedError as assumed:
            self.current = self._http2()
            await self._send(Updated(idle=True))
            await self.current.initiate()
            await self.current.handle(RawData(assumed.data))
