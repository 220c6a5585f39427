"""What waits to be committed: so many requests and so many bytes at most, answered one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import trio

from holo.core import limits
from holo.core.errors import HoloError, Overloaded
from holo.store.evidence import EvidenceSubmission
from holo.store.ledger import PolicySubmission, Submission
from holo.store.store import Request, Result

_ENDORSEMENT_BYTES: Final = 34 + 64  # a kid and its signature


@dataclass(slots=True)
class Waiting:
    """A request whose sender waits for what becomes of it."""

    request: Request
    size_bytes: int
    done: trio.Event
    results: list[Result] | None = None
    error: HoloError | None = None


class WriteQueue:
    """Requests in the order they came. Any number of tasks put them in, one takes them and answers."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Waiting](limits.WRITE_QUEUE)
        self._bytes = 0  # of what was not answered yet

    @property
    def length(self) -> int:
        """How many requests nobody has taken."""
        return self._receive.statistics().current_buffer_used

    async def put(self, request: Request) -> list[Result]:
        """What became of a request, which is taken even if nobody waits any more.

        Raises what it was refused with, and ``overloaded`` or ``stopping`` where there is no room or nobody to take it.
        """
        waiting = Waiting(request, sum(map(_size_bytes, request.submissions)), trio.Event())
        if self._bytes + waiting.size_bytes > limits.WRITE_QUEUE_BYTES:
            raise Overloaded("overloaded", f"{self._bytes} bytes of writes are waiting")
        try:
            self._send.send_nowait(waiting)
        except trio.WouldBlock:
            raise Overloaded("overloaded", f"{limits.WRITE_QUEUE} writes are waiting") from None
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            raise Overloaded("stopping", "the node is stopping") from None
        self._bytes += waiting.size_bytes
        await waiting.done.wait()
        if waiting.error is not None:
            raise waiting.error
        assert waiting.results is not None
        return waiting.results

    async def take(self, due: float) -> list[Waiting]:
        """The first requests, once there are any; none once ``due`` has come. No request is divided."""
        batch: list[Waiting] = []
        with trio.move_on_at(due):
            batch.append(await self._receive.receive())
        if batch:
            batch.extend(self._take_now(limits.WRITE_BATCH - len(batch[0].request.submissions)))
        return batch

    def answer(self, item: Waiting, results: list[Result]) -> None:
        """Tell the sender what became of a request."""
        item.results = results
        self._release(item)

    def refuse(self, batch: list[Waiting], error: HoloError) -> None:
        """Tell the senders that nothing became of their requests."""
        for item in batch:
            item.error = error
            self._release(item)

    def close(self) -> None:
        """Refuse what waits, and from here on whatever is put in: nobody is left waiting."""
        self.refuse(self._take_now(), Overloaded("stopping", "the node is stopping"))
        self._receive.close()

    def _take_now(self, submissions: float = math.inf) -> list[Waiting]:
        """What waits, taken until there are so many submissions."""
        batch: list[Waiting] = []
        while submissions > 0:
            try:
                batch.append(self._receive.receive_nowait())
            except (trio.WouldBlock, trio.ClosedResourceError):
                break
            submissions -= len(batch[-1].request.submissions)
        return batch

    def _release(self, item: Waiting) -> None:
        self._bytes -= item.size_bytes
        item.done.set()


def _size_bytes(submission: Submission) -> int:
    """What a submission brings: payload, signatures with their keys, nodes."""
    if isinstance(submission, EvidenceSubmission):
        return len(submission.evidence.bytes)
    record = submission.record
    nodes = submission.nodes if isinstance(submission, PolicySubmission) else ()
    return len(record.statement.bytes) + len(record.endorsements) * _ENDORSEMENT_BYTES + sum(map(len, nodes))
