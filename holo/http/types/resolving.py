"""Questions about names, and decisions."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from holo.core import limits
from holo.http import patterns
from holo.http.types.common import Bytes, CidText, Cose, Reply


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

    # What these texts have to be is only said here: whoever reads them says in which query one is wrong.
    handle: Annotated[str, Meta(extra_json_schema={"pattern": patterns.NAME})]
    policy_ref: Annotated[str, Meta(extra_json_schema={"pattern": patterns.CID})] | None = None


class ResolvePost(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names to resolve, all on one snapshot.

    ``packs`` are consumer policies: DAG-CBOR in base64url. A query whose ``policyRef`` is the CID of one is decided
    with it. They are not kept.
    """

    queries: Annotated[list[ResolveQuery], Meta(min_length=1, max_length=limits.RESOLVE_QUERIES)]
    packs: Annotated[
        list[Annotated[str, Meta(extra_json_schema={"pattern": "^[A-Za-z0-9_-]+$"})]],
        Meta(max_length=limits.RESOLVE_PACKS),
    ] = []
    receipt: bool = False


class ResolvedMany(Reply, frozen=True, kw_only=True):
    """Decisions in the order of the queries, and the snapshot they were made on."""

    items: list[ResolvedItem]
    catalog: CidText | None
    head: CidText | None
