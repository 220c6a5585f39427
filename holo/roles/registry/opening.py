"""Opening records: every signature of what came in verified, a few at once or many beside the event loop.

A signature takes about as long to verify as everything else about its envelope. One record is opened where it came,
which is sooner than handing it over; many are opened in a thread, some at a time, so that whoever sent them may leave
in between and nobody else waits for all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeAlias

import trio

from holo.core import limits
from holo.core.binding import open_binding
from holo.core.errors import Rejected
from holo.core.evidence import open_evidence
from holo.core.policy import open_policy
from holo.store.evidence import EvidenceSubmission
from holo.store.incoming import Incoming
from holo.store.ledger import BindingSubmission, PolicySubmission, Submission
from holo.store.turn import Turn

Opened = Submission | Rejected
"""A verified submission, or why the record is none."""

RunSync: TypeAlias = Callable[..., Awaitable[Any]]
"""Calls a function beside the event loop, as ``trio.to_thread.run_sync`` does; in a simulation, at once."""


class Opener:
    """Opens records for any number of callers, in one thread at a time, which gives way while ``turn`` is taken."""

    def __init__(self, turn: Turn, run_sync: RunSync = trio.to_thread.run_sync) -> None:
        self._turn = turn
        self._run_sync = run_sync
        self._thread = trio.CapacityLimiter(1)

    async def open(self, records: Sequence[Incoming]) -> list[Opened]:
        """What each of ``records`` is, in their order."""
        opened: list[Opened] = []
        for some in portions(records):
            if sum(len(record.envelopes) for record in some) <= limits.OPENED_INLINE:
                opened.extend(open_record(record) for record in some)
                await trio.lowlevel.checkpoint()
            else:
                opened.extend(await self._run_sync(self._open, some, limiter=self._thread))
        return opened

    def _open(self, records: Sequence[Incoming]) -> list[Opened]:
        opened: list[Opened] = []
        for record in records:
            if self._turn.taken:
                self._turn.give_way()
            opened.append(open_record(record))
        return opened


def open_record(record: Incoming) -> Opened:
    """The verified submission that ``record`` is, or why it is none."""
    envelopes = list(record.envelopes)
    try:
        if record.kind == "binding":
            binding, opened = open_binding(envelopes)
            return BindingSubmission(binding, opened, record.compare_and_swap)
        if record.kind == "evidence":
            return EvidenceSubmission(open_evidence(b"".join(envelopes)))
        policy, opened = open_policy(envelopes)
        return PolicySubmission(policy, opened, tuple(record.nodes))
    except Rejected as error:
        return error


def portions(records: Sequence[Incoming]) -> Iterator[list[Incoming]]:
    """``records`` in their order, as many at a time as have no more envelopes than are opened at once."""
    portion: list[Incoming] = []
    envelopes = 0
    for record in records:
        if portion and envelopes + len(record.envelopes) > limits.OPENED_AT_ONCE:
            yield portion
            portion, envelopes = [], 0
        portion.append(record)
        envelopes += len(record.envelopes)
    if portion:
        yield portion
