"""Addresses, ``HOST:PORT``: where a node may be found. They say where to knock, never who opens (spec 8.1)."""

from __future__ import annotations

import re
from typing import Final

from holo.core.errors import Rejected
from holo.core.limits import ADDRESS_BYTES

PORT_MAX: Final = 65_535

_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]{2,45}\]")
_PORT: Final = re.compile("0|[1-9][0-9]{0,4}")


def split_address(text: str) -> tuple[str, int]:
    """``(host, port)`` of ``HOST:PORT``; an IPv6 address stands in brackets and comes without them.

    Raises ``address-invalid``. Port 0, any free one, is for listeners alone: :func:`check_address` refuses it.
    """
    host, colon, port = text[: ADDRESS_BYTES + 1].rpartition(":")
    if (
        len(text) > ADDRESS_BYTES
        or not colon
        or not _HOST.fullmatch(host)
        or not _PORT.fullmatch(port)
        or int(port) > PORT_MAX
    ):
        raise Rejected("address-invalid", f"{text!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def check_address(text: str) -> str:
    """``text``, an address that can be dialled. Raises ``address-invalid``."""
    if split_address(text)[1] == 0:
        raise Rejected("address-invalid", f"{text!r} has no port to dial")
    return text


def join_address(host: str, port: int) -> str:
    """``HOST:PORT``, with brackets about an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
