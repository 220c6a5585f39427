"""The registry role: the one door for records, and the heads over them (architecture: one door).

Owns the write side of the store. Callers hand records to :meth:`Registry.admit`; one task drains the queue, commits a
batch in a worker thread in one durable transaction, and only then answers every caller. The same task signs heads: a
second after the first change, or at once after enough of them, and now and then when idle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Final, NoReturn

import structlog
import trio

from holo.core import limits
from holo.core.cid import Cid
from holo.core.equivocation import Evidence
from holo.core.errors import HoloError, Overloaded, Rejected
from holo.core.head import Head as SignedHead
from holo.core.keys import Kid
from holo.core.peer_receipts import Agreed
from holo.core.witness import HeadNote
from holo.profile import Anonymous
from holo.profile import Registry as Settings
from holo.roles.registry.convergence import Convergence
from holo.roles.registry.denials import Allowance, party_of, refused, unopened
from holo.roles.registry.heads import Noted, PeerHeads, known_heads
from holo.roles.registry.opening import Opened, Opener, RunSync
from holo.roles.registry.progress import Mark, Progress, Standing
from holo.roles.registry.queue import Waiting, WriteQueue
from holo.roles.registry.turns import loop_goes_first
from holo.store.evidence import EvidenceSubmission
from holo.store.followed import Followed, last_of
from holo.store.incoming import Incoming
from holo.store.ledger import Outcome, PolicySubmission, Submission
from holo.store.policies import own_nodes
from holo.store.store import Denial, Head, Request, Result, Store
from holo.store.view import View

_ANSWERED_AT_ONCE: Final = 2
_ANSWERED_IN_ROUNDS: Final = 32
_HEADS_IN_INTERVAL: Final = 2

_log = structlog.get_logger("holo.registry")


class Registry:
    """The owner of the store's write side. Start it with :meth:`run`; until then it answers reads only."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        anonymous: Anonymous,
        clock_ms: Callable[[], int],
        *,
        run_sync: RunSync = trio.to_thread.run_sync,
    ) -> None:
        self.on_commit: Callable[[Sequence[tuple[Submission, Outcome]]], None] | None = None
        """Told what was new in each batch, once it is on the disk and before anybody is answered. It may not wait."""
        self._store = store
        self._run_sync = run_sync
        self._settings = settings
        self._clock_ms = clock_ms
        self._denials = Allowance(anonymous.denials_per_minute)
        self._queue = WriteQueue()
        self._opening = 0
        self._opener = Opener(store.turn, run_sync)
        self._progress = Progress(store)
        self._heads = PeerHeads(store, run_sync, self._expose, self.sign_head)
        self._convergence = Convergence(store, run_sync, self._expose)
        self.refused: Counter[str] = Counter()
        self.admitted: Counter[str] = Counter()

    @property
    def node(self) -> Kid:
        """The node's kid."""
        return self._store.key.kid

    def view(self) -> AbstractContextManager[View]:
        """One consistent snapshot, for the length of the block."""
        return self._store.view()

    @property
    def mark(self) -> Mark:
        """How far the store has come."""
        return self._progress.mark

    @property
    def standing(self) -> Standing:
        """The newest head that is known to the event loop."""
        return self._progress.standing

    async def changed_from(self, mark: Mark) -> Mark:
        """Wait until the store is past ``mark``; returns where it is."""
        return await self._progress.changed_from(mark)

    async def head_covering(self, seq: int, log: int, timeout_s: float) -> bool:
        """Wait at most ``timeout_s`` for a head whose log covers entry ``seq``; whether there is one."""
        return await self._progress.head_covering(seq, log, timeout_s)

    async def admit(self, records: Sequence[Incoming], *, atomic: bool = False, relayed: bool = False) -> list[Result]:
        """What became of each record: its :class:`Outcome`, durable and with its receipt, or why it was refused.

        Those who signed what was ``relayed`` asked this node for nothing: no refusal of it is logged as theirs. Raises
        ``overloaded`` where the queue is full, ``no-space`` or ``store-failed``; then nothing was changed.
        """
        opened = await self.open(records, relayed=relayed)
        return await self.submit(opened, atomic=atomic, relayed=relayed)

    async def open(self, records: Sequence[Incoming], *, relayed: bool = False) -> list[Opened]:
        """The submission that each record is, every signature verified, or why it is none."""
        self._opening += 1
        try:
            opened = [await self._complete(item) for item in await self._opener.open(records)]
        finally:
            self._opening -= 1
        if not relayed:
            await self._deny([(None, denial) for denial in unopened(records, opened)])
        return opened

    async def submit(self, opened: Sequence[Opened], *, atomic: bool = False, relayed: bool = False) -> list[Result]:
        """What became of each, as :meth:`admit` says of records. What is queued is committed, even if nobody waits."""
        broken = [item for item in opened if isinstance(item, Rejected)]
        if atomic and broken:
            others = Rejected("atomic-failed", f"another record was refused: {broken[0].code}")
            results: list[Result] = [item if isinstance(item, Rejected) else others for item in opened]
        else:
            submissions = [item for item in opened if not isinstance(item, Rejected)]
            done = iter(await self._submit(Request(submissions, atomic), relayed) if submissions else [])
            results = [item if isinstance(item, Rejected) else next(done) for item in opened]
        for result in results:
            if isinstance(result, HoloError):
                self.refused[result.code] += 1
            else:
                self.admitted[result.state] += 1
        return results

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Own the write side until cancelled. What was taken from the queue is finished and answered first."""
        try:
            # Whoever has no other threads would wait for itself.
            beside = self._run_sync is trio.to_thread.run_sync
            with loop_goes_first(self._store.turn) if beside else nullcontext():
                await self._own(task_status)
        finally:
            self._queue.close()

    async def _own(self, task_status: trio.TaskStatus[None]) -> NoReturn:
        dirty_since = self._dirty_since()
        with self.view() as view:
            headless = view.log.head is None  # the store's first log, or one begun after a restore
        if headless:
            await self._sign_head()
        last_head = trio.current_time()
        task_status.started()
        while True:
            due = self._due(dirty_since, last_head)
            batch = await self._queue.take(due)
            with trio.CancelScope(shield=True):
                if batch:
                    await self._commit(batch)
                    if dirty_since is None and self._progress.unsigned():
                        dirty_since = trio.current_time()
                if self._head_is_due(dirty_since, last_head):
                    signed = await self._try_head()
                    last_head = trio.current_time()
                    dirty_since = None if signed else last_head  # where there is no room, again after the interval

    async def sign_head(self) -> Head:
        """Sign a head now, as the running owner; for shutdown and for programs that embed a node."""
        head: Head
        with trio.CancelScope(shield=True):
            head = await self._sign_head()
        return head

    async def finish(self) -> None:
        """Sign a head over what no head covers yet, so that a node that stopped well starts where it ended.

        Where there is no room for it, the next start signs it.
        """
        if self._progress.unsigned():
            with trio.CancelScope(shield=True):
                await self._try_head()

    # --- other nodes

    async def note_heads(self, notes: Sequence[HeadNote], *, by: Kid, pinned: Collection[Kid]) -> list[Noted]:
        """What became of heads that peer ``by`` brought; ``pinned`` are the nodes this one is paired with.

        Those accepted are on the disk, and evidence that they are has been taken in.
        """
        return await self._heads.note(notes, by, pinned)

    def known_heads(self) -> list[Followed]:
        """The newest head of this node, if there is one, then the newest that was accepted of every other."""
        with self.view() as view:
            return known_heads(view)

    def last_head(self, node: Kid, log: Cid) -> SignedHead | None:
        """The newest head that was accepted of a log."""
        with self.view() as view:
            return last_of(view.records, node, log)

    async def sign_convergence(self, peer: Kid, states: Sequence[Agreed], cites: Cid | None = None) -> bytes | None:
        """The receipt that this node holds ``states``, found at ``peer`` too; None where none is given now."""
        envelope = await self._convergence.sign(peer, states, cites)
        self._progress.advance()
        return envelope

    async def note_convergence(self, envelopes: Sequence[bytes], *, by: Kid) -> list[HoloError | None]:
        """Keep receipts that peer ``by`` gave this node; for each, why it was refused, or None."""
        return await self._convergence.take(envelopes, by)

    async def check_promises(self, head: bytes, read: Callable[[Cid], bytes]) -> Evidence | None:
        """Evidence, taken in, that a head leaves out what its signer promised this node; ``read`` gives its objects."""
        return await self._convergence.check(head, read)

    async def _expose(self, evidence: Evidence) -> HoloError | None:
        (result,) = await self.submit([EvidenceSubmission(evidence)], relayed=True)
        return result if isinstance(result, HoloError) else None

    # --- inside

    async def _complete(self, item: Opened) -> Opened:
        if isinstance(item, PolicySubmission) and item.policy.seal is not None:
            return await self._with_own_nodes(item)
        return item

    async def _with_own_nodes(self, item: PolicySubmission) -> PolicySubmission:
        """A policy with the nodes of its seal that this node's trees hold and nobody had to send.

        A seal is made of what is current, and a head may not commit to that yet: then the next one is waited for.
        """
        mark = self.mark
        nodes, whole = await self._run_sync(self._own_nodes, item)
        if not whole and not await self.head_covering(mark.size - 1, mark.log, 0):
            await self.head_covering(mark.size - 1, mark.log, limits.WAIT_S_MAX)
            nodes, _ = await self._run_sync(self._own_nodes, item)
        return replace(item, nodes=(*item.nodes, *nodes))

    def _own_nodes(self, item: PolicySubmission) -> tuple[list[bytes], bool]:
        with self.view() as view:
            return own_nodes(view.records, item.policy, item.nodes)

    async def _submit(self, request: Request, relayed: bool) -> list[Result]:
        results = await self._queue.put(request)
        if not relayed:
            await self._deny(list(refused(request.submissions, results)))
        return results

    async def log_denial(self, denial: Denial) -> None:
        """Log one refusal, as far as the allowance goes."""
        await self._deny([(None, denial)])

    async def _deny(self, refusals: Sequence[tuple[str | None, Denial]]) -> None:
        """Log refusals, each with its namespace where known, as far as the allowance goes; the others only count."""
        if not refusals:
            return
        now_s = trio.current_time()
        with self.view() as view:
            logged = [
                denial for ns, denial in refusals if self._denials.take(party_of(view, ns, denial.requester), now_s)
            ]
        if not logged:
            return
        try:
            with trio.CancelScope(shield=True):
                await self._run_sync(self._store.log_denials, logged)
        except Overloaded:
            return  # no room: the refusal stands without its receipt
        self._progress.advance()

    async def _commit(self, batch: list[Waiting]) -> None:
        """Commit a batch durably, then answer everybody in it. A failed store ends the task, and with it the node."""
        try:
            results = await self._run_sync(self._store.commit, [item.request for item in batch])
        except HoloError as error:
            self._queue.refuse(batch, error)
            if not isinstance(error, Overloaded):
                raise
            return
        except BaseException:
            self._queue.refuse(batch, HoloError("internal", "the commit failed"))
            raise
        self._progress.advance()
        self._tell(batch, results)
        for at, (item, result) in enumerate(zip(batch, results, strict=True), start=1):
            self._queue.answer(item, result)
            # An answer is work, too: were all of them woken at once, whoever reads would wait until all are worded.
            if at % max(_ANSWERED_AT_ONCE, len(batch) // _ANSWERED_IN_ROUNDS) == 0:
                await trio.lowlevel.checkpoint()

    def _tell(self, batch: list[Waiting], results: list[list[Result]]) -> None:
        if self.on_commit is None:
            return
        new = [
            (submission, outcome)
            for item, outcomes in zip(batch, results, strict=True)
            for submission, outcome in zip(item.request.submissions, outcomes, strict=True)
            if isinstance(outcome, Outcome) and outcome.new
        ]
        if new:
            self.on_commit(new)

    async def _try_head(self) -> bool:
        """Sign a head if there is room for it. A full disk, which strangers can cause, must not end the reading too."""
        try:
            await self._sign_head()
        except Overloaded:
            return False
        return True

    async def _sign_head(self) -> Head:
        try:
            head: Head = await self._run_sync(self._store.make_head)
        except Overloaded as error:
            _log.warning("head not signed", code=error.code, detail=error.detail)
            raise
        self._progress.advance()
        _log.debug("head", seq=head.statement.value["seq"], catalog=str(head.statement.value["catalog"]))
        return head

    def _dirty_since(self) -> float | None:
        return trio.current_time() if self._progress.unsigned() else None

    def _due(self, dirty_since: float | None, last_head: float) -> float:
        idle = last_head + self._settings.head_idle_ms / 1000
        if dirty_since is None:
            return idle
        return min(dirty_since + self._settings.head_interval_ms / 1000, idle)

    def _head_is_due(self, dirty_since: float | None, last_head: float) -> bool:
        if trio.current_time() >= self._due(dirty_since, last_head):
            return True
        if dirty_since is None or self._progress.unsigned() < self._settings.head_changes:
            return False
        # Those who write wait for a head, too: while there are any, it is not signed after every few changes.
        if not self._opening and not self._queue.length:
            return True
        return trio.current_time() >= last_head + self._settings.head_interval_ms / 1000 / _HEADS_IN_INTERVAL
