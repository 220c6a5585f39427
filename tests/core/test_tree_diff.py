"""Two trees side by side: which keys differ and which nodes (spec section 3)."""

from __future__ import annotations

import random
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import tree
from tests.core.tree_models import Shelf, key_sets, keys, named, shelf_of, statement_id

Contents = dict[bytes, tree.Value]


def stated_diff(before: Contents, after: Contents) -> list[tuple[bytes, tree.Value | None, tree.Value | None]]:
    return [
        (key, before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def assert_differs(before: Contents, after: Contents) -> None:
    """Both comparisons say what the dicts and the sets of nodes say."""
    old, old_root = shelf_of(before.items())
    new, new_root = shelf_of(after.items())
    assert list(tree.diff(old.read, old_root, new.read, new_root)) == stated_diff(before, after)
    found = list(tree.changed_nodes(old.read, old_root, new.read, new_root))
    assert len(found) == len({cid for cid, _ in found})
    assert dict(found) == {cid: data for cid, data in new.nodes.items() if cid not in old.nodes}
    known = set(old.nodes)
    for cid, data in found:  # whoever receives them in this order can place each at once
        assert cid == new_root or any(new.nodes[parent].find(cid) >= 0 for parent in known & new.nodes.keys())
        assert cid.matches(data)
        known.add(cid)


@given(key_sets(), key_sets(max_blocks=2), st.randoms(use_true_random=False))
def test_any_two_trees(one: set[bytes], other: set[bytes], rng: random.Random) -> None:
    before = {key: named(key) for key in one}
    share = rng.choice([0.5, 0.95, 1])
    kept = {key: value for key, value in before.items() if rng.random() < share}
    after = kept | {key: named(key, rng.randrange(2)) for key in other}
    assert_differs(before, after)
    assert_differs(after, before)
    assert_differs(before, before)


@given(key_sets(), key_sets(max_blocks=2), keys)
def test_only_beyond_a_key(one: set[bytes], other: set[bytes], beyond: bytes) -> None:
    before = {key: named(key) for key in one}
    after = before | {key: named(key, 1) for key in other}
    old, old_root = shelf_of(before.items())
    new, new_root = shelf_of(after.items())
    for place in (beyond, *sorted(other)[::7]):
        found = list(tree.diff(old.read, old_root, new.read, new_root, beyond=place))
        assert found == [item for item in stated_diff(before, after) if item[0] > place]


@given(key_sets(), keys)
def test_one_key_more(chosen: set[bytes], key: bytes) -> None:
    """Reshaping as well as growth: the new key may cut a prefix or turn a leaf into a branch."""
    before = {name: named(name) for name in chosen}
    assert_differs(before, before | {key: named(key, 1)})
    assert_differs(before | {key: named(key, 1)}, before)


def test_from_and_to_the_empty_tree() -> None:
    contents = {b"%03d" % number: named(b"%03d" % number) for number in range(300)}
    assert_differs({}, contents)
    assert_differs(contents, {})
    assert_differs({}, {})


def test_equal_subtrees_are_not_read() -> None:
    contents = {b"%05d" % number: named(b"%05d" % number) for number in range(20_000)}
    old, root = shelf_of(contents.items())
    change = tree.update(old.read, root, {b"12345": named(b"12345", 1), b"00000": None, b"zzz": [1]})
    new = Shelf(old.nodes | change.added)
    old.reads.clear()
    assert [key for key, _, _ in tree.diff(old.read, root, new.read, change.root)] == [b"00000", b"12345", b"zzz"]
    assert set(old.reads) == change.removed
    assert set(new.reads) == change.added.keys()
    old.reads.clear()
    assert dict(tree.changed_nodes(old.read, root, new.read, change.root)) == change.added
    assert set(old.reads) <= change.removed
    assert list(tree.diff(Shelf().read, root, Shelf().read, root)) == []
    assert list(tree.changed_nodes(Shelf().read, root, Shelf().read, root)) == []


def test_what_is_gone_is_not_read_to_find_what_is_new() -> None:
    contents = {b"%05d" % number: named(b"%05d" % number) for number in range(20_000)}
    old, root = shelf_of(contents.items())
    gone: dict[bytes, tree.Value | None] = {b"%05d" % number: None for number in range(3000, 8000)}
    change = tree.update(old.read, root, gone)
    new = Shelf(old.nodes | change.added)
    old.reads.clear()
    assert dict(tree.changed_nodes(old.read, root, new.read, change.root)) == change.added
    assert len(old.reads) <= 3


def test_a_diff_is_lazy() -> None:
    contents = {b"%05d" % number: named(b"%05d" % number) for number in range(20_000)}
    shelf, root = shelf_of(contents.items())
    assert len(list(islice(tree.diff(Shelf().read, tree.EMPTY, shelf.read, root), 5))) == 5
    assert len(shelf.reads) <= 6


def test_what_python_takes_for_equal_but_is_written_differently_differs() -> None:
    link = statement_id(b"x")
    pairs: list[tuple[tree.Value, tree.Value]] = [([1], [True]), ([[0]], [[False]]), ([link], [bytes(link)])]
    for one, other in pairs:
        assert one == other
        old, old_root = shelf_of([(b"k", one), (b"same", [1])])
        new, new_root = shelf_of([(b"k", other), (b"same", [1])])
        assert list(tree.diff(old.read, old_root, new.read, new_root)) == [(b"k", one, other)]


@pytest.mark.parametrize(("here", "there"), [(b"\x01", b"\x02"), (b"\x01", b"\x01\x01"), (b"", b"\x01\x01")])
def test_the_same_node_elsewhere_is_not_taken_for_no_change(here: bytes, there: bytes) -> None:
    """A subtree moves, beside or below where it was: every key of it differs, though its node is the same."""
    moved = [bytes((1, 1, last)) for last in range(70)]
    others: Contents = {bytes((first, 3)): [3] for first in (1, 3)}
    before, after = ({stem + key: [0] for key in moved} | others for stem in (here, there))
    old, old_root = shelf_of(before.items())
    new, new_root = shelf_of(after.items())
    assert old.nodes.keys() & new.nodes.keys()
    assert list(tree.diff(old.read, old_root, new.read, new_root)) == stated_diff(before, after)
    assert list(tree.diff(new.read, new_root, old.read, old_root)) == stated_diff(after, before)
    sent = dict(tree.changed_nodes(old.read, old_root, new.read, new_root))
    assert sent.keys() | old.nodes.keys() >= new.nodes.keys()
    sent = dict(tree.changed_nodes(new.read, new_root, old.read, old_root))
    assert sent.keys() | new.nodes.keys() >= old.nodes.keys()


def test_a_tree_that_repeats_itself_is_compared_in_proportion_to_its_nodes() -> None:
    """Six levels of 200 equal children: more keys than anybody counts, in seven nodes."""
    shelf = Shelf()
    link = shelf.put([0, [[bytes((at,)), 0] for at in range(64)]])
    count = 64
    for _ in range(6):
        link = shelf.put([1, b"", None, [[byte, count, link] for byte in range(200)]])
        count *= 200
    assert tree.check_tree(shelf.read, link) == count == 64 * 200**6
    shelf.reads.clear()
    assert dict(tree.walk(shelf.read, link)) == shelf.nodes
    assert len(list(tree.changed_nodes(shelf.read, tree.EMPTY, shelf.read, link))) == 7
    assert len(shelf.reads) == 14
