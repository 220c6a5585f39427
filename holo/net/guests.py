"""Connections whose node is not known yet: so many at a time, and no address takes the places of the others.

Whoever can reach the port can be a guest, as often as the line carries. Where there is no room, the address with the
most guests gives up its oldest one, so that a flood from one place ends its own handshakes and not those of others.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from holo.core.limits import HANDSHAKES

_SITE_BITS = 64  # of an IPv6 address: what one customer of a network has at the least


class Guests:
    """Those who are shaking hands, by where they come from."""

    def __init__(self, most: int = HANDSHAKES) -> None:
        self._most = most
        self._count = 0
        self._by_place: dict[str, OrderedDict[trio.CancelScope, None]] = {}

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def staying(self, address: str, within_s: float) -> Iterator[trio.CancelScope]:
        """A guest from ``address``, HOST:PORT, for the block: which is cut short by its time, or to make room."""
        place = place_of(address)
        if self._count >= self._most:
            self._make_room(place)
        with trio.move_on_after(within_s) as scope:
            self._by_place.setdefault(place, OrderedDict())[scope] = None
            self._count += 1
            try:
                yield scope
            finally:
                self._leave(place, scope)

    def _make_room(self, coming: str) -> None:
        """End the oldest guest of the place that would have the most; of several such, of the one that comes."""

        def crowd(place: str) -> tuple[int, bool]:
            return len(self._by_place[place]) + (place == coming), place == coming

        place = max(self._by_place, key=crowd)
        oldest = next(iter(self._by_place[place]))
        oldest.cancel()
        self._leave(place, oldest)  # at once: it counts no more, though its task has not ended yet

    def _leave(self, place: str, scope: trio.CancelScope) -> None:
        guests = self._by_place.get(place)
        if guests is not None and scope in guests:
            del guests[scope]
            self._count -= 1
            if not guests:
                del self._by_place[place]


def place_of(address: str) -> str:
    """What counts as one place: an IPv4 address, or the network that an IPv6 address is in."""
    host = address.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:  # of a socket that is in no network
        return host
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, _SITE_BITS), strict=False))
    return host
