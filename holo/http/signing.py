"""Signed answers: the decision on the newest head's state, the node's receipt for it, and the bundle that proves both.

What does not change between two heads is made once a head: the receipt and the bundle are templates with few gaps. What
the store holds was verified when it came in, and what this node signed it does not verify again.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Final

import msgspec
import trio
from msgspec import structs

from holo.core import codec
from holo.core.bundle import make_bundle
from holo.core.bundle_contents import encode_contents
from holo.core.cid import DAG_CBOR, Cid
from holo.core.consumer import ConsumerPolicy
from holo.core.decision import Decision, Query
from holo.core.envelope import sign_payload
from holo.core.errors import Overloaded
from holo.core.keys import Kid, SigningKey
from holo.core.limits import INT_MAX
from holo.core.names import Name
from holo.core.receipt import RESOLVE_RECEIPT, make_resolve_receipt
from holo.core.resolve import decide
from holo.core.state import Catalog
from holo.core.template import Template
from holo.http.plain_answers import Decided, PlainAnswers, worded
from holo.http.proving import Proofs
from holo.http.shapes import resolved
from holo.http.types import ResolvedWithReceipt, encode_json
from holo.store.committed import Committed, gather, look_up, standing_of
from holo.store.view import View

SMALL_BYTES: Final = 64 * 1024
"""Policies of a namespace up to which a bundle is made at once; above, it is made in a thread."""


class Signed(msgspec.Struct, frozen=True, gc=False):
    """A decision, its receipt as a COSE_Sign1, and what the bundle is made of."""

    found: Decided
    receipt: bytes
    consumer: ConsumerPolicy | None
    name: Committed
    head: Newest


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest head of one snapshot, and what every answer on it shares. ``receipt`` has the gaps of ``_pick``."""

    id: Cid
    envelope: bytes
    log: Cid
    log_genesis: bytes
    catalog: Cid
    catalog_bytes: bytes
    namespaces: Cid
    decoded: Catalog
    receipt: bytes


class Signer:
    """Signs answers with the node's key. Owned by the trio thread."""

    def __init__(self, key: SigningKey, plain: PlainAnswers) -> None:
        self._key = key
        self._plain = plain
        self._newest: Newest | None = None

    def newest(self, view: View) -> Newest:
        """The newest head of a snapshot. Raises ``overloaded`` before the first."""
        state = view.log
        if state.head is None or state.head_seq == 0:
            raise Overloaded("overloaded", "the node has not signed its first head yet")
        if self._newest is None or self._newest.id != state.head:
            self._newest = _newest(view)
        return self._newest

    def sign(self, view: View, at_ms: int, question: Query, consumer: ConsumerPolicy | None = None) -> Signed:
        """The decision about any question, signed."""
        head = self.newest(view)
        name = question.name
        ns = name.namespace.encode()
        committed = look_up(view.records, head.namespaces, ns, name.path.encode())
        found = None
        if name.cid is None and consumer is None:
            found = self._plainly(view, committed, ns, name.handle.encode(), name.tag.encode(), question.policy_ref)
        if found is None:
            found = worded(view, view.decide_at(question, head.decoded, consumer))
        receipt = sign_payload(RESOLVE_RECEIPT, head.receipt % _pick((codec.encode(at_ms), found.payload)), self._key)
        return Signed(found, receipt, consumer, committed, head)

    def _plainly(
        self, view: View, name: Committed, ns: bytes, handle: bytes, tag: bytes, ref: Cid | None
    ) -> Decided | None:
        roots = name.roots
        if roots is None:
            return self._plain.absent(ns, handle, tag) if ref is None else None
        if roots.held is not None or name.waiting or len(name.current) > 1:
            return None
        kept = self._plain.committed(view, ns, roots.genesis, roots.policy)
        way = kept.way(ref)
        if way is None:
            return None
        if not name.current:
            return self._plain.unbound(kept, way, ns, handle, tag)
        return self._plain.bound(view, kept, way, ns, handle, tag, standing_of(view, name.current[0]))


def bundle_of(view: View, signed: Signed, limit_bytes: int | None = None) -> bytes | None:
    """The bundle of a signed answer; None where the policies it holds take more than ``limit_bytes``.

    Where evidence counts, what proves it is found by examining the answer as a reader will: that is for a thread.
    """
    if signed.consumer is not None and signed.consumer.deny_exposed:
        return None if limit_bytes is not None else make_bundle([signed.receipt], Proofs(view, signed.consumer))
    contents = gather(view, signed.name, limit_bytes)
    if contents is None:
        return None
    head = signed.head
    contents.receipts[head.id] = signed.receipt  # the only one: what it is sorted by does not matter
    contents.heads[head.id] = head.envelope
    contents.logs[head.log] = head.log_genesis
    contents.objects[head.catalog] = head.catalog_bytes
    if signed.consumer is not None:
        contents.objects[signed.consumer.id] = signed.consumer.statement.bytes
    return encode_contents(contents)


async def prove(view: View, signed: Signed) -> bytes:
    """The JSON of a signed answer with its bundle. A namespace of many policies is seen to in a thread."""
    bundle = bundle_of(view, signed, SMALL_BYTES)
    if bundle is not None:
        return encode_signed(signed, bundle)
    return await trio.to_thread.run_sync(_prove_in_thread, view, signed)


def _prove_in_thread(view: View, signed: Signed) -> bytes:
    bundle = bundle_of(view, signed)
    assert bundle is not None
    return encode_signed(signed, bundle)


def encode_signed(signed: Signed, bundle: bytes) -> bytes:
    """The JSON of an answer with its receipt and bundle."""
    return signed.found.body[:-1] + _TAIL % _pick_tail((_base64url(signed.receipt), _base64url(bundle)))


def _newest(view: View) -> Newest:
    found = view.head()
    assert found is not None
    head, envelope = found
    log_genesis = view.records.log_genesis(view.log.number)
    assert log_genesis is not None
    catalog = view.catalog(head.catalog)
    return Newest(
        id=head.id,
        envelope=envelope,
        log=head.log,
        log_genesis=log_genesis,
        catalog=head.catalog,
        catalog_bytes=view.records.node(head.catalog),
        namespaces=catalog.namespaces,
        decoded=catalog,
        receipt=_receipt(view.node, head.catalog, head.id).form(),
    )


def _receipt(node: Kid, catalog: Cid, head: Cid) -> Template:
    """The payload of a receipt on this head, with gaps for the time and for the decision."""
    statement = make_resolve_receipt(node=node, at_ms=INT_MAX, decision=_ANY, catalog=catalog, head=head)
    return Template.cut(statement.bytes, {"at_ms": codec.encode(INT_MAX), "decision": _ANY.as_statement().bytes})


def _base64url(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_URL_SAFE)


def _tail() -> Template:
    """What the JSON of a signed answer has beyond that of the answer, from its closing brace on."""
    plain = resolved(_ANY, None)
    signed = encode_json(
        ResolvedWithReceipt(**structs.asdict(plain), receipt_cose="mark of receipt", bundle="mark of bundle")
    )
    before = encode_json(plain)[:-1]
    assert signed.startswith(before)
    return Template.cut(signed[len(before) :], {"receipt": b"mark of receipt", "bundle": b"mark of bundle"})


_ANY: Final[Decision] = decide(Query(Name("a", "a")), None, None)
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_TAIL: Final = _tail().form()
_pick_tail: Final = _tail().picker(("receipt", "bundle"))
_pick: Final = _receipt(Kid(bytes(34)), Cid.of(DAG_CBOR, b"catalog"), Cid.of(DAG_CBOR, b"head")).picker(
    ("at_ms", "decision")
)
