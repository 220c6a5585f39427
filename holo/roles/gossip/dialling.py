"""Dialling: a link to every pinned peer that has an address, made again with patience where it is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, NoReturn

import trio

from holo.core.errors import CODES
from holo.core.gossip import Backoff
from holo.core.keys import Kid
from holo.net.link import Link, LinkClosed, Network
from holo.roles.gossip.known_peer import KnownPeer

FIRST_S: Final = 0.25
MOST_S: Final = 30.0
SETTLED_S: Final = 10.0  # a link that held so long worked


async def keep_dialling(
    peer: KnownPeer, network: Network, own: Kid, rng: Random, serve: Callable[[Link], Awaitable[None]]
) -> NoReturn:
    """Dial whenever there is no link, one address after the other; ``serve`` returns when a link is over.

    Of two that know each other's addresses the one with the greater key lets the other dial first.
    """
    backoff = Backoff(FIRST_S, MOST_S)
    if own > peer.kid:
        await trio.sleep(FIRST_S + rng.uniform(0, FIRST_S))
    while True:
        await peer.unlinked()
        wait_s = peer.barred_until_s - trio.current_time()
        if wait_s > 0:
            await trio.sleep(wait_s)
        began_s = trio.current_time()
        for address in peer.dialled:
            try:
                link = await network.connect(peer.kid, address)
            except LinkClosed as error:
                peer.problem = error.code if error.code in CODES else "unreachable"
                continue
            await serve(link)
            break
        if trio.current_time() - began_s >= SETTLED_S:
            backoff.reset()
        wait_s = backoff.next_s(rng)
        with trio.move_on_after(wait_s):
            await peer.addresses_changed.wait()
