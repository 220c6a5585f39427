"""What is kept of other nodes: heads of their logs, and what they signed about this node (spec section 3.6).

Of the log a node is at, the newest heads are kept, of earlier ones the last, and of so many logs; of nodes that this
one is not paired with, so many for each peer that told of them. What meets a bound of its own is dropped at its oldest
end; what would be at the cost of others is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import cbor2

from holo.core import limits
from holo.core.cid import CID_BYTES, Cid
from holo.core.envelope import decode_envelope, open_statement
from holo.core.errors import HoloError, Rejected
from holo.core.head import HEAD_TYPE, Head, contradiction, open_log_genesis, parse_head
from holo.core.keys import KID_BYTES, KID_PREFIX, Kid, did_of
from holo.core.peer_receipts import CONVERGENCE_RECEIPT, ConvergenceReceipt, parse_convergence_receipt
from holo.core.witness import Brought, HeadNote, Known, Verdict, judge_head, open_note
from holo.store.environment import after_prefix
from holo.store.records import RecordsReader
from holo.store.records_writer import RecordsWriter

_LOGS, _HEADS, _CONVERGENCES = "peer_logs", "peer_heads", "convergences"
_CID_PREFIX = b"\x01"  # of a CID, which no kid begins with


@dataclass(frozen=True, slots=True)
class Followed:
    """The newest head accepted of a node: the head, its envelope, and the envelope of its log's genesis."""

    head: Head
    envelope: bytes
    genesis: bytes


# --- heads


def judge(records: RecordsReader, brought: Brought) -> Verdict:
    """What to make of a head, by what is kept of its log."""
    return judge_head(brought, known_beside(records, brought.head.signer, brought.head.log, brought.head.seq))


def keep(records: RecordsWriter, brought: Brought, by: Kid, pinned: Collection[Kid]) -> None:
    """Keep a head that was judged to be kept. Raises ``heads-full``; then nothing is written.

    ``by`` is the peer that brought it, ``pinned`` are the nodes this one is paired with.
    """
    head, node = brought.head, brought.head.signer
    if records.row(_LOGS, node + head.log) is None:
        if node not in pinned and not is_followed(records, node):
            told_of = sum(1 for _ in records.rows_under(_LOGS, by + KID_PREFIX))
            if told_of >= limits.NODES_PER_PEER:
                raise Rejected("heads-full", f"{did_of(by)} told of {told_of} nodes", subject=did_of(node))
            records.put_row(_LOGS, by + node, b"")
        _open_log(records, brought)
    records.put_row(_HEADS, node + head.log + head.seq.to_bytes(8, "big"), brought.note.head)
    _keep_newest(records, node, head.log, limits.HEADS_PER_LOG)


def known_beside(records: RecordsReader, node: Kid, log: Cid, seq: int) -> list[Known]:
    """Of the heads kept of a log those next to ``seq`` and the newest, in order.

    What contradicts any of the log's contradicts one of these: between heads that agree, sizes only rise.
    """
    prefix, place = node + log, node + log + seq.to_bytes(8, "big")
    below = records.rows_between(_HEADS, prefix, place, reverse=True, limit=1)
    above = records.rows_between(_HEADS, place, after_prefix(prefix), limit=2)
    newest = records.rows_under(_HEADS, prefix, reverse=True, limit=1)
    found = dict([*below, *above, *newest])
    return [Known(_own(found[key]), found[key]) for key in sorted(found)]


def last_of(records: RecordsReader, node: Kid, log: Cid) -> Head | None:
    """The newest head accepted of a log."""
    return next((_own(data) for _, data in records.rows_under(_HEADS, node + log, reverse=True, limit=1)), None)


def is_followed(records: RecordsReader, node: Kid) -> bool:
    """Whether a head of a node is kept."""
    return next(records.rows_under(_LOGS, node + _CID_PREFIX, limit=1), None) is not None


def newest_heads(records: RecordsReader) -> Iterator[Followed]:
    """The newest head of every node that is followed, of the log that it began last, as far as is known."""
    latest: dict[Kid, tuple[int, Cid, bytes]] = {}
    for key, value in records.rows_under(_LOGS, KID_PREFIX):
        if len(key) == KID_BYTES + CID_BYTES:
            genesis, number = cbor2.loads(value)
            node = Kid(key[:KID_BYTES])
            if node not in latest or latest[node][0] < number:
                latest[node] = number, Cid(key[KID_BYTES:]), genesis
    for node, (_, log, genesis) in latest.items():
        for _, envelope in records.rows_under(_HEADS, node + log, reverse=True, limit=1):
            yield Followed(_own(envelope), envelope, genesis)


def heads_kept(records: RecordsReader) -> Iterator[tuple[Kid, Cid, int, bytes]]:
    """(node, log, seq, envelope) of every head that is kept."""
    for key, envelope in records.rows_under(_HEADS, b""):
        at = KID_BYTES + CID_BYTES
        yield Kid(key[:KID_BYTES]), Cid(key[KID_BYTES:at]), int.from_bytes(key[at:], "big"), envelope


def genesis_of(records: RecordsReader, node: Kid, log: Cid) -> bytes | None:
    """The envelope of a log's genesis."""
    value = records.row(_LOGS, node + log)
    return None if value is None else cbor2.loads(value)[0]


def _open_log(records: RecordsWriter, brought: Brought) -> None:
    node = brought.head.signer
    logs = sorted((cbor2.loads(value)[1], key) for key, value in records.rows_under(_LOGS, node + _CID_PREFIX))
    for _, key in logs[: max(0, len(logs) + 1 - limits.LOGS_PER_NODE)]:
        _keep_newest(records, node, Cid(key[KID_BYTES:]), 0)
        records.delete_row(_LOGS, key)
    followers = [number for number, key in logs if _follows(records, key, brought.head.log)]
    if followers:
        number = min(followers) - 1  # it was begun before one that is known already
    else:
        number = logs[-1][0] + 1 if logs else 0
        for _, key in logs:
            _keep_newest(records, node, Cid(key[KID_BYTES:]), 1)
    records.put_row(_LOGS, node + brought.head.log, cbor2.dumps([brought.note.genesis, number]))


def _follows(records: RecordsReader, key: bytes, log: Cid) -> bool:
    """Whether the log with this key names ``log`` as the one before it."""
    value = records.row(_LOGS, key)
    return value is not None and open_log_genesis(cbor2.loads(value)[0]).prev_log == log


def _keep_newest(records: RecordsWriter, node: Kid, log: Cid, count: int) -> None:
    keys = [key for key, _ in records.rows_under(_HEADS, node + log)]
    for key in keys[: max(0, len(keys) - count)]:
        records.delete_row(_HEADS, key)


def _own(envelope: bytes) -> Head:
    """The head in an envelope that was verified when it was accepted."""
    type, kid, payload, _ = decode_envelope(envelope, limits.HEAD_BYTES)
    assert type == HEAD_TYPE
    return parse_head(open_statement(payload, type, limits.HEAD_BYTES), kid)


# --- what others signed about this node


def remember(records: RecordsWriter, signer: Kid, envelope: bytes) -> None:
    """Keep a convergence-receipt of another node, and of what is kept of it the newest."""
    kept = [key for key, _ in records.rows_under(_CONVERGENCES, signer)]
    number = int.from_bytes(kept[-1][KID_BYTES:], "big") + 1 if kept else 0
    records.put_row(_CONVERGENCES, signer + number.to_bytes(8, "big"), envelope)
    for key in kept[: max(0, len(kept) + 1 - limits.CONVERGENCES_PER_PEER)]:
        records.delete_row(_CONVERGENCES, key)


def promises(records: RecordsReader, signer: Kid) -> Iterator[tuple[ConvergenceReceipt, bytes]]:
    """The convergence-receipts kept of a node with their envelopes, the newest first."""
    for _, envelope in records.rows_under(_CONVERGENCES, signer, reverse=True):
        type, kid, payload, _ = decode_envelope(envelope, limits.RECEIPT_BYTES)
        assert type == CONVERGENCE_RECEIPT
        yield parse_convergence_receipt(open_statement(payload, type, limits.RECEIPT_BYTES), kid), envelope


# --- looking at what is kept


def faults(records: RecordsReader) -> Iterator[tuple[str, str, str]]:
    """(table, subject, what is wrong) of everything kept of other nodes, every signature verified again."""
    before: Head | None = None
    for node, log, seq, envelope in heads_kept(records):
        at = f"{did_of(node)}, log {log}, head {seq}"
        genesis = genesis_of(records, node, log)
        if genesis is None:
            yield _HEADS, at, "its log is not known"
            continue
        try:
            head = open_note(HeadNote(envelope, genesis)).head
        except HoloError as error:
            yield _HEADS, at, f"is not valid: {error}"
            continue
        if (head.signer, head.log, head.seq) != (node, log, seq):
            yield _HEADS, at, "is another head"
        if before is not None and contradiction(before, head) is not None:
            yield _HEADS, at, "contradicts the one before"
        before = head
