"""Heads of other nodes as they come in: judged, kept, and what cannot be honest exposed (spec section 3.6).

What a head is worth is for :mod:`holo.core.witness` to say. This module looks it up in the store, keeps what was
accepted in one transaction, and hands evidence to the door that all records go through. A node that is shown a head of
its own log that it does not know has lost what it signed: it begins a new log there and then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import structlog
import trio

from holo.core.cid import Cid
from holo.core.equivocation import Evidence, equivocation_of
from holo.core.errors import HoloError, Rejected
from holo.core.head import Head, open_log_genesis
from holo.core.keys import Kid, did_of
from holo.core.witness import Brought, HeadNote, open_note
from holo.core.witness import Status as Judged
from holo.roles.registry.opening import RunSync
from holo.store import followed
from holo.store.journal import Journal
from holo.store.records import RecordsReader
from holo.store.records_writer import RecordsWriter
from holo.store.store import Store
from holo.store.view import View, own_head

Status = Judged | Literal["own-unknown"]

_SEEN = 1024
_OWN_LOGS = 16  # of this node's own, looked through for a head that is shown to it

_log = structlog.get_logger("holo.registry")


@dataclass(frozen=True, slots=True)
class Noted:
    """What became of a head, as :class:`~holo.core.witness.Verdict` says.

    ``own-unknown``: it is this node's own, which it did not know, and a new log was opened. ``evidence`` is the id of
    evidence that was taken in; it goes with ``own-unknown`` too. ``error`` says why a head was refused.
    """

    status: Status
    node: Kid | None = None
    head: Head | None = None
    old: int = 0
    new: int = 0
    evidence: Cid | None = None
    error: HoloError | None = None


@dataclass(frozen=True, slots=True)
class _Looked:
    """A head as it was judged, before anything is done about it."""

    noted: Noted
    brought: Brought | None = None
    evidence: Evidence | None = None
    keep: bool = False


class PeerHeads:
    """Notes heads for whoever brings them.

    ``expose`` takes evidence in and says what became of it; ``sign_head`` signs a head of this node.
    """

    def __init__(
        self,
        store: Store,
        run_sync: RunSync,
        expose: Callable[[Evidence], Awaitable[HoloError | None]],
        sign_head: Callable[[], Awaitable[object]],
    ) -> None:
        self._store = store
        self._run_sync = run_sync
        self._expose = expose
        self._sign_head = sign_head
        self._opening = trio.Lock()
        self._seen: OrderedDict[bytes, Noted] = OrderedDict()

    async def note(self, notes: Sequence[HeadNote], by: Kid, pinned: Collection[Kid]) -> list[Noted]:
        """What became of each head, all that were accepted on the disk."""
        became = {note.head: self._seen[note.head] for note in notes if note.head in self._seen}
        fresh = list({note.head: note for note in notes if note.head not in became}.values())
        looked: list[_Looked] = await self._run_sync(self._note, fresh, by, frozenset(pinned)) if fresh else []
        for note, item in zip(fresh, looked, strict=True):
            became[note.head] = self._see(note, await self._finish(item))
        return [became[note.head] for note in notes]

    def _see(self, note: HeadNote, noted: Noted) -> Noted:
        """Remember a head that is known now: every peer tells of it, and each time it would be verified."""
        if noted.status in ("accepted", "opened", "stale"):
            self._seen[note.head] = Noted("stale", noted.node, noted.head)
            if len(self._seen) > _SEEN:
                self._seen.popitem(last=False)
        return noted

    async def _finish(self, item: _Looked) -> Noted:
        noted = item.noted
        if item.evidence is not None:
            error = await self._expose(item.evidence)
            _log.warning("equivocation", node=did_of(item.evidence.subject), detail=item.evidence.detail)
            noted = replace(noted, evidence=item.evidence.id if error is None else None, error=error)
        if noted.status == "own-unknown" and item.brought is not None:
            await self._open_new_log(item.brought)
        return noted

    async def _open_new_log(self, brought: Brought) -> None:
        """Begin a new log, unless that was done since the head was judged, and sign a head in it."""
        async with self._opening:
            with trio.CancelScope(shield=True):
                if await self._run_sync(self._reopen, brought):
                    _log.warning("new log", shown=str(brought.head.id), seq=brought.head.seq)
                    await self._sign_head()

    # --- beside the event loop

    def _note(self, notes: Sequence[HeadNote], by: Kid, pinned: frozenset[Kid]) -> list[_Looked]:
        with self._store.view() as view:
            looked = [self._look(view, note) for note in notes]
        if any(item.keep for item in looked):
            return self._store.write(lambda records, _: [self._keep(records, item, by, pinned) for item in looked])
        return looked

    def _look(self, view: View, note: HeadNote) -> _Looked:
        try:
            brought = open_note(note)
        except Rejected as error:
            return _Looked(Noted("refused", error=error))
        if brought.head.signer == view.node:
            return self._look_at_own(view, brought)
        return _judged(view.records, brought)

    def _look_at_own(self, view: View, brought: Brought) -> _Looked:
        head, state = brought.head, view.log
        for number in range(state.number, max(-1, state.number - _OWN_LOGS), -1):
            genesis = view.records.log_genesis(number)
            if genesis is None or open_log_genesis(genesis).id != head.log:
                continue
            known = view.records.head(number, head.seq)
            if known is None:  # in a log of before, it was lost with what came after
                status: Status = "own-unknown" if number == state.number else "stale"
                return _Looked(Noted(status, view.node, head), brought)
            if own_head(known).id == head.id:
                return _Looked(Noted("stale", view.node, head))
            status = "own-unknown" if number == state.number else "equivocation"
            return _Looked(Noted(status, view.node, head), brought, equivocation_of(known, brought.note.head))
        seen = followed.last_of(view.records, view.node, head.log) is not None
        return _Looked(Noted("stale" if seen else "own-unknown", view.node, head), brought)

    def _keep(self, records: RecordsWriter, item: _Looked, by: Kid, pinned: frozenset[Kid]) -> _Looked:
        """Judge again what was to be kept, by what is known in this transaction, and keep it."""
        if item.brought is None or not item.keep:
            return item
        item = _judged(records, item.brought)
        if item.brought is not None and item.keep:
            try:
                followed.keep(records, item.brought, by, pinned)
            except Rejected as error:
                return _Looked(replace(item.noted, status="refused", error=error))
        return item

    def _reopen(self, brought: Brought) -> bool:
        with self._store.view() as view:
            if self._look_at_own(view, brought).noted.status != "own-unknown":
                return False
            lost = view.log.id != brought.head.log
        if lost:  # a log of its own that it knows nothing of: remembered, so that this happens once
            node = frozenset((brought.head.signer,))

            def remember(records: RecordsWriter, journal: Journal) -> None:
                followed.keep(records, brought, brought.head.signer, node)

            self._store.write(remember)
        self._store.open_new_log()
        return True


def _judged(records: RecordsReader, brought: Brought) -> _Looked:
    head = brought.head
    verdict = followed.judge(records, brought)
    noted = Noted(verdict.status, head.signer, head, verdict.old, verdict.new, error=verdict.error)
    return _Looked(noted, brought, verdict.evidence, verdict.keep)


def known_heads(view: View) -> list[followed.Followed]:
    """The newest head of this node, if there is one, then the newest accepted of every other."""
    own, others = view.head(), [item for item in followed.newest_heads(view.records) if item.head.signer != view.node]
    genesis = view.records.log_genesis(view.log.number)
    if own is None or genesis is None:
        return others
    return [followed.Followed(*own, genesis), *others]
