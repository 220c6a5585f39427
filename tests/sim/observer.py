"""What must hold at every commit of every node, as seen from outside: logs without gaps, and nothing said twice.

An observer sees each store right after a transaction is on the disk, before anybody is answered, and remembers what
was signed for good, over crashes, restarts and restores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from holo.core.cid import RAW, Cid
from holo.store.view import View


class Unsafe(AssertionError):
    """Something that must never happen has happened."""


@dataclass
class _Log:
    """How far a node's log was seen to go."""

    size: int = 0
    head_seq: int = 0
    receipts: dict[int, Cid] = field(default_factory=dict)
    heads: dict[int, Cid] = field(default_factory=dict)


class Observer:
    """Remembers what every node has signed, and has it noted as part of what happened."""

    def __init__(self, note: Callable[..., None]) -> None:
        self._event = note
        self.commits = 0
        self.logs: dict[tuple[int, Cid], _Log] = {}
        self._current: dict[int, Cid] = {}
        self._restored: set[int] = set()

    def restored(self, node: int) -> None:
        """The store of ``node`` was put back: its next log is another one."""
        self._restored.add(node)

    def see(self, node: int, view: View) -> None:
        """The store of ``node`` as it is on the disk now. Raises `Unsafe`."""
        self.commits += 1
        state = view.log
        former = self._current.get(node)
        if node in self._restored:
            if state.id == former:
                raise Unsafe(f"node {node} goes on with log {state.id!s} after a restore")
            self._restored.remove(node)
        if state.id != former and (node, state.id) in self.logs:
            raise Unsafe(f"node {node} is back in log {state.id!s}, which it had left")
        self._current[node] = state.id
        log = self.logs.setdefault((node, state.id), _Log())
        if state.size < log.size or state.head_seq < log.head_seq:
            raise Unsafe(f"node {node}: a log went back from {log.size} to {state.size} receipts")
        seen = [seq for seq, _ in view.records.receipts(state.number, log.size)]
        if seen != list(range(log.size, state.size)):
            raise Unsafe(f"node {node}: receipts {seen} where {log.size} to {state.size - 1} are due")
        for seq, envelope in view.records.receipts(state.number, log.size):
            self._note(log.receipts, seq, Cid.of(RAW, envelope), f"node {node}, receipt {seq}")
        for seq, envelope in view.records.heads(state.number, log.head_seq):
            self._note(log.heads, seq, Cid.of(RAW, envelope), f"node {node}, head {seq}")
        if set(range(log.head_seq, state.head_seq)) - log.heads.keys():
            raise Unsafe(f"node {node}: heads missing before {state.head_seq}")
        log.size, log.head_seq = state.size, state.head_seq
        last = log.receipts.get(state.size - 1)
        self._event("commit", node, state.id, state.size, last, state.head)

    @staticmethod
    def _note(known: dict[int, Cid], seq: int, id: Cid, what: str) -> None:
        if known.setdefault(seq, id) != id:
            raise Unsafe(f"{what}: {known[seq]!s} and {id!s}")
