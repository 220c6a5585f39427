"""Pulling: comparing with a peer from its catalog down, and fetching what it has and this node lacks.

Policies come first, with those before them; then names, in great numbers by range; then what the seals of held
namespaces name, which shows in no tree. Everything goes through the door like everything else. A pull that found
everything, and had all of it taken, need not look at the same objects again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from holo.core import limits
from holo.core.answers import rest_of_range, rest_of_records
from holo.core.carried import Carried
from holo.core.cid import Cid
from holo.core.differences import Differs, Found, FoundEvidence, FoundName, FoundPolicy
from holo.core.errors import Missing
from holo.core.messages import Objects, Range, Records, Span, Want, WantRange, WantRecords
from holo.core.pull import Own, Pull
from holo.roles.gossip.door import RunSync
from holo.roles.gossip.lines import Line, lines_of
from holo.roles.gossip.pushing import Pushing
from holo.roles.gossip.seals import Seals
from holo.roles.gossip.session import Session, faults
from holo.roles.gossip.state import Tally
from holo.roles.gossip.taking import Taken, Taker, is_shown
from holo.store.incoming import Incoming
from holo.store.ledger import Hosting
from holo.store.store import Store

_ABSORBED: Final = 65_536  # objects of peers that need no second look
_FOUND_AT_ONCE: Final = 4096  # names that wait to be fetched before the comparison goes on
_OBJECTS_KEPT: Final = 4096
_RETRIES: Final = 4
_TOGETHER: Final = 3  # pulls at a time


@dataclass(slots=True)
class Pulled:
    """What one pull did. ``whole``: it found everything that differs, and all of it is here now."""

    new: int = 0
    refused: int = 0
    whole: bool = True
    objects: dict[Cid, bytes] = field(default_factory=dict)
    """The peer's, as far as there is room for them."""

    def read(self, cid: Cid) -> bytes:
        """An object of the peer that was seen. Raises ``node-missing``."""
        if cid not in self.objects:
            raise Missing("node-missing", str(cid), subject=str(cid))
        return self.objects[cid]

    def add(self, taken: Taken) -> None:
        """Count what was taken in."""
        self.new += taken.new
        self.refused += len(taken.refused)
        self.whole = self.whole and not taken.refused


@dataclass(slots=True)
class _Batch:
    """What was found and is not fetched yet."""

    policies: dict[str, list[FoundPolicy]] = field(default_factory=dict)
    names: list[FoundName] = field(default_factory=list)
    ranges: list[Differs] = field(default_factory=list)
    evidence: list[FoundEvidence] = field(default_factory=list)

    def sort_in(self, found: Sequence[Found]) -> None:
        for item in found:
            match item:
                case FoundPolicy():
                    self.policies.setdefault(item.ns, []).append(item)
                case FoundName():
                    self.names.append(item)
                case FoundEvidence():
                    self.evidence.append(item)
                case Differs() if item.by_range:
                    self.ranges.append(item)


class Pulling:
    """Pulls from any number of peers, a few at a time."""

    def __init__(
        self, store: Store, taker: Taker, pushing: Pushing, hosting: Hosting, tally: Tally, run_sync: RunSync
    ) -> None:
        self._store = store
        self._taker = taker
        self._pushing = pushing
        self._hosting = hosting
        self._tally = tally
        self._run_sync = run_sync
        self._thread = trio.CapacityLimiter(1)
        self._places = trio.CapacityLimiter(_TOGETHER)
        self._absorbed: OrderedDict[Cid, None] = OrderedDict()
        self._ranged: dict[tuple[str, Cid], str | None] = {}  # how far a namespace came by range; None: under way
        self._seals = Seals(store, taker, run_sync)

    def knows(self, catalog: Cid) -> bool:
        """Whether this node has once had the state of ``catalog``, or dealt with all of it."""
        if catalog in self._absorbed:
            return True
        with self._store.view() as view:
            return view.records.catalog_head(catalog) is not None

    def any_held(self) -> bool:
        """Whether some namespace waits for what its seals name."""
        return self._seals.any_held()

    async def pull(self, session: Session, catalog: Cid) -> Pulled:
        """Compare with a peer's catalog and fetch what is lacking. Raises LinkClosed, :class:`Fault` or Spent."""
        async with self._places:
            self._tally.pulls += 1
            done = Pulled()
            if not self.knows(catalog):
                await self._compare(session, catalog, done)
            done.new += await self._seals.pull(session)
            return done

    async def _compare(self, session: Session, catalog: Cid, done: Pulled) -> None:
        pull = Pull(catalog, hosts=self._hosts, absorbed=self._absorbed)
        batch = _Batch()
        while asked := pull.ask():
            self._tally.pull_rounds += 1
            answer = await session.ask(lambda id, asked=tuple(asked): Want(id, asked), Objects)  # type: ignore[misc]
            with faults():
                found = await self._run_sync(self._take, pull, asked, answer.items, limiter=self._thread)
            batch.sort_in(found)
            self._keep(done, asked, answer.items)
            if len(batch.names) >= _FOUND_AT_ONCE:
                await self._fetch(session, batch, done)
                batch = _Batch()
        await self._fetch(session, batch, done)
        done.whole = done.whole and pull.complete
        if done.whole:
            self._absorb(pull.seen)

    def _keep(self, done: Pulled, asked: Sequence[Cid], items: Sequence[bytes | None]) -> None:
        for cid, data in zip(asked, items, strict=False):
            if data is not None and len(done.objects) < _OBJECTS_KEPT:
                done.objects[cid] = data

    def _take(self, pull: Pull, asked: Sequence[Cid], items: Sequence[bytes | None]) -> list[Found]:
        with self._store.view() as view:
            head = view.head()
            own = Own(None if head is None else view.catalog(head[0].catalog), view.records.node)
            found = pull.take(asked, items, own)
            return [item for item in found if not (isinstance(item, FoundName) and is_shown(view, item))]

    def _absorb(self, seen: Sequence[Cid]) -> None:
        for cid in seen:
            self._absorbed[cid] = None
        while len(self._absorbed) > _ABSORBED:
            self._absorbed.popitem(last=False)

    def _hosts(self, ns: str, genesis: Cid) -> bool:
        """Whether a namespace is hosted here, or would be."""
        with self._store.view() as view:
            row = view.records.namespace(ns)
            if row is not None:
                return row.genesis == genesis
            pinned = self._hosting.pinned.get(ns)
            if pinned is not None:
                return pinned == genesis
            return self._hosting.open and view.records.namespace_count() < self._hosting.quota

    # --- fetching what was found

    async def _fetch(self, session: Session, batch: _Batch, done: Pulled) -> None:
        await self._fetch_evidence(session, [item.evidence for item in batch.evidence], done)
        wanted = [item.policy for found in batch.policies.values() for item in found]
        policies = await self._records(session, wanted, done)
        for line in lines_of([record for record in policies if record.kind == "policy"]):
            done.add(await self._offer_line(session, line))
        names = list(dict.fromkeys(item.statement for item in batch.names))
        for start in range(0, len(names), limits.WANTED_IDS):
            records = await self._records(session, names[start : start + limits.WANTED_IDS], done)
            done.add(await self._taker.take(session.peer, records, patient=True))
        await self._fetch_ranges(session, batch.ranges, done)

    async def _fetch_evidence(self, session: Session, wanted: Sequence[Cid], done: Pulled) -> None:
        for start in range(0, len(wanted), limits.EVIDENCE_PER_MESSAGE):
            asked = tuple(wanted[start : start + limits.EVIDENCE_PER_MESSAGE])
            self._tally.pull_rounds += 1
            answer = await session.ask(lambda id, asked=asked: Want(id, asked), Objects)  # type: ignore[misc]
            items = [data for cid, data in zip(asked, answer.items, strict=False) if data and cid.matches(data)]
            done.whole = done.whole and len(items) == len(asked)
            done.add(await self._taker.take_evidence(session.peer, items))

    async def _records(self, session: Session, wanted: Sequence[Cid], done: Pulled) -> list[Carried]:
        """The records of these statements, as far as the peer has them still."""
        found: list[Carried] = []
        left = tuple(wanted)
        while left:
            asked = left[: limits.WANTED_IDS]
            self._tally.pull_rounds += 1
            answer = await session.ask(lambda id, asked=asked: WantRecords(id, asked), Records)  # type: ignore[misc]
            with faults():
                rest = rest_of_records(WantRecords(answer.id, asked), answer)
            held = [item for item in answer.items if item is not None]
            done.whole = done.whole and len(held) == len(answer.items)
            found += held
            left = (*rest, *left[len(asked) :])
        session.received_records += len(found)
        self._pushing.note(session.peer, found)
        return found

    async def _offer_line(self, session: Session, line: Line) -> Taken:
        """Offer policies with those before them, all or none; where not all are taken, fewer of them."""
        taken = Taken()
        for tries in range(_RETRIES + len(line)):
            taken = await self._taker.take_together(session.peer, [Incoming("policy", item) for item in line])
            at = next((at for at, error in enumerate(taken.by_place) if error is not None), None)
            if at is None or len(line) == 1:
                break
            line = line[: -1 if tries < _RETRIES else max(1, at)]
        return taken

    async def _fetch_ranges(self, session: Session, differing: Sequence[Differs], done: Pulled) -> None:
        """Fetch whole namespaces, portion by portion; while one is taken in, the next is asked for."""
        mine = [
            (item.ns, item.genesis) for item in differing if self._ranged.get((item.ns, item.genesis), "") is not None
        ]
        if len(mine) < len(differing):
            done.whole = False  # another peer is being asked for the others
        spans = [Span(ns, genesis, self._ranged.get((ns, genesis)) or "") for ns, genesis in mine]
        reached = {(span.ns, span.genesis): span.after for span in spans}
        self._ranged.update(dict.fromkeys(reached))
        try:
            answer = await self._range(session, spans) if spans else None
            while answer is not None:
                later = _following(spans, answer)
                following: list[Range] = []
                async with trio.open_nursery() as nursery:
                    if later:
                        nursery.start_soon(self._range_into, session, later, following)
                    session.received_records += len(answer.records)
                    with self._pushing.keeping_quiet(answer.records):
                        done.add(await self._taker.take(session.peer, answer.records, patient=True))
                if later:
                    reached[later[0].ns, later[0].genesis] = later[0].after
                spans, answer = later, following[0] if following else None
            reached = {}
        finally:
            for key in mine:
                if reached.get(key):
                    self._ranged[key] = reached[key]
                else:
                    self._ranged.pop(key, None)

    async def _range(self, session: Session, spans: Sequence[Span]) -> Range:
        self._tally.pull_rounds += 1
        return await session.ask(lambda id: WantRange(id, tuple(spans[: limits.WANTED_RANGES])), Range)

    async def _range_into(self, session: Session, spans: Sequence[Span], into: list[Range]) -> None:
        into.append(await self._range(session, spans))


def _following(spans: Sequence[Span], answer: Range) -> list[Span]:
    """What to ask for after ``answer``."""
    asked = tuple(spans[: limits.WANTED_RANGES])
    with faults():
        return [*rest_of_range(WantRange(answer.id, asked), answer), *spans[len(asked) :]]
