"""Receipts: what a node signs about single things it did or answered (spec section 5).

``make_*`` gives the payload for the node to sign, ``open_*`` verifies a COSE_Sign1 and reads it strictly, and
``parse_*`` does the same for a payload whose signature is known to be good. A verified signature says who speaks,
not whether to believe it: that is :class:`~holo.core.head.Anchors`' question, and nothing here answers it unasked.

All but one are entries of their node's log, numbered by ``seq`` without gaps. A resolve-receipt is not logged: it cites
a head, and holds the decision on that head's state. Receipts about other nodes are in :mod:`holo.core.peer_receipts`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from holo.core import limits
from holo.core.binding import Binding
from holo.core.cid import Cid
from holo.core.decision import Decision, parse_decision
from holo.core.envelope import Statement, decode_envelope, make_statement, open_envelope
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.head import HEAD_TYPE, LOG_GENESIS_TYPE, Head, LogGenesis, Signed, parse_head, parse_log_genesis
from holo.core.keys import Kid
from holo.core.logged import LOGGED_FIELDS, make_logged, read_place
from holo.core.logged import Logged as Logged
from holo.core.names import Name
from holo.core.peer_receipts import (
    CONVERGENCE_RECEIPT,
    EVIDENCE_RECEIPT,
    ConvergenceReceipt,
    EvidenceReceipt,
    parse_convergence_receipt,
    parse_evidence_receipt,
)
from holo.core.policy import Policy

BINDING_RECEIPT: Final = "binding-receipt"
POLICY_RECEIPT: Final = "policy-receipt"
DENIAL_RECEIPT: Final = "denial-receipt"
RESOLVE_RECEIPT: Final = "resolve-receipt"

BindingState = Literal["current", "forked", "held", "superseded", "pending", "sealed-out", "waiting"]
PolicyState = Literal["effective", "held", "rival"]
Action = Literal["publish", "policy", "gossip"]


@dataclass(frozen=True, slots=True)
class BindingReceipt(Logged):
    """A binding was taken in. ``endorsers`` are those that count; ``displaced`` are statements it took the place of."""

    subject: Cid
    name: Name
    cid: Cid | None
    rev: int
    state: BindingState
    endorsers: tuple[Kid, ...]
    displaced: tuple[Cid, ...]


@dataclass(frozen=True, slots=True)
class PolicyReceipt(Logged):
    """A policy was taken in."""

    ns: str
    genesis: Cid
    policy: Cid
    policy_seq: int
    state: PolicyState
    endorsers: tuple[Kid, ...]


@dataclass(frozen=True, slots=True)
class DenialReceipt(Logged):
    """A request by a proven key was refused. ``subject`` is the statement it was about, if it could be read.

    ``code`` is an error code; ``rule`` says in which place or by which rule, and may be empty.
    """

    action: Action
    subject: Cid | None
    code: str
    rule: str
    requester: Kid


@dataclass(frozen=True, slots=True)
class ResolveReceipt(Signed):
    """A decision made by ``node`` on the state that ``head`` commits to through ``catalog``."""

    node: Kid
    at_ms: int
    decision: Decision
    catalog: Cid
    head: Cid


Receipt: TypeAlias = (
    BindingReceipt
    | PolicyReceipt
    | DenialReceipt
    | ConvergenceReceipt
    | EvidenceReceipt
    | ResolveReceipt
    | Head
    | LogGenesis
)


def make_binding_receipt(
    binding: Binding,
    *,
    log: Cid,
    seq: int,
    at_ms: int,
    state: BindingState,
    endorsers: Collection[Kid],
    displaced: Sequence[Cid] = (),
) -> Statement:
    """The payload of a receipt for a binding."""
    name = Name(binding.name.namespace, binding.name.handle, binding.name.tag)
    return make_logged(
        BINDING_RECEIPT, log, seq, at_ms,
        statement=binding.id, name=str(name), cid=binding.cid, rev=binding.rev, state=state,
        endorsers=sorted(bytes(kid) for kid in endorsers), displaced=list(displaced),
    )  # fmt: skip


def make_policy_receipt(
    policy: Policy, *, log: Cid, seq: int, at_ms: int, genesis: Cid, state: PolicyState, endorsers: Collection[Kid]
) -> Statement:
    """The payload of a receipt for a policy."""
    return make_logged(
        POLICY_RECEIPT, log, seq, at_ms,
        ns=policy.ns, genesis=genesis, policy=policy.id, policy_seq=policy.seq, state=state,
        endorsers=sorted(bytes(kid) for kid in endorsers),
    )  # fmt: skip


def make_denial_receipt(
    *, log: Cid, seq: int, at_ms: int, action: Action, subject: Cid | None, code: str, rule: str, requester: Kid
) -> Statement:
    """The payload of a receipt for a refusal. ``rule`` is cut to what a receipt may hold."""
    return make_logged(
        DENIAL_RECEIPT, log, seq, at_ms,
        action=action, subject=subject, code=code, requester=bytes(requester),
        rule=rule.encode()[: limits.DENIAL_RULE_BYTES].decode(errors="ignore"),
    )  # fmt: skip


def make_resolve_receipt(*, node: Kid, at_ms: int, decision: Decision, catalog: Cid, head: Cid) -> Statement:
    """The payload of a receipt for a decision."""
    return make_statement(
        {
            "v": 1,
            "type": RESOLVE_RECEIPT,
            "node": bytes(node),
            "at_ms": at_ms,
            "decision": decision.as_statement().value,
            "catalog": catalog,
            "head": head,
        }
    )


def open_receipt(envelope: bytes) -> Receipt:
    """The receipt, head or log-genesis in a COSE_Sign1, its signature verified; whose it is, is for the caller to ask.

    Raises ``too-large``, ``envelope-invalid``, ``type-mismatch``, ``signature-invalid``, ``field-*`` and others.
    """
    type, _, _, _ = decode_envelope(envelope, limits.RECEIPT_BYTES)
    if type not in _PARSERS:
        raise Rejected("type-mismatch", f"{type} is not a type of receipt")
    statement, signer, _ = open_envelope(envelope, type, _limit_bytes(type))
    return _PARSERS[type](statement, signer)


def open_binding_receipt(envelope: bytes) -> BindingReceipt:
    """The binding-receipt in a COSE_Sign1, its signature verified."""
    return parse_binding_receipt(*_open(envelope, BINDING_RECEIPT))


def open_policy_receipt(envelope: bytes) -> PolicyReceipt:
    """The policy-receipt in a COSE_Sign1, its signature verified."""
    return parse_policy_receipt(*_open(envelope, POLICY_RECEIPT))


def open_denial_receipt(envelope: bytes) -> DenialReceipt:
    """The denial-receipt in a COSE_Sign1, its signature verified."""
    return parse_denial_receipt(*_open(envelope, DENIAL_RECEIPT))


def open_resolve_receipt(envelope: bytes) -> ResolveReceipt:
    """The resolve-receipt in a COSE_Sign1, its signature verified as that of the node it names."""
    return parse_resolve_receipt(*_open(envelope, RESOLVE_RECEIPT))


def parse_receipt(statement: Statement, signer: Kid) -> Receipt:
    """The receipt a statement says, of whatever type it is."""
    if statement.type not in _PARSERS:
        raise Rejected("type-mismatch", f"{statement.type} is not a type of receipt")
    return _PARSERS[statement.type](statement, signer)


def parse_binding_receipt(statement: Statement, signer: Kid) -> BindingReceipt:
    """The binding-receipt a statement says."""
    fields = Fields(statement.value, "payload", _BINDING_FIELDS)
    log, seq, at_ms = read_place(fields)
    return BindingReceipt(
        id=statement.id,
        signer=signer,
        statement=statement,
        log=log,
        seq=seq,
        at_ms=at_ms,
        subject=fields.link("statement"),
        name=_name(fields),
        cid=fields.link_or_null("cid"),
        rev=fields.integer("rev", 1),
        state=_chosen(fields, "state", get_args(BindingState)),
        endorsers=_endorsers(fields),
        displaced=fields.links("displaced", limits.PREV_PER_BINDING),
    )


def parse_policy_receipt(statement: Statement, signer: Kid) -> PolicyReceipt:
    """The policy-receipt a statement says."""
    fields = Fields(statement.value, "payload", _POLICY_FIELDS)
    log, seq, at_ms = read_place(fields)
    return PolicyReceipt(
        id=statement.id,
        signer=signer,
        statement=statement,
        log=log,
        seq=seq,
        at_ms=at_ms,
        ns=fields.text("ns", limits.NAMESPACE_BYTES),
        genesis=fields.link("genesis"),
        policy=fields.link("policy"),
        policy_seq=fields.integer("policy_seq"),
        state=_chosen(fields, "state", get_args(PolicyState)),
        endorsers=_endorsers(fields),
    )


def parse_denial_receipt(statement: Statement, signer: Kid) -> DenialReceipt:
    """The denial-receipt a statement says."""
    fields = Fields(statement.value, "payload", _DENIAL_FIELDS)
    log, seq, at_ms = read_place(fields)
    return DenialReceipt(
        id=statement.id,
        signer=signer,
        statement=statement,
        log=log,
        seq=seq,
        at_ms=at_ms,
        action=_chosen(fields, "action", get_args(Action)),
        subject=fields.link_or_null("subject"),
        code=fields.text("code", limits.CODE_BYTES),
        rule=fields.text("rule", limits.DENIAL_RULE_BYTES),
        requester=fields.key("requester"),
    )


def parse_resolve_receipt(statement: Statement, signer: Kid) -> ResolveReceipt:
    """The resolve-receipt a statement says."""
    fields = Fields(statement.value, "payload", _RESOLVE_FIELDS)
    if fields.key("node") != signer:
        raise Rejected("receipt-invalid", "signed by another key than the node's", at="payload.node")
    return ResolveReceipt(
        id=statement.id,
        signer=signer,
        statement=statement,
        node=signer,
        at_ms=fields.integer("at_ms"),
        decision=parse_decision(fields.mapping("decision"), "payload.decision"),
        catalog=fields.link("catalog"),
        head=fields.link("head"),
    )


_BINDING_FIELDS: Final = (*LOGGED_FIELDS, "statement", "name", "cid", "rev", "state", "endorsers", "displaced")
_POLICY_FIELDS: Final = (*LOGGED_FIELDS, "ns", "genesis", "policy", "policy_seq", "state", "endorsers")
_DENIAL_FIELDS: Final = (*LOGGED_FIELDS, "action", "subject", "code", "rule", "requester")
_RESOLVE_FIELDS: Final = ("v", "type", "node", "at_ms", "decision", "catalog", "head")

_PARSERS: Final[dict[str, Callable[[Statement, Kid], Receipt]]] = {
    BINDING_RECEIPT: parse_binding_receipt,
    POLICY_RECEIPT: parse_policy_receipt,
    DENIAL_RECEIPT: parse_denial_receipt,
    CONVERGENCE_RECEIPT: parse_convergence_receipt,
    EVIDENCE_RECEIPT: parse_evidence_receipt,
    RESOLVE_RECEIPT: parse_resolve_receipt,
    HEAD_TYPE: parse_head,
    LOG_GENESIS_TYPE: parse_log_genesis,
}


def _limit_bytes(type: str) -> int:
    return limits.HEAD_BYTES if type in (HEAD_TYPE, LOG_GENESIS_TYPE) else limits.RECEIPT_BYTES


def _open(envelope: bytes, type: str) -> tuple[Statement, Kid]:
    statement, signer, _ = open_envelope(envelope, type, limits.RECEIPT_BYTES)
    return statement, signer


def _name(fields: Fields) -> Name:
    text = fields.text("name", limits.NAMESPACE_BYTES + limits.HANDLE_AND_TAG_BYTES + 2)
    name = Name.parse(text)
    if name.cid is not None or str(name) != text:
        raise fields.fail("name", "is not a name in full, without a pin")
    return name


def _chosen(fields: Fields, name: str, allowed: tuple[str, ...]) -> Any:
    return fields.choice(name, allowed)


def _endorsers(fields: Fields) -> tuple[Kid, ...]:
    found = fields.keys("endorsers", limits.SIGNERS, least=1)
    if list(found) != sorted(found):
        raise fields.fail("endorsers", "is not in order")
    return found
