"""What the role knows of its peers and has counted, for whoever watches a node: ``/v1/peers`` and ``/metrics``.

Nothing is decided by it. It is about this process only; what must be provable is in receipts and evidence instead.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from holo.core.cid import Cid
from holo.core.keys import Kid


@dataclass(frozen=True, slots=True)
class PeerState:
    """One pinned peer as this node sees it now.

    ``outgoing`` says who dialled and is None without a link; ``since_ms`` is when the link was made, or was lost.
    ``lag_ms`` is for how long this node has known a newest head of the peer with records that it lacks; 0 where it
    lacks none, None where it does not know. ``problem`` is the code of why there is no link. ``refused`` counts the
    peer's records that this node refused, the others what went over links since this node started.
    """

    kid: Kid
    addresses: tuple[str, ...]
    connected: bool = False
    outgoing: bool | None = None
    since_ms: int | None = None
    problem: str | None = None
    log: Cid | None = None
    head: Cid | None = None
    head_seq: int | None = None
    head_at_ms: int | None = None
    catalog: Cid | None = None
    lag_ms: int | None = None
    converged_at_ms: int | None = None
    sent_records: int = 0
    received_records: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    refused: int = 0
    evidence: tuple[Cid, ...] = ()


@dataclass(slots=True)
class Tally:
    """What the role has counted since it started. ``dropped`` is by why: ``queue``, ``budget``, ``duplicate``."""

    messages_in: Counter[str] = field(default_factory=Counter)
    messages_out: Counter[str] = field(default_factory=Counter)
    bytes_in: int = 0
    bytes_out: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    links_closed: Counter[str] = field(default_factory=Counter)
    pulls: int = 0
    pull_rounds: int = 0
