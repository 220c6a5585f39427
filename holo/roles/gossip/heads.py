"""Heads: this node's own and the newest of others, said to every peer; what peers say, noted; promises exchanged.

A head is also a sign of life: said again now and then, it tells a peer that a silent link still carries. The proofs
that a log goes on are its owner's to give. The one with which a head was accepted is passed on with it.
"""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

import trio

from holo.core import limits, tree
from holo.core.cid import Cid
from holo.core.errors import HoloError, Missing, Rejected
from holo.core.head import Head
from holo.core.keys import Kid
from holo.core.messages import Converged, Heads, Proof, ShownHead, WantProof
from holo.core.peer_receipts import Agreed
from holo.core.receipt import open_receipt
from holo.core.state import decode_catalog, parse_state_value
from holo.core.witness import HeadNote
from holo.net.link import LinkClosed
from holo.roles.gossip.door import Door, FollowedLike
from holo.roles.gossip.refusals import Blame, blame
from holo.roles.gossip.session import Fault, Session
from holo.store.layout import NamespaceRow
from holo.store.store import Store
from holo.store.view import View

BEAT_S: Final = 15.0
_RELAY_S: Final = 5.0  # between two rounds of others' heads on one link
_PROOFS: Final = 1024  # with which heads were accepted
_COMPARED: Final = 256  # namespaces that are looked up in a peer's catalog


class Changing:
    """Something that many wait for, again and again."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def tell(self) -> None:
        """Wake all who wait."""
        self._event.set()
        self._event = trio.Event()

    async def wait(self) -> None:
        """Until it is told the next time."""
        await self._event.wait()


class Showing:
    """Which heads one peer was shown on a link, and when."""

    def __init__(self) -> None:
        self.shown: dict[Kid, Cid] = {}
        self.own: Head | None = None
        self._relayed_s = -math.inf

    def relays(self) -> bool:
        """Whether it is time for others' heads again."""
        now_s = trio.current_time()
        if now_s < self._relayed_s + _RELAY_S:
            return False
        self._relayed_s = now_s
        return True


class HeadExchange:
    """Says and notes heads on all links. ``session_of`` finds the link to a node, if there is one."""

    def __init__(self, store: Store, door: Door, session_of: Callable[[Kid], Session | None]) -> None:
        self._store = store
        self._door = door
        self._session_of = session_of
        self._proofs: OrderedDict[Cid, tuple[int, tuple[bytes, ...]]] = OrderedDict()

    def to_show(self, showing: Showing, peer: Kid) -> Heads | None:
        """What to say to a peer now: the own head always, those of others where they are new to it."""
        own, *others = self._door.known_heads() if showing.relays() else self._door.known_heads()[:1]
        if own.head.signer != self._store.key.kid:
            return None  # nothing was signed yet
        items = [self._show_own(showing, own)]
        for item in others:
            new = showing.shown.get(item.head.signer) != item.head.id
            if item.head.signer != peer and new and len(items) < limits.HEADS_PER_MESSAGE:
                showing.shown[item.head.signer] = item.head.id
                start, proof = self._proofs.get(item.head.id, (0, ()))
                items.append(ShownHead(item.envelope, item.genesis, start, proof))
        return Heads(tuple(items))

    def _show_own(self, showing: Showing, own: FollowedLike) -> ShownHead:
        """With a proof from the one that was said before on this link."""
        before, showing.own = showing.own, own.head
        if before is None or before.log != own.head.log or not 0 < before.log_size < own.head.log_size:
            return ShownHead(own.envelope, own.genesis, 0, ())
        with self._store.view() as view:
            proof = tuple(view.consistency(before.log_size, own.head.log_size))
        return ShownHead(own.envelope, own.genesis, before.log_size, proof)

    async def note(self, session: Session, heads: Heads, pinned: Collection[Kid]) -> tuple[Head, bytes] | None:
        """Note what a peer shows. Its own newest head and envelope, where that is among it and accepted or known.

        Raises LinkClosed, and :class:`Fault` where the peer shows as its own what nobody honest signs.
        """
        notes = [HeadNote(item.head, item.genesis, item.start, item.proof) for item in heads.items]
        newest = None
        for note, noted in zip(notes, await self._door.note_heads(notes, by=session.peer, pinned=pinned), strict=True):
            if noted.status == "need-proof":
                proved = await self._proved(session, noted.node, noted.head, note, noted.old, noted.new)
                if proved is None:
                    continue
                note = proved
                (noted,) = await self._door.note_heads([note], by=session.peer, pinned=pinned)
            if noted.status == "accepted" and noted.head is not None and note.since:
                self._remember(noted.head.id, note)
            if noted.status == "refused" and noted.error is not None:
                self._judge(session, noted.node, noted.error)
            if (
                noted.node == session.peer
                and noted.status in ("accepted", "opened", "stale")
                and noted.head is not None
            ):
                newest = noted.head, note.head
        return newest

    async def _proved(
        self, session: Session, node: Kid | None, head: Head | None, note: HeadNote, old: int, new: int
    ) -> HeadNote | None:
        """The head with the proof it takes, from its log's owner, if there is a link to it."""
        owner = session if node == session.peer else None if node is None else self._session_of(node)
        if owner is None or head is None:
            return None
        try:
            answer = await owner.ask(lambda id: WantProof(id, head.log, old, new), Proof)
        except LinkClosed:
            if owner is session:
                raise
            return None
        return None if answer.hashes is None else HeadNote(note.head, note.genesis, old, answer.hashes)

    def _remember(self, head: Cid, note: HeadNote) -> None:
        self._proofs[head] = note.since, note.proof
        if len(self._proofs) > _PROOFS:
            self._proofs.popitem(last=False)

    def _judge(self, session: Session, node: Kid | None, error: HoloError) -> None:
        """What others' heads are refused for, their peer may not have known; its own it has to be right about."""
        if node in (None, session.peer) and blame(error) is Blame.FAULT and isinstance(error, Rejected):
            raise Fault(error)

    # --- promises

    async def promise(self, session: Session, catalog: Cid, cites: Cid | None = None) -> bool:
        """Sign, where one is due, that this node holds what the peer's catalog says, and tell it. Whether it was said.

        Where the catalogs are the same, all states are; else those count that :meth:`compared` found.
        """
        with self._store.view() as view:
            head = view.head()
            if head is not None and head[0].catalog == catalog:
                rows = _in_turn(view, session)
                held = [Agreed(row.ns, row.genesis, row.state) for row in rows if row.state is not None]
                states = held[: limits.CONVERGED_STATES]
            else:
                states = session.compared[1] if session.compared[0] == catalog else []
        if not states:
            return False
        envelope = await self._door.sign_convergence(session.peer, states, cites)
        if envelope is None or envelope == session.promise:
            return False
        session.promised += len(states)
        session.promise = envelope
        await session.say(Converged((envelope,)))
        return True

    def compared(self, session: Session, catalog: Cid, read: Callable[[Cid], bytes]) -> None:
        """All that a peer's catalog has for this node was dealt with: note its states of the namespaces that both have.

        ``read`` gives the peer's objects, as far as they came now; where one did not, its namespaces are left out.
        """
        states = []
        with self._store.view() as view, contextlib.suppress(HoloError):
            both = partial(_either, read, view)
            root = decode_catalog(both(catalog)).namespaces
            for row in _in_turn(view, session)[:_COMPARED]:
                with contextlib.suppress(HoloError):
                    value = tree.get(both, root, row.ns.encode())
                    if value is not None:
                        states.append(Agreed(row.ns, row.genesis, parse_state_value(value)))
        session.compared = catalog, states[: limits.CONVERGED_STATES]

    async def take_promises(self, session: Session, message: Converged) -> Cid:
        """Keep what a peer promised; the id of the last of it. Raises :class:`Fault` where it is no promise of its."""
        errors = await self._door.note_convergence(message.receipts, by=session.peer)
        for error in errors:
            if isinstance(error, Rejected) and blame(error) is Blame.FAULT:
                raise Fault(error)
        return open_receipt(message.receipts[-1]).id


def _in_turn(view: View, session: Session) -> list[NamespaceRow]:
    """All namespaces that are here, beginning with those that were not promised yet."""
    rows = list(view.records.namespaces())
    first = session.promised % max(1, len(rows))
    return [*rows[first:], *rows[:first]]


def _either(read: Callable[[Cid], bytes], view: View, cid: Cid) -> bytes:
    """An object of a peer, which has many in common with this node."""
    try:
        return read(cid)
    except Missing:
        return view.object(cid)
