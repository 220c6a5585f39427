"""On whose behalf a request acts.

There are two kinds. Under ``require = "signer"`` (loopback) the request itself needs nothing: a record carries the
signatures that decide whether it counts, so whoever delivers it is a courier. Under ``capability`` the request has to
prove a right of its own; :func:`authorise` is the one place where such a proof is read, and until a node can read one
it refuses every write, with ``unauthenticated``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from holo.core.errors import Rejected

Requirement = Literal["signer", "capability", "capability+mtls"]


@dataclass(frozen=True, slots=True)
class Authority:
    """Who asks: the client's address, which limits are counted by ("" for a caller in this very process)."""

    address: str


def authorise(requirement: str, address: str, *, writes: bool) -> Authority:
    """The authority of a request from ``address``. Raises ``unauthenticated`` for a write that proves no right."""
    if writes and requirement != "signer":
        raise Rejected("unauthenticated", f"writes here need http.require = {requirement!r}: a signed capability")
    return Authority(address)
