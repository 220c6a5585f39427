"""The Merkle radix tree: byte-string keys to values, under one root (spec section 3).

The shape is a function of the key set alone: whatever the order of inserts and deletes, equal contents have
equal roots. Nothing in it depends on a hash of a key, so nobody can choose names that make a node large.

A tree is read on trust: every function here takes a root that was built here or that ``check_tree`` accepted.
Bytes from elsewhere go through ``check_tree``, ``check_proof`` or ``decode_node`` first.

Two subtrees with the same suffixes and the same values are one node, stored once. Bookkeeping by node
(:attr:`Change.removed`) is therefore exact only where a value belongs to one key, as a statement's id does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Rejected
from holo.core.limits import LEAF_KEYS, TREE_KEY_BYTES
from holo.core.tree_diff import changed_nodes, diff
from holo.core.tree_node import (
    EMPTY,
    EMPTY_NODE,
    Branch,
    Leaf,
    Node,
    Read,
    Value,
    common_bytes,
    decode_node,
    descend,
    encode_node,
    load,
    parse_node,
    read_node,
)
from holo.core.tree_proof import check_proof, check_tree, prove

__all__ = [
    "EMPTY",
    "EMPTY_NODE",
    "Branch",
    "Change",
    "Leaf",
    "Read",
    "Value",
    "build",
    "changed_nodes",
    "check_proof",
    "check_tree",
    "count",
    "decode_node",
    "diff",
    "get",
    "iterate",
    "prove",
    "update",
    "walk",
]


class Change(NamedTuple):
    """What came of building or updating a tree.

    ``added`` holds every node the new tree needs and the old one lacked, ``removed`` the nodes of the old tree that
    no longer stand where they stood. Where values belong to one key each, old nodes − removed + added is exactly the
    new tree; where they do not, a node in ``removed`` may still stand elsewhere in the new tree: count before deleting.
    """

    root: Cid
    added: dict[Cid, bytes]
    removed: set[Cid]


def build(items: Iterable[tuple[bytes, Value]]) -> Change:
    """The tree of ``items``, given in any order.

    Raises ``tree-invalid`` for a key given twice and ``too-large`` for a key or value above its bound.
    """
    ordered = sorted(items, key=itemgetter(0))
    keys = [key for key, _ in ordered]
    for one, other in pairwise(keys):
        if one == other:
            raise Rejected("tree-invalid", f"key {one!r} is given twice")
    _check_keys(keys)
    draft = _Draft(_read_nothing)
    return draft.finish(draft.grow(keys, [value for _, value in ordered], 0, len(keys), 0))


def update(read: Read, root: Cid, changes: Mapping[bytes, Value | None]) -> Change:
    """The tree under ``root`` with ``changes`` made; None deletes, and deleting what is not there does nothing.

    The result is what :func:`build` makes of the final contents. Reads the nodes on the changed paths, and the
    siblings of what falls back to 64 keys. Raises ``too-large`` as :func:`build` does.
    """
    if not changes:
        return Change(root, {}, set())
    _check_keys(changes)
    draft = _Draft(read)
    return draft.finish(draft.change(draft.take(root), 0, sorted(changes.items(), key=itemgetter(0))))


def get(read: Read, root: Cid, key: bytes) -> Value | None:
    """The value of ``key``, or None."""
    child, at, value = descend(load(read, root), key, 0)
    while child is not None:
        child, at, value = descend(load(read, child[2]), key, at)
    return value


def count(read: Read, root: Cid) -> int:
    """How many keys the tree holds."""
    return load(read, root).total


def iterate(read: Read, root: Cid, prefix: bytes = b"", after: bytes | None = None) -> Iterator[tuple[bytes, Value]]:
    """The keys that start with ``prefix`` and lie strictly after ``after``, in order, with their values.

    Reads only nodes that may hold such keys.
    """
    waiting: list[tuple[bytes, Cid]] = [(b"", root)]
    while waiting:
        position, link = waiting.pop()
        node = load(read, link)
        if isinstance(node, Leaf):
            for suffix, value in node.entries:
                key = position + suffix
                if key.startswith(prefix) and (after is None or key > after):
                    yield key, value
            continue
        position += node.prefix
        if node.own is not None and position.startswith(prefix) and (after is None or position > after):
            yield position, node.own
        for byte, _, link in reversed(node.children):
            below = position + bytes((byte,))
            within = below.startswith(prefix) or prefix.startswith(below)
            if within and (after is None or below > after or after.startswith(below)):
                waiting.append((below, link))


def walk(read: Read, root: Cid) -> Iterator[tuple[Cid, bytes]]:
    """Every node of the tree, each once, after the first node that links to it."""
    waiting, seen = [root], {root}
    while waiting:
        cid = waiting.pop()
        data = read_node(read, cid)
        yield cid, data
        node = parse_node(data)
        if isinstance(node, Branch):
            links = [link for _, _, link in reversed(node.children) if link not in seen]
            seen.update(links)
            waiting += dict.fromkeys(links)


_Part: TypeAlias = tuple[int, Cid | Node]
"""A child while its parent is being made: its number of keys, and its link or the node not yet stored."""


class _Draft:
    """A change in the making: which nodes were opened to be replaced, which are new.

    A node is stored only once its parent is known to stay a branch, so everything in ``fresh`` is in the result.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._stale: set[Cid] = set()
        self._fresh: dict[Cid, bytes] = {}

    def take(self, cid: Cid) -> Node:
        """The node ``cid``, whose place another node takes."""
        self._stale.add(cid)
        return load(self._read, cid)

    def store(self, node: Node) -> Cid:
        data = encode_node(node)
        cid = Cid.of(DAG_CBOR, data)
        self._fresh[cid] = data
        return cid

    def finish(self, top: Node) -> Change:
        root = self.store(top)
        stale, fresh = self._stale, self._fresh
        return Change(root, {cid: data for cid, data in fresh.items() if cid not in stale}, stale - fresh.keys())

    def grow(self, keys: Sequence[bytes], values: Sequence[Value], start: int, end: int, depth: int) -> Node:
        """The node of ``keys[start:end]``, which are in order and share their first ``depth`` bytes."""
        if end - start <= LEAF_KEYS:
            return Leaf([(keys[at][depth:], values[at]) for at in range(start, end)])
        first = keys[start]
        stop = depth + common_bytes(first, keys[end - 1], depth)
        prefix, own = first[depth:stop], None
        if len(first) == stop:
            own = values[start]
            start += 1
        children = []
        while start < end:
            byte = keys[start][stop]
            after = first[:stop] + bytes((byte + 1,)) if byte < 255 else None
            middle = end if after is None else bisect_left(keys, after, start, end)
            children.append((byte, middle - start, self.store(self.grow(keys, values, start, middle, stop + 1))))
            start = middle
        return Branch(prefix, own, children)

    def change(self, node: Node, depth: int, changes: Sequence[tuple[bytes, Value | None]]) -> Node:
        """``node``, ``depth`` bytes down, with ``changes`` made to it, at least one, in order of their keys."""
        if isinstance(node, Leaf):
            return self._change_leaf(node, depth, changes)
        prefix, own, parts = _opened(node, depth, changes)
        stop = depth + len(prefix)
        start, end = 0, len(changes)
        if len(changes[0][0]) == stop:
            own = changes[0][1]
            start = 1
        while start < end:
            byte = changes[start][0][stop]
            middle = start + 1
            while middle < end and changes[middle][0][stop] == byte:
                middle += 1
            part = parts[byte][1] if byte in parts else Leaf([])
            below = self.take(part) if isinstance(part, Cid) else part
            below = self.change(below, stop + 1, changes[start:middle])
            parts[byte] = (below.total, below)
            start = middle
        return self._settled(prefix, own, parts)

    def _change_leaf(self, leaf: Leaf, depth: int, changes: Sequence[tuple[bytes, Value | None]]) -> Node:
        entries = dict(leaf.entries)
        for key, value in changes:
            if value is None:
                entries.pop(key[depth:], None)
            else:
                entries[key[depth:]] = value
        keys = sorted(entries)
        return self.grow(keys, [entries[key] for key in keys], 0, len(keys), 0)

    def _settled(self, prefix: bytes, own: Value | None, parts: dict[int, _Part]) -> Node:
        """The node with these contents in the one shape they have; ``parts`` may be empty or too few."""
        present = [(byte, count, part) for byte, (count, part) in sorted(parts.items(), key=itemgetter(0)) if count]
        if sum([count for _, count, _ in present]) + (own is not None) <= LEAF_KEYS:
            entries = [] if own is None else [(prefix, own)]
            for byte, _, part in present:
                leaf = self.take(part) if isinstance(part, Cid) else part
                assert isinstance(leaf, Leaf), "a child has no more keys than its parent"
                entries += [(prefix + bytes((byte,)) + suffix, value) for suffix, value in leaf.entries]
            return Leaf(entries)
        if own is None and len(present) == 1:
            byte, _, part = present[0]
            below = self.take(part) if isinstance(part, Cid) else part
            assert isinstance(below, Branch), "more than 64 keys are a branch"
            return below._replace(prefix=prefix + bytes((byte,)) + below.prefix)
        stored = [(byte, count, part if isinstance(part, Cid) else self.store(part)) for byte, count, part in present]
        return Branch(prefix, own, stored)


def _opened(
    node: Branch, depth: int, changes: Sequence[tuple[bytes, Value | None]]
) -> tuple[bytes, Value | None, dict[int, _Part]]:
    """The prefix, own value and children of ``node``, with the prefix cut to what every changed key shares with it.

    Where it has to be cut, the rest of the node becomes the only child; ``_settled`` joins the two again if the
    changes turn out to add nothing beside it.
    """
    shared = min(common_bytes(node.prefix, changes[at][0][depth:]) for at in (0, -1))
    if shared == len(node.prefix):
        return node.prefix, node.own, {byte: (count, link) for byte, count, link in node.children}
    rest = node._replace(prefix=node.prefix[shared + 1 :])
    return node.prefix[:shared], None, {node.prefix[shared]: (node.total, rest)}


def _check_keys(keys: Iterable[bytes]) -> None:
    longest = max(map(len, keys), default=0)
    if longest > TREE_KEY_BYTES:
        raise Rejected("too-large", f"a key of {longest} bytes where at most {TREE_KEY_BYTES} are allowed")


def _read_nothing(cid: Cid) -> bytes:
    raise AssertionError("building a tree reads no node")
