"""Runs that are a function of their seed: virtual time, and tasks that take their turns in an order of the seed's.

trio shuffles the tasks that are ready, on purpose. Its own hook for hypothesis makes that a function of a generator;
the same hook is used here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import trio
from trio.testing import MockClock

T = TypeVar("T")


def run_seeded(seed: int, main: Callable[[], Awaitable[T]]) -> T:
    """What ``main`` returns, run on a clock that jumps as soon as everybody waits."""
    with _in_order(seed):
        return trio.run(main, clock=MockClock(autojump_threshold=0))


@contextlib.contextmanager
def _in_order(seed: int) -> Iterator[None]:
    core: Any = trio._core._run
    before, state = core._ALLOW_DETERMINISTIC_SCHEDULING, core._r.getstate()
    core._ALLOW_DETERMINISTIC_SCHEDULING = True
    core._r.seed(seed)
    try:
        yield
    finally:
        core._ALLOW_DETERMINISTIC_SCHEDULING = before
        core._r.setstate(state)
