"""How far the store has come, for whoever waits until it has come further."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from holo.store.store import Store


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the store has come: the number of the log, its size, and how many heads were signed."""

    log: int
    size: int
    heads: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest head: how far it goes in which log, and what to cite it by, as text; None before the first."""

    log: int
    log_size: int
    catalog: str | None
    head: str | None

    def covers(self, log: int, seq: int) -> bool:
        """Whether a receipt is in it, or was in a log before."""
        return self.head is not None and (log != self.log or seq < self.log_size)


class Progress:
    """What the event loop knows of the store's log and heads. Owned by the trio thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = trio.Event()
        self._standing: Standing | None = None
        self._standing_at = (-1, -1)
        self.mark = self._read()

    @property
    def standing(self) -> Standing:
        """The newest head."""
        mark = self.mark
        if self._standing is None or (mark.log, mark.heads) != self._standing_at:
            with self._store.view() as view:
                found, state = view.head(), view.log
            log_size, catalog, head = (
                (0, None, None) if found is None else (found[0].log_size, str(found[0].catalog), str(found[0].id))
            )
            self._standing = Standing(state.number, log_size, catalog, head)
            self._standing_at = mark.log, mark.heads
        return self._standing

    def advance(self) -> None:
        """Look how far the store has come, and tell everyone who waits."""
        mark = self._read()
        if mark != self.mark:
            self.mark = mark
            self._changed.set()
            self._changed = trio.Event()

    def unsigned(self) -> int:
        """How many entries of the log no head covers; 1 where there is none and the state has changed all the same.

        So it does when the rest of a seal's tree comes: the policy has its receipt, and takes effect only then.
        """
        with self._store.view() as view:
            state = view.log
            return state.size - state.head_size or min(1, view.records.dirty_count())

    async def changed_from(self, mark: Mark) -> Mark:
        """Wait until the store is past ``mark``; returns where it is."""
        while self.mark == mark:
            await self._changed.wait()
        return self.mark

    async def head_covering(self, seq: int, log: int, timeout_s: float) -> bool:
        """Wait at most ``timeout_s`` for a head whose log covers entry ``seq``; whether there is one."""
        with trio.move_on_after(timeout_s):
            while True:
                mark, standing = self.mark, self.standing
                if standing.log != log or standing.log_size > seq:
                    return True
                await self.changed_from(mark)
        return False

    def _read(self) -> Mark:
        with self._store.view() as view:
            state = view.log
        return Mark(state.number, state.size, state.heads)
