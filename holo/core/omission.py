"""A promise that was not kept: a convergence-receipt, and a later head of its log without what it said (section 5).

What a namespace state commits to only grows: policies and their endorsers always, and under the same policies the
names and their revisions. So where a node signed that it holds a state, and a head of the same log that covers this
receipt commits to less, the node took something back that it had. The proof is the receipt, the head, and of the two
trees the path of one key.

A node put back from a backup begins a new log, and may have less there: that is visible, and no omission.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias, cast

from holo.core import limits, tree
from holo.core.binding import decode_binding
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Statement, make_statement
from holo.core.equivocation import Evidence
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.head import Head, open_head
from holo.core.peer_receipts import Agreed, ConvergenceReceipt
from holo.core.receipt import open_receipt
from holo.core.state import (
    NamespaceState,
    decode_catalog,
    decode_namespace_state,
    parse_current,
    parse_endorsers,
    parse_state_value,
)

TYPE: Final = "omission"

Read: TypeAlias = Callable[[Cid], bytes]
"""The bytes of an object by its id: catalog, namespace state, tree node or binding. Raises where it is not at hand."""

Place = Literal["namespaces", "policies", "bindings"]
_PLACES: Final = ("namespaces", "policies", "bindings")


def find_omission(receipt: bytes, head: bytes, ns: str, read: Read) -> Evidence | None:
    """Evidence that ``head`` leaves out what ``receipt`` says of ``ns``, or None where it does not.

    Raises what ``read`` raises for an object it lacks, and ``too-large`` where the proof would be.
    """
    promised, later = _convergence(receipt), open_head(head)
    agreed = promised.state_of(ns)
    if agreed is None or not _covers(later, promised):
        return None
    before, after = decode_namespace_state(read(agreed.state)), _state_in(read, later, ns)
    for place, key in _suspects(read, before, after):
        found = _Kept(read)
        if _omitted(found, later, agreed, place, key) is not None:
            return parse_omission(_made(promised, receipt, head, ns, place, key, found.objects.values()))
    return None


def parse_omission(statement: Statement) -> Evidence:
    """The evidence that a statement of this type is, all of it verified.

    Raises ``evidence-invalid`` where nothing was left out, ``field-*``, and what reading a part of it raises.
    """
    fields = Fields(statement.value, "payload", _FIELDS)
    bound = limits.RECEIPT_BYTES + limits.ENVELOPE_OVERHEAD_BYTES
    node, ns = fields.key("node"), fields.text("ns", limits.NAMESPACE_BYTES)
    receipt, head = _convergence(fields.blob("receipt", bound)), open_head(fields.blob("head", bound))
    place = cast(Place, fields.choice("place", _PLACES))
    key = fields.blob("key", limits.TREE_KEY_BYTES)
    objects = _objects(fields)
    if not receipt.signer == head.signer == node:
        raise _invalid("not both are signed by the node it names")
    if not _covers(head, receipt):
        raise _invalid("the head does not cover the receipt")
    agreed = receipt.state_of(ns)
    if agreed is None:
        raise _invalid("the receipt says nothing of the namespace")
    found = _Kept(lambda cid: _listed(objects, cid))
    detail = _omitted(found, head, agreed, place, key)
    if detail is None:
        raise _invalid("the head leaves nothing out there")
    if found.objects.keys() != objects.keys():
        raise _invalid("it holds something that proves nothing")
    return Evidence(node, TYPE, receipt, head, detail, statement)


class _Kept:
    """Reads through another reader, checks what comes, and keeps it."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.objects: dict[Cid, bytes] = {}

    def __call__(self, cid: Cid) -> bytes:
        if cid not in self.objects:
            data = self._read(cid)
            if cid != Cid.of(DAG_CBOR, data):
                raise Rejected("cid-mismatch", str(cid), subject=str(cid))
            self.objects[cid] = data
        return self.objects[cid]

    def look_up(self, root: Cid, key: bytes) -> list[object] | None:
        """What a tree proves of a key: its value, or None for its absence."""
        return tree.check_proof(root, key, tree.prove(self._node, root, key))

    def _node(self, cid: Cid) -> bytes:
        data = self(cid)
        tree.decode_node(data)
        return data


def _omitted(read: _Kept, head: Head, agreed: Agreed, place: Place, key: bytes) -> str | None:
    """What the head leaves out there of what was agreed, in a few words, or None."""
    catalog = decode_catalog(read(head.catalog))
    value = read.look_up(catalog.namespaces, agreed.ns.encode())
    after = None if value is None else decode_namespace_state(read(parse_state_value(value)))
    if after is None or after.genesis != agreed.genesis:
        return "the namespace is gone" if place == "namespaces" and not key else None
    before = decode_namespace_state(read(agreed.state))
    if (before.ns, before.genesis) != (agreed.ns, agreed.genesis) or after.ns != agreed.ns:
        return None  # a state of another namespace says nothing of this one
    if place == "policies":
        return _less_endorsed(read.look_up(before.policies, key), read.look_up(after.policies, key))
    if place == "bindings" and _same_rules(before, after):
        return _earlier(read, read.look_up(before.bindings, key), read.look_up(after.bindings, key))
    return None


def _same_rules(one: NamespaceState, other: NamespaceState) -> bool:
    """Whether both stand on the same policies, so that names can only have gone forward from one to the other."""
    return (one.policy, one.held, one.policies) == (other.policy, other.held, other.policies)


def _less_endorsed(before: list[object] | None, after: list[object] | None) -> str | None:
    if before is None:
        return None
    if after is None:
        return "a policy is gone"
    return None if set(parse_endorsers(after)) >= set(parse_endorsers(before)) else "an endorsement is gone"


def _earlier(read: Read, before: list[object] | None, after: list[object] | None) -> str | None:
    if before is None:
        return None
    if after is None:
        return "a name is gone"
    then, now = parse_current(before)[0].statement, parse_current(after)[0].statement
    if then == now:
        return None
    return "a name went back" if decode_binding(read(now)).rev < decode_binding(read(then)).rev else None


def _suspects(read: Read, before: NamespaceState, after: NamespaceState | None) -> Iterable[tuple[Place, bytes]]:
    """Where something was left out, in order; whether that can be proved in the bytes allowed is not said."""
    if after is None or after.genesis != before.genesis:
        yield "namespaces", b""
        return
    for key, had, has in tree.diff(read, before.policies, read, after.policies):
        if _less_endorsed(had, has) is not None:
            yield "policies", key
    if _same_rules(before, after):
        for key, had, has in tree.diff(read, before.bindings, read, after.bindings):
            if _earlier(read, had, has) is not None:
                yield "bindings", key


def _state_in(read: Read, head: Head, ns: str) -> NamespaceState | None:
    value = tree.get(read, decode_catalog(read(head.catalog)).namespaces, ns.encode())
    return None if value is None else decode_namespace_state(read(parse_state_value(value)))


def _covers(head: Head, receipt: ConvergenceReceipt) -> bool:
    """Whether a head commits to the state after the receipt: one of its log that has it, by its signer."""
    return head.signer == receipt.signer and head.log == receipt.log and head.log_size > receipt.seq


def _convergence(envelope: bytes) -> ConvergenceReceipt:
    receipt = open_receipt(envelope)
    if not isinstance(receipt, ConvergenceReceipt):
        raise Rejected("type-mismatch", f"{receipt.statement.type} where a convergence-receipt is expected")
    return receipt


def _made(
    promised: ConvergenceReceipt,
    receipt: bytes,
    head: bytes,
    ns: str,
    place: Place,
    key: bytes,
    objects: Iterable[bytes],
) -> Statement:
    statement = make_statement(
        {
            "v": 1,
            "type": TYPE,
            "node": bytes(promised.signer),
            "receipt": receipt,
            "head": head,
            "ns": ns,
            "place": place,
            "key": key,
            "objects": sorted(objects, key=lambda data: Cid.of(DAG_CBOR, data)),
        }
    )
    if len(statement.bytes) > limits.EVIDENCE_BYTES:
        raise Rejected("too-large", f"evidence of {len(statement.bytes)} bytes")
    return statement


def _objects(fields: Fields) -> dict[Cid, bytes]:
    found: dict[Cid, bytes] = {}
    before = b""
    for item in fields.items("objects", limits.EVIDENCE_OBJECTS):
        if type(item) is not bytes:
            raise fields.fail("objects", "holds something that is no byte string")
        cid = Cid.of(DAG_CBOR, item)
        if cid <= before:
            raise fields.fail("objects", "are not in order of id, each once")
        found[cid] = item
        before = cid
    return found


def _listed(objects: dict[Cid, bytes], cid: Cid) -> bytes:
    try:
        return objects[cid]
    except KeyError:
        raise Rejected("evidence-invalid", f"it lacks {cid}", subject=str(cid), at="payload.objects") from None


def _invalid(detail: str) -> Rejected:
    return Rejected("evidence-invalid", detail, at="payload")


_FIELDS: Final = ("v", "type", "node", "receipt", "head", "ns", "place", "key", "objects")
