"""The answers that are asked for most, as templates: what a decision and its JSON are but for names, ids and numbers.

They are cut from what :func:`~holo.core.resolve.decide` decides about marks, written by the encoders that write every
answer: a rule, a step or a field that changes there changes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from holo.core import codec
from holo.core.base32 import DIGEST_CHARS
from holo.core.binding import Standing
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.decision import Decision, Outcome, Query
from holo.core.envelope import make_statement
from holo.core.keys import Kid
from holo.core.limits import INT_MAX
from holo.core.names import Name
from holo.core.policy import KeySet, Policy
from holo.core.resolve import Candidate, NamespaceView, decide
from holo.core.template import Template
from holo.http.shapes import resolved
from holo.http.types import encode_json


@dataclass(frozen=True, slots=True)
class Form:
    """One outcome: the decision's bytes, and the JSON of the answer.

    The gaps are those marked below: ids in the decision as 36 bytes, in the JSON as the last 52 characters of their
    text; texts and numbers in the decision as encoded items. Only the JSON has ``name``, ``decision`` and ``kind``, the
    seven characters before those of ``content``; only the decision has ``ns``, ``handle`` and ``tag``.
    """

    decision: Template
    body: Template

    @classmethod
    def of(cls, outcome: Outcome, namespace: NamespaceView | None, ref: Cid | None = None) -> Self:
        """The form of what is decided about the marked name in ``namespace``, which has to be ``outcome``."""
        decision = _counting(decide(Query(_NAME, ref), namespace, None))
        assert decision.outcome == outcome
        statement = decision.as_statement()
        body = encode_json(resolved(decision, None if decision.statement is None else _REV))
        ids = {gap: bytes(cid) for gap, cid in _IDS.items()}
        texts = {gap: codec.encode(text) for gap, text in _TEXTS.items()}
        numbers = {gap: codec.encode(number) for gap, number in _NUMBERS.items()}
        id_texts = {gap: str(cid)[-DIGEST_CHARS:].encode() for gap, cid in _IDS.items()}
        number_texts = {gap: str(number).encode() for gap, number in _NUMBERS.items()}
        named = {
            "name": str(_NAME).encode(),
            "kind": str(_IDS["content"])[:-DIGEST_CHARS].encode(),
            "decision": str(statement.id)[-DIGEST_CHARS:].encode(),
        }
        return cls(
            Template.cut(statement.bytes, _present(statement.bytes, ids | texts | numbers)),
            Template.cut(body, _present(body, id_texts | number_texts | named)),
        )


_IDS: Final = {
    gap: Cid.of(RAW if gap == "content" else DAG_CBOR, b"mark of " + gap.encode())
    for gap in ("genesis", "policy", "cited", "statement", "content")
}
_TEXTS: Final = {"ns": "mark-of-namespace", "handle": "mark-of-handle", "tag": "mark-of-tag"}
_NUMBERS: Final = {"seq": INT_MAX - 1, "rev": INT_MAX - 2, "signers": INT_MAX - 3}
_NAME: Final = Name(_TEXTS["ns"], _TEXTS["handle"], _TEXTS["tag"])
_REV: Final = _NUMBERS["rev"]


def _standing(content: Cid | None) -> Candidate:
    nobody = KeySet((), 0)
    statement = make_statement({"v": 1, "type": "policy"})
    cited = Policy(_IDS["cited"], _TEXTS["ns"], 0, None, nobody, nobody, (), (), None, statement, {})
    return Candidate(Standing(_IDS["statement"], _REV, content, cited.id, (0,), Kid(b"")), cited)


def _namespace(*current: Candidate) -> NamespaceView:
    policies = (_IDS["genesis"], _IDS["policy"])
    return NamespaceView(_IDS["genesis"], _IDS["policy"], _NUMBERS["seq"], policies, None, current, 0)


def _counting(decision: Decision) -> Decision:
    """``decision`` with the mark in place of the number of signers, which no list of them can have."""
    steps = [replace(step, n=_NUMBERS["signers"]) if step.code == "threshold-met" else step for step in decision.steps]
    return replace(decision, steps=tuple(steps))


def _present(data: bytes, marks: Mapping[str, bytes]) -> dict[str, bytes]:
    return {gap: mark for gap, mark in marks.items() if mark in data}


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms for a namespace that is hosted and not held: a name with one current statement, and without any.

    ``resolved`` is that of a statement which names content, ``yanked`` that of a tombstone.
    """

    resolved: Form
    yanked: Form
    unbound: Form

    @classmethod
    def of(cls, ref: Cid | None) -> Self:
        """The forms where the policy ``ref``, or none, is asked for."""
        return cls(
            Form.of("resolved", _namespace(_standing(_IDS["content"])), ref),
            Form.of("yanked", _namespace(_standing(None)), ref),
            Form.of("not-found", _namespace(), ref),
        )


PLAIN: Final = Forms.of(None)
"""Where no policy is asked for."""

BY_GENESIS: Final = Forms.of(_IDS["genesis"])
"""Where the genesis is."""

BY_POLICY: Final = Forms.of(_IDS["policy"])
"""Where the policy in effect is."""

ABSENT: Final = Form.of("not-found", None)
"""A name in a namespace that is not hosted, where no policy is asked for."""
