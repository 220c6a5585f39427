"""Proofs of presence and absence, and every forged shape that has to be refused (spec section 3).

A forgery here is a valid proof bent in one place and hashed together again up to a new root, so that every CID
matches and only the shape is wrong: what somebody who signs roots can do.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holo.core import codec, tree
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.errors import Rejected
from holo.core.limits import NODE_BYTES, TREE_KEY_BYTES
from tests.core.tree_models import Shelf, key_sets, keys, named, shelf_of, statement_id

STEM = b"acme/"
KEY = STEM + b"\x02-\x05\x03"
CONTENTS = {
    key: named(key)
    for key in [STEM, *(STEM + bytes((i, 45, j, k)) for i, j, k in product(range(1, 4), range(10), range(10)))]
}


class Path:
    """The proof of KEY taken apart: the shapes from the root down, and in each branch the child that goes on.

    ``root`` is a branch with an own value and three children, ``middle`` one of ten children, ``leaf`` has ten keys.
    """

    def __init__(self) -> None:
        self.shelf, root = shelf_of(CONTENTS.items())
        proof = tree.prove(self.shelf.read, root, KEY)
        self.shapes: list[Any] = [codec.decode(data, NODE_BYTES) for data in proof]
        self.root, self.middle, self.leaf = self.shapes
        self.steps = [
            next(child for child in shape[3] if child[2].matches(below))
            for shape, below in zip(self.shapes[:-1], proof[1:], strict=True)
        ]

    def add(self, keys: int) -> None:
        """Let every count above the leaf tell of so many keys more."""
        for step in self.steps:
            step[1] += keys

    def sealed(self) -> tuple[Cid, list[bytes]]:
        """The new root and the proof, every link set to what it now leads to."""
        nodes: list[bytes] = []
        for depth in reversed(range(len(self.shapes))):
            cid = self.shelf.put(self.shapes[depth])
            nodes.insert(0, self.shelf.nodes[cid])
            if depth:
                self.steps[depth - 1][2] = cid
        return Cid.of(DAG_CBOR, nodes[0]), nodes


def refusal(root: Cid, key: bytes, nodes: list[bytes]) -> Rejected:
    with pytest.raises(Rejected) as caught:
        tree.check_proof(root, key, nodes)
    assert caught.value.code == "proof-invalid"
    return caught.value


# ------------------------------------------------------------------------------------------ valid proofs


@given(key_sets(), st.sets(keys, max_size=8))
def test_every_key_is_proved_present_or_absent(chosen: set[bytes], others: set[bytes]) -> None:
    contents = {key: named(key) for key in chosen}
    shelf, root = shelf_of(contents.items())
    beside = {key + b"\0" for key in others} | {key[:-1] for key in sorted(chosen)[::7]}
    for key in others | beside | set(sorted(chosen)[::5]):
        assert tree.check_proof(root, key, tree.prove(shelf.read, root, key)) == contents.get(key)


@pytest.mark.parametrize(
    ("key", "nodes"),
    [
        (b"", 1),  # shorter than the root's prefix
        (b"acmf/", 1),  # beside the root's prefix
        (STEM + b"\x07", 1),  # no such child
        (STEM + b"\x02", 2),  # ends within the next prefix
        (STEM + b"\x02.", 2),  # beside it
        (STEM + b"\x02-", 2),  # ends with it, where no own value is
        (STEM + b"\x02-\x05", 3),  # not in the leaf
        (KEY + b"\0", 3),
        (KEY + bytes(1000), 3),
    ],
)
def test_absence_is_proved_by_the_node_where_the_path_ends(key: bytes, nodes: int) -> None:
    shelf, root = shelf_of(CONTENTS.items())
    proof = tree.prove(shelf.read, root, key)
    assert len(proof) == nodes
    assert tree.check_proof(root, key, proof) is None


def test_a_path_bent_legally_proves_the_new_tree() -> None:
    """The forging itself is sound: without a wrong shape, the same steps give a proof that holds."""
    path = Path()
    path.leaf[1][3][1:] = [1, 2]
    root, nodes = path.sealed()
    assert tree.check_proof(root, KEY, nodes) == [1, 2]
    assert tree.get(path.shelf.read, root, KEY) == [1, 2]
    assert tree.check_tree(path.shelf.read, root) == len(CONTENTS)
    path.leaf[1].append([b"\xff", 0])
    path.add(1)
    root, nodes = path.sealed()
    assert tree.check_proof(root, KEY, nodes) == [1, 2]
    assert tree.check_tree(path.shelf.read, root) == len(CONTENTS) + 1


# ------------------------------------------------------------------------------------------ forged shapes


def swap_entries(path: Path) -> None:
    path.leaf[1][0], path.leaf[1][1] = path.leaf[1][1], path.leaf[1][0]


def repeat_entry(path: Path) -> None:
    path.leaf[1][4] = path.leaf[1][3]


def give_the_key_two_values(path: Path) -> None:
    path.leaf[1].insert(4, [path.leaf[1][3][0], 1])
    path.add(1)


def hide_the_key(path: Path) -> None:
    del path.leaf[1][3]


def hide_the_key_behind_another(path: Path) -> None:
    """Its place is taken by an entry out of order: the count is right."""
    path.leaf[1][3] = [b"\xff", 1]


def hold_more_than_said(path: Path) -> None:
    path.leaf[1].append([b"\xff", 1])


def empty_the_leaf(path: Path) -> None:
    path.leaf[1].clear()


def empty_the_leaf_and_say_so(path: Path) -> None:
    path.leaf[1].clear()
    path.steps[0][1] -= 10
    path.steps[1][1] = 0


def keep_65_in_a_leaf(path: Path) -> None:
    path.leaf[1] += [[b"\xff" + bytes((at,)), 1] for at in range(55)]
    path.add(55)


def make_a_branch_of_ten(path: Path) -> None:
    below = [[suffix[0], 1, path.shelf.put([0, [[b"", *value]]])] for suffix, *value in path.leaf[1] if suffix[0] != 3]
    path.shapes[2] = [1, b"", None, [*below, [200, 1, statement_id(b"nowhere")]]]


def make_a_branch_of_64(path: Path) -> None:
    path.shapes[2] = [1, b"", None, [[7, 32, statement_id(b"7")], [8, 32, statement_id(b"8")]]]
    path.add(54)


def say_65_over_a_leaf_of_ten(path: Path) -> None:
    path.add(55)


def leave_a_value_out(path: Path) -> None:
    del path.leaf[1][5][1:]


def write_a_suffix_as_text(path: Path) -> None:
    path.leaf[1][3][0] = "\x03"


def add_a_field_to_the_leaf(path: Path) -> None:
    path.leaf.append(None)


def swap_children(path: Path) -> None:
    path.middle[3][0], path.middle[3][1] = path.middle[3][1], path.middle[3][0]


def swap_children_of_the_root(path: Path) -> None:
    path.root[3].reverse()


def repeat_a_child(path: Path) -> None:
    path.middle[3].insert(path.middle[3].index(path.steps[1]), list(path.steps[1]))
    path.steps[0][1] += 10


def offer_two_children_for_one_byte(path: Path) -> None:
    """One leads to the key's value, the other to its absence."""
    other = path.shelf.put([0, [[bytes((at,)), 1] for at in range(10, 20)]])
    path.middle[3].insert(path.middle[3].index(path.steps[1]), [path.steps[1][0], 10, other])
    path.steps[0][1] += 10


def drop_the_key_s_child(path: Path) -> None:
    """Absence at the middle, whose keys are then fewer than said."""
    path.middle[3].remove(path.steps.pop())
    path.shapes.pop()


def count_too_few_below_the_root(path: Path) -> None:
    path.steps[0][1] -= 1


def count_too_many_below_the_root(path: Path) -> None:
    path.steps[0][1] += 1


def move_a_count_to_the_sibling(path: Path) -> None:
    path.steps[0][1] += 1
    next(child for child in path.root[3] if child is not path.steps[0])[1] -= 1


def count_too_many_below_the_middle(path: Path) -> None:
    path.steps[0][1] += 1
    path.steps[1][1] += 1


def count_by_a_bool(path: Path) -> None:
    path.middle[3][0][1] = True
    path.steps[0][1] -= 9


def count_a_child_without_keys(path: Path) -> None:
    path.middle[3].append([200, 0, tree.EMPTY])


def own_a_value_that_is_not_counted(path: Path) -> None:
    path.middle[2] = [1]


def own_no_value(path: Path) -> None:
    path.middle[2] = []
    path.steps[0][1] += 1


def split_the_prefix(path: Path) -> None:
    """Two nodes where one has the whole prefix: the upper has a single child and no value of its own."""
    prefix, step = path.middle[1], [45, 100, None]
    assert prefix == b"-"
    path.middle[1] = b""
    path.shapes.insert(1, [1, b"", None, [step]])
    path.steps.insert(1, step)


def shorten_the_prefix_of_a_root_with_nothing_of_its_own(path: Path) -> None:
    """As before, in the root, and with the count of the whole tree."""
    step = [path.root[1][-1], len(CONTENTS), None]
    path.shapes.insert(0, [1, path.root[1][:-1], None, [step]])
    path.root[1] = b""
    path.steps.insert(0, step)


def write_the_prefix_as_text(path: Path) -> None:
    path.middle[1] = "-"


def use_a_byte_that_is_none(path: Path) -> None:
    path.middle[3][-1][0] = 256


def add_a_field_to_the_branch(path: Path) -> None:
    path.middle.append(None)


def call_the_branch_something_else(path: Path) -> None:
    path.middle[0] = 2


def lead_to_a_longer_key_than_allowed(path: Path) -> None:
    path.leaf[1][-1][0] = b"\xff" * TREE_KEY_BYTES


def take_a_prefix_that_leaves_no_room(path: Path) -> None:
    path.middle[1] = b"-" * (TREE_KEY_BYTES - len(STEM) - 1)


FORGERIES: list[tuple[Callable[[Path], None], int]] = [
    (swap_entries, 2),
    (repeat_entry, 2),
    (give_the_key_two_values, 2),
    (hide_the_key, 2),
    (hide_the_key_behind_another, 2),
    (hold_more_than_said, 2),
    (empty_the_leaf, 2),
    (empty_the_leaf_and_say_so, 1),
    (keep_65_in_a_leaf, 2),
    (make_a_branch_of_ten, 2),
    (make_a_branch_of_64, 2),
    (say_65_over_a_leaf_of_ten, 2),
    (leave_a_value_out, 2),
    (write_a_suffix_as_text, 2),
    (add_a_field_to_the_leaf, 2),
    (swap_children, 1),
    (swap_children_of_the_root, 0),
    (repeat_a_child, 1),
    (offer_two_children_for_one_byte, 1),
    (drop_the_key_s_child, 1),
    (count_too_few_below_the_root, 1),
    (count_too_many_below_the_root, 1),
    (move_a_count_to_the_sibling, 1),
    (count_too_many_below_the_middle, 2),
    (count_by_a_bool, 1),
    (count_a_child_without_keys, 1),
    (own_a_value_that_is_not_counted, 1),
    (own_no_value, 1),
    (split_the_prefix, 1),
    (shorten_the_prefix_of_a_root_with_nothing_of_its_own, 0),
    (write_the_prefix_as_text, 1),
    (use_a_byte_that_is_none, 1),
    (add_a_field_to_the_branch, 1),
    (call_the_branch_something_else, 1),
    (lead_to_a_longer_key_than_allowed, 2),
    (take_a_prefix_that_leaves_no_room, 1),
]


@pytest.mark.parametrize(("forge", "index"), FORGERIES, ids=[forge.__name__ for forge, _ in FORGERIES])
def test_a_forged_shape_is_refused_where_it_is_forged(forge: Callable[[Path], None], index: int) -> None:
    path = Path()
    forge(path)
    root, nodes = path.sealed()
    assert refusal(root, KEY, nodes).at == f"node[{index}]"
    with pytest.raises(Rejected) as caught:
        tree.check_tree(path.shelf.read, root)
    assert caught.value.code == "tree-invalid"
    assert caught.value.subject in {str(cid) for cid in path.shelf.nodes}


@pytest.mark.parametrize("as_link", [lambda cid: Cid.from_digest(RAW, cid.digest), bytes, str])
def test_a_link_that_is_not_to_a_node_is_refused(as_link: Callable[[Cid], Any]) -> None:
    path = Path()
    _, nodes = path.sealed()
    path.steps[1][2] = as_link(path.steps[1][2])
    path.shapes.pop()
    root, upper = path.sealed()
    assert refusal(root, KEY, [*upper, nodes[2]]).at == "node[1]"


def test_an_own_value_is_not_hidden_by_a_child_or_shown_twice() -> None:
    """The key that ends with the prefix has one place: no child can answer for it."""
    shelf, root = shelf_of(CONTENTS.items())
    proof = tree.prove(shelf.read, root, STEM)
    assert len(proof) == 1
    assert tree.check_proof(root, STEM, proof) == CONTENTS[STEM]
    longer = tree.prove(shelf.read, root, STEM + b"\x02")
    assert refusal(root, STEM, longer).at == "node[1]"


def test_what_lies_beside_the_path_is_not_seen() -> None:
    """As documented: only the whole tree shows a sibling that is not there, or other than said."""
    path = Path()
    sibling = next(child for child in path.root[3] if child is not path.steps[0])
    sibling[2] = path.shelf.put([0, [[b"not what was said", 1]]])
    root, nodes = path.sealed()
    assert tree.check_proof(root, KEY, nodes) == CONTENTS[KEY]
    with pytest.raises(Rejected) as caught:
        tree.check_tree(path.shelf.read, root)
    assert caught.value.code == "tree-invalid"


# ------------------------------------------------------------------------------------------ forged sequences

_SHELF, ROOT = shelf_of(CONTENTS.items())
PROOF = tree.prove(_SHELF.read, ROOT, KEY)
OTHER = tree.prove(_SHELF.read, ROOT, STEM + b"\x02-\x06\x03")
A, B, C = PROOF

SEQUENCES: dict[str, tuple[list[bytes], int]] = {
    "nothing": ([], 0),
    "leaf-missing": ([A, B], 2),
    "middle-missing": ([A, C], 1),
    "root-missing": ([B, C], 0),
    "only-the-leaf": ([C], 0),
    "reversed": ([C, B, A], 0),
    "middle-and-leaf-swapped": ([A, C, B], 1),
    "root-twice": ([A, A, B, C], 1),
    "middle-twice": ([A, B, B, C], 2),
    "leaf-twice": ([A, B, C, C], 3),
    "something-after-the-leaf": ([A, B, C, tree.EMPTY_NODE], 3),
    "nothing-after-the-leaf": ([A, B, C, b""], 3),
    "the-whole-twice": ([A, B, C, A, B, C], 3),
    "another-leaf": ([A, B, OTHER[2]], 2),
    "the-empty-tree": ([tree.EMPTY_NODE], 0),
    "leaf-cut-short": ([A, B, C[:-1]], 2),
    "leaf-with-a-byte-more": ([A, B, C + b"\0"], 2),
    "root-cut-to-nothing": ([b"", B, C], 0),
    "a-node-too-large": ([A, B, C + bytes(NODE_BYTES)], 2),
}


@pytest.mark.parametrize(("nodes", "index"), SEQUENCES.values(), ids=SEQUENCES.keys())
def test_a_proof_is_exactly_the_nodes_of_the_path(nodes: list[bytes], index: int) -> None:
    assert refusal(ROOT, KEY, nodes).at == f"node[{index}]"


def test_a_proof_holds_for_its_own_key_and_root_alone() -> None:
    assert refusal(ROOT, STEM + b"\x02-\x06\x03", PROOF).at == "node[2]"
    assert refusal(ROOT, STEM, PROOF).at == "node[1]"
    assert refusal(tree.EMPTY, KEY, PROOF).at == "node[0]"
    assert refusal(Cid.from_digest(DAG_CBOR, bytes(32)), KEY, PROOF).at == "node[0]"


def test_a_root_that_matches_bytes_of_another_kind_is_refused() -> None:
    for data in (b"", b"\xf6", b"\x80", b"\xa0", codec.encode("text"), b"\xff"):
        assert refusal(Cid.of(DAG_CBOR, data), KEY, [data]).at == "node[0]"
    large = b"\x5a" + (NODE_BYTES + 1).to_bytes(4, "big") + bytes(NODE_BYTES + 1)
    assert "too-large" in refusal(Cid.of(DAG_CBOR, large), KEY, [large]).detail


@given(st.data())
def test_a_proof_bent_in_any_way_is_refused(data: st.DataObject) -> None:
    nodes = list(PROOF)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(nodes) - 1)))
        edit = data.draw(st.sampled_from(["drop", "repeat", "swap", "insert", "flip", "cut", "extend"]))
        if edit == "insert" or not nodes:
            nodes.insert(at, data.draw(st.sampled_from([*PROOF, *OTHER, tree.EMPTY_NODE, b""])))
        elif edit == "drop":
            del nodes[at]
        elif edit == "repeat":
            nodes.insert(at, nodes[at])
        elif edit == "swap":
            nodes[at], nodes[0] = nodes[0], nodes[at]
        elif edit == "cut":
            nodes[at] = nodes[at][: data.draw(st.integers(0, len(nodes[at])))]
        elif edit == "extend":
            nodes[at] += data.draw(st.binary(max_size=3))
        elif nodes[at]:
            place = data.draw(st.integers(0, len(nodes[at]) - 1))
            bent = nodes[at][place] ^ (1 << data.draw(st.integers(0, 7)))
            nodes[at] = nodes[at][:place] + bytes((bent,)) + nodes[at][place + 1 :]
    if nodes == PROOF:
        assert tree.check_proof(ROOT, KEY, nodes) == CONTENTS[KEY]
    else:
        refusal(ROOT, KEY, nodes)


# ------------------------------------------------------------------------------------------ one root, one answer


def forged_shelf(rng: random.Random) -> Shelf:
    """A few nodes that link to each other, many of them with lies about order, counts, prefixes and sizes."""
    shelf = Shelf()
    sizes: dict[Cid, int] = {}

    def put(shape: Any, size: int) -> None:
        sizes[shelf.put(shape)] = size

    for _ in range(3):
        size = rng.choice([0, 1, 20, 33, 40, 64, 65])
        entries: list[Any] = [[bytes((at,)), rng.randrange(3)] for at in range(size)]
        if rng.random() < 0.2:
            rng.shuffle(entries)
        if rng.random() < 0.2 and entries:
            entries.append([entries[-1][0], 7])
        put([0, entries], len(entries))
    for _ in range(4):
        own = rng.choice([None, None, [9]])
        bytes_used = sorted(rng.sample([0, 1, 2, 97], rng.randint(1, 4)))
        if rng.random() < 0.15:
            bytes_used.append(rng.choice(bytes_used))
        chosen = [(byte, rng.choice(list(sizes))) for byte in bytes_used]
        below: list[list[Any]] = [[byte, sizes[link] + rng.choice([0] * 12 + [1, -1]), link] for byte, link in chosen]
        put([1, rng.choice([b"", b"", b"a"]), own, below], sum(child[1] for child in below) + (own is not None))
    return shelf


def answers(shelf: Shelf, root: Cid, key: bytes, rng: random.Random) -> list[tree.Value | None]:
    """What ``key`` is proved to be under ``root`` by any sequence of up to three nodes, and by some of four."""
    pool = list(shelf.nodes.values())
    sequences: list[list[bytes]] = [[], *([data] for data in pool)]
    # Nothing but the root's own bytes can come first, as one try with each other node shows.
    sequences += [[shelf.nodes[root], *rest] for length in (1, 2) for rest in product(pool, repeat=length)]
    sequences += [[shelf.nodes[root], *rng.choices(pool, k=3)] for _ in range(20)]
    found = []
    for nodes in sequences:
        try:
            found.append(tree.check_proof(root, key, nodes))
        except Rejected as error:
            assert error.code == "proof-invalid"  # noqa: PT017
    return found


def is_whole(shelf: Shelf, root: Cid) -> bool:
    try:
        return tree.check_tree(shelf.read, root) >= 0
    except Rejected:
        return False


def some_keys(shelf: Shelf, root: Cid, rng: random.Random) -> list[bytes]:
    """One key by chance, and two that a random way down from ``root`` leads to."""
    chosen = [bytes(rng.choices([0, 1, 2, 97], k=rng.randint(0, 4)))]
    for _ in range(2):
        key, link = b"", root
        shape = codec.decode(shelf.nodes[link], NODE_BYTES)
        while shape[0] == 1:
            byte, _, link = rng.choice(shape[3])
            key += shape[1] + bytes((byte,))
            shape = codec.decode(shelf.nodes[link], NODE_BYTES)
        chosen.append(key + rng.choice(shape[1] or [[b""]])[0])
    return chosen


@given(st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_no_root_has_two_answers_for_one_key(rng: random.Random) -> None:
    """However the tree is forged: at most one sequence of nodes is a proof, so never presence and absence both."""
    shelf = forged_shelf(rng)
    for root in shelf.nodes:
        whole = is_whole(shelf, root)
        for key in some_keys(shelf, root, rng):
            found = answers(shelf, root, key, rng)
            assert len(found) <= 1
            if whole and len(tree.prove(shelf.read, root, key)) <= 3:
                assert found == [tree.get(shelf.read, root, key)]


def test_the_search_for_two_answers_finds_answers() -> None:
    """The test above would pass on nothing: both kinds of answer come from sound and from forged trees."""
    seen: dict[tuple[bool, bool], int] = dict.fromkeys(product((False, True), (False, True)), 0)
    for seed in range(20):
        rng = random.Random(seed)
        shelf = forged_shelf(rng)
        for root in shelf.nodes:
            whole = is_whole(shelf, root)
            for key in some_keys(shelf, root, rng):
                for value in answers(shelf, root, key, rng):
                    seen[whole, value is not None] += 1
    assert min(seen.values()) >= 5, seen


# ------------------------------------------------------------------------------------------ whole trees


def test_check_tree_hashes_what_it_reads() -> None:
    shelf, root = shelf_of(CONTENTS.items())
    first, second = list(shelf.nodes)[:2]
    for cid, data in list(shelf.nodes.items()):
        shelf.nodes[cid] = shelf.nodes[second if cid == first else first]
        with pytest.raises(Rejected) as caught:
            tree.check_tree(shelf.read, root)
        assert caught.value.code == "tree-invalid"
        assert caught.value.subject == str(cid)
        shelf.nodes[cid] = data
    assert tree.check_tree(shelf.read, root) == len(CONTENTS)


def test_check_tree_judges_a_repeated_subtree_in_every_place() -> None:
    """A subtree that is fine near the root is refused where its keys would become too long."""
    shelf = Shelf()
    block = shelf.put([0, [[b"x" * 200 + bytes((at,)), 1] for at in range(64)]])
    deep = shelf.put([1, b"p" * 150, [1], [[0, 64, block]]])
    good = shelf.put([1, b"p" * 100, [1], [[0, 64, block], [1, 64, block]]])
    assert tree.check_tree(shelf.read, good) == 129
    for order in ([[0, 64, block], [1, 65, deep]], [[0, 65, deep], [1, 64, block]]):
        with pytest.raises(Rejected) as caught:
            tree.check_tree(shelf.read, shelf.put([1, b"", None, order]))
        assert caught.value.code == "tree-invalid"
    with pytest.raises(Rejected) as caught:
        tree.check_tree(shelf.read, shelf.put([1, b"", None, [[0, 64, block], [1, 63, block]]]))
    assert caught.value.code == "tree-invalid"


def test_check_tree_refuses_a_path_without_end() -> None:
    """A chain of branches longer than any key."""
    shelf = Shelf()
    link, count = shelf.put([0, [[bytes((at,)), 1] for at in range(64)]]), 64
    for _ in range(TREE_KEY_BYTES - 1):
        link, count = shelf.put([1, b"", [1], [[0, count, link]]]), count + 1
    assert tree.check_tree(shelf.read, link) == count
    for _ in range(2000):
        link, count = shelf.put([1, b"", [1], [[0, count, link]]]), count + 1
    with pytest.raises(Rejected) as caught:
        tree.check_tree(shelf.read, link)
    assert caught.value.code == "tree-invalid"
