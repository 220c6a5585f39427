"""TLS over a socket with large buffers: one side of a connection, from the handshake to its end.

The TLS session works in memory, on what :class:`ssl.MemoryBIO` holds; the socket gets and gives a megabyte at a time
where so much is under way. Whatever waits here waits for the socket, so a slow reader holds up who sends to it. At
most one receive of the socket, and one write to it, is in memory.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

import trio

from holo.core.address import join_address
from holo.core.limits import HANDSHAKE_BYTES
from holo.net.link import LinkClosed

Result = TypeVar("Result")

_LEAST_BYTES: Final = 16 * 1024
_MOST_BYTES: Final = 1024 * 1024
_PLAIN_BYTES: Final = 64 * 1024  # asked of the session at a time: it gives a record, of at most 16 KiB

# What OpenSSL calls the alerts by which another end says why it will have no link (RFC 8446 section 6.2).
_ALERTS: Final = {
    "UNKNOWN_CA": ("peer-unpinned", "the other end does not pin this node"),
    "BAD_CERTIFICATE": ("leaf-invalid", "the other end does not take this node's leaf"),
    "CERTIFICATE_EXPIRED": ("leaf-invalid", "the other end finds this node's leaf expired"),
    "CERTIFICATE_UNKNOWN": ("leaf-invalid", "the other end does not take this node's leaf"),
}
_TIME_FAULTS: Final = {9: "not valid yet", 10: "expired"}  # X509_V_ERR_CERT_NOT_YET_VALID, _HAS_EXPIRED
_FOREIGN_FAULTS: Final = (2, 18, 19, 20, 21)  # no chain from the leaf to the one anchor


class TlsStream:
    """One end of a TLS connection over a non-blocking socket that is its own from now on.

    One task may send while another receives. Every method raises :class:`LinkClosed`. ``address`` is HOST:PORT of the
    other end.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server: bool) -> None:
        self.address = join_address(*sock.getpeername()[:2])
        self._socket = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server)
        self._sending = trio.Lock()
        self._room = _LEAST_BYTES
        self._received = 0
        self._end: LinkClosed | None = None
        self._deaf: LinkClosed | None = None

    @property
    def protocol(self) -> str | None:
        """What the two ends agreed to speak."""
        return self._tls.selected_alpn_protocol()

    @property
    def leaf(self) -> bytes | None:
        """The other end's certificate in DER; None where it showed none."""
        return self._tls.getpeercert(binary_form=True)

    async def handshake(self) -> None:
        """Agree on keys. Raises ``tls-failed``, ``peer-wrong-key``, ``leaf-invalid`` or ``closed``."""
        await trio.lowlevel.checkpoint()
        while True:
            with self._failing():
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    pass
            await self._flush()
            await self._fill()
            if self._received > HANDSHAKE_BYTES:
                raise self._ended(LinkClosed("tls-failed", "a handshake without end"))
        await self._flush()

    async def receive_some(self) -> bytes:
        """All that has come, at least a byte. Cancelling loses nothing. Raises ``closed`` at the end."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            data = self._records()
            if data:
                return data
            if self._outgoing.pending:  # new keys were asked for
                async with self._sending:
                    await self._flush()
            await self._fill()

    def _records(self) -> bytes:
        """What the session can give without the socket: the records that came with the last look at it."""
        parts: list[bytes] = []
        with self._failing():
            try:
                while data := self._tls.read(_PLAIN_BYTES):
                    parts.append(data)
            except ssl.SSLWantReadError:
                return b"".join(parts)
            except ssl.SSLError:
                if not parts:
                    raise
            if not parts:
                raise self._ended(LinkClosed("closed", "the other end closed the link"))
        return b"".join(parts)  # how it ended is told by the next look

    async def send_all(self, *parts: bytes) -> None:
        """Send all of ``parts`` with nothing between. Cut short by cancelling, it ends the connection."""
        async with self._sending:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    with self._failing():
                        rest = rest[self._tls.write(rest[:_MOST_BYTES]) :]
                    await self._flush()

    def close(self, why: LinkClosed | None = None) -> None:
        """End the connection now; whoever waits for it gets ``why``. What was sent arrives where it can."""
        if self._socket.fileno() == -1:
            return
        self._end = self._end or why or LinkClosed("closed", "this end was closed")
        trio.lowlevel.notify_closing(self._socket)
        if not self._sending.locked():  # else half a record is on its way
            with contextlib.suppress(ssl.SSLError, ValueError):
                self._tls.unwrap()
            with contextlib.suppress(OSError):
                self._socket.send(self._outgoing.read())
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            # What is left unread would have the system reset the connection, and what was sent might be lost.
            for _ in range(_MOST_BYTES // _LEAST_BYTES):
                if not self._socket.recv(_LEAST_BYTES):
                    break
        self._socket.close()

    async def _fill(self) -> None:
        """Have the session get at what the socket gives next."""
        try:
            data = await self._on_socket(lambda: self._socket.recv(self._room), trio.lowlevel.wait_readable)
        except OSError as error:
            raise self._ended(LinkClosed("closed", f"the connection broke: {error.strerror}")) from None
        self._received += len(data)
        self._room = min(_MOST_BYTES, 2 * self._room) if len(data) == self._room else max(_LEAST_BYTES, self._room // 2)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        """Put what the session wrote on the socket. The caller holds the lock, or is alone."""
        rest = memoryview(self._outgoing.read())
        if self._deaf is not None:
            raise self._deaf
        try:
            while rest:
                sent = await self._on_socket(lambda: self._socket.send(rest), trio.lowlevel.wait_writable)  # noqa: B023
                rest = rest[sent:]
        except OSError as error:
            # It hears no more, and what it said before may still have to be read: why it left, above all.
            self._deaf = LinkClosed("closed", f"the connection broke: {error.strerror}")
            raise self._deaf from None
        except trio.Cancelled:
            self.close(LinkClosed("closed", "a send was given up half-way"))
            raise

    async def _on_socket(self, call: Callable[[], Result], wait: Callable[[socket.socket], Awaitable[None]]) -> Result:
        while True:
            if self._end is not None:
                raise self._end
            try:
                return call()
            except BlockingIOError:
                pass
            try:
                await wait(self._socket)
            except trio.ClosedResourceError:
                assert self._end is not None
                raise self._end from None

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """What the session says of the other end, in the words of links."""
        if self._end is not None:
            raise self._end
        try:
            yield
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLCertVerificationError as error:
            raise self._ended(_of_certificate(error)) from None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise self._ended(LinkClosed("closed", "the other end closed the connection")) from None
        except ssl.SSLError as error:
            raise self._ended(_of_tls(error)) from None

    def _ended(self, why: LinkClosed) -> LinkClosed:
        """``why``, or what ended the connection before; it is closed, after what is left to say, such as an alert."""
        self.close(why)
        return self._end or why


def _of_certificate(error: ssl.SSLCertVerificationError) -> LinkClosed:
    if error.verify_code in _TIME_FAULTS:
        return LinkClosed("leaf-invalid", f"the other end's leaf is {_TIME_FAULTS[error.verify_code]} by this clock")
    if error.verify_code in _FOREIGN_FAULTS:
        return LinkClosed("peer-wrong-key", "the other end's leaf is of another node")
    return LinkClosed("leaf-invalid", f"the other end's leaf: {error.verify_message}")


def _of_tls(error: ssl.SSLError) -> LinkClosed:
    reason = error.reason or str(error)
    for alert, (code, detail) in _ALERTS.items():
        if reason.endswith("ALERT_" + alert):
            return LinkClosed(code, detail)
    return LinkClosed("tls-failed", reason.lower().replace("_", " "))
