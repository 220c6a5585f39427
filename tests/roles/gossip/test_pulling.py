"""Pulling: policies with those before them, what is pending one by one, seals by id, and great numbers by range."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from holo.core import limits, tree
from holo.core.cid import Cid
from holo.core.envelope import Record
from holo.core.policy import Policy, parse_policy
from holo.core.state import Cited, cited_value
from holo.store.ledger import Hosting
from tests.records import EVERYTHING, policy_record
from tests.roles.gossip.scene import GENESIS, Peer, Scene, bind, equal, introduce, scene, until

FIRST = parse_policy(GENESIS.statement)


async def strangers(world: Scene) -> tuple[Peer, Peer]:
    """Two peers that do not know each other yet."""
    return await world.add("one", pinned=False), await world.add("two", pinned=False)


def following(parent: Policy, *more: str, seal: Cid | None = None, recovery: bool = False) -> Record:
    """A policy after ``parent`` with further signers."""
    signers = dict.fromkeys(("alice", "bob", *more), EVERYTHING)
    by = ("root", "recovery") if recovery else ("root",)
    return policy_record("acme", parent, signers=signers, thresholds=((("stable",), 2),), seal=seal, by=by)


def seal_of(kept: Mapping[str, Record]) -> tree.Change:
    """The tree of a seal that keeps these, as alice endorsed them."""
    return tree.build((path.encode(), cited_value([Cited(kept[path].statement.id, (0,))])) for path in sorted(kept))


async def test_policies_come_with_those_before_them(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        one, two = await strangers(world)
        line, parent = [], FIRST
        for number in range(80):  # more than a leaf of the tree of policies holds
            line.append(following(parent, *(f"signer{at}" for at in range(number + 1))))
            parent = parse_policy(line[-1].statement)
        rivals = [following(FIRST, f"rival{number}") for number in range(5)]
        await one.admit(GENESIS, *line, *rivals)
        await two.admit(GENESIS)
        introduce(one, two)
        await until(lambda: equal(one, two))
        with two.store.view() as view:
            assert len(list(view.records.policy_rows("acme"))) == 86


async def test_what_is_pending_is_never_put_together(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        one, two = await strangers(world)
        await one.admit(GENESIS, bind("app/stable", "x", by=("alice",)), bind("app/stable", "x", by=("bob",)))
        introduce(one, two)
        await until(lambda: equal(one, two))
        with two.store.view() as view:
            assert list(view.currents("acme")) == []
            assert list(view.pending_paths("acme")) == ["app/stable"]


async def test_what_is_pending_is_pushed(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        one, two = await world.add("one"), await world.add("two")
        await until(lambda: one.state_of(two).connected)
        await one.admit(GENESIS, bind("app/stable", "x", by=("alice",)))
        await one.admit(bind("app/stable", "x", by=("bob",)))
        await until(lambda: equal(one, two))
        assert two.gossip.tally.pulls + one.gossip.tally.pulls == 0
        whole = bind("app/stable", "x", by=("alice", "bob"))
        await two.admit(whole)
        await until(lambda: one.has(whole))
        with one.store.view() as view:
            assert len(list(view.currents("acme"))) == 1


async def test_a_seal_takes_effect_where_all_it_names_was_fetched(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        one, two = await strangers(world)
        old = [bind(f"app{number}/dev", "old") for number in range(300)]
        new = [bind(f"app{number}/dev", "new", rev=2) for number in range(300)]
        listed = {
            f"app{number}/dev".encode(): cited_value([Cited(old[number].statement.id, (0,))]) for number in range(300)
        }
        change = tree.update(lambda cid: b"", tree.EMPTY, listed)
        sealing = following(FIRST, "carol", seal=change.root)
        await one.admit(GENESIS, *old)
        await one.admit(*new)  # what the seal names shows in no tree any more
        await one.admit(sealing, nodes=list(change.added.values()))
        await two.admit(GENESIS)
        introduce(one, two)
        await until(lambda: equal(one, two))
        with two.store.view() as view:
            row = view.namespace("acme")
            assert (row.policy, row.held) == (sealing.statement.id, None)
            assert {entry.binding.rev for _, entries in view.currents("acme") for entry in entries} == {1}


async def test_a_seal_that_was_pushed_finds_its_nodes(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        one, two = await world.add("one"), await world.add("two")
        await until(lambda: one.state_of(two).connected)
        old, new = bind("app/dev", "old"), bind("app/dev", "new", rev=2)
        await one.admit(GENESIS, old, new)
        await until(lambda: two.has(new))
        change = tree.update(lambda cid: b"", tree.EMPTY, {b"app/dev": cited_value([Cited(old.statement.id, (0,))])})
        await one.admit(following(FIRST, seal=change.root), nodes=list(change.added.values()))
        await until(lambda: equal(one, two))
        with two.store.view() as view:
            assert view.namespace("acme").held is None
            assert view.namespace("acme").policy_seq == 1


async def test_a_fresh_peer_takes_great_numbers_by_range(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ANSWER_BYTES", 64 * 1024)
    async with scene(tmp_path) as world:
        one, two = await strangers(world)
        records = [bind(f"app{number:04}/dev", "x") for number in range(600)]
        await one.admit(GENESIS, *records)
        await trio.sleep(2)
        introduce(one, two)
        await until(lambda: equal(one, two))
        assert two.gossip.tally.messages_out["want-range"] >= 2, "more than one answer carries"
        assert two.gossip.tally.messages_out["want"] + two.gossip.tally.messages_out["want-records"] < 8
        assert all(map(two.has, records))
        assert two.gossip.tally.messages_out["push"] == 0, "nobody is told what they have, or what is old"
        assert one.gossip.tally.messages_out["want"] <= 2, "nor asked about it"


async def test_a_few_differences_take_few_round_trips(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        one, two = await strangers(world)
        records = [bind(f"app{number:04}/dev", "x") for number in range(1000)]
        await one.admit(GENESIS, *records)
        await two.admit(GENESIS, *(record for at, record in enumerate(records) if at % 100))
        await trio.sleep(2)
        introduce(one, two)
        await until(lambda: equal(one, two))
        said = two.gossip.tally.messages_out
        assert sum(count for kind, count in said.items() if kind.startswith("want")) <= 8
        assert two.gossip.tally.bytes_in < 100_000


async def test_namespaces_that_are_not_hosted_are_left_alone(tmp_path: Path, autojump_clock: object) -> None:
    other = policy_record("other", signers={"alice": EVERYTHING})
    rival = policy_record("acme", signers={"bob": EVERYTHING})
    async with scene(tmp_path) as world:
        one = await world.add("one", pinned=False)
        two = await world.add("two", pinned=False, hosting=Hosting(open=False, pinned={"other": other.statement.id}))
        three = await world.add("three", pinned=False)
        await one.admit(GENESIS, bind("app/dev", "x"), other, bind("app/dev", "x", genesis=other))
        await three.admit(rival, bind("app/dev", "y", by=("bob",), genesis=rival))
        for peer in (two, three):
            introduce(one, peer)
        await until(lambda: "other" in two.states() and two.states()["other"] == one.states()["other"] is not None)
        await until(lambda: "other" in three.states() and three.states()["other"] == one.states()["other"])
        await trio.sleep(60)
        assert set(two.states()) == {"other"}
        assert three.states()["acme"] != one.states()["acme"]
        pulls = one.gossip.tally.pulls + two.gossip.tally.pulls + three.gossip.tally.pulls
        await trio.sleep(600)
        later = one.gossip.tally.pulls + two.gossip.tally.pulls + three.gossip.tally.pulls
        assert later == pulls, "what will never be equal is not compared again and again"
        assert all(state.connected for peer in (one, two, three) for state in peer.gossip.peers())
