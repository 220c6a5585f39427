"""Rotating the key of a home's node: the old key signs for the new one, and is gone (spec 8.6).

The store goes on in a log of the new key, whose genesis names the last log of the old one. What hands over is the
moment in which ``identity/node.key`` is replaced: before it the home is the old node, whatever else was written; after
it the new one, and whoever opens the store next, by the statement in ``identity/successors``, opens its log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from holo.core.envelope import sign_payload
from holo.core.errors import Missing
from holo.core.keys import Kid
from holo.core.limits import SUCCESSORS
from holo.core.successor import Handover, make_successor, open_successor, read_handovers, write_handovers
from holo.store.home import Home, read_small, write_atomically
from holo.store.keyring import NODE, make_next_key, own_key, own_kid, use_next_key
from holo.store.store import Store


@dataclass(frozen=True, slots=True)
class Rotated:
    """What became of a node's key: the one before, the one now, and the file that peers need."""

    old: Kid
    new: Kid
    file: Path


def handovers_file(home: Home) -> Path:
    """Where the statements of a home's own node lie; they are no secret."""
    return home.identity / "successors"


def own_handovers(home: Home) -> list[Handover]:
    """The statements by which the keys of this home's node followed each other, the oldest first."""
    data = read_small(handovers_file(home))
    return [] if data is None else read_handovers(data)


def rotate_node_key(home: Home, clock_ms: Callable[[], int]) -> Rotated:
    """Give the node of this home a new key. The caller holds the home's lock; a crash leaves the old node or the new.

    Raises ``key-unknown`` for a home without a node, and what opening its store raises.
    """
    if own_kid(home, NODE) is None:
        raise Missing("key-unknown", f"no node has run on {home.path}, so it has no key", subject=str(home.path))
    old = own_key(home, NODE)
    store = Store(home.records, old, clock_ms=clock_ms, handovers=own_handovers(home))
    try:
        store.make_head()  # nobody can sign one later: all receipts of the log have to be below a head
    finally:
        store.close()
    new = make_next_key(home)
    statement = make_successor(old.kid, new.kid, clock_ms())
    record = tuple(sign_payload(statement.type, statement.bytes, key) for key in (old, new))
    # One for the old key may lie here from a rotation that did not get to its end: nobody was told of that.
    before = [item for item in own_handovers(home) if item.statement.node != old.kid]
    handovers = [*before, Handover(open_successor(record), record)][-SUCCESSORS:]
    write_atomically(handovers_file(home), write_handovers(handovers))
    use_next_key(home)
    Store(home.records, new, clock_ms=clock_ms, handovers=handovers).close()
    return Rotated(old.kid, new.kid, handovers_file(home))
