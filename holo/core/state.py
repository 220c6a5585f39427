"""Namespace states and catalogs: the objects whose CIDs commit to everything that decides (spec section 3).

Both are plain DAG-CBOR objects, not signed: heads name them by CID. The values of the trees they point to are turned
into typed pairs here, and back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, cast

from holo.core import limits, names
from holo.core.chain import HeldCode
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Statement, make_statement, open_statement
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.keys import Kid, kid_of
from holo.core.tree_node import encode_value

STATE_TYPE: Final = "namespace-state"
CATALOG_TYPE: Final = "catalog"

_HELD_CODES: Final = ("rivals", "seal")


@dataclass(frozen=True, slots=True)
class NamespaceState:
    """One namespace as committed. ``policies``, ``bindings`` and ``pending`` are tree roots.

    ``policy`` is the one in effect. ``held`` is None, or the reason and the policy it is about; then the rest is the
    view of the policy last in effect. ``count`` is how many names have a current statement.
    """

    ns: str
    genesis: Cid
    policy: Cid
    held: tuple[HeldCode, Cid] | None
    policies: Cid
    bindings: Cid
    pending: Cid
    count: int

    def as_statement(self) -> Statement:
        """The object: its bytes, and the id that a catalog's tree names."""
        return make_statement(
            {
                "v": 1,
                "type": STATE_TYPE,
                "ns": self.ns,
                "genesis": self.genesis,
                "policy": self.policy,
                "held": None if self.held is None else list(self.held),
                "policies": self.policies,
                "bindings": self.bindings,
                "pending": self.pending,
                "count": self.count,
            }
        )


@dataclass(frozen=True, slots=True)
class Catalog:
    """The roots of the tree of namespace states (by name) and of the tree of evidence (by subject)."""

    namespaces: Cid
    evidence: Cid

    def as_statement(self) -> Statement:
        """The object: its bytes, and the id that a head names."""
        return make_statement({"v": 1, "type": CATALOG_TYPE, "namespaces": self.namespaces, "evidence": self.evidence})


@dataclass(frozen=True, slots=True)
class Cited:
    """A statement as trees cite it: its id, and the positions of its endorsers in the policy it cites."""

    statement: Cid
    positions: tuple[int, ...]


def decode_namespace_state(data: bytes) -> NamespaceState:
    """The namespace state these bytes are. Raises ``too-large``, ``cbor-invalid``, ``type-mismatch``, ``field-*``."""
    fields = Fields(open_statement(data, STATE_TYPE, limits.STATE_BYTES).value, "payload", _STATE_FIELDS)
    ns = fields.text("ns", limits.NAMESPACE_BYTES)
    names.check_namespace(ns)
    return NamespaceState(
        ns=ns,
        genesis=fields.link("genesis"),
        policy=fields.link("policy"),
        held=_held(fields),
        policies=_root(fields, "policies"),
        bindings=_root(fields, "bindings"),
        pending=_root(fields, "pending"),
        count=fields.integer("count"),
    )


def decode_catalog(data: bytes) -> Catalog:
    """The catalog these bytes are. Raises ``too-large``, ``cbor-invalid``, ``type-mismatch`` or ``field-*``."""
    fields = Fields(open_statement(data, CATALOG_TYPE, limits.STATE_BYTES).value, "payload", _CATALOG_FIELDS)
    return Catalog(_root(fields, "namespaces"), _root(fields, "evidence"))


def cited_value(cited: Iterable[Cited]) -> list[Any]:
    """The tree value of ``cited``, in the order given."""
    return [[item.statement, list(item.positions)] for item in cited]


def parse_current(value: Sequence[Any]) -> tuple[Cited, ...]:
    """The one or two current statements that a value of the bindings tree, or of a seal's, holds."""
    if len(value) > 2:
        raise _broken(f"{len(value)} statements where a name has at most two")
    return _cited(value)


def parse_pending(value: Sequence[Any]) -> tuple[Cited, ...]:
    """The statements that a value of the pending tree holds. Their order can only be judged with their revisions."""
    return _cited(value)


def shown_pending(waiting: Iterable[tuple[Cited, int]]) -> list[Cited]:
    """What a name shows of all that waits for it, given in order, each with the number of signers of the cited policy.

    As many as one tree value has room for if all of these signers had endorsed each. So where it is cut depends on
    which statements come first and never on how many endorsements of them are known: a node that knew one more of the
    last statement would not show it, the others would never learn why, and their states would differ for ever. What is
    cut off is not part of the state until something before it goes.
    """
    shown = []
    room = limits.TREE_VALUE_BYTES
    for cited, signers in waiting:
        room -= len(encode_value(cited_value([Cited(cited.statement, tuple(range(signers)))])))
        if room < 0:
            break
        shown.append(cited)
    return shown


def endorsers_value(endorsers: Iterable[Kid]) -> list[Any]:
    """The value of the policies tree for a policy with these endorsers."""
    return sorted(bytes(kid) for kid in endorsers)


def parse_endorsers(value: Sequence[Any]) -> tuple[Kid, ...]:
    """The kids that a value of the policies tree holds: at least one, distinct, in order."""
    if not all(type(kid) is bytes for kid in value):
        raise _broken("an endorser is not a kid")
    _require_ascending(value, "endorsers")
    return tuple(kid_of(kid) for kid in value)


def state_value(state: Cid) -> list[Any]:
    """The value of a catalog's tree of namespaces."""
    return [state]


def parse_state_value(value: Sequence[Any]) -> Cid:
    """The id of the namespace state that a value of a catalog's tree holds."""
    return _single_link(value)


_STATE_FIELDS: Final = (
    "v", "type", "ns", "genesis", "policy", "held", "policies", "bindings", "pending", "count",
)  # fmt: skip
_CATALOG_FIELDS: Final = ("v", "type", "namespaces", "evidence")


def _root(fields: Fields, name: str) -> Cid:
    root = fields.link(name)
    if root.codec != DAG_CBOR:
        raise fields.fail(name, "is not a link to a tree")
    return root


def _held(fields: Fields) -> tuple[HeldCode, Cid] | None:
    if fields.null("held"):
        return None
    code, policy = fields.items("held", 2, least=2)
    if code not in _HELD_CODES or not isinstance(policy, Cid):
        raise fields.fail("held", "is not a reason and a policy")
    return cast(HeldCode, code), policy


def _cited(value: Sequence[Any]) -> tuple[Cited, ...]:
    found = []
    for item in value:
        if not (isinstance(item, list) and len(item) == 2 and isinstance(item[0], Cid) and isinstance(item[1], list)):
            raise _broken("an item is not a statement and positions")
        statement, positions = item
        if not 1 <= len(positions) <= limits.SIGNERS:
            raise _broken(f"a statement with {len(positions)} endorsers")
        if not all(type(at) is int and 0 <= at < limits.SIGNERS for at in positions):
            raise _broken("an endorser's position is not one a policy can have")
        _require_ascending(positions, "positions")
        found.append(Cited(statement, tuple(positions)))
    if len({item.statement for item in found}) != len(found):
        raise _broken("a statement is named twice")
    return tuple(found)


def _single_link(value: Sequence[Any]) -> Cid:
    if len(value) != 1 or not isinstance(value[0], Cid):
        raise _broken("a namespace has more or other than the link to its state")
    return value[0]


def _require_ascending(items: Sequence[Any], what: str) -> None:
    if any(one >= other for one, other in pairwise(items)):
        raise _broken(f"{what} are repeated or out of order")


def _broken(detail: str) -> Rejected:
    return Rejected("tree-invalid", detail)
