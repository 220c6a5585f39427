"""Requests to one of several nodes: order of preference, failover, bounds, and problems as errors.

An endpoint that cannot be reached, or says that it is overloaded or stopping, is left for the next one and not tried
again; everything holo sends may be sent twice, for a node answers the same bytes with the same receipt. Replies are
bounded while they are read and parsed into types, so that nothing a node says reaches a caller unchecked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from holo import __version__
from holo.client.transport import Network, Transport
from holo.core.errors import CODES, HoloError
from holo.core.keys import Kid, did_of
from holo.http.query import encode_query
from holo.http.types import NodeReply

T = TypeVar("T")

_PASS_ON: Final = frozenset({"overloaded", "rate-limited", "stopping", "unreachable", "reply-invalid"})
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
    """A way to reach the first of ``endpoints`` that answers. ``warn`` is told when one is given up."""

    def __init__(
        self, endpoints: Sequence[Endpoint], *, timeout_s: float = 30.0, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        assert endpoints
        self._endpoints = list(endpoints)
        self._timeout_s = timeout_s
        self._warn = warn
        self._transport: Transport | None = None
        self._headers = {"user-agent": f"holo/{__version__}"}

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
    ) -> Reply:
        """Send one request; None among ``params`` is left out, ``body`` is sent as JSON.

        Raises :class:`NodeRefused` for a problem, ``unreachable`` where no endpoint answers, ``reply-invalid``.
        """
        sent = {"accept": f"{_TYPES.get(accept, accept)}, {_TYPES['problem']}", **self._headers, **(headers or {})}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["content-type"] = _TYPES["json"]
        # Written by the node's own rules, since other encoders differ about what + means.
        query = encode_query({name: str(value) for name, value in (params or {}).items() if value is not None})
        target = f"{path}?{query}" if query else path
        while True:
            try:
                return self._attempt(method, target, data, sent)
            except HoloError as error:
                if error.code not in _PASS_ON or len(self._endpoints) == 1:
                    raise
                failed = self._endpoints.pop(0)
                self.close()
                self._warn(f"{failed.url}: {error.code}: {error.detail}; going on with {self.endpoint.url}")

    def close(self) -> None:
        """Close what is open. The next request opens it again."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attempt(self, method: str, target: str, data: bytes | None, headers: Mapping[str, str]) -> Reply:
        if self._transport is None:
            self._transport = self.endpoint.transport or Network(self.endpoint.url, self._timeout_s)
            self._identify(self._transport)
        found = self._transport.request(method, target, data, headers)
        if 200 <= found.status < 300:
            return Reply(found.status, found.headers, found.body)
        raise NodeRefused(_problem_in(found.body, self.endpoint.url, found.status), found.status)

    def _identify(self, transport: Transport) -> None:
        """Raises ``anchor-missing`` unless the node says that it is the one that is expected here.

        It may lie; but then it cannot sign. This finds the address that has come to belong to another node.
        """
        if self.endpoint.node is None or self.endpoint.transport is not None:
            return
        found = transport.request("GET", "/v1/node", None, self._headers)
        about = Reply(found.status, found.headers, found.body).read(NodeReply)
        if about.node != did_of(self.endpoint.node):
            self.close()
            detail = f"{self.endpoint.url} is {about.node}, not {did_of(self.endpoint.node)}"
            raise HoloError("anchor-missing", detail, subject=self.endpoint.url)


def _problem_in(body: bytes, url: str, status: int) -> Mapping[str, Any]:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        problem = None
    if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
        raise HoloError("reply-invalid", f"{url} answered {status} and no problem object", subject=url)
    return problem
