"""Receipts about other nodes: that two were found equal, and that one was exposed (spec section 5).

Both are entries of their node's log. A convergence-receipt is a promise: what a node says here it holds, every later
head of the same log has to commit to as well, and :mod:`holo.core.omission` is the proof where one does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from holo.core import limits, names
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Statement
from holo.core.fields import Fields
from holo.core.keys import Kid
from holo.core.logged import LOGGED_FIELDS, Logged, make_logged, read_place

CONVERGENCE_RECEIPT: Final = "convergence-receipt"
EVIDENCE_RECEIPT: Final = "evidence-receipt"

KINDS: Final = ("heads", "receipts", "history", "entry", "omission")
"""The kinds of evidence."""


class Agreed(NamedTuple):
    """A namespace that two nodes found equal: ``state`` is the CID of its namespace state at both."""

    ns: str
    genesis: Cid
    state: Cid


@dataclass(frozen=True, slots=True)
class ConvergenceReceipt(Logged):
    """The signer held exactly these states, and found that ``peer`` says the same of itself.

    ``states`` rise by name. ``cites`` is the convergence-receipt of ``peer`` that this one answers, if there is one.
    """

    peer: Kid
    cites: Cid | None
    states: tuple[Agreed, ...]

    def state_of(self, ns: str) -> Agreed | None:
        """What it says of a namespace."""
        return next((item for item in self.states if item.ns == ns), None)


@dataclass(frozen=True, slots=True)
class EvidenceReceipt(Logged):
    """Evidence against ``subject``, of which there was none here before, was taken in."""

    subject: Kid
    evidence: Cid
    kind: str


def make_convergence_receipt(
    *, log: Cid, seq: int, at_ms: int, peer: Kid, cites: Cid | None, states: Iterable[Agreed]
) -> Statement:
    """The payload of a receipt for states that were found equal."""
    listed = [[item.ns, item.genesis, item.state] for item in sorted(states)]
    return make_logged(CONVERGENCE_RECEIPT, log, seq, at_ms, peer=bytes(peer), cites=cites, states=listed)


def make_evidence_receipt(*, log: Cid, seq: int, at_ms: int, subject: Kid, evidence: Cid, kind: str) -> Statement:
    """The payload of a receipt for evidence."""
    return make_logged(EVIDENCE_RECEIPT, log, seq, at_ms, subject=bytes(subject), evidence=evidence, kind=kind)


def parse_convergence_receipt(statement: Statement, signer: Kid) -> ConvergenceReceipt:
    """The convergence-receipt a statement says. Raises ``field-*`` or ``name-invalid`` with the place."""
    fields = Fields(statement.value, "payload", _CONVERGENCE_FIELDS)
    log, seq, at_ms = read_place(fields)
    peer = fields.key("peer")
    if peer == signer:
        raise fields.fail("peer", "is the signer")
    return ConvergenceReceipt(
        id=statement.id,
        signer=signer,
        statement=statement,
        log=log,
        seq=seq,
        at_ms=at_ms,
        peer=peer,
        cites=fields.link_or_null("cites"),
        states=_states(fields),
    )


def parse_evidence_receipt(statement: Statement, signer: Kid) -> EvidenceReceipt:
    """The evidence-receipt a statement says. Raises ``field-*`` with the place."""
    fields = Fields(statement.value, "payload", _EVIDENCE_FIELDS)
    log, seq, at_ms = read_place(fields)
    return EvidenceReceipt(
        id=statement.id,
        signer=signer,
        statement=statement,
        log=log,
        seq=seq,
        at_ms=at_ms,
        subject=fields.key("subject"),
        evidence=fields.link("evidence"),
        kind=fields.choice("kind", KINDS),
    )


def _states(fields: Fields) -> tuple[Agreed, ...]:
    found: list[Agreed] = []
    for item in fields.items("states", limits.CONVERGED_STATES, least=1):
        found.append(_agreed(fields, item))
        if len(found) > 1 and found[-2].ns >= found[-1].ns:
            raise fields.fail("states", "are not in order of name, each once")
    return tuple(found)


def _agreed(fields: Fields, item: Any) -> Agreed:
    if not (isinstance(item, list) and len(item) == 3 and isinstance(item[0], str)):
        raise fields.fail("states", "holds something that is not a name, a genesis and a state")
    ns, genesis, state = item
    names.check_namespace(ns)
    if not all(isinstance(link, Cid) and link.codec == DAG_CBOR for link in (genesis, state)):
        raise fields.fail("states", "holds a genesis or a state that is not a link to an object")
    return Agreed(ns, genesis, state)


_CONVERGENCE_FIELDS: Final = (*LOGGED_FIELDS, "peer", "cites", "states")
_EVIDENCE_FIELDS: Final = (*LOGGED_FIELDS, "subject", "evidence", "kind")
