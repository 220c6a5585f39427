"""The gossip role: links to the pinned peers, and on each of them pushing, answering, taking and pulling.

One owner task; a nursery for each link. Nothing waits for a peer but the tasks of its own link, and nothing a peer
sends is kept, admitted or signed without a bound. What is lost on any way is found by pulling.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NoReturn

import structlog
import trio

import holo
from holo.core import limits
from holo.core.cid import Cid
from holo.core.errors import Overloaded, Rejected
from holo.core.keys import Kid, did_of
from holo.core.messages import Hello
from holo.net.link import Link, LinkClosed, Network
from holo.profile import Gossip as Settings
from holo.roles.gossip.dialling import keep_dialling
from holo.roles.gossip.door import Door, PinsLike, RunSync
from holo.roles.gossip.fetching import Fetching
from holo.roles.gossip.heads import Changing, HeadExchange
from holo.roles.gossip.known_peer import KnownPeer
from holo.roles.gossip.pulling import Pulling
from holo.roles.gossip.pushing import Pushing, Queue
from holo.roles.gossip.session import Fault, Session, exchange_hellos, part
from holo.roles.gossip.state import PeerState, Tally
from holo.roles.gossip.taking import Spent, Taker
from holo.roles.gossip.talking import Talking
from holo.store.ledger import Hosting
from holo.store.store import Denial, Store

_log = structlog.get_logger("holo.gossip")


class Gossip:
    """The owner of all links. ``rng`` decides whom to push to and when to try again, and nothing else."""

    def __init__(
        self,
        *,
        store: Store,
        door: Door,
        network: Network,
        pins: PinsLike,
        settings: Settings,
        rng: Random,
        clock_ms: Callable[[], int],
        hosting: Hosting | None = None,
        run_sync: RunSync = trio.to_thread.run_sync,
        find: Callable[[Cid], bytes | None] = lambda _: None,
    ) -> None:
        self.tally = Tally()
        self._store = store
        self._door = door
        self._network = network
        self._pins = pins
        self._settings = settings
        self._rng = rng
        self._clock_ms = clock_ms
        self._run_sync = run_sync
        self._thread = trio.CapacityLimiter(1)  # of all that is asked and sent, one thing at a time
        self._peers: dict[Kid, KnownPeer] = {}
        self._diallers: dict[Kid, trio.CancelScope] = {}
        self._queues: dict[Kid, Queue] = {}
        self._pushing = Pushing(
            self._queues,
            fanout=settings.fanout,
            most_records=settings.queue_records,
            rng=rng,
            tally=self.tally,
        )
        self._head_changed = Changing()
        self._fetching = Fetching(store, network, self._holders, self._run_sync, find)
        taker = Taker(store, door, self.tally)
        self._talking = Talking(
            store=store,
            door=door,
            taker=taker,
            pulling=Pulling(store, taker, self._pushing, hosting or Hosting(), self.tally, run_sync),
            pushing=self._pushing,
            heads=HeadExchange(store, door, self._session_of),
            head_changed=self._head_changed,
            pinned=self._peers.keys,
            pull_interval_s=settings.pull_interval_ms / 1000,
            rng=rng,
            clock_ms=clock_ms,
            run_sync=run_sync,
            thread=self._thread,
        )

    @property
    def node(self) -> Kid:
        """This node's kid."""
        return self._store.key.kid

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where peers reach this node, HOST:PORT."""
        return self._network.addresses

    def peers(self) -> list[PeerState]:
        """Every pinned peer, in order of kid."""
        now_s = trio.current_time()
        with self._store.view() as view:
            return [self._peers[kid].state(now_s, view.evidence(kid)) for kid in sorted(self._peers)]

    async def fetch(self, cid: Cid) -> bytes | None:
        """A policy or another object by CID from whichever linked peer has it; None where none says so in time."""
        return await self._fetching.fetch(cid)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Listen and dial, until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._update_peers(nursery)
                nursery.start_soon(self._pushing.run)
                nursery.start_soon(self._watch_heads)
                await nursery.start(self._network.serve, self._accept, self._fetching.serve)
                task_status.started()
                while True:
                    await self._pins.changed()
                    self._update_peers(nursery)
        finally:
            self._door.on_commit = None
        raise AssertionError("a nursery ends with its tasks")

    # --- who there is

    def _update_peers(self, nursery: trio.Nursery) -> None:
        """Go by the pins as they are now: begin with whom is new, let go of whom is gone."""
        pinned = self._pins.peers()
        for kid in sorted(self._peers.keys() - pinned.keys()):
            self._diallers.pop(kid).cancel()
            gone = self._peers.pop(kid)
            if gone.session is not None:
                gone.session.close("peer-unpinned", "not a peer of this node any more")
        for kid in sorted(pinned):
            addresses = tuple(pinned[kid])[: limits.ADDRESSES_PER_PEER]
            if kid == self.node:
                continue
            known = self._peers.get(kid)
            if known is None:
                known = self._peers[kid] = KnownPeer(kid, addresses, self._new_queue(), self._clock_ms())
                self._diallers[kid] = trio.CancelScope()
                nursery.start_soon(self._dial, known, self._diallers[kid])
            elif known.addresses != addresses:
                known.addresses = addresses
                known.addresses_changed.set()
                known.addresses_changed = trio.Event()

    def _new_queue(self) -> Queue:
        return Queue(self._settings.queue_records)

    async def _dial(self, peer: KnownPeer, scope: trio.CancelScope) -> None:
        with scope:
            await keep_dialling(peer, self._network, self.node, self._rng, self._serve)

    # --- a link, from its beginning to its end

    async def _accept(self, link: Link) -> None:
        peer = self._peers.get(link.peer)
        if peer is None:
            await part(link, "peer-unpinned", "not a peer of this node")
        elif peer.barred_until_s > trio.current_time():
            await part(link, "rate-limited", "come again later")
        else:
            await self._serve(link)

    async def _serve(self, link: Link) -> None:
        """Have a link until it is over. Never raises because of the peer."""
        peer = self._peers.get(link.peer)
        if peer is None:
            return
        code, detail = "closed", ""
        session: Session | None = None
        try:
            hello = await exchange_hellos(link, self._hello())
            session = Session(link, hello, self.tally, self._run_sync, self._thread)
            refusal = self._admit(peer, session)
            if refusal is None:
                await self._talking.talk(peer, session)
                code, detail = session.closing
            else:
                code, detail = refusal
        except (LinkClosed, Overloaded) as error:
            code, detail = error.code, error.detail
        except Fault as fault:
            code, detail = fault.error.code, fault.error.detail
            await self._show_out(peer, fault.error, None)
        except Spent as spent:
            code, detail = spent.error.code, spent.error.detail
            await self._show_out(peer, spent.error, spent.subject)
        finally:
            self._over(peer, session, code)
            await part(link, code, detail)

    def _hello(self) -> Hello:
        with self._store.view() as view:
            log = view.log.id
        return Hello(f"holo/{holo.__version__}", tuple(self.addresses)[: limits.ADDRESSES_PER_PEER], log)

    def _admit(self, peer: KnownPeer, session: Session) -> tuple[str, str] | None:
        """Make a link the one to its peer, or say why not. Of two that cross the one the smaller kid dialled stays."""
        before = peer.session
        if before is not None:
            outgoing = session.link.outgoing
            if before.link.outgoing != outgoing and outgoing != (self.node < peer.kid):
                return "link-doubled", "there is a link already"
            before.close("link-doubled", "another link takes its place")
        elif sum(1 for other in self._peers.values() if other.session) >= self._settings.max_peers:
            return "overloaded", f"linked with {self._settings.max_peers} peers"
        peer.link(session, self._clock_ms())
        peer.told = session.hello.addresses
        self._queues[peer.kid] = peer.queue = self._new_queue()
        self._door.on_commit = self._pushing.tell
        _log.info("linked", peer=did_of(peer.kid), address=session.link.address, outgoing=session.link.outgoing)
        return None

    def _over(self, peer: KnownPeer, session: Session | None, code: str) -> None:
        if session is None:
            peer.problem = code if peer.session is None else peer.problem
            return
        self.tally.links_closed[code] += 1
        counted = peer.session is session
        peer.unlink(session, code, self._clock_ms())
        if counted:
            if self._queues.get(peer.kid) is peer.queue:
                del self._queues[peer.kid]
            _log.info("unlinked", peer=did_of(peer.kid), code=code)
        if not self._queues:
            self._door.on_commit = None

    async def _show_out(self, peer: KnownPeer, error: Rejected, subject: Cid | None) -> None:
        """A peer broke the rules: no link to it for a while, and a receipt that says why, as far as some are left."""
        peer.strike(trio.current_time())
        _log.warning("peer-shown-out", peer=did_of(peer.kid), code=error.code, detail=error.detail)
        await self._door.log_denial(Denial("gossip", subject, error, peer.kid))

    async def _watch_heads(self) -> NoReturn:
        mark = self._door.mark
        while True:
            after = await self._door.changed_from(mark)
            if (after.log, after.heads) != (mark.log, mark.heads):
                self._head_changed.tell()
            mark = after

    def _session_of(self, kid: Kid) -> Session | None:
        peer = self._peers.get(kid)
        return None if peer is None else peer.session

    def _holders(self) -> list[tuple[Kid, tuple[str, ...]]]:
        """The linked peers and where they can be dialled, in an order that changes."""
        linked = [kid for kid in sorted(self._peers) if self._peers[kid].session is not None]
        return [(kid, self._peers[kid].dialled) for kid in self._rng.sample(linked, len(linked))]
