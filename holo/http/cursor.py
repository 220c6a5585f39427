"""Opaque cursors: where a listing goes on, bound to what it pages over.

A cursor holds the list it belongs to (path and filters, hashed), the snapshot it pages over, if the list has one, and
the last position given out. It carries no authority: everything in it is checked again, and a forged one reaches
nothing that a fresh request would not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from holo.core import codec
from holo.core.cid import Cid
from holo.core.errors import Rejected
from holo.http.base64url import decode_base64url, encode_base64url

_CURSOR_BYTES: Final = 512
_MARK_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Cursor:
    """``snapshot`` is the CID paged over, or None for a list that only grows; ``position`` means something to it."""

    snapshot: Cid | None
    position: bytes


def encode_cursor(list_name: str, cursor: Cursor) -> str:
    """The text of ``cursor`` into the list that ``list_name`` (path and filters) names."""
    return encode_base64url(codec.encode([_mark(list_name), cursor.snapshot, cursor.position]))


def decode_cursor(text: str, list_name: str) -> Cursor:
    """The cursor ``text`` writes. Raises ``cursor-invalid`` unless it was given out for this very list."""
    try:
        value = codec.decode(decode_base64url(text, _CURSOR_BYTES, at="cursor"), _CURSOR_BYTES)
    except Rejected:
        value = None
    match value:
        case [bytes(mark), Cid() | None as snapshot, bytes(position)] if mark == _mark(list_name):
            return Cursor(snapshot, position)
    raise not_of_this_list()


def not_of_this_list() -> Rejected:
    """The refusal of a cursor, to raise. Anybody can write one, so whoever reads a position judges its form."""
    return Rejected("cursor-invalid", "it belongs to another list, or to no list of this node", at="query.cursor")


def _mark(list_name: str) -> bytes:
    return blake3(list_name.encode()).digest(_MARK_BYTES)
