"""Accepting connections: listening sockets watched by a selector, and what comes on them as streams.

A connection stays acceptable while it waits, so where the system has no room for it, accepting again at once would
spin: then it pauses, until whoever owns this resumes it.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any, Final

import structlog

from holo.core import limits
from holo.http.stream import Socket, Stream

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = structlog.get_logger("holo.http")


class Acceptor:
    """Owns the listening sockets. They are watched by ``selector``, with themselves as the data of their keys."""

    def __init__(
        self,
        listeners: list[socket.socket],
        tls: ssl.SSLContext | None,
        selector: selectors.BaseSelector,
        admits: Callable[[], bool],
        make_room: Callable[[], bool],
    ) -> None:
        """``admits`` says, for each new connection, whether there is room for it; ``make_room`` has another one end."""
        self._listeners = listeners
        self._tls = tls
        self._selector = selector
        self._admits = admits
        self._make_room = make_room
        self._watching = False

    @property
    def stopped(self) -> bool:
        """Whether nothing is accepted any more."""
        return not self._listeners

    def listen(self) -> None:
        """Begin to accept, again where it had paused."""
        if not self._watching:
            self._watching = True
            for listener in self._listeners:
                self._selector.register(listener, selectors.EVENT_READ, listener)

    def accept(self, listener: socket.socket) -> Iterator[Stream]:
        """Some of the connections that wait, each a stream of the socket, or of TLS whose handshake is to be made."""
        for _ in range(limits.ACCEPTS_AT_ONCE):
            try:
                accepted, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    _log.warning("accepting paused", why=error.strerror)
                    self._ignore()
                    self._make_room()
                    return
                continue  # the client left while it waited
            if not self._admits():
                accepted.close()
                continue
            accepted.setblocking(False)
            stream = self._begin(accepted, address)
            if stream is not None:
                yield stream

    def stop(self) -> None:
        """Accept nothing more."""
        self._ignore()
        for listener in self._listeners:
            listener.close()
        self._listeners = []

    def _begin(self, accepted: socket.socket, address: Any) -> Stream | None:
        wrapped: Socket = accepted
        try:
            if accepted.family in (socket.AF_INET, socket.AF_INET6):
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = _address(accepted.getsockname())
            if self._tls is not None:
                wrapped = self._tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        except (OSError, ValueError):  # gone already
            accepted.close()
            return None
        return Stream(wrapped, _address(address), server)

    def _ignore(self) -> None:
        self._watching = False
        for listener in self._listeners:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(listener)


def _address(name: Any) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
