"""The node and the nodes it knows."""

from __future__ import annotations

from msgspec import field

from holo.http.types.common import CidText, Did, Millis, Reply


class NodeReply(Reply, frozen=True, kw_only=True):
    """Who this node is and where it stands. ``peer_addresses`` is where peers reach it, empty without gossip."""

    node: Did
    version: str
    roles: list[str]
    peer_addresses: list[str] = field(default_factory=list)
    profile: str
    log: CidText
    head: CidText | None
    catalog: CidText | None
    log_size: int
    limits: dict[str, int]


class PeerItem(Reply, frozen=True, kw_only=True):
    """One peer, as this node sees it.

    ``cp`` and ``tp`` are where its control and transfer planes were reached or are tried. ``head``, ``seq``, ``log``
    and ``head_at_ms`` are of the newest head of its own that was accepted here, null before the first. ``lag_ms`` is
    for how long this node has lacked something of that head, 0 where it lacks nothing; ``converged_at_ms`` is when the
    two were last found equal. ``problem`` is the code of why there is no link. ``equivocations`` are ids of evidence
    that it signed two truths. Counts are since this node started.
    """

    node: Did
    cp: str | None
    tp: str | None
    roles: list[str]
    capabilities: list[str]
    connected: bool
    outgoing: bool | None
    since_ms: Millis | None
    problem: str | None
    log: CidText | None
    head: CidText | None
    seq: int | None
    head_at_ms: Millis | None
    lag_ms: int | None
    converged_at_ms: Millis | None
    sent_records: int
    received_records: int
    sent_bytes: int
    received_bytes: int
    refused: int
    equivocations: list[CidText]


class PeersPage(Reply, frozen=True, kw_only=True):
    """Peers, in order of their keys."""

    items: list[PeerItem]
    next: str | None
