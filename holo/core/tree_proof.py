"""Judging trees and parts of trees that come from strangers (spec section 3).

A proof is the nodes from the root to where the path of a key ends, and is the same for presence and absence.

What :func:`check_proof` guarantees: the nodes are the only ones the root allows for that key, each well formed by
itself and as large as its parent says. So for one root and one key there is at most one answer: never a value and
an absence, never two values, however the tree was forged. A key that is in a tree :func:`check_tree` accepts has
no proof of absence from its root.

What it cannot: see beside the path. That the siblings exist, are well formed and hold as many keys as is said takes
:func:`check_tree` and the whole tree. Whoever signs a root over a tree that is broken elsewhere still answers
truly, and alone, for the keys whose paths are whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from holo.core.cid import Cid
from holo.core.errors import Rejected
from holo.core.limits import TREE_KEY_BYTES
from holo.core.tree_node import Branch, Leaf, Node, Read, Value, decode_node, descend, parse_node, read_node


def prove(read: Read, root: Cid, key: bytes) -> list[bytes]:
    """The nodes from the root to where the path of ``key`` ends, which prove its value or its absence."""
    nodes = [read_node(read, root)]
    child, at, _ = descend(parse_node(nodes[0]), key, 0)
    while child is not None:
        nodes.append(read(child[2]))
        child, at, _ = descend(parse_node(nodes[-1]), key, at)
    return nodes


def check_proof(root: Cid, key: bytes, nodes: Sequence[bytes]) -> Value | None:
    """The value that ``nodes`` prove ``key`` to have under ``root``, or None if they prove that it has none.

    Raises ``proof-invalid``, with the offending node as ``at``, for anything but exactly the path's nodes in their
    order: a CID that does not match, a node missing, added, repeated or misplaced, one that is no node by itself
    (:func:`~holo.core.tree_node.decode_node`), a child with other than the promised number of keys, a key beyond
    the bound. What this proves and what it does not is said at the top of this module.
    """
    link: Cid | None = root
    expected, at, value = None, 0, None
    for index, data in enumerate(nodes):
        place = f"node[{index}]"
        if link is None:
            raise Rejected("proof-invalid", "the path ends before this node", at=place)
        if not link.matches(data):
            raise Rejected("proof-invalid", f"the bytes are not those of {link!s}", at=place)
        try:
            node = decode_node(data)
            check_place(node, at, expected)
        except Rejected as error:
            raise Rejected("proof-invalid", error.detail, at=place) from None
        child, at, value = descend(node, key, at)
        link, expected = (child[2], child[1]) if child else (None, None)
    if link is not None:
        raise Rejected("proof-invalid", f"the path goes on to {link!s}", at=f"node[{len(nodes)}]")
    return value


def check_tree(read: Read, root: Cid) -> int:
    """How many keys the tree holds, once every node and every rule between nodes has been checked.

    ``read`` need not be trusted: each node is hashed. Takes time in proportion to the number of different nodes,
    which can be far below the number of keys: a small hostile tree may repeat a subtree until its count is 2^53, so
    look at the count before iterating. Raises ``tree-invalid``, with the node's CID as subject, and whatever
    ``read`` raises.
    """
    total, _ = _check_subtree(read, root, 0, {})
    return total


def _check_subtree(read: Read, cid: Cid, at: int, known: dict[Cid, tuple[int, int]]) -> tuple[int, int]:
    """The number of keys below ``cid``, ``at`` bytes down, and the length of the longest from there.

    Both follow from the node alone: a subtree met again is not walked again, the caller judges it in its new place.
    """
    if cid in known:
        return known[cid]
    node = _checked_node(read, cid, at)
    reach = _reach(node)
    if isinstance(node, Branch):
        step = len(node.prefix) + 1
        for byte, count, link in node.children:
            total, deeper = _check_subtree(read, link, at + step, known)
            reach = max(reach, step + deeper)
            if total != count:
                detail = f"{total} keys below byte {byte} where {count} are said to be"
                raise Rejected("tree-invalid", detail, subject=str(cid))
    if at + reach > TREE_KEY_BYTES:
        raise Rejected("tree-invalid", f"a key of {at + reach} bytes", subject=str(cid))
    known[cid] = node.total, reach
    return known[cid]


def _checked_node(read: Read, cid: Cid, at: int) -> Node:
    data = read_node(read, cid)
    try:
        if not cid.matches(data):
            raise Rejected("tree-invalid", "the bytes do not hash to the CID")
        node = decode_node(data)
        check_place(node, at, None)
    except Rejected as error:
        raise Rejected("tree-invalid", error.detail, subject=str(cid)) from None
    return node


def check_place(node: Node, at: int, expected: int | None) -> None:
    """Whether ``node`` may stand ``at`` bytes down with the number of keys its parent gives; None if not known."""
    if expected is not None and node.total != expected:
        raise Rejected("tree-invalid", f"{node.total} keys where the parent says {expected}")
    if at + _reach(node) > TREE_KEY_BYTES:
        raise Rejected("tree-invalid", f"a key of {at + _reach(node)} bytes, at most {TREE_KEY_BYTES} are allowed")


def _reach(node: Node) -> int:
    """The length that the longest key is known to have from here on, by this node alone."""
    if isinstance(node, Leaf):
        return max((len(suffix) for suffix, _ in node.entries), default=0)
    return len(node.prefix) + 1 if node.children else len(node.prefix)
