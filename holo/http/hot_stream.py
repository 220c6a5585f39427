"""Hot answers as HTTP/2: header fields and a body, the same fields in the same order as from the rest of the server."""

from __future__ import annotations

from typing import Final

from holo.core import limits
from holo.http.hot import PATH
from holo.http.hot_answer import HotAnswers, signed_fields
from holo.http.reply import matches
from holo.http.request_head import QUERY, Fields, Heads

Header = tuple[bytes, bytes]

_START: Final = PATH + b"?"
_OK: Final = (b":status", b"200")
_NOT_MODIFIED: Final = (b":status", b"304")
_JSON: Final = (b"content-type", b"application/json")


class HotStreams:
    """Reads the header fields of streams and words hot answers. One for all connections of a server.

    Every batch stands between ``begin`` and ``end`` of ``answers``.
    """

    def __init__(self, answers: HotAnswers, heads: Heads) -> None:
        self.answers = answers
        self._heads = heads
        self._known: dict[tuple[Header, ...], Fields] = {}

    def answer(self, headers: tuple[Header, ...], address: str, room_bytes: int) -> tuple[list[Header], bytes] | None:
        """(header fields, body) for a request without a body, by a client at ``address``.

        None where it takes the whole server to answer it, or where the body has more than ``room_bytes``.
        """
        for at, (name, path) in enumerate(headers):
            if name == b":path" and path.startswith(_START):
                fields = self._fields(headers[:at] + headers[at + 1 :])
                break
        else:
            return None
        if fields is None:
            return None
        query = path[len(_START) :]
        if QUERY.fullmatch(query) is None:
            return None
        found = self.answers.find(query, fields, address)
        if found is None:
            signed = self.answers.find_signed(query, fields, address)
            if signed is None or len(signed.body) > room_bytes:
                return None
            self.answers.count(200)
            rest = [(b"content-length", b"%d" % len(signed.body)), (b"date", self.answers.date)]
            return [_OK, *signed_fields(signed), *rest], signed.body
        if len(found.body) > room_bytes:
            return None
        etag = b'"%s"' % found.decision
        date = (b"date", self.answers.date)
        if fields.if_none_match is not None and matches(fields.if_none_match, etag.decode()):
            self.answers.count(304)
            return [_NOT_MODIFIED, *self.answers.before, (b"etag", etag), date], b""
        self.answers.count(200)
        length = (b"content-length", b"%d" % len(found.body))
        return [_OK, *self.answers.before, (b"etag", etag), _JSON, length, date], found.body

    def _fields(self, headers: tuple[Header, ...]) -> Fields | None:
        """What all fields but the path say; they repeat from request to request, so those read last are remembered."""
        fields = self._known.get(headers)
        if fields is not None:
            return fields
        written = _as_lines(headers)
        if written is None:
            return None
        fields = self._heads.read_fields(written)
        if fields is not None and len(written) <= limits.KNOWN_HEAD_BYTES:
            if len(self._known) >= limits.KNOWN_HEADS:
                self._known.clear()
            self._known[headers] = fields
        return fields


def _as_lines(headers: tuple[Header, ...]) -> bytes | None:
    """The fields as HTTP/1.1 would say them, for its strict reader; None unless this is a GET over HTTP.

    Bytes that would make one field two in HTTP/1.1 cannot occur in HTTP/2 (RFC 9113 section 8.2.1), and nghttp2 holds
    clients to that.
    """
    pseudo = {name: value for name, value in headers if name[:1] == b":"}
    if len(pseudo) != 3 or pseudo.get(b":method") != b"GET" or pseudo.get(b":scheme") not in (b"http", b"https"):
        return None
    host = pseudo.get(b":authority")
    if host is None:
        return None
    plain = [(name, value) for name, value in headers if name[:1] != b":"]
    return b"".join(b"%s: %s\r\n" % header for header in [(b"host", host), *plain])
