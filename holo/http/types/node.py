"""The node and the nodes it knows."""

from __future__ import annotations

from holo.http.types.common import CidText, Did, Millis, Reply


class NodeReply(Reply, frozen=True, kw_only=True):
    """Who this node is and where it stands."""

    node: Did
    version: str
    roles: list[str]
    profile: str
    log: CidText
    head: CidText | None
    catalog: CidText | None
    log_size: int
    limits: dict[str, int]


class PeerItem(Reply, frozen=True, kw_only=True):
    """One node, as this one knows it. ``lag_ms`` and ``converged_at_ms`` are null for the node itself."""

    node: Did
    cp: str | None
    tp: str | None
    roles: list[str]
    capabilities: list[str]
    head: CidText | None
    seq: int | None
    lag_ms: int | None
    converged_at_ms: Millis | None
    equivocations: list[CidText]


class PeersPage(Reply, frozen=True, kw_only=True):
    """Peers, this node first."""

    items: list[PeerItem]
    next: str | None
