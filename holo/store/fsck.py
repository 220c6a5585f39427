"""Verification of a whole store from its records alone: ``holo doctor --fsck``.

Trusts nothing that can be derived: hashes, signatures, indexes, the chain in effect, what is current, the receipt log,
the heads and the catalog are all made again and compared. Reads one snapshot and changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from holo.core import log as rfc9162
from holo.core import tree
from holo.core.binding import decode_binding, settle
from holo.core.chain import Known, ancestors, decide_chain
from holo.core.cid import Cid
from holo.core.envelope import Statement, open_statement, verify_endorsement
from holo.core.errors import HoloError, Missing
from holo.core.evidence import open_evidence
from holo.core.head import open_head, open_log_genesis
from holo.core.keys import Kid, did_of
from holo.core.limits import POLICY_BYTES
from holo.core.peer_receipts import EvidenceReceipt
from holo.core.policy import Policy, check_child, check_genesis
from holo.core.receipt import BindingReceipt, DenialReceipt, Logged, PolicyReceipt, open_receipt
from holo.core.state import decode_catalog, decode_namespace_state, parse_state_value
from holo.core.successor import open_successor
from holo.store import evidence, followed
from holo.store.bindings import standings_that_count, wording_of
from holo.store.journal import LogState, log_state
from holo.store.layout import NamespaceRow
from holo.store.policies import PolicyCache, Seals
from holo.store.records import RecordsReader
from holo.store.snapshot import catalog_from_records

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in the store that cannot be: which table, which key, and what is wrong with it."""

    table: str
    subject: str
    detail: str


def check_store(records: RecordsReader, node: Kid, progress: Progress = lambda stage, count: None) -> Iterator[Fault]:
    """Every fault of a store that belongs to ``node``; none if it is sound. ``progress`` gets (stage, how many)."""
    cache = PolicyCache()
    stages: list[tuple[str, Callable[[], Iterator[Fault]]]] = [
        ("statements", lambda: _statements(records)),
        ("policies", lambda: _policies(records, cache)),
        ("names", lambda: _names(records, cache)),
        ("receipts", lambda: _receipts(records, node)),
        ("heads", lambda: _heads(records)),
        ("catalog", lambda: _catalog(records, cache)),
        ("evidence", lambda: _evidence(records)),
        ("peers", lambda: itertools.starmap(Fault, followed.faults(records))),
    ]
    for stage, check in stages:
        count = 0
        try:
            for fault in check():
                count += 1
                yield fault
        except Exception as error:  # a derivation that cannot even be carried out is itself what was looked for
            count += 1
            subject = error.subject if isinstance(error, HoloError) else None
            yield Fault(stage, subject or "", f"cannot be derived: {type(error).__name__}: {error}")
        progress(stage, count)


def _statements(records: RecordsReader) -> Iterator[Fault]:
    for cid, payload in records.payloads():
        if not cid.matches(payload):
            yield Fault("statements", str(cid), "the payload does not hash to its id")
    for cid, kid, signature in records.all_endorsements():
        statement = _statement(records, cid)
        if statement is None or not verify_endorsement(statement, kid, signature):
            yield Fault("endorsements", str(cid), "a signature does not verify, or its statement is gone")
    for row in records.namespaces():
        for path in records.box_paths(row.ns):
            for box in records.boxes(row.ns, path):
                statement = _statement(records, box.id)
                if statement is None or not verify_endorsement(statement, box.kid, box.signature):
                    yield Fault("boxes", f"{row.ns}/{path}", f"an endorsement of {box.id!s} does not verify")


def _policies(records: RecordsReader, cache: PolicyCache) -> Iterator[Fault]:
    for row in records.namespaces():
        known = cache.known(records, row.ns)
        if row.genesis not in known:
            yield Fault("namespaces", row.ns, "its genesis is not held")
            continue
        for cid, item in known.items():
            if item.policy.prev is not None and item.policy.prev not in known:
                yield Fault("policies", str(cid), "its parent is not held")
            else:
                yield from _policy(cid, item, known)
        seals = Seals(records, cache, {})
        chain = decide_chain(row.genesis, known, lambda policy, ns=row.ns, check=seals: check.complete(ns, policy))  # type: ignore[misc]
        derived = (chain.policy.id, chain.held, chain.sealing.id if chain.sealing else None)
        if derived != (row.policy, row.held, row.sealing):
            yield Fault("namespaces", row.ns, f"the policies decide {derived}, the row says otherwise")
        in_effect = {policy.id for policy in chain.policies[: chain.effective + 1]}
        for cid, policy_row in records.policy_rows(row.ns):
            policy = known[cid].policy
            if policy_row.in_effect != (cid in in_effect) or policy_row.seq != policy.seq:
                yield Fault("policies", str(cid), "its row contradicts the chain")
            if policy_row.sealed and (policy.seal is None or not seals.complete(row.ns, policy)):
                yield Fault("policies", str(cid), "its row says that a seal is complete which is not")


def _policy(cid: Cid, item: Known, known: dict[Cid, Known]) -> Iterator[Fault]:
    policy: Policy = item.policy
    try:
        if policy.prev is None:
            check_genesis(policy, item.endorsers)
        else:
            check_child(ancestors(policy, known)[0], policy, item.endorsers)
    except HoloError as error:
        yield Fault("policies", str(cid), f"is not valid: {error}")


def _names(records: RecordsReader, cache: PolicyCache) -> Iterator[Fault]:
    for row in records.namespaces():
        for path in records.paths(row.ns):
            yield from _name(records, cache, row, path)
        for path, _ in records.currents(row.ns):
            if next(iter(records.history(row.ns, path)), None) is None:
                yield Fault("current", f"{row.ns}/{path}", "has a current statement and no history")


def _name(records: RecordsReader, cache: PolicyCache, row: NamespaceRow, path: str) -> Iterator[Fault]:
    name = f"{row.ns}/{path}"
    for _, past in records.history(row.ns, path):
        payload = records.payload(past.id)
        if payload is None:
            yield Fault("history", name, f"statement {past.id!s} is not held")
            continue
        item = decode_binding(payload)
        if (item.name.namespace, item.name.path) != (row.ns, path) or (item.rev, item.cid, item.policy) != (
            past.rev,
            past.cid,
            past.policy,
        ):
            yield Fault("history", name, f"the row of {past.id!s} contradicts its statement")
        if next(records.receipts_about(past.id), None) is None:
            yield Fault("history", name, f"statement {past.id!s} was admitted without a receipt")
    cited = {past.policy for _, past in records.history(row.ns, path)}
    for policy in cited | {box.policy for box in records.boxes(row.ns, path)}:
        known = records.policy_row(row.ns, policy)
        if known is not None and not known.in_effect and not records.waits(row.ns, policy, path):
            yield Fault("waiting", name, f"is not noted to wait for {policy!s}")
    if settle(standings_that_count(records, cache, row, path)) != records.current(row.ns, path):
        yield Fault("current", name, "is not what its history settles to")
    elif records.wording(row.ns, path) != wording_of(records, cache, row, path, records.current(row.ns, path)):
        yield Fault("current", name, "is not worded as its statement is")


def _receipts(records: RecordsReader, node: Kid) -> Iterator[Fault]:
    state = log_state(records)
    if state is None:
        yield Fault("meta", "log", "the store has no log")
        return
    known = _owners(records, node)
    for number in range(state.number + 1):
        yield from _log(records, {node} if number == state.number else known, number, state)


def _owners(records: RecordsReader, node: Kid) -> set[Kid]:
    """``node`` and the keys before it that handed over to it, each by a record that is verified again."""
    found = {node}
    for record in reversed(records.meta("handovers") or []):
        statement = open_successor(record)
        if statement.successor in found:
            found.add(statement.node)
    return found


def _log(records: RecordsReader, owners: Collection[Kid], number: int, state: LogState) -> Iterator[Fault]:
    envelope = records.log_genesis(number)
    if envelope is None:
        yield Fault("logs", str(number), "has no genesis")
        return
    genesis = open_log_genesis(envelope)
    if records.payload(genesis.id) is None:
        yield Fault("statements", str(genesis.id), "the log's genesis is not found by its id")
    if genesis.signer not in owners:
        yield Fault("logs", str(number), "its genesis is another node's")
    expected = 0
    for seq, data in records.receipts(number):
        at = f"log {number}, receipt {seq}"
        if seq != expected:
            yield Fault("receipts", at, f"where receipt {expected} is expected: a gap")
        expected = seq + 1
        receipt, place = open_receipt(data), (genesis.id, seq, genesis.signer)
        if not isinstance(receipt, Logged) or (receipt.log, receipt.seq, receipt.signer) != place:
            yield Fault("receipts", at, "is not this log's entry")
            continue
        if records.receipt_place(receipt.id) != (number, seq):
            yield Fault("receipt_ids", at, "is not found by its id")
        if records.log_hash(number, 0, seq) != rfc9162.leaf_hash(receipt.id):
            yield Fault("hashes", at, "the leaf is not the receipt's")
        for subject in _subjects_of(receipt):
            if all(found[:2] != (number, seq) for found in records.receipts_about(subject)):
                yield Fault("receipt_subjects", at, "is not found by its subject")
        if isinstance(receipt, BindingReceipt) and receipt.state != "pending":
            name = receipt.name
            if not records.past(name.namespace, name.path, receipt.rev, receipt.subject):
                yield Fault("history", str(name), f"acknowledged statement {receipt.subject!s} is not held")
    if number == state.number and expected != state.size:
        yield Fault("meta", "log", f"says {state.size} receipts where there are {expected}")
    yield from _hashes(records, number, expected)


def _hashes(records: RecordsReader, number: int, size: int) -> Iterator[Fault]:
    """Every inner hash of the log from the level below."""
    level = 0
    while size >> (level + 1):
        for index in range(size >> (level + 1)):
            left, right = (records.log_hash(number, level, 2 * index + side) for side in (0, 1))
            if records.log_hash(number, level + 1, index) != rfc9162.node_hash(left, right):
                yield Fault("hashes", f"log {number}, level {level + 1}, index {index}", "is not the hash of its parts")
        level += 1


def _heads(records: RecordsReader) -> Iterator[Fault]:
    state = log_state(records)
    assert state is not None
    for number in range(state.number + 1):
        expected, before, size = 0, None, 0
        genesis = records.log_genesis(number)  # that it is there was looked at with the receipts
        signer = None if genesis is None else open_log_genesis(genesis).signer
        for seq, data in records.heads(number):
            at = f"log {number}, head {seq}"
            head = open_head(data)
            if (seq, head.seq, head.prev, head.signer) != (expected, seq, before, signer) or head.log_size < size:
                yield Fault("heads", at, "does not follow the head before")
            if head.log_root != rfc9162.root(head.log_size, lambda lv, ix, no=number: records.log_hash(no, lv, ix)):  # type: ignore[misc]
                yield Fault("heads", at, "its root is not that of the log at its size")
            expected, before, size = seq + 1, head.id, head.log_size
        if number == state.number and (expected, before) != (state.head_seq, state.head):
            yield Fault("meta", "log", "names another last head than there is")


def _catalog(records: RecordsReader, cache: PolicyCache) -> Iterator[Fault]:
    state = log_state(records)
    if state is None or state.catalog is None:
        return
    for cid, data in records.nodes():
        if not cid.matches(data):
            yield Fault("nodes", str(cid), "does not hash to its id")
    for number, cid in records.buried(state.heads):
        if not records.has_node(cid):
            yield Fault("nodes", str(cid), f"is gone, though heads before {number} are kept that reach it")
    catalog = decode_catalog(_sound_node(records, state.catalog))

    def read(cid: Cid) -> bytes:
        return _sound_node(records, cid)

    tree.check_tree(read, catalog.evidence)
    tree.check_tree(read, catalog.namespaces)
    for key, value in tree.iterate(read, catalog.namespaces):
        found = decode_namespace_state(read(parse_state_value(value)))
        for root in (found.policies, found.pending, found.bindings):
            tree.check_tree(read, root)
        if key != found.ns.encode() or tree.count(read, found.bindings) != found.count:
            yield Fault("nodes", found.ns, "its state is another's, or miscounts its names")
    changed = records.dirty_count() or evidence.changed_values(records)
    if not changed and catalog_from_records(records, cache) != state.catalog:
        yield Fault("nodes", str(state.catalog), "is not the catalog that the records make")


def _evidence(records: RecordsReader) -> Iterator[Fault]:
    for subject, cid in evidence.exposed(records):
        data = evidence.evidence_bytes(records, cid)
        if data is None or not cid.matches(data):
            yield Fault("evidence", did_of(subject), f"{cid!s} is not held, or does not hash to its id")
        elif open_evidence(data).subject != subject:
            yield Fault("evidence", did_of(subject), f"{cid!s} is against another key")
        elif next(evidence.first_receipts(records, subject), None) is None:
            yield Fault("evidence", did_of(subject), "was taken in without a receipt")


def _sound_node(records: RecordsReader, cid: Cid) -> bytes:
    data = records.node(cid)
    if not cid.matches(data):
        raise Missing("store-corrupt", "a node does not hash to its id", subject=str(cid))
    return data


def _statement(records: RecordsReader, cid: Cid) -> Statement | None:
    payload = records.payload(cid)
    if payload is None:
        return None
    for type in ("binding", "policy"):
        try:
            return open_statement(payload, type, POLICY_BYTES)
        except HoloError:
            continue
    return None


def _subjects_of(receipt: Logged) -> list[bytes]:
    """What a receipt is found by."""
    if isinstance(receipt, BindingReceipt):
        return [receipt.subject, f"{receipt.name.namespace}/{receipt.name.path}".encode()]
    if isinstance(receipt, PolicyReceipt):
        return [receipt.policy, receipt.ns.encode()]
    if isinstance(receipt, EvidenceReceipt):
        return [did_of(receipt.subject).encode()]
    return [receipt.subject] if isinstance(receipt, DenialReceipt) and receipt.subject is not None else []
