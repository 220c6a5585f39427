"""The listener: sockets, TLS, how many connections, and a stop that lets answers finish.

Everything runs on hypercorn's protocol code (:mod:`holo.http.protocols`) over our own connections
(:mod:`holo.http.connection`). Cancelling :meth:`Server.run` is the graceful stop: nothing more is accepted, idle
connections end at once, the others after their answer or when the grace is over.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any, Final, Protocol

import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.utils import wrap_app

from holo.core.errors import Rejected
from holo.http.connection import Connection, Timeouts
from holo.profile import Http, check_listen

_BACKLOG: Final = 1024
_HEAD_BYTES: Final = 16 * 1024
_STREAMS_PER_CONNECTION: Final = 100
_REQUESTS_PER_CONNECTION: Final = 1_000_000


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
        listeners: list[trio.SocketListener],
        tls: ssl.SSLContext | None,
        grace_s: float,
    ) -> None:
        self._app = wrap_app(app, 0, "asgi")
        self._listeners = listeners
        self._tls = tls
        self._max_connections = http.max_connections
        self._timeouts = Timeouts(http.header_timeout_ms / 1000, http.idle_timeout_ms / 1000)
        self._grace_s = grace_s
        self._config = _config()
        self._context = WorkerContext(None)
        self._connections: set[Connection] = set()
        self._stopping = app.stopping
        self._quiet = trio.Event()

    @property
    def url(self) -> str:
        """The URL of the first address listened on, with its actual port."""
        host, port = self._listeners[0].socket.getsockname()[:2]
        return f"{'https' if self._tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, then stop gracefully. ``task_status`` gives :attr:`url` once connections are taken."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._serve)
            task_status.started(self.url)
            try:
                await trio.sleep_forever()
            finally:
                self._stopping.set()

    async def _serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as accepting:
                    await accepting.start(
                        partial(trio.serve_listeners, self._accept, self._listeners, handler_nursery=connections)
                    )
                    task_status.started()
                    await self._stopping.wait()
                    accepting.cancel_scope.cancel()
                await self._drain()
                connections.cancel_scope.cancel()

    async def _drain(self) -> None:
        await self._context.terminated.set()
        for connection in list(self._connections):
            connection.stop()
        with trio.move_on_after(self._grace_s):
            while self._connections:
                self._quiet = trio.Event()
                await self._quiet.wait()
        for connection in list(self._connections):
            await connection.kill()

    async def _accept(self, socket: trio.SocketStream) -> None:
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] = socket
        if len(self._connections) >= self._max_connections and not self._make_room():
            await trio.aclose_forcefully(socket)
            return
        if self._tls is not None:
            stream = trio.SSLStream(socket, self._tls, server_side=True, https_compatible=True)
        connection = Connection(stream, self._app, self._config, self._context, self._timeouts)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            if not self._connections:
                self._quiet.set()

    def _make_room(self) -> bool:
        """Have the connection that has been idle longest end, so that silent clients do not keep out busy ones."""
        idle = [item for item in self._connections if item.idle_since is not None and not item.leaving]
        if not idle:
            _log.warning("connection refused", open=len(self._connections))
            return False
        min(idle, key=lambda item: item.idle_since or 0.0).stop()
        return True


async def open_server(app: Application, http: Http, *, grace_s: float) -> Server:
    """Bind what the profile's ``[http]`` names. Raises ``unsafe-listen``, ``listen-failed`` or ``profile-invalid``."""
    check_listen(http)
    tls = open_tls(http.tls_cert, http.tls_key) if http.tls else None
    return Server(app, http, await _listeners(*http.address), tls, grace_s)


def open_tls(cert: str, key: str) -> ssl.SSLContext:
    """The server's TLS: 1.2 with forward secrecy or 1.3, h2 or HTTP/1.1 by ALPN (RFC 9113 section 9.2)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:
        raise Rejected("profile-invalid", f"http.tls_cert, http.tls_key: {error}") from None
    return context


async def _listeners(host: str, port: int) -> list[trio.SocketListener]:
    try:
        found = await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)
        if port == 0 and len(found) > 1:  # a name with several addresses: all of them on the port the first one got
            for other in found[1:]:
                await other.aclose()
            actual = found[0].socket.getsockname()[1]
            await found[0].aclose()
            found = await trio.open_tcp_listeners(actual, host=host, backlog=_BACKLOG)
    except OSError as error:
        raise Rejected("listen-failed", f"{host}:{port}: {error.strerror or error}") from None
    return found


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = _HEAD_BYTES
    config.h2_max_header_list_size = _HEAD_BYTES
    config.h2_max_concurrent_streams = _STREAMS_PER_CONNECTION
    config.keep_alive_max_requests = _REQUESTS_PER_CONNECTION
    return config
