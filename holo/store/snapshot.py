"""The committed state as a catalog: trees brought up to date, namespace states, catalog, head, collection (section 3).

Runs inside the writer's transaction. Only names marked dirty since the last head are read, so a head costs what changed
and not what there is. Nodes that no kept head reaches are collected: each head buries what it replaced, and a buried
node is deleted once every head that could still reach it has left the kept window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from holo.core import tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Statement
from holo.core.evidence import evidence_value, parse_evidence_value
from holo.core.state import (
    Catalog,
    Cited,
    NamespaceState,
    cited_value,
    decode_catalog,
    decode_namespace_state,
    endorsers_value,
    state_value,
)
from holo.core.state_bytes import links_of, replace_bindings
from holo.core.tree_replace import replace as replace_values
from holo.store import bindings, evidence
from holo.store.journal import Journal
from holo.store.layout import NamespaceRow
from holo.store.policies import PolicyCache
from holo.store.records import RecordsReader
from holo.store.records_writer import RecordsWriter


class Snapshot:
    """Brings the trees up to the records. One per head; ``catalog`` is the result of :meth:`build`."""

    def __init__(self, records: RecordsWriter, cache: PolicyCache, head_number: int) -> None:
        self._records = records
        self._cache = cache
        self._number = head_number
        self._added: set[Cid] = set()
        self._removed: set[Cid] = set()

    def build(self, before: Cid | None) -> Cid:
        """The catalog of the records as they are, from the last head's catalog ``before``; clears the dirty marks."""
        changed: dict[str, list[str | None]] = {}
        for ns, path in list(self._records.dirty()):
            changed.setdefault(ns, []).append(path)
            self._records.clear_dirty(ns, path)
        old = self._catalog(before)
        entries: dict[bytes, tree.Value | None] = {}
        for ns, paths in changed.items():
            row = self._records.namespace(ns)
            assert row is not None
            entries[ns.encode()] = state_value(self._namespace(row, paths))
        exposed = self._changed_evidence(old.evidence)
        catalog = Catalog(
            namespaces=self._update_names(old.namespaces, entries), evidence=self._update(old.evidence, exposed)
        ).as_statement()
        after = self._replace_object(before, catalog.id, catalog.bytes)
        # Only now: what left one tree may have entered another, as a mailbox's last words enter the bindings.
        for cid in self._removed - self._added - {tree.EMPTY}:  # every empty tree shares one node, always kept
            self._records.bury_node(cid, self._number)
        return after

    def _changed_evidence(self, root: Cid) -> dict[bytes, tree.Value | None]:
        """What changes in the tree of evidence; the objects are kept with the nodes, while heads reach them."""
        changed = evidence.changed_values(self._records)
        for subject, value in changed.items():
            before = tree.get(self._records.node, root, subject)
            if before is not None:
                self._removed.add(parse_evidence_value(before))
            cid = parse_evidence_value(value or [])
            self._put(cid, evidence.evidence_bytes(self._records, cid) or b"")
        evidence.clear_changed(self._records)
        return changed

    def _namespace(self, row: NamespaceRow, marks: list[str | None]) -> Cid:
        """Bring one namespace's trees and state up to date, None among ``marks`` for its policies; returns the CID."""
        names = {path.encode(): binding_value(self._records, row, path) for path in marks if path is not None}
        cid = self._with_bindings(row, names) if row.state is not None and None not in marks else None
        return self._rebuilt(row, marks, names) if cid is None else cid

    def _with_bindings(self, row: NamespaceRow, names: dict[bytes, tree.Value | None]) -> Cid | None:
        """The state with ``names`` changed; None where something may be pending."""
        assert row.state is not None
        before = self._records.node(row.state)
        links = links_of(before)
        if links.pending != tree.EMPTY or next(self._records.box_paths(row.ns), None) is not None:
            return None
        root = self._update_names(links.bindings, names)
        after = replace_bindings(before, root, tree.count(self._records.node, root))
        return self._replace_state(row, Cid.of(DAG_CBOR, after), after)

    def _rebuilt(self, row: NamespaceRow, marks: list[str | None], names: dict[bytes, tree.Value | None]) -> Cid:
        """The state made anew, from all of the namespace that may have changed."""
        old = None if row.state is None else decode_namespace_state(self._records.node(row.state))
        empty = tree.EMPTY
        policies = policy_values(self._records, row.ns) if None in marks else {}
        boxes = {
            path.encode(): pending_value(self._records, self._cache, row, path) for path in marks if path is not None
        }
        bindings_root = self._update_names(old.bindings if old else empty, names)
        state = NamespaceState(
            ns=row.ns,
            genesis=row.genesis,
            policy=row.policy,
            held=row.held,
            policies=self._update(old.policies if old else empty, policies),
            bindings=bindings_root,
            pending=self._update(old.pending if old else empty, boxes),
            count=tree.count(self._records.node, bindings_root),
        ).as_statement()
        return self._replace_state(row, state.id, state.bytes)

    def _replace_state(self, row: NamespaceRow, cid: Cid, data: bytes) -> Cid:
        if self._replace_object(row.state, cid, data) != row.state:
            self._records.put_namespace(replace(row, state=cid))
        return cid

    def _catalog(self, before: Cid | None) -> Catalog:
        if before is None:
            self._records.put_node(tree.EMPTY, tree.EMPTY_NODE, self._number)
            return Catalog(namespaces=tree.EMPTY, evidence=tree.EMPTY)
        return decode_catalog(self._records.node(before))

    def _update(self, root: Cid, changes: dict[bytes, tree.Value | None]) -> Cid:
        if not changes or (root == tree.EMPTY and not any(changes.values())):
            return root
        return self._apply(tree.update(self._records.node, root, changes))

    def _update_names(self, root: Cid, changes: dict[bytes, tree.Value | None]) -> Cid:
        """The same of a tree whose keys are text."""
        change = replace_values(self._records.node, root, changes) if changes else None
        return self._update(root, changes) if change is None else self._apply(change)

    def _apply(self, change: tree.Change) -> Cid:
        for cid, data in change.added.items():
            self._put(cid, data)
        self._removed |= change.removed
        return change.root

    def _replace_object(self, before: Cid | None, cid: Cid, data: bytes) -> Cid:
        if cid != before:
            self._put(cid, data)
            if before is not None:
                self._removed.add(before)
        return cid

    def _put(self, cid: Cid, data: bytes) -> None:
        self._records.put_node(cid, data, self._number)
        self._added.add(cid)


def binding_value(records: RecordsReader, row: NamespaceRow, path: str) -> tree.Value | None:
    """The bindings tree's value of a name, or None where it has none."""
    current = records.current(row.ns, path)
    return cited_value(Cited(item.id, item.positions) for item in current) or None


def pending_value(records: RecordsReader, cache: PolicyCache, row: NamespaceRow, path: str) -> tree.Value | None:
    """The pending tree's value of a name, or None where its mailbox shows nothing."""
    shown = bindings.pending(records, cache, row, path)
    return cited_value(Cited(cid, tuple(sorted(signatures))) for cid, _, signatures in shown) or None


def policy_values(records: RecordsReader, ns: str) -> dict[bytes, tree.Value | None]:
    """The policies tree of a namespace: policy id → the kids that endorse it."""
    return {bytes(cid): endorsers_value(records.endorsements(cid)) for cid, _ in list(records.policy_rows(ns))}


def make_head(
    records: RecordsWriter, cache: PolicyCache, journal: Journal, *, keep_heads: int
) -> tuple[Statement, bytes]:
    """Bring the catalog up to date, sign a head over it and collect what no kept head reaches."""
    before = journal.state
    catalog = Snapshot(records, cache, before.heads).build(before.catalog)
    records.put_catalog(catalog, before.heads)
    head = journal.sign_head(catalog)
    collect(records, before.heads + 1 - keep_heads)
    return head


def collect(records: RecordsWriter, oldest_kept: int) -> int:
    """Delete nodes that died at or before the oldest kept head; returns how many."""
    if oldest_kept <= 0:
        return 0
    # A node that died at head n was last reached by head n-1.
    doomed = list(records.buried(oldest_kept + 1))
    return sum(records.collect_node(cid, number) for number, cid in doomed)


def catalog_from_records(records: RecordsReader, cache: PolicyCache) -> Cid:
    """The catalog CID made from nothing but the records: what fsck compares the stored one with."""
    nodes: dict[Cid, bytes] = {}

    def build(items: Iterable[tuple[bytes, tree.Value]]) -> Cid:
        change = tree.build(items)
        nodes.update(change.added)
        return change.root

    states: list[tuple[bytes, tree.Value]] = []
    for row in records.namespaces():
        names = [(path, binding_value(records, row, path)) for path, _ in records.currents(row.ns)]
        boxes = [(path, pending_value(records, cache, row, path)) for path in records.box_paths(row.ns)]
        state = NamespaceState(
            ns=row.ns,
            genesis=row.genesis,
            policy=row.policy,
            held=row.held,
            policies=build((key, value) for key, value in policy_values(records, row.ns).items() if value),
            bindings=build((path.encode(), value) for path, value in names if value),
            pending=build((path.encode(), value) for path, value in boxes if value),
            count=sum(value is not None for _, value in names),
        )
        states.append((row.ns.encode(), state_value(state.as_statement().id)))
    exposed = build((bytes(kid), evidence_value(cid)) for kid, cid in evidence.exposed(records))
    return Catalog(namespaces=build(states), evidence=exposed).as_statement().id
