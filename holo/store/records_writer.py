"""Typed writes of the records environment inside one transaction. What lies where: :mod:`holo.store.layout`."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import cbor2

from holo.core.binding import Standing
from holo.core.cid import Cid
from holo.core.keys import Kid
from holo.store.environment import Writer
from holo.store.layout import (
    Boxed,
    NamespaceRow,
    Past,
    PolicyRow,
    box_key,
    descending,
    encode_current,
    encode_namespace,
    log_key,
    name_key,
    seq_key,
    waiting_key,
)
from holo.store.records import RecordsReader

_ROWS_KEPT: Final = 1024

_Key = TypeVar("_Key")
_Row = TypeVar("_Row")


class RecordsWriter(RecordsReader):
    """Typed writes inside one transaction. Reads see what was written before."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(writer)
        self._w = writer
        self._namespaces: dict[str, NamespaceRow | None] = {}
        self._policy_rows: dict[tuple[str, Cid], PolicyRow | None] = {}

    def namespace(self, ns: str) -> NamespaceRow | None:
        """As it stands in this transaction; the records of a batch are mostly of few namespaces."""
        if ns not in self._namespaces:
            _remember(self._namespaces, ns, super().namespace(ns))
        return self._namespaces[ns]

    def policy_row(self, ns: str, policy: Cid) -> PolicyRow | None:
        """As it stands in this transaction."""
        if (ns, policy) not in self._policy_rows:
            _remember(self._policy_rows, (ns, policy), super().policy_row(ns, policy))
        return self._policy_rows[ns, policy]

    def put_payload(self, statement: Cid, payload: bytes) -> None:
        self._w.put("statements", statement, payload)

    def delete_payload(self, statement: Cid) -> None:
        self._w.delete("statements", statement)

    def put_endorsement(self, statement: Cid, kid: Kid, signature: bytes) -> None:
        self._w.put("statements", statement + kid, signature)

    def put_namespace(self, row: NamespaceRow) -> None:
        self._w.put("namespaces", row.ns.encode(), encode_namespace(row))
        _remember(self._namespaces, row.ns, row)

    def put_conflict(self, ns: str, genesis: Cid) -> None:
        self._w.put("conflicts", ns.encode() + b"\0" + genesis, b"")

    def put_policy_row(self, ns: str, policy: Cid, row: PolicyRow) -> None:
        self._w.put("policies", ns.encode() + b"\0" + policy, cbor2.dumps([row.seq, row.in_effect, row.sealed]))
        _remember(self._policy_rows, (ns, policy), row)

    def put_current(self, ns: str, path: str, standings: tuple[Standing, ...], wording: bytes) -> None:
        if not standings:
            self._w.delete("current", name_key(ns, path))
            return
        self._w.put("current", name_key(ns, path), encode_current(standings, wording))

    def put_past(self, ns: str, path: str, past: Past) -> None:
        key = name_key(ns, path) + b"\0" + descending(past.rev) + past.id
        self._w.put("history", key, cbor2.dumps([None if past.cid is None else bytes(past.cid), bytes(past.policy)]))

    def put_waiting(self, ns: str, policy: Cid, path: str) -> None:
        """Note that a name cites a policy that is not in effect, or with ``ANY_PATH`` that any name may."""
        self._w.put("waiting", waiting_key(ns, policy, path), b"")

    def delete_waiting(self, ns: str, policy: Cid, path: str) -> None:
        self._w.delete("waiting", waiting_key(ns, policy, path))

    def put_box(self, ns: str, path: str, item: Boxed) -> None:
        self._w.put("boxes", box_key(ns, path, item), item.signature)

    def delete_box(self, ns: str, path: str, item: Boxed) -> None:
        self._w.delete("boxes", box_key(ns, path, item))

    def put_node(self, cid: Cid, data: bytes, head: int) -> None:
        """Keep a node that the head numbered ``head`` reaches. One that is there may be buried; it comes back then."""
        if self._w.contains("nodes", cid):
            self._w.put("revived", cid, head.to_bytes(8, "big"))
        else:
            self._w.put("nodes", cid, data)

    def put_sealed_node(self, cid: Cid, data: bytes) -> None:
        self._w.put("seals", cid, data)

    def bury_node(self, cid: Cid, head: int) -> None:
        """Note that the head numbered ``head`` no longer reaches this node."""
        self._w.put("buried", head.to_bytes(8, "big") + cid, b"")

    def collect_node(self, cid: Cid, head: int) -> bool:
        """Delete a node that was buried at ``head``, unless it has come back since. Returns whether it was deleted."""
        self._w.delete("buried", head.to_bytes(8, "big") + cid)
        revived = self.revived_at(cid)
        if revived is not None:
            if revived >= head:
                return False
            self._w.delete("revived", cid)
        return self._w.delete("nodes", cid)

    def put_catalog(self, catalog: Cid, head: int) -> None:
        self._w.put("catalogs", catalog, head.to_bytes(8, "big"))

    def mark_dirty(self, ns: str, path: str | None) -> None:
        self._w.put("dirty", ns.encode() + b"\0" + (b"\0" if path is None else path.encode()), b"")

    def clear_dirty(self, ns: str, path: str | None) -> None:
        self._w.delete("dirty", ns.encode() + b"\0" + (b"\0" if path is None else path.encode()))

    def put_log_hash(self, log: int, level: int, index: int, value: bytes) -> None:
        self._w.put("hashes", log_key(log) + bytes((level,)) + index.to_bytes(8, "big"), value)

    def put_log_genesis(self, log: int, envelope: bytes) -> None:
        self._w.put("logs", log_key(log), envelope)

    def put_receipt(self, log: int, seq: int, receipt: Cid, type: str, subjects: list[bytes], envelope: bytes) -> None:
        place = seq_key(log, seq)
        self._w.put("receipts", place, envelope)
        self._w.put("receipt_ids", receipt, place)
        self._w.put("receipt_types", type.encode() + b"\0" + place, b"")
        for subject in subjects:
            self._w.put("statements" if isinstance(subject, Cid) else "receipt_subjects", subject + place, b"")

    def put_head(self, log: int, seq: int, envelope: bytes) -> None:
        self._w.put("heads", seq_key(log, seq), envelope)

    def rows(self, table: str, start: bytes, stop: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """At most ``limit`` rows as they lie in a table; for upgrades."""
        return list(self._w.range(table, start, stop, limit=limit))

    def row(self, table: str, key: bytes) -> bytes | None:
        """A row as it lies in a table; for upgrades."""
        return self._w.get(table, key)

    def put_row(self, table: str, key: bytes, value: bytes) -> None:
        """Put a row as it lies in a table."""
        self._w.put(table, key, value)

    def delete_row(self, table: str, key: bytes) -> None:
        """Remove a row of a table."""
        self._w.delete(table, key)

    def put_meta(self, key: str, value: Any) -> None:
        self._w.put("meta", key.encode(), cbor2.dumps(value))


def _remember(cache: dict[_Key, _Row], key: _Key, row: _Row) -> None:
    """Keep what a key leads to, for a bounded number of keys."""
    if len(cache) >= _ROWS_KEPT:
        cache.clear()
    cache[key] = row
