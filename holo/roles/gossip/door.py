"""What the role needs of the rest of the node, said here because roles do not know each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from holo.core.keys import Kid
from holo.store.incoming import Incoming
from holo.store.ledger import Outcome, Submission
from holo.store.store import Denial, Result

RunSync: TypeAlias = Callable[..., Awaitable[Any]]
"""Calls a function beside the event loop, as ``trio.to_thread.run_sync`` does; in a simulation, at once."""

OnCommit: TypeAlias = Callable[[Sequence[tuple[Submission, Outcome]]], None]


class Door(Protocol):
    """The registry's door: the one way in for records, and how it says that the store has moved."""

    on_commit: OnCommit | None
    """Told of everything new once it is on the disk. It may not wait."""

    @property
    def mark(self) -> Any:
        """How far the store has come; equal marks, nothing changed."""

    async def changed_from(self, mark: Any) -> Any:
        """Wait until the store is past ``mark``; returns where it is."""

    async def admit(self, records: Sequence[Incoming], *, atomic: bool = False, relayed: bool = False) -> list[Result]:
        """What became of each record. Raises ``overloaded``, ``no-space``, ``stopping`` or ``store-failed``."""

    async def log_denial(self, denial: Denial) -> None:
        """Log that a peer was refused, as far as the allowance goes."""


class PinsLike(Protocol):
    """Who is pinned, and where they may be; it changes while a node runs."""

    def peers(self) -> Mapping[Kid, Sequence[str]]:
        """Every pinned peer with its addresses."""

    async def changed(self) -> None:
        """Wait until who is pinned, or where they are, has changed."""
