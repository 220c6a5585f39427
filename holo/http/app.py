"""The application: HTTP in, calls to resources, HTTP out (Quart under trio).

One view serves every route of the table: it hands the request to :func:`~holo.http.serving.serve` and renders the
answer. Whatever goes wrong ends in a problem.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, cast

import trio
from quart import Request, request
from quart_trio import QuartTrio
from quart_trio.wrappers.response import TrioResponse
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from holo.core import limits
from holo.core.errors import HoloError, Rejected
from holo.http.bodies import Bodies, Body
from holo.http.edge import Edge
from holo.http.hosts import Hosts
from holo.http.hot import Hot
from holo.http.hot_answer import HotAnswers
from holo.http.problem import problem_of_code
from holo.http.reply import answer_error, answer_problem, render, render_problem
from holo.http.route import Answer, Route
from holo.http.serving import Asked, count, serve
from holo.http.table import ROUTES
from holo.http.whole_post import WholePosts

_BODY: Final = "holo.body"  # in the scope of a request: its Body

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class _SlowReader(Exception):
    """A client took none of its answer for as long as it may be silent."""


class App:
    """The ASGI application of one node, and what answers the hot reads without it.

    ``stopping`` is to be set when a stop begins, so that long answers end.
    """

    def __init__(self, edge: Edge, routes: Iterable[Route] = ROUTES) -> None:
        self.stopping = edge.stopping
        self.answers = HotAnswers(Hot(edge), edge.metrics)
        self.metrics = edge.metrics
        self._bodies = Bodies(limits.BODIES_BYTES)
        self.posts = WholePosts(edge, self._bodies)
        self._idle_s = edge.profile.http.idle_timeout_ms / 1000
        self._quart = _make_quart(edge, routes)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request. There is nothing to start or stop, and there are no websockets."""
        if scope["type"] == "http":
            with self._bodies.body() as body:
                known: Any = {**scope, _BODY: body}
                taken = partial(self._receive, receive, body if scope["method"] == "POST" else None)
                try:
                    await self._quart(known, taken, partial(self._send, send))
                except* _SlowReader:
                    self.metrics.reader_cut()  # the answer breaks off here; the connection or its stream is reset
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})

    async def _receive(self, receive: Receive, body: Body | None) -> Any:
        message = await receive()
        if message["type"] != "http.request":
            return message
        return {**message, "body": b""} if body is None else self._bodies.take(body, message)

    async def _send(self, send: Send, message: Any) -> None:
        # HTTP/2 lets a client stop reading one stream and keep the connection: that stream is cut here.
        with trio.move_on_after(self._idle_s) as patience:
            if message.get("more_body"):
                # What is sent to a client that left is swallowed without a pause; this ends a loop of sends.
                await trio.lowlevel.checkpoint()
            await send(message)
        if patience.cancelled_caught:
            raise _SlowReader


def make_app(edge: Edge) -> App:
    """The application over ``edge``."""
    return App(edge)


def _make_quart(edge: Edge, routes: Iterable[Route]) -> QuartTrio:
    app = QuartTrio("holo.http", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=edge.profile.http.max_body_bytes,
        BODY_TIMEOUT=None,  # _read_body has its own
        RESPONSE_TIMEOUT=None,  # event streams last
        PROPAGATE_EXCEPTIONS=False,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    app.url_map.merge_slashes = False
    joining = trio.Lock()
    hosts = Hosts(edge.profile.http.address[0], edge.profile.http.hosts)

    @app.before_request
    async def check_host() -> None:
        hosts.check(request.headers.get("Host"))
        if request.scope["path"].startswith("//"):  # the framework takes it for a path with one slash
            raise NotFound

    @app.errorhandler(Exception)
    async def on_error(error: Exception) -> TrioResponse:
        answer = _answer_http(error) if isinstance(error, HTTPException) else answer_error(error, where=request.path)
        count(edge, "", request.method, answer, 0.0)
        return render_problem(answer)

    for route in routes:
        path = route.path.replace("{", "<").replace("}", ">")
        app.add_url_rule(path, f"{route.method} {route.path}", _view(edge, joining, route), methods=[route.method])
    return app


def _view(edge: Edge, joining: trio.Lock, route: Route) -> Callable[..., Awaitable[TrioResponse]]:
    async def view(**path: str) -> TrioResponse:
        client = request.scope.get("client")
        asked = Asked(
            method=request.method,
            target=request.path,
            query=request.scope["query_string"],
            path=path,
            address=client[0] if client else "",
            accept=",".join(request.headers.getlist("Accept")),
            content_type=request.headers.get("Content-Type", ""),
            body=partial(_read_body, edge, joining, request),
            prefer=request.headers.get("Prefer", ""),
            last_event_id=request.headers.get("Last-Event-ID"),
        )
        return render(route, request, await serve(edge, route, asked))

    return view


async def _read_body(edge: Edge, joining: trio.Lock, incoming: Request) -> bytes:
    """The body, joined in one piece where it has come. Large ones are joined one at a time, each in a round of its own:

    the copy takes milliseconds, and many that end together must not keep everyone else waiting for all of them.
    """
    body: Body = cast(Any, incoming.scope)[_BODY]
    limit_bytes = edge.profile.http.max_body_bytes
    seconds = edge.profile.http.idle_timeout_ms / 1000 + limit_bytes / limits.SLOWEST_BODY_BYTES_PER_S
    parts: list[bytes] = []
    size_bytes = 0
    try:
        with trio.fail_after(seconds):
            with body.reading():
                async for part in incoming.body:
                    parts.append(part)
                    size_bytes += len(part)
                    if size_bytes > limit_bytes:
                        raise RequestEntityTooLarge
    except trio.TooSlowError:
        raise Rejected("request-timeout", f"the body took more than {seconds:.0f} s", at="body") from None
    except RequestEntityTooLarge:
        raise Rejected("too-large", f"a body of more than {limit_bytes} bytes", at="body") from None
    if size_bytes <= limits.JOINED_AT_ONCE_BYTES:
        return b"".join(parts)
    async with joining:
        await trio.lowlevel.checkpoint()
        return b"".join(parts)


def _answer_http(error: HTTPException) -> Answer:
    """The answer to a request that the framework refused: no route, or no such method."""
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        problem = problem_of_code("method-not-allowed", f"{request.method}; allowed are {allowed}")
        return answer_problem(problem, headers={"Allow": allowed})
    if isinstance(error, NotFound):
        return answer_problem(problem_of_code("not-found", f"no resource {request.path[:200]!r}"))
    return answer_error(HoloError("request-invalid", error.name or ""), where=request.path)
