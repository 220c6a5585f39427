"""The answers that are asked for most, as templates: the JSON of a plain decision but for names, ids and numbers.

They are cut from what is decided about marks (:mod:`holo.core.plain_decision`), written by the encoder that writes
every answer: a field that changes there changes here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from holo.core.base32 import DIGEST_CHARS
from holo.core.plain_decision import (
    ABSENT,
    BY_GENESIS,
    BY_POLICY,
    MARKED_IDS,
    MARKED_NUMBERS,
    PLAIN,
    DecisionForm,
    DecisionForms,
    present,
)
from holo.core.template import Template
from holo.http.shapes import resolved
from holo.http.types import encode_json

_GAPS: Final = (
    "name", "decision", "genesis", "policy", "seq", "cited", "statement", "rev", "signers", "kind", "content",
)  # fmt: skip
"""Every form takes values for the first of these: an absent name for two, an unbound one for five, a tombstone for
nine. Ids are given as the last 52 characters of their text; ``kind`` is the seven before those of ``content``."""


@dataclass(frozen=True, slots=True)
class Form:
    """One outcome: its decision, and the JSON of the answer."""

    decision: DecisionForm
    _format: bytes
    _pick: Callable[[Sequence[Any]], tuple[Any, ...]]

    @classmethod
    def of(cls, decision: DecisionForm) -> Self:
        """The form of the answer with this decision."""
        marked = decision.marked
        data = encode_json(resolved(marked, None if marked.statement is None else MARKED_NUMBERS["rev"]))
        marks = {gap: str(id)[-DIGEST_CHARS:].encode() for gap, id in MARKED_IDS.items()}
        marks |= {gap: str(number).encode() for gap, number in MARKED_NUMBERS.items()}
        marks["name"] = str(marked.query.name).encode()
        marks["kind"] = str(MARKED_IDS["content"])[:-DIGEST_CHARS].encode()
        marks["decision"] = str(marked.as_statement().id)[-DIGEST_CHARS:].encode()
        template = Template.cut(data, present(data, marks))
        return cls(decision, template.form(), template.picker(_GAPS))

    def write(self, *values: bytes) -> bytes:
        """The JSON with these values."""
        return self._format % self._pick(values)


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms for a namespace that is hosted and not held, one for each of the decision's."""

    resolved: Form
    yanked: Form
    unbound: Form

    @classmethod
    def of(cls, decisions: DecisionForms) -> Self:
        """The forms of the answers with these decisions."""
        return cls(Form.of(decisions.resolved), Form.of(decisions.yanked), Form.of(decisions.unbound))


WAYS: Final = (Forms.of(PLAIN), Forms.of(BY_GENESIS), Forms.of(BY_POLICY))
"""Where no policy is asked for, where the genesis is, and where the policy in effect is."""

NOT_HOSTED: Final = Form.of(ABSENT)
"""A name in a namespace that is not hosted, where no policy is asked for."""
