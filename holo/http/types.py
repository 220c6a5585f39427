"""Every body that crosses the edge, as types: replies, requests, and the view of signed things as JSON.

OpenAPI is made from these, so a field exists here or nowhere. Text forms: a CID in base32, a key as ``did:key``, other
bytes as base64url without padding, times in milliseconds since 1970. A field that has no value is null, not absent,
save where a type says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from holo.core import limits
from holo.core.cid import Cid
from holo.core.keys import did_of, kid_of
from holo.http.base64url import encode_base64url

CidText: TypeAlias = Annotated[str, Meta(pattern="^b[a-z2-7]{58}$", description="A CID in base32.")]
Did: TypeAlias = Annotated[str, Meta(pattern="^did:key:z6Mk", description="An Ed25519 key as did:key.")]
Cose: TypeAlias = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$", description="A COSE_Sign1 in base64url.")]
Bytes: TypeAlias = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]*$", description="Bytes in base64url.")]
Millis: TypeAlias = Annotated[int, Meta(ge=0, description="Milliseconds since 1970, UTC.")]
View: TypeAlias = Annotated[dict[str, Any], Meta(description="A signed payload as JSON, for reading.")]


class Reply(Struct, frozen=True, kw_only=True):
    """Base of every reply."""


class Problem(Reply, frozen=True, kw_only=True):
    """Why a request was refused (RFC 9457). ``current`` is set where something else is current."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    subject: str | None
    at: str | None
    fix: str
    denial: CidText | None
    denial_cose: Cose | None
    current: list[BindingItem] | None


# --- the node


class NodeReply(Reply, frozen=True, kw_only=True):
    """Who this node is and where it stands."""

    node: Did
    version: str
    roles: list[str]
    profile: str
    log: CidText
    head: CidText | None
    catalog: CidText | None
    log_size: int
    limits: dict[str, int]


class PeerItem(Reply, frozen=True, kw_only=True):
    """One node, as this one knows it. ``lag_ms`` and ``converged_at_ms`` are null for the node itself."""

    node: Did
    cp: str | None
    tp: str | None
    roles: list[str]
    capabilities: list[str]
    head: CidText | None
    seq: int | None
    lag_ms: int | None
    converged_at_ms: Millis | None
    equivocations: list[CidText]


class PeersPage(Reply, frozen=True, kw_only=True):
    """Peers, this node first."""

    items: list[PeerItem]
    next: str | None


# --- namespaces and policies


class NamespaceItem(Reply, frozen=True, kw_only=True):
    """A hosted namespace. ``conflicts`` are rival geneses offered under its name; ``held`` says why it is held."""

    ns: str
    genesis: CidText
    policy: CidText
    policy_seq: int
    names: int
    conflicts: list[CidText]
    held: str | None


class NamespacesPage(Reply, frozen=True, kw_only=True):
    """Namespaces in order of name."""

    items: list[NamespaceItem]
    next: str | None


class PolicyPost(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy with all its endorsements, and, where it seals, the nodes of the sealed tree the node may lack."""

    policy_cose: Annotated[list[Cose], Meta(min_length=1, max_length=limits.ENDORSEMENTS_PER_RECORD)]
    nodes: list[Bytes] = []


class PolicyPosted(Reply, frozen=True, kw_only=True):
    """What became of a policy."""

    ns: str
    genesis: CidText
    policy: CidText
    seq: int
    state: str
    receipt: CidText | None
    receipt_cose: Cose | None


class PolicyReply(Reply, frozen=True, kw_only=True):
    """One policy of a namespace's chain."""

    ns: str
    genesis: CidText
    policy: CidText
    seq: int
    prev: CidText | None
    view: View
    policy_cose: list[Cose]


# --- bindings


class BindingItem(Reply, frozen=True, kw_only=True):
    """One statement of a name. ``cid`` null is a yank. ``state``: current, forked, held, pending or superseded.

    ``have`` of ``need`` signatures count under the policy it cites.
    """

    name: str
    statement: CidText
    cid: CidText | None
    rev: int
    prev: list[CidText]
    policy: CidText
    at_ms: Millis
    signers: list[Did]
    state: str
    have: int
    need: int
    meta: dict[str, Any]
    reason: str | None
    source: dict[str, str] | None
    record_cose: list[Cose]


class BindingsPage(Reply, frozen=True, kw_only=True):
    """Bindings. ``log_size`` is the ``since`` that later asks for what came after this page was made."""

    items: list[BindingItem]
    next: str | None
    log: CidText
    log_size: int


class RecordsPost(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Records, each the list of its endorsements. With ``atomic`` either all are accepted or none."""

    records: Annotated[
        list[Annotated[list[Cose], Meta(min_length=1, max_length=limits.ENDORSEMENTS_PER_RECORD)]],
        Meta(min_length=1, max_length=limits.RECORDS_PER_POST),
    ]
    atomic: bool = False


class BindingPosted(Reply, frozen=True, kw_only=True):
    """What became of a record. ``have`` of ``need`` endorsements count; ``head`` cites it where it was waited for."""

    name: str
    statement: CidText
    cid: CidText | None
    rev: int
    state: str
    have: int
    need: int
    receipt: CidText | None
    receipt_cose: Cose | None
    catalog: CidText | None
    head: CidText | None


class PostedItem(Reply, frozen=True, kw_only=True):
    """One of several records: its status, and either what became of it or the problem."""

    status: int
    binding: BindingPosted | None
    problem: Problem | None


class BindingsPosted(Reply, frozen=True, kw_only=True):
    """What became of several records, in the order they were sent."""

    items: list[PostedItem]


# --- resolve


class Step(Reply, frozen=True, kw_only=True):
    """One rule of a decision. ``n`` is the number it counted, where it counts."""

    code: str
    subject: str | None
    ok: bool
    n: int | None


class Resolved(Reply, frozen=True, kw_only=True):
    """A decision: every peer with the same state gives the same ``decision``."""

    name: str
    outcome: str
    cid: CidText | None
    statement: CidText | None
    rev: int | None
    genesis: CidText | None
    policy: CidText | None
    consumer_policy: CidText | None
    decision: CidText
    steps: list[Step]
    flags: list[str]


class ResolvedWithReceipt(Resolved, frozen=True, kw_only=True):
    """A decision with the node's signature under it and all that a stranger needs to make it again."""

    receipt_cose: Cose
    bundle: Bytes


class ResolvedItem(Resolved, frozen=True, kw_only=True):
    """One of several decisions; the last two fields are there only where receipts were asked for."""

    receipt_cose: Cose | UnsetType = UNSET
    bundle: Bytes | UnsetType = UNSET


class ResolveQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One of several names to resolve."""

    handle: str
    policy_ref: str | None = None


class ResolvePost(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names to resolve, all on one snapshot.

    ``packs`` are consumer policies: DAG-CBOR in base64url. A query whose ``policyRef`` is the CID of one is decided
    with it. They are not kept.
    """

    queries: Annotated[list[ResolveQuery], Meta(min_length=1, max_length=limits.RESOLVE_QUERIES)]
    packs: Annotated[list[str], Meta(max_length=limits.RESOLVE_PACKS)] = []
    receipt: bool = False


class ResolvedMany(Reply, frozen=True, kw_only=True):
    """Decisions in the order of the queries, and the snapshot they were made on."""

    items: list[ResolvedItem]
    catalog: CidText | None
    head: CidText | None


# --- catalogs and objects


class CatalogReply(Reply, frozen=True, kw_only=True):
    """The newest head and what it commits to. ``count`` is the number of names."""

    catalog: CidText
    count: int
    head: CidText
    head_cose: Cose
    log: CidText
    seq: int
    at_ms: Millis
    log_size: int
    log_root: Bytes


class CatalogSnapshot(Reply, frozen=True, kw_only=True):
    """A catalog object: the roots of its two trees, and its bytes, whose CID is the catalog's."""

    catalog: CidText
    namespaces: CidText
    evidence: CidText
    count: int
    data: Bytes


class CatalogEntry(Reply, frozen=True, kw_only=True):
    """A name in a catalog and its one or two current statements."""

    name: str
    statements: list[CidText]


class CatalogEntries(Reply, frozen=True, kw_only=True):
    """Names of a catalog, in order of namespace, handle and tag."""

    items: list[CatalogEntry]
    next: str | None


class CatalogProof(Reply, frozen=True, kw_only=True):
    """That a catalog has a name with these statements, or has not (an empty list).

    ``nodes`` are the objects from the catalog down, each named by the one before: the catalog, the path in the tree of
    namespaces, and, where that has the namespace, its state and the path in its tree of bindings.
    """

    catalog: CidText
    name: str
    statements: list[CidText]
    nodes: list[Bytes]


class CatalogChange(Reply, frozen=True, kw_only=True):
    """A name whose current statements differ between two catalogs."""

    name: str
    before: list[CidText]
    after: list[CidText]


class CatalogChanges(Reply, frozen=True, kw_only=True):
    """What differs between two catalogs, in order of name."""

    items: list[CatalogChange]
    next: str | None


class ObjectReply(Reply, frozen=True, kw_only=True):
    """A public object. ``data`` hashes to ``cid``; ``type`` and ``view`` are null for a tree node."""

    cid: CidText
    type: str | None
    size: int
    view: View | None
    data: Bytes


# --- heads and receipts


class HeadItem(Reply, frozen=True, kw_only=True):
    """A signed tree head: the catalog and the log of receipts at one moment."""

    head: CidText
    log: CidText
    seq: int
    prev: CidText | None
    catalog: CidText
    log_size: int
    log_root: Bytes
    at_ms: Millis
    head_cose: Cose


class HeadsPage(Reply, frozen=True, kw_only=True):
    """Heads of the current log, in order of seq."""

    items: list[HeadItem]
    next: str | None


class ReceiptItem(Reply, frozen=True, kw_only=True):
    """A receipt: entry ``seq`` of ``log``."""

    receipt: CidText
    type: str
    log: CidText
    seq: int
    at_ms: Millis
    view: View
    receipt_cose: Cose


class ReceiptsPage(Reply, frozen=True, kw_only=True):
    """Receipts, oldest first."""

    items: list[ReceiptItem]
    next: str | None


class ReceiptProof(Reply, frozen=True, kw_only=True):
    """That a receipt is entry ``index`` of the log whose first ``size`` entries have ``root`` (RFC 9162)."""

    receipt: CidText
    log: CidText
    index: int
    size: int
    hashes: list[Bytes]
    root: Bytes


# --- events


class BindingEvent(Reply, frozen=True, kw_only=True):
    """A record was taken in: events ``binding`` and, where it forked a name, ``fork``."""

    name: str
    statement: CidText
    cid: CidText | None
    rev: int
    state: str
    displaced: list[CidText]
    receipt: CidText


class PolicyEvent(Reply, frozen=True, kw_only=True):
    """A policy was taken in: event ``policy``."""

    ns: str
    genesis: CidText
    policy: CidText
    seq: int
    state: str
    receipt: CidText


class HeadEvent(Reply, frozen=True, kw_only=True):
    """A head was signed: event ``head``."""

    head: CidText
    seq: int
    catalog: CidText
    log_size: int
    at_ms: Millis


class ResetEvent(Reply, frozen=True, kw_only=True):
    """The place asked for is not in this log: start again from a listing. Event ``reset``."""

    log: CidText
    log_size: int


# --- signed things as JSON


def view_of(value: Any) -> Any:
    """``value`` as JSON can carry it: links and keys as text, other bytes in base64url."""
    if isinstance(value, Cid):
        return str(value)
    if isinstance(value, bytes):
        if len(value) == 34 and value[:2] == b"\xed\x01":
            return did_of(kid_of(value))
        return encode_base64url(value)
    if isinstance(value, Mapping):
        return {key: view_of(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [view_of(item) for item in value]
    return value


def encode_json(body: object) -> bytes:
    """The JSON bytes of a reply."""
    return msgspec.json.encode(body)
