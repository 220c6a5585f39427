"""Dialling a node: from its address to a connection with the node that was meant, step by step (spec 8.4).

Each step that was made is told, so that a command can say how far it got.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Final

import trio

from holo.core.address import split_address
from holo.core.errors import CODES, Rejected
from holo.core.keys import Kid, did_of
from holo.core.limits import HANDSHAKE_S
from holo.core.pairing import ANSWER_FRAME_BYTES, Answer, parse_answer
from holo.net.certificate import open_leaf
from holo.net.identity import Identity
from holo.net.link import LinkClosed
from holo.net.stream import TlsStream
from holo.net.tls_link import Frames

STEPS: Final = ("resolves", "connects", "tls", "alpn", "leaf", "key", "welcome")
"""What has to go well, in order: name, connection, handshake, protocol, leaf, key, and the other end's welcome."""

Told = Callable[[str], None]


def _nobody(step: str) -> None:
    """Told of every step, and keeps it to itself."""


async def dial(
    identity: Identity, peer: Kid, address: str, protocol: str, *, told: Told = _nobody, within_s: float = HANDSHAKE_S
) -> TlsStream:
    """A connection with ``peer``, up to and without its welcome.

    Raises :class:`LinkClosed`: ``unreachable``, ``timeout``, ``tls-failed``, ``leaf-invalid``, ``peer-wrong-key``.
    """
    with _within(within_s, address):
        context = identity.client_context(peer, protocol)
        sock = await _connect(address, told)
        try:
            stream = TlsStream(sock, context, server=False)
        except OSError as error:
            sock.close()
            raise LinkClosed("unreachable", f"{address}: {error}") from None
        with _closing(stream):
            try:
                await stream.handshake()
            except LinkClosed as closed:
                if closed.code in ("leaf-invalid", "peer-wrong-key"):
                    for step in ("tls", "alpn") if closed.code == "leaf-invalid" else ("tls", "alpn", "leaf"):
                        told(step)
                raise
            told("tls")
            if stream.protocol != protocol:
                raise LinkClosed("tls-failed", f"{address} does not speak {protocol}")
            told("alpn")
            found = checked_leaf(stream, identity)
            told("leaf")
            if found != peer:
                raise LinkClosed("peer-wrong-key", f"{did_of(found or peer)} answers at {address}")
            told("key")
            return stream


async def welcomed(frames: Frames, *, told: Told = _nobody, within_s: float = HANDSHAKE_S) -> None:
    """Wait for the other end to take the link. Raises :class:`LinkClosed` with the code of its refusal."""
    with _within(within_s, "the other end"), _closing(frames.stream):
        try:
            answer = parse_answer(await frames.receive(ANSWER_FRAME_BYTES))
        except Rejected as error:
            raise LinkClosed("tls-failed", f"no answer of a node: {error.detail}") from None
        raise_refusal(answer)
        told("welcome")


def raise_refusal(answer: Answer) -> None:
    """Raises :class:`LinkClosed` unless the answer is a welcome."""
    if answer.code is not None:
        known = answer.code in CODES
        raise LinkClosed(answer.code if known else "closed", f"the other end says: {answer.detail or answer.code}")


def checked_leaf(stream: TlsStream, identity: Identity) -> Kid | None:
    """The node whose leaf the other end has shown, None where it showed none. Raises ``leaf-invalid``.

    This is what links rest on: the leaf names one node, and that very node's key has signed it.
    """
    if stream.leaf is None:
        return None
    try:
        return open_leaf(stream.leaf, identity.now_ms())
    except Rejected as error:
        raise LinkClosed(error.code, error.detail) from None


async def _connect(address: str, told: Told) -> socket.socket:
    try:
        host, port = split_address(address)
    except Rejected as error:
        raise LinkClosed(error.code, error.detail) from None
    try:
        await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise LinkClosed("unreachable", f"{host} does not resolve: {error}") from None
    told("resolves")
    try:
        stream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        raise LinkClosed("unreachable", f"{address}: {error}") from None
    told("connects")
    return own_socket(stream)


def own_socket(stream: trio.SocketStream) -> socket.socket:
    """The socket of a stream, taken over; the system tells of a peer that is gone without a word."""
    sock = socket.socket(fileno=stream.socket.detach())
    sock.setblocking(False)
    with contextlib.suppress(OSError):  # as some systems say of a connection that is gone already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPALIVE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return sock


@contextlib.contextmanager
def _within(within_s: float, whom: str) -> Iterator[None]:
    with trio.move_on_after(within_s) as scope:
        yield
    if scope.cancelled_caught:
        raise LinkClosed("timeout", f"{whom} took longer than {within_s:g} s")


@contextlib.contextmanager
def _closing(stream: TlsStream) -> Iterator[None]:
    """Close the stream where the block does not end well."""
    try:
        yield
    except BaseException as error:
        stream.close(error if isinstance(error, LinkClosed) else None)
        raise
