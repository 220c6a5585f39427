"""Writing names: ``POST /v1/namespaces/{ns}/bindings``, one record or many.

Accepting is compare-and-swap: a record's ``prev`` must name what is current when it is committed, so of two that race
one is refused and told what is current. The bytes of an accepted record may be sent again, and get the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from msgspec import structs

from holo.core import limits, names
from holo.core.binding import Binding, decode_binding
from holo.core.envelope import decode_envelope
from holo.core.errors import Conflict, HoloError, Rejected
from holo.http import types
from holo.http.base64url import decode_base64url, encode_base64url
from holo.http.edge import Edge
from holo.http.negotiation import COSE, JSON
from holo.http.problem import problem_of
from holo.http.reply import answer_problem
from holo.http.route import Answer, Cache, Call, Route
from holo.http.shapes import binding_item, text
from holo.roles.registry import Incoming
from holo.store.ledger import Outcome
from holo.store.store import Result
from holo.store.view import View

_ENVELOPE_BYTES: Final = limits.BINDING_BYTES + limits.ENVELOPE_OVERHEAD_BYTES


async def post_bindings(edge: Edge, call: Call) -> Answer:
    """Take in records; answer once they are durable, or, with ``Prefer: wait``, once a head cites them.

    As COSE the answer to a single record is its receipt.
    """
    ns = call.path["ns"]
    names.check_namespace(ns)
    records, atomic = _read_records(call)
    if call.accepts == COSE and len(records) != 1:
        raise Rejected("not-acceptable", "several records have several receipts", at="header.accept")
    results = await _admit(edge, ns, records, atomic)
    headers = await _wait(edge, call, [item for item in results if not isinstance(item, HoloError)])
    with edge.registry.view() as view:
        items = [_item(view, result, record) for result, record in zip(results, records, strict=True)]
    if len(items) == 1 or (atomic and isinstance(results[0], HoloError)):
        answer = _answer_one(results, items, headers)
        (result,) = results if len(results) == 1 else (None,)
        if call.accepts == COSE and isinstance(result, Outcome):
            return replace(answer, body=result.receipt.envelope, media_type=COSE)
        return answer
    return Answer(types.BindingsPosted(items=items), headers=headers)


def _answer_one(results: Sequence[Result], items: Sequence[types.PostedItem], headers: Mapping[str, str]) -> Answer:
    """The answer for a single record, or for several of which one was refused and with it all."""
    for index, (result, item) in enumerate(zip(results, items, strict=True)):
        if item.binding is not None:
            return Answer(item.binding, status=item.status, headers=headers)
        if isinstance(result, HoloError) and item.problem is not None and result.code != "atomic-failed":
            place = f"records[{index}]" + (f" {item.problem.at}" if item.problem.at else "")
            problem = item.problem if len(items) == 1 else structs.replace(item.problem, at=place)
            return answer_problem(problem, result)
    raise AssertionError("of records refused together one was refused for itself")


async def _admit(edge: Edge, ns: str, records: Sequence[Sequence[bytes]], atomic: bool) -> list[Result]:
    """What became of each record. Those of another namespace than the path's never reach the registry."""
    misplaced = {
        index: Rejected("field-invalid", f"payload.ns is another namespace than {ns}", subject=ns, at="payload.ns")
        for index, record in enumerate(records)
        if (claimed := _claimed(record)) is not None and claimed.name.namespace != ns
    }
    if atomic and misplaced:
        others = Rejected("atomic-failed", "another record is of another namespace")
        return [misplaced.get(index, others) for index in range(len(records))]
    incoming = [
        Incoming("binding", record, compare_and_swap=True)
        for index, record in enumerate(records)
        if index not in misplaced
    ]
    admitted = iter(await edge.registry.admit(incoming, atomic=atomic) if incoming else [])
    return [misplaced[index] if index in misplaced else next(admitted) for index in range(len(records))]


async def _wait(edge: Edge, call: Call, outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Wait, as long as the request prefers, for a head that covers every receipt; the headers that say so."""
    if not call.wait_s or not outcomes:
        return {}
    last = max(outcomes, key=lambda outcome: (outcome.log, outcome.receipt.seq))
    await edge.registry.head_covering(last.receipt.seq, last.log, call.wait_s)
    return {"Preference-Applied": f"wait={call.wait_s}"}


def _read_records(call: Call) -> tuple[list[list[bytes]], bool]:
    """(records, atomic) of the request, every envelope bounded."""
    if call.content_type == COSE:
        return [[call.body]], False
    body = call.read_json(types.RecordsPost)
    records = [
        [
            decode_base64url(envelope, _ENVELOPE_BYTES, at=f"records[{index}][{at}]")
            for at, envelope in enumerate(record)
        ]
        for index, record in enumerate(body.records)
    ]
    return records, body.atomic


def _claimed(record: Sequence[bytes]) -> Binding | None:
    """The binding the first envelope's payload says it is, nothing verified; None where it cannot be read."""
    try:
        return decode_binding(decode_envelope(record[0], limits.BINDING_BYTES)[2])
    except Rejected:
        return None


def _item(view: View, result: Result, record: Sequence[bytes]) -> types.PostedItem:
    if isinstance(result, Outcome):
        return types.PostedItem(status=_status(result), binding=_accepted(view, result), problem=None)
    current: list[types.BindingItem] | None = None
    claimed = _claimed(record) if isinstance(result, Conflict) else None
    if claimed is not None:
        current = [binding_item(view, entry) for entry in view.current(claimed.name)]
    problem = problem_of(result, current=current)
    return types.PostedItem(status=problem.status, binding=None, problem=problem)


def _accepted(view: View, outcome: Outcome) -> types.BindingPosted:
    binding, newest = view.binding(outcome.statement), view.head()
    head = newest[0] if newest is not None else None
    if head is not None and outcome.log == view.log.number and outcome.receipt.seq >= head.log_size:
        head = None  # not in a head yet
    return types.BindingPosted(
        name=str(binding.name),
        statement=str(binding.id),
        cid=text(binding.cid),
        rev=binding.rev,
        state=outcome.state,
        have=outcome.have,
        need=outcome.need,
        receipt=str(outcome.receipt.id),
        receipt_cose=encode_base64url(outcome.receipt.envelope),
        catalog=text(head.catalog if head else None),
        head=text(head.id if head else None),
    )


def _status(outcome: Outcome) -> int:
    if not outcome.new:
        return 200
    return 202 if outcome.state in ("pending", "waiting") else 201


ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/namespaces/{ns}/bindings",
        handler=post_bindings,
        name="postBindings",
        summary="Take in one record or many",
        cache=Cache.NEVER,
        replies={201: types.BindingPosted, 200: (types.BindingPosted, types.BindingsPosted), 202: types.BindingPosted},
        problems=(400, 401, 403, 404, 409, 413, 415, 422, 429, 503, 507),
        body=types.RecordsPost,
        takes=(JSON, COSE),
        offers=(JSON, COSE),
        headers=("Prefer",),
        writes=True,
    ),
)
