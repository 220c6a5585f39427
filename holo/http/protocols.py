"""Which protocol a connection speaks; and hypercorn's HTTP/1.1, with the holes closed that a hostile client finds.

hypercorn 0.18 is pinned; what is changed here, and why:

- A client's offer to upgrade (h2c, websocket) is ignored, as RFC 9110 section 7.8 allows. HTTP/2 comes by
  ALPN or prior knowledge.
- Prior knowledge leaves the connection marked busy until its first request; it starts idle here, so timeouts apply.
- Bytes that are no HTTP get a problem with a body, like every other refusal.
"""

from __future__ import annotations

from functools import partial

import h11
from hypercorn.config import Config
from hypercorn.events import Event, RawData, Updated
from hypercorn.protocol.h11 import H2ProtocolAssumedError, H11Protocol
from hypercorn.typing import AppWrapper, ConnectionState, TaskGroup, WorkerContext
from msgspec import structs

from holo.http.hot_stream import HotStreams
from holo.http.http2 import Http2, Send
from holo.http.problem import PROBLEM_JSON, problem_of_code
from holo.http.types import encode_json


class Http1(H11Protocol):
    """HTTP/1.1 without upgrades."""

    @property
    def reading_body(self) -> bool:
        """Whether the request's body has not all arrived."""
        return self.connection.their_state is h11.SEND_BODY

    @property
    def drained(self) -> bool:
        """Whether every byte that came belonged to a request that is answered."""
        return not self.connection.trailing_data[0]

    async def _check_protocol(self, event: h11.Request) -> None:
        if event.method == b"PRI" and event.target == b"*" and event.http_version == b"2.0":
            rest: bytes = self.connection.trailing_data[0]
            raise H2ProtocolAssumedError(b"PRI * HTTP/2.0\r\n\r\n" + rest)

    async def _create_stream(self, request: h11.Request) -> None:
        kept = [(name, value) for name, value in request.headers if name != b"upgrade"]
        if len(kept) < len(request.headers):
            request = h11.Request(
                method=request.method, target=request.target, headers=kept, http_version=request.http_version
            )
        await super()._create_stream(request)

    async def _send_error_response(self, status_code: int) -> None:
        code = "too-large" if status_code == 431 else "request-invalid"
        problem = problem_of_code(code, "the request line and header fields are not HTTP/1.1 within this node's bounds")
        body = encode_json(structs.replace(problem, status=status_code))
        headers = [
            (b"content-type", PROBLEM_JSON.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


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
