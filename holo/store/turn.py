"""Who goes first where two threads want the interpreter: the one that answers, or the one that writes (ADR 0019).

CPython runs one thread at a time. A thread that reads a socket or the store lets the others in for that moment, and one
that is at work in Python then keeps it waiting, up to five milliseconds each time. So whoever answers many small
questions takes a *turn* for as long as it has some, and whoever works through a transaction asks at every step whether
a turn is taken, and lets it pass.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Final

PATIENCE_S: Final = 0.001
SLICE_S: Final = 0.001
_LONGEST_WAIT_S: Final = 0.02  # a turn that lasts longer is not one anybody should wait for


class Turn:
    """One thread takes turns, :meth:`begin` to :meth:`end`; any number of others :meth:`give_way`.

    Where turns follow one another without a gap, those others still get on: whenever they have waited ``patience_s`` in
    all, they have ``slice_s`` in which they wait no more.
    """

    def __init__(self, *, patience_s: float = PATIENCE_S, slice_s: float = SLICE_S) -> None:
        self.taken = False
        self._patience_s = patience_s
        self._slice_s = slice_s
        self._waiting: list[threading.Lock] = []
        self._waited_s = 0.0
        self._slice_until_s = 0.0

    @property
    def waiting(self) -> int:
        """How many threads wait for the turn to end."""
        return len(self._waiting)

    def begin(self) -> None:
        """Take the turn. Never waits."""
        self.taken = True

    def end(self) -> None:
        """Give it back. Never waits."""
        self.taken = False
        while self._waiting:
            self._waiting.pop().release()

    def give_way(self) -> None:
        """Wait while a turn is taken. At most 20 ms: a turn that is never given back holds nobody up for good."""
        began_s = time.perf_counter()
        if began_s < self._slice_until_s:
            return
        ended = threading.Lock()
        ended.acquire()
        self._waiting.append(ended)
        # Asked only once in line: of a turn that had ended just before nobody would wake us.
        woken = self.taken and ended.acquire(timeout=_LONGEST_WAIT_S)
        if not woken:
            with contextlib.suppress(ValueError):  # the turn may end just now
                self._waiting.remove(ended)
        now_s = time.perf_counter()
        self._waited_s += now_s - began_s
        if self._waited_s >= self._patience_s:
            self._waited_s = 0.0
            self._slice_until_s = now_s + self._slice_s
