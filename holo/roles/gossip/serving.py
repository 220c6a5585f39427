"""What this node answers peers: objects and records out of one snapshot, as much as one answer carries.

All of it is public, and what one question costs is bounded by what it may ask for. It may run in a thread: whoever
answers elsewhere goes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import cbor2

from holo.core import limits, policy
from holo.core.carried import Kind
from holo.core.cid import Cid
from holo.core.errors import Missing
from holo.core.keys import Kid
from holo.core.messages import (
    Answer,
    Carried,
    Objects,
    Proof,
    Question,
    Range,
    Records,
    Span,
    Want,
    WantProof,
    WantRange,
    WantRecords,
    cut_objects,
    cut_records,
)
from holo.store import bindings
from holo.store.evidence import evidence_bytes
from holo.store.store import Store
from holo.store.turn import Turn
from holo.store.view import View

_Item = TypeVar("_Item")


def answer(store: Store, question: Question) -> Answer:
    """The answer to ``question`` from what the store holds now."""
    with store.view() as view:
        match question:
            case Want(id, cids):
                return Objects(id, cut_objects(_giving_way(store.turn, (_object(view, cid) for cid in cids))))
            case WantRecords(id, statements):
                found = (carried(view, statement) for statement in statements)
                return Records(id, cut_records(_giving_way(store.turn, found)))
            case WantRange(id, spans):
                return _range(view, store.turn, id, spans)
            case WantProof():
                return Proof(question.id, _proof(view, question))


def is_small(question: Question) -> bool:
    """Whether the answer is sooner made than handed to a thread."""
    match question:
        case Want(_, wanted) | WantRecords(_, wanted):
            return len(wanted) <= limits.OPENED_INLINE
        case WantRange():
            return False
        case WantProof():
            return True


def carried(view: View, statement: Cid) -> Carried | None:
    """What is held of a statement: a policy, a complete binding or one that is pending; else None."""
    records = view.records
    payload = records.payload(statement)
    if payload is None:
        return None
    value = cbor2.loads(payload, tag_hook=_link)  # it was decoded strictly before it was stored
    if value["type"] == policy.TYPE:
        return _carry("policy", payload, records.endorsements(statement))
    ns, path, rev = value["ns"], f"{value['handle']}/{value['tag']}", value["rev"]
    if records.past(ns, path, rev, statement):
        return _carry("binding", payload, records.endorsements(statement))
    boxed = bindings.boxed(records, view.policy(value["policy"]), path, rev, statement)
    return _carry("pending", payload, boxed) if boxed else None


def _object(view: View, cid: Cid) -> bytes | None:
    try:
        return view.records.node(cid)
    except Missing:
        return evidence_bytes(view.records, cid)


def _range(view: View, turn: Turn, id: int, spans: Iterable[Span]) -> Range:
    """What is current, span after span; a span this node does not host has nothing in it."""
    taken: list[Carried] = []
    room = limits.ANSWER_BYTES
    for index, span in enumerate(spans):
        row = view.records.namespace(span.ns)
        if row is None or row.genesis != span.genesis:
            continue
        after = span.after
        for path, standings in _giving_way(turn, view.records.currents(span.ns, after=after)):
            found = [_complete(view, item.id) for item in standings]
            room -= sum(item.size_bytes for item in found)
            if taken and (room < 0 or len(taken) + len(found) > limits.RECORDS_PER_RANGE):
                return Range(id, tuple(taken), (index, after))
            taken += found
            after = path
    return Range(id, tuple(taken), None)


def _complete(view: View, statement: Cid) -> Carried:
    payload = view.records.payload(statement)
    assert payload is not None, "what is current is held"
    return _carry("binding", payload, view.records.endorsements(statement))


def _carry(kind: Kind, payload: bytes, endorsements: dict[Kid, bytes]) -> Carried:
    return Carried(kind, bytes(payload), tuple((kid, bytes(endorsements[kid])) for kid in sorted(endorsements)))


def _proof(view: View, question: WantProof) -> tuple[bytes, ...] | None:
    """Of the current log only: of an earlier one nobody gets more to see than they have seen."""
    state = view.log
    if question.log != state.id or question.new > state.size:
        return None
    return tuple(view.consistency(question.old, question.new))


def _link(tag: Any, immutable: Any = None) -> Cid:
    return Cid(tag.value[1:])


def _giving_way(turn: Turn, items: Iterable[_Item]) -> Iterator[_Item]:
    for item in items:
        if turn.taken:
            turn.give_way()
        yield item
