"""Two running nodes that pin each other, over TLS on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import trio

from holo.node import Listening
from holo.store.home import Home
from holo.store.peers_file import PeersFile
from holo.testing import running_node
from tests.http.schema import check_response

QUICK = ("roles.registry.head_interval_ms=20", "roles.gossip.pull_interval_ms=200")


def introduce(one: Listening, other: Listening) -> None:
    """Have each pin the other at its address."""
    for here, there in ((one, other), (other, one)):
        assert there.peer_address is not None
        PeersFile(Home(here.node.home.path)).add(there.node.kid, [there.peer_address])


@asynccontextmanager
async def paired(
    folder: Path, settings: Sequence[str] = ()
) -> AsyncIterator[tuple[Listening, Listening, httpx.AsyncClient, httpx.AsyncClient]]:
    """Two nodes with a link between them, and a client of each that checks every reply against OpenAPI."""
    hooks = {"response": [check_response]}
    async with (
        running_node(folder / "one", [*QUICK, *settings]) as one,
        running_node(folder / "two", [*QUICK, *settings]) as two,
        httpx.AsyncClient(base_url=one.url, event_hooks=hooks, timeout=20) as first,
        httpx.AsyncClient(base_url=two.url, event_hooks=hooks, timeout=20) as second,
    ):
        introduce(one, two)
        await until(lambda: all(_linked(node) for node in (one, two)))
        yield one, two, first, second


def _linked(node: Listening) -> bool:
    assert node.node.gossip is not None
    return any(peer.connected and peer.head is not None for peer in node.node.gossip.peers())


async def until(holds: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait until something holds."""
    with trio.fail_after(within_s):
        while not holds():  # noqa: ASYNC110 - anything may make it hold
            await trio.sleep(0.02)
