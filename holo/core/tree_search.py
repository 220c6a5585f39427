"""Finding a key's path in a tree of one's own without taking its nodes apart.

A proof needs the bytes of a few nodes and one value out of them, and to decode a leaf of 64 entries costs more than all
the rest. So the bytes are searched: the entry of a suffix, the child of a branch byte, is a sequence of bytes that
begins with the head of an array and ends with that of a link. Names are ASCII and numbers are short, so such a sequence
stands nowhere else, unless in the middle of a digest: there somebody would have to choose at least twelve bytes of
blake3. Where a value has any but the commonest form, the node is decoded after all.

Only for trees that were built or checked here: what comes from elsewhere goes through ``tree_proof``.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from holo.core import codec
from holo.core.cid import CID_BYTES, DAG_CBOR, Cid
from holo.core.limits import TREE_KEY_BYTES
from holo.core.tree_node import EMPTY, Read, Value, descend, parse_node


class Path(NamedTuple):
    """The nodes from the root to where a key's path ends, as ``tree_proof.prove`` gives them, but for the empty tree's,
    which needs no storage; and the key's value, or None."""

    nodes: dict[Cid, bytes]
    value: Value | None


def find(read: Read, root: Cid, key: bytes) -> Path:
    """The path of ``key`` in the tree under ``root``."""
    nodes: dict[Cid, bytes] = {}
    value: Value | None = None
    child: Cid | None = None if root == EMPTY else root
    at = 0
    while child is not None:
        data = nodes[child] = read(child)
        child, at, value = _leaf(data, key, at) if is_leaf(data) else _branch(data, key, at)
    return Path(nodes, value)


_Step: TypeAlias = tuple[Cid | None, int, Value | None]
"""What :func:`~holo.core.tree_node.descend` gives, with the child's link alone."""

_LEAF: Final = b"\x82\x00"
_LINK: Final = codec.encode(Cid.of(DAG_CBOR, b""))[:-32]
_PAIR: Final = codec.encode([0, 0])[:1]
_TRIPLE: Final = codec.encode([0, 0, 0])[:1]
_STATEMENT_BYTES: Final = len(_PAIR + _LINK) + 32  # as trees cite it, up to the list of positions
_BYTES: Final = tuple(codec.encode(bytes(size))[: -size or None] for size in range(TREE_KEY_BYTES + 1))
_INTS: Final = tuple(codec.encode(byte) for byte in range(256))


def is_leaf(data: bytes) -> bool:
    """Whether the bytes of a node are those of a leaf."""
    return data[:2] == _LEAF


def value_in_leaf(data: bytes, suffix: bytes) -> tuple[int, int] | None:
    """Where the value of ``suffix`` begins and ends in the bytes of a leaf, if it is one statement or one link."""
    entry = _PAIR + _BYTES[len(suffix)] + suffix
    start = data.find(entry + _PAIR + _LINK)
    if start >= 0:  # one statement, and who endorsed it
        start += len(entry)
        end = start + _STATEMENT_BYTES
        count = data[end] - 0x80
        if 0 < count < 24 and max(data[end + 1 : end + 1 + count]) < 24:
            return start, end + 1 + count
    start = data.find(entry + _LINK)
    if start >= 0:  # a namespace's state
        start += len(entry)
        return start, start + len(_LINK) + 32
    return None


def child_in_branch(data: bytes, key: bytes, at: int) -> tuple[int, int] | None:
    """(bytes of its position, where the link to it ends) of the child on the path of ``key``, in the bytes of a branch.

    The end is 0 where there is none. None where the path ends here, or the node has to be taken apart.
    """
    if data[2] < 0x58:
        size, start = data[2] - 0x40, 3
    elif data[2] == 0x58:
        size, start = data[3], 4
    else:
        return None
    if not key.startswith(data[start : start + size], at):
        return at, 0
    at += size
    if at == len(key):
        return None
    mark = _TRIPLE + _INTS[key[at]]
    found = data.find(mark, start + size)
    while 0 <= found < len(data) - len(mark):
        count = data[found + len(mark)]
        link = found + len(mark) + (1 if count < 24 else 1 + (1 << (count - 24 & 3)))
        if data.startswith(_LINK, link):
            return at + 1, link + len(_LINK) + 32
        found = data.find(mark, found + 1)
    return at + 1, 0


def _leaf(data: bytes, key: bytes, at: int) -> _Step:
    suffix = key[at:]
    found = value_in_leaf(data, suffix)
    if found is None:
        return _decoded(data, key, at) if _BYTES[len(suffix)] + suffix in data else (None, at, None)
    start, end = found
    if data[start] == _LINK[0]:
        return None, at, [Cid(data[end - CID_BYTES : end])]
    positions = start + _STATEMENT_BYTES
    return None, at, [[Cid(data[positions - CID_BYTES : positions]), list(data[positions + 1 : end])]]


def _branch(data: bytes, key: bytes, at: int) -> _Step:
    found = child_in_branch(data, key, at)
    if found is None:
        return _decoded(data, key, at)
    at, end = found
    return (Cid(data[end - CID_BYTES : end]) if end else None), at, None


def _decoded(data: bytes, key: bytes, at: int) -> _Step:
    child, at, value = descend(parse_node(data), key, at)
    return None if child is None else child[2], at, value
