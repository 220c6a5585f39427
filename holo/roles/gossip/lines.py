"""Policies in lines: each with those before it that came along, to be offered all or none (spec section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from holo.core import codec, limits
from holo.core.carried import Carried
from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Rejected

Line: TypeAlias = list[list[bytes]]
"""Records as envelopes, each after its parent."""


def lines_of(records: Sequence[Carried]) -> list[Line]:
    """Each policy in one line: the longest first, what branches off it in lines of their own after it."""
    found = {Cid.of(DAG_CBOR, record.payload): (record, *_place(record.payload)) for record in records}
    lines = []
    for cid in sorted(found, key=lambda cid: (-found[cid][1], cid)):
        line: Line = []
        at: Cid | None = cid
        while at in found:
            record, _, before = found.pop(at)
            line += reversed(record.submissions())
            at = before
        if line:
            lines.append(line[::-1])
    return lines


def _place(payload: bytes) -> tuple[int, Cid | None]:
    """(seq, prev) as a payload says, that is not verified; what cannot be read is for the door to refuse."""
    try:
        value = codec.decode(payload, limits.POLICY_BYTES)
    except Rejected:
        return 0, None
    seq, prev = (value.get("seq"), value.get("prev")) if isinstance(value, dict) else (0, None)
    return seq if type(seq) is int else 0, prev if isinstance(prev, Cid) else None
