"""What turns a records store of an earlier schema into the next one, in pieces.

One transaction over all of a large store would take memory for every page it changes, and LMDB gives none of it back.
So each step changes a bounded number of rows in a transaction, and a step that broke off is begun again: what it has
changed already is either not where it looks any more, or told by its form.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, TypeAlias

import cbor2

from holo.core.cid import CID_BYTES
from holo.store.bindings import put_current
from holo.store.layout import ANY_PATH, decode_namespace, decode_standings
from holo.store.policies import PolicyCache
from holo.store.records_writer import RecordsWriter

_PLACE_BYTES: Final = 12
_ROWS_AT_ONCE: Final = 4096

Write: TypeAlias = Callable[[], AbstractContextManager[RecordsWriter]]
"""Begins a transaction, which is durable once its block is left."""

Change: TypeAlias = Callable[[RecordsWriter, bytes, bytes], None]
"""Changes one row, given its key and value; does nothing to one that was changed before."""


def from_1(write: Write) -> None:
    """Put what belongs to a statement beside it, and note by name what waits for a policy.

    Schema 1 kept endorsements and the receipts about a statement in tables of their own, and knew of a namespace only
    that something in it may wait.
    """
    change_rows(write, "endorsements", _move_endorsement)
    change_rows(write, "receipt_subjects", _move_receipt, b"\x01", b"\x02")  # names and namespaces are text
    change_rows(write, "namespaces", _name_what_waits)


def from_2(write: Write) -> None:
    """Put the wording before the standings of each name; note which nodes came back rather than when each died."""
    cache = PolicyCache()

    def word(records: RecordsWriter, key: bytes, data: bytes) -> None:
        row = cbor2.loads(data)
        if isinstance(row[0], bytes):
            return
        ns, _, path = key.decode().partition("\0")
        namespace = records.namespace(ns)
        assert namespace is not None
        put_current(records, cache, namespace, path, decode_standings(cbor2.dumps([b"", *row])))

    change_rows(write, "current", word)
    change_rows(write, "dead", _bury)


def change_rows(write: Write, table: str, change: Change, start: bytes = b"", stop: bytes | None = None) -> None:
    """Change every row of a table from ``start`` up to ``stop``, so many in a transaction."""
    following: bytes | None = start
    while following is not None:
        with write() as records:
            rows = records.rows(table, following, stop, _ROWS_AT_ONCE)
            for key, value in rows:
                change(records, key, value)
        following = rows[-1][0] + b"\0" if rows else None


def _move_endorsement(records: RecordsWriter, key: bytes, signature: bytes) -> None:
    records.delete_row("endorsements", key)
    records.put_row("statements", key, signature)


def _move_receipt(records: RecordsWriter, key: bytes, value: bytes) -> None:
    records.delete_row("receipt_subjects", key)
    if len(key) == CID_BYTES + _PLACE_BYTES:
        records.put_row("statements", key, b"")


def _bury(records: RecordsWriter, key: bytes, value: bytes) -> None:
    number, cid = key[:8], key[8:]
    records.delete_row("dead", key)
    if records.row("dead_at", cid) == number:  # else it came back since
        records.delete_row("dead_at", cid)
        records.put_row("buried", key, b"")


def _name_what_waits(records: RecordsWriter, key: bytes, data: bytes) -> None:
    row = cbor2.loads(data)
    if len(row) == 7:
        return  # has no item of its own for what waits any more
    *others, waiting, state = row
    namespace = decode_namespace(key.decode(), cbor2.dumps([*others, state]))
    records.put_namespace(namespace)
    if waiting:
        for policy, found in list(records.policy_rows(namespace.ns)):
            if not found.in_effect:
                records.put_waiting(namespace.ns, policy, ANY_PATH)
