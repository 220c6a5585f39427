"""From what a view gives to what a reply carries: one function for each shape that several resources share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holo.core import limits
from holo.core.cid import DAG_CBOR, Cid
from holo.core.decision import Decision
from holo.core.envelope import Statement, decode_envelope, open_statement
from holo.core.head import Head
from holo.core.keys import did_of
from holo.core.names import Name
from holo.http import types
from holo.http.base64url import encode_base64url
from holo.store.view import Entry, View


def binding_item(view: View, entry: Entry) -> types.BindingItem:
    """A statement of a name, as listings show it."""
    binding, value = entry.binding, entry.binding.statement.value
    policy = view.policy(binding.policy)
    counted = policy.positions(entry.endorsements, binding.name.handle, binding.name.tag)
    source: Mapping[str, str] | None = value.get("source")
    return types.BindingItem(
        name=str(binding.name),
        statement=str(binding.id),
        cid=text(binding.cid),
        rev=binding.rev,
        prev=[str(item) for item in binding.prev],
        policy=str(binding.policy),
        at_ms=binding.at_ms,
        signers=[did_of(kid) for kid in sorted(entry.endorsements)],
        state=entry.state,
        have=len(counted),
        need=policy.threshold_for(binding.name.tag),
        meta=types.view_of(value["meta"]),
        reason=value.get("reason"),
        source=dict(source) if source is not None else None,
        record_cose=envelopes(entry.envelopes()),
    )


def resolved(decision: Decision, rev: int | None) -> types.Resolved:
    """A decision; ``rev`` is that of its statement."""
    return types.Resolved(
        name=str(decision.query.name),
        outcome=decision.outcome,
        cid=text(decision.cid),
        statement=text(decision.statement),
        rev=rev,
        genesis=text(decision.genesis),
        policy=text(decision.policy),
        consumer_policy=text(decision.consumer_policy),
        decision=str(decision.as_statement().id),
        steps=[types.Step(code=step.code, subject=text(step.subject), ok=step.ok, n=step.n) for step in decision.steps],
        flags=list(decision.flags),
    )


def head_item(head: Head, envelope: bytes) -> types.HeadItem:
    """A head and its envelope."""
    return types.HeadItem(
        head=str(head.id),
        log=str(head.log),
        seq=head.seq,
        prev=text(head.prev),
        catalog=str(head.catalog),
        log_size=head.log_size,
        log_root=encode_base64url(head.log_root),
        at_ms=head.at_ms,
        head_cose=encode_base64url(envelope),
    )


def receipt_item(envelope: bytes) -> types.ReceiptItem:
    """A receipt of this node's own log. Its signature is not verified again: the store is where it was made."""
    statement = own_statement(envelope)
    value = statement.value
    return types.ReceiptItem(
        receipt=str(statement.id),
        type=statement.type,
        log=str(value["log"]),
        seq=value["seq"],
        at_ms=value["at_ms"],
        view=types.view_of(value),
        receipt_cose=encode_base64url(envelope),
    )


def own_statement(envelope: bytes) -> Statement:
    """The statement in an envelope that this node made and stored itself."""
    kind, _, payload, _ = decode_envelope(envelope, limits.RECEIPT_BYTES)
    return open_statement(payload, kind, limits.RECEIPT_BYTES)


def name_of_key(ns: str, path: bytes | str) -> str:
    """The name that a namespace and a key of its tree of bindings (``handle/tag``) make."""
    handle, _, tag = (path.decode() if isinstance(path, bytes) else path).rpartition("/")
    return str(Name(ns, handle, tag))


def dag_cid(data: bytes) -> str:
    """The CID of a DAG-CBOR object, as text."""
    return str(Cid.of(DAG_CBOR, data))


def envelopes(items: Sequence[bytes]) -> list[str]:
    """Byte strings in base64url."""
    return [encode_base64url(item) for item in items]


def text(cid: Cid | None) -> str | None:
    """A CID as text, or None."""
    return None if cid is None else str(cid)
