"""How many worlds a law is tried on: more than other properties, since worlds are small and the laws are the point."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.laws.world import World, worlds

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
# Shrunk failures are small enough to read; explaining them would take minutes of stores.
_PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]


def effort(share: float = 1.0) -> settings:
    """Settings for a share of the usual number: 300 worlds, or 2,000 where they are the same ones each time."""
    profile = settings()
    count = profile.max_examples * (10 if profile.derandomize else 3)
    return settings(profile, max_examples=max(10, int(count * share)), phases=_PHASES, suppress_health_check=_SLOW)


def keep_trying(law: Callable[[World, st.DataObject], None], seconds: float) -> None:
    """Try a law on ever new and larger worlds until the time is up."""
    end = monotonic() + seconds

    @settings(effort(), max_examples=50)
    @given(worlds(min_steps=8, max_steps=40), st.data())
    def some_more(world: World, data: st.DataObject) -> None:
        law(world, data)

    while monotonic() < end:
        some_more()
