"""Nodes that link: each with a home of its own, real sockets on loopback and real TLS."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from holo.core.address import split_address
from holo.core.keys import Kid, SigningKey
from holo.net.identity import CONTROL, Identity
from holo.net.link import Link, LinkClosed
from holo.net.network import TlsNetwork
from holo.net.pins import Pins
from holo.store.home import Home
from holo.store.peers_file import PeersFile

LONG_S = 60.0  # no test waits for it; it ends those that hang


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Peer:
    """A node, as far as links go."""

    key: SigningKey
    file: PeersFile
    pins: Pins
    network: TlsNetwork

    @property
    def kid(self) -> Kid:
        return self.key.kid

    @property
    def address(self) -> str:
        return self.network.addresses[0]

    @property
    def identity(self) -> Identity:
        return Identity(self.key, wall_ms)

    def pin(self, *others: Peer) -> None:
        for other in others:
            self.pins.add(other.kid, other.network.addresses)


MADE: list[Peer] = []


def make_peer(folder: Path, number: int, *, clock_ms: Callable[[], int] = wall_ms, **settings: Any) -> Peer:
    """The node whose key's seed is ``number``, in ``folder``."""
    key = SigningKey(bytes([number]) * 32)
    file = PeersFile(Home(folder / str(number)))
    pins = Pins(file)
    network = TlsNetwork(key, pins, ("127.0.0.1", 0), clock_ms=clock_ms, tickets=file, **settings)
    peer = Peer(key, file, pins, network)
    MADE.append(peer)
    return peer


class Taken:
    """Links that came to a node, kept open until they are closed by their test or the other end."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Link](100)
        self.ended: list[str] = []

    async def handle(self, link: Link) -> None:
        """Echo every frame; note the code by which the link ended."""
        await self._send.send(link)
        try:
            while True:
                await link.send(await link.receive())
        except LinkClosed as closed:
            self.ended.append(closed.code)

    async def next(self) -> Link:
        with trio.fail_after(LONG_S):
            return await self._receive.receive()


@asynccontextmanager
async def serving(peer: Peer, handle: Any = None) -> AsyncIterator[Taken]:
    """``peer`` takes links for the length of the block, by default echoing what comes."""
    taken = Taken()
    async with trio.open_nursery() as nursery:
        await nursery.start(peer.network.serve, handle or taken.handle, handle or taken.handle)
        try:
            yield taken
        finally:
            nursery.cancel_scope.cancel()
            for one in MADE:
                one.network.close_links()
            MADE.clear()


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that comes about by itself."""
    with trio.fail_after(LONG_S):
        while not holds():  # noqa: ASYNC110 - nobody tells of it
            await trio.sleep(0.01)


async def refused(call: Any, *arguments: Any, **settings: Any) -> LinkClosed:
    """How a call failed that had to."""
    with trio.fail_after(LONG_S):
        try:
            await call(*arguments, **settings)
        except LinkClosed as closed:
            return closed
    raise AssertionError("it was not refused")


@asynccontextmanager
async def raw_tls(address: str, context: ssl.SSLContext) -> AsyncIterator[trio.SSLStream[trio.SocketStream]]:
    """A TLS connection by other means than holo's own: trio's. The handshake is the caller's."""
    stream = await trio.open_tcp_stream(*split_address(address))
    tls = trio.SSLStream(stream, context, https_compatible=True)
    try:
        yield tls
    finally:
        await trio.aclose_forcefully(tls)


def context_of(peer: Peer, server: Kid, protocol: str = CONTROL) -> ssl.SSLContext:
    """What ``peer`` would dial ``server`` with."""
    return peer.identity.client_context(server, protocol)
