"""The listener: sockets, TLS, how many connections, and a stop that lets answers finish.

Connections begin at the poller (:mod:`holo.http.poller`), which answers hot reads. For anything else they are handed to
a task of their own (:mod:`holo.http.connection`) over hypercorn's protocol code, and back. Cancelling
:meth:`Server.run` is the graceful stop: nothing more is accepted, idle connections end at once, the others after their
answer or when the grace is over.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
from pathlib import Path
from typing import Any, Protocol

import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.utils import wrap_app

from holo.core import limits
from holo.core.errors import Rejected
from holo.http.connection import Connection, Timeouts
from holo.http.hosts import Hosts
from holo.http.hot_answer import HotAnswers
from holo.http.hot_stream import HotStreams
from holo.http.poller import Poller
from holo.http.request_head import Heads
from holo.http.stream import Stream
from holo.http.whole_post import WholePosts
from holo.profile import Http, check_listen


class Application(Protocol):
    """An ASGI application that is told when a stop begins, so that long answers (event streams) end."""

    stopping: trio.Event

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""


_log = structlog.get_logger("holo.http")


class Server:
    """Listens as a profile says and serves one ASGI application. Make it with :func:`open_server`."""

    def __init__(
        self,
        app: Application,
        http: Http,
        listeners: list[socket.socket],
        tls: ssl.SSLContext | None,
        grace_s: float,
        answers: HotAnswers | None,
        posts: WholePosts | None,
    ) -> None:
        self._app = wrap_app(app, 0, "asgi")
        self._listeners = listeners
        self._tls = tls
        self._max_connections = _room_for(http.max_connections)
        self._timeouts = Timeouts(http.header_timeout_ms / 1000, http.idle_timeout_ms / 1000)
        self._grace_s = grace_s
        self._posts = posts
        self._config = _config()
        self._context = WorkerContext(None)
        self._connections: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}
        self._uploads_seen_at = 0.0
        self._stopping = app.stopping
        self._quiet = trio.Event()
        heads = Heads(Hosts(http.address[0], http.hosts).check)
        self._hot = None if answers is None else HotStreams(answers, heads)
        self._poller = Poller(
            listeners, tls, self._timeouts, heads, answers, self._hand_over, self._admits, self._make_room, self._busy
        )
        self._nursery: trio.Nursery

    @property
    def url(self) -> str:
        """The URL of the first address listened on, with its actual port."""
        host, port = self._listeners[0].getsockname()[:2]
        return f"{'https' if self._tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections) + len(self._poller)

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, then stop gracefully. ``task_status`` gives :attr:`url` once connections are taken."""
        url = self.url
        async with trio.open_nursery() as nursery:
            await nursery.start(self._serve)
            task_status.started(url)
            try:
                await trio.sleep_forever()
            finally:
                self._stopping.set()

    async def _serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as polling, trio.open_nursery() as self._nursery:
                await polling.start(self._poller.run)
                task_status.started()
                await self._stopping.wait()
                await self._drain()
                self._nursery.cancel_scope.cancel()
                polling.cancel_scope.cancel()

    async def _drain(self) -> None:
        await self._context.terminated.set()
        self._poller.stop()
        for connection in list(self._connections):
            connection.stop()
        with trio.move_on_after(self._grace_s):
            while self._connections:
                self._quiet = trio.Event()
                await self._quiet.wait()
            await self._poller.emptied()
        for connection in list(self._connections):
            connection.kill()
        self._poller.close()

    def _busy(self) -> bool:
        return len(self._connections) > len(self._waiting)

    def _admits(self) -> bool:
        return self.connections < self._max_connections or self._make_room()

    def _make_room(self) -> bool:
        """Have a connection end that asks for nothing: the one idle longest, else the one longest in sending a head.

        Where there is none, those end that have been sending a body for too long. So clients that are silent or slow
        keep nobody out. One that waits for its answer stays.
        """
        if self._poller.drop_idle():
            return True
        oldest = next(iter(self._waiting), None)
        if oldest is not None and oldest.idle_since is not None and oldest.idle_since < self._poller.begun_since:
            oldest.stop()
            return True
        if self._poller.drop_begun() or self._cut_uploads():
            return True
        _log.warning("connection refused", open=self.connections)
        return False

    def _cut_uploads(self) -> bool:
        """End those longest in sending bodies, of the ones that take longer than a head may; False where none does.

        Every connection is looked at, so not more often than the poller looks for who is late.
        """
        now = trio.current_time()
        if now < self._uploads_seen_at + limits.TICK_S:
            return False
        self._uploads_seen_at = now
        late = [item for item in self._connections if item.uploading_since + self._timeouts.header_s < now]
        late.sort(key=lambda item: item.uploading_since)
        for connection in late[: limits.ACCEPTS_AT_ONCE]:
            connection.kill()
        return bool(late)

    def _hand_over(self, stream: Stream, data: bytes, head_deadline: float) -> None:
        connection = Connection(
            stream, self._app, self._config, self._context, self._timeouts, self._hot, self._posts, self._waiting
        )
        self._connections.add(connection)  # at once, for whoever counts them before its task runs
        self._nursery.start_soon(self._converse, connection, data, head_deadline)

    async def _converse(self, connection: Connection, data: bytes, head_deadline: float) -> None:
        """Serve a connection that asks for more than hot reads."""
        goes_on = False
        try:
            goes_on = await connection.run(data, head_deadline)
        finally:
            self._connections.discard(connection)
            if goes_on and not self._stopping.is_set():
                self._poller.take(connection.stream)
            else:
                connection.stream.close()
            if not self._connections:
                self._quiet.set()


async def open_server(
    app: Application,
    http: Http,
    *,
    grace_s: float,
    answers: HotAnswers | None = None,
    posts: WholePosts | None = None,
) -> Server:
    """Bind what the profile's ``[http]`` names; ``answers`` and ``posts``, where given, go past the application.

    Raises ``unsafe-listen``, ``listen-failed`` or ``profile-invalid``."""
    check_listen(http)
    tls = open_tls(http.tls_cert, http.tls_key) if http.tls else None
    return Server(app, http, await _listeners(*http.address), tls, grace_s, answers, posts)


def _room_for(connections: int) -> int:
    """How many of ``connections`` this process may have: as many descriptors are asked for as that takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + limits.SPARE_DESCRIPTORS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        _log.warning("fewer connections than the profile allows", max_connections=soft - limits.SPARE_DESCRIPTORS)
    return min(connections, max(1, soft - limits.SPARE_DESCRIPTORS))


def open_tls(cert: str, key: str) -> ssl.SSLContext:
    """The server's TLS: 1.2 with forward secrecy or 1.3, h2 or HTTP/1.1 by ALPN (RFC 9113 section 9.2)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["h2", "http/1.1"])
    for setting, file in (("http.tls_cert", cert), ("http.tls_key", key)):
        try:
            Path(file).open("rb").close()  # what is said below names neither of the two
        except OSError as error:
            raise Rejected("profile-invalid", f"{setting}: {file}: {error.strerror}", subject=file) from None
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:
        raise Rejected("profile-invalid", f"http.tls_cert, http.tls_key: {error}") from None
    return context


async def _listeners(host: str, port: int) -> list[socket.socket]:
    try:
        found = await _bind(host, port)
        if port == 0 and len(found) > 1:  # a name with several addresses: all of them on the port the first one got
            actual = found[0].getsockname()[1]
            for listener in found:
                listener.close()
            found = await _bind(host, actual)
    except OSError as error:
        raise Rejected("listen-failed", f"{host}:{port}: {error.strerror or error}") from None
    return found


async def _bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets that do not block, made by trio, which knows every platform's ways."""
    opened = await trio.open_tcp_listeners(port, host=host, backlog=limits.LISTEN_BACKLOG)
    found = [socket.socket(fileno=item.socket.detach()) for item in opened]
    for listener in found:
        listener.setblocking(False)
    return found


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.REQUEST_HEAD_BYTES
    config.h2_max_header_list_size = limits.REQUEST_HEAD_BYTES
    config.h2_max_concurrent_streams = limits.STREAMS_PER_CONNECTION
    config.keep_alive_max_requests = limits.REQUESTS_PER_CONNECTION
    return config
