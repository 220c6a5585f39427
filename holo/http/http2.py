"""HTTP/2 over nghttp2 (docs/adr/0020): hot reads answered where they are read, everything else by the application.

nghttp2 keeps the state of the connection: frames, header compression, windows, who may send what when. Here its events
become requests to the application (a hypercorn stream each), and what the application says becomes answers. What
hypercorn's own HTTP/2 lacks, and this has:

- A client that opens no window makes the application wait, which cuts it in the end; so does one that takes no bytes.
- What a client uploads is acknowledged as the application takes it, never sooner, and one upload holds up no other.
- Whatever the application does half, or leaves unread, ends its stream and nothing else.
- Bytes that ask for nothing (pings, settings, windows, priorities, frames that nobody knows) are counted against what
  the client does ask for; nghttp2 counts resets, refusals and oddities by itself. Past its budget a connection ends.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import ngh2
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, InformationalResponse, Request, Response, StreamClosed, Trailers
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import AppWrapper, ConnectionState, TaskGroup, WorkerContext
from hypercorn.utils import filter_pseudo_headers

from holo.core import limits
from holo.http.byte_budget import ByteBudget
from holo.http.exchange import Exchange
from holo.http.hot_stream import Header, HotStreams

Send = Callable[[Event], Awaitable[None]]

_UPLOAD_BYTES: Final = 256 * 1024  # on its way and not taken by the application: of a stream, and of all of them
_UPLOADS_BYTES: Final = 1024 * 1024
_UNSENT_BYTES: Final = 64 * 1024  # of a stream: with more than this left, whoever writes to it waits
# nghttp2 never gives back the window that the beginning of a DATA frame took whose stream we reset before its end. So
# many such frames leave most of the window, and the connection is replaced before it is gone.
_CUT_UPLOADS: Final = 24

_SETTINGS: Final = {
    ngh2.Setting.MAX_CONCURRENT_STREAMS: limits.STREAMS_PER_CONNECTION,
    ngh2.Setting.INITIAL_WINDOW_SIZE: _UPLOAD_BYTES,
    ngh2.Setting.MAX_HEADER_LIST_SIZE: limits.REQUEST_HEAD_BYTES,
}
_CONFIGURATION: Final = ngh2.Configuration(
    auto_window_update=False,
    max_outbound_ack=1000,  # in one read: 64 KiB of pings are four times that
    max_continuations=4,
    stream_reset_rate_limit=(200, 33),  # at once, and a second
    glitch_rate_limit=(500, 33),
    max_inbound_header_list_size=limits.REQUEST_HEAD_BYTES,
)
# Fields about the connection have no place in HTTP/2 (RFC 9113 section 8.2.2).
_OF_CONNECTIONS: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)


class Http2:
    """One connection. Nothing is lost when whoever writes to a stream is cancelled: only the reader, and tasks that
    live as long as the connection, send."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        tasks: TaskGroup,
        state: ConnectionState,
        tls: bool,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        send: Send,
        hot: HotStreams | None,
    ) -> None:
        self._stream: Callable[[AppWrapper, int], HTTPStream] = lambda taker, stream_id: HTTPStream(
            taker, config, context, tasks, tls, client, server, self.stream_send, stream_id
        )
        self._app = app
        self._config = config
        self._context = context
        self._tasks = tasks
        self._state = state
        self._address = client[0] if client else ""
        self._send = send
        self._hot = hot
        self._http = ngh2.Connection(ngh2.Role.SERVER, _CONFIGURATION)
        self._exchanges: dict[int, Exchange] = {}
        self._waiting: dict[int, Exchange] = {}
        self._requests = 0
        self._cut_uploads = 0
        self._budget = ByteBudget(trio.current_time())
        self._ending: set[int] = set()
        self._flush_due = False
        self._flushing = False
        self._flushed = trio.Event()
        self._leaving = False
        self._over = False

    @property
    def uploading(self) -> bool:
        """Whether there are requests, and none of them has all arrived."""
        return bool(self._exchanges) and not any(item.ended for item in self._exchanges.values())

    async def initiate(self) -> None:
        """Say what this side allows."""
        self._http.initiate_connection(_SETTINGS)
        self._http.set_local_window_size(_UPLOADS_BYTES)
        await self._flush()

    async def handle(self, event: Event) -> None:
        """Take bytes from the wire, or the news that it is closed."""
        if isinstance(event, RawData):
            if not self._over:
                await self._receive(event.data)
        elif isinstance(event, Closed):
            self._over = True
            for stream_id in list(self._exchanges):
                self._vanish(stream_id)

    async def goodbye(self) -> None:
        """Say GOAWAY, for a client that may be about to send a request it should send elsewhere."""
        self._leave()
        await self._flush_all()

    # --- what the client sends

    async def _receive(self, data: bytes) -> None:
        self._budget.take(len(data), trio.current_time())
        try:
            self._http.receive_data(data)
        except ngh2.NGH2Error as error:
            await self._break_off(error)
            return
        events = self._http.events()
        if self._hot is not None:
            events, answered = self._answer(self._hot, events)
        else:
            answered = False
        for event in events:
            await self._take(event)
        if self._budget.spent:
            with contextlib.suppress(ngh2.NGH2Error):  # it is ending already
                self._http.terminate_connection(ngh2.ErrorCode.ENHANCE_YOUR_CALM)
        await self._flush_all()  # nothing more is read until what came is answered
        if answered and not self._exchanges:
            # Not silent since whenever: the time for the next request begins now.
            await self._send(Updated(idle=False))
            await self._send(Updated(idle=True))

    def _answer(self, hot: HotStreams, events: list[ngh2.Event]) -> tuple[list[ngh2.Event], bool]:
        """(the events that are not hot reads, whether any were): those are answered."""
        rest: list[ngh2.Event] = []
        hot.answers.begin()
        try:
            for event in events:
                if type(event) is not ngh2.RequestReceived or not event.end_stream:
                    rest.append(event)
                    continue
                stream_id = event.stream_id
                try:
                    # An answer that does not fit would have to be waited for, and cut in the end.
                    room_bytes = self._http.remote_window_size - self._http.queued_body_size()
                    room_bytes = min(room_bytes, self._http.stream_remote_window_size(stream_id))
                    answer = hot.answer(event.headers, self._address, room_bytes)
                    if answer is None:
                        rest.append(event)
                        continue
                    headers, body = answer
                    self._http.send_response(stream_id, headers, end_stream=not body)
                    if body:
                        self._http.send_data(stream_id, body, end_stream=True)
                except ngh2.NGH2Error:  # reset by its client in the same breath
                    continue
                self._count_request()
        finally:
            hot.answers.end()
        return rest, len(rest) < len(events)

    async def _take(self, event: ngh2.Event) -> None:
        if isinstance(event, ngh2.RequestReceived):
            await self._open(event)
        elif isinstance(event, ngh2.DataReceived):
            self._take_data(event)
        elif isinstance(event, ngh2.TrailersReceived):  # nobody reads what they say
            exchange = self._exchanges.get(event.stream_id)
            if exchange is not None:
                exchange.take(b"", end=True)
        elif isinstance(event, ngh2.StreamClosed):
            self._ending.discard(event.stream_id)
            exchange = self._exchanges.get(event.stream_id)
            if exchange is not None and exchange.answered:
                exchange.gone = True
                exchange.room.set()
            elif exchange is not None:
                self._vanish(event.stream_id)
                await self._send(Updated(idle=not self._exchanges))
        elif isinstance(event, ngh2.ConnectionClosed):
            self._over = True
            await self._send(Closed())

    async def _open(self, event: ngh2.RequestReceived) -> None:
        stream_id, headers = event.stream_id, event.headers
        fields = dict(headers)
        method, path = fields.get(b":method", b""), fields.get(b":path", b"")
        self._count_request(sum(len(name) + len(value) for name, value in headers))
        if not (method.isalpha() and method.isascii() and method.upper() != b"CONNECT"):
            self._reset(stream_id, ngh2.ErrorCode.PROTOCOL_ERROR)
            return
        if not (path.isascii() and path[:1] == b"/"):
            self._reset(stream_id, ngh2.ErrorCode.PROTOCOL_ERROR)
            return
        await self._send(Updated(idle=False))
        exchange = Exchange(stream_id, self._app, self._tasks.spawn, self._acknowledge)
        exchange.http = self._stream(exchange.run, stream_id)
        self._exchanges[stream_id] = exchange
        await exchange.http.handle(
            Request(
                stream_id=stream_id,
                headers=filter_pseudo_headers(list(headers)),
                http_version="2",
                method=method.decode().upper(),
                raw_path=path,
                state=self._state,
            )
        )
        if event.end_stream:
            exchange.ended = True
            await exchange.http.handle(EndBody(stream_id=stream_id))

    def _take_data(self, event: ngh2.DataReceived) -> None:
        stream_id, data = event.stream_id, event.data
        self._budget.credit_upload(len(data))
        exchange = self._exchanges.get(stream_id)
        if exchange is None:
            # A body that goes on after its answer (RFC 9113 section 8.1).
            self._acknowledge(stream_id, len(data))
            if not event.end_stream and stream_id not in self._ending:
                self._cut_upload(stream_id, ngh2.ErrorCode.NO_ERROR)
            return
        exchange.take(data, end=event.end_stream)

    def _acknowledge(self, stream_id: int, count_bytes: int) -> None:
        with contextlib.suppress(ngh2.NGH2Error):  # the connection has ended
            self._http.acknowledge_received_data(count_bytes, stream_id)
        self._flush_soon()

    # --- what the application says

    async def stream_send(self, event: StreamEvent) -> None:
        """Take a part of an answer, or the news that there is no more of it."""
        stream_id = event.stream_id
        exchange = self._exchanges.get(stream_id)
        if exchange is None:
            return
        try:
            if isinstance(event, Response):
                headers = [*event.headers, *self._config.response_headers("h2")]
                self._http.send_response(stream_id, _headers(event.status_code, headers))
            elif isinstance(event, InformationalResponse):
                self._http.send_informational_response(stream_id, _headers(event.status_code, event.headers))
            elif isinstance(event, Body):
                self._http.send_data(stream_id, event.data)
                self._budget.credit_answer(len(event.data))
            elif isinstance(event, Trailers):
                self._http.send_trailers(stream_id, event.headers)
                exchange.answered = True
            elif isinstance(event, EndBody) and not exchange.answered:
                self._http.end_stream(stream_id)
                exchange.answered = True
        except ngh2.NGH2Error:  # the client has reset it, and the news is under way
            return
        self._flush_soon()
        if isinstance(event, Body):
            await self._wait_for_room(stream_id, exchange, _UNSENT_BYTES)
        elif isinstance(event, EndBody | Trailers):
            await self._wait_for_room(stream_id, exchange, 0)
        elif isinstance(event, StreamClosed):
            await self._close(stream_id, exchange)

    async def _wait_for_room(self, stream_id: int, exchange: Exchange, unsent_bytes: int) -> None:
        """Wait until at most ``unsent_bytes`` of a stream are unsent. Where there need be none, they are not counted
        before something was sent."""
        if exchange.gone or (unsent_bytes and self._http.queued_body_size(stream_id) <= unsent_bytes):
            return
        exchange.unsent_bytes = unsent_bytes
        exchange.room = trio.Event()
        self._waiting[stream_id] = exchange
        try:
            await exchange.room.wait()
        finally:
            self._waiting.pop(stream_id, None)

    async def _close(self, stream_id: int, exchange: Exchange) -> None:
        del self._exchanges[stream_id]
        if not exchange.answered:  # an answer that breaks off must not look like a whole one
            if exchange.ended:
                self._reset(stream_id, ngh2.ErrorCode.INTERNAL_ERROR)
            else:
                self._cut_upload(stream_id, ngh2.ErrorCode.INTERNAL_ERROR)
            self._flush_soon()
        await self._send(Updated(idle=not self._exchanges))

    def _vanish(self, stream_id: int) -> None:
        """The client has let go of a stream: nobody waits for its answer any more."""
        exchange = self._exchanges.pop(stream_id)
        exchange.gone = True
        exchange.room.set()
        # In a task of its own, because the application may be slow to take even this.
        self._tasks.spawn(exchange.http.handle, StreamClosed(stream_id=stream_id))

    # --- the connection

    def _flush_soon(self) -> None:
        if not (self._flush_due or self._flushing or self._over):
            self._flush_due = True
            self._tasks.spawn(self._flush)

    async def _flush_all(self) -> None:
        """Send whatever may be sent, and return when that is done."""
        await self._flush()
        while self._flushing:
            await self._flushed.wait()

    async def _flush(self) -> None:
        """Send whatever may be sent, unless another task is at it, which then sends this too."""
        self._flush_due = False
        if self._flushing:
            return
        self._flushing = True
        try:
            data = b"-"
            while data and not self._over:
                if self._context.terminated.is_set():
                    self._leave()
                try:
                    data = self._http.data_to_send()
                except ngh2.NGH2Error:
                    return
                events = self._http.events()
                if data:
                    await self._send(RawData(data))
                for event in events:
                    await self._take(event)
                self._make_room()
        finally:
            self._flushing = False
            self._flushed.set()
            self._flushed = trio.Event()

    def _make_room(self) -> None:
        for stream_id, exchange in self._waiting.items():
            if self._http.queued_body_size(stream_id) <= exchange.unsent_bytes:
                exchange.room.set()

    def _leave(self) -> None:
        """Accept no stream that has not begun."""
        if not self._leaving and not self._over:
            self._leaving = True
            with contextlib.suppress(ngh2.NGH2Error):  # it is ending already
                self._http.send_goaway(ngh2.ErrorCode.NO_ERROR)

    async def _break_off(self, error: ngh2.NGH2Error) -> None:
        """End a connection that nghttp2 has given up, and which it has no more words for."""
        while self._flushing:
            await self._flushed.wait()
        if self._over:
            return
        self._over = True
        flood = isinstance(error, ngh2.DenialOfServiceError)
        code = ngh2.ErrorCode.ENHANCE_YOUR_CALM if flood else ngh2.ErrorCode.PROTOCOL_ERROR
        # GOAWAY (RFC 9113 section 6.8): 8 bytes, type 7, no flags, stream 0; nothing is said of the last stream.
        await self._send(RawData(struct.pack(">BHBBLLL", 0, 8, 7, 0, 0, 0x7FFFFFFF, code)))
        await self._send(Closed())

    def _reset(self, stream_id: int, code: ngh2.ErrorCode) -> None:
        with contextlib.suppress(ngh2.NGH2Error):  # it, or the connection, is closed already
            self._http.reset_stream(stream_id, code)
            self._ending.add(stream_id)

    def _count_request(self, head_bytes: int = 0) -> None:
        self._budget.credit_request(head_bytes)
        self._requests += 1
        if self._requests > self._config.keep_alive_max_requests:
            self._leave()

    def _cut_upload(self, stream_id: int, code: ngh2.ErrorCode) -> None:
        self._reset(stream_id, code)
        self._cut_uploads += 1
        if self._cut_uploads > _CUT_UPLOADS:
            self._leave()


def _headers(status: int, headers: Sequence[Header]) -> list[Header]:
    return [(b":status", b"%d" % status), *(header for header in headers if header[0] not in _OF_CONNECTIONS)]
