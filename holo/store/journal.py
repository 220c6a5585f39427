"""The receipt log: one seq after another, each signed, each a leaf of an RFC 9162 tree (spec section 5).

Owns the node's log: its genesis, the next seq, the next head. Everything happens inside the caller's write
transaction, so a receipt exists exactly if what it certifies does, and an aborted transaction leaves no gap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from holo.core import log as rfc9162
from holo.core.cid import Cid
from holo.core.envelope import Statement, sign_payload
from holo.core.head import make_head, make_log_genesis, sign
from holo.core.keys import Kid, SigningKey
from holo.core.receipt_bytes import Encoded
from holo.store.records import RecordsReader
from holo.store.records_writer import RecordsWriter

_META = "log"


@dataclass(frozen=True, slots=True)
class LogState:
    """Where the log stands. ``number`` counts this store's logs; ``heads`` counts its heads across all of them."""

    number: int
    id: Cid
    size: int
    head_seq: int  # of the next head
    head: Cid | None
    heads: int
    catalog: Cid | None
    head_size: int
    head_at_ms: int

    def encode(self) -> list[Any]:
        """For the meta table."""
        return [
            self.number, bytes(self.id), self.size, self.head_seq, _bytes(self.head), self.heads, _bytes(self.catalog),
            self.head_size, self.head_at_ms,
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as it was logged."""

    seq: int
    id: Cid
    envelope: bytes


class Payload(Protocol):
    """Makes a receipt's payload for its place in the log."""

    def __call__(self, *, log: Cid, seq: int, at_ms: int) -> Statement | Encoded: ...


def log_state(records: RecordsReader) -> LogState | None:
    """Where the log stands, or None in a store that never had one."""
    value = records.meta(_META)
    if value is None:
        return None
    number, id, size, head_seq, head, heads, catalog, head_size, head_at_ms = value
    return LogState(number, Cid(id), size, head_seq, _cid(head), heads, _cid(catalog), head_size, head_at_ms)


def open_log(records: RecordsWriter, key: SigningKey, nonce: bytes) -> LogState:
    """Begin a new log: the store's first, or one after a restore, which names the log and head it follows."""
    before = log_state(records)
    genesis = make_log_genesis(
        node=key.kid, nonce=nonce, prev_log=before.id if before else None, prev_head=before.head if before else None
    )
    number = before.number + 1 if before else 0
    state = LogState(
        number=number,
        id=genesis.id,
        size=0,
        head_seq=0,
        head=None,
        heads=before.heads if before else 0,
        catalog=before.catalog if before else None,
        head_size=0,
        head_at_ms=0,
    )
    records.put_log_genesis(number, sign(genesis, key))
    records.put_payload(genesis.id, genesis.bytes)
    records.put_meta(_META, state.encode())
    return state


class Journal:
    """The log inside one write transaction. Make one, append, and :meth:`close` before the commit."""

    def __init__(self, records: RecordsWriter, key: SigningKey, at_ms: int) -> None:
        state = log_state(records)
        assert state is not None, "a store gets its log when it is created"
        self._records = records
        self._key = key
        self._at_ms = at_ms
        self._state = state
        self._size = state.size
        self._fresh: dict[int, tuple[int, bytes]] = {}  # level → (index, hash) of the last subtree completed here

    @property
    def state(self) -> LogState:
        """Where the log stands now, appended receipts included."""
        if self._size != self._state.size:
            self._state = replace(self._state, size=self._size)
        return self._state

    @property
    def number(self) -> int:
        """Which of the store's logs this is."""
        return self._state.number

    @property
    def node(self) -> Kid:
        """Whose log it is."""
        return self._key.kid

    @property
    def at_ms(self) -> int:
        """The time this transaction's receipts carry."""
        return self._at_ms

    def append(self, make: Payload, subjects: list[bytes]) -> Receipt:
        """Sign and log the receipt that ``make`` gives for a place in the log; ``subjects`` are what it is found by."""
        number, seq = self._state.number, self._size
        payload = make(log=self._state.id, seq=seq, at_ms=self._at_ms)
        envelope = sign_payload(payload.type, payload.bytes, self._key)
        self._records.put_receipt(number, seq, payload.id, payload.type, subjects, envelope)
        for level, index, value in rfc9162.append(seq, rfc9162.leaf_hash(payload.id), self._hash):
            self._fresh[level] = index, value
            self._records.put_log_hash(number, level, index, value)
        self._size = seq + 1
        return Receipt(seq, payload.id, envelope)

    def sign_head(self, catalog: Cid) -> tuple[Statement, bytes]:
        """Sign the next head over ``catalog`` and the log as it stands; real once the transaction commits."""
        state = self.state
        statement = make_head(
            log=state.id,
            seq=state.head_seq,
            prev=state.head,
            catalog=catalog,
            log_size=state.size,
            log_root=rfc9162.root(state.size, self._hash),
            at_ms=self._at_ms,
        )
        envelope = sign(statement, self._key)
        self._records.put_head(state.number, state.head_seq, envelope)
        self._state = replace(
            state,
            head_seq=state.head_seq + 1,
            head=statement.id,
            heads=state.heads + 1,
            catalog=catalog,
            head_size=state.size,
            head_at_ms=self._at_ms,
        )
        return statement, envelope

    def close(self) -> None:
        """Write where the log stands."""
        self._records.put_meta(_META, self.state.encode())

    def _hash(self, level: int, index: int) -> bytes:
        fresh_index, value = self._fresh.get(level, (-1, b""))
        return value if fresh_index == index else self._records.log_hash(self._state.number, level, index)


def _bytes(cid: Cid | None) -> bytes | None:
    return None if cid is None else bytes(cid)


def _cid(data: bytes | None) -> Cid | None:
    return None if data is None else Cid(data)
