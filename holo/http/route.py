"""What a route is, and the request and answer it deals in; no framework in sight.

A resource is a function from :class:`Call` to :class:`Answer`. The application turns HTTP into the one and the other
back into HTTP, which keeps the conventions (caching, negotiation, HEAD, paging, problems) in one place each.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from holo.core.errors import Rejected
from holo.http.authority import Authority
from holo.http.negotiation import COSE, JSON
from holo.http.query import Parameter, Query

if TYPE_CHECKING:
    from holo.http.edge import Edge

T = TypeVar("T")


class Cache(enum.Enum):
    """How long an answer may be kept, as the value of Cache-Control."""

    IMMUTABLE = "public, max-age=31536000, immutable"
    CHECKED = "no-cache"
    NEVER = "no-store"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, decoded and bounded. ``body`` is empty where the route takes none."""

    path: Mapping[str, str]
    query: Query
    accepts: str
    content_type: str
    body: bytes
    wait_s: int
    last_event_id: str | None
    list_name: str
    authority: Authority

    def read_json(self, type: type[T]) -> T:
        """The body as ``type``. Raises ``request-invalid``, saying where."""
        try:
            return msgspec.json.decode(self.body, type=type, strict=True)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Rejected("request-invalid", f"the body is not what this resource takes: {error}", at="body") from None
        except RecursionError:
            raise Rejected("request-invalid", "the body is nested too deeply", at="body") from None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a resource answers.

    ``body`` is a struct (sent as JSON), bytes of ``media_type``, or a stream of them. ``etag`` is the strong validator
    where the resource knows a better one than the hash of the bytes; ``next`` is the cursor of the next page.
    """

    body: msgspec.Struct | bytes | AsyncIterator[bytes]
    status: int = 200
    media_type: str = JSON
    etag: str | None = None
    next: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cache: Cache | None = None


Handler = Callable[["Edge", Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the interface: how it is reached, what it takes, what it gives."""

    method: str
    path: str
    handler: Handler
    name: str
    summary: str
    cache: Cache
    replies: Mapping[int, type[msgspec.Struct] | tuple[type[msgspec.Struct], ...] | None]
    problems: tuple[int, ...] = ()
    parameters: tuple[Parameter[Any], ...] = ()
    offers: tuple[str, ...] = (JSON,)
    body: type[msgspec.Struct] | None = None
    takes: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    reply_headers: tuple[str, ...] = ()
    writes: bool = False

    @property
    def path_names(self) -> list[str]:
        """The names in braces in the path, in order."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


JSON_OR_COSE: Final = (JSON, COSE)


def answer_cose(envelope: bytes, *, status: int = 200, etag: str | None = None) -> Answer:
    """The signed envelope itself."""
    return Answer(envelope, status=status, media_type=COSE, etag=etag)
