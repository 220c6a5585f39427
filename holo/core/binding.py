"""Bindings: a signed name for content; which counts, which is current, which is pending (spec section 2).

A *standing* is a complete statement with the positions of its endorsers in the policy it cites. What is current is
:func:`settle` of all standings that count; it is associative, commutative and idempotent over sets, so it may be
computed from what was kept and what arrives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from holo.core import limits, names
from holo.core.cid import Cid
from holo.core.envelope import Record, Statement, open_record, open_statement, proven_by
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.keys import Kid
from holo.core.names import Name
from holo.core.policy import Policy

TYPE: Final = "binding"

_REQUIRED: Final = ("v", "type", "ns", "genesis", "handle", "tag", "rev", "prev", "cid", "policy", "at_ms", "meta")
_OPTIONAL: Final = ("reason", "source")


@dataclass(frozen=True, slots=True)
class Binding:
    """One parsed binding. ``cid`` None is a yank: a visible tombstone."""

    id: Cid
    name: Name
    genesis: Cid
    rev: int
    prev: tuple[Cid, ...]
    cid: Cid | None
    policy: Cid
    at_ms: int
    statement: Statement


@dataclass(frozen=True, slots=True)
class Standing:
    """A complete statement as far as ties go. ``first`` is the kid at the lowest of ``positions``."""

    id: Cid
    rev: int
    cid: Cid | None
    policy: Cid
    positions: tuple[int, ...]
    first: Kid

    @property
    def rank(self) -> tuple[int, Cid]:
        """What orders statements of one rev: lowest position, then id."""
        return self.positions[0], self.id


@dataclass(frozen=True, slots=True)
class Partial:
    """A statement below its threshold, as one endorser's mailbox sees it."""

    id: Cid
    rev: int


State = Literal["settled", "forked", "held"]


def open_binding(envelopes: list[bytes]) -> tuple[Binding, Record]:
    """The binding in these COSE_Sign1 envelopes, every signature verified; who may sign is judged elsewhere."""
    record = open_record(envelopes, TYPE, limits.BINDING_BYTES)
    with proven_by(record):
        return parse_binding(record.statement), record


def decode_binding(payload: bytes) -> Binding:
    """The binding these payload bytes are."""
    return parse_binding(open_statement(payload, TYPE, limits.BINDING_BYTES))


def parse_binding(statement: Statement) -> Binding:
    """The binding a statement says. Raises ``field-*`` or ``name-invalid`` with the place."""
    fields = Fields(statement.value, "payload", _REQUIRED, _OPTIONAL)
    ns = fields.text("ns", limits.NAMESPACE_BYTES)
    handle = fields.text("handle", limits.HANDLE_AND_TAG_BYTES)
    tag = fields.text("tag", limits.TAG_BYTES)
    names.check_name(ns, handle, tag)
    if fields.has("reason"):
        fields.text("reason", limits.REASON_BYTES)
    if fields.has("source"):
        _check_source(fields)
    _check_meta(fields.mapping("meta"))
    return Binding(
        id=statement.id,
        name=Name(ns, handle, tag),
        genesis=fields.link("genesis"),
        rev=fields.integer("rev", 1),
        prev=fields.links("prev", limits.PREV_PER_BINDING),
        cid=fields.link_or_null("cid"),
        policy=fields.link("policy"),
        at_ms=fields.integer("at_ms"),
        statement=statement,
    )


def judge(binding: Binding, policy: Policy, endorsers: Iterable[Kid]) -> tuple[tuple[int, ...], int]:
    """(positions of the endorsers that may sign this, how many are needed) under the policy the binding cites.

    Raises ``signer-not-allowed`` where none of them may.
    """
    assert policy.id == binding.policy
    positions = policy.positions(endorsers, binding.name.handle, binding.name.tag)
    if not positions:
        raise Rejected("signer-not-allowed", f"for {binding.name}", subject=str(binding.name))
    return positions, policy.threshold_for(binding.name.tag)


def standing(binding: Binding, policy: Policy, positions: tuple[int, ...]) -> Standing:
    """The standing of a complete binding with these endorsers."""
    first = policy.signers[positions[0]].key
    return Standing(binding.id, binding.rev, binding.cid, binding.policy, positions, first)


def settle(standings: Iterable[Standing]) -> tuple[Standing, ...]:
    """The one or two standings that are current, or none: the highest rev; of each cid the best; the best two.

    The same statement may be given more than once with different positions; its best rank decides.
    """
    best: dict[Cid | None, Standing] = {}
    rev = 0
    for item in standings:
        if item.rev > rev:
            rev, best = item.rev, {}
        if item.rev == rev:
            held = best.get(item.cid)
            if held is None or item.rank < held.rank:
                best[item.cid] = item
    return tuple(sorted(best.values(), key=lambda item: item.rank)[:2])


def state_of(current: tuple[Standing, ...]) -> State:
    """How a name stands: settled by one statement, forked between two signers, or held between two of one signer's."""
    if len(current) < 2:
        return "settled"
    return "held" if current[0].first == current[1].first else "forked"


def mailbox(partials: Iterable[Partial]) -> list[Partial]:
    """What one endorser's mailbox for (name, cited policy) keeps: the first 8 by (rev descending, id)."""
    unique = {item.id: item for item in partials}
    return sorted(unique.values(), key=lambda item: (-item.rev, item.id))[: limits.PENDING_PER_SIGNER]


def _check_meta(meta: Any) -> None:
    fields = Fields(meta, "payload.meta", (), ("size", "media_type", "summary"))
    if fields.has("size"):
        fields.integer("size")
    if fields.has("media_type"):
        fields.text("media_type", limits.MEDIA_TYPE_BYTES)
    if fields.has("summary"):
        fields.text("summary", limits.SUMMARY_BYTES)


def _check_source(fields: Fields) -> None:
    source = fields.mapping("source")
    texts = all(isinstance(v, str) for v in source.values())
    if not texts or sum(len(k.encode()) + len(v.encode()) for k, v in source.items()) > limits.SOURCE_BYTES:
        raise fields.fail("source", f"is not a map of texts of at most {limits.SOURCE_BYTES} bytes together")
