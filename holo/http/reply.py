"""From an answer to a response: validators, caching, links, problems. The conventions of the interface live here.

Every cacheable answer has a strong ETag (RFC 9110 section 8.8.3): the resource's own where it knows one, else a hash of
the bytes. The same thing as JSON and as COSE has different validators. HEAD gives the headers of GET.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from blake3 import blake3
from msgspec import Struct
from quart import Request
from quart_trio.wrappers.response import TrioResponse

from holo.core.errors import HoloError, StoreFailed
from holo.http.negotiation import COSE, HTML
from holo.http.problem import PROBLEM_JSON, problem_of, problem_of_fault, retry_after_s
from holo.http.route import Answer, Cache, Route
from holo.http.types import Problem, encode_json

# The documentation page styles itself and loads nothing; nothing else is a page at all.
_POLICIES: Final = {HTML: "default-src 'none'; style-src 'unsafe-inline'"}
_NO_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Worded:
    """An answer as a response: header fields in order, all but those about the body, and the body."""

    status: int
    fields: Mapping[str, str]
    body: bytes | AsyncIterator[bytes]


def word(route: Route, target: str, if_none_match: str | None, answer: Answer) -> Worded:
    """The response of ``route`` that ``answer`` is to a request for ``target``, its path and query."""
    cache = answer.cache or route.cache
    fields = {"Cache-Control": cache.value, **standing_headers(answer.media_type), **answer.headers}
    if len(route.offers) > 1:
        fields["Vary"] = "Accept"
    if answer.next is not None:
        fields["Link"] = f'<{_next_url(target, answer.next)}>; rel="next"'
    if not isinstance(answer.body, bytes | Struct):
        return Worded(answer.status, fields, answer.body)
    data = answer.body if isinstance(answer.body, bytes) else encode_json(answer.body)
    if cache is not Cache.NEVER and answer.status == 200:
        fields["ETag"] = etag = _etag(answer, data)
        if matches(if_none_match, etag):
            return Worded(304, fields, b"")
    return Worded(answer.status, fields, data)


def render(route: Route, request: Request, answer: Answer) -> TrioResponse:
    """The response that ``answer`` is to ``request``."""
    target = f"{request.path}?{request.query_string.decode('ascii', 'ignore')}"
    worded = word(route, target, request.headers.get("If-None-Match"), answer)
    body = b"" if request.method == "HEAD" and not isinstance(worded.body, bytes) else worded.body
    response = TrioResponse(body, worded.status, dict(worded.fields), content_type=answer.media_type)
    if worded.status == 304:
        del response.headers["Content-Type"]
        del response.headers["Content-Length"]
    return response


def answer_problem(
    problem: Problem, error: HoloError | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """The answer that a problem is."""
    extra = dict(headers or {})
    wait_s = retry_after_s(error, problem.status)
    if wait_s is not None:
        extra["Retry-After"] = str(wait_s)
    if problem.status == 401:
        extra["WWW-Authenticate"] = "Holo-Capability"
    return Answer(problem, status=problem.status, media_type=PROBLEM_JSON, headers=extra, cache=Cache.NEVER)


def answer_error(error: Exception, *, where: str) -> Answer:
    """The answer that an error is: its problem, or that of a fault, which is logged and not explained."""
    if isinstance(error, HoloError) and not isinstance(error, StoreFailed) and error.code != "internal":
        return answer_problem(problem_of(error), error)
    return answer_problem(problem_of_fault(error, where=where))


def render_problem(answer: Answer) -> TrioResponse:
    """The response of a request that reached no route."""
    headers = {"Cache-Control": Cache.NEVER.value, **standing_headers(answer.media_type), **answer.headers}
    data = answer.body if isinstance(answer.body, bytes) else encode_json(answer.body)
    return TrioResponse(data, answer.status, headers, content_type=answer.media_type)


def standing_headers(media_type: str) -> dict[str, str]:
    """What every answer of a media type says to browsers."""
    return {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _POLICIES.get(media_type.partition(";")[0], _NO_POLICY),
    }


def _etag(answer: Answer, data: bytes) -> str:
    mark = answer.etag or blake3(data).hexdigest(16)
    return f'"{mark}-cose"' if answer.media_type == COSE else f'"{mark}"'


def matches(if_none_match: str | None, etag: str) -> bool:
    """The weak comparison of RFC 9110 section 13.1.2: a proxy may have weakened what we said."""
    if if_none_match is None:
        return False
    offered = [item.strip().removeprefix("W/") for item in if_none_match.split(",")]
    return "*" in offered or etag in offered


def _next_url(target: str, cursor: str) -> str:
    path, _, query = target.partition("?")
    kept = [part for part in query.split("&") if part and not part.startswith("cursor=")]
    return f"{path}?{'&'.join([*kept, f'cursor={cursor}'])}"
