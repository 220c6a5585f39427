"""Successors: how a node's key hands over to the next (spec 8.6).

A *successor* statement names one key that follows another. Both sign it: the predecessor, so that nobody takes a node's
place unasked, and the successor, so that no node is named as another's who is not. Of two that contradict each other
neither is followed: who holds the old key cannot be told from who stole it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from holo.core import codec
from holo.core.cid import Cid
from holo.core.envelope import Statement, make_statement, open_record
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.keys import Kid, did_of
from holo.core.limits import SUCCESSOR_BYTES, SUCCESSORS

SUCCESSOR_TYPE: Final = "successor"
_FILE_BYTES: Final = 1 << 20  # thousands of statements: more than a node has peers


@dataclass(frozen=True, slots=True)
class Successor:
    """A verified statement: ``successor`` follows ``node``, as both have signed."""

    id: Cid
    node: Kid
    successor: Kid
    at_ms: int


@dataclass(frozen=True, slots=True)
class Handover:
    """A verified statement with the record that proves it."""

    statement: Successor
    record: tuple[bytes, ...]


def make_successor(node: Kid, successor: Kid, at_ms: int) -> Statement:
    """The payload, for both keys to sign."""
    return make_statement(
        {"v": 1, "type": SUCCESSOR_TYPE, "node": bytes(node), "successor": bytes(successor), "at_ms": at_ms}
    )


def open_successor(envelopes: Sequence[bytes]) -> Successor:
    """The statement of this record, verified.

    Raises ``successor-invalid`` where a key follows itself, or where not exactly the two keys have signed.
    """
    record = open_record(envelopes, SUCCESSOR_TYPE, SUCCESSOR_BYTES)
    fields = Fields(record.statement.value, "payload", ("v", "type", "node", "successor", "at_ms"))
    node, successor = fields.key("node"), fields.key("successor")
    if node == successor:
        raise Rejected("successor-invalid", f"{did_of(node)} follows itself", at="payload.successor")
    if record.endorsements.keys() != {node, successor}:
        raise Rejected("successor-invalid", "signed by others than the two keys, or by one of them alone")
    return Successor(record.statement.id, node, successor, fields.integer("at_ms"))


def follow(node: Kid, known: Iterable[Successor]) -> Kid:
    """The key that ``node`` has handed over to by the statements ``known``, whatever their order; itself if none.

    A key with two successors is the end of the way: neither is followed. Raises ``successor-invalid`` for a way that
    returns to where it was, or is longer than ``SUCCESSORS``.
    """
    after: dict[Kid, set[Kid]] = {}
    for statement in known:
        after.setdefault(statement.node, set()).add(statement.successor)
    passed = {node}
    while len(after.get(node, ())) == 1:
        (node,) = after[node]
        if node in passed or len(passed) > SUCCESSORS:
            raise Rejected("successor-invalid", f"no end of successors: {did_of(node)} again, or too many")
        passed.add(node)
    return node


def read_handovers(data: bytes) -> list[Handover]:
    """The records of a file of successors (spec 8.6), each verified.

    Raises ``successor-invalid`` for what is no such file, and what opening a record raises.
    """
    value = codec.decode(data, _FILE_BYTES)
    if not isinstance(value, list) or not all(isinstance(item, list) for item in value):
        raise Rejected("successor-invalid", "not a list of records")
    if not all(isinstance(envelope, bytes) for item in value for envelope in item):
        raise Rejected("successor-invalid", "a record is a list of envelopes")
    return [Handover(open_successor(item), tuple(item)) for item in value]


def write_handovers(handovers: Iterable[Handover]) -> bytes:
    """The file with these records."""
    return codec.encode([list(handover.record) for handover in handovers])
