"""Heads: this node's own said to every peer, and what peers say of theirs.

A head is also a sign of life: said again now and then, it tells a peer that a silent link still carries.
"""

from __future__ import annotations

from typing import Final

import trio

from holo.core.errors import Rejected
from holo.core.head import Head, open_head
from holo.core.messages import Heads, ShownHead
from holo.roles.gossip.session import Fault, Session
from holo.store.store import Store

BEAT_S: Final = 15.0


def own_head(store: Store) -> ShownHead | None:
    """The newest head of this node, as it is shown; None before the first."""
    with store.view() as view:
        head = view.head()
        genesis = view.records.log_genesis(view.log.number)
    return None if head is None or genesis is None else ShownHead(head[1], genesis, 0, ())


def newest_of(session: Session, heads: Heads) -> Head | None:
    """The peer's own head among those it shows, its signature verified."""
    try:
        head = open_head(heads.items[0].head)
    except Rejected as error:
        raise Fault(error) from None
    return head if head.signer == session.peer else None


class Changing:
    """Something that many wait for, again and again."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def tell(self) -> None:
        """Wake all who wait."""
        self._event.set()
        self._event = trio.Event()

    async def wait(self) -> None:
        """Until it is told the next time."""
        await self._event.wait()
