"""Seals: what a node remembers of them, or happens to have, must never decide."""

from __future__ import annotations

from pathlib import Path

import trio

from holo.core.errors import Rejected
from holo.profile import Anonymous
from holo.profile import Registry as Settings
from holo.roles.registry import Incoming, Registry
from tests.laws.model import Item
from tests.laws.stores import Node, submission_of
from tests.laws.world import World


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


async def test_the_registry_brings_the_nodes_its_own_trees_hold(tmp_path: Path) -> None:
    world, genesis, seal, statement = sealed_world()
    with Node(tmp_path, world.hosted) as node:
        registry = Registry(node.store, Settings(), Anonymous(), lambda: 0)
        async with trio.open_nursery() as nursery:
            await nursery.start(registry.run)
            for item in (genesis, statement):
                await registry.admit([Incoming(item.kind, item.record.envelopes())])
            await registry.sign_head()
            (result,) = await registry.admit([Incoming("policy", seal.record.envelopes())])
            nursery.cancel_scope.cancel()
        assert getattr(result, "state", result) == "effective"
        assert node.policy(world) == seal.record.statement.id
