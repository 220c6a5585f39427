"""The Merkle radix tree against a plain dict and against the shape the text prescribes (spec section 3)."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holo.core import tree
from holo.core.cid import Cid
from holo.core.errors import Missing, Rejected
from holo.core.limits import LEAF_KEYS, TREE_KEY_BYTES, TREE_VALUE_BYTES
from holo.core.tree_node import Branch, Leaf, decode_node
from tests.core.tree_models import Shelf, key_sets, keys, named, shelf_of, stated_root

Contents = dict[bytes, tree.Value]


def contents_of(chosen: set[bytes]) -> Contents:
    return {key: named(key) for key in chosen}


def changed(contents: Contents, changes: dict[bytes, tree.Value | None]) -> Contents:
    """The dict that the tree is compared with."""
    result = dict(contents)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def assert_updates(contents: Contents, changes: dict[bytes, tree.Value | None]) -> None:
    """``changes`` to the tree of ``contents`` make the tree of the result, with exact bookkeeping."""
    shelf, root = shelf_of(contents.items())
    change = tree.update(shelf.read, root, changes)
    rebuilt = tree.build(changed(contents, changes).items())
    assert change.root == rebuilt.root
    assert shelf.nodes.keys() - change.removed | change.added.keys() == rebuilt.added.keys()
    assert not shelf.nodes.keys() & change.added.keys()
    assert change.removed <= shelf.nodes.keys()


# ------------------------------------------------------------------------------------------ shape


@given(key_sets(), st.randoms(use_true_random=False))
def test_the_tree_has_the_stated_shape_whatever_the_order(chosen: set[bytes], rng: random.Random) -> None:
    contents = contents_of(chosen)
    items = list(contents.items())
    rng.shuffle(items)
    change = tree.build(items)
    root, nodes = stated_root(contents)
    assert change.root == root
    assert len(change.added) == nodes
    assert change.removed == set()
    assert all(cid.matches(data) for cid, data in change.added.items())
    assert tree.check_tree(Shelf(change.added).read, root) == len(contents)


def test_a_known_tree_keeps_its_root() -> None:
    numbers: Contents = {b"acme/app:%d" % number: [number] for number in range(1000)}
    assert str(tree.build(numbers.items()).root) == "bafyr4igqzkh7wo5ffgwy6ojapapqilwbbpe45lz3b6y7glj4zwe3gv5apu"


@pytest.mark.parametrize(("size", "kind"), [(0, Leaf), (1, Leaf), (64, Leaf), (65, Branch), (66, Branch)])
def test_65_keys_are_the_first_branch(size: int, kind: type) -> None:
    shelf, root = shelf_of((b"k%03d" % number, [number]) for number in range(size))
    node = decode_node(shelf.nodes[root])
    assert type(node) is kind
    assert node.total == size


def test_the_empty_key_is_the_own_value_of_a_root() -> None:
    contents = contents_of({b""} | {bytes((at,)) for at in range(64)})
    shelf, root = shelf_of(contents.items())
    node = decode_node(shelf.nodes[root])
    assert isinstance(node, Branch)
    assert node.own == contents[b""]
    assert node.prefix == b""
    assert tree.get(shelf.read, root, b"") == contents[b""]
    assert tree.count(shelf.read, root) == 65


def test_long_common_prefixes_are_taken_in_one_step() -> None:
    stem = b"long/" * 60
    contents = contents_of({stem + bytes((at, 0)) for at in range(65)})
    shelf, root = shelf_of(contents.items())
    node = decode_node(shelf.nodes[root])
    assert isinstance(node, Branch)
    assert node.prefix == stem
    assert len(shelf.nodes) == 66
    assert dict(tree.iterate(shelf.read, root)) == contents


def test_a_prefix_that_is_itself_a_key_is_the_branch_s_own() -> None:
    stem = b"s" * (TREE_KEY_BYTES - 1)
    contents = contents_of({stem} | {stem + bytes((at,)) for at in range(256)})
    shelf, root = shelf_of(contents.items())
    node = decode_node(shelf.nodes[root])
    assert isinstance(node, Branch)
    assert (node.prefix, node.own, len(node.children)) == (stem, contents[stem], 256)
    assert dict(tree.iterate(shelf.read, root)) == contents


def test_the_deepest_chain_there_is() -> None:
    """Each key a prefix of the next: a branch for every length but the last 64."""
    contents = contents_of({b"a" * length for length in range(TREE_KEY_BYTES + 1)})
    shelf, root = shelf_of(contents.items())
    assert len(shelf.nodes) == TREE_KEY_BYTES + 1 - LEAF_KEYS + 1
    assert tree.check_tree(shelf.read, root) == len(contents)
    assert dict(tree.iterate(shelf.read, root)) == contents
    longest = b"a" * TREE_KEY_BYTES
    proof = tree.prove(shelf.read, root, longest)
    assert len(proof) == len(shelf.nodes)
    assert tree.check_proof(root, longest, proof) == contents[longest]
    assert_updates(contents, {longest: None})
    assert_updates(contents, dict.fromkeys(contents))
    assert_updates({}, dict(contents))


# ------------------------------------------------------------------------------------------ refusals


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(Rejected) as caught:
        tree.build([(b"a", [1]), (b"b", [1]), (b"a", [1])])
    assert caught.value.code == "tree-invalid"


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"k" * (TREE_KEY_BYTES + 1), [1]), (b"k", [b"v" * TREE_VALUE_BYTES]), (b"k" * 5000, [1])],
    ids=["key", "value", "far-too-long-key"],
)
@pytest.mark.parametrize("others", [0, 200])
def test_keys_and_values_are_bounded(key: bytes, value: tree.Value, others: int) -> None:
    contents = contents_of({b"%d" % number for number in range(others)})
    with pytest.raises(Rejected) as caught:
        tree.build([*contents.items(), (key, value)])
    assert caught.value.code == "too-large"
    shelf, root = shelf_of(contents.items())
    with pytest.raises(Rejected) as caught:
        tree.update(shelf.read, root, {key: value})
    assert caught.value.code == "too-large"


def test_a_node_that_is_not_here_is_missing() -> None:
    contents = contents_of({b"%03d" % number for number in range(500)})
    shelf, root = shelf_of(contents.items())
    child = next(link for link, _ in islice(tree.walk(shelf.read, root), 1, None))
    del shelf.nodes[child]
    uses: list[Callable[[], Any]] = [
        lambda: [tree.get(shelf.read, root, key) for key in contents],
        lambda: [tree.prove(shelf.read, root, key) for key in contents],
        lambda: tree.update(shelf.read, root, dict.fromkeys(contents)),
        lambda: list(tree.iterate(shelf.read, root)),
        lambda: list(tree.walk(shelf.read, root)),
        lambda: list(tree.diff(shelf.read, tree.EMPTY, shelf.read, root)),
        lambda: list(tree.changed_nodes(shelf.read, tree.EMPTY, shelf.read, root)),
        lambda: tree.check_tree(shelf.read, root),
    ]
    for use in uses:
        with pytest.raises(Missing) as caught:
            use()
        assert caught.value.code == "node-missing"


def test_the_empty_tree_needs_no_storage() -> None:
    shelf = Shelf()
    assert tree.get(shelf.read, tree.EMPTY, b"") is None
    assert tree.count(shelf.read, tree.EMPTY) == 0
    assert list(tree.iterate(shelf.read, tree.EMPTY)) == []
    assert list(tree.walk(shelf.read, tree.EMPTY)) == [(tree.EMPTY, tree.EMPTY_NODE)]
    assert tree.check_tree(shelf.read, tree.EMPTY) == 0
    assert tree.check_proof(tree.EMPTY, b"k", tree.prove(shelf.read, tree.EMPTY, b"k")) is None
    first = tree.update(shelf.read, tree.EMPTY, {b"k": [1]})
    assert first.removed == {tree.EMPTY}
    last = tree.update(Shelf(first.added).read, first.root, {b"k": None})
    assert last == tree.Change(tree.EMPTY, {tree.EMPTY: tree.EMPTY_NODE}, {first.root})
    assert tree.build([]) == tree.Change(tree.EMPTY, {tree.EMPTY: tree.EMPTY_NODE}, set())
    assert shelf.reads == []


# ------------------------------------------------------------------------------------------ update


@given(key_sets(), key_sets(max_blocks=2), st.data())
@settings(max_examples=150)
def test_an_update_makes_the_tree_of_the_result(before: set[bytes], touched: set[bytes], data: st.DataObject) -> None:
    """Any batch of inserts, replacements and deletions, of keys that are there and of keys that are not."""
    share = data.draw(st.integers(0, 10))
    doomed = {key for key in touched if crc32(key) % 10 < share}
    if data.draw(st.booleans()):
        keep = data.draw(st.integers(62, 67))  # fall back to about the size of a leaf
        doomed |= set(sorted(before, key=crc32)[keep:])
    changes = {key: None if key in doomed else named(key, 1) for key in touched | doomed}
    assert_updates(contents_of(before), changes)


@pytest.mark.parametrize("stem", [b"", b"s", b"s" * 300])
@pytest.mark.parametrize("spread", [1, 2, 65])
def test_64_and_65_are_crossed_both_ways(stem: bytes, spread: int) -> None:
    """``spread`` different bytes after the stem: what collapses has one child, two or as many as keys."""
    every = [stem + bytes((at % spread, at)) for at in range(65)]
    small, large = contents_of(set(every[:64])), contents_of(set(every))
    assert_updates(small, {every[64]: named(every[64])})
    assert_updates(large, {every[64]: None})
    assert_updates(large, {every[0]: None})
    assert_updates(large, {every[0]: None, every[1]: None, every[2]: named(every[2], 1)})


def test_a_child_falls_back_to_a_leaf_while_its_parent_stays_a_branch() -> None:
    contents = contents_of({bytes((first, last)) for first in (1, 2) for last in range(65)})
    assert_updates(contents, {bytes((1, 64)): None})
    assert_updates(contents, {bytes((1, last)): None for last in range(65)})
    assert_updates(contents, {bytes((1, last)): None for last in range(64)})


def test_a_prefix_grows_when_the_key_beside_it_goes() -> None:
    stem = b"prefix/"
    block = {stem + bytes((at,)) for at in range(100)}
    for beside in (b"", b"p", b"prefiy", b"q", stem[:-1], stem + b"\xff" * 3):
        contents = contents_of(block | {beside})
        assert_updates(contents, {beside: None})
        assert_updates(contents_of(block), {beside: named(beside)})
        assert_updates(contents_of(block), {beside: None})


def test_a_branch_is_cut_at_several_places_at_once() -> None:
    stem = b"abcdefgh"
    block = contents_of({stem + bytes((at,)) for at in range(100)})
    beside = [stem[:length] + tail for length in range(8) for tail in (b"", b"!", b"~~")]
    assert_updates(block, {key: named(key) for key in beside})
    assert_updates(block | contents_of(set(beside)), dict.fromkeys(beside))
    assert_updates(block, dict.fromkeys(block) | {key: named(key) for key in beside})


def test_key_sets_that_differ_in_the_last_byte_differ_in_root() -> None:
    stem = b"n" * (TREE_KEY_BYTES - 1)
    roots = {tree.build([(stem + bytes((at,)), [1])]).root for at in range(256)}
    assert len(roots) == 256
    many = contents_of({b"%d" % number for number in range(200)})
    roots = {tree.build([*many.items(), (stem + bytes((at,)), [1])]).root for at in range(256)}
    assert len(roots) == 256


def test_changes_that_change_nothing_leave_no_trace() -> None:
    contents = contents_of({b"%03d" % number for number in range(300)})
    shelf, root = shelf_of(contents.items())
    for changes in ({}, {b"absent": None, b"0": None, b"000x": None}, dict(contents)):
        assert tree.update(shelf.read, root, changes) == tree.Change(root, {}, set())


def test_an_update_reads_only_the_paths_it_changes() -> None:
    contents = contents_of({b"%05d" % number for number in range(20_000)})
    shelf, root = shelf_of(contents.items())
    key = b"12345"
    path = tree.prove(shelf.read, root, key)
    shelf.reads.clear()
    change = tree.update(shelf.read, root, {key: named(key, 1)})
    assert len(shelf.reads) == len(change.removed) == len(change.added) == len(path)


def test_equal_subtrees_are_one_node() -> None:
    """Where values do not belong to one key, nothing needed is lost: what is not kept is reported or still there."""
    contents: Contents = {bytes((first, last)): [0] for first in range(8) for last in range(70)}
    shelf, root = shelf_of(contents.items())
    assert len(shelf.nodes) == 3
    changes: dict[bytes, tree.Value | None] = {bytes((3, 3)): [1]}
    change = tree.update(shelf.read, root, changes)
    rebuilt = tree.build(changed(contents, changes).items())
    assert change.root == rebuilt.root
    assert rebuilt.added.keys() <= shelf.nodes.keys() | change.added.keys()
    assert shelf.nodes.keys() - rebuilt.added.keys() <= change.removed
    whole = Shelf(shelf.nodes | change.added)
    assert sorted(cid for cid, _ in tree.walk(whole.read, change.root)) == sorted(rebuilt.added)


class History(RuleBasedStateMachine):
    """A tree and a dict, changed together; the nodes on the shelf are kept by the bookkeeping of each change alone."""

    def __init__(self) -> None:
        super().__init__()
        self.model: Contents = {}
        self.root = tree.EMPTY
        self.shelf = Shelf({tree.EMPTY: tree.EMPTY_NODE})
        self.turn = 0

    @initialize(chosen=key_sets())
    def start(self, chosen: set[bytes]) -> None:
        self.apply(dict(contents_of(chosen)))

    @rule(chosen=key_sets(max_blocks=1))
    def put(self, chosen: set[bytes]) -> None:
        self.turn += 1
        self.apply({key: named(key, self.turn) for key in chosen})

    @rule(chosen=st.sets(keys, max_size=20))
    def delete_anything(self, chosen: set[bytes]) -> None:
        self.apply(dict.fromkeys(chosen))

    @rule(left=st.integers(0, 140), rng=st.randoms(use_true_random=False))
    def delete_all_but(self, left: int, rng: random.Random) -> None:
        doomed = sorted(self.model)
        rng.shuffle(doomed)
        self.apply(dict.fromkeys(doomed[left:]))

    @rule(start=keys, rng=st.randoms(use_true_random=False))
    def delete_from(self, start: bytes, rng: random.Random) -> None:
        here = [key for key in sorted(self.model) if key >= start]
        self.apply(dict.fromkeys(here[: rng.randrange(len(here) + 1)]))

    def apply(self, changes: dict[bytes, tree.Value | None]) -> None:
        change = tree.update(self.shelf.read, self.root, changes)
        for cid in change.removed:
            del self.shelf.nodes[cid]
        self.shelf.nodes.update(change.added)
        self.root = change.root
        self.model = changed(self.model, changes)

    @invariant()
    def equals_a_rebuild(self) -> None:
        rebuilt = tree.build(self.model.items())
        assert self.root == rebuilt.root
        assert self.shelf.nodes == rebuilt.added
        assert dict(tree.walk(self.shelf.read, self.root)) == rebuilt.added
        assert list(tree.iterate(self.shelf.read, self.root)) == sorted(self.model.items())
        assert tree.count(self.shelf.read, self.root) == len(self.model)
        assert tree.check_tree(self.shelf.read, self.root) == len(self.model)


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=30, stateful_step_count=12)


# ------------------------------------------------------------------------------------------ reading


@given(key_sets(), st.sets(keys, max_size=10))
def test_get_answers_as_a_dict_does(chosen: set[bytes], others: set[bytes]) -> None:
    contents = contents_of(chosen)
    shelf, root = shelf_of(contents.items())
    some = set(sorted(chosen)[::4])
    beside = {key + b"\0" for key in some} | {key[:-1] for key in some} | {key + bytes(400) for key in others}
    for key in some | others | beside:
        assert tree.get(shelf.read, root, key) == contents.get(key)


@given(key_sets(), keys, st.none() | keys, st.data())
def test_iterate_gives_the_keys_of_a_prefix_after_a_key(
    chosen: set[bytes], prefix: bytes, after: bytes | None, data: st.DataObject
) -> None:
    contents = contents_of(chosen)
    shelf, root = shelf_of(contents.items())
    if data.draw(st.booleans()) and chosen:
        after = data.draw(st.sampled_from(sorted(chosen)))
    if data.draw(st.booleans()):
        prefix = prefix[:1]
    expected = [
        (key, contents[key]) for key in sorted(contents) if key.startswith(prefix) and (after is None or key > after)
    ]
    assert list(tree.iterate(shelf.read, root, prefix, after)) == expected


def test_iterate_seeks() -> None:
    contents = contents_of({b"%05d" % number for number in range(20_000)})
    shelf, root = shelf_of(contents.items())
    found = [key for key, _ in islice(tree.iterate(shelf.read, root, after=b"12344"), 10)]
    assert found == [b"%05d" % number for number in range(12345, 12355)]
    assert len(shelf.reads) <= 7
    shelf.reads.clear()
    assert len(list(tree.iterate(shelf.read, root, prefix=b"1234"))) == 10
    assert len(shelf.reads) == 5  # the path to the one leaf
    shelf.reads.clear()
    assert list(tree.iterate(shelf.read, root, prefix=b"1234", after=b"1235")) == []
    assert list(tree.iterate(shelf.read, root, prefix=b"x")) == []
    assert len(shelf.reads) <= 5


def test_walk_gives_parents_before_their_children() -> None:
    contents = contents_of({b"%04d" % number for number in range(5000)})
    shelf, root = shelf_of(contents.items())
    seen: set[Cid] = set()
    linked = {root}
    for cid, data in tree.walk(shelf.read, root):
        assert cid in linked
        assert cid not in seen
        assert cid.matches(data)
        seen.add(cid)
        node = decode_node(data)
        if isinstance(node, Branch):
            linked |= {link for _, _, link in node.children}
    assert seen == shelf.nodes.keys()


# ------------------------------------------------------------------------------------------ at size


@pytest.mark.slow
def test_twenty_thousand_names_through_a_year_of_changes() -> None:
    rng = random.Random(20_000)
    words = ["".join(rng.choices("abcdefghijklmnop-", k=rng.randint(1, 9))) for _ in range(300)]

    def name() -> bytes:
        return f"{rng.choice(words)}/{rng.choice(words)}{rng.randrange(50)}/latest".encode()

    model: Contents = {}
    while len(model) < 20_000:
        key = name()
        model[key] = named(key)
    shelf, root = shelf_of(model.items())
    for turn in range(1, 25):
        present = sorted(model)
        changes: dict[bytes, tree.Value | None] = {key: named(key, turn) for key in rng.sample(present, 100)}
        changes |= {key: named(key, turn) for key in (name() for _ in range(rng.choice([0, 1, 500])))}
        changes |= dict.fromkeys(rng.sample(present, rng.choice([0, 1, 300, 3000])))
        change = tree.update(shelf.read, root, changes)
        for cid in change.removed:
            del shelf.nodes[cid]
        shelf.nodes.update(change.added)
        root, model = change.root, changed(model, changes)
    rebuilt = tree.build(model.items())
    assert root == rebuilt.root
    assert shelf.nodes == rebuilt.added
    assert list(tree.iterate(shelf.read, root)) == sorted(model.items())
    assert tree.check_tree(shelf.read, root) == len(model)
    assert stated_root(model) == (root, len(shelf.nodes))
