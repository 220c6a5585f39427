"""Everything that is signed. The input is a payload and is signed here: the signature is never what is wrong."""

from __future__ import annotations

from typing import Any

from holo.core import codec, limits
from holo.core.binding import Binding, judge, open_binding, standing
from holo.core.cid import DAG_CBOR, Cid
from holo.core.consumer import decode_consumer_policy, make_consumer_policy
from holo.core.decision import Decision, decode_decision, explain
from holo.core.draft import draft_binding, draft_policy
from holo.core.envelope import Statement, encode_envelope, endorse, open_statement
from holo.core.errors import Rejected
from holo.core.evidence import equivocation_of, open_evidence
from holo.core.head import Head, LogGenesis, contradiction, make_head, make_log_genesis, open_head, open_log_genesis
from holo.core.policy import Policy, check_child, check_genesis, counted_keys, open_policy
from holo.core.proposal import decode_proposal, encode_proposal
from holo.core.receipt import (
    BindingReceipt,
    DenialReceipt,
    Receipt,
    ResolveReceipt,
    make_denial_receipt,
    make_resolve_receipt,
    open_receipt,
)
from tests.fuzz.seeds import hexes, of_vectors, payload_of, payloads
from tests.fuzz.target import Target
from tests.records import key, policy_record


def enveloped(payload: bytes, typ: str, *signers: str) -> list[bytes]:
    """The payload as COSE_Sign1 of that type by these keys; it need not be a statement."""
    statement = Statement(typ, {}, payload, Cid.of(DAG_CBOR, payload))
    return [encode_envelope(typ, key(name).kid, payload, endorse(statement, key(name))) for name in signers]


def _policy(data: bytes) -> None:
    policy, record = open_policy(enveloped(data, "policy", "root", "recovery"))
    assert policy.statement.bytes == data == codec.encode(policy.statement.value)
    assert policy.id.matches(data)
    _redraft_policy(policy)
    assert len(counted_keys(policy, [])) <= limits.POLICY_ENDORSERS
    assert 1 <= policy.threshold_for("stable") <= limits.ENDORSEMENTS_PER_RECORD
    if policy.prev is None:
        check_genesis(policy, record.endorsements)
    else:
        check_child(_PARENT, policy, record.endorsements)


def _redraft_policy(policy: Policy) -> None:
    """A policy whose parts that are only kept are empty is what its draft would be."""
    value = policy.statement.value
    if policy.seq == 0 and not (value["oidc"] or value["issuers"] or value["ceilings"]):
        again = draft_policy(
            policy.ns,
            roots=policy.roots,
            recovery=policy.recovery,
            signers=policy.signers,
            thresholds=policy.thresholds,
        )
        assert again == policy


def _binding(data: bytes) -> None:
    binding, record = open_binding(enveloped(data, "binding", "alice", "bob"))
    assert binding.statement.bytes == data == codec.encode(binding.statement.value)
    _redraft_binding(binding)
    if binding.policy == _PARENT.id:
        positions, need = judge(binding, _PARENT, record.endorsements)
        assert need >= 1
        assert standing(binding, _PARENT, positions).rank == (positions[0], binding.id)


def _redraft_binding(binding: Binding) -> None:
    value = binding.statement.value
    if "source" not in value:
        again = draft_binding(
            binding.name,
            genesis=binding.genesis,
            policy=binding.policy,
            rev=binding.rev,
            prev=binding.prev,
            cid=binding.cid,
            at_ms=binding.at_ms,
            reason=value.get("reason"),
            meta=value["meta"],
        )
        assert again == binding


def _consumer(data: bytes) -> None:
    pack = decode_consumer_policy(data)
    assert pack.statement.bytes == data
    again = make_consumer_policy(
        min_signers=pack.min_signers,
        allow_cids=pack.allow_cids,
        deny_cids=pack.deny_cids,
        allow_signers=pack.allow_signers,
        deny_signers=pack.deny_signers,
        allow_forks=pack.allow_forks,
        genesis=pack.genesis,
        agreeing=pack.agreeing,
        deny_exposed=pack.deny_exposed,
    )
    same = decode_consumer_policy(again.bytes)
    assert (same.allow_cids, same.deny_signers, same.genesis) == (pack.allow_cids, pack.deny_signers, pack.genesis)
    assert not any(pack.accepts_content(cid) for cid in pack.deny_cids)
    assert pack.counted(list(pack.deny_signers)) == 0


def _decision(data: bytes) -> None:
    decision = decode_decision(data)
    assert decision.as_statement().bytes == data
    _explained(decision)


def _explained(decision: Decision) -> None:
    assert all(explain(step) for step in decision.steps)


def _receipt(data: bytes) -> None:
    """A receipt of the type that the payload says, by the node."""
    value = codec.decode(data, limits.RECEIPT_BYTES)
    typ = value.get("type") if isinstance(value, dict) else None
    if not (isinstance(typ, str) and typ.isascii() and 0 < len(typ) <= 64):
        raise Rejected("type-mismatch", "no type to sign as")
    (envelope,) = enveloped(data, typ, "node")
    receipt = open_receipt(envelope)
    assert receipt.statement.bytes == data
    assert receipt.signer == key("node").kid
    assert _made_again(receipt).bytes == data


def _made_again(receipt: Receipt) -> Statement:
    """The payload that a node would write to say the same."""
    if isinstance(receipt, Head):
        return _made_head(receipt)
    if isinstance(receipt, LogGenesis):
        return make_log_genesis(
            node=receipt.node, nonce=receipt.nonce, prev_log=receipt.prev_log, prev_head=receipt.prev_head
        )
    if isinstance(receipt, DenialReceipt):
        return make_denial_receipt(
            log=receipt.log,
            seq=receipt.seq,
            at_ms=receipt.at_ms,
            action=receipt.action,
            subject=receipt.subject,
            code=receipt.code,
            rule=receipt.rule,
            requester=receipt.requester,
        )
    if isinstance(receipt, BindingReceipt):
        assert receipt.name.cid is None
    elif isinstance(receipt, ResolveReceipt):
        _explained(receipt.decision)
        return make_resolve_receipt(
            node=receipt.node,
            at_ms=receipt.at_ms,
            decision=receipt.decision,
            catalog=receipt.catalog,
            head=receipt.head,
        )
    return receipt.statement


def _made_head(head: Head) -> Statement:
    return make_head(
        log=head.log,
        seq=head.seq,
        prev=head.prev,
        catalog=head.catalog,
        log_size=head.log_size,
        log_root=head.log_root,
        at_ms=head.at_ms,
    )


def _evidence(data: bytes) -> None:
    """What is evidence says all of what it holds, and only one key can be meant."""
    evidence = open_evidence(data)
    assert evidence.bytes == data
    assert evidence.id.matches(data)
    assert evidence.one.signer == evidence.other.signer == evidence.subject
    assert evidence.one.id != evidence.other.id
    if evidence.kind in ("heads", "receipts"):
        pair = evidence.statement.value["other"], evidence.statement.value["one"]
        assert equivocation_of(*pair) == evidence


def _heads(data: bytes) -> None:
    """Two payloads of heads in a list. Whether they contradict each other does not depend on their order."""
    pair = codec.decode(data, 2 * limits.HEAD_BYTES)
    if not (isinstance(pair, list) and len(pair) == 2 and all(type(item) is bytes for item in pair)):
        raise Rejected("field-invalid", "not two payloads")
    one, other = (open_head(enveloped(item, "head", "node")[0]) for item in pair)
    assert contradiction(one, one) is None
    assert contradiction(one, other) == contradiction(other, one)
    for item, head in zip(pair, (one, other), strict=True):
        assert _made_head(head).bytes == item


def _log_genesis(data: bytes) -> None:
    genesis = open_log_genesis(enveloped(data, "log-genesis", "node")[0])
    assert genesis.node == genesis.signer == key("node").kid
    assert _made_again(genesis).bytes == data


def _proposal(data: bytes) -> None:
    proposal = decode_proposal(data)
    assert encode_proposal(proposal) == data
    assert proposal.complete == (not proposal.awaited())
    for need in proposal.needs():
        assert need.have <= len(need.keys.keys)


_PARENT = open_policy(policy_record("acme", signers={"alice": (("*",), ("*",)), "bob": (("*",), ("v*",))}).envelopes())[
    0
]


def _policy_seeds() -> list[bytes]:
    child = policy_record(
        "acme", _PARENT, signers={"alice": (("*",), ("*",)), "bob": (("*",), ("v*",)), "ci": (("a",), ("b",))}
    )
    oidc = {"issuer": "i", "audience": "a", "key": bytes(key("ci").kid), "claims": {"sub": "x"}}
    more = {**child.statement.value, "oidc": [oidc], "issuers": [bytes(key("ci").kid)], "ceilings": {"names": 3}}
    found = [*of_vectors("open-policy", payloads()), *of_vectors("step-policy", payloads())]
    return [*found, _PARENT.statement.bytes, child.statement.bytes, codec.encode(more)]


def _binding_seeds() -> list[bytes]:
    found = [*of_vectors("open-binding", payloads()), *of_vectors("judge-binding", payloads())]
    value = dict(open_statement(found[0], "binding", limits.BINDING_BYTES).value)
    full = {**value, "policy": _PARENT.id, "reason": "because", "source": {"git": "x", "ref": "y"}}
    return [*found, codec.encode({**value, "policy": _PARENT.id}), codec.encode(full)]


def _proposal_seeds() -> list[bytes]:
    fields = {"signers": {"alice": (("*",), ("*",))}, "roots": ("root", "root2"), "recovery": ("recovery2",)}
    genesis, child = _PARENT.statement, policy_record("acme", _PARENT, **fields)  # type: ignore[arg-type]
    made = []
    for statement, parent in ((genesis, None), (child.statement, genesis.bytes)):
        for signers in ((), ("root",), ("recovery", "root")):
            pairs = sorted([bytes(key(name).kid), endorse(statement, key(name))] for name in signers)
            value = {
                "v": 1,
                "type": "policy-proposal",
                "policy": statement.bytes,
                "parent": parent,
                "nodes": [b"\x82\x00\x80"],
            }
            made.append(codec.encode({**value, "endorsements": pairs}))
    return made


def _two_heads(given: Any) -> Any:
    pair = [payload_of(bytes.fromhex(given[side])) for side in ("one", "other")]
    yield codec.encode(pair)


def _receipts() -> list[bytes]:
    return of_vectors("open-receipt", payloads("envelope"))


TARGETS = (
    Target("policy", _policy, _policy_seeds, 8192, structured=True),
    Target("binding", _binding, _binding_seeds, 8192, structured=True),
    Target("consumer", _consumer, lambda: of_vectors("decode-consumer-policy", hexes("bytes")), structured=True),
    Target("decision", _decision, lambda: of_vectors("decode-decision", hexes("bytes")), structured=True),
    Target("receipt", _receipt, _receipts, structured=True),
    Target(
        "heads", _heads, lambda: [codec.encode([b"", b""]), *of_vectors("compare-heads", _two_heads)], structured=True
    ),
    Target("evidence", _evidence, lambda: of_vectors("open-evidence", hexes("bytes")), 16384, structured=True),
    Target("log-genesis", _log_genesis, _receipts, structured=True),
    Target("proposal", _proposal, _proposal_seeds, 16384, structured=True),
)
