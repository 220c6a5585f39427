"""What turns a records store of an earlier schema into the next one, inside the transaction that opens it."""

from __future__ import annotations

from typing import Final

import cbor2

from holo.core.cid import CID_BYTES
from holo.store.layout import ANY_PATH, decode_namespace
from holo.store.records_writer import RecordsWriter

_PLACE_BYTES: Final = 12


def from_1(records: RecordsWriter) -> None:
    """Put what belongs to a statement beside it, and note by name what waits for a policy.

    Schema 1 kept endorsements and the receipts about a statement in tables of their own, and knew of a namespace only
    that something in it may wait.
    """
    for key, signature in records.take_rows("endorsements", b""):
        records.put_row("statements", key, signature)
    for key, _ in records.take_rows("receipt_subjects", b"\x01", b"\x02"):  # names and namespaces are text
        if len(key) == CID_BYTES + _PLACE_BYTES:
            records.put_row("statements", key, b"")
    for key, data in list(records.take_rows("namespaces", b"")):
        *row, waiting, state = cbor2.loads(data)
        namespace = decode_namespace(key.decode(), cbor2.dumps([*row, state]))
        records.put_namespace(namespace)
        if waiting:
            _wait_for_all(records, namespace.ns)


def _wait_for_all(records: RecordsWriter, ns: str) -> None:
    for policy, row in list(records.policy_rows(ns)):
        if not row.in_effect:
            records.put_waiting(ns, policy, ANY_PATH)
