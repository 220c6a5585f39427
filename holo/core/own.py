"""This end's side of a comparison with a peer (spec section 7.5)."""

from __future__ import annotations

import functools
from typing import Literal, TypeAlias

from holo.core.cid import Cid
from holo.core.state import Catalog, NamespaceState, decode_namespace_state, parse_state_value
from holo.core.tree_below import value_below
from holo.core.tree_node import Read

Tree: TypeAlias = Literal["evidence", "namespaces", "policies", "bindings", "pending"]


class Own:
    """This end's side at one moment: its catalog, None where it has none, and a reader of nodes and states by CID.

    It remembers what it has read. Make another for another moment, and at the latest for another answer.
    """

    def __init__(self, catalog: Catalog | None, read: Read) -> None:
        self._catalog = catalog
        self._read = read
        self._states: dict[str, NamespaceState | None] = {}

    @functools.cached_property
    def read(self) -> Read:
        """The reader of nodes."""
        return functools.cache(self._read)

    def state(self, ns: str) -> NamespaceState | None:
        """The state of a namespace."""
        if ns not in self._states:
            root = self.root("namespaces")
            value = None if root is None else value_below(self.read, root, ns.encode())
            self._states[ns] = None if value is None else decode_namespace_state(self._read(parse_state_value(value)))
        return self._states[ns]

    def root(self, tree: Tree, ns: str = "") -> Cid | None:
        """The root of a tree of the catalog, or of ``ns``."""
        whole = self._catalog if tree in ("namespaces", "evidence") else self.state(ns)
        return None if whole is None else getattr(whole, tree)
