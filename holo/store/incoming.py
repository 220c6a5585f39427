"""What comes in from outside, as it came: nothing of it is verified yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record as it came: its envelopes, unverified. ``nodes`` are tree nodes of a policy's seal.

    Evidence has no envelope of its own: in place of envelopes it has the one object.
    """

    kind: Literal["binding", "policy", "evidence"]
    envelopes: Sequence[bytes]
    compare_and_swap: bool = False
    nodes: Sequence[bytes] = ()
