"""What an event stream tells."""

from __future__ import annotations

from holo.http.types.common import CidText, Did, Millis, Reply


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


class EquivocationEvent(Reply, frozen=True, kw_only=True):
    """Evidence against a key was taken in, the first there was: event ``equivocation``.

    ``evidence`` is its id, under which ``/v1/objects`` has it until evidence with a smaller id takes its place.
    """

    subject: Did
    kind: str
    evidence: CidText
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
