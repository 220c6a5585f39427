"""A second opinion on what nodes came to: the rules once more, over all that any honest node holds at the end.

`tests.laws.model` works the state of a namespace out of a set of records, in plain Python. Here the set is read from
the stores, record by record as they were accepted; endorsements of what is partial stay apart, as they came.
"""

from __future__ import annotations

from collections.abc import Iterator

from holo.core import codec
from holo.core.binding import decode_binding
from holo.core.cid import Cid
from holo.core.envelope import Record, Statement
from holo.core.keys import Kid
from holo.store.view import View
from tests.laws.model import Item, Realm


class Records:
    """Everything that was accepted about some namespaces, whoever holds it."""

    def __init__(self) -> None:
        self._policies: dict[tuple[int, Cid, tuple[Kid, ...]], Item] = {}
        self._bindings: dict[tuple[Cid, tuple[Kid, ...]], Item] = {}

    def gather(self, view: View, ns: str) -> None:
        """Add what one store holds of a namespace."""
        nodes = tuple(bytes(data) for _, data in view.records._r.range("seals", b""))
        for cid, _ in view.records.policy_rows(ns):
            policy = view.policy(cid)
            record = Record(policy.statement, view.records.endorsements(cid))
            item = Item(record, nodes if policy.seal is not None else ())
            self._policies[policy.seq, cid, tuple(sorted(record.endorsements))] = item
        for record in _bindings(view, ns):
            self._bindings[record.statement.id, tuple(sorted(record.endorsements))] = Item(record)

    def state(self, ns: str, genesis: Cid) -> Cid:
        """The id of the state that follows."""
        policies = [self._policies[place] for place in sorted(self._policies)]
        items = [item for item in (*policies, *self._bindings.values()) if item.record.statement.value["ns"] == ns]
        return codec.cid_of(Realm(ns, genesis, items).decide().state())


def _bindings(view: View, ns: str) -> Iterator[Record]:
    for path in view.records.paths(ns):
        for _, past in view.records.history(ns, path):
            yield Record(_statement(view, past.id), view.records.endorsements(past.id))
        for boxed in view.records.boxes(ns, path):
            yield Record(_statement(view, boxed.id), {boxed.kid: boxed.signature})


def _statement(view: View, cid: Cid) -> Statement:
    return decode_binding(view.object(cid)).statement
