"""Peers that answer in time, and never to the end: what they hold, others wait for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trio

from holo.core import limits
from holo.core.carried import Carried, carry
from holo.core.cid import Cid
from holo.core.errors import Missing
from holo.core.messages import Message, Objects, Question, Range, Want, WantRange, WantRecords
from holo.core.questions import Records
from holo.net.link import Link, LinkClosed
from holo.roles.gossip.session import Patience
from holo.store.store import Store
from tests.hostile.hand_peer import HandPeer
from tests.records import policy_record
from tests.roles.gossip.scene import GENESIS, Peer, Scene, bind, equal, introduce, scene, until
from tests.signing_node import SigningNode

ANSWER_AFTER_S = 48.0  # within ANSWER_S
SIGN_OF_LIFE_S = 12.0
LONGEST_S = 4 * limits.ANSWER_S


@dataclass
class SlowPeer(HandPeer):
    """It shows the catalog of ``source``, and gives of what is asked one thing at a time, each as late as it may."""

    source: Store | None = None
    slow: type[Want | WantRange] = Want
    given: Carried | None = None

    async def begin(self, target: Peer) -> None:
        """Link with ``target`` and show the catalog."""
        assert self.source is not None
        with self.source.view() as view:
            head = view.head()
        assert head is not None
        self.signing.receipt()
        self.signing.head(catalog=head[0].catalog)
        await self.show(await self.link(target), 0)

    async def reply(self, link: Link, question: Question) -> None:
        if isinstance(question, self.slow):
            self.scene.nursery.start_soon(self._reply_late, link, question)
        else:
            await super().reply(link, question)

    async def _reply_late(self, link: Link, question: Question) -> None:
        due = trio.current_time() + ANSWER_AFTER_S
        try:
            while trio.current_time() < due:
                await trio.sleep(SIGN_OF_LIFE_S)
                await self.show(link, 0)
            await self.say(link, self.answer_to(question))
        except LinkClosed:
            pass

    def answer_to(self, question: Question) -> Message:
        assert self.source is not None
        match question:
            case Want(id, cids):
                return Objects(id, tuple(_object(self.source, cid) for cid in cids[: 1 if self.slow is Want else None]))
            case WantRecords(id, statements):
                policy = carry(GENESIS)
                return Records(id, tuple(policy if s == GENESIS.statement.id else None for s in statements))
            case WantRange(id, spans):
                assert self.given is not None
                return Range(id, (self.given,), (0, spans[0].after + "a"))
        return super().answer_to(question)


def _object(store: Store, cid: Cid) -> bytes | None:
    with store.view() as view:
        try:
            return bytes(view.object(cid))
        except Missing:
            return None


def add_slow(world: Scene, name: str, target: Peer, source: Peer) -> SlowPeer:
    slow = SlowPeer(world, SigningNode(name), source=source.store)
    target.pins.pin(slow.kid, f"{name}:1")
    return slow


async def test_slow_answers_do_not_keep_others_waiting(tmp_path: Path, autojump_clock: object) -> None:
    """As many as there are pulls at a time, each with a catalog that lasts for long."""
    async with scene(tmp_path) as world:
        one, source, honest = [await world.add(name, pinned=False) for name in ("one", "source", "honest")]
        await source.admit(*(policy_record(f"ns{at}", signers={"alice": (("*",), ("*",))}) for at in range(12)))
        await honest.admit(GENESIS, bind("app/dev", "x"))
        await until(lambda: equal(source) and equal(honest))
        slow = [add_slow(world, f"mallory{at}", one, source) for at in range(4)]
        for peer in slow:
            await peer.begin(one)
        await until(lambda: sum(1 for peer in slow if peer.asked) >= 3)
        introduce(one, honest)
        await until(lambda: one.has(GENESIS) and one.has(bind("app/dev", "x")), LONGEST_S)
        assert {peer.ended for peer in slow} & {"timeout"}


async def test_a_namespace_is_not_held_by_who_gives_it_without_end(tmp_path: Path, autojump_clock: object) -> None:
    """It is asked for by range of one peer at a time."""
    async with scene(tmp_path) as world:
        one, honest = [await world.add(name, pinned=False) for name in ("one", "honest")]
        records = [bind(f"app{at}/dev", "x") for at in range(8)]
        await honest.admit(GENESIS, *records)
        await until(lambda: equal(honest))
        slow = add_slow(world, "mallory", one, honest)
        slow.slow, slow.given = WantRange, carry(records[0])
        await slow.begin(one)
        await until(lambda: any(isinstance(item, WantRange) for item in slow.asked))
        introduce(one, honest)
        await until(lambda: all(one.has(record) for record in records), 2 * LONGEST_S)
        assert slow.ended == "timeout"


def test_time_that_was_waited_comes_back() -> None:
    patience, now_s = Patience(0.0), 0.0
    for _ in range(1000):  # a peer far away that is asked again and again
        now_s += 2.0
        assert patience.wait(limits.WAITED_BACK * 2.0, 0, now_s)
    assert not patience.wait(limits.WAITED_S, 0, now_s)
    assert not patience.wait(0.0, 0, now_s)
    assert patience.wait(0.0, 0, now_s + 8.0)


def test_large_answers_may_take_longer() -> None:
    patience = Patience(0.0)
    seconds = limits.ANSWER_BYTES / limits.SLOWEST_ANSWERS_BYTES_PER_S
    for at in range(100):
        assert patience.wait(seconds, limits.ANSWER_BYTES, seconds * at)
    assert not patience.wait(limits.WAITED_S + 100, 0, seconds * 100)
