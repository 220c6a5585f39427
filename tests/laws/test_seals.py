"""Seals: what a node remembers of them, or happens to have, must never decide."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trio

from holo.core import codec, tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Statement
from holo.core.errors import Rejected
from holo.core.limits import LEAF_KEYS
from holo.core.tree_node import decode_node
from holo.profile import Anonymous
from holo.profile import Registry as Settings
from holo.roles.registry import Incoming, Registry
from tests.laws.model import Item
from tests.laws.pull import converge
from tests.laws.stores import Node, submission_of
from tests.laws.world import NOBODY_HAS, World


def sealed_world() -> tuple[World, Item, Item, Item]:
    """(world, genesis, a seal over one statement, that statement)."""
    world = World()
    kept = world.bind("app/dev", "one")
    world.amend(world.genesis, keep={"app/dev": [(kept.id, [0])]})
    genesis, statement, seal = world.items
    return world, genesis, seal, statement


def test_a_statement_completes_a_seal_after_a_restart(tmp_path: Path) -> None:
    world, genesis, seal, statement = sealed_world()
    with Node(tmp_path, world.hosted) as node:
        node.deliver(genesis, seal)
        node.check(world)
        node.reopen()
        node.deliver(statement)
        node.check(world)


def test_a_statement_completes_a_seal_after_a_batch_that_failed(tmp_path: Path) -> None:
    world, genesis, seal, statement = sealed_world()
    refused = world.bind("app/dev", "two", by=("mallory",))
    with Node(tmp_path, world.hosted) as node:
        node.deliver(genesis, seal)
        results = node.deliver_together(statement, world.items[-1])
        assert [getattr(result, "code", None) for result in results] == ["atomic-failed", "signer-not-allowed"]
        assert submission_of(world.items[-1]).record.statement.id == refused.id
        node.check(world)
        node.deliver(statement)
        node.check(world)


def test_a_statement_that_comes_while_the_sealed_branch_is_out_counts_when_it_is_back(tmp_path: Path) -> None:
    world, genesis, seal, statement = sealed_world()
    sealing = seal.record.statement
    with Node(tmp_path, world.hosted) as node:
        node.deliver(genesis, seal)
        # A rival that recovery endorses wins: the namespace is not held any more, and the seal is looked at no more.
        world.amend(world.genesis, nonce=1, by=("root", "recovery"))
        node.deliver(world.items[-1])
        node.check(world)
        node.deliver(statement)
        # A policy below the seal, endorsed too and higher, brings the branch back: now the seal has all it names.
        below = world.amend(sealing, by=("root", "recovery"))
        node.deliver(world.items[-1])
        node.check(world)
        assert node.policy(world) == below.id


def test_nodes_another_namespace_brought_complete_a_seal(tmp_path: Path) -> None:
    world, genesis, seal, statement = sealed_world()
    other = World(ns="other")
    other.sign(
        other.amend(other.genesis, keep={"app/dev": [(statement.record.statement.id, [0])]}), "root", nodes=seal.nodes
    )
    with Node(tmp_path, world.hosted | other.hosted) as node:
        node.deliver(genesis, statement, Item(seal.record))
        node.deliver(*other.items)
        node.deliver(seal)
        node.check(world)
        assert node.policy(world) == seal.record.statement.id


def test_a_refused_record_leaves_the_seal_waiting(tmp_path: Path) -> None:
    world, genesis, seal, statement = sealed_world()
    world.sign(statement.record.statement, "mallory")
    with Node(tmp_path, world.hosted) as node:
        node.deliver(genesis, seal)
        (refused,) = node.deliver(world.items[-1])
        assert isinstance(refused, Rejected)
        node.check(world)
        node.deliver(statement)
        node.check(world)


def test_heads_that_were_signed_between_do_not_decide(tmp_path: Path) -> None:
    world, genesis, seal, statement = sealed_world()
    with Node(tmp_path, world.hosted) as node, Node(tmp_path, world.hosted) as other:
        node.deliver(genesis, statement)
        node.store.make_head()  # its tree of names is now the very tree of the seal
        node.deliver(Item(seal.record))
        other.deliver(genesis, statement, Item(seal.record))
        assert node.catalog() == other.catalog()
        node.check(world)


def large_seal() -> tuple[World, tuple[Item, ...], Statement, dict[Cid, bytes]]:
    """(world, everything but the seal, a policy with a seal over a tree of several levels, the nodes by id)."""
    world = World()
    handles = [f"{one}/{other}{number}" for one in "ab" for other in "xy" for number in range(40)]
    kept = {f"{handle}/dev": [(world.bind(f"{handle}/dev", "one").id, [0])] for handle in handles}
    made = world.seal(kept)
    before = tuple(world.items)
    sealing = world.amend(world.genesis, keep=kept, nodes=False)
    assert sealing.value["seal"] == made.root
    return world, before, sealing, made.added


def test_a_tree_comes_in_parts_from_the_root_down(tmp_path: Path) -> None:
    world, before, sealing, nodes = large_seal()
    root = sealing.value["seal"]
    parts = [nodes[root], *(data for cid, data in nodes.items() if cid != root)]
    inner = [data for data in parts[1:] if decode_node(data).total > LEAF_KEYS]
    assert inner, "more than two levels"
    for order in (parts, [parts[0], *inner, *parts[:0:-1]]):
        with Node(tmp_path, world.hosted) as node:
            node.deliver(*before, world.items[-1])
            for data in order:
                node.deliver(world.sign(sealing, "root", nodes=[data]))
                node.check_catalog()
                node.reopen()
            # What came before the node that links to it was not kept, and has to come again.
            for data in order:
                node.deliver(world.sign(sealing, "root", nodes=[data]))
            node.check_catalog()
            assert node.policy(world) == sealing.id


def test_partial_holders_of_a_large_seal_complete_it_for_each_other(tmp_path: Path) -> None:
    world, before, sealing, nodes = large_seal()
    root = sealing.value["seal"]
    below = [data for cid, data in nodes.items() if cid != root]
    genesis, *statements = before
    with ExitStack() as stack:
        holders = [stack.enter_context(Node(tmp_path, world.hosted, f"node{at}")) for at in range(3)]
        for at, node in enumerate(holders):
            part = [item for index, item in enumerate(statements) if index % 3 == at]
            node.deliver(genesis, *part, world.items[-1])
            # Each has the root and another part of what is below; of two levels the upper one is everywhere.
            some = [data for index, data in enumerate(below) if index % 3 == at or decode_node(data).total > LEAF_KEYS]
            node.deliver(world.sign(sealing, "root", nodes=[nodes[root], *some]))
            assert node.policy(world) == world.genesis.id
        converge(holders)
        for node in holders:
            assert node.policy(world) == sealing.id
            assert node.catalog() == holders[0].catalog()
            with node.store.view() as view:
                assert sum(1 for _ in view.currents(world.ns)) == len(statements)


ONE, TWO, THREE = (Cid.of(DAG_CBOR, b"%d" % at) for at in range(3))


@pytest.mark.parametrize(
    "value",
    [
        [[NOBODY_HAS, [0]]],
        [7],
        [[NOBODY_HAS]],
        [["text", [0]]],
        [[NOBODY_HAS, 0]],
        [[NOBODY_HAS, []]],
        [[NOBODY_HAS, [-1]]],
        [[NOBODY_HAS, ["0"]]],
        [[ONE, [0]], [TWO, [0]], [THREE, [0]]],
        [[ONE, [0]], [ONE, [0]]],
    ],
    ids=str,
)
@pytest.mark.parametrize("kept_first", [False, True])
def test_a_seal_that_can_never_be_whole_holds_the_namespace(tmp_path: Path, value: list[Any], kept_first: bool) -> None:
    world = World()
    kept = world.bind("lib/dev", "one")
    made = tree.build([(b"app/dev", value), (b"lib/dev", [[kept.id, [0]]])])
    sealing = world.amend(world.genesis, seal=made.root)
    world.sign(sealing, "root", nodes=made.added.values())
    genesis, statement, *sealed = world.items
    with Node(tmp_path, world.hosted) as node:
        node.deliver(genesis, *([statement, *sealed] if kept_first else [*sealed, statement]), apart=True)
        node.check(world)
        assert node.policy(world) == world.genesis.id


@pytest.mark.parametrize("positions", [[1], [0, 1], [1, 0], [0, 0], [0, 2], [300]], ids=str)
def test_a_seal_with_positions_nobody_endorsed_from_holds_the_namespace(tmp_path: Path, positions: list[int]) -> None:
    world = World()
    kept = world.bind("app/dev", "one")
    sealing = world.amend(world.genesis, keep={"app/dev": [(kept.id, positions)]})
    with Node(tmp_path, world.hosted) as node:
        node.deliver(*world.items, apart=True)
        node.check(world)
        assert node.policy(world) != sealing.id


def test_a_seal_that_is_no_tree_holds_the_namespace(tmp_path: Path) -> None:
    world = World()
    kept = world.bind("app/dev", "one")
    made = world.seal({"app/dev": [(kept.id, [0])]})
    lying = codec.encode([1, b"app", None, [[0x2F, 65, made.root], [0x30, 65, made.root]]])
    for data in (kept.bytes, codec.encode([0, [[b"b", 1], [b"a", 1]]]), lying):
        sealing = world.amend(world.genesis, seal=Cid.of(DAG_CBOR, data))
        with Node(tmp_path, world.hosted) as node:
            node.deliver(*world.items[:2], world.sign(sealing, "root", nodes=[data, *made.added.values()]))
            node.check(world)
            assert node.policy(world) == world.genesis.id


@pytest.mark.parametrize("signed", [True, False], ids=["in a head", "in none yet"])
async def test_the_registry_brings_the_nodes_its_own_trees_hold(tmp_path: Path, signed: bool) -> None:
    world, genesis, seal, statement = sealed_world()
    with Node(tmp_path, world.hosted) as node:
        registry = Registry(node.store, Settings(head_interval_ms=50), Anonymous(), lambda: 0)
        async with trio.open_nursery() as nursery:
            await nursery.start(registry.run)
            for item in (genesis, statement):
                await registry.admit([Incoming(item.kind, item.record.envelopes())])
            if signed:
                await registry.sign_head()
            # Whoever makes a seal reads what is current now and sends what differs from it.
            (result,) = await registry.admit([Incoming("policy", seal.record.envelopes())])
            nursery.cancel_scope.cancel()
        assert getattr(result, "state", result) == "effective"
        assert node.policy(world) == seal.record.statement.id
