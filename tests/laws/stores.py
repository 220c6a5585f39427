"""Real stores for the laws: a node that is fed items in any order, and what it then says."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from holo.core import tree
from holo.core.binding import parse_binding
from holo.core.cid import Cid
from holo.core.decision import Query
from holo.core.errors import HoloError
from holo.core.names import Name
from holo.core.policy import parse_policy
from holo.store.fsck import check_store
from holo.store.ledger import BindingSubmission, Hosting, PolicySubmission
from holo.store.policies import PolicyCache
from holo.store.snapshot import catalog_from_records
from holo.store.store import Request, Result, Store
from holo.store.view import View
from tests.laws.model import Item, Model
from tests.laws.world import PATHS, World
from tests.records import content, key

_numbers = itertools.count()


class Node:
    """One node's store in a folder of its own, and the model of what was delivered to it."""

    def __init__(self, folder: Path, hosted: dict[str, Cid], name: str = "node") -> None:
        self._path = folder / f"{name}-{next(_numbers)}"
        self._key = key(name)
        self.hosted = hosted
        self.model = Model(hosted)
        self._answered: list[tuple[Cid, dict[Query, bytes]]] = []
        self.store = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the store up and remove it."""
        self.store.close()
        shutil.rmtree(self._path)

    def _open(self) -> Store:
        hosting = Hosting(open=False, pinned=self.hosted)
        return Store(
            self._path, self._key, clock_ms=lambda: next(_numbers), hosting=hosting, map_bytes=1 << 26, keep_heads=3
        )

    def reopen(self) -> None:
        """What a restart does."""
        self.store.close()
        self.store = self._open()

    def deliver(self, *items: Item, apart: bool = False) -> list[Result]:
        """Commit items in one transaction, as one request or each as its own."""
        self.model.learn(*items)
        submissions = [submission_of(item) for item in items]
        requests = [Request([item]) for item in submissions] if apart else [Request(submissions)]
        return [result for results in self.store.commit(requests) for result in results]

    def deliver_together(self, *items: Item) -> list[Result]:
        """Commit items as all or none; what was rolled back has not been delivered."""
        (results,) = self.store.commit([Request([submission_of(item) for item in items], atomic=True)])
        if not any(isinstance(result, HoloError) for result in results):
            self.model.learn(*items)
        return results

    def catalog(self) -> Cid:
        """The catalog of a new head."""
        catalog = self.store.make_head().statement.value["catalog"]
        assert isinstance(catalog, Cid)
        return catalog

    def policy(self, world: World) -> Cid:
        """The policy in effect."""
        with self.store.view() as view:
            return view.namespace(world.ns).policy

    def check_catalog(self) -> Cid:
        """That a new head's catalog is the model's; where not, say what differs. Returns it."""
        catalog = self.catalog()
        for ns in self.hosted:
            _compare(self._committed(ns) or {}, self.model.contents(ns) or {})
        assert catalog == self.model.catalog(), "the catalog is not the model's"
        return catalog

    def _committed(self, ns: str) -> dict[str, Any] | None:
        """What the last head commits to of a namespace, trees opened."""
        with self.store.view() as view:
            head = view.head()
            assert head is not None
            state = view.namespace_state(view.catalog(head[0].catalog), ns)
            if state is None:
                return None
            return {
                "policy": state.policy,
                "held": state.held,
                "policies": dict(tree.iterate(view.records.node, state.policies)),
                "bindings": dict(tree.iterate(view.records.node, state.bindings)),
                "pending": dict(tree.iterate(view.records.node, state.pending)),
            }

    def check(self, world: World) -> None:
        """That the node agrees with the model: one catalog, and one decision per question, live and committed."""
        catalog = self.check_catalog()
        with self.store.view() as view:
            assert catalog_from_records(view.records, PolicyCache()) == catalog, (
                "the trees have drifted from the records"
            )
            answers = {query: self.model.decision(query) for query in questions(world)}
            for query, expected in answers.items():
                assert view.decide(query).as_statement().bytes == expected, f"live decision about {query}"
            self._answered.append((catalog, answers))
            self._check_answers(view)

    def check_soundness(self) -> None:
        """That nothing in the store contradicts the records, signatures and trees of every kept head included."""
        with self.store.view() as view:
            assert [*check_store(view.records, self.store.key.kid)] == []

    def _check_answers(self, view: View) -> None:
        """That every catalog kept since it was last checked still gives the decisions it gave then."""
        kept = [(catalog, answers) for catalog, answers in self._answered if view.records.has_node(catalog)]
        for catalog, answers in kept:
            committed = view.catalog(catalog)
            for query, expected in answers.items():
                assert view.decide_at(query, committed).as_statement().bytes == expected, f"decision about {query}"
        assert kept, "the newest is kept"
        self._answered = kept


def _compare(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Fail with what differs, and where."""
    for part in found | expected:
        assert found.get(part) == expected.get(part), f"{part} is not as the model has it"


def submission_of(item: Item) -> PolicySubmission | BindingSubmission:
    """What the registry makes of a record that came."""
    if item.kind == "policy":
        return PolicySubmission(parse_policy(item.record.statement), item.record, item.nodes)
    return BindingSubmission(parse_binding(item.record.statement), item.record)


def questions(world: World) -> Iterable[Query]:
    """Every name of a world by itself, and some names with every policy there is and with pins."""
    for path in PATHS:
        handle, _, tag = path.rpartition("/")
        yield Query(Name(world.ns, handle, tag))
        yield Query(Name(world.ns, handle, tag, content("one")))
    for statement in world.statements.values():
        if statement.type == "policy":
            yield Query(Name(world.ns, "app", "dev"), statement.id)
    yield Query(Name("elsewhere", "app", "dev"))


def permitted(items: Sequence[Item], model: Model) -> list[Item]:
    """``items`` with every record that comes too early delivered again as soon as it may be.

    A record before the policy it builds on is refused and leaves nothing, so it is there twice.
    """
    order: list[Item] = []
    early: list[Item] = []
    arriving = Model(model.hosted)
    arriving.learn(*model.items)
    for item in items:
        order.append(item)
        if not arriving.ready(item):
            early.append(item)
            continue
        arriving.learn(item)
        while ready := next((other for other in early if arriving.ready(other)), None):
            early.remove(ready)
            order.append(ready)
            arriving.learn(ready)
    return order
