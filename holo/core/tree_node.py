"""One node of a catalog tree: its two shapes, its bytes, and what a single node must satisfy (spec section 3).

    leaf    [0, [[suffix, value…], …]]                      at most 64 keys
    branch  [1, prefix, own | null, [[byte, count, link], …]]   at least 65 keys

A suffix or a prefix is what remains of a key below the node's *position*: the bytes that lead from the root to
the node, branch bytes included. Every rule but two can be judged here, with one node in hand; that a child holds
as many keys as its parent says, and that no key is too long, takes the path (`tree_proof`).

:func:`encode_node` is the only writer of these bytes. It writes what ``codec.encode`` would, in half the time,
which a tree of a million names needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

import cbor2

from holo.core import codec
from holo.core.cid import DAG_CBOR, Cid
from holo.core.codec import ARRAY, BYTE_STRING, INT, LINK_HEAD, NULL, head
from holo.core.errors import Rejected
from holo.core.limits import INT_MAX, LEAF_KEYS, NODE_BYTES, TREE_KEY_BYTES, TREE_VALUE_BYTES

Value: TypeAlias = list[Any]
"""What a key maps to: a list of at least one DAG-CBOR value."""

Read: TypeAlias = Callable[[Cid], bytes]
"""The bytes of a node, known to match their CID; raises ``Missing("node-missing")``. Never asked for EMPTY."""

Child: TypeAlias = tuple[int, int, Cid]
"""Branch byte, number of keys below, link."""


class Leaf(NamedTuple):
    """At most 64 keys, in bytewise order, each with its value."""

    entries: list[tuple[bytes, Value]]

    @property
    def total(self) -> int:
        """Keys at and below this node."""
        return len(self.entries)


class Branch(NamedTuple):
    """At least 65 keys that share ``prefix``; ``own`` is the value of the key that ends with it."""

    prefix: bytes
    own: Value | None
    children: list[Child]

    @property
    def total(self) -> int:
        """Keys at and below this node, as its children are said to hold them."""
        return sum([count for _, count, _ in self.children]) + (self.own is not None)


Node: TypeAlias = Leaf | Branch


def encode_node(node: Node) -> bytes:
    """The one encoding of ``node``. Raises ``too-large`` for a value above its bound, ``cbor-invalid`` as the codec."""
    if isinstance(node, Leaf):
        parts = [_LEAF, head(ARRAY, len(node.entries))]
        for suffix, value in node.entries:
            assert value, "a value is at least one item"
            parts += (head(ARRAY, len(value) + 1), _BYTES[len(suffix)], suffix)
            _write_items(parts, value, 3)
    else:
        parts = [_BRANCH, _BYTES[len(node.prefix)], node.prefix]
        if node.own is None:
            parts.append(NULL)
        else:
            parts.append(head(ARRAY, len(node.own)))
            _write_items(parts, node.own, 2)
        parts.append(head(ARRAY, len(node.children)))
        for byte, count, link in node.children:
            parts += (b"\x83", _INTS[byte], head(INT, count), LINK_HEAD, link)
    data = b"".join(parts)
    _check_values(node, len(data))
    return data


def encode_value(value: Value) -> bytes:
    """The bytes that the items of ``value`` take in a node. Two values are the same if these bytes are."""
    parts: list[bytes] = []
    _write_items(parts, value, 3)
    return b"".join(parts)


def parse_node(data: bytes) -> Node:
    """The node in bytes that :func:`encode_node` wrote or :func:`decode_node` has accepted before. Checks nothing."""
    shape = cbor2.loads(data, tag_hook=_link)
    if shape[0] == 0:
        return Leaf([(entry[0], entry[1:]) for entry in shape[1]])
    return Branch(shape[1], shape[2], [(byte, count, link) for byte, count, link in shape[3]])


def decode_node(data: bytes) -> Node:
    """The node in bytes from anywhere. Raises ``tree-invalid`` for anything :func:`encode_node` would not write.

    It judges the encoding, the types, every bound, order, the 64/65 rule by the counts that are given, and that
    the prefix is the longest: a branch without an own value has two children, or the prefix would be longer.
    """
    try:
        node = _shaped(codec.decode(data, NODE_BYTES))
        _check_values(node, len(data))
    except Rejected as error:
        detail = error.detail if error.code == "tree-invalid" else f"{error.code}, {error.detail}"
        raise Rejected("tree-invalid", detail) from None
    return node


def links_of(data: bytes) -> list[Cid] | None:
    """Where the node in these bytes leads, given that they were checked before if they are one; else None.

    Most nodes are leaves: those are told by their first bytes and not parsed.
    """
    if data.startswith(_BRANCH):
        return [link for _, _, link in cbor2.loads(data, tag_hook=_link)[3]]
    return [] if data.startswith(_LEAF) else None


def load(read: Read, cid: Cid) -> Node:
    """The node ``cid`` of a tree that is trusted to be well formed."""
    return parse_node(read_node(read, cid))


def read_node(read: Read, cid: Cid) -> bytes:
    """The bytes of the node ``cid``. The empty tree needs no storage."""
    return EMPTY_NODE if cid == EMPTY else read(cid)


def descend(node: Node, key: bytes, at: int) -> tuple[Child | None, int, Value | None]:
    """One step on the path of ``key`` from ``node``, whose position is ``key[:at]``.

    The child to go on with and the length of its position. Where the path ends the child is None, and the last is
    the key's value, or None if it has none.
    """
    if isinstance(node, Leaf):
        suffix = key[at:]
        return None, at, next((value for candidate, value in node.entries if candidate == suffix), None)
    if not key.startswith(node.prefix, at):
        return None, at, None
    at += len(node.prefix)
    if at == len(key):
        return None, at, node.own
    return next((child for child in node.children if child[0] == key[at]), None), at + 1, None


def common_bytes(one: bytes, other: bytes, start: int = 0) -> int:
    """How many bytes ``one`` and ``other`` share from ``start`` on."""
    end = min(len(one), len(other))
    at = start
    while at < end and one[at] == other[at]:
        at += 1
    return at - start


def _shaped(shape: Any) -> Node:
    _require(type(shape) is list and len(shape) in (2, 4) and type(shape[0]) is int, "not a leaf or a branch")
    if shape[0] == 0 and len(shape) == 2:
        return _shaped_leaf(shape[1])
    _require(shape[0] == 1 and len(shape) == 4, "not a leaf or a branch")
    return _shaped_branch(shape[1], shape[2], shape[3])


def _shaped_leaf(entries: Any) -> Leaf:
    _require(type(entries) is list and len(entries) <= LEAF_KEYS, f"a leaf is a list of at most {LEAF_KEYS} entries")
    before = None
    for entry in entries:
        _require(type(entry) is list and len(entry) >= 2, "a leaf entry is a suffix and at least one value")
        suffix = entry[0]
        _require(type(suffix) is bytes and len(suffix) <= TREE_KEY_BYTES, "a suffix is a byte string within bounds")
        _require(before is None or before < suffix, "leaf entries out of order")
        before = suffix
    return Leaf([(entry[0], entry[1:]) for entry in entries])


def _shaped_branch(prefix: Any, own: Any, children: Any) -> Branch:
    _require(type(prefix) is bytes and len(prefix) <= TREE_KEY_BYTES, "a prefix is a byte string within bounds")
    _require(type(children) is list, "children are not a list")
    _require(own is None or (type(own) is list and len(own) >= 1), "an own value is null or at least one value")
    before = -1
    for child in children:
        _require(type(child) is list and len(child) == 3, "a child is a byte, a count and a link")
        byte, count, link = child
        _require(type(byte) is int and before < byte <= 255, "children out of order")
        _require(type(count) is int and count >= 1, "a child without keys")
        _require(type(link) is Cid and link.codec == DAG_CBOR, "a child's link is not to a node")
        before = byte
    _require(len(children) + (own is not None) >= 2, "the prefix is not the longest the keys share")
    branch = Branch(prefix, own, [(byte, count, link) for byte, count, link in children])
    _require(LEAF_KEYS < branch.total <= INT_MAX, f"a branch of {branch.total} keys")
    return branch


def _check_values(node: Node, size_bytes: int) -> None:
    """The bound on each value of ``node``, which a node of ``size_bytes`` within that bound cannot break."""
    if size_bytes <= TREE_VALUE_BYTES:
        return
    own = [] if isinstance(node, Leaf) or node.own is None else [node.own]
    for value in [value for _, value in node.entries] if isinstance(node, Leaf) else own:
        size = len(encode_value(value))
        if size > TREE_VALUE_BYTES:
            raise Rejected("too-large", f"a value of {size} bytes where at most {TREE_VALUE_BYTES} are allowed")


def _require(holds: bool, detail: str) -> None:
    if not holds:
        raise Rejected("tree-invalid", detail)


def _link(tag: Any, immutable: Any = None) -> Cid:
    return Cid(tag.value[1:])


def _write_items(parts: list[bytes], items: list[Any], depth: int) -> None:
    """Append the encodings of ``items``, which lie ``depth`` deep in the node.

    Links, small numbers and short lists of them, which is what catalogs hold, by table; the rest by the codec.
    """
    for item in items:
        kind = type(item)
        if kind is Cid:
            parts += (LINK_HEAD, item)
        elif kind is int and 0 <= item < 256:
            parts.append(_INTS[item])
        elif kind is list and len(item) < 24 and depth < 8:
            parts.append(_ARRAYS[len(item)])
            _write_items(parts, item, depth + 1)
        else:
            for _ in range(depth):  # at its true depth, so that the codec's bound holds for the node as a whole
                item = [item]
            parts.append(codec.encode(item)[depth:])


_LEAF: Final = b"\x82\x00"
_BRANCH: Final = b"\x84\x01"
_INTS: Final = [head(INT, number) for number in range(256)]
_BYTES: Final = [head(BYTE_STRING, length) for length in range(TREE_KEY_BYTES + 1)]
_ARRAYS: Final = [head(ARRAY, length) for length in range(24)]

EMPTY_NODE: Final = encode_node(Leaf([]))
"""The bytes of the tree without keys."""

EMPTY: Final = Cid.of(DAG_CBOR, EMPTY_NODE)
"""The root of the tree without keys."""
