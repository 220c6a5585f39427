"""Pushing: what the door admitted goes out to some peers, who push it on. What gets lost on the way is pulled later.

The writer tells of a commit and goes on; the feed between is bounded and may drop. With no peer linked there is none.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Final, NoReturn

import trio

from holo.core.carried import Carried, carry, carry_pending
from holo.core.gossip import Outbox, choose, record_id
from holo.core.keys import Kid
from holo.core.messages import Push, ShownEvidence
from holo.roles.gossip.session import Session
from holo.roles.gossip.state import Tally
from holo.store.evidence import EvidenceSubmission
from holo.store.ledger import Outcome, Submission

_EVIDENCE_WAITING: Final = 256
_AT_ONCE: Final = 64


class Queue:
    """What waits to be pushed to one peer, and whoever sends it."""

    def __init__(self, most_records: int) -> None:
        self.outbox = Outbox(most_records)
        self.filled = trio.Event()
        self._evidence: deque[bytes] = deque(maxlen=_EVIDENCE_WAITING)

    def put(self, id: bytes, record: Carried) -> None:
        """Have a record wait, unless the peer has it."""
        if self.outbox.put(id, record):
            self.filled.set()

    def expose(self, evidence: bytes) -> None:
        """Have evidence wait for the peer, before all records."""
        self._evidence.append(evidence)
        self.filled.set()

    async def send(self, session: Session) -> NoReturn:
        """Send what waits, as it comes. Raises LinkClosed."""
        while True:
            await self.filled.wait()
            while self._evidence:
                await session.say(ShownEvidence((self._evidence.popleft(),)))
            records = self.outbox.take()
            if not len(self.outbox):
                self.filled = trio.Event()
            if records:
                await session.say(Push(tuple(records)))
                session.sent_records += len(records)


class Pushing:
    """Hands what was committed to the queues of some peers. ``queues`` are those of the linked ones."""

    def __init__(
        self, queues: Mapping[Kid, Queue], *, fanout: int, most_records: int, rng: Random, tally: Tally
    ) -> None:
        self._queues = queues
        self._fanout = fanout
        self._most = most_records
        self._rng = rng
        self._tally = tally
        self._quiet: set[bytes] = set()
        self._feed: deque[tuple[Submission, Outcome]] = deque()
        self._told = trio.Event()

    @contextmanager
    def keeping_quiet(self, records: Sequence[Carried]) -> Iterator[None]:
        """Do not push what is committed of ``records`` inside the block: they came in great numbers, and are old."""
        ids = {record_id(record) for record in records}
        self._quiet |= ids
        try:
            yield
        finally:
            self._hand_out_all()
            self._quiet -= ids

    def note(self, peer: Kid, records: Sequence[Carried]) -> None:
        """Remember that a peer has ``records``: they came from it."""
        queue = self._queues.get(peer)
        if queue is not None:
            for record in records:
                queue.outbox.note(record_id(record))

    def tell(self, new: Sequence[tuple[Submission, Outcome]]) -> None:
        """Take note of a commit. Called by the writer: it costs what appending does."""
        self._feed.extend(new)
        while len(self._feed) > self._most:
            self._feed.popleft()
            self._tally.dropped["queue"] += 1
        self._told.set()

    async def run(self) -> NoReturn:
        """Hand out what was told of, until cancelled."""
        while True:
            await self._told.wait()
            self._told = trio.Event()
            while self._feed:
                self._hand_out_all(_AT_ONCE)
                await trio.lowlevel.checkpoint()

    def _hand_out_all(self, most: float = math.inf) -> None:
        while self._feed and most > 0:
            self._hand_out(*self._feed.popleft())
            most -= 1

    def _hand_out(self, submission: Submission, outcome: Outcome) -> None:
        if isinstance(submission, EvidenceSubmission):
            for queue in self._queues.values():
                queue.expose(submission.evidence.bytes)
            return
        record = carry_pending(submission.record) if outcome.state == "pending" else carry(submission.record)
        id = record_id(record)
        if id in self._quiet:
            return
        for kid in choose(self._rng, sorted(self._queues), self._fanout):
            self._queues[kid].put(id, record)
