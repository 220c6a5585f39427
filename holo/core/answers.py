"""Whether an answer goes with its question, and what is left to ask (spec section 7.4).

Objects are checked by the comparison they are for.
"""

from __future__ import annotations

from dataclasses import replace

from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Rejected
from holo.core.questions import Range, Records, Span, WantRange, WantRecords


def rest_of_records(question: WantRecords, answer: Records) -> tuple[Cid, ...]:
    """The statements behind the cut. Raises ``answer-invalid``, or ``cid-mismatch`` for another payload."""
    if len(answer.items) > len(question.statements):
        raise Rejected("answer-invalid", f"{len(answer.items)} items for {len(question.statements)} statements")
    for statement, item in zip(question.statements, answer.items, strict=False):
        if item is not None and Cid.of(DAG_CBOR, item.payload) != statement:
            raise Rejected("cid-mismatch", f"another payload than that of {statement}", subject=str(statement))
    return question.statements[len(answer.items) :]


def rest_of_range(question: WantRange, answer: Range) -> tuple[Span, ...]:
    """The spans to go on with; none where all were answered to their end.

    Raises ``answer-invalid`` where it would not come to an end: each answer has a record or ends a span.
    """
    if answer.next is None:
        return ()
    index, after = answer.next
    if index >= len(question.spans) or after < question.spans[index].after or not (answer.records or index):
        raise Rejected("answer-invalid", "it does not move on")
    if index == 0 and after == question.spans[0].after:
        raise Rejected("answer-invalid", "it does not move on")
    return (replace(question.spans[index], after=after), *question.spans[index + 1 :])
