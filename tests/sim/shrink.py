"""Makes a failing plan small: fewer steps, liars and nodes, for as long as it fails with the same problem."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.sim.plan import Plan
from tests.sim.simulation import Verdict, simulate


def kind_of(verdict: Verdict) -> str | None:
    """What of a problem has to stay the same while its plan shrinks: not the numbers in it."""
    if verdict.problem is None:
        return None
    return "".join("0" if char.isdigit() else char for char in verdict.problem.split("bafy")[0])[:60]


def shrink(failed: Verdict, seconds: float, run: Callable[[Plan], Verdict] = simulate) -> Verdict:
    """The verdict about the smallest plan found within ``seconds`` that fails as ``failed`` does."""
    until, wanted = time.monotonic() + seconds, kind_of(failed)
    best, smaller = failed, True
    while smaller:
        smaller = False
        for plan in _smaller(best.plan):
            if time.monotonic() > until:
                return best
            verdict = run(plan)
            if kind_of(verdict) == wanted:
                best, smaller = verdict, True
                break
    return best


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with less in them, those with much less first."""
    if plan.stormy:
        yield replace(plan, stormy=False)
    for index in range(len(plan.liars)):
        yield plan.without_liar(index)
    if plan.nodes > 1:
        yield plan.without_last_node()
    if any(plan.skews_ms):
        yield replace(plan, skews_ms=(0,) * len(plan.skews_ms))
    last_s = max((step.at_s for step in plan.steps), default=0.0)
    if last_s + 2 < plan.minutes * 60:
        yield replace(plan, minutes=(last_s + 1) / 60)
    size = len(plan.steps)
    while size:
        for start in range(0, len(plan.steps), size):
            yield plan.with_steps(plan.steps[:start] + plan.steps[start + size :])
        size //= 2
