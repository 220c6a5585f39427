"""Walking a kept catalog across its two levels: the tree of namespaces, and each namespace's tree of bindings.

Positions are ``namespace 0x00 handle/tag``: their order is that of the two trees, one inside the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from holo.core import tree
from holo.core.cid import Cid
from holo.core.names import Name
from holo.core.state import Catalog, parse_current, parse_state_value
from holo.core.state_bytes import bindings_of, count_of
from holo.http.shapes import name_of_key
from holo.store.view import View

Place = tuple[str, list[str]]


def count_names(view: View, catalog: Catalog) -> int:
    """How many names a catalog has."""
    read = view.records.node
    return sum(_count(view, value) for _, value in tree.iterate(read, catalog.namespaces))


def count_names_since(view: View, before: Catalog, count: int, catalog: Catalog) -> int:
    """How many names a catalog has, from another that has ``count``: only namespaces that differ are read."""
    read = view.records.node
    for _, old, new in tree.diff(read, before.namespaces, read, catalog.namespaces):
        count += _count(view, new) - _count(view, old)
    return count


def iterate_names(view: View, catalog: Catalog, prefix: str, after: bytes) -> Iterator[tuple[bytes, Place]]:
    """(position, (name, statements)) of the names that start with ``prefix``, strictly after a position."""
    read = view.records.node
    ns_prefix, slash, path_prefix = prefix.partition("/")
    ns_after, _, path_after = after.partition(b"\0")
    if slash:
        value = tree.get(read, catalog.namespaces, ns_prefix.encode())
        found = iter(() if value is None else ((ns_prefix.encode(), value),))
    else:
        # The namespace the position is in is not finished yet, so it comes first again.
        again = tree.get(read, catalog.namespaces, ns_after) if ns_after else None
        first = () if again is None else ((ns_after, again),)
        found = chain(first, tree.iterate(read, catalog.namespaces, ns_prefix.encode(), ns_after or None))
    for key, value in found:
        start = path_after if key == ns_after else None
        for path, cited in tree.iterate(read, _bindings(view, value), path_prefix.encode(), start or None):
            yield key + b"\0" + path, (name_of_key(key.decode(), path), _statements(cited))


def prove_name(view: View, cid: Cid, catalog: Catalog, name: Name) -> tuple[list[str], list[bytes]]:
    """(statements, objects from the catalog down) that prove which statements a name has, or that it has none."""
    read, key = view.records.node, name.namespace.encode()
    nodes = [read(cid), *tree.prove(read, catalog.namespaces, key)]
    value = tree.get(read, catalog.namespaces, key)
    if value is None:
        return [], nodes
    state_cid = parse_state_value(value)
    bindings = _bindings(view, value)
    nodes += [read(state_cid), *tree.prove(read, bindings, name.path.encode())]
    return _statements(tree.get(read, bindings, name.path.encode())), nodes


def iterate_changes(
    view: View, before: Catalog, after: Catalog, start: bytes
) -> Iterator[tuple[bytes, tuple[str, list[str], list[str]]]]:
    """(position, (name, statements before, statements after)) of what differs, strictly after a position."""
    read = view.records.node
    ns_start, _, path_start = start.partition(b"\0")
    found = tree.diff(read, before.namespaces, read, after.namespaces, beyond=ns_start or None)
    if ns_start:  # the namespace the position is in is not finished yet
        both = (tree.get(read, before.namespaces, ns_start), tree.get(read, after.namespaces, ns_start))
        found = chain([(ns_start, *both)], found)
    for key, old, new in found:
        beyond = path_start if key == ns_start and path_start else None
        for path, one, other in tree.diff(read, _bindings(view, old), read, _bindings(view, new), beyond=beyond):
            yield key + b"\0" + path, (name_of_key(key.decode(), path), _statements(one), _statements(other))


def _bindings(view: View, value: tree.Value | None) -> Cid:
    """The bindings tree of the namespace state that a value names."""
    return tree.EMPTY if value is None else bindings_of(view.records.node(parse_state_value(value)))


def _count(view: View, value: tree.Value | None) -> int:
    return 0 if value is None else count_of(view.records.node(parse_state_value(value)))


def _statements(value: tree.Value | None) -> list[str]:
    return [] if value is None else [str(cited.statement) for cited in parse_current(value)]
