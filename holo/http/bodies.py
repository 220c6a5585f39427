"""What request bodies may take up in all, across every connection.

A body is held from its first byte until its request is answered. Where there is no room for more, the one that has
been arriving for the longest is given up: who uploads steadily is soon done, and who stalls on many connections to use
up the room is always the oldest. A body that nothing will read is not kept at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio

from holo.core.errors import Overloaded

_RETRY_S: Final = 5


class Body:
    """One body. ``size_bytes`` is what of it is held."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._refused = False
        self._reading: trio.CancelScope | None = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While the body is waited for. Raises ``overloaded`` once it was given up."""
        with trio.CancelScope() as self._reading:
            if self._refused:
                self._reading.cancel()
            yield
        if self._refused:
            raise Overloaded("overloaded", "too much is being uploaded at once", retry_after_s=_RETRY_S)

    @property
    def refused(self) -> bool:
        """Whether it was given up."""
        return self._refused

    def give_up(self) -> None:
        """Keep no more of it, and let who waits for it know."""
        self._refused = True
        self.size_bytes = 0
        if self._reading is not None:
            self._reading.cancel()


class Bodies:
    """The bodies of all requests under way, ``most_bytes`` in all."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held_bytes = 0
        self._arriving: dict[Body, None] = {}  # the oldest first

    @property
    def held_bytes(self) -> int:
        """What is held of all bodies."""
        return self._held_bytes

    @contextmanager
    def body(self) -> Iterator[Body]:
        """A body, for the length of its request."""
        body = Body()
        try:
            yield body
        finally:
            self._arriving.pop(body, None)
            self._held_bytes -= body.size_bytes

    def take(self, body: Body, message: dict[str, Any]) -> dict[str, Any]:
        """An ``http.request`` message as it may be kept: without what there is no room for."""
        data = message.get("body", b"")
        more = message.get("more_body", False)
        if body.refused or not data:
            self._settle(body, more)
            return {**message, "body": b""} if data else message
        if body.size_bytes == 0:
            self._arriving[body] = None
        while self._held_bytes + len(data) > self._most_bytes:
            oldest = next(iter(self._arriving))  # there is one: this one is arriving
            self._give_up(oldest)
            if oldest is body:
                return {**message, "body": b""}
        body.size_bytes += len(data)
        self._held_bytes += len(data)
        self._settle(body, more)
        return message

    def _settle(self, body: Body, more: bool) -> None:
        if not more:  # whole: it will be read now, and is nobody's to give up
            self._arriving.pop(body, None)

    def _give_up(self, body: Body) -> None:
        self._held_bytes -= body.size_bytes
        self._arriving.pop(body, None)
        body.give_up()
