"""The bytes of one node, and what a single node is refused for (spec section 3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from holo.core import codec, tree
from holo.core.cid import CBOR, RAW, Cid
from holo.core.errors import Rejected
from holo.core.limits import DEPTH_MAX, INT_MAX, LEAF_KEYS, NODE_BYTES, TREE_KEY_BYTES, TREE_VALUE_BYTES
from holo.core.tree_node import Branch, Leaf, Node, decode_node, encode_node, links_of, parse_node
from tests.core.dag_cbor_values import values as dag_cbor
from tests.core.tree_models import statement_id

LINK = statement_id(b"somewhere")

values = st.lists(dag_cbor, min_size=1, max_size=4)
suffixes = st.binary(max_size=40) | st.binary(min_size=TREE_KEY_BYTES, max_size=TREE_KEY_BYTES)
leaves = st.dictionaries(suffixes, values, max_size=LEAF_KEYS).map(lambda found: Leaf(sorted_items(found)))
counts = st.sampled_from([1, 23, 24, 64, 65, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**44])
children = st.dictionaries(st.integers(0, 255), counts, min_size=2, max_size=256).map(
    lambda found: [(byte, count, statement_id(bytes((byte,)))) for byte, count in sorted(found.items())]
)
branches = st.builds(Branch, suffixes, st.none() | values, children).filter(lambda branch: branch.total > LEAF_KEYS)


def sorted_items(found: dict[bytes, tree.Value]) -> list[tuple[bytes, tree.Value]]:
    return [(key, found[key]) for key in sorted(found)]


def shape_of(node: Node) -> Any:
    """The node as the specification writes it."""
    if isinstance(node, Leaf):
        return [0, [[suffix, *value] for suffix, value in node.entries]]
    return [1, node.prefix, node.own, [list(child) for child in node.children]]


def refusal(shape: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode_node(codec.encode(shape))
    return caught.value


def nested(depth: int) -> list[Any]:
    """A list ``depth`` lists deep."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


# ------------------------------------------------------------------------------------------ bytes


@given(leaves | branches)
def test_nodes_are_written_as_the_codec_writes_them_and_read_back(node: Node) -> None:
    assume(all(len(codec.encode(value)) <= TREE_VALUE_BYTES for value in values_of(node)))
    data = encode_node(node)
    assert data == codec.encode(shape_of(node))
    assert decode_node(data) == parse_node(data) == node


def values_of(node: Node) -> list[tree.Value]:
    if isinstance(node, Leaf):
        return [value for _, value in node.entries]
    return [] if node.own is None else [node.own]


@pytest.mark.parametrize("bad", [1.5, INT_MAX + 1, -INT_MAX - 1, {1: 2}, {b"k": 1}, {1}, object(), "\ud800"])
def test_what_has_no_encoding_is_refused_as_by_the_codec(bad: Any) -> None:
    for value in ([bad], [[bad]], [LINK, [0, {"deep": bad}]]):
        for node in (Leaf([(b"k", value)]), Branch(b"", value, [(1, 65, LINK)])):
            with pytest.raises(Rejected) as by_codec:
                codec.encode(shape_of(node))
            with pytest.raises(Rejected) as ours:
                encode_node(node)
            assert ours.value.code == by_codec.value.code == "cbor-invalid"


def test_values_may_be_nested_as_deep_as_the_codec_allows() -> None:
    for node in (Leaf([(b"k", [nested(DEPTH_MAX - 3)])]), Branch(b"", [nested(DEPTH_MAX - 2)], [(1, 65, LINK)])):
        assert encode_node(node) == codec.encode(shape_of(node))
    for node in (Leaf([(b"k", [nested(DEPTH_MAX - 2)])]), Branch(b"", [nested(DEPTH_MAX - 1)], [(1, 65, LINK)])):
        with pytest.raises(Rejected):
            encode_node(node)


def test_the_empty_tree_is_a_leaf_without_entries() -> None:
    assert tree.EMPTY_NODE == b"\x82\x00\x80"
    assert tree.EMPTY.matches(tree.EMPTY_NODE)
    assert decode_node(tree.EMPTY_NODE) == Leaf([])


# ------------------------------------------------------------------------------------------ bounds


def test_a_node_of_the_largest_legal_entries_is_within_bounds() -> None:
    value = [b"v" * (TREE_VALUE_BYTES - 3)]
    one_byte_items = [0] * TREE_VALUE_BYTES
    full = Leaf([(bytes((at,)) * TREE_KEY_BYTES, one_byte_items) for at in range(LEAF_KEYS)])
    data = encode_node(full)
    assert len(data) <= NODE_BYTES
    assert decode_node(data) == full
    branch = Branch(b"p" * (TREE_KEY_BYTES - 1), value, [(at, 2**44, LINK) for at in range(256)])
    assert decode_node(encode_node(branch)) == branch


@pytest.mark.parametrize(
    "value", [[b"v" * (TREE_VALUE_BYTES - 2)], [0] * (TREE_VALUE_BYTES + 1)], ids=["one-item", "many-items"]
)
def test_a_value_above_its_bound_is_neither_written_nor_read(value: tree.Value) -> None:
    for node in (Leaf([(b"k", value)]), Branch(b"", value, [(0, 40, LINK), (1, 40, LINK)])):
        with pytest.raises(Rejected) as caught:
            encode_node(node)
        assert caught.value.code == "too-large"
        assert refusal(shape_of(node)).code == "tree-invalid"


def test_a_node_above_its_bound_is_not_decoded() -> None:
    with pytest.raises(Rejected) as caught:
        decode_node(b"\xff" * (NODE_BYTES + 1))
    assert caught.value.code == "tree-invalid"
    assert "too-large" in caught.value.detail


# ------------------------------------------------------------------------------------------ refusals

GOOD_CHILDREN = [[1, 40, LINK], [2, 40, LINK]]

MALFORMED: dict[str, Any] = {
    "not-a-list": {"leaf": []},
    "nothing": [],
    "unknown-kind": [2, []],
    "kind-is-a-bool": [False, []],
    "kind-alone": [0],
    "leaf-with-a-third-part": [0, [], None],
    "leaf-with-four-parts": [0, b"", None, GOOD_CHILDREN],
    "branch-with-two-parts": [1, GOOD_CHILDREN],
    "branch-without-own": [1, b"", GOOD_CHILDREN],
    "branch-with-a-fifth-part": [1, b"", None, GOOD_CHILDREN, None],
    "entries-are-a-map": [0, {}],
    "entries-are-a-number": [0, 1],
    "entries-are-null": [0, None],
    "entry-is-not-a-list": [0, [b"suffix"]],
    "entry-without-value": [0, [[b"suffix"]]],
    "entry-empty": [0, [[]]],
    "suffix-is-text": [0, [["suffix", 1]]],
    "suffix-is-a-link": [0, [[LINK, 1]]],
    "suffix-too-long": [0, [[b"s" * (TREE_KEY_BYTES + 1), 1]]],
    "entries-out-of-order": [0, [[b"b", 1], [b"a", 1]]],
    "entries-in-length-first-order": [0, [[b"b", 1], [b"aa", 1]]],
    "entry-twice": [0, [[b"a", 1], [b"a", 1]]],
    "entry-twice-with-two-values": [0, [[b"a", 1], [b"a", 2]]],
    "leaf-of-65": [0, [[bytes((at,)), 1] for at in range(65)]],
    "prefix-is-text": [1, "", None, GOOD_CHILDREN],
    "prefix-too-long": [1, b"p" * (TREE_KEY_BYTES + 1), None, GOOD_CHILDREN],
    "own-is-empty": [1, b"", [], GOOD_CHILDREN],
    "own-is-not-a-list": [1, b"", 1, GOOD_CHILDREN],
    "own-is-false": [1, b"", False, GOOD_CHILDREN],
    "children-are-a-map": [1, b"", None, {}],
    "children-are-a-number": [1, b"", [1], 65],
    "children-are-null": [1, b"", [1], None],
    "no-children": [1, b"", [1], []],
    "child-is-not-a-list": [1, b"", [1], [1, 70, LINK]],
    "child-without-link": [1, b"", [1], [[1, 70]]],
    "child-with-a-fourth-part": [1, b"", [1], [[1, 70, LINK, 0]]],
    "children-out-of-order": [1, b"", None, [[2, 40, LINK], [1, 40, LINK]]],
    "child-twice": [1, b"", None, [[1, 40, LINK], [1, 40, LINK]]],
    "byte-above-255": [1, b"", None, [[1, 40, LINK], [256, 40, LINK]]],
    "byte-below-0": [1, b"", None, [[-1, 40, LINK], [1, 40, LINK]]],
    "byte-is-a-bool": [1, b"", None, [[False, 40, LINK], [True, 40, LINK]]],
    "byte-is-a-byte-string": [1, b"", None, [[b"a", 40, LINK], [b"b", 40, LINK]]],
    "count-of-0": [1, b"", None, [[1, 80, LINK], [2, 0, LINK]]],
    "count-below-0": [1, b"", None, [[1, 80, LINK], [2, -1, LINK]]],
    "count-is-a-bool": [1, b"", None, [[1, 80, LINK], [2, True, LINK]]],
    "link-is-a-byte-string": [1, b"", None, [[1, 40, LINK], [2, 40, bytes(LINK)]]],
    "link-is-null": [1, b"", None, [[1, 40, LINK], [2, 40, None]]],
    "link-to-a-blob": [1, b"", None, [[1, 40, LINK], [2, 40, Cid.of(RAW, b"")]]],
    "link-to-an-envelope": [1, b"", None, [[1, 40, LINK], [2, 40, Cid.of(CBOR, b"")]]],
    "prefix-could-be-longer": [1, b"p", None, [[1, 80, LINK]]],
    "branch-of-64": [1, b"", None, [[1, 32, LINK], [2, 32, LINK]]],
    "branch-of-64-with-own": [1, b"", [1], [[1, 63, LINK]]],
    "more-keys-than-a-number-holds": [1, b"", None, [[1, INT_MAX, LINK], [2, 1, LINK]]],
}


@pytest.mark.parametrize("shape", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_node_is_refused(shape: Any) -> None:
    assert refusal(shape).code == "tree-invalid"


@pytest.mark.parametrize(
    "shape",
    [
        [0, [[bytes((at,)), 1] for at in range(64)]],
        [0, [[b"", 1], [b"a", 1], [b"aa", None, False], [b"b", {}]]],
        [1, b"", None, [[0, 32, LINK], [255, 33, LINK]]],
        [1, b"p", [1], [[1, 64, LINK]]],
        [1, b"p", None, [[1, INT_MAX - 1, LINK], [2, 1, LINK]]],
    ],
)
def test_the_nearest_well_formed_nodes_are_accepted(shape: Any) -> None:
    assert shape_of(decode_node(codec.encode(shape))) == shape


@pytest.mark.parametrize(
    "text",
    [
        "8200",  # cut short
        "82008000",  # a byte too many
        "9f0080ff",  # indefinite length
        "82180080",  # a longer integer than needed
        "82009800",  # a longer array head than needed
        "82008182416101f6",  # rubbish after the leaf
        "820081824161fb3ff8000000000000",  # a float as value
        "820081824161c100",  # a date as value
        "",
        "00",
        "f6",
    ],
)
def test_bytes_that_are_not_canonical_are_refused(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        decode_node(bytes.fromhex(text))
    assert caught.value.code == "tree-invalid"


@given(st.binary(max_size=200))
def test_rubbish_is_refused_with_a_code(data: bytes) -> None:
    try:
        node = decode_node(data)
    except Rejected as error:
        assert error.code == "tree-invalid"  # noqa: PT017
    else:
        assert encode_node(node) == data


@given(leaves | branches, st.binary(max_size=8))
def test_where_a_checked_node_leads_is_told_without_the_rest(node: Node, rubbish: bytes) -> None:
    expected = [] if isinstance(node, Leaf) else [link for _, _, link in node.children]
    assert links_of(encode_node(node)) == expected
    assume(rubbish[:2] not in (b"\x82\x00", b"\x84\x01"))
    assert links_of(rubbish) is None
    assert links_of(codec.encode({"v": 1, "type": "catalog"})) is None
