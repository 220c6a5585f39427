"""Everything a node can be asked, over one snapshot: names, decisions, history, receipts, heads, proofs.

A view reads; it decides nothing that :mod:`holo.core` does not. It is made by ``Store.view()`` and dies with its block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from holo.core import limits, tree
from holo.core import log as rfc9162
from holo.core.binding import Binding, Standing, decode_binding, state_of
from holo.core.cid import DAG_CBOR, Cid
from holo.core.consumer import ConsumerPolicy
from holo.core.decision import Decision, Query
from holo.core.envelope import Record, Statement, decode_envelope, encode_envelope, open_statement
from holo.core.errors import Missing, Rejected
from holo.core.head import Head, parse_head
from holo.core.keys import Kid
from holo.core.names import Name
from holo.core.policy import Policy
from holo.core.resolve import Candidate, NamespaceView, decide
from holo.core.state import (
    Catalog,
    NamespaceState,
    decode_catalog,
    decode_namespace_state,
    parse_current,
    parse_pending,
    parse_state_value,
)
from holo.store import bindings, evidence
from holo.store.environment import Reader
from holo.store.journal import LogState, log_state
from holo.store.layout import NamespaceRow, Past
from holo.store.policies import PolicyCache
from holo.store.records import RecordsReader

EntryState = Literal["current", "forked", "held", "pending", "superseded"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A statement of a name as this node has it: how it stands, and each endorser's signature."""

    binding: Binding
    state: EntryState
    endorsements: dict[Kid, bytes]

    def envelopes(self) -> list[bytes]:
        """The record: one COSE_Sign1 per endorser."""
        return Record(self.binding.statement, self.endorsements).envelopes()


class View:
    """One consistent snapshot, for one ``with`` block. Methods raise ``Missing`` for what is not here."""

    __slots__ = ("_cache", "_reader", "commit", "node", "records")

    commit: int
    """The number of the last commit that it shows; each has its own."""

    def __init__(self, reader: Reader, cache: PolicyCache, node: Kid) -> None:
        self.records = RecordsReader(reader)
        self.node = node
        self._cache = cache
        self._reader = reader

    def __enter__(self) -> Self:
        self._reader.__enter__()
        self.commit = self._reader.commit
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.__exit__(kind, error, trace)

    # --- the log and heads

    @property
    def log(self) -> LogState:
        """Where the receipt log and the heads stand."""
        state = log_state(self.records)
        assert state is not None
        return state

    def head(self) -> tuple[Head, bytes] | None:
        """The newest head of the current log and its envelope; None until the first is signed.

        Its signature is this node's own and is not verified again.
        """
        state = self.log
        if state.head_seq == 0:
            return None
        envelope = self.records.head(state.number, state.head_seq - 1)
        assert envelope is not None
        return own_head(envelope), envelope

    def receipt(self, receipt: Cid) -> tuple[int, int, bytes]:
        """(log number, seq, envelope) of a receipt. Raises ``not-found``."""
        place = self.records.receipt_place(receipt)
        if place is None:
            raise Missing("not-found", f"receipt {receipt!s}", subject=str(receipt))
        envelope = self.records.receipt(*place)
        assert envelope is not None
        return (*place, envelope)

    def inclusion(self, receipt: Cid, size: int | None = None) -> tuple[int, int, list[bytes]]:
        """(index, size, hashes): the RFC 9162 inclusion proof of a receipt in its log's first ``size`` entries."""
        number, seq, _ = self.receipt(receipt)
        state = self.log
        if number != state.number:
            size = self.records.log_size(number) if size is None else size
        else:
            size = state.size if size is None else size
        if not seq < size <= (state.size if number == state.number else self.records.log_size(number)):
            raise Rejected("request-invalid", f"size {size} does not cover entry {seq} or is beyond the log")
        return seq, size, rfc9162.inclusion_proof(seq, size, lambda level, at: self.records.log_hash(number, level, at))

    def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """The RFC 9162 consistency proof between two sizes of the current log."""
        state = self.log
        if not 0 <= old_size <= new_size <= state.size:
            raise Rejected("request-invalid", f"sizes {old_size} and {new_size} in a log of {state.size}")
        return rfc9162.consistency_proof(
            old_size, new_size, lambda level, at: self.records.log_hash(state.number, level, at)
        )

    # --- namespaces and policies

    def namespace(self, ns: str) -> NamespaceRow:
        """A hosted namespace. Raises ``genesis-unknown``."""
        row = self.records.namespace(ns)
        if row is None:
            raise Missing("genesis-unknown", ns, subject=ns)
        return row

    def policy(self, policy: Cid) -> Policy:
        """A policy held here. Raises ``policy-unknown``."""
        return self._cache.get(self.records, policy)

    def policy_at(self, ns: str, seq: int | None = None) -> Policy:
        """The policy in effect, or the one of the chain in effect with that seq. Raises ``not-found``."""
        row = self.namespace(ns)
        if seq is None:
            return self.policy(row.policy)
        for cid, known in self.records.policy_rows(ns):
            if known.seq == seq and known.in_effect:
                return self.policy(cid)
        raise Missing("not-found", f"{ns} has no policy {seq} in effect", subject=ns)

    def known_policy(self, ns: str, policy: Cid) -> Policy:
        """A policy of this namespace, in effect or not. Raises ``genesis-unknown`` or ``not-found``."""
        self.namespace(ns)
        if self.records.policy_row(ns, policy) is None:
            raise Missing("not-found", f"{ns} has no policy {policy!s}", subject=str(policy))
        return self.policy(policy)

    def policy_envelopes(self, policy: Policy) -> list[bytes]:
        """A policy's record."""
        return Record(policy.statement, self.records.endorsements(policy.id)).envelopes()

    # --- names

    def current(self, name: Name) -> list[Entry]:
        """The one or two current statements of a name, best first; empty where it has none."""
        standings = self.records.current(name.namespace, name.path)
        return [self._entry(item, standings) for item in standings]

    def currents(self, ns: str, prefix: str = "", after: str = "") -> Iterator[tuple[str, list[Entry]]]:
        """(path, entries) of every name with a current statement, in order of path."""
        for path, standings in self.records.currents(ns, prefix, after):
            yield path, [self._entry(item, standings) for item in standings]

    def pending(self, name: Name) -> list[Entry]:
        """What a name's mailbox shows."""
        row = self.records.namespace(name.namespace)
        if row is None:
            return []
        found = []
        for cid, _, signatures in bindings.pending(self.records, self._cache, row, name.path):
            binding = self.binding(cid)
            policy = self.policy(binding.policy)
            kids = {policy.signers[at].key: signature for at, signature in signatures.items()}
            found.append(Entry(binding, "pending", kids))
        return found

    def pending_paths(self, ns: str, prefix: str = "", after: str = "") -> Iterator[str]:
        """Paths with a partial statement, shown or not."""
        return self.records.box_paths(ns, prefix, after)

    def history(self, name: Name, after: bytes = b"") -> Iterator[tuple[bytes, Entry]]:
        """(position, entry) of every complete statement of a name, newest revision first."""
        standings = self.records.current(name.namespace, name.path)
        by_id = {item.id: item for item in standings}
        for position, past in self.records.history(name.namespace, name.path, after):
            standing = by_id.get(past.id)
            yield position, self._entry(standing, standings) if standing else self._past(past)

    def changed_since(self, ns: str, since: int) -> Iterator[tuple[int, str]]:
        """(seq, path) of names of ``ns`` whose receipts have seq ≥ ``since`` in the current log, each seq once."""
        from holo.core.receipt import BindingReceipt, open_receipt

        for seq, envelope in self.records.receipts(self.log.number, since, type="binding-receipt"):
            receipt = open_receipt(envelope)
            if isinstance(receipt, BindingReceipt) and receipt.name.namespace == ns:
                yield seq, receipt.name.path

    def binding(self, statement: Cid) -> Binding:
        """A binding held here. Raises ``not-found``."""
        payload = self.records.payload(statement)
        if payload is None:
            raise Missing("not-found", f"statement {statement!s}", subject=str(statement))
        return decode_binding(payload)

    # --- decisions

    def decide(self, query: Query, consumer: ConsumerPolicy | None = None) -> Decision:
        """The decision on the live committed state; ``consumer`` is the pack that the query names, if it names one."""
        row = self.records.namespace(query.name.namespace)
        found = None if row is None else self._namespace_view(row, query.name)
        return decide(query, found, consumer)

    def decide_at(self, query: Query, catalog: Catalog, consumer: ConsumerPolicy | None = None) -> Decision:
        """The decision on the state a kept catalog commits to. Raises ``node-missing`` once it is collected."""
        value = tree.get(self.records.node, catalog.namespaces, query.name.namespace.encode())
        found = None
        if value is not None:
            state = decode_namespace_state(self.records.node(parse_state_value(value)))
            found = self._committed_view(state, query.name, catalog)
        return decide(query, found, consumer)

    def _namespace_view(self, row: NamespaceRow, name: Name) -> NamespaceView:
        standings = self.records.current(row.ns, name.path)
        return NamespaceView(
            genesis=row.genesis,
            policy=row.policy,
            policy_seq=row.policy_seq,
            policies=_Policies(self.records, row.ns),
            held=row.held,
            current=tuple(Candidate(item, self.policy(item.policy)) for item in standings),
            pending=0 if standings else len(bindings.pending(self.records, self._cache, row, name.path)),
            exposed=_Exposed(lambda kid: self.evidence(kid) is not None),
        )

    def _committed_view(self, state: NamespaceState, name: Name, catalog: Catalog) -> NamespaceView:
        read, key = self.records.node, name.path.encode()
        current = []
        for cited in parse_current(tree.get(read, state.bindings, key) or []):
            binding = self.binding(cited.statement)
            policy = self.policy(binding.policy)
            standing = Standing(
                binding.id, binding.rev, binding.cid, policy.id, cited.positions, policy.signers[cited.positions[0]].key
            )
            current.append(Candidate(standing, policy))
        return NamespaceView(
            genesis=state.genesis,
            policy=state.policy,
            policy_seq=self.policy(state.policy).seq,
            policies={Cid(key) for key, _ in tree.iterate(read, state.policies)},
            held=state.held,
            current=tuple(current),
            pending=len(parse_pending(tree.get(read, state.pending, key) or [])),
            exposed=_Exposed(lambda kid: tree.get(read, catalog.evidence, kid) is not None),
        )

    # --- catalogs and objects

    def catalog(self, cid: Cid) -> Catalog:
        """A kept catalog. Raises ``gone`` for one that was collected, ``not-found`` for one that never was."""
        try:
            return decode_catalog(self.records.node(cid))
        except Missing:
            code = "not-found" if self.records.catalog_head(cid) is None else "gone"
            raise Missing(code, f"catalog {cid!s}", subject=str(cid)) from None
        except Rejected:
            if self.records.catalog_head(cid) is not None:
                raise  # one that was signed has to be one
            raise Missing("not-found", f"{cid!s} is no catalog", subject=str(cid)) from None

    def namespace_state(self, catalog: Catalog, ns: str) -> NamespaceState | None:
        """A namespace's state in a kept catalog."""
        value = tree.get(self.records.node, catalog.namespaces, ns.encode())
        return None if value is None else decode_namespace_state(self.records.node(parse_state_value(value)))

    def object(self, cid: Cid) -> bytes:
        """Any public object by id: statement payload, tree node, namespace state, catalog, receipt or head payload."""
        data = self.records.payload(cid)
        if data is None:
            place = self.records.receipt_place(cid)
            if place is not None:
                envelope = self.records.receipt(*place)
                assert envelope is not None
                return decode_envelope(envelope, limits.RECEIPT_BYTES)[2]
            data = evidence.evidence_bytes(self.records, cid)
        if data is None:
            try:
                data = self.records.node(cid)
            except Missing:
                raise Missing("not-found", str(cid), subject=str(cid)) from None
        return bytes(data)

    def statement(self, cid: Cid, type: str) -> Statement:
        """A held statement of a type."""
        return open_statement(self.object(cid), type, limits.POLICY_BYTES)

    def endorsed(self, statement: Cid, type: str) -> list[bytes]:
        """The envelopes of a complete record."""
        payload = self.records.payload(statement)
        if payload is None:
            raise Missing("not-found", str(statement), subject=str(statement))
        held = self.records.endorsements(statement)
        return [encode_envelope(type, kid, bytes(payload), held[kid]) for kid in sorted(held)]

    # --- other nodes

    def evidence(self, subject: Kid) -> Cid | None:
        """The id of the evidence that stands against a key, if there is any; :meth:`object` gives it."""
        return evidence.standing_against(self.records, subject)

    def exposed(self) -> Iterator[tuple[Kid, Cid]]:
        """(key, id of the evidence that stands against it), in order of key."""
        return evidence.exposed(self.records)

    # --- entries

    def _entry(self, item: Standing, standings: Iterable[Standing]) -> Entry:
        state = state_of(tuple(standings))
        held = self.records.endorsements(item.id)
        policy = self.policy(item.policy)
        kids = [policy.signers[at].key for at in item.positions]
        return Entry(
            self.binding(item.id), "current" if state == "settled" else state, {kid: held[kid] for kid in kids}
        )

    def _past(self, past: Past) -> Entry:
        return Entry(self.binding(past.id), "superseded", self.records.endorsements(past.id))


def own_head(envelope: bytes) -> Head:
    """The head in an envelope that this node made and stored itself."""
    kind, kid, payload, _ = decode_envelope(envelope, limits.HEAD_BYTES)
    return parse_head(open_statement(payload, kind, limits.HEAD_BYTES), kid)


class _Exposed:
    """The keys that there is evidence against, asked one at a time."""

    def __init__(self, is_exposed: Callable[[Kid], bool]) -> None:
        self._is_exposed = is_exposed

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and self._is_exposed(Kid(key))


class _Policies:
    """The ids of a namespace's valid policies, asked one at a time."""

    def __init__(self, records: RecordsReader, ns: str) -> None:
        self._records = records
        self._ns = ns

    def __contains__(self, policy: object) -> bool:
        return (
            isinstance(policy, Cid)
            and policy.codec == DAG_CBOR
            and self._records.policy_row(self._ns, policy) is not None
        )
