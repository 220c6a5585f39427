"""What the resources may use: the roles that are on, the settings, and where this process stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import trio

from holo.core.cid import Cid
from holo.http.allowance import Allowance
from holo.http.metrics import Metrics
from holo.http.plain_answers import PlainAnswers
from holo.http.remote_policies import RemotePolicies
from holo.http.signing import Signer
from holo.profile import Profile
from holo.roles.gossip.state import PeerState, Tally
from holo.roles.registry import Registry
from holo.store.store import Store


class Federation(Protocol):
    """The gossip role, as the edge sees it. ``addresses`` is where peers reach this node, HOST:PORT."""

    @property
    def addresses(self) -> Sequence[str]: ...
    @property
    def tally(self) -> Tally: ...
    def peers(self) -> Sequence[PeerState]: ...
    async def fetch(self, cid: Cid) -> bytes | None: ...


@dataclass(slots=True)
class Edge:
    """One node, as its HTTP edge sees it. ``stopping`` is set when answers that last (event streams) have to end.

    ``gossip`` is None where the role is off. ``find_policy`` gives the bytes of consumer policies that the home keeps.
    """

    profile: Profile
    registry: Registry
    store: Store
    clock_ms: Callable[[], int]
    gossip: Federation | None = None
    find_policy: Callable[[Cid], bytes | None] | None = None
    metrics: Metrics = field(default_factory=Metrics)
    stopping: trio.Event = field(default_factory=trio.Event)
    event_streams: int = 0
    proving: trio.Lock = field(default_factory=trio.Lock)  # of questions in great numbers, each with its proof
    plain: PlainAnswers = field(default_factory=PlainAnswers)
    name_counts: dict[Cid, int] = field(default_factory=dict)
    resolves: Allowance = field(init=False)
    signer: Signer = field(init=False)
    policies: RemotePolicies = field(init=False)

    def __post_init__(self) -> None:
        self.resolves = Allowance(self.profile.limits.anonymous.resolve_per_second)
        self.signer = Signer(self.store.key, self.plain)
        self.policies = RemotePolicies(self.gossip.fetch if self.gossip is not None else None, self.find_policy)


def peers_of(edge: Edge) -> list[PeerState]:
    """Every pinned peer, in order of key, with the evidence that stands against it here; none without gossip."""
    if edge.gossip is None:
        return []
    with edge.registry.view() as view:
        found = []
        for peer in sorted(edge.gossip.peers(), key=lambda peer: peer.kid):
            standing = view.evidence(peer.kid)
            exposed = peer.evidence if standing is None else tuple(dict.fromkeys((standing, *peer.evidence)))
            found.append(replace(peer, evidence=exposed))
    return found
