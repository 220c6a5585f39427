"""One HTTP/1.1 connection to one node, over the standard library: what a request costs to import decides how fast a
verb answers (docs/benchmarks.md), and a client that asks one thing at a time needs no more.

A reply is read whole, and bounded while it is read. A proxy is used where the environment names one for the URL.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from holo.core.errors import HoloError
from holo.core.limits import REPLY_BYTES

_STALE = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: status, headers (names in lower case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unanswered(HoloError):
    """``unreachable`` after a request may have left: the node may have taken it and may act on it."""


class Transport(Protocol):
    """Carries requests to one node."""

    def request(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        """The answer. Raises ``unreachable``, as :class:`Unanswered` once it may have left, or ``reply-invalid``."""

    def close(self) -> None:
        """Let go of what is open. The next request opens it again."""


class Network:
    """A connection to the node at ``url``, opened by the first request and kept for the next."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._parts = _split(url)
        self._proxy = _proxy_for(self._parts)
        self._prefix = self._parts.path.rstrip("/")
        if self._proxy is not None and self._parts.scheme == "http":
            self._prefix = f"http://{self._parts.netloc}{self._prefix}"  # RFC 9112 section 3.2.2
        self._open: http.client.HTTPConnection | None = None

    def request(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        """As :meth:`Transport.request`. A kept connection that the node has closed meanwhile is opened again, once."""
        kept = self._open
        if kept is not None:
            with contextlib.suppress(*_STALE):
                return self._guarded(kept, method, target, body, headers)
            self.close()
        try:
            self._open = fresh = self._connect()
            fresh.connect()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            kind = HoloError if kept is None else Unanswered
            raise kind("unreachable", self._what(error), subject=self._url) from None
        try:
            return self._guarded(fresh, method, target, body, headers)
        except _STALE as error:
            raise Unanswered("unreachable", self._what(error), subject=self._url) from None

    def _guarded(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Response:
        """One exchange; what is not whole ends the connection. Raises one of ``_STALE`` as it came."""
        try:
            return self._exchange(connection, method, target, body, headers)
        except BaseException as error:
            self.close()
            if isinstance(error, _STALE) or not isinstance(error, OSError | http.client.HTTPException | ValueError):
                raise
            raise Unanswered("unreachable", self._what(error), subject=self._url) from None

    def _what(self, error: Exception) -> str:
        return f"{self._url}: {type(error).__name__}: {error}" if str(error) else f"{self._url}: {type(error).__name__}"

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Response:
        connection.request(method, self._prefix + target, body, dict(headers))
        with connection.getresponse() as response:
            data = response.read(REPLY_BYTES + 1)
            if len(data) > REPLY_BYTES:
                raise HoloError("reply-invalid", f"a reply of more than {REPLY_BYTES} bytes")
            return Response(response.status, {name.lower(): value for name, value in response.getheaders()}, data)

    def _connect(self) -> http.client.HTTPConnection:
        proxy = self._proxy
        secure = self._parts.scheme == "https"
        host, port = self._parts.hostname or "", self._parts.port or (443 if secure else 80)
        at = (host, port) if proxy is None else (proxy.hostname or "", proxy.port or 80)
        if not secure:
            return http.client.HTTPConnection(*at, timeout=self._timeout_s)
        connection = http.client.HTTPSConnection(*at, timeout=self._timeout_s, context=ssl.create_default_context())
        if proxy is not None:
            connection.set_tunnel(host, port)
        return connection


def _split(url: str) -> SplitResult:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    raise HoloError("unreachable", f"{url}: not an http or https URL with a host", subject=url)


def _proxy_for(parts: SplitResult) -> SplitResult | None:
    """The proxy that the environment names for a node; what finds it is slow to import, so only where it names any."""
    if not any(name.lower().endswith("_proxy") and value for name, value in os.environ.items()):
        return None
    from urllib.request import getproxies_environment, proxy_bypass

    named = getproxies_environment()
    proxy = named.get(parts.scheme) or named.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    return urlsplit(proxy if "//" in proxy else f"http://{proxy}")
