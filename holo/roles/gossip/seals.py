"""What the seals of held namespaces lack, asked for by id: it shows in no tree, and equal states may lack it both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import trio

from holo.core import limits, tree
from holo.core.carried import Carried
from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Missing, Rejected
from holo.core.messages import Objects, Records, Want, WantRecords
from holo.core.policy import Policy
from holo.core.state import parse_current
from holo.core.tree_node import decode_node, links_of
from holo.roles.gossip.door import RunSync
from holo.roles.gossip.session import Session
from holo.roles.gossip.taking import Taker
from holo.store.incoming import Incoming
from holo.store.store import Store
from holo.store.view import View

_LEVELS: Final = 64
_NAMES_WALKED: Final = 1_000_000  # a small tree can be of more names than there is time for


@dataclass(frozen=True, slots=True)
class _Lack:
    """What a sealing policy, given as its record, waits for."""

    envelopes: tuple[bytes, ...]
    nodes: tuple[Cid, ...]
    statements: tuple[Cid, ...]


class Seals:
    """Looks up what seals lack where the store has moved since, and fetches it."""

    def __init__(self, store: Store, taker: Taker, run_sync: RunSync) -> None:
        self._store = store
        self._taker = taker
        self._run_sync = run_sync
        self._thread = trio.CapacityLimiter(1)
        self._looked_at = (-1, -1, -1)
        self._held: list[str] = []

    def any_held(self) -> bool:
        """Whether some namespace waits for what its seals name."""
        with self._store.view() as view:
            log = view.log
            mark = log.number, log.size, log.heads
            if mark != self._looked_at:
                rows = view.records.namespaces()
                self._held = [row.ns for row in rows if row.held is not None]
                self._looked_at = mark
        return bool(self._held)

    async def pull(self, session: Session) -> int:
        """Fetch from a peer what it has of all that is lacking; how much of it was new."""
        new = 0
        if not self.any_held():
            return 0
        for ns in list(self._held):
            for _ in range(_LEVELS):  # a level of a tree at a time, then its statements
                lacks = await self._run_sync(self._lacking, ns, limiter=self._thread)
                got = 0
                for lack in lacks:
                    got += await self._fetch(session, lack)
                new += got
                if not got:
                    break
        return new

    async def _fetch(self, session: Session, lack: _Lack) -> int:
        got = 0
        if lack.nodes:
            answer = await session.ask(lambda id: Want(id, lack.nodes), Objects)
            nodes = [data for cid, data in zip(lack.nodes, answer.items, strict=False) if data and _is_node(cid, data)]
            if nodes:
                record = Incoming("policy", lack.envelopes, nodes=nodes)
                await self._taker.take_together(session.peer, [record])
                got += len(nodes)
        if lack.statements:
            records = await session.ask(lambda id: WantRecords(id, lack.statements), Records)
            wanted: list[Carried] = [
                item
                for cid, item in zip(lack.statements, records.items, strict=False)
                if item is not None and item.kind == "binding" and Cid.of(DAG_CBOR, item.payload) == cid
            ]
            got += (await self._taker.take(session.peer, wanted, patient=True)).new
        return got

    def _lacking(self, ns: str) -> list[_Lack]:
        with self._store.view() as view:
            return [lack for policy in _unsatisfied(view, ns) if (lack := _lack_of(view, policy)) is not None]


def _unsatisfied(view: View, ns: str) -> Iterator[Policy]:
    """Sealing policies after the one in effect, up to where the namespace is held, the latest first."""
    row = view.records.namespace(ns)
    if row is None or row.held is None:
        return
    policy: Policy | None = view.policy(row.held[1])
    while policy is not None and policy.id != row.policy:
        if policy.seal is not None:
            yield policy
        policy = None if policy.prev is None else view.policy(policy.prev)


def _lack_of(view: View, policy: Policy) -> _Lack | None:
    """The nodes and statements a seal names that are not held, as many as may be asked for at once."""
    assert policy.seal is not None
    nodes = tuple(islice(_missing_nodes(view, policy.seal), limits.WANTED_IDS // 4))
    statements = () if nodes else tuple(islice(_missing_statements(view, policy.seal), limits.WANTED_IDS))
    return _Lack(tuple(view.policy_envelopes(policy)), nodes, statements) if nodes or statements else None


def _missing_nodes(view: View, root: Cid) -> Iterator[Cid]:
    """Nodes that are not held and lie just below those that are, each once."""
    stack, seen = [root], {root}
    while stack:
        cid = stack.pop()
        data = view.records.sealed_node(cid)
        if data is None:
            if cid != tree.EMPTY:
                yield cid
            continue
        for link in links_of(data) or ():
            if link not in seen:
                seen.add(link)
                stack.append(link)


def _missing_statements(view: View, root: Cid) -> Iterator[Cid]:
    """Statements of a whole seal that are not complete here, or lack an endorser that it lists."""

    def read(cid: Cid) -> bytes:
        data = view.records.sealed_node(cid)
        if data is None:
            raise Missing("node-missing", str(cid))
        return data

    try:
        for _, value in islice(tree.iterate(read, root), _NAMES_WALKED):
            for cited in parse_current(value):
                if not _has(view, cited.statement, cited.positions):
                    yield cited.statement
    except (Missing, Rejected):
        return  # a seal that is none will never be satisfied


def _has(view: View, statement: Cid, positions: Sequence[int]) -> bool:
    held = view.records.endorsements(statement)
    if len(held) < len(positions):
        return False
    payload = view.records.payload(statement)
    if payload is None:
        return False
    try:
        signers = view.policy(view.binding(statement).policy).signers
    except (Missing, Rejected):
        return True  # no binding: the seal is none
    return all(at < len(signers) and signers[at].key in held for at in positions)


def _is_node(cid: Cid, data: bytes) -> bool:
    if not cid.matches(data):
        return False
    try:
        decode_node(data)
    except Rejected:
        return False
    return True
