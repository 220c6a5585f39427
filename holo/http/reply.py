"""From an answer to a response: validators, caching, links, problems. The conventions of the interface live here.

Every cacheable answer has a strong ETag (RFC 9110 section 8.8.3): the resource's own where it knows one, else a hash of
the bytes. The same thing as JSON and as COSE has different validators. HEAD gives the headers of GET.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from blake3 import blake3
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


def render(route: Route, request: Request, answer: Answer) -> TrioResponse:
    """The response that ``answer`` is to ``request``."""
    cache = answer.cache or route.cache
    headers = {"Cache-Control": cache.value, **standing_headers(answer.media_type), **answer.headers}
    if len(route.offers) > 1:
        headers["Vary"] = "Accept"
    if answer.next is not None:
        headers["Link"] = f'<{_next_url(request, answer.next)}>; rel="next"'
    if not isinstance(answer.body, bytes) and hasattr(answer.body, "__aiter__"):
        body = b"" if request.method == "HEAD" else answer.body
        return TrioResponse(body, answer.status, headers, content_type=answer.media_type)
    data = answer.body if isinstance(answer.body, bytes) else encode_json(answer.body)
    if cache is not Cache.NEVER and answer.status == 200:
        headers["ETag"] = etag = _etag(answer, data)
        if matches(request.headers.get("If-None-Match"), etag):
            response = TrioResponse(b"", 304, headers)
            del response.headers["Content-Type"]
            del response.headers["Content-Length"]
            return response
    return TrioResponse(data, answer.status, headers, content_type=answer.media_type)


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


def _next_url(request: Request, cursor: str) -> str:
    raw = request.query_string.decode("ascii", "ignore")
    kept = [part for part in raw.split("&") if part and not part.startswith("cursor=")]
    return f"{request.path}?{'&'.join([*kept, f'cursor={cursor}'])}"
