"""Real nodes inside a test or another program: a temporary home, port 0, real LMDB, real sockets.

``async with running_node() as node`` under trio; ``with node_in_background() as node`` for programs without it. Both
give a node that listens on loopback and is stopped gracefully at the end of the block.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from holo.embedded import in_thread
from holo.node import Listening, listening
from holo.profile import Profile, load_profile
from holo.store.home import Home

_SMALL = (
    "http.listen=127.0.0.1:0",
    "roles.gossip.listen=127.0.0.1:0",
    "store.map_bytes=1073741824",
    "store.free_reserve_bytes=0",
)


def small_profile(settings: Sequence[str] = ()) -> Profile:
    """The minimal peer on any free loopback ports, with a small map; ``KEY=VALUE`` settings on top."""
    return load_profile("minimal-peer", [*_SMALL, *settings])


@asynccontextmanager
async def running_node(home: Path | None = None, settings: Sequence[str] = ()) -> AsyncIterator[Listening]:
    """A node that listens on loopback, in ``home`` or in a temporary folder that goes when the block ends."""
    with _folder(home) as path:
        async with listening(Home(path), small_profile(settings)) as running:
            yield running


@contextmanager
def node_in_background(home: Path | None = None, settings: Sequence[str] = ()) -> Iterator[Listening]:
    """As :func:`running_node`, in a thread of its own, for callers without trio."""
    with in_thread(lambda: running_node(home, settings)) as (running, _):
        yield running


@contextmanager
def _folder(home: Path | None) -> Iterator[Path]:
    if home is not None:
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="holo-") as folder:
        yield Path(folder) / "home"
