"""The one door for records: a submission goes in, state and a receipt come out (spec sections 2 and 5).

Everything happens in the caller's write transaction. A refused submission writes nothing. What a submission does to
state depends only on the set of records already admitted, never on the clock, on who sent it or on when.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from holo.core import limits
from holo.core.binding import Binding, Standing, judge, state_of
from holo.core.cid import Cid
from holo.core.envelope import Record, decode_envelope, open_statement
from holo.core.errors import Conflict, Rejected
from holo.core.keys import Kid
from holo.core.policy import Policy, check_genesis
from holo.core.receipt import (
    BINDING_RECEIPT,
    POLICY_RECEIPT,
    Action,
    BindingState,
    PolicyState,
    make_denial_receipt,
    make_policy_receipt,
)
from holo.core.receipt_bytes import encode_binding_receipt
from holo.store import bindings, policies
from holo.store.evidence import EvidenceSubmission, admit_evidence
from holo.store.journal import Journal, Receipt
from holo.store.layout import NamespaceRow
from holo.store.policies import PolicyCache, Seals
from holo.store.records_writer import RecordsWriter


@dataclass(frozen=True, slots=True)
class BindingSubmission:
    """A verified binding record. With ``compare_and_swap``, ``prev`` must name what is current (the API's rule)."""

    binding: Binding
    record: Record
    compare_and_swap: bool = False


@dataclass(frozen=True, slots=True)
class PolicySubmission:
    """A verified policy record, with tree nodes of its seal where it has one."""

    policy: Policy
    record: Record
    nodes: tuple[bytes, ...] = ()


Submission: TypeAlias = BindingSubmission | PolicySubmission | EvidenceSubmission


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an admitted submission. ``new`` is False where all of it was here already.

    ``state`` is a binding's ``current``, ``forked``, ``held``, ``superseded``, ``pending``, ``sealed-out`` or
    ``waiting``, a policy's ``effective``, ``held`` or ``rival``; evidence is ``exposed`` where it is what stands
    against its subject, else ``superseded``, and has no namespace. ``receipt`` is the first that says so.
    """

    statement: Cid
    ns: str
    path: str | None
    new: bool
    state: str
    have: int
    need: int
    log: int
    receipt: Receipt
    displaced: tuple[Cid, ...] = ()


@dataclass(frozen=True, slots=True)
class Hosting:
    """Which namespaces this node takes: ``pinned`` name → genesis; others where ``open``, up to ``quota``."""

    open: bool = True
    pinned: Mapping[str, Cid] = field(default_factory=dict)
    quota: int = limits.NAMESPACES_HOSTED

    def require(self, records: RecordsWriter, policy: Policy) -> None:
        """Raises ``genesis-foreign``, ``genesis-not-pinned`` or ``namespace-quota`` unless it may be hosted."""
        pinned = self.pinned.get(policy.ns)
        if pinned is not None and pinned != policy.id:
            raise Rejected("genesis-foreign", f"{policy.ns} is pinned to {pinned!s}", subject=policy.ns)
        if pinned is None and not self.open:
            raise Rejected("genesis-not-pinned", policy.ns, subject=policy.ns)
        if pinned is None and records.namespace_count() >= self.quota:
            raise Rejected("namespace-quota", f"{self.quota} namespaces", subject=policy.ns)


class Ledger:
    """Applies submissions. Holds only caches; drop it with a transaction that failed and make another."""

    def __init__(self, hosting: Hosting) -> None:
        self.cache = PolicyCache()
        self._hosting = hosting
        self._missing: dict[str, dict[Cid, set[Cid]]] = {}  # held namespace → sealing policy → what its seal lacks

    def admit(
        self, records: RecordsWriter, journal: Journal, submission: Submission, together: Sequence[Submission] = ()
    ) -> Outcome:
        """Judge and apply one submission. Raises :class:`Rejected` and writes nothing where it is refused.

        ``together`` are all that stand or fall with it: what later policies among them say of a policy counts.
        """
        if isinstance(submission, BindingSubmission):
            return self._admit_binding(records, journal, submission)
        if isinstance(submission, EvidenceSubmission):
            return self._admit_evidence(records, journal, submission)
        return self._admit_policy(records, journal, submission, together)

    def _admit_evidence(self, records: RecordsWriter, journal: Journal, submission: EvidenceSubmission) -> Outcome:
        evidence = submission.evidence
        kept = admit_evidence(records, journal, evidence)
        state = "exposed" if kept.standing == evidence.id else "superseded"
        return Outcome(evidence.id, "", None, kept.new, state, 1, 1, kept.log, kept.receipt)

    def deny(self, journal: Journal, action: Action, subject: Cid | None, error: Rejected, requester: Kid) -> Receipt:
        """Log that ``requester``, whose signature was proven, was refused."""
        rule = error.at or error.detail
        make = partial(
            make_denial_receipt, action=action, subject=subject, code=error.code, rule=rule, requester=requester
        )
        return journal.append(make, [subject] if subject else [])

    # --- bindings

    def _admit_binding(self, records: RecordsWriter, journal: Journal, submission: BindingSubmission) -> Outcome:
        binding, record = submission.binding, submission.record
        row = self._hosted(records, binding)
        policy = self._cited(records, binding)
        positions, need = judge(binding, policy, record.endorsements)
        path = binding.name.path
        before = records.current(row.ns, path)
        known = records.past(row.ns, path, binding.rev, binding.id)
        if not known and submission.compare_and_swap:
            self._compare(records, row, binding, before)
        if len(positions) < need and not known:
            return self._admit_partial(records, journal, row, submission, positions, need)
        # A partial record of what is complete already adds nothing, and is told how the statement stands.
        complete = len(positions) >= need
        added = positions if complete else ()
        had = records.endorsements(binding.id) if known else None
        change = bindings.admit_complete(records, self.cache, row, binding, added, record, had, before)
        counts, after = change.counts, change.after
        if counts == "waiting":
            self._note_waiting(records, binding)
        if change.new and row.held is not None and self._seal_may_be_whole(records, row.ns, binding.id):
            row = self._rechain(records, row)
            counts = bindings.not_counting(records, self.cache, row, binding)
            after = records.current(row.ns, path)
        state: BindingState = counts or _state_in(after, binding.id)
        current = {item.id for item in after}
        displaced = tuple(item.id for item in before if item.id not in current)
        have = len(positions) if complete else len(change.endorsers)
        endorsers = change.endorsers
        return self._binding_outcome(
            records, journal, row, binding, change.new, state, endorsers, have, need, displaced
        )

    def _admit_partial(
        self,
        records: RecordsWriter,
        journal: Journal,
        row: NamespaceRow,
        submission: BindingSubmission,
        positions: tuple[int, ...],
        need: int,
    ) -> Outcome:
        binding = submission.binding
        new = bindings.admit_partial(records, self.cache, row, binding, positions, submission.record)
        self._note_waiting(records, binding)
        boxed = self._boxed(records, binding)
        return self._binding_outcome(records, journal, row, binding, new, "pending", boxed, len(boxed), need, ())

    def _hosted(self, records: RecordsWriter, binding: Binding) -> NamespaceRow:
        row = records.namespace(binding.name.namespace)
        if row is None:
            raise Rejected("genesis-unknown", binding.name.namespace, subject=binding.name.namespace)
        if row.genesis != binding.genesis:
            raise Rejected("genesis-foreign", f"{row.ns} is {row.genesis!s} here", subject=row.ns, at="payload.genesis")
        return row

    def _cited(self, records: RecordsWriter, binding: Binding) -> Policy:
        if records.policy_row(binding.name.namespace, binding.policy) is None:
            payload = records.payload(binding.policy)
            code = "policy-unknown" if payload is None else "policy-foreign"
            raise Rejected(code, str(binding.policy), subject=str(binding.policy), at="payload.policy")
        return self.cache.get(records, binding.policy)

    def _compare(
        self, records: RecordsWriter, row: NamespaceRow, binding: Binding, current: tuple[Standing, ...]
    ) -> None:
        """Compare-and-swap, the API's own rule: prev names what is current, and rev is above it."""
        if set(binding.prev) != {item.id for item in current}:
            ids = tuple(str(item.id) for item in current)
            raise Conflict("binding-conflict", "prev does not name it", current=ids, subject=str(binding.name))
        if current and binding.rev <= current[0].rev:
            ids = tuple(str(item.id) for item in current)
            detail = f"rev {binding.rev} where {current[0].rev} is current"
            raise Conflict("binding-stale", detail, current=ids, subject=str(binding.name))
        policy_row = records.policy_row(row.ns, binding.policy)
        if policy_row is not None and policy_row.in_effect and policy_row.seq < row.sealing_seq:
            raise Rejected("binding-sealed-out", f"sealed by {row.sealing!s}", subject=str(binding.name))

    def _note_waiting(self, records: RecordsWriter, binding: Binding) -> None:
        ns = binding.name.namespace
        policy_row = records.policy_row(ns, binding.policy)
        if policy_row is not None and not policy_row.in_effect:
            records.put_waiting(ns, binding.policy, binding.name.path)

    def _binding_outcome(
        self,
        records: RecordsWriter,
        journal: Journal,
        row: NamespaceRow,
        binding: Binding,
        new: bool,
        state: BindingState,
        endorsers: Collection[Kid],
        have: int,
        need: int,
        displaced: tuple[Cid, ...],
    ) -> Outcome:
        first = None if new else self._first_receipt(records, binding.id, BINDING_RECEIPT, state)
        if first is not None:
            log, receipt = first
        else:
            make = partial(encode_binding_receipt, binding, state=state, endorsers=endorsers, displaced=displaced)
            log, receipt = journal.number, journal.append(make, [binding.id, _subject(binding)])
        return Outcome(binding.id, row.ns, binding.name.path, new, state, have, need, log, receipt, displaced)

    def _boxed(self, records: RecordsWriter, binding: Binding) -> Collection[Kid]:
        """The kids in whose mailboxes a partial statement is."""
        policy = self.cache.get(records, binding.policy)
        return bindings.boxed(records, policy, binding.name.path, binding.rev, binding.id)

    # --- policies

    def _admit_policy(
        self, records: RecordsWriter, journal: Journal, submission: PolicySubmission, together: Sequence[Submission]
    ) -> Outcome:
        policy = submission.policy
        row = records.namespace(policy.ns)
        if row is None or (policy.prev is None and policy.id != row.genesis):
            row = self._host(records, policy, set(submission.record.endorsements), row)
        others = [(item.policy, item.record) for item in together if isinstance(item, PolicySubmission)]
        new = policies.admit_policy(records, self.cache, policy, submission.record, others)
        fresh = records.namespace(policy.ns)
        if fresh is None:
            policies.host_namespace(records, policy)
            fresh = records.namespace(policy.ns)
        assert fresh is not None
        sealed = False
        known = records.policy_row(policy.ns, policy.id)
        assert known is not None
        if policy.seal is not None and not known.sealed and (new or submission.nodes):
            seals = Seals(records, self.cache, self._missing.get(policy.ns, {}))
            # The nodes may also have come by another way, with nobody looking: then what is held is looked at again.
            sealed = seals.keep_nodes(records, policy, submission.nodes) or fresh.held is not None
        if new or sealed:
            records.mark_dirty(policy.ns, None)
            fresh = self._rechain(records, fresh)
        state = self._policy_state(records, fresh, policy)
        first = None if new else self._first_receipt(records, policy.id, POLICY_RECEIPT, state)
        if first is not None:
            log, receipt = first
        else:
            endorsers = list(records.endorsements(policy.id))
            make = partial(make_policy_receipt, policy, genesis=fresh.genesis, state=state, endorsers=endorsers)
            log, receipt = journal.number, journal.append(make, [policy.id, policy.ns.encode()])
        have = len(records.endorsements(policy.id))
        return Outcome(policy.id, policy.ns, None, new, state, have, have, log, receipt)

    def _host(
        self, records: RecordsWriter, policy: Policy, endorsers: set[Kid], row: NamespaceRow | None
    ) -> NamespaceRow | None:
        if policy.prev is not None:
            raise Rejected("genesis-unknown", policy.ns, subject=policy.ns)
        check_genesis(policy, endorsers)
        if row is None:
            self._hosting.require(records, policy)
            return None
        # Another identity under a name that is taken: noted, never merged. The note is all that is written.
        if len(records.conflicts(row.ns)) < limits.CONFLICTS_PER_NAMESPACE:
            records.put_conflict(row.ns, policy.id)
        raise Rejected("genesis-foreign", f"{row.ns} is {row.genesis!s} here", subject=row.ns)

    def _rechain(self, records: RecordsWriter, row: NamespaceRow) -> NamespaceRow:
        """Decide the chain again, and settle the names whose statements now count, or count no more."""
        latest = records.namespace(row.ns)
        assert latest is not None
        seals = Seals(records, self.cache, self._missing.setdefault(row.ns, {}))
        chain = policies.decide(records, self.cache, latest, seals)
        if chain.held is None:
            del self._missing[row.ns]
        new, entered, left = policies.write_chain(records, latest, chain)
        if new == latest:
            return new
        records.mark_dirty(row.ns, None)
        extends = chain.index_of(latest.policy) is not None and new.sealing == latest.sealing
        bindings.settle_again(records, self.cache, new, entered, left, everything=not extends)
        return new

    def _seal_may_be_whole(self, records: RecordsWriter, ns: str, arrived: Cid) -> bool:
        """Whether a held namespace may have all its seal names, now that a statement arrived."""
        missing = self._missing.get(ns)
        return missing is None or Seals(records, self.cache, missing).arrived(arrived)

    def _policy_state(self, records: RecordsWriter, row: NamespaceRow, policy: Policy) -> PolicyState:
        found = records.policy_row(policy.ns, policy.id)
        assert found is not None
        if found.in_effect:
            return "effective"
        return "held" if row.held is not None else "rival"

    def _first_receipt(self, records: RecordsWriter, subject: Cid, type: str, state: str) -> tuple[int, Receipt] | None:
        """(log number, receipt) of the first that says ``subject`` was taken in, as pending or as complete."""
        for log, seq, envelope in records.receipts_about(subject):
            found, _, payload, _ = decode_envelope(envelope, limits.RECEIPT_BYTES)  # this node's own: good, and strict
            if found == type:
                statement = open_statement(payload, type, limits.RECEIPT_BYTES)
                if (statement.value["state"] == "pending") == (state == "pending"):
                    return log, Receipt(seq, statement.id, envelope)
        return None


def _subject(binding: Binding) -> bytes:
    return f"{binding.name.namespace}/{binding.name.path}".encode()


def _state_in(current: tuple[Standing, ...], statement: Cid) -> BindingState:
    """How a complete, counting statement stands among what is current."""
    if all(item.id != statement for item in current):
        return "superseded"
    state = state_of(current)
    return "current" if state == "settled" else state
