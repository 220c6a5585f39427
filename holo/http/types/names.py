"""Namespaces, their policies, names and their statements; and the problem, which may show what is current."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from holo.core import limits
from holo.http.types.common import Bytes, CidText, Cose, Did, Millis, Reply, View


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


class PostedItem(Reply, frozen=True, kw_only=True):
    """One of several records: its status, and either what became of it or the problem."""

    status: int
    binding: BindingPosted | None
    problem: Problem | None


class BindingsPosted(Reply, frozen=True, kw_only=True):
    """What became of several records, in the order they were sent."""

    items: list[PostedItem]
