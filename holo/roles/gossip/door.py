"""What the role needs of the rest of the node, said here because roles do not know each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from holo.core.cid import Cid
from holo.core.errors import HoloError
from holo.core.head import Head
from holo.core.keys import Kid
from holo.core.peer_receipts import Agreed
from holo.core.witness import HeadNote
from holo.store.incoming import Incoming
from holo.store.ledger import Outcome, Submission
from holo.store.store import Denial, Result

RunSync: TypeAlias = Callable[..., Awaitable[Any]]
"""Calls a function beside the event loop, as ``trio.to_thread.run_sync`` does; in a simulation, at once."""

OnCommit: TypeAlias = Callable[[Sequence[tuple[Submission, Outcome]]], None]


class FollowedLike(Protocol):
    """The newest head that is known of a node, with the envelope it is in and that of its log's genesis."""

    @property
    def head(self) -> Head: ...
    @property
    def envelope(self) -> bytes: ...
    @property
    def genesis(self) -> bytes: ...


class NotedLike(Protocol):
    """What became of a head. Statuses: accepted, opened, stale, need-proof, equivocation, refused, own-unknown."""

    @property
    def status(self) -> str: ...
    @property
    def node(self) -> Kid | None: ...
    @property
    def head(self) -> Head | None: ...
    @property
    def old(self) -> int: ...
    @property
    def new(self) -> int: ...
    @property
    def error(self) -> HoloError | None: ...


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

    async def note_heads(self, notes: Sequence[HeadNote], *, by: Kid, pinned: Collection[Kid]) -> Sequence[NotedLike]:
        """What became of heads that a peer brought."""

    def known_heads(self) -> Sequence[FollowedLike]:
        """This node's newest head first, then those of others."""

    async def sign_convergence(self, peer: Kid, states: Sequence[Agreed], cites: Cid | None = None) -> bytes | None:
        """The receipt that this node and a peer hold the same, where one is given now."""

    async def note_convergence(self, envelopes: Sequence[bytes], *, by: Kid) -> Sequence[HoloError | None]:
        """Keep receipts of a peer for this node; why each was refused, or None."""

    async def check_promises(self, head: bytes, read: Callable[[Cid], bytes]) -> object:
        """Expose a peer whose head leaves out what it promised; ``read`` gives what the head reaches."""

    async def log_denial(self, denial: Denial) -> None:
        """Log that a peer was refused, as far as the allowance goes."""


class PinsLike(Protocol):
    """Who is pinned, and where they may be; it changes while a node runs."""

    def peers(self) -> Mapping[Kid, Sequence[str]]:
        """Every pinned peer with its addresses."""

    async def changed(self) -> None:
        """Wait until who is pinned, or where they are, has changed."""
