"""What it costs a peer when this node refuses what it sent.

An honest peer sends only what its own node admitted. Whatever any node would refuse is therefore the sender's fault,
and a handful ends the link. What a node refuses because of what it hosts, what it has room for or what it does not
know yet, an honest peer cannot know: of that, so much is looked at in each namespace, and the rest passed over unread.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from holo.core.errors import HoloError, Rejected


class Blame(Enum):
    """Whose doing a refusal is."""

    NOBODY = 0.0
    MISFIT = 1.0
    FAULT = 32.0


_NOBODY: Final = {
    # This node's own trouble; pull offers the record again.
    "overloaded",
    "no-space",
    "stopping",
    # Another record of the same line was refused; that one says why.
    "atomic-failed",
}
_MISFIT: Final = {
    # Which genesis is hosted under a name, and how many names are, each node chooses.
    "genesis-unknown",
    "genesis-foreign",
    "genesis-not-pinned",
    "namespace-quota",
    # What it builds on has not come: pushes overtake each other, and some are dropped.
    "policy-unknown",
    "policy-parent-unknown",
    # Rooms that what came first has filled; other things may have come first to the peer.
    "pending-full",
    "policy-rivals-full",
    "policies-full",
    "heads-full",
    "evidence-full",
}


def blame(error: HoloError) -> Blame:
    """Whose doing this refusal of a peer's record is."""
    if error.code in _NOBODY or not isinstance(error, Rejected):
        return Blame.NOBODY
    return Blame.MISFIT if error.code in _MISFIT else Blame.FAULT
