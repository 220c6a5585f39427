"""Namespace states that go backwards, and a node that promised the later and signs a head over the earlier."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from holo.core import tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Statement
from holo.core.equivocation import Evidence
from holo.core.omission import find_omission
from holo.core.peer_receipts import Agreed, make_convergence_receipt
from holo.core.state import Catalog, Cited, NamespaceState, cited_value, endorsers_value, state_value
from tests.records import AT_MS, binding_record, content, kid
from tests.signing_node import SigningNode

GENESIS, POLICY = (Cid.of(DAG_CBOR, text) for text in (b"genesis", b"policy"))


@dataclass
class Promise:
    """A node that signed that it holds ``before``. ``objects`` are all there are to read."""

    node: SigningNode
    before: NamespaceState
    receipt: bytes
    objects: dict[Cid, bytes]

    def head_over(self, state: NamespaceState | None) -> bytes:
        """A head of the node, after the promise, over a catalog with this state alone."""
        return self.node.head(catalog_of(state, self.objects))

    def find(self, state: NamespaceState | None) -> Evidence | None:
        """What a head over this state leaves out."""
        return find_omission(self.receipt, self.head_over(state), "acme", self.objects.__getitem__)


def promise(names: Iterable[tuple[str, int]] = (("app:latest", 2), ("lib:latest", 1))) -> Promise:
    """A promise of a state with two policies and these names at these revs."""
    objects: dict[Cid, bytes] = {}
    before = state_of(objects, names)
    node = SigningNode()
    node.receipt("before")
    states = [Agreed("acme", GENESIS, before.as_statement().id)]
    receipt = node.logged(
        make_convergence_receipt(
            log=node.log.genesis.id, seq=1, at_ms=AT_MS, peer=kid("peer"), cites=None, states=states
        )
    )
    return Promise(node, before, receipt, objects)


def state_of(
    objects: dict[Cid, bytes], names: Iterable[tuple[str, int]], endorsers: Iterable[str] = ("root", "second")
) -> NamespaceState:
    """A state; what it is made of goes to ``objects``."""
    policies = tree.build(
        [(GENESIS, endorsers_value([kid("root")])), (POLICY, endorsers_value(kid(name) for name in endorsers))]
    )
    bindings = []
    for name, rev in names:
        statement = binding_record(GENESIS, POLICY, f"acme/{name}", content(f"{name} {rev}"), rev=rev).statement
        objects[statement.id] = statement.bytes
        bindings.append((name.replace(":", "/").encode(), cited_value([Cited(statement.id, (0,))])))
    current = tree.build(bindings)
    state = NamespaceState("acme", GENESIS, POLICY, None, policies.root, current.root, tree.EMPTY, len(bindings))
    for added in (policies.added, current.added, {tree.EMPTY: tree.EMPTY_NODE}):
        objects.update(added)
    keep(objects, state.as_statement())
    return state


def without_policy(objects: dict[Cid, bytes], state: NamespaceState) -> NamespaceState:
    """The state before its second policy."""
    policies = tree.build([(GENESIS, endorsers_value([kid("root")]))])
    objects.update(policies.added)
    earlier = replace(state, policy=GENESIS, policies=policies.root)
    keep(objects, earlier.as_statement())
    return earlier


def catalog_of(state: NamespaceState | None, objects: dict[Cid, bytes]) -> Cid:
    """The catalog with this state alone."""
    entries = [] if state is None else [(b"acme", state_value(state.as_statement().id))]
    namespaces = tree.build(entries)
    objects.update(namespaces.added)
    objects[tree.EMPTY] = tree.EMPTY_NODE
    return keep(objects, Catalog(namespaces.root, tree.EMPTY).as_statement()).id


def keep(objects: dict[Cid, bytes], statement: Statement) -> Statement:
    """Keep an object."""
    objects[statement.id] = statement.bytes
    return statement


Broken = Callable[[Promise], NamespaceState | None]

BROKEN: dict[str, Broken] = {
    "a namespace is gone": lambda made: None,
    "a policy is gone": lambda made: without_policy(made.objects, made.before),
    "an endorsement is gone": lambda made: state_of(made.objects, [("app:latest", 2)], ["root"]),
    "a name is gone": lambda made: state_of(made.objects, [("app:latest", 2)]),
    "a name went back": lambda made: state_of(made.objects, [("app:latest", 1), ("lib:latest", 1)]),
}
"""what is left out: the state that leaves it out."""

KEPT: dict[str, Broken] = {
    "the same": lambda made: made.before,
    "a name more": lambda made: state_of(made.objects, [("app:latest", 2), ("lib:latest", 1), ("new:latest", 1)]),
    "a later rev": lambda made: state_of(made.objects, [("app:latest", 3), ("lib:latest", 1)]),
    "an endorsement more": lambda made: state_of(
        made.objects, [("app:latest", 2), ("lib:latest", 1)], ["root", "second", "third"]
    ),
    "an endorsement more, and other names": lambda made: state_of(made.objects, [], ["root", "second", "third"]),
}
"""what an honest node may come to after the promise; under other policies names may go."""
