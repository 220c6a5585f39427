"""Fetching by CID over the transfer plane, and serving what others fetch.

A few peers are asked at a time, and the first whole answer counts: it is believed when it matches its CID. Whoever asks
remembers what came, and that nothing did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import trio

from holo.core import limits
from holo.core.cid import Cid
from holo.core.errors import HoloError, Missing, Rejected
from holo.core.keys import Kid
from holo.core.transfer import Bytes, Fetch, Get, answer, decode_transfer
from holo.net.link import Link, LinkClosed, Network
from holo.roles.gossip.door import RunSync
from holo.roles.gossip.session import receive, send
from holo.store.store import Store

_IDLE_S: Final = 30.0  # after which a link nobody asks anything on is closed
_AT_A_TIME: Final = 4
_FETCHES: Final = 16

Holders = Callable[[], Sequence[tuple[Kid, tuple[str, ...]]]]
Find = Callable[[Cid], bytes | None]


class Fetching:
    """Fetches for some callers at a time. ``holders`` are the peers to ask and their addresses.

    ``find`` gives what is served beside the store's objects.
    """

    def __init__(self, store: Store, network: Network, holders: Holders, run_sync: RunSync, find: Find) -> None:
        self._store = store
        self._network = network
        self._holders = holders
        self._run_sync = run_sync
        self._find = find
        self._thread = trio.CapacityLimiter(1)
        self._places = trio.CapacityLimiter(_FETCHES)

    async def fetch(self, cid: Cid) -> bytes | None:
        """The bytes of ``cid`` from a peer; None where none has it, or none says so in time."""
        async with self._places:
            return await self._ask_around(cid)

    async def _ask_around(self, cid: Cid) -> bytes | None:
        """Ask a few peers at once, then the next ones; the first whole answer counts."""
        found: list[bytes] = []
        holders = self._holders()
        for start in range(0, len(holders), _AT_A_TIME):
            async with trio.open_nursery() as nursery:
                for kid, addresses in holders[start : start + _AT_A_TIME]:
                    nursery.start_soon(self._ask, kid, addresses, cid, found, nursery.cancel_scope)
            if found:
                return found[0]
        return None

    async def _ask(
        self, kid: Kid, addresses: Sequence[str], cid: Cid, found: list[bytes], over: trio.CancelScope
    ) -> None:
        with trio.move_on_after(limits.FETCH_PEER_S):
            for address in addresses:
                try:
                    link = await self._network.transfer(kid, address)
                except LinkClosed:
                    continue
                try:
                    found.append(await _get(link, cid))
                    over.cancel()
                except (LinkClosed, HoloError):
                    pass
                finally:
                    await _close(link)
                return

    async def serve(self, link: Link) -> None:
        """Answer what is asked on one link of the transfer plane, until its end."""
        try:
            while True:
                message = decode_transfer(await receive(link, _IDLE_S))
                if not isinstance(message, Get):
                    raise Rejected("message-unexpected", f"{Bytes.KIND} where something is asked for")
                for frame in answer(message, await self._run_sync(self._held, message.cid, limiter=self._thread)):
                    await send(link, frame)
        except (LinkClosed, Rejected):
            await _close(link)

    def _held(self, cid: Cid) -> bytes | None:
        with self._store.view() as view:
            try:
                return view.object(cid)
            except Missing:
                return self._find(cid)


async def _get(link: Link, cid: Cid) -> bytes:
    """What a peer has under ``cid``. Raises LinkClosed, Missing or Rejected."""
    fetch = Fetch(cid, limits.POLICY_BYTES)
    while fetch.data is None:
        await link.send(fetch.question())
        while fetch.waiting:
            fetch.take(await link.receive())
    return fetch.data


async def _close(link: Link) -> None:
    with trio.move_on_after(1, shield=True):
        await link.aclose()
