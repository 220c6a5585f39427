"""What a link is to those who use it, and where links come from; over TLS here, in memory in a simulation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

import trio

from holo.core.keys import Kid


class LinkClosed(Exception):
    """No link, or none any more: ``code`` says why for programs, ``detail`` for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Link(Protocol):
    """Two ends, each of which has proved its root key to the other. Frames arrive whole and in order, or not at all."""

    @property
    def peer(self) -> Kid:
        """Whose root key the other end proved it has."""

    @property
    def outgoing(self) -> bool:
        """Whether this end dialled."""

    @property
    def address(self) -> str:
        """HOST:PORT of the other end, as connected."""

    async def send(self, frame: bytes) -> None:
        """One whole frame of at most ``limits.FRAME_BYTES``; waits while the peer does not read. Raises LinkClosed."""

    async def receive(self) -> bytes:
        """One whole frame of at most ``limits.FRAME_BYTES``. Raises LinkClosed once there are no more."""

    async def aclose(self) -> None:
        """Close this end; what was sent before still arrives where it can."""


class Network(Protocol):
    """Where links come from."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where this end listens, HOST:PORT."""

    async def serve(
        self, handle: Callable[[Link], Awaitable[None]], *, task_status: trio.TaskStatus[None] = ...
    ) -> NoReturn:
        """Hand every link that comes to ``handle``, and close it when that returns. Runs until cancelled."""

    async def connect(self, peer: Kid, address: str) -> Link:
        """A link to ``peer`` on the control plane.

        Raises LinkClosed: unreachable, timeout, tls-failed, peer-unpinned, peer-wrong-key.
        """

    async def transfer(self, peer: Kid, address: str) -> Link:
        """The same on the transfer plane."""
