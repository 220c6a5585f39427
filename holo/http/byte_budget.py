"""How many bytes a client of HTTP/2 may send that ask for nothing: pings, settings, windows, frames that nobody knows.

So much at once, so much with time, and so much with everything it does ask for.
"""

from __future__ import annotations

from typing import Final

_MOST_BYTES: Final = 256 * 1024
_BYTES_PER_S: Final = 1024
_BYTES_PER_REQUEST: Final = 1024


class ByteBudget:
    """What is left for one connection. ``now_s`` is a monotonic time."""

    def __init__(self, now_s: float) -> None:
        self._left_bytes = float(_MOST_BYTES)
        self._at_s = now_s

    @property
    def spent(self) -> bool:
        """Whether it has sent more than it may."""
        return self._left_bytes < 0

    def take(self, count_bytes: int, now_s: float) -> None:
        """So much has come, whatever it is."""
        self._add((now_s - self._at_s) * _BYTES_PER_S - count_bytes)
        self._at_s = now_s

    def credit_request(self, head_bytes: int = 0) -> None:
        """Some of it was a request, with header fields of this size beyond the ordinary."""
        self._add(_BYTES_PER_REQUEST + head_bytes)

    def credit_upload(self, count_bytes: int) -> None:
        """Some of it was a body."""
        self._add(2 * count_bytes)

    def credit_answer(self, count_bytes: int) -> None:
        """So much was answered, for which it has to open windows."""
        self._add(64 + count_bytes // 64)

    def _add(self, count_bytes: float) -> None:
        self._left_bytes = min(self._left_bytes + count_bytes, _MOST_BYTES)
