"""Receipts and heads: made, opened, refused when anything about them is off, and contradicting each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holo.core import limits
from holo.core.cid import Cid
from holo.core.decision import Decision, Query
from holo.core.envelope import Statement, encode_envelope, endorse, make_statement
from holo.core.errors import Rejected
from holo.core.head import Anchors, Head, contradiction, make_head, make_log_genesis, open_head, open_log_genesis, sign
from holo.core.log import EMPTY_ROOT
from holo.core.names import Name
from holo.core.receipt import (
    BindingReceipt,
    DenialReceipt,
    PolicyReceipt,
    ResolveReceipt,
    make_denial_receipt,
    make_resolve_receipt,
    open_binding_receipt,
    open_denial_receipt,
    open_policy_receipt,
    open_receipt,
    open_resolve_receipt,
    parse_receipt,
)
from holo.core.resolve import decide
from tests.world import Namespace, Node, content, key, kid

NODE, OTHER = key("node"), key("other")
A, B = content("a"), content("b")
ROOT = bytes(32)
DECISION: Decision = decide(Query(Name.parse("acme/app@" + str(A)), B), None, None)

LOG = make_log_genesis(node=NODE.kid, nonce=bytes(16))
HEAD = make_head(log=LOG.id, seq=3, prev=A, catalog=B, log_size=5, log_root=ROOT, at_ms=9)
DENIAL = make_denial_receipt(
    log=LOG.id,
    seq=0,
    at_ms=1,
    action="publish",
    subject=A,
    code="policy-foreign",
    rule="payload.policy",
    requester=kid("alice"),
)
RESOLVE = make_resolve_receipt(node=NODE.kid, at_ms=2, decision=DECISION, catalog=A, head=B)

WORLD = Namespace(signers={"alice": (("*",), ("*",)), "bob": (("*",), ("*",))})
WORLD.bind("app:latest", A, by=("alice", "bob"))
PEER = Node([WORLD])
BINDING = PEER.log_binding(WORLD.records[1], "forked")
POLICY = PEER.log_policy(WORLD.records[0], WORLD.genesis.id)


def test_a_binding_receipt_says_what_was_taken_in() -> None:
    receipt = open_binding_receipt(BINDING)
    record = WORLD.records[1]
    assert (receipt.subject, receipt.name, receipt.cid, receipt.rev) == (
        record.statement.id, Name("acme", "app", "latest"), A, 1,
    )  # fmt: skip
    assert receipt.endorsers == tuple(sorted(record.endorsements))
    assert (receipt.log, receipt.seq, receipt.at_ms, receipt.state) == (PEER.log, 0, PEER.at_ms, "forked")
    assert (receipt.signer, receipt.id, receipt.displaced) == (PEER.kid, receipt.statement.id, ())
    assert open_receipt(BINDING) == receipt == parse_receipt(receipt.statement, receipt.signer)


def test_a_policy_receipt_says_what_was_taken_in() -> None:
    receipt = open_policy_receipt(POLICY)
    assert (receipt.ns, receipt.genesis, receipt.policy, receipt.policy_seq) == (
        "acme", WORLD.genesis.id, WORLD.genesis.id, 0,
    )  # fmt: skip
    assert (receipt.seq, receipt.state, receipt.endorsers) == (1, "effective", (kid("root"),))
    assert isinstance(open_receipt(POLICY), PolicyReceipt)


def test_a_denial_receipt_names_the_requester_and_the_rule() -> None:
    receipt = open_denial_receipt(sign(DENIAL, NODE))
    assert (receipt.action, receipt.subject, receipt.code) == ("publish", A, "policy-foreign")
    assert (receipt.rule, receipt.requester) == ("payload.policy", kid("alice"))
    assert isinstance(open_receipt(sign(DENIAL, NODE)), DenialReceipt)


def test_a_denial_receipt_cuts_a_long_rule_between_characters() -> None:
    made = make_denial_receipt(
        log=LOG.id, seq=0, at_ms=1, action="policy", subject=None, code="x", rule="é" * 300, requester=kid("alice")
    )
    assert open_denial_receipt(sign(made, NODE)).rule == "é" * (limits.DENIAL_RULE_BYTES // 2)


def test_a_resolve_receipt_holds_the_decision() -> None:
    receipt = open_resolve_receipt(sign(RESOLVE, NODE))
    assert (receipt.decision, receipt.node, receipt.at_ms) == (DECISION, NODE.kid, 2)
    assert (receipt.catalog, receipt.head) == (A, B)
    assert isinstance(open_receipt(sign(RESOLVE, NODE)), ResolveReceipt)


def test_a_head_and_its_log_survive_their_bytes() -> None:
    head = open_head(sign(HEAD, NODE))
    assert (head.log, head.seq, head.prev, head.catalog) == (LOG.id, 3, A, B)
    assert (head.log_size, head.log_root, head.at_ms) == (5, ROOT, 9)
    genesis = open_log_genesis(sign(LOG, NODE))
    assert (genesis.id, genesis.node, genesis.prev_log, genesis.prev_head) == (LOG.id, NODE.kid, None, None)
    assert open_receipt(sign(HEAD, NODE)) == head
    assert open_receipt(sign(LOG, NODE)) == genesis


@pytest.mark.parametrize("statement", [DENIAL, RESOLVE, HEAD, LOG], ids=lambda item: str(item.type))
def test_no_bit_of_an_envelope_is_free(statement: Statement) -> None:
    envelope = sign(statement, NODE)
    for index in range(len(envelope)):
        damaged = bytearray(envelope)
        damaged[index] ^= 1 << index % 8
        with pytest.raises(Rejected):
            open_receipt(bytes(damaged))


def test_a_signature_by_another_key_is_refused() -> None:
    forged = encode_envelope("head", NODE.kid, HEAD.bytes, endorse(HEAD, OTHER))
    with pytest.raises(Rejected) as error:
        open_receipt(forged)
    assert error.value.code == "signature-invalid"


@pytest.mark.parametrize("statement", [RESOLVE, LOG], ids=lambda item: str(item.type))
def test_what_names_its_node_is_signed_by_it(statement: Statement) -> None:
    with pytest.raises(Rejected) as error:
        open_receipt(sign(statement, OTHER))
    assert (error.value.code, error.value.at) == ("receipt-invalid", "payload.node")


def test_each_opener_takes_its_own_type_only() -> None:
    envelopes: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
        "binding": (BINDING, open_binding_receipt),
        "policy": (POLICY, open_policy_receipt),
        "denial": (sign(DENIAL, NODE), open_denial_receipt),
        "resolve": (sign(RESOLVE, NODE), open_resolve_receipt),
        "head": (sign(HEAD, NODE), open_head),
        "log": (sign(LOG, NODE), open_log_genesis),
    }
    for name, (_, opener) in envelopes.items():
        for other, (envelope, _) in envelopes.items():
            if name != other:
                with pytest.raises(Rejected) as error:
                    opener(envelope)
                assert error.value.code == "type-mismatch"


def test_other_types_are_no_receipts() -> None:
    statement = make_statement({"v": 1, "type": "binding"})
    with pytest.raises(Rejected) as error:
        open_receipt(sign(statement, NODE))
    assert error.value.code == "type-mismatch"
    with pytest.raises(Rejected) as error:
        parse_receipt(statement, NODE.kid)
    assert error.value.code == "type-mismatch"


def test_receipts_are_bounded_before_they_are_read() -> None:
    with pytest.raises(Rejected) as error:
        open_receipt(bytes(limits.RECEIPT_BYTES + limits.ENVELOPE_OVERHEAD_BYTES + 1))
    assert error.value.code == "too-large"
    padded = make_statement({**HEAD.value, "pad": bytes(limits.HEAD_BYTES)})
    with pytest.raises(Rejected) as error:
        open_receipt(sign(padded, NODE))
    assert error.value.code == "too-large"


def binding_with(**changes: Any) -> Statement:
    return make_statement({**open_binding_receipt(BINDING).statement.value, **changes})


def head_with(**changes: Any) -> Statement:
    return make_statement({**HEAD.value, **changes})


def resolve_with(**changes: Any) -> Statement:
    decision = DECISION.as_statement().value
    return make_statement({**RESOLVE.value, "decision": {**decision, **changes}})


STEP = {"code": "namespace-hosted", "subject": None, "ok": False}
QUERY = DECISION.as_statement().value["query"]
KIDS = sorted(bytes(kid(name)) for name in ("alice", "bob"))


@pytest.mark.parametrize(
    ("statement", "code", "at"),
    [
        (binding_with(state="fine"), "field-invalid", "payload.state"),
        (binding_with(name="acme/app"), "field-invalid", "payload.name"),
        (binding_with(name=f"acme/app:latest@{A}"), "field-invalid", "payload.name"),
        (binding_with(name="acme"), "name-invalid", None),
        (binding_with(rev=0), "field-invalid", "payload.rev"),
        (binding_with(endorsers=KIDS[::-1]), "field-invalid", "payload.endorsers"),
        (binding_with(endorsers=KIDS[:1] * 2), "field-invalid", "payload.endorsers"),
        (binding_with(endorsers=[]), "field-invalid", "payload.endorsers"),
        (binding_with(displaced=[A, A]), "field-invalid", "payload.displaced"),
        (binding_with(displaced=[A, B, LOG.id]), "field-invalid", "payload.displaced"),
        (binding_with(seq=-1), "field-invalid", "payload.seq"),
        (binding_with(log=None), "field-invalid", "payload.log"),
        (binding_with(note="x"), "field-unknown", "payload.note"),
        (make_statement({**DENIAL.value, "action": "sing"}), "field-invalid", "payload.action"),
        (make_statement({**DENIAL.value, "code": "x" * (limits.CODE_BYTES + 1)}), "field-invalid", "payload.code"),
        (make_statement({**DENIAL.value, "requester": bytes(34)}), "key-invalid", "payload.requester"),
        (head_with(seq=0), "receipt-invalid", "payload.prev"),
        (head_with(prev=None), "receipt-invalid", "payload.prev"),
        (head_with(log_size=0), "receipt-invalid", "payload.log_root"),
        (head_with(log_root=EMPTY_ROOT), "receipt-invalid", "payload.log_root"),
        (head_with(log_root=bytes(31)), "field-invalid", "payload.log_root"),
        (head_with(log_size=limits.INT_MAX), None, None),
        (make_statement({**LOG.value, "nonce": bytes(15)}), "field-invalid", "payload.nonce"),
        (make_statement({**LOG.value, "prev_head": A}), "receipt-invalid", "payload.prev_head"),
        (resolve_with(outcome="maybe"), "field-invalid", "payload.decision.outcome"),
        (resolve_with(flags=["forked", "forked"]), "field-invalid", "payload.decision.flags"),
        (resolve_with(flags=["odd"]), "field-invalid", "payload.decision.flags"),
        (resolve_with(steps=[]), "field-invalid", "payload.decision.steps"),
        (resolve_with(steps=[{**STEP, "code": "odd"}]), "field-invalid", "payload.decision.steps[0].code"),
        (resolve_with(steps=[{**STEP, "ok": 1}]), "field-invalid", "payload.decision.steps[0].ok"),
        (resolve_with(steps=[{**STEP, "n": -1}]), "field-invalid", "payload.decision.steps[0].n"),
        (resolve_with(query={**QUERY, "handle": "UP"}), "name-invalid", None),
        (resolve_with(v=2), "version-unsupported", "payload.decision.v"),
        (resolve_with(extra=1), "field-unknown", "payload.decision.extra"),
    ],
)
def test_a_field_that_is_off_is_named(statement: Statement, code: str | None, at: str | None) -> None:
    if code is None:
        open_receipt(sign(statement, NODE))
        return
    with pytest.raises(Rejected) as error:
        open_receipt(sign(statement, NODE))
    assert error.value.code == code
    assert at is None or error.value.at == at


def test_only_anchors_are_believed() -> None:
    Anchors(nodes=frozenset({NODE.kid})).require_node(NODE.kid)
    for anchors in (Anchors(), Anchors(nodes=frozenset({OTHER.kid})), Anchors(genesis=frozenset({A}))):
        with pytest.raises(Rejected) as error:
            anchors.require_node(NODE.kid)
        assert error.value.code == "anchor-missing"


def head(seq: int, size: int, root: str, *, prev: Cid | None = A, log: Cid = LOG.id, by: str = "node") -> Head:
    log_root = content(root).digest if size else EMPTY_ROOT
    made = make_head(log=log, seq=seq, prev=prev, catalog=B, log_size=size, log_root=log_root, at_ms=0)
    return open_head(sign(made, key(by)))


def test_heads_that_can_both_be_honest() -> None:
    first = head(0, 0, "", prev=None)
    second = head(1, 2, "x", prev=first.id)
    idle = head(2, 2, "x", prev=second.id)
    later = head(7, 4, "y")
    for one in (first, second, idle, later):
        for other in (first, second, idle, later):
            assert contradiction(one, other) is None


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (head(3, 5, "x"), head(3, 6, "y"), "one seq, two heads"),
        (head(3, 5, "x"), head(4, 5, "x", prev=B), "prev is not the head before"),
        (head(3, 5, "x"), head(9, 4, "y"), "the log shrank"),
        (head(3, 5, "x"), head(9, 5, "y"), "one size, two roots"),
    ],
)
def test_heads_that_cannot_both_be_honest(one: Head, other: Head, found: str) -> None:
    assert contradiction(one, other) == contradiction(other, one) == found


def test_heads_of_other_logs_or_signers_contradict_nothing() -> None:
    one = head(3, 5, "x")
    assert contradiction(one, head(3, 5, "y", log=B)) is None
    assert contradiction(one, head(3, 5, "y", by="other")) is None


def test_a_receipt_of_a_binding_is_what_the_world_logged() -> None:
    assert [type(open_receipt(item)) for item in PEER.receipts] == [BindingReceipt, PolicyReceipt]
