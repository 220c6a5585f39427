"""The wordings that broke while the rules were found, one test each. Each holds in every order, and in the model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from holo.core.cid import Cid
from holo.core.decision import Decision, Query
from holo.core.envelope import Statement
from holo.core.errors import HoloError
from holo.core.limits import INT_MAX, PENDING_PER_SIGNER
from holo.core.names import Name
from holo.store.bindings import pending
from holo.store.policies import PolicyCache
from tests.laws.model import Item
from tests.laws.pull import converge
from tests.laws.stores import Node, permitted
from tests.laws.world import NOBODY_HAS, World, everywhere

_left_open = ExitStack()


@pytest.fixture(autouse=True)
def _close_nodes() -> Iterator[None]:
    with _left_open:
        yield


def every_order(folder: Path, world: World) -> Node:
    """Deliver a world in every order it may come in, checked at each step; a node at the end, for a closer look."""
    genesis, *rest = world.items
    catalogs = set()
    for order in orders(rest):
        with Node(folder, world.hosted) as node:
            node.deliver(genesis)
            for item in permitted(order, node.model):
                (result,) = node.deliver(item)
                node.check_catalog()
                assert isinstance(result, HoloError) or result.state == node.model.stands(item)
            catalogs.add(node.catalog())
    assert len(catalogs) == 1
    last = Node(folder, world.hosted)
    _left_open.callback(last.close)
    last.deliver(genesis, *permitted(rest, last.model))
    last.check(world)
    assert last.catalog() in catalogs
    return last


def orders(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Every order of a few; of more every one in which a single item moved, in the order given and in the reverse."""
    if len(items) <= 4:
        yield from itertools.permutations(items)
        return
    for given in (list(items), list(items)[::-1]):
        for item, to in itertools.product(given, range(len(given))):
            moved = [other for other in given if other is not item]
            moved.insert(to, item)
            if moved != given or item is given[0]:
                yield moved


def ask(node: Node, path: str = "app/dev") -> Decision:
    """The decision about a name."""
    handle, _, tag = path.rpartition("/")
    with node.store.view() as view:
        return view.decide(Query(Name("acme", handle, tag)))


def current(node: Node, path: str = "app/dev") -> list[tuple[Cid, tuple[int, ...]]]:
    """The current statements of a name with the positions of their endorsers."""
    with node.store.view() as view:
        return [(item.id, item.positions) for item in view.records.current("acme", path)]


def shown(node: Node, path: str = "app/dev") -> dict[Cid, tuple[int, ...]]:
    """The statements a name shows as pending with the positions of their endorsers."""
    with node.store.view() as view:
        row = view.namespace("acme")
        return {cid: tuple(sorted(signed)) for cid, _, signed in pending(view.records, PolicyCache(), row, path)}


def ground(make: Callable[[int], Statement], below: Statement) -> Statement:
    """The first of many statements whose id is smaller than another's."""
    return next(made for made in map(make, itertools.count(1)) if made.id < below.id)


def test_a_threshold_raised_from_one_to_two(tmp_path: Path) -> None:
    world = World()
    first = world.bind("app/dev", "one")
    world.amend(world.genesis, thresholds=(("*", 2),))  # without a seal: never admitted
    sealing = world.amend(world.genesis, thresholds=(("*", 2),), keep={"app/dev": [(first.id, [0])]})
    world.bind("app/dev", "two", 2)  # under the old threshold, in flight
    world.bind("app/dev", "two", 3, policy=sealing)
    last = every_order(tmp_path, world)
    assert current(last) == [(first.id, (0,))]
    both = world.bind("app/dev", "two", 2, policy=sealing, by=("alice", "bob"))
    last.deliver(world.items[-1])
    last.check(world)
    assert current(last) == [(both.id, (0, 1))]


def test_a_tie_of_one_content_ground_to_a_smaller_id(tmp_path: Path) -> None:
    world = World(signers=everywhere("alice", "bob", "carol"))
    honest = world.bind("app/dev", "one")
    made = ground(lambda at: world.binding("app/dev", "one", at_ms=at), honest)
    world.sign(made, "alice")
    world.sign(ground(lambda at: world.binding("app/dev", "one", at_ms=at), made), "bob")
    fork = world.bind("app/dev", "two", by=("carol",))
    last = every_order(tmp_path, world)
    # The same content twice never hides the fork, and it is the position that leads, then the smaller id.
    assert [item for item, _ in current(last)] == [made.id, fork.id]
    assert ask(last).flags == ("forked",)


def test_endorsements_that_arrive_between_others(tmp_path: Path) -> None:
    world = World()
    one, two = world.bind("app/dev", "one", by=("bob",)), world.bind("app/dev", "two", by=("bob",))
    with Node(tmp_path, world.hosted) as node:
        node.deliver(*world.items)
        assert ask(node).outcome == "held"  # one signer signed two
    world.sign(two, "alice")
    world.sign(one, "bob", "mallory")
    world.sign(two, "mallory")
    last = every_order(tmp_path, world)
    assert current(last) == [(two.id, (0, 1)), (one.id, (1,))]
    assert ask(last).outcome == "resolved"
    assert ask(last).flags == ("forked",)


def test_a_mailbox_flooded_by_one_key_below_the_threshold(tmp_path: Path) -> None:
    world = World(signers=everywhere("alice", "bob", "carol"), thresholds=(("*", 2),))
    wanted = world.bind("app/dev", "one")
    flood = [
        world.bind("app/dev", "two", INT_MAX - at % 3, by=("bob",), at_ms=at) for at in range(3 * PENDING_PER_SIGNER)
    ]
    best = sorted(flood, key=lambda item: (-item.value["rev"], item.id))[:PENDING_PER_SIGNER]
    expected = {item.id for item in best} | {wanted.id}
    genesis, *rest = world.items
    for order in (rest, rest[::-1], rest[1::2] + rest[::2]):
        with Node(tmp_path, world.hosted) as node, Node(tmp_path, world.hosted, "other") as other:
            node.deliver(genesis, *order, apart=True)
            node.check(world)
            assert shown(node).keys() == expected
            other.deliver(genesis, *order[::2], apart=True)
            converge([node, other])
            other.check(world)
            world.sign(wanted, "alice", "carol")
            node.deliver(world.items.pop())
            node.check(world)
            assert current(node) == [(wanted.id, (0, 2))]


def test_a_full_mailbox_keeps_no_other_endorser_out(tmp_path: Path) -> None:
    world = World(signers=everywhere("alice", "bob"), thresholds=(("*", 3),))
    for at in range(PENDING_PER_SIGNER):
        world.bind("app/dev", "two", INT_MAX, by=("alice",), at_ms=at)
    low = world.bind("app/dev", "one", by=("alice", "bob"))
    with Node(tmp_path, world.hosted) as node:
        node.deliver(*world.items, apart=True)
        node.check(world)
        assert shown(node)[low.id] == (1,)  # what bob said, without alice


def test_a_mailbox_full_under_one_policy_has_room_under_the_next(tmp_path: Path) -> None:
    world = World(thresholds=(("*", 2),))
    later = world.amend(world.genesis)
    old = [world.bind("app/dev", "two", INT_MAX, at_ms=at).id for at in range(PENDING_PER_SIGNER)]
    new = [world.bind("app/dev", "one", at + 1, policy=later).id for at in range(PENDING_PER_SIGNER)]
    genesis, amended, *partial = world.items
    with Node(tmp_path, world.hosted) as node:
        node.deliver(genesis, amended, *partial, apart=True)
        node.check(world)
        assert shown(node).keys() == {*old, *new}
        # Nothing under a policy before the seal shows, and it takes no room from what does.
        sealing = world.amend(later, keep={})
        node.deliver(world.items[-1])
        assert not shown(node)
        last = world.bind("app/dev", "one", 1, policy=sealing)
        node.deliver(world.items[-1])
        node.check(world)
        assert shown(node).keys() == {last.id}


def test_two_halves_never_make_a_whole(tmp_path: Path) -> None:
    world = World(thresholds=(("*", 2),))
    statement = world.bind("app/dev", "one", by=("alice",))
    world.sign(statement, "bob")
    assert ask(every_order(tmp_path, world)).outcome == "pending"
    with Node(tmp_path, world.hosted) as node, Node(tmp_path, world.hosted, "other") as other:
        genesis, half, rest = world.items
        node.deliver(genesis, half)
        other.deliver(genesis, rest)
        converge([node, other])
        assert ask(node).outcome == ask(other).outcome == "pending"
        node.check(world)


def test_a_seal_that_drops_a_name(tmp_path: Path) -> None:
    world = World()
    kept, _ = world.bind("lib/dev", "one"), world.bind("app/dev", "one", 7)
    sealing = world.amend(world.genesis, keep={"lib/dev": [(kept.id, [0])]})
    last = every_order(tmp_path, world)
    assert ask(last).outcome == "not-found"
    assert ask(last, "lib/dev").outcome == "resolved"
    world.bind("app/dev", "two", 1, policy=sealing)
    assert ask(every_order(tmp_path, world)).outcome == "resolved"


def test_a_seal_that_names_an_id_nobody_has(tmp_path: Path) -> None:
    world = World()
    kept = world.bind("lib/dev", "one")
    sealing = world.amend(world.genesis, keep={"lib/dev": [(kept.id, [0])], "app/dev": [(NOBODY_HAS, [0])]})
    world.bind("lib/dev", "two", 2, policy=sealing)
    last = every_order(tmp_path, world)
    assert ask(last, "lib/dev").outcome == "held"
    assert current(last, "lib/dev") == [(kept.id, (0,))]  # the view of the policy last in effect


def test_a_seal_that_lists_fewer_endorsers_than_were_needed(tmp_path: Path) -> None:
    world = World(thresholds=(("*", 2),))
    kept = world.bind("app/dev", "one", by=("alice", "bob"))
    world.amend(world.genesis, keep={"app/dev": [(kept.id, [0])]})
    last = every_order(tmp_path, world)
    assert ask(last).outcome == "held"
    assert last.policy(world) == world.genesis.id


def test_a_complete_statement_that_falls_out_of_a_mailbox(tmp_path: Path) -> None:
    world = World(thresholds=(("*", 2),))
    whole = world.bind("app/dev", "one", by=("alice", "bob"))
    world.sign(whole, "alice")
    genesis, complete, half = world.items
    for at in range(PENDING_PER_SIGNER):
        world.bind("app/dev", "two", INT_MAX, at_ms=at)
    for order in ([half, complete], [complete, half]):
        with Node(tmp_path, world.hosted) as node:
            node.deliver(genesis, *order, *world.items[3:])
            node.check(world)
            assert current(node) == [(whole.id, (0, 1))]


def test_a_seal_that_names_a_statement_of_another_name(tmp_path: Path) -> None:
    world = World()
    kept = world.bind("lib/dev", "one")
    world.amend(world.genesis, keep={"app/dev": [(kept.id, [0])]})
    last = every_order(tmp_path, world)
    assert ask(last, "lib/dev").outcome == "held"
    assert last.policy(world) == world.genesis.id


def test_a_seal_followed_by_another(tmp_path: Path) -> None:
    world = World()
    kept, dropped = world.bind("lib/dev", "one"), world.bind("app/dev", "one")
    broken = world.amend(world.genesis, keep={"app/dev": [(NOBODY_HAS, [0]), (dropped.id, [0])]})
    mended = world.amend(broken, keep={"lib/dev": [(kept.id, [0])]})
    last = every_order(tmp_path, world)
    assert last.policy(world) == mended.id
    assert ask(last, "lib/dev").outcome == "resolved"
    assert ask(last).outcome == "not-found"


def test_a_seal_that_puts_back_what_another_dropped(tmp_path: Path) -> None:
    world = World()
    first, second = world.bind("app/dev", "one"), world.bind("app/dev", "two", 2)
    sealing = world.amend(world.genesis, keep={})
    back = world.amend(sealing, keep={"app/dev": [(first.id, [0])]})
    last = every_order(tmp_path, world)
    assert last.policy(world) == back.id
    assert current(last) == [(first.id, (0,))]
    assert second.id != first.id


def test_a_seal_that_meets_a_statement_in_flight(tmp_path: Path) -> None:
    world = World()
    first = world.bind("app/dev", "one")
    sealing = world.amend(world.genesis, keep={"app/dev": [(first.id, [0])]})
    world.bind("app/dev", "two", 2)
    last = every_order(tmp_path, world)
    assert current(last) == [(first.id, (0,))]
    again = world.bind("app/dev", "two", 2, policy=sealing)
    assert current(every_order(tmp_path, world)) == [(again.id, (0,))]


def test_a_revoked_key_that_endorses_after_the_seal(tmp_path: Path) -> None:
    world = World(signers=everywhere("bob", "alice"))
    kept = world.bind("app/dev", "one", by=("alice",))
    rest = world.bind("app/dev", "two", by=("alice",))
    keep = {"app/dev": [(kept.id, [1]), (rest.id, [1])]}
    sealing = world.amend(world.genesis, signers=everywhere("alice"), keep=keep)
    world.sign(rest, "bob")  # would lead the tie, were it not for the seal
    world.bind("app/dev", "two", 9, by=("bob",))
    world.bind("app/dev", "two", 9, policy=sealing, by=("bob",))
    last = every_order(tmp_path, world)
    best = min(kept.id, rest.id)
    assert current(last)[0][0] == best
    assert {positions for _, positions in current(last)} == {(1,)}
    assert ask(last).outcome == "held"


def test_a_seal_waits_for_the_endorsers_it_lists(tmp_path: Path) -> None:
    world = World()
    kept = world.bind("app/dev", "one")
    sealing = world.amend(world.genesis, keep={"app/dev": [(kept.id, [0, 1])]})
    assert ask(every_order(tmp_path, world)).outcome == "held"
    world.sign(kept, "bob")
    last = every_order(tmp_path, world)
    assert last.policy(world) == sealing.id
    assert current(last) == [(kept.id, (0, 1))]


def test_signers_reordered(tmp_path: Path) -> None:
    world = World()
    one, two = world.bind("app/dev", "one"), world.bind("app/dev", "two", by=("bob",))
    keep = {"app/dev": [(one.id, [0]), (two.id, [1])]}
    world.amend(world.genesis, signers=everywhere("bob", "alice"))  # without a seal: never admitted
    sealing = world.amend(world.genesis, signers=everywhere("bob", "alice"), keep=keep)
    last = every_order(tmp_path, world)
    assert current(last) == [(one.id, (0,)), (two.id, (1,))]  # by the policy each cites, not by the one in effect
    both = [
        world.bind("app/dev", "one", 2, policy=sealing),
        world.bind("app/dev", "two", 2, policy=sealing, by=("bob",)),
    ]
    last.deliver(*world.items[-2:])
    last.check(world)
    assert current(last) == [(both[1].id, (0,)), (both[0].id, (1,))]


def test_a_tie_across_a_seal_that_reorders_signers(tmp_path: Path) -> None:
    world = World()
    old = world.bind("app/dev", "one")
    sealing = world.amend(world.genesis, signers=everywhere("bob", "alice"), keep={"app/dev": [(old.id, [0])]})
    new = world.bind("app/dev", "two", policy=sealing, by=("bob",))
    last = every_order(tmp_path, world)
    assert current(last) == sorted([(old.id, (0,)), (new.id, (0,))])
    assert ask(last).flags == ("forked",)  # one position, but two people
    world.items.pop()
    own = world.bind("app/dev", "two", policy=sealing)
    last = every_order(tmp_path, world)
    assert current(last) == [(old.id, (0,)), (own.id, (1,))]
    assert ask(last).outcome == "held"  # two positions, but one person


def test_retired_roots_that_make_a_rival(tmp_path: Path) -> None:
    world = World()
    new = world.amend(world.genesis, roots=(("root2",), 1), by=("root", "root2", "recovery"))
    rival = world.amend(world.genesis, signers=everywhere("alice", "bob", "mallory"))
    longer = world.amend(rival, nonce=1)
    mine = world.bind("app/dev", "one", policy=new)
    world.bind("app/dev", "two", 9, policy=longer, by=("mallory",))
    last = every_order(tmp_path, world)
    assert last.policy(world) == new.id
    assert current(last) == [(mine.id, (0,))]


def test_recovery_that_endorses_one_branch_and_then_both(tmp_path: Path) -> None:
    world = World()
    one, two = world.amend(world.genesis, nonce=1), world.amend(world.genesis, nonce=2)
    mine, _ = world.bind("app/dev", "one", policy=one), world.bind("app/dev", "two", policy=two)
    assert ask(every_order(tmp_path, world)).outcome == "held"
    world.sign(one, "root", "recovery")
    last = every_order(tmp_path, world)
    assert last.policy(world) == one.id
    assert current(last) == [(mine.id, (0,))]
    world.sign(two, "root", "recovery")
    last = every_order(tmp_path, world)
    assert ask(last).outcome == "held"
    assert last.policy(world) == world.genesis.id
    below = world.amend(two, by=("root", "recovery"))
    assert every_order(tmp_path, world).policy(world) == below.id


def test_a_stolen_key_at_the_last_revision_undone_by_a_seal(tmp_path: Path) -> None:
    world = World()
    honest = world.bind("app/dev", "one", 3)
    world.bind("app/dev", "two", INT_MAX, by=("bob",))
    world.bind("app/dev", "two", INT_MAX, by=("bob",), at_ms=1)
    sealing = world.amend(world.genesis, signers=everywhere("alice"), keep={"app/dev": [(honest.id, [0])]})
    last = every_order(tmp_path, world)
    assert current(last) == [(honest.id, (0,))]
    after = world.bind("app/dev", "two", 4, policy=sealing)
    last.deliver(world.items[-1])
    last.check(world)
    assert current(last) == [(after.id, (0,))]
