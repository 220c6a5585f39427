"""Catalogs of plain models: what a side knows is sets, its state is a function of them, and trees are built anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from holo.core import tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.differences import Found, FoundEvidence, FoundName, FoundPolicy
from holo.core.errors import Rejected
from holo.core.pull import Own, Pull
from holo.core.state import Catalog, Cited, NamespaceState, cited_value, endorsers_value, state_value
from tests.records import kid

Known = dict[Cid, set[int]]
"""Statement → positions of its endorsers."""

POLICY = Cid.of(DAG_CBOR, b"policy")
ENDORSERS = sorted((kid(name) for name in ("root", "root2", "recovery")), key=bytes)


def statement(ns: str, path: str, number: int) -> Cid:
    """The id of a statement that nobody has to read; that of a greater number is greater."""
    return Cid.from_digest(DAG_CBOR, bytes((number,)) + Cid.of(DAG_CBOR, f"{ns}/{path}/{number}".encode()).digest[1:])


@dataclass
class Names:
    """What is known of one namespace. Of a path's statements the greatest id is current; pending is what is beyond."""

    policies: dict[Cid, set[int]] = field(default_factory=dict)
    bindings: dict[str, Known] = field(default_factory=dict)
    pending: dict[str, Known] = field(default_factory=dict)

    def current(self) -> dict[str, Cited]:
        """Path → its current statement."""
        return {path: _cited(known) for path, known in self.bindings.items()}

    def shown(self) -> dict[str, list[Cited]]:
        """Path → what it shows as pending: what is greater than the current one."""
        found = {}
        for path, known in self.pending.items():
            current = max(self.bindings.get(path, ()), default=b"")
            left = [Cited(cid, tuple(sorted(at))) for cid, at in sorted(known.items()) if cid > current]
            if left:
                found[path] = left
        return found


@dataclass(repr=False)
class Side:
    """One peer. ``nodes`` are all objects of its newest catalog, by CID."""

    names: dict[str, Names] = field(default_factory=dict)
    evidence: dict[bytes, Cid] = field(default_factory=dict)
    nodes: dict[Cid, bytes] = field(default_factory=dict)

    def __repr__(self) -> str:
        counts = {
            ns: (len(names.policies), len(names.bindings), len(names.pending)) for ns, names in self.names.items()
        }
        return f"Side({counts}, evidence of {len(self.evidence)})"

    def of(self, ns: str) -> Names:
        """What it knows of a namespace."""
        return self.names.setdefault(ns, Names())

    def commit(self) -> tuple[Cid, Own]:
        """Build the catalog: its id, and this side at this moment."""
        self.nodes = {}
        states = [(ns.encode(), state_value(self._state(ns))) for ns in self.names]
        evidence = [(subject, [cid]) for subject, cid in self.evidence.items()]
        made = Catalog(self._tree(states), self._tree(evidence))
        nodes = self.nodes
        return self._keep(made.as_statement().bytes), Own(made, nodes.__getitem__)

    def states(self) -> dict[str, Cid]:
        """Namespace → its state."""
        return {ns: self._state(ns) for ns in sorted(self.names)}

    def _state(self, ns: str) -> Cid:
        names = self.names[ns]
        current = names.current()
        state = NamespaceState(
            ns, genesis_of(ns), POLICY, None,
            self._tree([(bytes(cid), _endorsers(by)) for cid, by in names.policies.items()]),
            self._tree([(path.encode(), cited_value([cited])) for path, cited in current.items()]),
            self._tree([(path.encode(), cited_value(shown)) for path, shown in names.shown().items()]),
            len(current),
        )  # fmt: skip
        return self._keep(state.as_statement().bytes)

    def _tree(self, items: Sequence[tuple[bytes, list[Any]]]) -> Cid:
        made = tree.build(items)
        self.nodes.update(made.added)
        return made.root

    def _keep(self, data: bytes) -> Cid:
        cid = Cid.of(DAG_CBOR, data)
        self.nodes[cid] = data
        return cid

    def take(self, found: Found, source: Side) -> None:
        """Take over what was found, as a record that was asked for: with all that the source knows of it."""
        if isinstance(found, FoundEvidence):
            before = self.evidence.get(found.subject, found.evidence)
            self.evidence[found.subject] = min(found.evidence, before)
        elif isinstance(found, FoundPolicy):
            held = self.of(found.ns).policies.setdefault(found.policy, set())
            held |= source.names[found.ns].policies[found.policy]
        elif isinstance(found, FoundName):
            mine, theirs = self.of(found.ns), source.names[found.ns]
            known, shown = (mine.pending, theirs.pending) if found.pending else (mine.bindings, theirs.bindings)
            known.setdefault(found.path, {}).setdefault(found.statement, set()).update(
                shown[found.path][found.statement]
            )
        elif found.by_range:
            for path, cited in source.names[found.ns].current().items():
                names = self.of(found.ns).bindings.setdefault(path, {})
                names.setdefault(cited.statement, set()).update(cited.positions)


def genesis_of(ns: str) -> Cid:
    """The genesis of a namespace, the same for everybody."""
    return Cid.of(DAG_CBOR, b"genesis of " + ns.encode())


def everywhere(ns: str, genesis: Cid) -> bool:
    """Hosts every namespace under the genesis everybody knows."""
    return genesis == genesis_of(ns)


def pull_once(mine: Side, source: Side, items_a_time: int = 1024) -> tuple[list[Found], int, int]:
    """Compare with ``source``, nothing lost: what was found, the questions it took, and the bytes of the answers."""
    theirs, _ = source.commit()
    _, own = mine.commit()
    pull = Pull(theirs, hosts=everywhere)
    found: list[Found] = []
    rounds = size = 0
    while asked := pull.ask():
        items = [source.nodes.get(cid) for cid in asked][:items_a_time]
        rounds += 1
        size += sum(len(item or b"") for item in items)
        found += pull.take(asked, items, own)
    if not pull.complete:
        raise Rejected("node-missing")
    return found, rounds, size


def _endorsers(by: set[int]) -> list[Any]:
    return endorsers_value(ENDORSERS[at] for at in by)


def _cited(known: Known) -> Cited:
    cid = max(known)
    return Cited(cid, tuple(sorted(known[cid])))
