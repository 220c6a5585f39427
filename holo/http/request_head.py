"""The head of a hot request, read strictly: either it is certainly what it looks like, or somebody else reads it.

h11 decides what HTTP/1.1 is. What is read here is the small part of it about which there is nothing to decide: one
request line of one shape, and header fields of RFC 9112 in their plainest form, none of which says that there is a
body, that the connection is to change, or that the request is to be handled in any other way than usual. Bytes are
never skipped, joined or corrected, so where such a head ends is where every reader of HTTP/1.1 sees it end.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from holo.core import limits
from holo.core.errors import HoloError
from holo.http.hot import PATH, chosen_type
from holo.http.negotiation import JSON

START: Final = b"GET " + PATH + b"?"
_START_CHARS: Final = len(START)
_VERSION: Final = b" HTTP/1.1\r\n"
QUERY: Final = re.compile(rb"[!-~]*")
# A token, a colon, visible ASCII with blanks inside: no folding, no control characters, no bytes beyond ASCII.
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~](?:[ -~\t]*[!-~])?)?)[ \t]*\r\n")

# Fields that nothing here looks at. Any field that is not named in this module makes a request somebody else's.
_IDLE: Final = frozenset(
    b"accept-charset accept-encoding accept-language authorization cache-control cookie dnt forwarded from origin "
    b"pragma priority referer traceparent tracestate user-agent via x-forwarded-for x-forwarded-host "
    b"x-forwarded-proto x-real-ip x-request-id".split()
)
_LOOKED_AT: Final = frozenset((b"host", b"accept", b"if-none-match", b"connection"))


@dataclass(frozen=True, slots=True)
class Fields:
    """What the header fields of a hot request say: how it is wanted, and maybe what the client has already.

    ``as_json`` says that ``accept`` comes to JSON; else it comes to COSE.
    """

    accept: bytes | None
    as_json: bool
    if_none_match: str | None


class Heads:
    """Reads heads. What follows the query repeats from request to request, so what was read last is remembered by its
    bytes.

    ``check_host`` raises for a Host that is not this node's.
    """

    def __init__(self, check_host: Callable[[str | None], None]) -> None:
        self._check_host = check_host
        self._known: dict[bytes, Fields] = {}

    def read(self, data: bytes, start: int, end: int) -> tuple[bytes, Fields] | None:
        """(query, fields) of the head that is ``data[start:end]``, ``end`` behind its empty line.

        None where it is not certainly a hot request. ``data[start:]`` begins with :data:`START`.
        """
        stop = data.find(b" ", start + _START_CHARS, end)
        rest = data[stop:end]
        fields = self._known.get(rest)
        if fields is None:
            if not rest.startswith(_VERSION):
                return None
            fields = self.read_fields(rest[len(_VERSION) : -2])
            if fields is None:
                return None
            if len(rest) <= limits.KNOWN_HEAD_BYTES:
                if len(self._known) >= limits.KNOWN_HEADS:
                    self._known.clear()
                self._known[rest] = fields
        query = data[start + _START_CHARS : stop]
        return (query, fields) if QUERY.fullmatch(query) is not None else None

    def read_fields(self, block: bytes) -> Fields | None:
        """What the lines of ``block``, each with its line end, say; None where they are not those of a hot request."""
        seen = plain_fields(block, _LOOKED_AT)
        if seen is None or not takes_this_host(seen, self._check_host):
            return None
        accept, matches = seen.get(b"accept"), seen.get(b"if-none-match")
        chosen = chosen_type(accept)
        return Fields(accept, chosen == JSON, None if matches is None else matches.decode("ascii")) if chosen else None


def plain_fields(block: bytes, looked_at: frozenset[bytes]) -> dict[bytes, bytes] | None:
    """The fields of ``block`` that are ``looked_at``, by name in lower case.

    None where a line is not in its plainest form, a name comes twice, a field is neither looked at nor known to make no
    difference, or the connection is not to go on as usual.
    """
    seen: dict[bytes, bytes] = {}
    at = 0
    while at < len(block):
        found = _FIELD.match(block, at)
        if found is None:
            return None
        name, at = found[1].lower(), found.end()
        if name in _IDLE:
            continue
        if name in seen or name not in looked_at:
            return None
        seen[name] = found[2]
    return seen if seen.get(b"connection", b"keep-alive").lower() == b"keep-alive" else None


def takes_this_host(fields: dict[bytes, bytes], check_host: Callable[[str | None], None]) -> bool:
    """Whether Host is there and names this node; where it does not, the refusal is not ours to word."""
    try:
        check_host(fields[b"host"].decode("ascii"))
    except (KeyError, HoloError):
        return False
    return True


def may_become_hot(data: bytes) -> bool:
    """Whether bytes without an empty line may be the beginning of a hot request.

    A line that ends in a bare line feed is one to h11 and none here, so it must not be waited for.
    """
    if len(data) > limits.REQUEST_HEAD_BYTES or not (data.startswith(START) or START.startswith(data)):
        return False
    return data.count(b"\n") == data.count(b"\r\n")
