"""Server-sent events read from the store: what happened, from any place in the log on.

There is no queue between a commit and a reader. A stream remembers how far it has come and reads on from there, so a
slow reader costs nothing but its connection, and one that comes back with Last-Event-ID misses nothing.

An id is ``<log>.<seq>``: everything up to that receipt was told. A head is told after the receipts it covers, with the
id of the last of them, so a reader that resumes there may hear of that head twice, and never of one too few.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

import trio

from holo.core import limits
from holo.core.cid import Cid
from holo.core.errors import HoloError
from holo.core.head import Head
from holo.core.keys import Kid, did_of
from holo.core.names import Name
from holo.core.peer_receipts import EVIDENCE_RECEIPT
from holo.core.receipt import BINDING_RECEIPT, POLICY_RECEIPT
from holo.http import types
from holo.http.edge import Edge
from holo.http.shapes import own_statement
from holo.http.types import encode_json
from holo.roles.registry import Mark
from holo.store.view import View, own_head

TYPES: Final = ("binding", "policy", "head", "fork", "equivocation", "provide")
COMMENT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asked for; None means all."""

    types: frozenset[str] | None
    namespace: str | None

    def takes(self, type: str) -> bool:
        """Whether events of ``type`` are wanted."""
        return self.types is None or type in self.types


class EventStream:
    """The bytes of one stream, as an asynchronous iterator. Ends when the node stops."""

    def __init__(self, edge: Edge, wanted: Wanted, last_event_id: str | None) -> None:
        self._edge = edge
        self._wanted = wanted
        self._ready: deque[bytes] = deque()
        self._mark: Mark = edge.registry.mark
        with edge.registry.view() as view:
            log = view.log
            self._log, self._number = log.id, log.number
            self._seq, self._head_seq = log.size, log.head_seq
            if last_event_id is not None:
                self._resume(view, last_event_id)
        self._ready.append(b": holo\n" + self._id() + b"\n")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next event or comment."""
        while not self._ready:
            if self._edge.stopping.is_set():
                raise StopAsyncIteration
            mark = self._edge.registry.mark
            self._read_on()
            if not self._ready and self._edge.registry.mark == mark and not await self._changed(mark):
                return b": \n\n"
        return self._ready.popleft()

    async def _changed(self, mark: Mark) -> bool:
        """Wait for news, a stop, or the time of a comment; False for the last."""
        with trio.move_on_after(COMMENT_S) as waiting:
            async with trio.open_nursery() as nursery:

                async def news() -> None:
                    await self._edge.registry.changed_from(mark)
                    nursery.cancel_scope.cancel()

                async def stop() -> None:
                    await self._edge.stopping.wait()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(news)
                nursery.start_soon(stop)
        return not waiting.cancelled_caught

    def _resume(self, view: View, last_event_id: str) -> None:
        """Go back to the place an id names; where it is none of this log's, say so and begin at the present."""
        place = _parse_id(last_event_id)
        if place is None or place[0] != self._log or place[1] >= self._seq:
            reset = types.ResetEvent(log=str(self._log), log_size=self._seq)
            self._ready.append(self._event("reset", reset))
            return
        self._seq = place[1] + 1
        self._head_seq = bisect_right(range(self._head_seq), self._seq, key=lambda seq: self._head_size(view, seq))
        if self._head_seq and self._head_size(view, self._head_seq - 1) == self._seq:
            self._head_seq -= 1  # it may not have been told

    def _read_on(self) -> None:
        """Queue the events between here and the present, up to a batch of them."""
        with self._edge.registry.view() as view:
            log = view.log
            if log.number != self._number:
                self._log, self._number, self._seq, self._head_seq = log.id, log.number, log.size, log.head_seq
                self._ready.append(self._event("reset", types.ResetEvent(log=str(log.id), log_size=log.size)))
                return
            receipts = view.records.receipts(self._number, self._seq)
            for _ in range(limits.EVENTS_PER_READ):
                head = self._head(view, self._head_seq) if self._head_seq < log.head_seq else None
                if head is not None and head.log_size <= self._seq:
                    self._head_seq += 1
                    self._tell_head(head)
                    continue
                found = next(receipts, None)
                if found is None:
                    break
                self._seq = found[0] + 1
                self._ready.extend(self._receipt_events(found[1]))

    def _receipt_events(self, envelope: bytes) -> Iterator[bytes]:
        statement = own_statement(envelope)
        value, events = statement.value, list[tuple[str, types.Reply]]()
        if statement.type == BINDING_RECEIPT:
            ns, event = Name.parse(value["name"]).namespace, _binding_event(value, statement.id)
            events = [("fork", event)] if value["state"] == "forked" else []
            events.append(("binding", event))
        elif statement.type == POLICY_RECEIPT:
            ns, events = value["ns"], [("policy", _policy_event(value, statement.id))]
        elif statement.type == EVIDENCE_RECEIPT:
            ns, events = None, [("equivocation", _equivocation_event(value, statement.id))]
        else:
            ns = None
        wanted = (
            [item for item in events if self._wanted.takes(item[0])] if self._wanted.namespace in (None, ns) else []
        )
        for type, body in wanted[:-1]:
            yield _frame(b"", type, body)  # only the last has the id: a reader cut between them hears both again
        if wanted:
            yield self._event(*wanted[-1])
        elif self._seq % limits.EVENTS_PER_READ == 0:
            yield self._id() + b"\n"  # so that a reader of rare events resumes near where it was

    def _tell_head(self, head: Head) -> None:
        if self._wanted.takes("head"):
            event = types.HeadEvent(
                head=str(head.id), seq=head.seq, catalog=str(head.catalog), log_size=head.log_size, at_ms=head.at_ms
            )
            self._ready.append(self._event("head", event))

    def _head(self, view: View, seq: int) -> Head | None:
        envelope = view.records.head(self._number, seq)
        return None if envelope is None else own_head(envelope)

    def _head_size(self, view: View, seq: int) -> int:
        head = self._head(view, seq)
        return 0 if head is None else head.log_size

    def _id(self) -> bytes:
        return f"id: {self._log}.{self._seq - 1}\n".encode() if self._seq else b""

    def _event(self, type: str, body: types.Reply) -> bytes:
        return _frame(self._id(), type, body)


def _frame(id: bytes, type: str, body: types.Reply) -> bytes:
    return b"%sevent: %s\ndata: %s\n\n" % (id, type.encode(), encode_json(body))


def _parse_id(text: str) -> tuple[Cid, int] | None:
    log, _, seq = text.rpartition(".")
    if not (seq.isascii() and seq.isdigit() and len(seq) <= 16):
        return None
    try:
        return Cid.parse(log), int(seq)
    except HoloError:
        return None


def _binding_event(value: Any, receipt: Cid) -> types.BindingEvent:
    return types.BindingEvent(
        name=value["name"],
        statement=str(value["statement"]),
        cid=None if value["cid"] is None else str(value["cid"]),
        rev=value["rev"],
        state=value["state"],
        displaced=[str(item) for item in value["displaced"]],
        receipt=str(receipt),
    )


def _equivocation_event(value: Any, receipt: Cid) -> types.EquivocationEvent:
    return types.EquivocationEvent(
        subject=did_of(Kid(value["subject"])),
        kind=value["kind"],
        evidence=str(value["evidence"]),
        receipt=str(receipt),
    )


def _policy_event(value: Any, receipt: Cid) -> types.PolicyEvent:
    return types.PolicyEvent(
        ns=value["ns"],
        genesis=str(value["genesis"]),
        policy=str(value["policy"]),
        seq=value["policy_seq"],
        state=value["state"],
        receipt=str(receipt),
    )
