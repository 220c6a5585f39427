"""hypercorn's HTTP/1.1 and HTTP/2 state machines, with the holes closed that a hostile or vanishing client finds.

hypercorn 0.18 is pinned; what is changed here, and why:

- An HTTP/1.1 client's offer to upgrade (h2c, websocket) is ignored, as RFC 9110 section 7.8 allows. HTTP/2 comes by
  ALPN or prior knowledge.
- Prior knowledge leaves the connection marked busy until its first request; it starts idle here, so timeouts apply.
- HTTP/2 bodies that go on after the answer raise KeyError there; here they are counted for flow control and the stream
  is reset with NO_ERROR (RFC 9113 section 8.1).
- A request whose method or path is no ASCII, or a CONNECT, breaks the connection there; here its stream is reset.
- Streams opened only to be reset (RFC 9113 section 10.5) are counted; past a budget the connection ends.
- A client that opens no window for an HTTP/2 stream makes the buffer of that stream grow without bound there; here the
  application waits. An answer that breaks off resets its stream, where the client would wait for ever.
- Bytes that are no HTTP get a problem with a body, like every other refusal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h11
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.h2 import BUFFER_LOW_WATER, H2Protocol, StreamBuffer
from hypercorn.protocol.h11 import H2ProtocolAssumedError, H11Protocol
from hypercorn.typing import AppWrapper, ConnectionState, TaskGroup, WorkerContext
from msgspec import structs

from holo.http.hot_answer import HotAnswers
from holo.http.problem import PROBLEM_JSON, problem_of_code
from holo.http.types import encode_json

_RESETS_ALLOWED: Final = 200

Send = Callable[[Event], Awaitable[None]]


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


class _Buffer(StreamBuffer):
    """What an answer has written and its stream has not sent: the writer waits while there is too much of it."""

    @property
    def ended(self) -> bool:
        """Whether the whole answer was written."""
        return self._complete

    async def pop(self, max_length: int) -> bytes:
        """The next bytes to send. The writer goes on once little is *left*, not once little was *taken*."""
        length = min(len(self.buffer), max_length)
        data = bytes(self.buffer[:length])
        del self.buffer[:length]
        if len(self.buffer) < BUFFER_LOW_WATER:
            await self._paused.set()
        if not self.buffer:
            await self._is_empty.set()
        return data


class _Buffers(dict[int, StreamBuffer]):
    """The buffers of a connection's streams; every one that is put in becomes one of ours."""

    def __setitem__(self, stream_id: int, buffer: StreamBuffer) -> None:
        super().__setitem__(stream_id, _Buffer(type(buffer._paused)))


class Http2(H2Protocol):
    """HTTP/2 that survives its clients."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.stream_buffers = _Buffers()
        self._resets = 0

    async def goodbye(self) -> None:
        """Say GOAWAY, for a client that may be about to send a request it should send elsewhere."""
        try:
            self.connection.close_connection()
        except h2.exceptions.ProtocolError:
            return
        await self._flush()

    async def stream_send(self, event: StreamEvent) -> None:
        """Take a part of an answer, or the news that there is no more of it."""
        buffer = self.stream_buffers.get(event.stream_id)
        if isinstance(event, StreamClosed) and isinstance(buffer, _Buffer) and not buffer.ended:
            self._reset(event.stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            await buffer.close()
            await self._flush()
        await super().stream_send(event)

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.RequestReceived) and not _servable(event):
                self._reset(event.stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR)
            elif isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self._reset(event.stream_id, h2.errors.ErrorCodes.NO_ERROR)
            elif isinstance(event, h2.events.StreamReset) and self._one_reset_too_many():
                await self.goodbye()
                await self.send(Closed())
                return
            else:
                await super()._handle_events([event])
        await self._flush()

    def _reset(self, stream_id: int, code: h2.errors.ErrorCodes) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):  # it is closed already
            self.connection.reset_stream(stream_id, code)

    def _one_reset_too_many(self) -> bool:
        self._resets += 1
        return self._resets > _RESETS_ALLOWED and self._resets * 2 > self.keep_alive_requests


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
        answers: HotAnswers | None,
    ) -> None:
        self._make: Callable[[type[Any]], Any] = lambda kind: kind(
            app, config, context, tasks, ConnectionState({}), tls, client, server, send
        )
        self._send = send
        self._answers = answers
        self.current: Http1 | Http2 = self._make(Http2 if alpn == "h2" else Http1)

    async def initiate(self) -> None:
        """Send what the protocol begins with."""
        await self.current.initiate()

    async def handle(self, event: Event) -> None:
        """Take bytes from the wire, or the news that it is closed."""
        try:
            await self.current.handle(event)
        except H2ProtocolAssumedError as assumed:
            self.current = self._make(Http2)
            await self._send(Updated(idle=True))
            await self.current.initiate()
            await self.current.handle(RawData(assumed.data))


def _servable(event: h2.events.RequestReceived) -> bool:
    fields = dict(event.headers or ())
    method, path = bytes(fields.get(b":method", b"")), bytes(fields.get(b":path", b""))
    usual = method.isascii() and method.isalpha() and method.upper() != b"CONNECT"
    return usual and path.isascii() and path[:1] == b"/"
