"""Vectors of section 0.2: the same records in several orders, and the one state they give."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holo.core import tree
from holo.core.decision import Query
from holo.core.names import Name
from holo.core.resolve import decide
from holo.core.state import Catalog, state_value
from tests.reference import Namespace
from tests.vectors import scenarios
from tests.vectors.form import Group, Json, dag_json, envelopes


def groups() -> Iterator[Group]:
    """The group of this section."""
    group = Group(
        "merges",
        "The law (0.2): each of `orders` brings the same `records` and gives this state, catalog and these decisions. "
        "`nodes` are tree nodes that come with a record: those of its seal. A record that brings a node's mailbox "
        "nothing it keeps may be refused with pending-full.",
    )
    for name, namespaces in scenarios.scenarios():
        _add(group, name, namespaces)
    yield group


def _add(group: Group, name: str, namespaces: Sequence[Namespace]) -> None:
    records: dict[str, Json] = {}
    needs: dict[str, list[str]] = {}
    states, ids, decisions = {}, {}, {}
    for namespace in namespaces:
        derived = namespace.derive()
        state = derived.state.as_statement()
        states[namespace.ns], ids[namespace.ns] = state, str(state.id)
        first_with: dict[str, str] = {}
        for index, record in enumerate(namespace.records):
            label = f"{namespace.ns}.{index}"
            entry: dict[str, Json] = {"type": record.statement.type, "envelopes": envelopes(record)}
            value = record.statement.value
            seal = value.get("seal")
            if seal is not None:
                entry["nodes"] = [data.hex() for data in _tree_nodes(namespace, seal)]
            cited = value["prev"] if record.statement.type == "policy" else value["policy"]
            needs[label] = [first_with[str(cited)]] if cited is not None else []
            first_with.setdefault(str(record.statement.id), label)
            records[label] = entry
        for path in sorted({*derived.current, *derived.pending, "absent/latest"}):
            handle, _, tag = path.rpartition("/")
            text = f"{namespace.ns}/{handle}:{tag}"
            decision = decide(Query(Name.parse(text)), derived.view(path), None)
            decisions[text] = {"outcome": decision.outcome, "id": str(decision.as_statement().id)}
    root = tree.build((ns.encode(), state_value(state.id)) for ns, state in states.items()).root
    result = {
        "states": {ns: dag_json(state.value) for ns, state in states.items()},
        "ids": ids,
        "catalog": str(Catalog(root, tree.EMPTY).as_statement().id),
        "decisions": decisions,
    }
    group.valid(name, "merge", result, records=records, orders=_orders(name, list(records), needs))


def _tree_nodes(namespace: Namespace, seal: Any) -> Iterator[bytes]:
    """The nodes of a seal, as far as they were learned."""
    if seal in namespace.nodes:
        yield from (data for _, data in tree.walk(namespace.nodes.__getitem__, seal))


def _orders(name: str, labels: list[str], needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Some of the orders that bring what is cited first: as made, as late as can be, and shuffled."""
    rng = random.Random(name)  # the same in every run
    wishes = [labels, labels[::-1], *(rng.sample(labels, len(labels)) for _ in range(2))]
    orders: list[list[str]] = []
    for wish in wishes:
        order: list[str] = []
        while len(order) < len(labels):
            order.append(next(one for one in wish if one not in order and all(need in order for need in needs[one])))
        if order not in orders:
            orders.append(order)
    return orders
