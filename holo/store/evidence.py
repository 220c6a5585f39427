"""Evidence as it is kept: one piece for each exposed key, the one with the smallest id (spec section 3.5).

Evidence against a key whose heads are kept here, or against this node, always has room. Keys cost nothing, and neither
does evidence against a key of one's own making: of others so many are kept, and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from holo.core import limits, tree
from holo.core.cid import Cid
from holo.core.errors import Rejected
from holo.core.evidence import Evidence, evidence_value, preferred
from holo.core.keys import KID_BYTES, KID_PREFIX, Kid, did_of
from holo.core.peer_receipts import EVIDENCE_RECEIPT, make_evidence_receipt
from holo.core.receipt import open_receipt
from holo.store import followed
from holo.store.journal import Journal, Receipt
from holo.store.records import RecordsReader
from holo.store.records_writer import RecordsWriter

_TABLE = "evidence"
_CHANGED = b"\xff"


@dataclass(frozen=True, slots=True)
class EvidenceSubmission:
    """Verified evidence."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of evidence. ``standing`` is what stands against its subject, ``receipt`` the first that says so."""

    standing: Cid
    new: bool
    log: int
    receipt: Receipt


def admit_evidence(records: RecordsWriter, journal: Journal, evidence: Evidence) -> Kept:
    """Keep evidence unless what is kept against its subject stands. Raises ``evidence-full``; then nothing is written.

    The first against a key is logged. What takes its place is not: whoever has one such proof can make any number.
    """
    subject = evidence.subject
    standing = standing_against(records, subject)
    if standing is not None and preferred(standing, evidence.id) == standing:
        return Kept(standing, False, *_first_receipt(records, subject))
    if standing is None and subject != journal.node and not followed.is_followed(records, subject):
        _require_room(records, subject)
    if standing is not None:
        records.delete_row(_TABLE, standing)
    records.put_row(_TABLE, subject, evidence.id)
    records.put_row(_TABLE, evidence.id, evidence.bytes)
    records.put_row(_TABLE, _CHANGED + subject, b"")
    if standing is not None:
        return Kept(evidence.id, True, *_first_receipt(records, subject))
    make = partial(make_evidence_receipt, subject=subject, evidence=evidence.id, kind=evidence.kind)
    return Kept(evidence.id, True, journal.number, journal.append(make, [_subject_key(subject)]))


def standing_against(records: RecordsReader, subject: Kid) -> Cid | None:
    """The id of the evidence against a key, if there is any."""
    data = records.row(_TABLE, subject)
    return None if data is None else Cid(data)


def evidence_bytes(records: RecordsReader, evidence: Cid) -> bytes | None:
    """The object ``evidence``, if it stands here."""
    return records.row(_TABLE, evidence)


def exposed(records: RecordsReader) -> Iterator[tuple[Kid, Cid]]:
    """(key, id of the evidence that stands against it), in order of key."""
    for key, value in records.rows_under(_TABLE, KID_PREFIX):
        yield Kid(key), Cid(value)


def changed_values(records: RecordsReader) -> dict[bytes, tree.Value | None]:
    """The values of the catalog's tree of evidence that changed since the last head."""
    found: dict[bytes, tree.Value | None] = {}
    for key, _ in list(records.rows_under(_TABLE, _CHANGED)):
        standing = standing_against(records, Kid(key[1:]))
        assert standing is not None, "evidence is never taken back"
        found[key[1:]] = evidence_value(standing)
    return found


def clear_changed(records: RecordsWriter) -> None:
    """The last head has them."""
    for key, _ in list(records.rows_under(_TABLE, _CHANGED)):
        records.delete_row(_TABLE, key)


def first_receipts(records: RecordsReader, subject: Kid) -> Iterator[tuple[int, int, bytes]]:
    """(log number, seq, envelope) of the receipts that tell of evidence against a key."""
    yield from records.receipts_about(_subject_key(subject))


def _require_room(records: RecordsReader, subject: Kid) -> None:
    strangers = 0
    for kid, _ in exposed(records):
        strangers += not followed.is_followed(records, kid)
        if strangers >= limits.EVIDENCE_SUBJECTS:
            raise Rejected("evidence-full", f"{strangers} strangers", subject=did_of(subject))


def _first_receipt(records: RecordsReader, subject: Kid) -> tuple[int, Receipt]:
    log, seq, envelope = next(first_receipts(records, subject))
    receipt = open_receipt(envelope)
    assert receipt.statement.type == EVIDENCE_RECEIPT
    return log, Receipt(seq, receipt.id, envelope)


def _subject_key(subject: Kid) -> bytes:
    """What receipts about a key are found by: its did, which no name is."""
    assert len(subject) == KID_BYTES
    return did_of(subject).encode()
