"""Which Host a request may name.

A browser that was lured to a hostile page can be made to send requests to loopback under the page's own name (DNS
rebinding); those carry that name in Host. So only names that are certainly this node's are answered: loopback's, the
address it listens on, and those its operator lists.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from holo.core.errors import Rejected

_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?", re.ASCII)


class Hosts:
    """The names a node answers to, ports aside: a port cannot make a foreign name ours, nor ours a foreign one."""

    def __init__(self, listen_host: str, named: Iterable[str] = ()) -> None:
        """``listen_host`` is the host part of the listening address; ``named`` are those the operator lists."""
        self._names = {*_LOOPBACK, *(name.lower() for name in named)}
        address = _address(listen_host)
        if address is None:
            self._names.add(listen_host.lower())
        elif not address.is_unspecified:
            self._names.add(_written(address))
        # Listening on every address, any address in Host is one of ours or never got here. It was typed as an
        # address, so no name was rebound.
        self._any_address = address is not None and address.is_unspecified

    def check(self, host: str | None) -> None:
        """Raises ``host-not-allowed`` unless ``host``, the value of the Host header, names this node."""
        found = _HOST.fullmatch(host or "")
        name = found[1].lower().rstrip(".") if found else ""
        if name in self._names:
            return
        address = _address(name)
        if address is not None and (self._any_address or _written(address) in self._names):
            return
        raise Rejected("host-not-allowed", f"Host is {(host or '')[:100]!r}", at="header.host")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _written(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)
