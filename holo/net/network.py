"""The network over TLS: one port for both planes and for pairing, and links of pinned nodes only (spec 8).

A connection is a guest until its node is known and pinned; guests are few, have little time, and make room for each
other. Then it is a link, which ends at the latest when its node is no longer pinned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

import structlog
import trio

from holo.core.address import join_address
from holo.core.errors import HoloError, Rejected
from holo.core.keys import Kid, SigningKey, did_of
from holo.core.limits import FRAME_S, HANDSHAKE_S, LINKS, LINKS_PER_PEER
from holo.core.pairing import REQUEST_BYTES, Answer, Join, open_request, write_answer
from holo.net.dialing import checked_leaf, dial, own_socket, welcomed
from holo.net.guests import Guests
from holo.net.identity import CONTROL, LEAF_S, PAIRING, TRANSFER, Identity
from holo.net.link import Handle, LinkClosed
from holo.net.pins import Peers
from holo.net.stream import TlsStream
from holo.net.tls_link import Frames, TlsLink

_log = structlog.get_logger("holo.net")

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - where nobody can be dialled


class PinsLike(Protocol):
    """Of :class:`holo.net.pins.Pins`, what a network needs."""

    def peers(self) -> Peers:
        """Every pinned peer; the same object until that changes."""

    async def changed(self, since: Peers | None = None) -> None:
        """Return once :meth:`peers` gives something else."""


class Tickets(Protocol):
    """Of :class:`holo.store.peers_file.PeersFile`, what pairing needs."""

    def spend_ticket(self, ticket: bytes, peer: Kid, addresses: Sequence[str]) -> None:
        """Pin ``peer`` for a ticket that is open, once. Raises Rejected."""


class TlsNetwork:
    """A :class:`~holo.net.link.Network` of the node whose key is ``key``, listening at ``listen`` once it serves.

    ``advertised`` are the addresses told to others, by default the one it listens at. Without ``tickets`` nobody is
    paired.
    """

    def __init__(
        self,
        key: SigningKey,
        pins: PinsLike,
        listen: tuple[str, int],
        *,
        clock_ms: Callable[[], int],
        advertised: Sequence[str] = (),
        tickets: Tickets | None = None,
        leaf_s: int = LEAF_S,
        handshake_s: float = HANDSHAKE_S,
        frame_s: float = FRAME_S,
    ) -> None:
        self._identity = Identity(key, clock_ms, leaf_s=leaf_s)
        self._pins = pins
        self._listen = listen
        self._advertised = tuple(advertised)
        self._tickets = tickets
        self._handshake_s = handshake_s
        self._frame_s = frame_s
        self._bound: tuple[str, ...] = ()
        self._guests = Guests()
        self._links: set[TlsLink] = set()
        self._incoming: Counter[Kid] = Counter()

    @property
    def addresses(self) -> tuple[str, ...]:
        """See :class:`holo.net.link.Network`."""
        return self._advertised or self._bound

    async def serve(
        self,
        handle: Handle,
        handle_transfer: Handle | None = None,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """See :class:`holo.net.link.Network`. Raises ``listen-failed``, and whatever a handler raises."""
        listeners = await self._open_listeners()
        handles = {CONTROL: handle, TRANSFER: handle_transfer}
        seen = self._pins.peers()

        async def take(accepted: trio.SocketStream) -> None:
            await self._take(accepted, handles)

        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                nursery.start_soon(self._close_unpinned, seen)
                await trio.serve_listeners(take, listeners)
        finally:
            self._bound = ()
            self.close_links()
        raise AssertionError("listeners serve until cancelled")

    async def connect(self, peer: Kid, address: str) -> TlsLink:
        """See :class:`holo.net.link.Network`."""
        return await self._dial(peer, address, CONTROL)

    async def transfer(self, peer: Kid, address: str) -> TlsLink:
        """See :class:`holo.net.link.Network`."""
        return await self._dial(peer, address, TRANSFER)

    def close_links(self) -> None:
        """End every link, whoever made it."""
        for link in list(self._links):
            link.close(LinkClosed("stopping", "this node is stopping"))

    async def _dial(self, peer: Kid, address: str, protocol: str) -> TlsLink:
        self._require_pinned(peer)
        stream = await dial(self._identity, peer, address, protocol, within_s=self._handshake_s)
        frames = Frames(stream, self._frame_s)
        await welcomed(frames, within_s=self._handshake_s)
        link = _OwnLink(self._links, frames, peer, stream.address, outgoing=True)
        try:
            self._require_pinned(peer)
        except LinkClosed:
            link.close()
            raise
        return link

    def _require_pinned(self, peer: Kid) -> None:
        if peer not in self._pins.peers():
            raise LinkClosed("peer-unpinned", f"{did_of(peer)} is not pinned here")

    # -- those who come

    async def _open_listeners(self) -> list[trio.SocketListener]:
        host, port = self._listen
        try:
            listeners = await trio.open_tcp_listeners(port, host=host)
        except OSError as error:
            raise HoloError("listen-failed", f"{join_address(host, port)}: {error.strerror or error}") from None
        bound = [join_address(*listener.socket.getsockname()[:2]) for listener in listeners]
        self._bound = () if host in _WILDCARDS else tuple(bound)
        return listeners

    async def _close_unpinned(self, seen: Peers) -> None:
        while True:
            await self._pins.changed(seen)
            seen = self._pins.peers()
            for link in [link for link in self._links if link.peer not in seen]:
                link.close(LinkClosed("peer-unpinned", "no longer pinned here"))

    async def _take(self, accepted: trio.SocketStream, handles: dict[str, Handle | None]) -> None:
        """One connection, from its first byte to its last."""
        sock = own_socket(accepted)
        try:
            context = self._identity.server_context(self._pins.peers().keys())
            stream = TlsStream(sock, context, server=True)
        except OSError as error:  # it is gone already, or there is no room for a leaf on the disk
            _log.warning("no link", error=str(error))
            sock.close()
            return
        link = None
        try:
            link = await self._welcome(stream)
        except LinkClosed as closed:
            _log.info("no link", code=closed.code, detail=closed.detail, address=stream.address)
        finally:
            if link is None:
                stream.close()
        if link is None:
            return
        try:
            handle = handles[stream.protocol or ""]
            if handle is not None:
                await handle(link)
        except LinkClosed as closed:
            _log.debug("link ended", code=closed.code, detail=closed.detail, peer=did_of(link.peer))
        finally:
            self._incoming[link.peer] -= 1
            self._incoming += Counter()  # without those of which none is left
            link.close()

    async def _welcome(self, stream: TlsStream) -> TlsLink | None:
        """The link that a guest becomes, None for one that came to be paired. Raises :class:`LinkClosed`."""
        with self._guests.staying(stream.address, self._handshake_s):
            return await self._let_in(stream)
        raise LinkClosed("timeout", "no link within its time, or others came")

    async def _let_in(self, stream: TlsStream) -> TlsLink | None:
        await stream.handshake()
        frames = Frames(stream, self._frame_s)
        if stream.protocol == PAIRING:
            await self._pair(frames)
            return None
        if stream.protocol not in (CONTROL, TRANSFER):
            raise LinkClosed("tls-failed", "no protocol of holo's was asked for")
        try:
            peer = self._check_guest(stream)
        except LinkClosed as closed:
            await frames.send(write_answer(Answer(closed.code, closed.detail)))
            raise
        link = _OwnLink(self._links, frames, peer, stream.address, outgoing=False)
        self._incoming[peer] += 1
        try:
            await frames.send(write_answer(Answer()))
        except BaseException:
            self._incoming[peer] -= 1
            link.close()
            raise
        return link

    def _check_guest(self, stream: TlsStream) -> Kid:
        """Whose connection this is: a pinned node's that has room here."""
        peer = checked_leaf(stream, self._identity)
        if peer is None:
            raise LinkClosed("peer-unpinned", "a link needs a certificate")
        self._require_pinned(peer)
        if self._incoming[peer] >= LINKS_PER_PEER or self._incoming.total() >= LINKS:
            raise LinkClosed("overloaded", "as many links as this node takes")
        return peer

    async def _pair(self, frames: Frames) -> None:
        """Pin the node that has a ticket, and say so; or why not."""
        try:
            join = open_request(await frames.receive(REQUEST_BYTES), self._identity.kid)
            if self._tickets is None:
                raise Rejected("ticket-unknown", "this node gives out no tickets")
            await self._spend(self._tickets, join)
            answer = Answer()
            _log.info("paired", peer=did_of(join.joiner), addresses=join.addresses)
        except (Rejected, OSError) as error:
            code = error.code if isinstance(error, Rejected) else "internal"
            _log.warning("not paired", code=code, detail=str(error))
            answer = Answer(code, error.detail if isinstance(error, Rejected) else "")
        await frames.send(write_answer(answer))

    async def _spend(self, tickets: Tickets, join: Join) -> None:
        await trio.to_thread.run_sync(tickets.spend_ticket, join.ticket, join.joiner, join.addresses)


class _OwnLink(TlsLink):
    """A link that is in a set for as long as it is open."""

    def __init__(self, among: set[TlsLink], frames: Frames, peer: Kid, address: str, *, outgoing: bool) -> None:
        super().__init__(frames, peer, address, outgoing=outgoing)
        self._among = among
        among.add(self)

    def close(self, why: LinkClosed | None = None) -> None:
        """See :meth:`TlsLink.close`."""
        self._among.discard(self)
        super().close(why)
