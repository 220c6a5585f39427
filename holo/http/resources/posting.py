"""Writing names: ``POST /v1/namespaces/{ns}/bindings``, one record or many.

Accepting is compare-and-swap: a record's ``prev`` must name what is current when it is committed, so of two that race
one is refused and told what is current. The bytes of an accepted record may be sent again, and get the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import trio
from msgspec import structs

from holo.core import limits, names
from holo.core.binding import Binding
from holo.core.errors import Conflict, HoloError, Rejected
from holo.http import types
from holo.http.base64url import decode_base64url, encode_base64url
from holo.http.edge import Edge
from holo.http.negotiation import COSE, JSON
from holo.http.problem import problem_of
from holo.http.reply import answer_problem
from holo.http.route import Answer, Cache, Call, Route
from holo.http.shapes import binding_item, text
from holo.roles.registry import Incoming, Opened, Standing
from holo.store.ledger import BindingSubmission, Outcome
from holo.store.store import Result

_ENVELOPE_BYTES: Final = limits.BINDING_BYTES + limits.ENVELOPE_OVERHEAD_BYTES
_READ_AT_ONCE: Final = 128  # records, before others are served in between
_WORDED_AT_ONCE: Final = 32


async def post_bindings(edge: Edge, call: Call) -> Answer:
    """Take in records; answer once they are durable, or, with ``Prefer: wait``, once a head cites them.

    As COSE the answer to a single record is its receipt.
    """
    ns = call.path["ns"]
    names.check_namespace(ns)
    records, atomic = await _read_records(call)
    if call.accepts == COSE and len(records) != 1:
        raise Rejected("not-acceptable", "several records have several receipts", at="header.accept")
    opened = await edge.registry.open([Incoming("binding", record, compare_and_swap=True) for record in records])
    results = await _submit(edge, ns, opened, atomic)
    headers = await _wait(edge, call, [item for item in results if not isinstance(item, HoloError)])
    if call.accepts == COSE and isinstance(results[0], Outcome):
        return Answer(results[0].receipt.envelope, status=_status(results[0]), media_type=COSE, headers=headers)
    items = await _items(edge, opened, results)
    if len(items) == 1 or (atomic and isinstance(results[0], HoloError)):
        return _answer_one(results, items, headers)
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


async def _submit(edge: Edge, ns: str, opened: Sequence[Opened], atomic: bool) -> list[Result]:
    """What became of each record. Those of another namespace than the path's are refused here."""
    misplaced = {
        index: Rejected("field-invalid", f"payload.ns is another namespace than {ns}", subject=ns, at="payload.ns")
        for index, item in enumerate(opened)
        if isinstance(item, BindingSubmission) and item.binding.name.namespace != ns
    }
    if atomic and misplaced:
        others = Rejected("atomic-failed", "another record is of another namespace")
        return [misplaced.get(index, others) for index in range(len(opened))]
    return await edge.registry.submit([misplaced.get(at, item) for at, item in enumerate(opened)], atomic=atomic)


async def _wait(edge: Edge, call: Call, outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Wait, as long as the request prefers, for a head that covers every receipt; the headers that say so."""
    if not call.wait_s or not outcomes:
        return {}
    last = max(outcomes, key=lambda outcome: (outcome.log, outcome.receipt.seq))
    await edge.registry.head_covering(last.receipt.seq, last.log, call.wait_s)
    return {"Preference-Applied": f"wait={call.wait_s}"}


async def _read_records(call: Call) -> tuple[list[list[bytes]], bool]:
    """(records, atomic) of the request, every envelope bounded."""
    if call.content_type == COSE:
        return [[call.body]], False
    body = call.read_json(types.RecordsPost)
    records: list[list[bytes]] = []
    for index, record in enumerate(body.records):
        if index % _READ_AT_ONCE == _READ_AT_ONCE - 1:
            await trio.lowlevel.checkpoint()
        records.append(
            [
                decode_base64url(envelope, _ENVELOPE_BYTES, at=f"records[{index}][{at}]")
                for at, envelope in enumerate(record)
            ]
        )
    return records, body.atomic


async def _items(edge: Edge, opened: Sequence[Opened], results: Sequence[Result]) -> list[types.PostedItem]:
    """What is said of each record, some at a time: others are served in between."""
    items: list[types.PostedItem] = []
    standing = edge.registry.standing
    for at, (item, result) in enumerate(zip(opened, results, strict=True), start=1):
        if isinstance(result, Outcome):
            assert isinstance(item, BindingSubmission)
            accepted = _accepted(standing, item.binding, result)
            items.append(types.PostedItem(status=_status(result), binding=accepted, problem=None))
        else:
            items.append(_refused(edge, item, result))
        if at % _WORDED_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
    return items


def _refused(edge: Edge, item: Opened, error: HoloError) -> types.PostedItem:
    current: list[types.BindingItem] | None = None
    if isinstance(error, Conflict) and isinstance(item, BindingSubmission):
        with edge.registry.view() as view:
            current = [binding_item(view, entry) for entry in view.current(item.binding.name)]
    problem = problem_of(error, current=current)
    return types.PostedItem(status=problem.status, binding=None, problem=problem)


def _accepted(standing: Standing, binding: Binding, outcome: Outcome) -> types.BindingPosted:
    covered = standing.covers(outcome.log, outcome.receipt.seq)
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
        catalog=standing.catalog if covered else None,
        head=standing.head if covered else None,
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
