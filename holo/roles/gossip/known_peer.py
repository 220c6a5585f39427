"""A pinned peer: where it may be, the link to it if there is one, and what it has shown of itself."""

from __future__ import annotations

import trio

from holo.core import limits
from holo.core.cid import Cid
from holo.core.head import Head
from holo.core.keys import Kid
from holo.roles.gossip.pushing import Queue
from holo.roles.gossip.session import Session
from holo.roles.gossip.state import PeerState


class KnownPeer:
    """What this node knows of one pinned peer while it runs."""

    def __init__(self, kid: Kid, addresses: tuple[str, ...], queue: Queue, now_ms: int) -> None:
        self.kid = kid
        self.addresses = addresses
        self.told: tuple[str, ...] = ()  # by itself, where it may be as well
        self.addresses_changed = trio.Event()
        self.queue = queue
        self.session: Session | None = None
        self.since_ms = now_ms
        self.problem: str | None = None
        self.barred_until_s = 0.0
        self.head: Head | None = None
        self.head_envelope = b""
        self.dealt: Cid | None = None  # the last of its catalogs that has nothing more for this node
        self.behind_s: float | None = None  # since when it is known to have something
        self.converged_at_ms: int | None = None
        self.news = trio.Event()  # there is a reason to pull
        self.at_once = False
        self._hurry = trio.Event()
        self._strikes = 0
        self._struck_s = 0.0
        self._over = trio.Event()
        self._over.set()
        self._past = [0] * 5

    @property
    def dialled(self) -> tuple[str, ...]:
        """Addresses to try: those that were pinned, then those it told of."""
        return tuple(dict.fromkeys((*self.addresses, *self.told)))[: 2 * limits.ADDRESSES_PER_PEER]

    async def unlinked(self) -> None:
        """Wait until there is no link."""
        while self.session is not None:
            await self._over.wait()

    def link(self, session: Session, now_ms: int) -> None:
        """This is the link from now on."""
        self.session, self.since_ms, self.problem = session, now_ms, None
        self._over = trio.Event()

    def unlink(self, session: Session, problem: str | None, now_ms: int) -> None:
        """A link is over; whether it was the one that counts shows here."""
        counts = (session.sent_records, session.received_records, session.sent_bytes, session.received_bytes)
        self._past = [before + now for before, now in zip(self._past, (*counts, session.refused), strict=True)]
        if self.session is session:
            self.session, self.since_ms, self.problem = None, now_ms, problem
            self._over.set()

    def strike(self, now_s: float) -> None:
        """It broke the protocol: no link for a while, longer each time."""
        if now_s - self._struck_s > limits.FORGIVEN_S:
            self._strikes = 0
        self._struck_s = now_s
        self.barred_until_s = now_s + min(limits.BAR_S_MAX, limits.BAR_S * (1 << min(self._strikes, 16)))
        self._strikes += 1

    def wake(self, *, at_once: bool = False) -> None:
        """There is a reason to pull; ``at_once`` where nothing is under way that might do without."""
        self.news.set()
        if at_once:
            self.at_once = True
            self._hurry.set()

    def heard(self) -> None:
        """The reasons there were are being dealt with."""
        self.news, self._hurry, self.at_once = trio.Event(), trio.Event(), False

    async def hurried(self) -> None:
        """Wait for a reason to pull at once."""
        await self._hurry.wait()

    def state(self, now_s: float, evidence: Cid | None) -> PeerState:
        """For whoever watches; ``evidence`` is what stands against it here."""
        session, head = self.session, self.head
        counts = list(self._past)
        if session is not None:
            now = (session.sent_records, session.received_records, session.sent_bytes, session.received_bytes)
            counts = [before + more for before, more in zip(counts, (*now, session.refused), strict=True)]
        behind_s = self.behind_s
        return PeerState(
            kid=self.kid,
            addresses=self.dialled,
            connected=session is not None,
            outgoing=None if session is None else session.link.outgoing,
            since_ms=self.since_ms,
            problem=self.problem,
            log=None if head is None else head.log,
            head=None if head is None else head.id,
            head_seq=None if head is None else head.seq,
            head_at_ms=None if head is None else head.at_ms,
            catalog=None if head is None else head.catalog,
            lag_ms=None if head is None else 0 if behind_s is None else int((now_s - behind_s) * 1000),
            converged_at_ms=self.converged_at_ms,
            sent_records=counts[0],
            received_records=counts[1],
            sent_bytes=counts[2],
            received_bytes=counts[3],
            refused=counts[4],
            evidence=() if evidence is None else (evidence,),
        )
