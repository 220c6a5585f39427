"""One's own tree, asked for what lies below a position that another tree has (spec section 7.5).

Two trees of nearly the same keys can have other nodes at a position, or none: a key more makes a prefix shorter and a
leaf a branch. But the shape of a tree is a function of its keys. So the node that the keys below a position *would*
have there can be made of any tree that holds them, and is the other's if and only if the keys and values are.
"""

from __future__ import annotations

from typing import TypeAlias

from holo.core.cid import DAG_CBOR, Cid
from holo.core.tree_node import Branch, Leaf, Node, Read, Value, descend, encode_node, load

Below: TypeAlias = "Node | Cid | None"
"""What lies below a position: a node, or the link to it, or None where there is no key."""


def opened(read: Read, found: Below) -> Node | None:
    """The node that was found."""
    return load(read, found) if isinstance(found, Cid) else found


def link_of(found: Below) -> Cid | None:
    """The CID of what was found, made for the purpose where no such node is stored."""
    return found if found is None or isinstance(found, Cid) else Cid.of(DAG_CBOR, encode_node(found))


def below(read: Read, found: Below, position: bytes) -> Below:
    """What lies ``position`` further down from ``found``, in the one shape that its keys have there."""
    while position:
        node = opened(read, found)
        if node is None:
            return None
        if isinstance(node, Leaf):
            entries = [(key[len(position) :], value) for key, value in node.entries if key.startswith(position)]
            return Leaf(entries) if entries else None
        prefix = node.prefix
        if len(position) <= len(prefix):
            return node._replace(prefix=prefix[len(position) :]) if prefix.startswith(position) else None
        if not position.startswith(prefix):
            return None
        found = _child(node, position[len(prefix)])
        position = position[len(prefix) + 1 :]
    return found


def value_below(read: Read, found: Below, key: bytes) -> Value | None:
    """The value of what is called ``key`` from there on."""
    node = opened(read, found)
    child, at, value = (None, 0, None) if node is None else descend(node, key, 0)
    while child is not None:
        child, at, value = descend(load(read, child[2]), key, at)
    return value


def _child(node: Branch, byte: int) -> Cid | None:
    return next((link for at, _, link in node.children if at == byte), None)
