"""One request through its route, whoever read it: decoded and bounded, answered by the resource, counted.

Nothing here knows a framework. Whatever goes wrong ends in a problem.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import trio

from holo.core.errors import Rejected
from holo.http.authority import authorise
from holo.http.edge import Edge
from holo.http.negotiation import choose, media_type_of, wait_s_of
from holo.http.query import decode_query
from holo.http.reply import answer_error
from holo.http.route import Answer, Call, Route
from holo.http.types import Problem


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came. ``target`` is its path; ``body`` reads it, bounded; header fields it lacks are empty.

    ``address`` is the client's, "" for a caller in this very process.
    """

    method: str
    target: str
    query: bytes
    path: Mapping[str, str]
    address: str
    accept: str
    content_type: str
    body: Callable[[], Awaitable[bytes]]
    prefer: str = ""
    last_event_id: str | None = None


async def serve(edge: Edge, route: Route, asked: Asked) -> Answer:
    """The answer of ``route``, or the problem it ends in."""
    began = trio.current_time()
    try:
        answer = await route.handler(edge, await _open_call(edge, route, asked))
    except Exception as error:
        answer = answer_error(error, where=route.name)
    count(edge, route.path, asked.method, answer, trio.current_time() - began)
    return answer


def count(edge: Edge, route: str, method: str, answer: Answer, seconds: float) -> None:
    """Count an answer of ``route``, which is empty where the request reached none."""
    edge.metrics.answered(route, method if method in ("GET", "HEAD", "POST") else "other", answer.status, seconds)
    if isinstance(answer.body, Problem):
        edge.metrics.refused(answer.body.code)


async def _open_call(edge: Edge, route: Route, asked: Asked) -> Call:
    """The request as the resource sees it, every part of it bounded and decoded. Cheapest refusals first."""
    accepts = choose(asked.accept, route.offers)
    query = decode_query(asked.query, route.parameters)
    authority = authorise(edge.profile.http.require, asked.address, writes=route.writes)
    content_type = media_type_of(asked.content_type)
    body = b""
    if route.takes:
        if content_type not in route.takes:
            raise Rejected(
                "media-type-unsupported",
                f"{content_type[:80] or 'no Content-Type'}; this resource takes {', '.join(route.takes)}",
                at="header.content-type",
            )
        body = await asked.body()
    return Call(
        path=asked.path,
        query=query,
        accepts=accepts,
        content_type=content_type,
        body=body,
        wait_s=wait_s_of(asked.prefer),
        last_event_id=asked.last_event_id,
        list_name=list_name(asked.target, asked.query),
        authority=authority,
    )


def list_name(path: str, raw: bytes) -> str:
    """What a cursor is bound to: the path and every parameter but the place in the list."""
    filters = sorted(part for part in raw.split(b"&") if not part.startswith((b"cursor=", b"limit=")))
    return f"{path}?{b'&'.join(filters).decode('ascii', 'replace')}"
