"""Records as peers carry them: the payload once, and beside it who endorses it (spec section 7.2).

A record of envelopes repeats its payload for every endorser, up to 96 times: a policy of the largest size would fit no
frame. Taken apart it does, and envelopes are a function of what is left.

What is *pending* is carried under a word of its own, because its endorsements must be offered one by one: together
they could reach the threshold, and it would be the receiver that had put them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias, get_args

from holo.core import binding, limits, policy
from holo.core.envelope import Record, encode_envelope
from holo.core.errors import Rejected
from holo.core.keys import KID_BYTES, SIGNATURE_BYTES, Kid

Kind: TypeAlias = Literal["policy", "binding", "pending"]

_KINDS: Final = get_args(Kind)
_PAYLOAD_BYTES: Final = {
    "policy": limits.POLICY_BYTES,
    "binding": limits.BINDING_BYTES,
    "pending": limits.BINDING_BYTES,
}
_FIELD_BYTES: Final = 16  # heads and the kind


@dataclass(frozen=True, slots=True)
class Carried:
    """A payload and its endorsements, rising by kid. Nothing in it is verified, or known to be what its kind says."""

    kind: Kind
    payload: bytes
    endorsements: tuple[tuple[Kid, bytes], ...]

    def submissions(self) -> list[list[bytes]]:
        """The records to offer, each as its envelopes.

        One, as a rule. What is pending: each endorsement alone. A binding with more endorsers than a record may have:
        several, each with as many as it may have, so that each is complete if all of these endorsers count.
        """
        type = policy.TYPE if self.kind == "policy" else binding.TYPE
        envelopes = [encode_envelope(type, kid, self.payload, signature) for kid, signature in self.endorsements]
        if self.kind == "pending":
            return [[envelope] for envelope in envelopes]
        most = limits.ENDORSEMENTS_PER_RECORD
        starts = range(0, len(envelopes), most)
        return [envelopes[max(0, min(start, len(envelopes) - most)) :][:most] for start in starts]

    @property
    def size_bytes(self) -> int:
        """At most so much it takes in a message."""
        return len(self.payload) + len(self.endorsements) * (KID_BYTES + SIGNATURE_BYTES + 2) + _FIELD_BYTES

    def as_value(self) -> list[Any]:
        """The form in a message: the kind, the payload, and kid ‖ signature of each endorser."""
        return [self.kind, self.payload, [kid + signature for kid, signature in self.endorsements]]


def carry(record: Record) -> Carried:
    """A complete record, as peers carry it."""
    kind: Kind = "policy" if record.statement.type == policy.TYPE else "binding"
    return Carried(kind, record.statement.bytes, _ordered(record))


def carry_pending(record: Record) -> Carried:
    """What a mailbox holds of a statement, as peers carry it. ``record`` is not one: it is only what was endorsed."""
    return Carried("pending", record.statement.bytes, _ordered(record))


def read_carried(value: Any, at: str) -> Carried:
    """The carried record of this form. Raises ``field-invalid`` or ``too-large``, at ``at``."""
    if not (type(value) is list and len(value) == 3 and value[0] in _KINDS and type(value[1]) is bytes):
        raise Rejected("field-invalid", f"{at} is not a kind, a payload and endorsements", at=at)
    kind, payload, endorsements = value
    if len(payload) > _PAYLOAD_BYTES[kind]:
        raise Rejected("too-large", f"a payload of {len(payload)} bytes, at most {_PAYLOAD_BYTES[kind]}", at=at)
    if not (type(endorsements) is list and 1 <= len(endorsements) <= _most_endorsements(kind)):
        raise Rejected("field-invalid", f"{at} has no endorsements, or too many", at=at)
    if not all(type(item) is bytes and len(item) == KID_BYTES + SIGNATURE_BYTES for item in endorsements):
        raise Rejected("field-invalid", f"{at} has something else than a kid and a signature", at=at)
    pairs = tuple((Kid(item[:KID_BYTES]), item[KID_BYTES:]) for item in endorsements)
    if any(one >= other for (one, _), (other, _) in pairwise(pairs)):
        raise Rejected("field-invalid", f"{at} has endorsers twice or out of order", at=at)
    return Carried(kind, payload, pairs)


def _most_endorsements(kind: str) -> int:
    return limits.ENDORSEMENTS_PER_RECORD if kind == "policy" else limits.ENDORSEMENTS_CARRIED


def _ordered(record: Record) -> tuple[tuple[Kid, bytes], ...]:
    return tuple(sorted(record.endorsements.items()))
