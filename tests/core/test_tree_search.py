"""Searching the bytes of a tree's nodes beside taking them apart: the same path, the same value."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from holo.core import codec, tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.tree_node import Branch, Leaf, encode_node
from holo.core.tree_search import find
from tests.core.tree_models import key_sets, keys, named, shelf_of, statement_id

NAMES: Final = st.from_regex(r"[a-z0-9]([a-z0-9._/-]{0,40}[a-z0-9])?/[A-Za-z0-9_+.-]{1,12}", fullmatch=True).map(
    str.encode
)


def _values(key: bytes) -> tree.Value:
    """One statement, two of them, many endorsers, far endorsers, or the link to a state: by the key's length."""
    one, other = statement_id(b"one" + key), statement_id(b"other" + key)
    kinds: list[tree.Value] = [
        [[one, [0]]],
        [[one, [1]], [other, [0, 2]]],
        [[one, list(range(24))]],
        [[one, [23, 24, 255]]],
        [one],
        [[one, [0, 23]]],
        [[b"no link", [0]]],
    ]
    return kinds[len(key) % len(kinds)]


def _check(contents: dict[bytes, tree.Value], asked: list[bytes]) -> None:
    shelf, root = shelf_of(contents.items())
    for key in asked:
        path = find(shelf.read, root, key)
        proof = [] if root == tree.EMPTY else tree.prove(shelf.read, root, key)
        assert list(path.nodes.values()) == proof
        assert all(cid.matches(data) for cid, data in path.nodes.items())
        assert path.value == contents.get(key)


@given(key_sets(), st.lists(keys, max_size=20))
def test_any_keys(contents: set[bytes], others: list[bytes]) -> None:
    """Of bytes of any kind, deep and wide, with keys that end where others go on."""
    _check({key: named(key) for key in contents}, [*contents, *others])


@given(st.sets(NAMES, max_size=300), st.lists(NAMES, max_size=20))
def test_names_with_values_of_every_form(contents: set[bytes], others: list[bytes]) -> None:
    """Keys as catalogs have them; the forms that are not searched for are decoded."""
    cut = [key[:at] for key in contents for at in (1, len(key) // 2, -1)]
    _check({key: _values(key) for key in contents}, [*contents, *others, *cut, b""])


def test_a_digest_that_looks_like_a_child_is_passed_over() -> None:
    """A digest may hold the three bytes that a child begins with, before the child or as the last ones of a node."""
    child = codec.encode([ord("y"), 0])[:-1]
    leaf = encode_node(Leaf([(b"%02d" % at, [statement_id(b"%d" % at)]) for at in range(40)]))
    link = Cid.of(DAG_CBOR, leaf)
    lookalikes = [
        Cid.from_digest(DAG_CBOR, child + bytes(29)),
        Cid.from_digest(DAG_CBOR, bytes(28) + child + b"\x18"),
        Cid.from_digest(DAG_CBOR, bytes(29) + child),
    ]
    first = [(ord("a") + at, 40, cid) for at, cid in enumerate(lookalikes)]
    with_child = encode_node(Branch(b"", None, [*first, (ord("y"), 40, link)]))
    without = encode_node(Branch(b"", None, first))
    nodes = {link: leaf, **{Cid.of(DAG_CBOR, data): data for data in (with_child, without)}}
    found = find(nodes.__getitem__, Cid.of(DAG_CBOR, with_child), b"y07")
    assert found == ({Cid.of(DAG_CBOR, with_child): with_child, link: leaf}, [statement_id(b"7")])
    assert find(nodes.__getitem__, Cid.of(DAG_CBOR, without), b"y07") == ({Cid.of(DAG_CBOR, without): without}, None)
