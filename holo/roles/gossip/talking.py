"""What goes on on a link: a task each for answering, taking, listening, showing, pushing and pulling."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from random import Random
from typing import Final, NoReturn

import trio

from holo.core.errors import Overloaded
from holo.core.head import Head
from holo.core.keys import Kid
from holo.core.messages import Converged, Heads, ShownEvidence, WantRange
from holo.net.link import LinkClosed
from holo.roles.gossip.door import Door, RunSync
from holo.roles.gossip.heads import BEAT_S, Changing, HeadExchange, Showing
from holo.roles.gossip.known_peer import KnownPeer
from holo.roles.gossip.pulling import Pulling
from holo.roles.gossip.pushing import Pushing
from holo.roles.gossip.serving import answer, is_small
from holo.roles.gossip.session import Fault, Session
from holo.roles.gossip.taking import Spent, Taken, Taker
from holo.store.store import Store

_GRACE_S: Final = 1.0  # for what is being pushed to arrive, and to be in a head, before it is asked for
_LONGEST_WAIT: Final = 16  # intervals between pulls that bring nothing


class Talking:
    """Has the tasks of a link run. ``pinned`` are all peers, ``head_changed`` tells of heads of this node."""

    def __init__(
        self,
        *,
        store: Store,
        door: Door,
        taker: Taker,
        pulling: Pulling,
        pushing: Pushing,
        heads: HeadExchange,
        head_changed: Changing,
        pinned: Callable[[], Collection[Kid]],
        pull_interval_s: float,
        rng: Random,
        clock_ms: Callable[[], int],
        run_sync: RunSync,
        thread: trio.CapacityLimiter,
    ) -> None:
        self._store = store
        self._door = door
        self._taker = taker
        self._pulling = pulling
        self._pushing = pushing
        self._heads = heads
        self._head_changed = head_changed
        self._pinned = pinned
        self._interval_s = pull_interval_s
        self._rng = rng
        self._clock_ms = clock_ms
        self._run_sync = run_sync
        self._thread = thread

    async def talk(self, peer: KnownPeer, session: Session) -> None:
        """Until the link is over, or is closed here.

        Raises LinkClosed, :class:`Fault`, :class:`Spent`, or Overloaded where this node has no room.
        """
        with session.scope, _single_reason():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.read)
                nursery.start_soon(peer.queue.send, session)
                nursery.start_soon(self._answer, session)
                nursery.start_soon(self._take, peer, session)
                nursery.start_soon(self._listen, peer, session)
                nursery.start_soon(self._show, peer, session)
                nursery.start_soon(self._pull, peer, session)

    async def _answer(self, session: Session) -> NoReturn:
        while True:
            question = await session.questions.take()
            if isinstance(question, WantRange):
                session.loading_until_s = trio.current_time() + 2 * self._interval_s
            if is_small(question):
                said = answer(self._store, question)
            else:
                said = await self._run_sync(answer, self._store, question, limiter=self._thread)
            await session.say(said)

    async def _take(self, peer: KnownPeer, session: Session) -> NoReturn:
        while True:
            push = await session.pushes.take()
            session.received_records += len(push.records)
            self._pushing.note(peer.kid, push.records)
            await trio.sleep(self._taker.slowed_s(peer.kid))
            self._took(peer, session, await self._taker.take(peer.kid, push.records))

    def _took(self, peer: KnownPeer, session: Session, taken: Taken) -> None:
        session.refused += len(taken.refused)
        if taken.waits:
            peer.dealt = None
            peer.wake(at_once=True)

    # --- heads and what goes with them

    async def _listen(self, peer: KnownPeer, session: Session) -> NoReturn:
        while True:
            news = await session.news.take()
            match news:
                case Heads():
                    newest = await self._heads.note(session, news, self._pinned())
                    if newest is not None:
                        await self._follow(peer, session, *newest)
                case ShownEvidence(items):
                    self._took(peer, session, await self._taker.take_evidence(peer.kid, items))
                case Converged():
                    cites = await self._heads.take_promises(session, news)
                    peer.converged_at_ms = self._clock_ms()
                    if peer.head is not None:
                        await self._heads.promise(session, peer.head.catalog, cites)

    async def _follow(self, peer: KnownPeer, session: Session, head: Head, envelope: bytes) -> None:
        """The peer's own head was accepted, or was known: where it is news, look at what it says."""
        known = peer.head
        if known is not None and (known.id == head.id or (known.log == head.log and known.seq > head.seq)):
            return
        peer.head, peer.head_envelope = head, envelope
        if not self._is_settled(peer):
            peer.wake()
        await self._heads.promise(session, head.catalog)

    async def _show(self, peer: KnownPeer, session: Session) -> NoReturn:
        showing = Showing()
        while True:
            shown = self._heads.to_show(showing, peer.kid)
            if shown is not None:
                await session.say(shown)
            if peer.head is not None:
                await self._heads.promise(session, peer.head.catalog)
            with trio.move_on_after(BEAT_S):
                await self._head_changed.wait()

    # --- pulling

    async def _pull(self, peer: KnownPeer, session: Session) -> NoReturn:
        """Pull where the peer shows something that is not here, and from time to time what seals wait for."""
        in_vain = 0
        peer.wake(at_once=True)
        while True:
            await self._wait_to_pull(peer, in_vain)
            # Who asks for everything has little to tell, and would be compared again with each of its heads.
            while (now_s := trio.current_time()) < session.loading_until_s:  # noqa: ASYNC110 - time alone ends it
                await trio.sleep(session.loading_until_s - now_s)
            if peer.head is None or (self._is_settled(peer) and not self._pulling.any_held()):
                in_vain = 0
                continue
            head, envelope = peer.head, peer.head_envelope
            done = await self._pulling.pull(session, head.catalog)
            session.refused += done.refused
            await self._door.check_promises(envelope, done.read)
            in_vain = 0 if done.whole or done.new else in_vain + 1
            if done.whole:
                peer.dealt = head.catalog
                self._heads.compared(session, head.catalog, done.read)
                await self._heads.promise(session, head.catalog)
                if not self._is_settled(peer):  # it went on meanwhile
                    peer.wake()
            elif done.new:
                with trio.move_on_after(self._interval_s):
                    await self._head_changed.wait()  # over what came, so that it is not found again
                peer.wake(at_once=True)

    async def _wait_to_pull(self, peer: KnownPeer, in_vain: int) -> None:
        """For a reason to pull, or for the time to try again what brought nothing."""
        longest_s = self._interval_s * min(1 << in_vain, _LONGEST_WAIT) * (0.75 + self._rng.random() / 2)
        with trio.move_on_after(longest_s):
            while not peer.at_once:
                await peer.news.wait()
                if in_vain:
                    await peer.hurried()
                elif not peer.at_once:
                    await trio.sleep(_GRACE_S * (0.5 + self._rng.random()))
                    break
        peer.heard()

    def _is_settled(self, peer: KnownPeer) -> bool:
        """Whether the peer's newest catalog has nothing for this node; since when it has is noted."""
        assert peer.head is not None
        catalog = peer.head.catalog
        if catalog == peer.dealt or self._pulling.knows(catalog):
            peer.dealt, peer.behind_s = catalog, None
            return True
        if peer.behind_s is None:
            peer.behind_s = trio.current_time()
        return False


@contextmanager
def _single_reason() -> Iterator[None]:
    """Of all that ended the tasks of a link, the one thing to act on: what the peer did wrong before that it left."""
    try:
        yield
    except BaseExceptionGroup as group:
        ours, others = group.split((LinkClosed, Fault, Spent, Overloaded))
        if others is not None and others.split(trio.Cancelled)[1] is None:
            raise others from None  # this end is closing already, for its own reason
        if others is not None or ours is None:
            raise
        raise min(_leaves(ours), key=lambda error: isinstance(error, LinkClosed)) from None


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
