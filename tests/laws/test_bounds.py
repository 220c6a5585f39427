"""Where lists are cut and budgets are met: what every node shows must still not depend on what it heard first."""

from __future__ import annotations

from pathlib import Path

from holo.core.limits import PENDING_PER_SIGNER, RIVALS_PER_PARENT, TREE_VALUE_BYTES
from holo.store.store import Request
from tests.laws.pull import converge
from tests.laws.stores import Node, submission_of
from tests.laws.world import World, everywhere

ENTRY_BYTES = 44  # of a statement with one endorser in a value of the pending tree


def test_what_shows_converges_where_it_is_cut(tmp_path: Path) -> None:
    people = [f"signer{at}" for at in range(20)]
    world = World(signers=everywhere(*people), thresholds=(("*", 9),))
    room = TREE_VALUE_BYTES // ENTRY_BYTES
    front = [
        world.bind("app/dev", "one", 9, by=(people[-1 - at // PENDING_PER_SIGNER],), at_ms=at) for at in range(room - 1)
    ]
    assert len({item.id for item in front}) == room - 1
    edge = world.binding("app/dev", "two", 1)
    few, more = people[:3], people[:8]
    common = list(world.items)
    with Node(tmp_path, world.hosted) as node, Node(tmp_path, world.hosted, "other") as other:
        node.deliver(*common, world.sign(edge, *few))
        other.deliver(*common, world.sign(edge, *more))
        converge([node, other])
        assert node.catalog() == other.catalog()


def test_a_full_mailbox_converges_where_others_signed_the_same(tmp_path: Path) -> None:
    world = World(signers=everywhere("alice", "bob", "carol"), thresholds=(("*", 2),))
    for at in range(PENDING_PER_SIGNER):
        world.bind("app/dev", "one", 1, by=("carol",), at_ms=at)
    wanted = world.bind("app/dev", "two", 2, by=("alice",))
    world.sign(wanted, "bob")
    common = list(world.items)
    with Node(tmp_path, world.hosted) as node, Node(tmp_path, world.hosted, "other") as other:
        node.deliver(*common, world.sign(wanted, "carol"))
        other.deliver(*common)
        converge([node, other])
        # Carol's mailbox has no room for all nine, and both must see why.
        assert node.catalog() == other.catalog()
        node.check(world)


def test_a_flood_of_rivals_keeps_no_branch_out(tmp_path: Path) -> None:
    world = World()
    first = world.amend(world.genesis, signers=everywhere("alice", "bob", "carol"))
    new = world.amend(first, roots=(("root2",), 1), by=("root", "root2", "recovery"))
    owned = list(world.items)
    flood = [
        world.sign(world.amend(world.genesis, nonce=at), "root") for at in range(1, 2 * RIVALS_PER_PARENT + 2)
    ]  # by a root that was retired since, at a node that has not heard of it
    with Node(tmp_path, world.hosted) as node, Node(tmp_path, world.hosted, "other") as other:
        node.deliver(*owned)
        other.deliver(owned[0], *flood, apart=True)
        node.deliver(*flood[::-1], apart=True)
        converge([node, other])
        assert node.policy(world) == other.policy(world) == new.id


def test_a_branch_that_recovery_speaks_for_has_room_everywhere(tmp_path: Path) -> None:
    world = World()
    flood = [world.amend(world.genesis, nonce=at) for at in range(1, RIVALS_PER_PARENT + 1)]
    genesis, *items = world.items
    one_more = world.amend(world.genesis, nonce=999)
    meant = world.amend(one_more, by=("root", "recovery"))
    bare, endorsed = world.items[-2:]
    with Node(tmp_path, world.hosted) as node:
        node.deliver(genesis, *items, apart=True)
        ((refused,),) = node.store.commit([Request([submission_of(bare)])])
        assert getattr(refused, "code", None) == "policy-rivals-full"
        results = node.deliver_together(bare, endorsed)
        assert [getattr(result, "state", result) for result in results] == ["held", "effective"]
        assert node.policy(world) == meant.id
    assert len(flood) == RIVALS_PER_PARENT
