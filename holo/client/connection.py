"""Requests to one of several nodes: order of preference, failover, bounds, and problems as errors.

An endpoint that cannot be reached, says that it is overloaded or stopping, is another node than it should be, or shows
an old state (:mod:`holo.client.freshness`), is left for the next one and not tried again. Reads go on wherever they
can; a page of a list stays with the node that gave the page before. Writes go on with the same bytes where their kind
allows it, for nodes take the same bytes once; but whoever signs something else afterwards has to know which nodes may
have taken them (``undecided``). Replies are bounded while they are read and parsed into types, so that nothing a node
says reaches a caller unchecked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

import msgspec

from holo import __version__
from holo.client.freshness import Freshness
from holo.client.transport import Network, Transport, Unanswered
from holo.core.errors import CODES, HoloError
from holo.core.keys import Kid, did_of, parse_did
from holo.http.query import encode_query
from holo.http.types import NodeReply

T = TypeVar("T")

_BUSY: Final = frozenset({"overloaded", "rate-limited", "stopping", "no-space"})
_FAILED: Final = frozenset({"unreachable", "reply-invalid", "internal", "store-failed", "store-corrupt"})
_DOUBTED: Final = frozenset({"anchor-missing", "stale", "equivocation"})  # before anything was sent
_PASS_ON: Final = _BUSY | _FAILED | _DOUBTED

Moving: TypeAlias = Literal["freely", "while-untaken", "never"]
"""When a request may go on to the next node: always, only while no node can have taken it, or not at all."""

_TYPES: Final = {"json": "application/json", "problem": "application/problem+json", "cose": "application/cose"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a node is reached, and its key where that is known beforehand.

    ``transport`` replaces the network for a node inside this process.
    """

    url: str
    node: Kid | None = None
    transport: Transport | None = None


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An endpoint that was left for the next one, and why."""

    endpoint: Endpoint
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is no problem: its status, headers (names in lower case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def read(self, type: type[T]) -> T:
        """The body as ``type``. Raises ``reply-invalid``."""
        try:
            return msgspec.json.decode(self.body, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HoloError("reply-invalid", f"not the {type.__name__} that was expected: {error}") from None


class NodeRefused(HoloError):
    """A problem a node answered with. ``problem`` is its problem object (RFC 9457) as it came."""

    def __init__(self, problem: Mapping[str, Any], status: int) -> None:
        code = str(problem.get("code", ""))
        subject = problem.get("subject")
        at = problem.get("at")
        super().__init__(
            code if code in CODES else "reply-invalid",
            str(problem.get("detail", "")),
            subject=subject if isinstance(subject, str) else None,
            at=at if isinstance(at, str) else None,
        )
        self.code = code or "reply-invalid"  # a newer node may use a code that is not known here
        self.problem = dict(problem)
        self.status = status

    @property
    def title(self) -> str:
        """The node's own title."""
        return str(self.problem.get("title", ""))

    @property
    def fix(self) -> str:
        """The node's own advice."""
        return str(self.problem.get("fix", ""))

    @property
    def http_status(self) -> int:
        """The status it came with."""
        return self.status


class Connection:
    """A way to reach the first of ``endpoints`` that answers. ``warn`` is told when one is given up.

    ``passed`` are the endpoints that were given up, ``answered`` the one that answered last. With ``freshness`` every
    node reached over the network has to stand where it said it stood; ``lenient`` only warns of one that does not.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        timeout_s: float = 30.0,
        warn: Callable[[str], None] = lambda _: None,
        freshness: Freshness | None = None,
        lenient: bool = False,
    ) -> None:
        assert endpoints
        self._endpoints = list(endpoints)
        self._timeout_s = timeout_s
        self._warn = warn
        self._freshness = freshness
        self._lenient = lenient
        self._transport: Transport | None = None
        self._kid: Kid | None = None
        self._sent = False  # whether the body of the request under way may have left
        self._headers = {"user-agent": f"holo/{__version__}"}
        self.passed: list[PassedOver] = []
        self.answered: Endpoint | None = None
        self.undecided: list[Endpoint] = []

    @property
    def node(self) -> Kid | None:
        """The key of the node in use: the one it is expected to have or has shown; None before it was reached."""
        return self.endpoint.node or self._kid

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint in use."""
        return self._endpoints[0]

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int | None] | None = None,
        body: Any = None,
        *,
        accept: str = "json",
        headers: Mapping[str, str] | None = None,
        moving: Moving = "freely",
    ) -> Reply:
        """Send one request; None among ``params`` is left out, ``body`` is sent as JSON.

        Raises :class:`NodeRefused` for a problem, ``unreachable`` where no endpoint answers, ``reply-invalid``,
        ``stale``, ``equivocation``. ``undecided`` then has the endpoints that may have taken what was sent.
        """
        sent = {"accept": f"{_TYPES.get(accept, accept)}, {_TYPES['problem']}", **self._headers, **(headers or {})}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["content-type"] = _TYPES["json"]
        # Written by the node's own rules, since other encoders differ about what + means.
        query = encode_query({name: str(value) for name, value in (params or {}).items() if value is not None})
        target = f"{path}?{query}" if query else path
        self.undecided = []
        while True:
            self._sent = False
            try:
                reply = self._attempt(method, target, data, sent)
                self.answered = self.endpoint
                return reply
            except HoloError as error:
                if self._sent and _may_be_taken(error):
                    self.undecided.append(self.endpoint)
                stays = moving == "never" or (moving == "while-untaken" and self.undecided)
                if stays or error.code not in _PASS_ON or len(self._endpoints) == 1:
                    raise
                failed = self._endpoints.pop(0)
                self.close()
                self.passed.append(PassedOver(failed, error.code, error.detail))
                detail = error.detail.removeprefix(f"{failed.url}: ")
                self._warn(f"{failed.url}: {error.code}: {detail}; going on with {self.endpoint.url}")

    def close(self) -> None:
        """Close what is open. The next request opens it again."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            self._kid = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attempt(self, method: str, target: str, data: bytes | None, headers: Mapping[str, str]) -> Reply:
        if self._transport is None:
            self._transport = self.endpoint.transport or Network(self.endpoint.url, self._timeout_s)
            try:
                self._identify()
            except BaseException:
                self.close()
                raise
        self._sent = data is not None
        return self._exchange(self._transport, method, target, data, headers)

    def _exchange(
        self, transport: Transport, method: str, target: str, data: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        found = transport.request(method, target, data, headers)
        if 200 <= found.status < 300:
            return Reply(found.status, found.headers, found.body)
        raise NodeRefused(_problem_in(found.body, self.endpoint.url, found.status), found.status)

    def _identify(self) -> None:
        """Raises ``anchor-missing`` unless the node shows the key it is expected to have, and what freshness raises.

        It may lie about its key; but then it cannot sign. This finds the address that has come to belong to another.
        """
        endpoint, freshness = self.endpoint, self._freshness
        if endpoint.transport is not None or (endpoint.node is None and freshness is None):
            return
        kid = None if freshness is None else self._standing(freshness)
        if kid is None:
            kid = parse_did(self._ask("/v1/node", NodeReply).node)
        if endpoint.node is not None and endpoint.node != kid:
            detail = f"{endpoint.url} is {did_of(kid)}, not {did_of(endpoint.node)}"
            raise HoloError("anchor-missing", detail, subject=endpoint.url)
        self._kid = kid

    def _standing(self, freshness: Freshness) -> Kid | None:
        """The node's key as its newest head shows it; None where it shows none that counts."""
        try:
            return freshness.check(self.endpoint.url, self._ask)
        except NodeRefused as error:
            if error.code != "not-found":
                raise
            return None
        except HoloError as error:
            if not (self._lenient and error.code in ("stale", "equivocation")):
                raise
            self._warn(f"{self.endpoint.url}: {error.code}: {error.detail.removeprefix(self.endpoint.url + ': ')}")
            return None

    def _ask(self, path: str, type: type[T]) -> T:
        """One question to the node in use, while it is being found out what it is."""
        assert self._transport is not None
        return self._exchange(self._transport, "GET", path, None, self._headers).read(type)


def _may_be_taken(error: HoloError) -> bool:
    """Whether a node that a request failed with like this may have taken what was sent."""
    if isinstance(error, NodeRefused):
        return error.code in _FAILED
    return isinstance(error, Unanswered) or error.code == "reply-invalid"


def _problem_in(body: bytes, url: str, status: int) -> Mapping[str, Any]:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        problem = None
    if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
        raise HoloError("reply-invalid", f"{url} answered {status} and no problem object", subject=url)
    return problem
