"""Resolving names: ``/v1/resolve``. Every outcome is an answer; "no" comes with a proof as "yes" does.

A reader's consumer policy comes along with the question and is gone with the answer: nothing a stranger sends to be
asked by is kept. One that is named by its CID alone is looked for at this node's peers
(:mod:`holo.http.remote_policies`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

import trio

from holo.core import limits
from holo.core.cid import Cid
from holo.core.consumer import ConsumerPolicy, decode_consumer_policy
from holo.core.decision import Decision, Query
from holo.core.errors import Rejected
from holo.core.head import Head
from holo.core.names import Name
from holo.http import parameters, types
from holo.http.base64url import decode_base64url
from holo.http.edge import Edge
from holo.http.negotiation import COSE, JSON
from holo.http.parameters import NAME, RECEIPT, TAG, selected_name
from holo.http.plain_answers import Found, decided, plain_name
from holo.http.route import Answer, Cache, Call, Route
from holo.http.shapes import resolved, text
from holo.http.signing import prove
from holo.http.types import encode_json
from holo.store.view import View

_EFFORT_AT_ONCE: Final = 100  # plain answers, about a millisecond
_EFFORT_OF_ANY: Final = 10  # what an answer takes that is not plain
_REF: Final = attrgetter("policy_ref")

POLICY_REF: Final = parameters.cid(
    "policyRef",
    "A genesis (pins the namespace), the policy in effect, or a consumer policy a peer holds. POST takes one along.",
)


async def get_resolve(edge: Edge, call: Call) -> Answer:
    """The decision about one name, on the live state; with ``receipt=1`` on the newest head's, signed and proved."""
    query = Query(selected_name(call.query), call.query.get(POLICY_REF))
    edge.resolves.take(call.authority.address, 1, trio.current_time())
    consumer = await _remote(edge, query.policy_ref, call.authority.address)
    with edge.registry.view() as view:
        if call.query.get(RECEIPT):
            signed = edge.signer.sign(view, edge.clock_ms(), query, consumer)
            headers = {"Holo-Catalog": str(signed.head.catalog), "Holo-Head": str(signed.head.id)}
            if call.accepts == COSE:
                return Answer(signed.receipt, media_type=COSE, headers=headers, cache=Cache.NEVER)
            return Answer(await prove(view, signed), headers=headers, cache=Cache.NEVER)
        if call.accepts == COSE:
            raise Rejected("not-acceptable", "a decision is not signed unless receipt=1", at="header.accept")
        headers = _standing(view)
        decision = view.decide(query, consumer)
        found = resolved(decision, _rev(view, decision))
    return Answer(found, etag=found.decision, headers=headers)


async def post_resolve(edge: Edge, call: Call) -> Answer:
    """Decisions about many names, all on one snapshot."""
    body = call.read_json(types.ResolvePost)
    refs: dict[str | None, Cid | None] = {None: None}
    # Names alone, of which any number may be asked, are not all read before the first is answered.
    names_alone = not (body.packs or body.receipt or edge.resolves.bounded or any(map(_REF, body.queries)))
    read = () if names_alone else body.queries
    questions = [_question(item, index, refs) for index, item in enumerate(read)]
    packs = {pack.id: pack for pack in map(_pack, range(len(body.packs)), body.packs)}
    edge.resolves.take(call.authority.address, len(body.queries), trio.current_time())
    await _add_remote(edge, packs, refs.values(), call.authority.address)
    items: list[bytes] = []
    with edge.registry.view() as view:
        effort = 0
        for index, item in enumerate(body.queries):
            found = edge.plain.find_bound(view, item.handle.encode()) if names_alone else None
            if found is not None:
                effort += 1
                items.append(found.body)
            else:
                question = _question(item, index, refs) if names_alone else questions[index]
                took, answer = await _answer(edge, view, question, packs, signed=body.receipt)
                effort += took
                items.append(answer)
            if effort >= _EFFORT_AT_ONCE:
                effort = 0
                await trio.lowlevel.checkpoint()  # a thousand of them must not keep everyone else waiting
        head = view.head()
    return Answer(_written(items, head[0] if head else None))


async def _answer(
    edge: Edge, view: View, question: _Question, packs: Mapping[Cid, ConsumerPolicy], *, signed: bool
) -> tuple[int, bytes]:
    """What an answer took, in plain ones, and its JSON."""
    if signed:
        async with edge.proving:  # one each round of the loop, however many have asked
            receipt = edge.signer.sign(view, edge.clock_ms(), _query(question), _consumer(question.ref, packs))
            return _EFFORT_AT_ONCE, await prove(view, receipt)
    found = _plainly(edge, view, question, packs)
    if found is not None:
        return 1, found.body
    return _EFFORT_OF_ANY, decided(view, _query(question), _consumer(question.ref, packs)).body


async def _remote(edge: Edge, ref: Cid | None, address: str) -> ConsumerPolicy | None:
    """The consumer policy ``ref`` from a peer, where it is no policy held here and one can be had."""
    if ref is None or not edge.policies.on:
        return None
    with edge.registry.view() as view:
        if view.records.payload(ref) is not None:
            return None
    return await edge.policies.find(ref, address)


async def _add_remote(edge: Edge, packs: dict[Cid, ConsumerPolicy], refs: Iterable[Cid | None], address: str) -> None:
    """Add to ``packs`` what peers hold of ``refs``, as many as could have been sent along."""
    wanted = [ref for ref in refs if ref is not None and ref not in packs] if edge.policies.on else []
    for ref in wanted[: limits.RESOLVE_PACKS]:
        found = await _remote(edge, ref, address)
        if found is not None:
            packs[ref] = found


class _Question(NamedTuple):
    """A question as far as it was read: the name's parts as bytes, or the name where it has a pin."""

    parts: tuple[bytes, bytes, bytes] | None
    name: Name | None
    ref: Cid | None


def _question(item: types.ResolveQuery, index: int, refs: dict[str | None, Cid | None]) -> _Question:
    """What an item asks. ``refs`` are the policies read so far, by their text."""
    try:
        if item.policy_ref not in refs:
            refs[item.policy_ref] = Cid.parse(item.policy_ref or "")
        ref = refs[item.policy_ref]
        parts = plain_name(item.handle.encode())
        return _Question(parts, None if parts else Name.parse(item.handle), ref)
    except Rejected as error:
        error.at = f"queries[{index}]"
        raise


def _query(question: _Question) -> Query:
    if question.parts is None:
        assert question.name is not None
        return Query(question.name, question.ref)
    ns, handle, tag = question.parts
    return Query(Name(ns.decode(), handle.decode(), tag.decode()), question.ref)


def _plainly(edge: Edge, view: View, question: _Question, packs: Mapping[Cid, ConsumerPolicy]) -> Found | None:
    if question.parts is None or question.ref in packs:
        return None
    return edge.plain.find(view, *question.parts, question.ref)


def _consumer(ref: Cid | None, packs: Mapping[Cid, ConsumerPolicy]) -> ConsumerPolicy | None:
    return None if ref is None else packs.get(ref)


def _written(items: Sequence[bytes], head: Head | None) -> bytes:
    """The JSON of :class:`ResolvedMany` with items that are JSON already."""
    empty = types.ResolvedMany(
        items=[], catalog=text(head.catalog if head else None), head=text(head.id if head else None)
    )
    before, _, after = encode_json(empty).partition(b"[]")
    return b"".join((before, b"[", b",".join(items), b"]", after))


def _pack(index: int, text: str) -> ConsumerPolicy:
    at = f"packs[{index}]"
    data = decode_base64url(text, limits.CONSUMER_POLICY_BYTES, at=at)
    try:
        return decode_consumer_policy(data)
    except Rejected as error:
        error.at = at + (error.at or "").removeprefix("payload")
        raise


def _rev(view: View, decision: Decision) -> int | None:
    return None if decision.statement is None else view.binding(decision.statement).rev


def _standing(view: View) -> dict[str, str]:
    """The newest head, which the live state is at or past."""
    head = view.head()
    return {} if head is None else {"Holo-Catalog": str(head[0].catalog), "Holo-Head": str(head[0].id)}


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/resolve",
        handler=get_resolve,
        name="resolve",
        summary="The decision about one name",
        cache=Cache.CHECKED,
        replies={200: (types.Resolved, types.ResolvedWithReceipt)},
        problems=(400, 406, 429, 503),
        parameters=(NAME, TAG, POLICY_REF, RECEIPT),
        offers=(JSON, COSE),
        reply_headers=("Holo-Catalog", "Holo-Head"),
    ),
    Route(
        method="POST",
        path="/v1/resolve",
        handler=post_resolve,
        name="resolveMany",
        summary="Decisions about many names on one snapshot",
        cache=Cache.NEVER,
        replies={200: types.ResolvedMany},
        problems=(400, 413, 415, 422, 429, 503),
        body=types.ResolvePost,
        takes=(JSON,),
    ),
)
