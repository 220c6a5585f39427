"""What a peer sent, on its way to the one door: what is held already left out, the rest offered, refusals charged.

A record costs its signatures' verification, so a replay must not get there: what the store holds with the same
endorsers is told by its id. What is refused is charged as :mod:`~holo.roles.gossip.refusals` says. A peer whose budget
for a namespace is used up is not heard about it until some is back; a peer that has used up what it may do wrong is
shown out.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import trio

from holo.core import codec, limits
from holo.core.carried import Carried
from holo.core.cid import DAG_CBOR, Cid
from holo.core.differences import FoundName
from holo.core.envelope import decode_envelope
from holo.core.errors import HoloError, Missing, Overloaded, Rejected
from holo.core.gossip import Budgets
from holo.core.keys import Kid
from holo.roles.gossip.door import Door
from holo.roles.gossip.refusals import Blame, blame
from holo.roles.gossip.state import Tally
from holo.store import bindings
from holo.store.incoming import Incoming
from holo.store.ledger import Outcome
from holo.store.store import Result, Store
from holo.store.view import View

ALL: Final = ""
"""Stands for all namespaces in a budget: what is wrong with any counts there."""

_OFFERED_AT_ONCE: Final = 1024
_EVIDENCE_KNOWN: Final = 4096
_EARLY: Final = ("policy-unknown", "policy-parent-unknown", "genesis-unknown")


@dataclass(slots=True)
class Taken:
    """What became of what was offered: what was new, and what was refused by code."""

    new: int = 0
    refused: list[HoloError] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    by_place: list[HoloError | None] = field(default_factory=list)

    @property
    def waits(self) -> bool:
        """Whether something is held back by what this node does not have: pulling finds that."""
        early = any(
            error.code in ("policy-unknown", "policy-parent-unknown", "genesis-unknown") for error in self.refused
        )
        return early or any(outcome.path is None and outcome.state == "held" for outcome in self.outcomes)


class Spent(Exception):
    """The peer has used up what it may do wrong; ``error`` was the last of it, about the statement ``subject``."""

    def __init__(self, error: Rejected, subject: Cid | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.subject = subject


class Taker:
    """Offers records of peers to the door."""

    def __init__(self, store: Store, door: Door, tally: Tally) -> None:
        self._store = store
        self._door = door
        self._tally = tally
        self._faults = Budgets(limits.FAULTS_BACK_PER_S, limits.FAULTS_PER_PEER)
        self._misfits = Budgets(limits.MISFITS_BACK_PER_S, limits.MISFITS_PER_PEER)
        self._exposed: OrderedDict[Cid, None] = OrderedDict()
        self._misfit_s: dict[Kid, float] = {}

    async def take(self, peer: Kid, records: Sequence[Carried], *, patient: bool = False) -> Taken:
        """Offer records in their order, each by itself. Raises :class:`Spent`.

        ``patient``: where the node has too much to do, wait and offer them again instead of leaving them.
        """
        taken = Taken()
        for start in range(0, len(records), _OFFERED_AT_ONCE):
            some = records[start : start + _OFFERED_AT_ONCE]
            wanted = self._affordable(peer, self._lacking(some))
            offered = [Incoming(_kind(item), parts) for item in wanted for parts in item.submissions()]
            if offered:
                await self._offer(peer, offered, taken, patient=patient)
            else:
                await trio.lowlevel.checkpoint()
        return taken

    def _lacking(self, records: Sequence[Carried]) -> list[Carried]:
        """Those of ``records`` that bring an endorsement which is not held."""
        with self._store.view() as view:
            found = [record for record in records if not is_held(view, record)]
        self._tally.dropped["duplicate"] += len(records) - len(found)
        return found

    async def take_together(self, peer: Kid, records: Sequence[Incoming]) -> Taken:
        """Offer records all or none. Raises :class:`Spent`."""
        taken = Taken()
        await self._offer(peer, records, taken, atomic=True, patient=True)
        return taken

    async def take_evidence(self, peer: Kid, items: Sequence[bytes]) -> Taken:
        """Offer evidence, each piece by itself; what was offered lately is known already. Raises :class:`Spent`."""
        taken = Taken()
        for data in items:
            id = Cid.of(DAG_CBOR, data)
            if id in self._exposed:
                continue
            await self._offer(peer, [Incoming("evidence", [data])], taken, patient=True)
            self._exposed[id] = None
            if len(self._exposed) > _EVIDENCE_KNOWN:
                self._exposed.popitem(last=False)
        return taken

    async def _offer(
        self, peer: Kid, records: Sequence[Incoming], taken: Taken, *, patient: bool, atomic: bool = False
    ) -> None:
        results = await self._admit(records, taken, patient=patient, atomic=atomic)
        for record, result in zip(records, results, strict=False):
            taken.by_place.append(None if isinstance(result, Outcome) else result)
            if isinstance(result, Outcome):
                taken.outcomes.append(result)
                taken.new += result.new
            else:
                taken.refused.append(result)
                self._charge(peer, record, result)

    async def _admit(
        self, records: Sequence[Incoming], taken: Taken, *, patient: bool, atomic: bool
    ) -> Sequence[Result]:
        while True:
            try:
                return await self._door.admit(records, atomic=atomic, relayed=True)
            except Overloaded as error:
                if error.code != "overloaded" or not patient:
                    taken.refused.append(error)
                    self._tally.dropped["queue"] += len(records)
                    return ()
                await trio.sleep(error.retry_after_s)

    def _charge(self, peer: Kid, record: Incoming, error: HoloError) -> None:
        self._tally.refused[error.code] += 1
        whose, now_s = blame(error), trio.current_time()
        if record.kind == "evidence" and whose is Blame.MISFIT:
            return
        if whose is Blame.MISFIT:
            self._misfit_s[peer] = now_s
            _, _, payload, _ = decode_envelope(record.envelopes[0], limits.POLICY_BYTES)  # refused after it was opened
            self._misfits.spend((peer, namespace_of(payload)), whose.value, now_s)
        elif whose is Blame.FAULT:
            assert isinstance(error, Rejected)
            if not self._faults.spend((peer, ALL), whose.value, now_s):
                raise Spent(error, None if error.statement is None else Cid(error.statement))

    def _affordable(self, peer: Kid, records: list[Carried]) -> list[Carried]:
        """Those in namespaces for which the peer has some budget left."""
        now_s = trio.current_time()
        if now_s - self._misfit_s.get(peer, -math.inf) > limits.MISFITS_PER_PEER / limits.MISFITS_BACK_PER_S:
            return records  # whatever it used up is back
        found = [record for record in records if self._misfits.left((peer, namespace_of(record.payload)), now_s) >= 1]
        self._tally.dropped["budget"] += len(records) - len(found)
        return found

    def slowed_s(self, peer: Kid) -> float:
        """How long to leave a peer waiting that has used up more than half of what it may do wrong."""
        left = self._faults.left((peer, ALL), trio.current_time())
        return 0.0 if left * 2 >= limits.FAULTS_PER_PEER else 1.0 - left / limits.FAULTS_PER_PEER


def is_held(view: View, record: Carried) -> bool:
    """Whether every endorsement of a record is held here, of a complete record or in a mailbox."""
    statement = Cid.of(DAG_CBOR, record.payload)
    held = view.records.endorsements(statement)
    if all(kid in held for kid, _ in record.endorsements):
        return True
    if record.kind != "pending" or view.records.payload(statement) is None:
        return False
    binding = view.binding(statement)
    boxed = bindings.boxed(view.records, view.policy(binding.policy), binding.name.path, binding.rev, statement)
    return all(kid in boxed for kid, _ in record.endorsements)


def is_shown(view: View, found: FoundName) -> bool:
    """Whether what a peer shows of a statement is held here, shown or not."""
    payload = view.records.payload(found.statement)
    if payload is None:
        return False
    try:
        binding = view.binding(found.statement)
        policy = view.policy(binding.policy)
    except (Missing, Rejected):
        return False
    held = view.records.endorsements(found.statement)
    if found.pending:
        boxed = bindings.boxed(view.records, policy, found.path, binding.rev, found.statement)
        held = {**boxed, **held}
    return all(at < len(policy.signers) and policy.signers[at].key in held for at in found.positions)


def namespace_of(payload: bytes) -> str:
    """The namespace a payload names, or none."""
    try:
        value = codec.decode(payload, limits.POLICY_BYTES)
    except Rejected:
        return ALL
    ns = value.get("ns") if isinstance(value, dict) else None
    return ns if isinstance(ns, str) else ALL


def _kind(record: Carried) -> Literal["binding", "policy"]:
    return "policy" if record.kind == "policy" else "binding"
