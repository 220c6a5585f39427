"""What the resources may use: the roles that are on, the settings, and where this process stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from holo.core.cid import Cid
from holo.http.allowance import Allowance
from holo.http.metrics import Metrics
from holo.http.plain_answers import PlainAnswers
from holo.http.signing import Signer
from holo.profile import Profile
from holo.roles.registry import Registry
from holo.store.store import Store


@dataclass(slots=True)
class Edge:
    """One node, as its HTTP edge sees it. ``stopping`` is set when answers that last (event streams) have to end."""

    profile: Profile
    registry: Registry
    store: Store
    clock_ms: Callable[[], int]
    metrics: Metrics = field(default_factory=Metrics)
    stopping: trio.Event = field(default_factory=trio.Event)
    event_streams: int = 0
    plain: PlainAnswers = field(default_factory=PlainAnswers)
    name_counts: dict[Cid, int] = field(default_factory=dict)
    resolves: Allowance = field(init=False)
    signer: Signer = field(init=False)

    def __post_init__(self) -> None:
        self.resolves = Allowance(self.profile.limits.anonymous.resolve_per_second)
        self.signer = Signer(self.store.key, self.plain)
