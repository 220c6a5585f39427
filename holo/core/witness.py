"""What to make of a head that somebody brings: a function of the head and of what is known of its log (section 3.6).

Pure: no store, no clock. A head is accepted only if the log it signs begins with the log of the newest one accepted
before, as a consistency proof shows. What cannot be honest together with what is known comes out as evidence, whoever
brought it and in whatever order. A log seen for the first time is taken at its word: that a node begins another one is
visible, and no fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from holo.core.equivocation import Evidence, equivocation_of, history_of
from holo.core.errors import Rejected
from holo.core.head import Head, LogGenesis, contradiction, open_head, open_log_genesis
from holo.core.log import check_consistency

Status = Literal["accepted", "opened", "stale", "need-proof", "equivocation", "refused"]


@dataclass(frozen=True, slots=True)
class HeadNote:
    """A head as it came: its envelope, that of its log's genesis, and a proof that it goes on from size ``since``."""

    head: bytes
    genesis: bytes
    since: int = 0
    proof: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Brought:
    """A head that was opened: signed by the owner of its log."""

    head: Head
    genesis: LogGenesis
    note: HeadNote


@dataclass(frozen=True, slots=True)
class Known:
    """A head that is kept: accepted, or older than the newest accepted and in no contradiction to what is kept."""

    head: Head
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to make of a head.

    ``accepted``: the newest of its log; ``opened``: the first of a log; ``stale``: not newer; ``need-proof``: newer,
    and it takes the consistency proof between sizes ``old`` and ``new``; ``equivocation``: with ``evidence``;
    ``refused``: with ``error``. ``keep`` says whether it belongs to what is known from now on: an old head, which
    nothing proves, too, for its signer has to stand by it.
    """

    status: Status
    old: int = 0
    new: int = 0
    evidence: Evidence | None = None
    error: Rejected | None = None
    keep: bool = False


def open_note(note: HeadNote) -> Brought:
    """The head of a note, its signature and that of its log verified. Raises what opening either raises."""
    head, genesis = open_head(note.head), open_log_genesis(note.genesis)
    if head.log != genesis.id or head.signer != genesis.node:
        raise Rejected("receipt-invalid", "the head is of another log, or not by its owner", subject=str(head.id))
    return Brought(head, genesis, note)


def judge_head(brought: Brought, known: Sequence[Known]) -> Verdict:
    """What to make of a head, ``known`` being the heads that are kept of its log, in order of seq."""
    head = brought.head
    if not known:
        return Verdict("opened", keep=True)
    for item in known:
        if item.head.id == head.id:
            return Verdict("stale")
        if contradiction(item.head, head) is not None:
            return _exposed(equivocation_of(item.envelope, brought.note.head))
    newest = known[-1].head
    if head.seq < newest.seq:
        return Verdict("stale", keep=True)
    if newest.log_size not in (0, head.log_size):  # a larger log, since it did not shrink
        return _proved(brought, known[-1])
    return Verdict("accepted", keep=True)


def _proved(brought: Brought, newest: Known) -> Verdict:
    head, note, before = brought.head, brought.note, newest.head
    if note.since != before.log_size:
        return Verdict("need-proof", before.log_size, head.log_size)
    try:
        check_consistency(before.log_size, before.log_root, head.log_size, head.log_root, note.proof)
    except Rejected as error:
        evidence = history_of(newest.envelope, note.head, note.proof)
        return Verdict("refused", error=error) if evidence is None else _exposed(evidence)
    return Verdict("accepted", keep=True)


def _exposed(evidence: Evidence | None) -> Verdict:
    assert evidence is not None  # it was found to be a contradiction
    return Verdict("equivocation", evidence=evidence)
