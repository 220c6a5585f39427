"""Evidence against a node: an object that proves to anybody, by itself, that its subject signed two truths (section 5).

:func:`open_evidence` is the only way to it from bytes. Where several pieces are known about one subject, the one with
the smallest id stands for all (:func:`preferred`), so that who knows the same pieces commits to the same catalog.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from holo.core import codec, limits
from holo.core.cid import Cid
from holo.core.envelope import open_statement
from holo.core.equivocation import TYPE as EQUIVOCATION
from holo.core.equivocation import Evidence, entry_of, equivocation_of, history_of, parse_equivocation
from holo.core.errors import Rejected
from holo.core.omission import TYPE as OMISSION
from holo.core.omission import find_omission, parse_omission

__all__ = [
    "Evidence",
    "entry_of",
    "equivocation_of",
    "evidence_value",
    "find_omission",
    "history_of",
    "open_evidence",
    "parse_evidence_value",
    "preferred",
]

TYPES: Final = {EQUIVOCATION: parse_equivocation, OMISSION: parse_omission}


def open_evidence(data: bytes) -> Evidence:
    """The evidence these bytes are, everything in it verified; it takes no other knowledge and no anchor.

    Raises ``too-large``, ``cbor-invalid``, ``type-mismatch``, ``field-*``, ``evidence-invalid`` and what opening an
    envelope, a proof or an object in it raises.
    """
    value = codec.decode(data, limits.EVIDENCE_BYTES)
    type = value.get("type") if isinstance(value, dict) else None
    if not isinstance(type, str) or type not in TYPES:
        raise Rejected("type-mismatch", "neither an equivocation nor an omission", at="payload.type")
    return TYPES[type](open_statement(data, type, limits.EVIDENCE_BYTES))


def preferred(one: Cid, other: Cid) -> Cid:
    """Which of two pieces of evidence about one subject a catalog holds."""
    return min(one, other)


def evidence_value(evidence: Cid) -> list[Any]:
    """The value of a catalog's tree of evidence, under the bytes of its subject's kid."""
    return [evidence]


def parse_evidence_value(value: Sequence[Any]) -> Cid:
    """The id of the evidence that a value of a catalog's tree of evidence names."""
    if len(value) != 1 or not isinstance(value[0], Cid):
        raise Rejected("tree-invalid", "a subject has more or other than the link to its evidence")
    return value[0]
