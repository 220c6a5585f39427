"""The event loop's turns: whenever it has something to do, it goes before whoever writes (ADR 0019)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from holo.store.turn import Turn


class _Turns(trio.abc.Instrument):
    """A turn from the moment the loop has seen what came until it looks again."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def after_io_wait(self, timeout: float) -> None:
        self._turn.begin()

    def before_io_wait(self, timeout: float) -> None:
        self._turn.end()


@contextmanager
def loop_goes_first(turn: Turn) -> Iterator[None]:
    """For the length of the block this thread's event loop takes ``turn`` while it is at work."""
    instrument = _Turns(turn)
    trio.lowlevel.add_instrument(instrument)
    turn.begin()
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(instrument)
        turn.end()
