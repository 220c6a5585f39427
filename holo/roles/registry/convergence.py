"""Receipts for namespaces that two nodes found equal: given, taken and held against who gave them (spec section 5.4).

Nothing a peer says makes this node sign: it signs only what it holds itself, once for the same states, and for one
peer not more often than at an interval.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import trio

from holo.core import limits
from holo.core.cid import Cid
from holo.core.equivocation import Evidence, equivocation_of
from holo.core.errors import HoloError, Missing, Rejected
from holo.core.head import open_head
from holo.core.keys import Kid
from holo.core.omission import Read, find_omission
from holo.core.peer_receipts import Agreed, ConvergenceReceipt, make_convergence_receipt
from holo.core.receipt import open_receipt
from holo.roles.registry.opening import RunSync
from holo.store import followed
from holo.store.journal import Journal
from holo.store.records import RecordsReader
from holo.store.records_writer import RecordsWriter
from holo.store.store import Store

_PEERS = 1024  # whose last receipt is remembered; whoever got one longest ago is forgotten


@dataclass(frozen=True, slots=True)
class _Given:
    """The last receipt given for a peer: in which log, for what, and when, by a monotonic clock."""

    log: int
    states: tuple[Agreed, ...]
    envelope: bytes
    at_s: float


class Convergence:
    """Gives and takes convergence-receipts. ``expose`` takes evidence in and says what became of it."""

    def __init__(
        self, store: Store, run_sync: RunSync, expose: Callable[[Evidence], Awaitable[HoloError | None]]
    ) -> None:
        self._store = store
        self._run_sync = run_sync
        self._expose = expose
        self._given: OrderedDict[Kid, _Given] = OrderedDict()

    async def sign(self, peer: Kid, states: Sequence[Agreed], cites: Cid | None) -> bytes | None:
        """The receipt that this node holds ``states``, found at ``peer`` too, durable; None where none is given.

        Of the states those count that this node's last head commits to. For the same states it is the same receipt.
        """
        now_s = trio.current_time()
        wanted = tuple(sorted(states))[: limits.CONVERGED_STATES]
        before = self._given.get(peer)
        with self._store.view() as view:
            log, held = view.log.number, tuple(item for item in wanted if _holds(view.records, item))
        if before is not None and (before.log, before.states) == (log, held):
            return before.envelope
        since_s = -math.inf if before is None else before.at_s
        if not held or peer == self._store.key.kid or now_s < since_s + limits.CONVERGENCE_INTERVAL_MS / 1000:
            return None
        self._given[peer] = _Given(log, (), b"", now_s)  # whoever asks meanwhile is not given another
        self._given.move_to_end(peer)
        if len(self._given) > _PEERS:
            self._given.popitem(last=False)
        with trio.CancelScope(shield=True):
            made: tuple[int, bytes] | None = await self._run_sync(self._sign, peer, held, cites)
        if made is None:
            return None
        self._given[peer] = _Given(made[0], held, made[1], now_s)
        return made[1]

    async def take(self, envelopes: Sequence[bytes], by: Kid) -> list[HoloError | None]:
        """Keep receipts that peer ``by`` gave this node; for each, why it was refused, or None.

        Raises ``no-space`` and what else fails for all.
        """
        refusals: list[HoloError | None] = []
        for envelope in envelopes[: limits.CONVERGENCES_PER_PEER]:
            try:
                evidence: Evidence | None = await self._run_sync(self._take, envelope, by)
            except Rejected as error:
                refusals.append(error)
                continue
            refusals.append(None if evidence is None else await self._expose(evidence))
        return refusals

    async def check(self, head: bytes, read: Read) -> Evidence | None:
        """Evidence that a head leaves out what its signer promised this node, taken in; None where nothing shows that.

        ``read`` gives objects the head reaches; those it raises :class:`Missing` for are looked for here.
        """
        evidence: Evidence | None = await self._run_sync(self._check, head, read)
        if evidence is not None:
            await self._expose(evidence)
        return evidence

    # --- beside the event loop

    def _sign(self, peer: Kid, states: tuple[Agreed, ...], cites: Cid | None) -> tuple[int, bytes] | None:
        def change(records: RecordsWriter, journal: Journal) -> tuple[int, bytes] | None:
            if not all(_holds(records, item) for item in states):
                return None  # a head has been signed since
            make = partial(make_convergence_receipt, peer=peer, cites=cites, states=states)
            return journal.number, journal.append(make, []).envelope

        return self._store.write(change)

    def _take(self, envelope: bytes, by: Kid) -> Evidence | None:
        receipt = open_receipt(envelope)
        if not isinstance(receipt, ConvergenceReceipt):
            raise Rejected("type-mismatch", f"{receipt.statement.type} where a convergence-receipt is expected")
        if receipt.signer != by or receipt.peer != self._store.key.kid:
            raise Rejected("receipt-invalid", "not a receipt of this peer for this node", subject=str(receipt.id))

        def change(records: RecordsWriter, _: Journal) -> None:
            followed.remember(records, by, envelope)

        with self._store.view() as view:
            for known, known_envelope in followed.promises(view.records, by):
                if known.id == receipt.id:
                    return None
                if (known.log, known.seq) == (receipt.log, receipt.seq):
                    return equivocation_of(known_envelope, envelope)
                if (known.log, known.states) == (receipt.log, receipt.states):
                    return None  # the earlier of two promises says more
            if not any(_can_be_shown(view.records, item) for item in receipt.states):
                return None  # nothing of it could ever be held against anybody here
        self._store.write(change)
        return None

    def _check(self, head: bytes, read: Read) -> Evidence | None:
        signer = open_head(head).signer
        with self._store.view() as view:

            def both(cid: Cid) -> bytes:
                try:
                    return read(cid)
                except (Missing, KeyError):
                    return view.object(cid)

            checked: set[str] = set()
            for receipt, envelope in followed.promises(view.records, signer):
                for item in receipt.states:
                    if item.ns in checked:
                        continue
                    checked.add(item.ns)
                    try:
                        evidence = find_omission(envelope, head, item.ns, both)
                    except (Missing, Rejected):
                        continue  # a state that is no longer kept, or proof larger than evidence may be
                    if evidence is not None:
                        return evidence
        return None


def _holds(records: RecordsReader, item: Agreed) -> bool:
    """Whether the last head commits to this state."""
    row = records.namespace(item.ns)
    return row is not None and (row.genesis, row.state) == (item.genesis, item.state)


def _can_be_shown(records: RecordsReader, item: Agreed) -> bool:
    row = records.namespace(item.ns)
    return row is not None and row.genesis == item.genesis and records.has_node(item.state)
