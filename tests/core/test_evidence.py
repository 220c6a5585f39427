"""Evidence: two signed truths give it whoever brings them; honest nodes never do; nobody makes it for another."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import limits
from holo.core import log as rfc9162
from holo.core.envelope import make_statement
from holo.core.errors import HoloError, Rejected
from holo.core.evidence import entry_of, equivocation_of, history_of, open_evidence, preferred
from holo.core.head import contradiction, open_head, sign
from holo.core.receipt import Logged, open_receipt
from holo.core.witness import HeadNote, Known, Verdict, judge_head, open_note
from tests.records import kid
from tests.signing_node import Log, SigningNode

STEPS = st.lists(st.one_of(st.just("receipt"), st.just("head"), st.integers(0, 5)), max_size=24)


def run(node: SigningNode, steps: list[Any]) -> list[Log]:
    """Take steps; a number puts the node back from one of the copies made before each step."""
    copies: list[Log] = []
    for at, step in enumerate(steps):
        copies.append(node.log)
        if step == "receipt":
            node.receipt(str(at))
        elif step == "head":
            node.head(at_ms=at)
        else:
            node.restore(copies[step % len(copies)])
    return copies


class Witness:
    """What one peer makes of heads of one node, with the rules of the specification and nothing else."""

    def __init__(self) -> None:
        self.known: dict[bytes, list[Known]] = {}
        self.evidence: list[bytes] = []

    def take(self, envelope: bytes, log: Log, genesis: bytes) -> Verdict:
        """Take a head; the proof it needs is got from whoever has ``log``."""
        known = self.known.setdefault(log.genesis.id, [])
        newest = max((item.head for item in known), key=lambda head: head.seq, default=None)
        size = open_head(envelope).log_size
        since = newest.log_size if newest is not None and newest.log_size <= min(size, len(log.receipts)) else 0
        proof = log.consistency(since, size) if 0 < since < size else ()
        brought = open_note(HeadNote(envelope, genesis, since, proof))
        verdict = judge_head(brought, sorted(known, key=lambda item: item.head.seq))
        if verdict.keep:
            known.append(Known(brought.head, envelope))
        if verdict.evidence is not None:
            self.evidence.append(verdict.evidence.bytes)
        return verdict


@given(STEPS)
def test_no_honest_history_gives_evidence_restores_included(steps: list[Any]) -> None:
    node = SigningNode()
    run(node, steps)
    for one, other in combinations(node.signed, 2):
        assert equivocation_of(one, other) is None


@given(STEPS, st.randoms(use_true_random=False))
def test_no_honest_history_is_taken_for_a_lie_in_any_order(steps: list[Any], rng: Any) -> None:
    node = SigningNode()
    logs = {log.genesis.id: log for log in [*run(node, steps), node.log]}
    told = [(envelope, log) for log in logs.values() for envelope in log.envelopes] * 2
    rng.shuffle(told)
    witness = Witness()
    for envelope, log in told:
        verdict = witness.take(envelope, log, sign(log.genesis, node.key))
        assert verdict.status in ("opened", "accepted", "stale")
    assert not witness.evidence


def fork(node: SigningNode, before: list[Any], one: list[Any], other: list[Any]) -> tuple[Log, Log]:
    """Two ways the same log went on, as only a liar's does."""
    run(node, [step for step in before if isinstance(step, str)])
    common = node.log
    run(node, [step for step in one if isinstance(step, str)])
    node.head(at_ms=1001)
    first, node.log = node.log, common
    node.receipt("what the others are not told")
    run(node, [step for step in other if isinstance(step, str)])
    node.head(at_ms=1002)
    return first, node.log


@given(STEPS, STEPS, STEPS, st.randoms(use_true_random=False))
def test_two_truths_are_found_in_any_order_by_whoever_sees_both(
    before: list[Any], one: list[Any], other: list[Any], rng: Any
) -> None:
    node = SigningNode()
    first, second = fork(node, before, one, other)
    told = [(envelope, log) for log in (first, second) for envelope in log.envelopes]
    rng.shuffle(told)
    witness = Witness()
    for _ in range(2):  # what lacked a proof the first time is told again
        for envelope, log in told:
            witness.take(envelope, log, node.genesis)
    assert witness.evidence
    for data in witness.evidence:
        assert open_evidence(data).subject == node.key.kid


@given(STEPS, STEPS, STEPS)
def test_every_contradictory_pair_is_evidence_whichever_comes_first(
    before: list[Any], one: list[Any], other: list[Any]
) -> None:
    node = SigningNode()
    fork(node, before, one, other)
    found = 0
    for left, right in combinations(node.signed, 2):
        a, b = open_receipt(left), open_receipt(right)
        expected = a.id != b.id and (
            (isinstance(a, Logged) and isinstance(b, Logged) and a.seq == b.seq)
            or (not isinstance(a, Logged) and not isinstance(b, Logged) and contradiction(a, b) is not None)  # type: ignore[arg-type]
        )
        evidence, again = equivocation_of(left, right), equivocation_of(right, left)
        assert (evidence is not None) == expected
        if evidence is not None and again is not None:
            found += 1
            assert evidence.bytes == again.bytes
            assert open_evidence(evidence.bytes) == evidence
    assert found


def two_histories(common: int, one: int, other: int) -> tuple[SigningNode, Log, Log]:
    """Two logs that begin with the same receipts, with a head over each."""
    node = SigningNode()
    for at in range(common):
        node.receipt(str(at))
    start = node.log
    for at in range(one):
        node.receipt(f"one {at}")
    node.head()
    first, node.log = node.log, start
    node.head(at_ms=5)
    for at in range(other):
        node.receipt(f"other {at}")
    node.head(at_ms=6)
    return node, first, node.log


@pytest.mark.parametrize(("common", "one", "other"), [(2, 3, 9), (0, 5, 6), (3, 4, 100), (6, 5, 6)])
def test_a_rewritten_log_is_shown_by_its_own_consistency_proof(common: int, one: int, other: int) -> None:
    node, first, second = two_histories(common, one, other)
    size = first.heads[-1].log_size
    assert size & (size - 1)
    proof = second.consistency(size, second.heads[-1].log_size)
    evidence = history_of(first.envelopes[-1], second.envelopes[-1], proof)
    assert evidence is not None
    assert (evidence.kind, evidence.subject) == ("history", node.key.kid)
    assert open_evidence(evidence.bytes) == evidence


def test_a_rewritten_log_of_a_size_that_proofs_leave_out_takes_the_root_as_well() -> None:
    _, first, second = two_histories(1, 3, 9)
    assert first.heads[-1].log_size == 4
    proof = second.consistency(4, 10)
    assert history_of(first.envelopes[-1], second.envelopes[-1], proof) is None
    whole = [rfc9162.root(4, second.read), *proof]
    assert history_of(first.envelopes[-1], second.envelopes[-1], whole) is not None


def test_a_proof_that_holds_or_leads_nowhere_is_no_evidence() -> None:
    node = SigningNode()
    for _ in range(6):
        node.receipt("x")
    node.head()
    for _ in range(5):
        node.receipt("y")
    node.head()
    proof = list(node.log.consistency(6, 11))
    assert history_of(node.log.envelopes[0], node.log.envelopes[1], proof) is None
    for at in range(len(proof)):
        forged = [*proof[:at], bytes(32), *proof[at + 1 :]]
        assert history_of(node.log.envelopes[0], node.log.envelopes[1], forged) is None
    assert history_of(node.log.envelopes[0], node.log.envelopes[1], proof[:-1]) is None
    assert history_of(node.log.envelopes[1], node.log.envelopes[0], proof) is None


def test_a_receipt_that_its_log_replaced_is_evidence() -> None:
    node = SigningNode()
    node.receipt("first")
    common = node.log
    kept = node.receipt("what was promised")
    node.log = common
    node.receipt("what came in its place")
    node.receipt("more")
    head = node.head()
    proof = rfc9162.inclusion_proof(1, 3, node.log.read)
    leaf = rfc9162.leaf_hash(node.log.receipts[1])
    evidence = entry_of(kept, head, leaf, proof)
    assert evidence is not None
    assert evidence.kind == "entry"
    assert open_evidence(evidence.bytes) == evidence
    assert entry_of(node.signed[2], head, leaf, proof) is None, "the one that is there"
    assert entry_of(kept, head, leaf, proof[:-1]) is None
    assert entry_of(kept, head, rfc9162.leaf_hash(open_receipt(kept).id), proof) is None


def test_nobody_can_be_made_guilty_by_others() -> None:
    one, other = SigningNode("node"), SigningNode("alice")
    heads = [one.head(), other.head(at_ms=7)]
    assert equivocation_of(*heads) is None
    liar = SigningNode("mallory")
    lie, common = liar.head(), SigningNode("mallory")
    evidence = equivocation_of(lie, common.head(at_ms=3))
    assert evidence is not None
    value = {**evidence.statement.value, "node": bytes(kid("node"))}
    with pytest.raises(Rejected) as refusal:
        open_evidence(make_statement(value).bytes)
    assert refusal.value.code == "evidence-invalid"


@given(st.data())
def test_no_byte_of_evidence_is_free(data: st.DataObject) -> None:
    _, first, second = two_histories(2, 3, 9)
    made = history_of(first.envelopes[-1], second.envelopes[-1], second.consistency(5, 11))
    assert made is not None
    at = data.draw(st.integers(0, len(made.bytes) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = bytearray(made.bytes)
    damaged[at] ^= 1 << bit
    with pytest.raises(HoloError):
        open_evidence(bytes(damaged))


def test_what_is_too_large_is_not_decoded() -> None:
    with pytest.raises(Rejected) as refusal:
        open_evidence(bytes(limits.EVIDENCE_BYTES + 1))
    assert refusal.value.code == "too-large"


def test_the_smallest_id_stands() -> None:
    node = SigningNode()
    heads = []
    start = node.log
    for at in range(4):
        node.log = start
        heads.append(node.head(at_ms=at))
    ids = [evidence.id for a, b in combinations(heads, 2) if (evidence := equivocation_of(a, b)) is not None]
    assert len(ids) == 6
    for one in ids:
        for other in ids:
            assert preferred(one, other) == preferred(other, one) == min(one, other)


def test_a_head_newer_than_what_is_known_takes_a_proof_from_there() -> None:
    node = SigningNode()
    sizes = [3, 5, 9]
    for size in sizes:
        while len(node.log.receipts) < size:
            node.receipt(str(len(node.log.receipts)))
        node.head()
    known: list[Known] = []
    first = open_note(node.note(0))
    assert judge_head(first, known).status == "opened"
    known.append(Known(first.head, first.note.head))
    verdict = judge_head(open_note(node.note(2)), known)
    assert (verdict.status, verdict.old, verdict.new) == ("need-proof", 3, 9)
    assert judge_head(open_note(node.note(2, since=5)), known).status == "need-proof"
    assert judge_head(open_note(node.note(2, since=3)), known).status == "accepted"
    bad = node.note(2, since=3)
    forged = type(bad)(bad.head, bad.genesis, 3, (bytes(32), *bad.proof[1:]))
    refused = judge_head(open_note(forged), known)
    assert (refused.status, refused.error and refused.error.code) == ("refused", "log-invalid")


def test_a_head_is_its_logs_owners_or_none() -> None:
    node, other = SigningNode("node"), SigningNode("alice")
    node.head()
    other.head()
    with pytest.raises(Rejected) as refusal:
        open_note(type(node.note(0))(node.log.envelopes[0], other.genesis))
    assert refusal.value.code == "receipt-invalid"
