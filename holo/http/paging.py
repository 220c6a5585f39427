"""Pages of lists: so many items, and a cursor to where the next page begins.

A page also ends when it has looked at much more than it may return, so that a filter that matches little costs a
request a bounded time; such a page may be short, even empty, and still has a ``next``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from holo.core.cid import Cid
from holo.core.limits import INT_MAX, TREE_KEY_BYTES
from holo.http.cursor import Cursor, decode_cursor, encode_cursor, not_of_this_list
from holo.http.parameters import CURSOR, page_limit
from holo.http.route import Call

S = TypeVar("S")
T = TypeVar("T")

_LOOKED_AT_PER_ITEM: Final = 10


def start_of(call: Call) -> Cursor | None:
    """Where the page asked for begins: behind the cursor's position, or None for the first page."""
    text = call.query.get(CURSOR)
    return None if text is None else decode_cursor(text, call.list_name)


def start_text(call: Call) -> str:
    """As :func:`start_of` for a list in order of names: the name a page begins behind, empty for the first page."""
    start = start_of(call)
    if start is None:
        return ""
    if not start.position.isascii() or len(start.position) > TREE_KEY_BYTES:
        raise not_of_this_list()
    return start.position.decode("ascii")


def start_number(call: Call) -> int | None:
    """As :func:`start_of` for a list in order of numbers, of eight bytes: the number a page begins behind, or None."""
    start = start_of(call)
    if start is None:
        return None
    number = int.from_bytes(start.position, "big")
    if len(start.position) != 8 or number > INT_MAX:
        raise not_of_this_list()
    return number


def take_page(
    call: Call,
    found: Iterable[tuple[bytes, S]],
    shape: Callable[[S], T | None],
    *,
    snapshot: Cid | None = None,
    weigh: Callable[[T], int] = lambda item: 1,
) -> tuple[list[T], str | None]:
    """(items, cursor) of one page of ``found``: (position, thing) pairs in the list's order.

    ``shape`` makes an item of a thing, or None to leave it out. ``weigh`` says for how many an item counts; the one
    that completes a page is not divided.
    """
    limit = page_limit(call.query)
    items: list[T] = []
    weight = 0
    last: bytes | None = None
    for looked_at, (position, thing) in enumerate(found):
        if last is not None and (weight >= limit or looked_at >= limit * _LOOKED_AT_PER_ITEM):
            return items, encode_cursor(call.list_name, Cursor(snapshot, last))
        item = shape(thing)
        if item is not None:
            items.append(item)
            weight += weigh(item)
        last = position
    return items, None
