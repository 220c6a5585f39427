"""The decisions that most names lead to, written from templates instead of field by field.

A name with one current statement, or with none and nothing pending, in a namespace that is not held, asked for plainly
or by its genesis or by the policy in effect; and a name in a namespace that is not hosted. The templates are cut from
what :func:`~holo.core.resolve.decide` decides about marks: a rule, a step or a field that changes there changes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from holo.core import codec
from holo.core.binding import Standing
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.decision import Decision, Outcome, Query
from holo.core.envelope import make_statement
from holo.core.keys import Kid
from holo.core.limits import HANDLE_AND_TAG_BYTES, INT_MAX
from holo.core.names import Name
from holo.core.policy import KeySet, Policy
from holo.core.resolve import Candidate, NamespaceView, decide
from holo.core.template import Template

MARKED_IDS: Final = {
    gap: Cid.of(RAW if gap == "content" else DAG_CBOR, b"mark of " + gap.encode())
    for gap in ("genesis", "policy", "cited", "statement", "content")
}
MARKED_NUMBERS: Final = {"seq": INT_MAX - 1, "rev": INT_MAX - 2, "signers": INT_MAX - 3}
_TEXTS: Final = {"ns": "mark-of-namespace", "handle": "mark-of-handle", "tag": "mark-of-tag"}
_NAME: Final = Name(_TEXTS["ns"], _TEXTS["handle"], _TEXTS["tag"])
_GAPS: Final = ("ns", "handle", "tag", "genesis", "policy", "seq", "cited", "statement", "rev", "signers", "content")
"""Every form takes values for the first of these: an absent name for three, an unbound one for six, a tombstone for
all but the last. Ids are given as 36 bytes, texts and numbers as encoded items."""


@dataclass(frozen=True, slots=True)
class DecisionForm:
    """One outcome. ``marked`` is what is decided about the marks."""

    marked: Decision
    _format: bytes
    _pick: Callable[[Sequence[Any]], tuple[Any, ...]]

    @classmethod
    def of(cls, outcome: Outcome, namespace: NamespaceView | None, ref: Cid | None = None) -> Self:
        """The form of what is decided about the marked name in ``namespace``, which has to be ``outcome``."""
        marked = _counting(decide(Query(_NAME, ref), namespace, None))
        assert marked.outcome == outcome
        data = marked.as_statement().bytes
        marks = {gap: bytes(id) for gap, id in MARKED_IDS.items()}
        marks |= {gap: codec.encode(text) for gap, text in _TEXTS.items()}
        marks |= {gap: codec.encode(number) for gap, number in MARKED_NUMBERS.items()}
        template = Template.cut(data, present(data, marks))
        return cls(marked, template.form(), template.picker(_GAPS))

    def write(self, *values: bytes) -> bytes:
        """The decision's bytes with these values."""
        return self._format % self._pick(values)


@dataclass(frozen=True, slots=True)
class DecisionForms:
    """The forms for a namespace that is hosted and not held: a name with one current statement, and without any.

    ``resolved`` is that of a statement which names content, ``yanked`` that of a tombstone.
    """

    resolved: DecisionForm
    yanked: DecisionForm
    unbound: DecisionForm

    @classmethod
    def of(cls, ref: Cid | None) -> Self:
        """The forms where the policy ``ref``, or none, is asked for."""
        return cls(
            DecisionForm.of("resolved", _namespace(_standing(MARKED_IDS["content"])), ref),
            DecisionForm.of("yanked", _namespace(_standing(None)), ref),
            DecisionForm.of("not-found", _namespace(), ref),
        )


def present(data: bytes, marks: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those of ``marks`` that are in ``data``."""
    return {gap: mark for gap, mark in marks.items() if mark in data}


def encode_text(text: bytes) -> bytes:
    """The item of a namespace, handle or tag."""
    return _TEXT_HEADS[len(text)] + text


def encode_number(number: int) -> bytes:
    """The item of a revision, a seq or a number of signers."""
    return _SMALL[number] if number < len(_SMALL) else codec.encode(number)


def _standing(content: Cid | None) -> Candidate:
    nobody = KeySet((), 0)
    statement = make_statement({"v": 1, "type": "policy"})
    cited = Policy(MARKED_IDS["cited"], _TEXTS["ns"], 0, None, nobody, nobody, (), (), None, statement, {})
    standing = Standing(MARKED_IDS["statement"], MARKED_NUMBERS["rev"], content, cited.id, (0,), Kid(b""))
    return Candidate(standing, cited)


def _namespace(*current: Candidate) -> NamespaceView:
    policies = (MARKED_IDS["genesis"], MARKED_IDS["policy"])
    return NamespaceView(*policies, MARKED_NUMBERS["seq"], policies, None, current, 0)


def _counting(decision: Decision) -> Decision:
    """``decision`` with the mark in place of the number of signers, which no list of them can have."""
    signers = MARKED_NUMBERS["signers"]
    steps = [replace(step, n=signers) if step.code == "threshold-met" else step for step in decision.steps]
    return replace(decision, steps=tuple(steps))


_TEXT_HEADS: Final = tuple(codec.encode("a" * size)[: -size or None] for size in range(HANDLE_AND_TAG_BYTES + 1))
_SMALL: Final = tuple(codec.encode(number) for number in range(256))

PLAIN: Final = DecisionForms.of(None)
"""Where no policy is asked for."""

BY_GENESIS: Final = DecisionForms.of(MARKED_IDS["genesis"])
"""Where the genesis is."""

BY_POLICY: Final = DecisionForms.of(MARKED_IDS["policy"])
"""Where the policy in effect is."""

ABSENT: Final = DecisionForm.of("not-found", None)
"""A name in a namespace that is not hosted, where no policy is asked for."""
