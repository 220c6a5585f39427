"""Comparing two trees by their roots: which keys differ, and which nodes (spec section 3).

Both walk the two trees side by side in key order and pass over equal subtrees without reading them. A subtree is
equal only where it stands at the same position in both: the same node elsewhere holds other keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from holo.core.cid import Cid
from holo.core.tree_node import Leaf, Node, Read, Value, load, parse_node, read_node


class _Ahead(NamedTuple):
    """Something not yet passed: a subtree whose keys all start with ``position``, or the key ``position``."""

    position: bytes
    link: Cid | None
    value: Value | None


def diff(
    read_before: Read, before: Cid, read_after: Read, after: Cid, *, beyond: bytes | None = None
) -> Iterator[tuple[bytes, Value | None, Value | None]]:
    """Each key whose value differs, in order, with its value before and after; None where it is absent.

    With ``beyond`` only keys strictly after it; what lies wholly before is not read.
    """
    old, new = [_Ahead(b"", before, None)], [_Ahead(b"", after, None)]
    while old or new:
        one, other = old[-1] if old else None, new[-1] if new else None
        if one is not None and other is not None and one.position == other.position and one.link and other.link:
            old.pop()
            new.pop()
            if one.link != other.link:
                before_node, after_node = load(read_before, one.link), load(read_after, other.link)
                if isinstance(before_node, Leaf) and isinstance(after_node, Leaf):
                    yield from _diff_leaves(before_node, after_node, one.position, beyond)
                else:
                    old += _still_ahead(_spread(before_node, one.position), beyond)
                    new += _still_ahead(_spread(after_node, one.position), beyond)
        elif one is not None and _goes_first(one, other):
            old.pop()
            if one.link is not None:
                old += _still_ahead(_spread(load(read_before, one.link), one.position), beyond)
            else:
                yield one.position, one.value, None
        elif other is not None and _goes_first(other, one):
            new.pop()
            if other.link is not None:
                new += _still_ahead(_spread(load(read_after, other.link), other.position), beyond)
            else:
                yield other.position, None, other.value
        else:
            old.pop()
            new.pop()
            if one is not None and other is not None and not _same_value(one.value, other.value):
                yield other.position, one.value, other.value


def _diff_leaves(
    one: Leaf, other: Leaf, position: bytes, beyond: bytes | None
) -> Iterator[tuple[bytes, Value | None, Value | None]]:
    """The same of two leaves, which stand at the same position."""
    before, after = dict(one.entries), dict(other.entries)
    for suffix in sorted(before.keys() | after.keys()):
        values = before.get(suffix), after.get(suffix)
        if not _same_value(*values) and (beyond is None or position + suffix > beyond):
            yield position + suffix, *values


def changed_nodes(read_before: Read, before: Cid, read_after: Read, after: Cid) -> Iterator[tuple[Cid, bytes]]:
    """The nodes of ``after`` that do not stand in the same place in ``before``, each once, parents first.

    Where a value belongs to one key these are exactly the nodes that ``before`` lacks.
    """
    old, new = [_Ahead(b"", before, None)], [_Ahead(b"", after, None)]
    seen: set[Cid] = set()
    while new:
        one, other = old[-1] if old else None, new[-1]
        if other.link is None or other.link in seen:
            new.pop()
        elif one is None or _goes_first(other, one):
            new.pop()
            seen.add(other.link)
            data = read_node(read_after, other.link)
            yield other.link, data
            new += _spread(parse_node(data), other.position)
        elif _goes_first(one, other):
            old.pop()
            if one.link is not None and other.position.startswith(one.position):
                old += _spread(load(read_before, one.link), one.position)
        else:
            old.pop()
            new.pop()


def _goes_first(one: _Ahead, other: _Ahead | None) -> bool:
    """Whether ``one`` is to be opened or passed before ``other``; false for both if they are the same thing."""
    if other is None:
        return True
    if one.link is not None and other.position.startswith(one.position):
        return one.link != other.link or one.position != other.position
    return one.position < other.position


def _spread(node: Node, position: bytes) -> list[_Ahead]:
    """What ``node`` holds, the last first."""
    if isinstance(node, Leaf):
        return [_Ahead(position + suffix, None, value) for suffix, value in reversed(node.entries)]
    position += node.prefix
    below = [_Ahead(position + bytes((byte,)), link, None) for byte, _, link in reversed(node.children)]
    return below if node.own is None else [*below, _Ahead(position, None, node.own)]


def _still_ahead(found: list[_Ahead], beyond: bytes | None) -> list[_Ahead]:
    """Those of ``found`` that are, or may hold, keys strictly after ``beyond``."""
    if beyond is None:
        return found
    return [
        item for item in found if item.position > beyond or (item.link is not None and beyond.startswith(item.position))
    ]


def _same_value(one: Any, other: Any) -> bool:
    """Equality of what is written: Python alone takes true for 1 and a link for its bytes."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is list:
        return len(one) == len(other) and all(map(_same_value, one, other))
    if kind is dict:
        return one.keys() == other.keys() and all(_same_value(one[key], other[key]) for key in one)
    return bool(one == other)
