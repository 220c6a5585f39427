"""Two and three nodes: what is put into one is in the others, whatever is lost on the way."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing

from tests.roles.gossip.scene import GENESIS, bind, equal, introduce, scene, until


async def test_what_is_committed_at_one_is_pushed_to_the_other(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        one, two = await world.add("one"), await world.add("two")
        await until(lambda: one.state_of(two).connected and two.state_of(one).connected)
        record = bind("app/dev", "x")
        await one.admit(GENESIS, record)
        began = trio.current_time()
        await until(lambda: two.has(record))
        assert trio.current_time() - began < 0.5, "pushed, not pulled"
        await until(lambda: equal(one, two))
        assert one.gossip.tally.messages_in["push"] == 0, "nobody sends back what they were sent"


async def test_what_was_there_before_the_link_is_pulled(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        one, two = await world.add("one", pinned=False), await world.add("two", pinned=False)
        records = [bind(f"app{number}/dev", "x") for number in range(200)]
        pending = bind("app/stable", "x")
        await one.admit(GENESIS, *records[:100], pending)
        await two.admit(GENESIS, *records[100:])
        await trio.sleep(2)
        introduce(one, two)
        await until(lambda: equal(one, two))
        assert all(one.has(record) and two.has(record) for record in records)


async def test_links_that_cross_leave_one(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        one, two = await world.add("one"), await world.add("two")
        await trio.sleep(120)
        assert world.wire.links == 1
        dialler = min(one, two, key=lambda peer: peer.kid)
        assert dialler.state_of(two if dialler is one else one).outgoing


async def test_a_lost_link_is_made_again(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        one, two = await world.add("one"), await world.add("two")
        await until(lambda: one.state_of(two).connected)
        world.wire.break_links()
        await until(lambda: not one.state_of(two).connected)
        assert one.state_of(two).problem == "link-lost"
        await one.admit(GENESIS, bind("app/dev", "x"))
        await until(lambda: equal(one, two))


async def test_three_in_a_row_agree(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        one, two, three = [await world.add(name, pinned=False) for name in ("one", "two", "three")]
        introduce(one, two)
        introduce(two, three)
        await until(lambda: two.state_of(one).connected and two.state_of(three).connected)
        await one.admit(GENESIS, bind("app/dev", "x"))
        await three.admit(GENESIS, bind("app/dev", "y", by=("bob",)), bind("lib/dev", "z"))
        await until(lambda: equal(one, two, three) and len(one.states()) == 1)
        with one.store.view() as view:
            (path, entries), _ = view.currents("acme")
            assert path == "app/dev"
            assert [entry.state for entry in entries] == ["forked", "forked"]


async def test_a_peer_that_is_no_longer_pinned_is_let_go(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        one, two = await world.add("one"), await world.add("two")
        await until(lambda: one.state_of(two).connected)
        one.pins.unpin(two.kid)
        await until(lambda: not two.state_of(one).connected)
        assert one.gossip.peers() == []
        await one.admit(GENESIS)
        await trio.sleep(60)
        assert two.states() == {}
        introduce(one, two)
        await until(lambda: equal(one, two))
