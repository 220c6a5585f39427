"""Policies on their way: a policy, who endorsed it so far, and what the next needs to judge it (spec section 2.10).

Keys that decide over a namespace together need not be in one place. A proposal is the file that goes from one to the
next. It carries the parent, so that what changes can be shown without a node, and the tree of the seal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from holo.core import codec, limits
from holo.core.envelope import Record, open_statement, verify_endorsement
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.keys import SIGNATURE_BYTES, Kid, did_of, kid_of
from holo.core.policy import KeySet, Policy, check_child, decode_policy

TYPE: Final = "policy-proposal"

_FIELDS: Final = ("v", "type", "policy", "parent", "endorsements", "nodes")


@dataclass(frozen=True, slots=True)
class Need:
    """A set of keys of which ``keys.threshold`` have to endorse, and how many of them did. ``whose`` names the set."""

    whose: str
    keys: KeySet
    have: int

    @property
    def met(self) -> bool:
        """Whether enough of them did."""
        return self.have >= self.keys.threshold


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy with its verified endorsements, its parent (None for a genesis), and nodes of its seal's tree."""

    policy: Policy
    parent: Policy | None
    endorsements: Mapping[Kid, bytes]
    nodes: tuple[bytes, ...] = ()

    def record(self) -> Record:
        """The record to send once it is complete."""
        return Record(self.policy.statement, self.endorsements)

    def needs(self) -> list[Need]:
        """Every set of keys that has to endorse it."""
        return list(_needs(self.policy, self.parent, self.endorsements))

    @property
    def complete(self) -> bool:
        """Whether nobody's endorsement is missing."""
        return all(need.met for need in self.needs())

    def awaited(self) -> list[Kid]:
        """The keys that could still give what is missing, each once."""
        found = (key for need in self.needs() if not need.met for key in need.keys.keys)
        return [key for key in dict.fromkeys(found) if key not in self.endorsements]


def encode_proposal(proposal: Proposal) -> bytes:
    """The bytes of the file. Raises ``too-large``."""
    data = codec.encode(
        {
            "v": 1,
            "type": TYPE,
            "policy": proposal.policy.statement.bytes,
            "parent": proposal.parent.statement.bytes if proposal.parent else None,
            "endorsements": [[bytes(kid), signature] for kid, signature in sorted(proposal.endorsements.items())],
            "nodes": list(proposal.nodes),
        }
    )
    if len(data) > limits.PROPOSAL_BYTES:
        detail = f"a proposal of {len(data)} bytes where at most {limits.PROPOSAL_BYTES} are allowed"
        raise Rejected("too-large", detail, subject=proposal.policy.ns)
    return data


def decode_proposal(data: bytes) -> Proposal:
    """The proposal in these bytes: its parent is its policy's, and every endorsement in it verifies.

    Raises what :func:`~holo.core.policy.decode_policy` and :func:`~holo.core.policy.check_child` raise, but not for
    what is still missing; also ``signature-invalid``, ``policy-parent-unknown``, ``too-large`` and ``field-*``.
    """
    value = open_statement(data, TYPE, limits.PROPOSAL_BYTES).value
    fields = Fields(value, "proposal", _FIELDS)
    policy = _policy(fields, "policy", value["policy"])
    parent = None if fields.null("parent") else _policy(fields, "parent", value["parent"])
    if policy.prev != (parent.id if parent else None):
        raise Rejected("policy-parent-unknown", f"the parent is not {policy.prev}", at="proposal.parent")
    if parent is not None:
        check_child(parent, policy, {*policy.roots.keys, *parent.roots.keys, *parent.recovery.keys})
    endorsements: dict[Kid, bytes] = {}
    for index, item in enumerate(fields.items("endorsements", limits.ENDORSEMENTS_PER_RECORD)):
        at = f"proposal.endorsements[{index}]"
        kid, signature = _endorsement(item, at)
        if kid <= max(endorsements, default=b""):
            raise Rejected("field-invalid", f"{at} is not in order of kid, or there twice", at=at)
        if not verify_endorsement(policy.statement, kid, signature):
            raise Rejected("signature-invalid", f"by {did_of(kid)}", at=at)
        endorsements[kid] = signature
    nodes = tuple(fields.items("nodes", limits.PROPOSAL_BYTES))
    if not all(type(node) is bytes and len(node) <= limits.NODE_BYTES for node in nodes):
        raise fields.fail("nodes", "holds something that is no node of a tree")
    return Proposal(policy, parent, endorsements, nodes)


def carried_nodes(every: Sequence[bytes], changed: Sequence[bytes]) -> tuple[bytes, ...]:
    """The nodes of a seal's tree that a proposal takes along: all, or only those no node has where all are too much."""
    return tuple(every if sum(map(len, every)) <= limits.PROPOSAL_NODES_BYTES else changed)


def _needs(policy: Policy, parent: Policy | None, endorsers: Collection[Kid]) -> Iterable[Need]:
    def need(whose: str, keys: KeySet) -> Need:
        return Need(whose, keys, sum(key in endorsers for key in keys.keys))

    if parent is None:
        yield need("roots", policy.roots)
        return
    yield need("roots", parent.roots)
    if policy.roots != parent.roots:
        yield need("new roots", policy.roots)
    if policy.roots != parent.roots or policy.recovery != parent.recovery:
        yield need("recovery", parent.recovery)


def _endorsement(item: Any, at: str) -> tuple[Kid, bytes]:
    if not (isinstance(item, list) and len(item) == 2 and all(type(part) is bytes for part in item)):
        raise Rejected("field-invalid", f"{at} is not a kid and a signature", at=at)
    if len(item[1]) != SIGNATURE_BYTES:
        raise Rejected("field-invalid", f"{at} has a signature of {len(item[1])} bytes", at=at)
    return kid_of(item[0]), item[1]


def _policy(fields: Fields, name: str, data: Any) -> Policy:
    if type(data) is not bytes:
        raise fields.fail(name, "is not the bytes of a policy")
    return decode_policy(data)
