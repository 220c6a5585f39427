"""What one end of a link keeps of the other: so much that waits, so long that it waits itself, and how it forgives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from holo.core import limits
from holo.core.carried import carry
from holo.core.cid import DAG_CBOR, Cid
from holo.core.messages import Hello, Message, Objects, Push, ShownEvidence, Want, encode_message
from holo.net.link import Link, LinkClosed
from holo.roles.gossip.known_peer import KnownPeer
from holo.roles.gossip.pushing import Queue
from holo.roles.gossip.session import Fault, Session
from holo.roles.gossip.state import Tally
from tests.records import key
from tests.roles.gossip.scene import bind
from tests.sim.network import open_wire

LOG = Cid.of(DAG_CBOR, b"some log")


async def run_here(call: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return call(*arguments)


@asynccontextmanager
async def half_a_link() -> AsyncIterator[tuple[Session, Tally, Link]]:
    """A session that nothing takes from, what it counts, and the other end, whose frames a test writes."""
    one, other = key("one").kid, key("other").kid
    async with open_wire(0) as wire, trio.open_nursery() as nursery:
        here = wire.endpoint(one, "one:1", pins=lambda: {other: ()})
        there = wire.endpoint(other, "other:1", pins=lambda: {one: ()})
        came = trio.Event()
        links: list[Link] = []

        async def keep(link: Link) -> None:
            links.append(link)
            came.set()
            await trio.sleep_forever()

        await nursery.start(here.serve, keep)
        link = await there.connect(one, "one:1")
        await came.wait()
        tally = Tally()
        yield Session(links[0], Hello("other/1", (), LOG), tally, run_here, trio.CapacityLimiter(1)), tally, link
        nursery.cancel_scope.cancel()


async def fill(session: Session, link: Link, messages: list[Message]) -> None:
    """Have the session read ``messages``, all of them. Raises what reading does."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.read)
            for message in messages:
                await link.send(encode_message(message))
            await trio.sleep(10)
            nursery.cancel_scope.cancel()
    except ExceptionGroup as group:
        (error,) = group.exceptions
        raise error from None


async def test_what_waits_is_bounded_and_what_a_comparison_finds_again_is_dropped(autojump_clock: object) -> None:
    async with half_a_link() as (session, tally, link):
        push, news = Push((carry(bind("app/dev", "x")),)), ShownEvidence((b"x",))
        questions = [Want(id, (LOG,)) for id in range(limits.QUESTIONS_WAITING)]
        await fill(session, link, [*[push] * (limits.PUSHES_WAITING + 7), *questions])
        assert tally.dropped["queue"] == 7
        await fill(session, link, [news] * (limits.NEWS_WAITING + 5))
        assert tally.dropped["queue"] == 12
        with pytest.raises(Fault) as caught:
            await fill(session, link, [Want(99, (LOG,))])
        assert caught.value.error.code == "message-unexpected"
        for _ in range(limits.PUSHES_WAITING):
            assert await session.pushes.take() == push
        await fill(session, link, [push])  # there is room again
        assert await session.pushes.take() == push
        assert tally.dropped["queue"] == 12


async def test_pushes_that_wait_are_bounded_in_bytes(autojump_clock: object) -> None:
    async with half_a_link() as (session, tally, link):
        push = Push(tuple(carry(bind(f"app{at}/dev", "x")) for at in range(limits.RECORDS_PER_PUSH)))
        room = limits.PUSHES_WAITING_BYTES // len(encode_message(push))
        assert room < limits.PUSHES_WAITING
        await fill(session, link, [push] * (room + 2))
        assert tally.dropped["queue"] == 2 * limits.RECORDS_PER_PUSH


async def test_an_answer_is_not_waited_for_without_end(autojump_clock: object) -> None:
    async with half_a_link() as (session, _, link):
        began = trio.current_time()
        with pytest.raises(LinkClosed) as caught:
            await session.ask(lambda id: Want(id, (LOG,)), Objects)
        assert caught.value.code == "timeout"
        assert limits.ANSWER_S <= trio.current_time() - began < limits.ANSWER_S + 1
        with pytest.raises(Fault):  # and what comes after that answers nothing
            await fill(session, link, [Objects(0, (None,))])


def test_who_breaks_the_rules_again_waits_longer_and_is_forgiven_in_time() -> None:
    peer = KnownPeer(key("mallory").kid, (), Queue(1), 0)
    waits = []
    for _ in range(20):
        peer.strike(1000.0)
        waits.append(peer.barred_until_s - 1000.0)
    assert waits[:3] == [limits.BAR_S, 2 * limits.BAR_S, 4 * limits.BAR_S]
    assert set(waits[10:]) == {limits.BAR_S_MAX}
    peer.strike(1000.0 + limits.FORGIVEN_S)
    assert peer.barred_until_s == 1000.0 + limits.FORGIVEN_S + limits.BAR_S_MAX
    peer.strike(1001.0 + 2 * limits.FORGIVEN_S)
    assert peer.barred_until_s == 1001.0 + 2 * limits.FORGIVEN_S + limits.BAR_S
