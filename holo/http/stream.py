"""A connected socket, plain or TLS, as the tasks of one connection use it.

The socket does not block. trio's own SSLStream cannot take over a TLS session that somebody else has begun, and the
poller begins every one of them; a socket that the ssl module wraps can be passed around.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass

import trio

Socket = socket.socket | ssl.SSLSocket

_WAIT = (BlockingIOError, ssl.SSLWantReadError)


@dataclass(slots=True, eq=False)
class Stream:
    """A connection: its socket, and the addresses of the two ends as (host, port), None where they have none."""

    socket: Socket
    client: tuple[str, int] | None
    server: tuple[str, int] | None

    @property
    def tls(self) -> bool:
        """Whether what is sent is encrypted."""
        return isinstance(self.socket, ssl.SSLSocket)

    @property
    def alpn(self) -> str:
        """The protocol that the two ends agreed on: ``h2`` or ``http/1.1``."""
        chosen = self.socket.selected_alpn_protocol() if isinstance(self.socket, ssl.SSLSocket) else None
        return chosen or "http/1.1"

    async def receive_some(self, max_bytes: int) -> bytes:
        """What has come, at least a byte; nothing once the other end has said its last. Cancelling loses nothing.

        Raises :class:`trio.BrokenResourceError` where the connection is broken.
        """
        await trio.lowlevel.checkpoint()
        while True:
            try:
                return self.socket.recv(max_bytes)
            except _WAIT:
                await self._readable()
            except ssl.SSLWantWriteError:
                await self._writable()
            except (OSError, ValueError) as error:
                raise trio.BrokenResourceError(str(error)) from error

    def receive_now(self, most_bytes: int) -> bytes:
        """What has come, up to so much of it; perhaps nothing. That the connection ended or broke shows later."""
        parts = []
        with contextlib.suppress(OSError, ValueError):  # there is no more of it yet, or there never will be
            while most_bytes and (part := self.socket.recv(most_bytes)):
                parts.append(part)
                most_bytes -= len(part)
        return b"".join(parts)

    def send_now(self, data: bytes) -> bytes:
        """Send what the socket takes at once; returns the rest."""
        try:
            return data[self.socket.send(data) :]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return data
        except (OSError, ValueError) as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def send_all(self, data: bytes) -> None:
        """Send ``data``. Cut short by cancelling, a part of it has been sent."""
        await trio.lowlevel.checkpoint()
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                await self._writable()
            except ssl.SSLWantReadError:
                await self._readable()
            except (OSError, ValueError) as error:
                raise trio.BrokenResourceError(str(error)) from error

    def send_eof(self) -> None:
        """Say that nothing more is sent, where the transport can say it and go on receiving."""
        if not self.tls:
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let the connection go. Whoever waits for it gets :class:`trio.ClosedResourceError`."""
        if self.socket.fileno() == -1:
            return
        trio.lowlevel.notify_closing(self.socket)
        if isinstance(self.socket, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self.socket.unwrap()  # close_notify, as far as it gets: without it an end is an attack
        self.socket.close()

    async def _readable(self) -> None:
        await trio.lowlevel.wait_readable(self.socket)

    async def _writable(self) -> None:
        await trio.lowlevel.wait_writable(self.socket)
