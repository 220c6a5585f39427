"""One client's connection while it asks for more than hot reads: bytes in and out, deadlines, no answer lost.

hypercorn's own TCPServer lets a client that vanishes in mid-answer take the whole server down (two tasks write to one
TLS stream, and what that raises reaches the nursery of all connections). This one has one reader, one writer at a time,
one place that closes, and no fault leaves it. An HTTP/1.1 connection that is between requests goes back to the poller
it came from (:mod:`holo.http.poller`).

Deadlines: a head is sent within the header timeout, counted from accepting the connection or from the first byte of a
later head; a connection without a request lasts for the idle timeout; a client that takes no bytes for the idle timeout
is cut. How long a body may take is the application's to say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import Any, Final, cast

import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope
from hypercorn.typing import WorkerContext as WorkerContextShape

from holo.core import limits
from holo.http.hot_stream import HotStreams
from holo.http.http1 import Http1
from holo.http.http2 import Http2
from holo.http.protocols import Protocols
from holo.http.stream import Stream
from holo.http.whole_post import WholePosts

_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)

_log = structlog.get_logger("holo.http")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds a client has: to send a head, and to be silent between requests or while it is written to."""

    header_s: float
    idle_s: float


class Connection:
    """Serves one connection until it ends, or until it is between requests of HTTP/1.1.

    ``idle_since`` is the trio time since which no request is under way; while there is none and the connection was not
    told to end, it is in ``waiting``, behind those that have waited longer.
    """

    def __init__(
        self,
        stream: Stream,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        timeouts: Timeouts,
        hot: HotStreams | None,
        posts: WholePosts | None,
        waiting: dict[Connection, None],
    ) -> None:
        self.stream = stream
        self._app = app
        self._config = config
        self._context = context
        self._timeouts = timeouts
        self._hot = hot
        self._posts = posts
        self._send_lock = trio.Lock()
        self._sending: trio.CancelScope | None = None
        self._reading = trio.CancelScope()
        self._read_deadline = inf
        self._head_begun = True
        self._lingering = False
        self._dead = False
        self._between = False
        self._protocols: Protocols
        self.idle_since: float | None = None
        self._waiting = waiting
        self._leaving = False
        self._busy_since = inf

    @property
    def uploading_since(self) -> float:
        """Since when, in trio's time, its requests are under way if none of them has come whole; else infinity."""
        busy = self.idle_since is None and self._busy_since < inf and not self._lingering
        return self._busy_since if busy and self._protocols.current.uploading else inf

    async def run(self, data: bytes, head_deadline: float) -> bool:
        """Serve, with ``data`` already read; its head has to be there at ``head_deadline``, a trio time.

        Returns whether the connection is between requests and can go on; else it is closed. Whatever goes wrong ends
        here.
        """
        goes_on = False
        try:
            data, answered = await self._answer_whole(data)
            if answered:
                goes_on = not self._dead
                return goes_on
            self.idle_since = trio.current_time()
            self._set_read_deadline(-inf if self._leaving else head_deadline)
            async with trio.open_nursery() as nursery:
                await self._begin(_Tasks(nursery))
                if data:
                    await self._take(data)
                if self.idle_since is not None:  # else it has brought a request
                    self._waiting[self] = None
                goes_on = await self._read()
                if not goes_on:
                    # The client is gone, or has its answers: what still runs for it runs for nobody.
                    nursery.cancel_scope.cancel()
            return goes_on
        except (OSError, *_GONE):
            pass  # a client that leaves is no news
        except Exception:
            _log.warning("connection failed", exc_info=True)
        finally:
            self._waiting.pop(self, None)
            if not goes_on:
                self.stream.close()
        return False

    async def _answer_whole(self, data: bytes) -> tuple[bytes, bool]:
        """Answer ``data`` if it is a post that has come whole; what has come, and whether it was answered."""
        post = None if self._posts is None or self.stream.alpn == "h2" else self._posts.read(data)
        if post is not None and 0 < post.lacking_bytes <= limits.WHOLE_POST_BYTES:
            data += self.stream.receive_now(post.lacking_bytes)
            post = self._posts.read(data) if self._posts else None
        if post is None or post.lacking_bytes or self._posts is None:
            return data, False
        answer = await self._posts.answer(post, self.stream.client[0] if self.stream.client else "")
        if answer is None:
            return data, False
        await self._write(answer)
        return data, True

    def stop(self) -> None:
        """End as soon as no request is under way: now, or after the answer (the context is marked as terminated)."""
        self._leaving = True
        self._waiting.pop(self, None)
        if self.idle_since is not None:
            self._set_read_deadline(-inf)

    def kill(self) -> None:
        """End now, whatever is under way."""
        self._dead = True
        if self._sending is not None:
            self._sending.cancel()
        self.stream.close()

    async def _begin(self, tasks: _Tasks) -> None:
        self._protocols = Protocols(
            self._app,
            self._config,
            cast(WorkerContextShape, self._context),
            tasks,
            tls=self.stream.tls,
            client=self.stream.client,
            server=self.stream.server,
            send=self._on_event,
            alpn=self.stream.alpn,
            hot=self._hot,
        )
        await self._protocols.initiate()

    async def _read(self) -> bool:
        """Hand what arrives to the protocol until the client ends, a deadline passes or the answer was the last.

        Returns whether the connection ended up between requests instead.
        """
        while not self._between:
            data = b""
            self._reading = trio.CancelScope(deadline=self._read_deadline)
            with self._reading, contextlib.suppress(*_GONE):
                data = await self.stream.receive_some(limits.CONNECTION_READ_BYTES)
            if self._reading.cancelled_caught:
                break
            if not self._lingering:
                await self._take(data)
            if not data:
                break
        if self._between:
            return True
        if self._reading.cancelled_caught and isinstance(self._protocols.current, Http2):
            await self._protocols.current.goodbye()
        await self._protocols.handle(Closed())
        return False

    async def _take(self, data: bytes) -> None:
        self._between = False
        await self._protocols.handle(RawData(data))
        waiting = self.idle_since is not None and not self._between
        if waiting and not self._head_begun and isinstance(self._protocols.current, Http1):
            self._head_begun = True
            self._set_read_deadline(min(self._read_deadline, trio.current_time() + self._timeouts.header_s))

    async def _on_event(self, event: Event) -> None:
        """What the protocol wants done."""
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Updated):
            self._set_idle(event.idle)
        elif isinstance(event, Closed):
            await self._finish()

    async def _write(self, data: bytes) -> None:
        if not data:
            return
        try:
            self._send_lock.acquire_nowait()
        except trio.WouldBlock:
            await self._send_lock.acquire()
        try:
            if not self._dead:
                await self._send(data)
        finally:
            self._send_lock.release()
        if self._dead:
            self.stream.close()  # wakes the reader, which ends the rest

    async def _send(self, data: bytes) -> None:
        try:
            rest = self.stream.send_now(data)
            if rest:
                # Shielded, because half a frame would garble whatever another task sends next.
                with trio.CancelScope(shield=True) as self._sending:
                    self._sending.deadline = trio.current_time() + self._timeouts.idle_s
                    await self.stream.send_all(rest)
                self._dead = self._dead or self._sending.cancelled_caught
        except _GONE:
            self._dead = True

    async def _finish(self) -> None:
        """The protocol has said its last: let the answer arrive, then let the reader close."""
        if self._lingering:
            return
        self._lingering = True
        current = self._protocols.current
        uploading = isinstance(current, Http1) and current.reading_body
        lingers = uploading or not self.stream.tls
        self._set_read_deadline(trio.current_time() + limits.LINGER_S if lingers else -inf)
        # This may run in the application's task, which ends once it is told: the end must not be cut short by that.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + limits.LINGER_S):
            await self._protocols.handle(Closed())
            async with self._send_lock:
                with contextlib.suppress(OSError, *_GONE):
                    self.stream.send_eof()

    def _set_idle(self, idle: bool) -> None:
        if self._lingering:
            return  # the deadline of the end stands, whatever the protocol still has to say
        if not idle:
            if self.idle_since is not None:
                self._busy_since = trio.current_time()
            self.idle_since = None
            self._waiting.pop(self, None)
            self._set_read_deadline(inf)
        elif self.idle_since is None:
            self.idle_since = trio.current_time()
            self._waiting[self] = None
            self._head_begun = False
            stopping = self._context.terminated.is_set()
            self._set_read_deadline(-inf if stopping else self.idle_since + self._timeouts.idle_s)
            goes_on = not (stopping or self._dead)
            if goes_on and isinstance(self._protocols.current, Http1) and self._protocols.current.drained:
                self._between = True
                self._reading.cancel()

    def _set_read_deadline(self, deadline: float) -> None:
        self._read_deadline = deadline
        self._reading.deadline = deadline


class _Tasks:
    """hypercorn's TaskGroup, whose tasks do not outlive their connection and whose queues do not outlive the task."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def spawn(self, func: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Run ``func`` beside the connection."""
        self._nursery.start_soon(func, *args)

    async def spawn_app(
        self, app: AppWrapper, config: Config, scope: Scope, send: Callable[[ASGISendEvent | None], Awaitable[None]]
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Run the application for one request. Returns where its input goes."""
        into, out = trio.open_memory_channel[ASGIReceiveEvent](config.max_app_queue_size)

        async def run() -> None:
            try:
                await app(scope, out.receive, send, trio.to_thread.run_sync, trio.from_thread.run)
            except Exception:
                _log.error("fault", where=scope["type"], exc_info=True)
            finally:
                # Without this a client that goes on sending to a finished application blocks the reader for ever.
                out.close()
                await send(None)

        async def put(event: ASGIReceiveEvent) -> None:
            with contextlib.suppress(trio.BrokenResourceError):  # answered without reading to the end
                await into.send(event)

        self._nursery.start_soon(run)
        return put

    async def __aenter__(self) -> _Tasks:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass
