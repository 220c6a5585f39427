"""The records store of one node: opening it, committing to it, reading it (architecture: one home, one writer).

Owns the records environment, the node's key and the writer's caches. :meth:`Store.commit` is the only way in: one
transaction for a whole batch, on the disk before it returns. :meth:`Store.view` is the way out: a snapshot.

A store that was put back from a backup must not continue its log, or the node would sign two truths under one seq. So
the store remembers the file it lives in, and a witness beside it remembers how far it got and when the file was last
changed, which no program can set; where any of it disagrees, a new log is opened, visibly, that names the one it
follows. So is one after a crash in the moment between a commit and the witness: that is no fault, and seldom.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from holo.core.cid import Cid
from holo.core.envelope import Statement
from holo.core.errors import HoloError, Rejected, StoreFailed
from holo.core.keys import Kid, SigningKey, did_of
from holo.core.limits import NONCE_BYTES
from holo.core.receipt import Action
from holo.core.successor import Handover, follow
from holo.store import journal as journals
from holo.store import snapshot, upgrade
from holo.store.environment import Environment
from holo.store.journal import Journal, LogState
from holo.store.layout import DATABASES
from holo.store.ledger import Hosting, Ledger, Outcome, Submission
from holo.store.policies import PolicyCache
from holo.store.records import RecordsReader
from holo.store.records_writer import RecordsWriter
from holo.store.turn import Turn
from holo.store.view import View

SCHEMA: Final = 3
UPGRADES: Final[dict[int, Callable[[upgrade.Write], None]]] = {1: upgrade.from_1, 2: upgrade.from_2}
"""schema → what turns a store of it into the next one, in as many transactions as it takes.

While one is at it the schema is said to be negative, which no version reads, and whoever opens the store goes on.
"""

_WITNESS: Final = "witness.json"
_WITNESS_BYTES: Final = 256  # two numbers and an id take half of that


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal to be logged: who, whose signature was proven, was refused what, and why."""

    action: Action
    subject: Cid | None
    error: Rejected
    requester: Kid


@dataclass(frozen=True, slots=True)
class Request:
    """Submissions that are answered together. ``atomic``: all or none."""

    submissions: Sequence[Submission]
    atomic: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """A signed head."""

    statement: Statement
    envelope: bytes


Result = Outcome | HoloError

_Made = TypeVar("_Made")


class Store:
    """An open records store. ``path`` is the environment's folder; ``clock_ms`` stamps receipts, ``nonce`` names logs.

    Whatever writes gives way while its ``turn`` is taken. Where ``handovers`` lead to ``key`` from the one that the
    store belongs to, it belongs to ``key`` from now on, and goes on in a new log.
    """

    def __init__(
        self,
        path: Path,
        key: SigningKey,
        *,
        clock_ms: Callable[[], int],
        hosting: Hosting | None = None,
        map_bytes: int = 1 << 40,
        free_reserve_bytes: int = 0,
        keep_heads: int = 1000,
        readonly: bool = False,
        nonce: Callable[[int], bytes] = os.urandom,
        handovers: Sequence[Handover] = (),
    ) -> None:
        self.key = key
        self._handovers = handovers
        self.turn = Turn()
        self._path = path
        self._clock_ms = clock_ms
        self._hosting = hosting or Hosting()
        self._keep_heads = keep_heads
        self._nonce = nonce
        self._ledger = Ledger(self._hosting)
        self._reading = PolicyCache()
        self._write_lock = threading.Lock()
        self._found_ns = self._changed_ns()
        self._env = Environment(
            path,
            DATABASES,
            map_bytes=map_bytes,
            free_reserve_bytes=free_reserve_bytes,
            readonly=readonly,
            turn=self.turn,
        )
        try:
            self._check_schema(readonly)
            if not readonly:
                self._upgrade()
                self._prepare()
        except BaseException:
            self._env.close()
            raise

    def close(self) -> None:
        """Give the store up. A commit under way is waited for."""
        with self._write_lock:
            self._env.close()

    def view(self) -> View:
        """One consistent snapshot of everything, for the length of a ``with`` block."""
        return View(self._env.read(), self._reading, self.key.kid)

    def free_bytes(self) -> int:
        """Room left for the store."""
        return self._env.free_bytes()

    def commit(self, requests: Sequence[Request]) -> list[list[Result]]:
        """Apply requests in order in one durable transaction; for each, what became of each submission.

        A refusal is a value, not an exception, and carries its denial receipt where one was logged. Raises only what
        failed for all: ``no-space`` or ``store-failed``; then nothing of the batch happened.
        """
        results: list[list[Result]] = []
        together: list[Request] = []
        for request in requests:
            if request.atomic and len(request.submissions) > 1:
                results.extend(self._commit_together(together))
                together = []
                results.append(self._commit_atomic(request))
            else:
                together.append(request)
        results.extend(self._commit_together(together))
        return results

    def log_denials(self, denials: Sequence[Denial]) -> None:
        """Log refusals, durably; each error gets its receipt's id and envelope."""
        with self._writing() as (_, journal):
            for denial in denials:
                receipt = self._ledger.deny(journal, denial.action, denial.subject, denial.error, denial.requester)
                denial.error.denial = (str(receipt.id), receipt.envelope)

    def make_head(self) -> Head:
        """Bring the catalog up to date and sign a head over it, durably."""
        with self._writing() as (records, journal):
            statement, envelope = snapshot.make_head(records, self._ledger.cache, journal, keep_heads=self._keep_heads)
        return Head(statement, envelope)

    def open_new_log(self) -> None:
        """Begin a new log, as after a restore: for a node that was told of a later head of its own."""
        with self._write_lock:
            with self._env.write() as writer:
                state = journals.open_log(RecordsWriter(writer), self.key, self._nonce(NONCE_BYTES))
            self._write_witness(state)

    def write(self, change: Callable[[RecordsWriter, Journal], _Made]) -> _Made:
        """What ``change`` returns, and what it wrote, on the disk; nothing of it where it raises."""
        with self._writing() as (records, journal):
            return change(records, journal)

    # --- inside

    def _commit_together(self, requests: Sequence[Request]) -> list[list[Result]]:
        if not requests:
            return []
        with self._writing() as (records, journal):
            return [self._apply(records, journal, request) for request in requests]

    def _commit_atomic(self, request: Request) -> list[Result]:
        results: list[Result] = []
        try:
            with self._writing() as (records, journal):
                for submission in request.submissions:
                    results.append(self._ledger.admit(records, journal, submission, request.submissions))
        except Rejected as error:
            at = len(results)
            others = Rejected("atomic-failed", f"record {at} was refused: {error.code}")
            return [error if index == at else others for index in range(len(request.submissions))]
        return results

    def _apply(self, records: RecordsWriter, journal: Journal, request: Request) -> list[Result]:
        results: list[Result] = []
        for submission in request.submissions:
            try:
                results.append(self._ledger.admit(records, journal, submission))
            except Rejected as error:
                results.append(error)
        return results

    @contextmanager
    def _writing(self) -> Iterator[tuple[RecordsWriter, Journal]]:
        """One transaction. Where it fails for all, the caches that may know more than the disk are dropped."""
        with self._write_lock:
            try:
                with self._env.write() as writer:
                    records = RecordsWriter(writer)
                    journal = Journal(records, self.key, self._clock_ms())
                    yield records, journal
                    journal.close()
            except BaseException:
                self._ledger = Ledger(self._hosting)
                raise
            self._write_witness(journal.state)

    def _check_schema(self, readonly: bool) -> None:
        with self._env.read() as reader:
            records = RecordsReader(reader)
            schema, node = records.meta("schema"), records.meta("node")
        if schema is not None and schema != SCHEMA and (readonly or abs(schema) not in UPGRADES):
            raise StoreFailed("store-version", f"{self._path} has schema {schema}; this version reads {SCHEMA}")
        self.owner = self.key.kid if node is None else Kid(node)
        known = [handover.statement for handover in self._handovers]
        if self.key.kid not in (self.owner, follow(self.owner, known)):
            raise StoreFailed("node-key-lost", f"{self._path} belongs to another node key, {did_of(self.owner)}")

    def _upgrade(self) -> None:
        """Bring the store to this version's schema, or go on where that broke off."""
        with self._env.read() as reader:
            schema = RecordsReader(reader).meta("schema")
        while schema is not None and schema != SCHEMA:
            schema = abs(schema)
            self._put_schema(-schema)
            UPGRADES[schema](self._write)
            schema += 1
            self._put_schema(schema)

    def _put_schema(self, schema: int) -> None:
        with self._write() as records:
            records.put_meta("schema", schema)

    @contextmanager
    def _write(self) -> Iterator[RecordsWriter]:
        with self._env.write() as writer:
            yield RecordsWriter(writer)

    def _prepare(self) -> None:
        """Make a new store's log, or a new log for a store that was put back."""
        with self._env.write() as writer:
            records = RecordsWriter(writer)
            place = self._place()
            state = journals.log_state(records)
            if state is None:
                records.put_meta("schema", SCHEMA)
                records.put_meta("node", bytes(self.key.kid))
                state = journals.open_log(records, self.key, self._nonce(NONCE_BYTES))
            elif self.owner != self.key.kid:
                state = self._hand_over(records)
            elif records.meta("place") != place or self._witness_disagrees(records, state):
                state = journals.open_log(records, self.key, self._nonce(NONCE_BYTES))
            records.put_meta("place", place)
        self._write_witness(state)

    def _hand_over(self, records: RecordsWriter) -> LogState:
        """Let the store belong to its key from now on. The records that say so stay with the logs they explain."""
        kept = [list(handover.record) for handover in self._handovers]
        before: list[list[bytes]] = records.meta("handovers") or []
        records.put_meta("handovers", [*before, *(record for record in kept if record not in before)])
        records.put_meta("node", bytes(self.key.kid))
        self.owner = self.key.kid
        return journals.open_log(records, self.key, self._nonce(NONCE_BYTES))

    def _place(self) -> int:
        """What a copy of the data file does not share with the original."""
        return (self._path / "data.mdb").stat().st_ino

    def _witness_disagrees(self, records: RecordsReader, state: LogState) -> bool:
        """Whether the witness saw more of this log than the store knows, a log that it does not know, or another file.

        The data file may have been written over in place together with its witness: then it was changed after.
        """
        try:
            witness = json.loads((self._path / _WITNESS).read_text())
            log, size, head_seq = Cid.parse(witness["log"]), int(witness["size"]), int(witness["head_seq"])
            changed_ns = int(witness.get("changed_ns", self._found_ns))  # witnesses did not always tell
        except (OSError, ValueError, KeyError, TypeError, HoloError):
            return False  # no witness says nothing; the file's own identity was compared already
        if records.payload(log) is None or changed_ns != self._found_ns:
            return True
        return log == state.id and (size > state.size or head_seq > state.head_seq)

    def _changed_ns(self) -> int:
        """When the data file was last changed in any way, by the clock of the system; 0 where there is none."""
        try:
            return (self._path / "data.mdb").stat().st_ctime_ns
        except FileNotFoundError:
            return 0

    def _write_witness(self, state: LogState) -> None:
        """Leave beside the store how far it got. Only hindsight depends on it: it is not synced, and may fail.

        It is written over in place, always as long: to replace it would wait for the disk at every commit. Torn by a
        crash, it says nothing.
        """
        with contextlib.suppress(OSError):
            told = {"log": str(state.id), "size": state.size, "head_seq": state.head_seq}
            text = json.dumps({**told, "changed_ns": self._changed_ns()})
            descriptor = os.open(self._path / _WITNESS, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, text.ljust(_WITNESS_BYTES).encode())
            finally:
                os.close(descriptor)
