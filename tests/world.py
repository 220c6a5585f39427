"""A small world made with `holo.core` alone: namespaces as sets of records, and a node that signs what they say.

`Namespace` (from `tests.reference`) works out its state from the set of everything that arrived. `Node` builds trees,
heads and receipts over namespaces and is a `BundleSource`. Keys, times and nonces are fixed, so everything here has
the same bytes in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from holo.core import log, tree
from holo.core.binding import parse_binding
from holo.core.cid import Cid
from holo.core.consumer import ConsumerPolicy, decode_consumer_policy
from holo.core.decision import Decision, Query
from holo.core.envelope import Record, Statement
from holo.core.errors import Missing
from holo.core.head import Head, make_head, make_log_genesis, open_head, sign
from holo.core.keys import Kid
from holo.core.names import Name
from holo.core.policy import parse_policy
from holo.core.receipt import (
    BindingState,
    Logged,
    PolicyState,
    make_binding_receipt,
    make_denial_receipt,
    make_policy_receipt,
    make_resolve_receipt,
)
from holo.core.resolve import decide
from holo.core.state import Catalog, state_value
from tests.records import AT_MS, EVERYTHING, binding_record, content, key, kid, policy_record
from tests.reference import Derived, Namespace

__all__ = [
    "AT_MS",
    "EVERYTHING",
    "Derived",
    "Namespace",
    "Node",
    "binding_record",
    "content",
    "key",
    "kid",
    "policy_record",
]


@dataclass
class Node:
    """A node over some namespaces: a log of receipts, heads over catalogs, answers. It is a `BundleSource`."""

    namespaces: list[Namespace]
    name: str = "node"
    at_ms: int = AT_MS
    objects: dict[Cid, bytes] = field(default_factory=dict)
    receipts: list[bytes] = field(default_factory=list)
    heads: dict[Cid, tuple[Head, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        genesis = make_log_genesis(node=self.kid, nonce=blake3(self.name.encode()).digest()[:16])
        self.log = genesis.id
        self._log_genesis = sign(genesis, key(self.name))
        self._hashes: dict[tuple[int, int], bytes] = {}
        self._derived: dict[str, Derived] = {}
        self._head: Head | None = None

    @property
    def kid(self) -> Kid:
        """The node's key."""
        return kid(self.name)

    @property
    def newest(self) -> Head:
        """The newest head."""
        assert self._head is not None, "no head was signed yet"
        return self._head

    def sign(self, statement: Statement) -> bytes:
        """The node's COSE_Sign1 of a statement."""
        return sign(statement, key(self.name))

    # --- receipts

    def log_binding(
        self, record: Record, state: BindingState = "current", *, endorsers: Iterable[Kid] | None = None
    ) -> bytes:
        """Log the receipt of a binding."""
        binding = parse_binding(record.statement)
        made = make_binding_receipt(
            binding,
            **self._place(),
            state=state,
            endorsers=list(record.endorsements if endorsers is None else endorsers),
        )
        return self.append(made)

    def log_policy(self, record: Record, genesis: Cid, state: PolicyState = "effective") -> bytes:
        """Log the receipt of a policy."""
        policy = parse_policy(record.statement)
        return self.append(
            make_policy_receipt(
                policy, **self._place(), genesis=genesis, state=state, endorsers=list(record.endorsements)
            )
        )

    def log_denial(self, record: Record, code: str) -> bytes:
        """Log that a binding was refused."""
        (requester, *_) = record.endorsements
        made = make_denial_receipt(
            **self._place(), action="publish", subject=record.statement.id, code=code, rule="", requester=requester
        )
        return self.append(made)

    def _place(self) -> dict[str, Any]:
        return {"log": self.log, "seq": len(self.receipts), "at_ms": self.at_ms}

    def append(self, statement: Statement) -> bytes:
        """Log a receipt, whatever it says, and return its envelope."""
        for level, index, value in log.append(len(self.receipts), log.leaf_hash(statement.id), self._hash):
            self._hashes[level, index] = value
        self.receipts.append(self.sign(statement))
        return self.receipts[-1]

    def _hash(self, level: int, index: int) -> bytes:
        return self._hashes[level, index]

    # --- heads and answers

    def take_head(self, alter: Callable[[Derived], Derived] | None = None) -> Head:
        """Sign a head over the namespaces as they are now, or as a lying node would alter them."""
        self._derived = {item.ns: alter(item.derive()) if alter else item.derive() for item in self.namespaces}
        states = {ns: derived.state.as_statement() for ns, derived in self._derived.items()}
        for derived in self._derived.values():
            self.objects.update(derived.objects)
        namespaces = tree.build((ns.encode(), state_value(state.id)) for ns, state in states.items())
        self.objects.update(namespaces.added)
        for namespace in self.namespaces:
            self.objects.update(namespace.nodes)
        catalog = Catalog(namespaces.root, tree.EMPTY).as_statement()
        self.objects[catalog.id] = catalog.bytes
        statement = make_head(
            log=self.log,
            seq=self._head.seq + 1 if self._head else 0,
            prev=self._head.id if self._head else None,
            catalog=catalog.id,
            log_size=len(self.receipts),
            log_root=log.root(len(self.receipts), self._hash),
            at_ms=self.at_ms,
        )
        envelope = self.sign(statement)
        self._head = open_head(envelope)
        self.heads[self._head.id] = (self._head, envelope)
        return self._head

    def keep_consumer_policy(self, statement: Statement) -> ConsumerPolicy:
        """Keep a consumer policy pack for readers to name."""
        self.objects[statement.id] = statement.bytes
        return decode_consumer_policy(statement.bytes)

    def decide(self, name: str, policy_ref: Cid | None = None) -> Decision:
        """The decision about a name on the state of the newest head."""
        query = Query(Name.parse(name), policy_ref)
        derived = self._derived.get(query.name.namespace)
        consumer = None
        if policy_ref is not None and policy_ref in self.objects:
            consumer = decode_consumer_policy(self.objects[policy_ref])
        return decide(query, derived.view(query.name.path) if derived else None, consumer)

    def resolve(self, name: str, policy_ref: Cid | None = None) -> bytes:
        """The resolve-receipt of a name, on the newest head."""
        decision = self.decide(name, policy_ref)
        return self.sign(
            make_resolve_receipt(
                node=self.kid, at_ms=self.at_ms, decision=decision, catalog=self.newest.catalog, head=self.newest.id
            )
        )

    # --- BundleSource

    def object(self, cid: Cid) -> bytes:
        """See `BundleSource`."""
        return _present(self.objects.get(cid), cid)

    def payload(self, statement: Cid) -> bytes:
        """See `BundleSource`."""
        found = (item.payload(statement) for item in self.namespaces)
        return _present(next((data for data in found if data is not None), None), statement)

    def endorsements(self, statement: Cid) -> Mapping[Kid, bytes]:
        """See `BundleSource`."""
        return {who: signature for item in self.namespaces for who, signature in item.endorsements(statement).items()}

    def head(self, cid: Cid) -> bytes:
        """See `BundleSource`."""
        return self.heads[cid][1]

    def log_genesis(self, cid: Cid) -> bytes:
        """See `BundleSource`."""
        return _present(self._log_genesis if cid == self.log else None, cid)

    def covering_head(self, receipt: Logged) -> Cid:
        """See `BundleSource`."""
        return self.newest.id

    def inclusion(self, receipt: Logged, head: Head) -> Sequence[bytes]:
        """See `BundleSource`."""
        return log.inclusion_proof(receipt.seq, head.log_size, self._hash)


def _present(data: bytes | None, cid: Cid) -> bytes:
    if data is None:
        raise Missing("not-found", str(cid))
    return data
