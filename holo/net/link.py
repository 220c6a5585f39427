"""What a link is to those who use it, and where links come from; over TLS here, in memory in a simulation (spec 8).

A link is there only once each end has proved its key to the other and pins the other's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

import trio

from holo.core.keys import Kid


class LinkClosed(Exception):
    """No link, or none any more: ``code`` says why for programs, ``detail``, which may quote the peer, for people.

    ``closed`` where the other end just left.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Link(Protocol):
    """Two ends, each of which has proved its root key to the other. Frames arrive whole and in order, or not at all.

    One task may send while another receives; several may send.
    """

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
        """One whole frame of 1 to ``limits.FRAME_BYTES``; waits while the peer does not read. Raises LinkClosed.

        Cut short by cancelling, it ends the link: half a frame cannot be taken back.
        """

    async def receive(self) -> bytes:
        """One whole frame of 1 to ``limits.FRAME_BYTES``; cancelling loses nothing. Raises LinkClosed at the end."""

    async def aclose(self) -> None:
        """Close this end; what was sent before still arrives where it can."""


Handle = Callable[[Link], Awaitable[None]]
"""What is done with a link that came; the link is closed when it returns."""


class Network(Protocol):
    """Where links come from."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others reach this end, HOST:PORT; empty until it serves, and where it cannot know."""

    async def serve(
        self,
        handle: Handle,
        handle_transfer: Handle | None = None,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Hand every link that comes to ``handle``, those of the transfer plane to the other. Runs until cancelled.

        Links of peers that are no longer pinned are closed meanwhile, whoever made them.
        """

    async def connect(self, peer: Kid, address: str) -> Link:
        """A link to ``peer`` on the control plane.

        Raises LinkClosed: ``unreachable``; ``tls-failed``; ``timeout``; ``peer-wrong-key``, another node answers;
        ``peer-unpinned``, one of the two does not pin the other; ``overloaded``; ``leaf-invalid``; ``closed``.
        """

    async def transfer(self, peer: Kid, address: str) -> Link:
        """The same on the transfer plane."""
