"""Hot answers as HTTP/1.1: the bytes of a response, header fields first, put together from what rarely changes.

The fields, their values and their order are those of :mod:`holo.http.reply` under hypercorn's HTTP/1.1.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Final

import structlog

from holo.http.hot import PATH, Found, Hot, SignedAnswer, Standing
from holo.http.metrics import Metrics
from holo.http.negotiation import JSON
from holo.http.parameters import RECEIPT
from holo.http.reply import matches, standing_headers
from holo.http.request_head import Fields
from holo.http.route import Cache

_ROUTE: Final = PATH.decode()
_RECEIPT: Final = f"{RECEIPT.name}=".encode()

_log = structlog.get_logger("holo.http")


class HotAnswers:
    """Words hot answers and counts them. Every batch of them stands between :meth:`begin` and :meth:`end`.

    ``before`` are the fields that all answers begin with, ``date`` is the value of that field.
    """

    def __init__(self, hot: Hot, metrics: Metrics) -> None:
        self.hot = hot
        self._metrics = metrics
        self._standing: Standing | None = None
        self.before: list[tuple[bytes, bytes]] = []
        self.date = b""
        self._before = b""
        self._second = 0
        self._after = b""
        self._began_s = 0.0
        self._counts = {200: 0, 304: 0}

    def begin(self) -> None:
        """A batch begins: what time it is, and which head is the newest."""
        self._began_s = time.perf_counter()
        second = int(time.time())
        if second != self._second:
            self._second = second
            self.date = formatdate(second, usegmt=True).encode()
            self._after = b"\r\ndate: " + self.date + b"\r\n\r\n"
        try:
            standing = self.hot.begin()
        except Exception:  # nothing is hot until the store can be read again
            _log.warning("hot answers pause", exc_info=True)
            self._standing = None
            return
        if standing is not self._standing:
            self._standing = standing
            fields = {
                "cache-control": Cache.CHECKED.value,
                **standing_headers(JSON),
                "holo-catalog": standing.catalog.decode(),
                "holo-head": standing.head.decode(),
                "vary": "Accept",
            }
            self.before = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
            lines = "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in self.before)
            self._before = f'{lines}etag: "'.encode()

    def end(self) -> None:
        """The batch is answered: count it. How long one answer took is the mean of its batch."""
        self.hot.end()
        total = sum(self._counts.values())
        if total:
            seconds = (time.perf_counter() - self._began_s) / total
            for status, count in self._counts.items():
                if count:
                    self._metrics.answered(_ROUTE, "GET", status, seconds, count)
                    self._counts[status] = 0

    def answer(self, query: bytes, fields: Fields, address: str) -> bytes | None:
        """The response to a hot read, or None where it takes the whole server to answer it."""
        found = self.find(query, fields, address)
        if found is None:
            signed = self.find_signed(query, fields, address)
            return None if signed is None else self._word_signed(signed)
        if fields.if_none_match is not None and matches(fields.if_none_match, f'"{found.decision.decode()}"'):
            self.count(304)
            return b"".join((b"HTTP/1.1 304 \r\n", self._before, found.decision, b'"', self._after))
        self.count(200)
        return b"".join(
            (
                b"HTTP/1.1 200 \r\n",
                self._before,
                found.decision,
                b'"\r\ncontent-type: application/json\r\ncontent-length: %d' % len(found.body),
                self._after,
                found.body,
            )
        )

    def find(self, query: bytes, fields: Fields, address: str) -> Found | None:
        """What a hot read asks for, or None where it takes the whole server to answer it."""
        if self._standing is None or not self._standing.head or not fields.as_json:
            return None
        try:
            return self.hot.resolve(query, address)
        except Exception:  # the rest of the server meets it too, and has the words for it
            _log.warning("hot answer failed", exc_info=True)
            return None

    def find_signed(self, query: bytes, fields: Fields, address: str) -> SignedAnswer | None:
        """What a read with ``receipt=1`` asks for, or None where it takes the whole server to answer it."""
        if _RECEIPT not in query:
            return None
        try:
            return self.hot.signed(query, fields.accept, address)
        except Exception:
            _log.warning("hot answer failed", exc_info=True)
            return None

    def _word_signed(self, signed: SignedAnswer) -> bytes:
        self.count(200)
        lines = b"".join(b"%s: %s\r\n" % field for field in signed_fields(signed))
        length = b"content-length: %d" % len(signed.body)
        return b"".join((b"HTTP/1.1 200 \r\n", lines, length, self._after, signed.body))

    def count(self, status: int) -> None:
        """One more answer of this batch."""
        self._counts[status] += 1


def signed_fields(signed: SignedAnswer) -> list[tuple[bytes, bytes]]:
    """The header fields of a signed answer up to those that tell its length and date, names in lower case."""
    fields = {
        "cache-control": Cache.NEVER.value,
        **standing_headers(signed.media_type),
        "holo-catalog": signed.standing.catalog.decode(),
        "holo-head": signed.standing.head.decode(),
        "vary": "Accept",
        "content-type": signed.media_type,
    }
    return [(name.lower().encode(), value.encode()) for name, value in fields.items()]
