"""Assembly: one visible, ordered place where a node is put together and run (architecture: one process).

The order is the order of trust: the lock on the home, the key, the store, the role that owns it, the links to peers,
the listener, and last the addresses left for others. Stopping goes the other way: no new requests, answers finished,
links closed, a last head signed over what was admitted, the store closed, the lock given back.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio

from holo.core.errors import Rejected
from holo.core.keys import Kid, did_of
from holo.profile import Profile
from holo.roles.registry import Registry
from holo.store.home import Home, Running
from holo.store.keyring import own_key
from holo.store.ledger import Hosting
from holo.store.packs import Packs
from holo.store.rotation import own_handovers
from holo.store.store import Store

if TYPE_CHECKING:
    from holo.roles.gossip.role import Gossip

_COLLECT_AFTER: Final = 20_000  # new objects that may be part of a cycle

_log = structlog.get_logger("holo.node")

Clock = Callable[[], int]


def wall_clock_ms() -> int:
    """Milliseconds since 1970, for what receipts say; nothing is decided by it."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Node:
    """An assembled node: its settings, its key's kid, its roles and the ASGI application over them."""

    profile: Profile
    home: Home
    kid: Kid
    store: Store
    registry: Registry
    gossip: Gossip | None
    app: Any


@dataclass(frozen=True, slots=True)
class Listening:
    """A node that takes connections: at ``url``, until the block it came from ends."""

    node: Node
    url: str

    @property
    def peer_address(self) -> str | None:
        """HOST:PORT where peers reach it; None where it links with none."""
        gossip = self.node.gossip
        return next(iter(gossip.addresses), None) if gossip is not None else None


@asynccontextmanager
async def open_node(
    home: Home, profile: Profile, *, clock_ms: Clock = wall_clock_ms, readonly: bool = False, linked: bool = False
) -> AsyncIterator[Node]:
    """A node whose roles run for the length of the block. The caller holds the home's lock.

    With ``readonly`` the lock may be shared and the store has to be there; nothing is written, and nobody takes what
    would have to be. Only where it is ``linked`` peers are met, if the profile says so.
    """
    from holo.http.app import make_app
    from holo.http.edge import Edge

    settings = profile.roles.registry
    if settings is None:
        raise Rejected("profile-invalid", "roles.registry is what every profile needs so far", subject="roles.registry")
    hosting = Hosting(open=settings.admit == "open", pinned=settings.pinned)
    store = Store(
        home.records,
        own_key(home, "node"),
        clock_ms=clock_ms,
        hosting=hosting,
        map_bytes=profile.store.map_bytes,
        free_reserve_bytes=profile.store.free_reserve_bytes,
        keep_heads=profile.store.keep_heads,
        readonly=readonly,
        handovers=own_handovers(home),
    )
    try:
        registry = Registry(store, settings, profile.limits.anonymous, clock_ms)
        gossip = _make_gossip(home, profile, registry, store, hosting, clock_ms) if linked else None
        edge = Edge(
            profile=profile,
            registry=registry,
            store=store,
            clock_ms=clock_ms,
            gossip=gossip,
            find_policy=Packs(home).find,
        )
        node = Node(profile, home, store.key.kid, store, registry, gossip, make_app(edge))
        if readonly:
            yield node
            return
        async with trio.open_nursery() as nursery:
            await nursery.start(registry.run)
            async with trio.open_nursery() as links:
                if gossip is not None:
                    await links.start(gossip.run)
                yield node
                links.cancel_scope.cancel()
            await registry.finish()
            nursery.cancel_scope.cancel()
    finally:
        store.close()


def _make_gossip(
    home: Home, profile: Profile, registry: Registry, store: Store, hosting: Hosting, clock_ms: Clock
) -> Gossip | None:
    """The role that links with peers, over TLS; None where the profile has it off."""
    settings = profile.roles.gossip
    if settings is None:
        return None
    from holo.net.network import TlsNetwork
    from holo.net.pins import Pins
    from holo.roles.gossip.role import Gossip
    from holo.store.peers_file import PeersFile

    file = PeersFile(home)
    pins = Pins(file, settings.pinned)
    network = TlsNetwork(
        store.key, pins, settings.address, clock_ms=clock_ms, advertised=settings.addresses, tickets=file
    )
    return Gossip(
        store=store,
        door=registry,
        network=network,
        pins=pins,
        settings=settings,
        rng=random.Random(),  # noqa: S311 - whom to push to and when to try again are no secrets
        clock_ms=clock_ms,
        hosting=hosting,
        find=Packs(home).find,
    )


@asynccontextmanager
async def listening(home: Home, profile: Profile, *, clock_ms: Clock = wall_clock_ms) -> AsyncIterator[Listening]:
    """A whole node: the lock, the roles, the listener and the address in the home, for the length of the block."""
    from holo.http.server import open_server

    with home.lock():
        async with open_node(home, profile, clock_ms=clock_ms, linked=True) as node:
            grace_s = profile.node.shutdown_grace_ms / 1000
            server = await open_server(
                node.app, profile.http, grace_s=grace_s, answers=node.app.answers, posts=node.app.posts
            )
            async with trio.open_nursery() as nursery:
                url = await nursery.start(server.run)
                running = Listening(node, url)
                home.announce(Running(url, did_of(node.kid), os.getpid(), profile.name, running.peer_address or ""))
                try:
                    yield running
                finally:
                    home.withdraw()
                    nursery.cancel_scope.cancel()


async def run_node(home: Home, profile: Profile, ready: Callable[[Listening], None]) -> None:
    """Run a node until SIGTERM or SIGINT, then stop it gracefully. ``ready`` is called once it takes connections.

    A second signal ends the process at once, with whatever was acknowledged on the disk.
    """
    try:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with listening(home, profile) as running:
                _calm_collector()
                where = {"url": running.url, "peer": running.peer_address}
                _log.info("ready", **where, node=did_of(running.node.kid), profile=profile.name)
                ready(running)
                async for number in signals:
                    _log.info("stopping", signal=signal.Signals(number).name)
                    break
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_DFL)
    except BaseExceptionGroup as group:
        raise single_error(group) from None
    _log.info("stopped")


def _calm_collector() -> None:
    """Have the garbage collector leave alone what lives as long as the process, and look at the rest less often.

    Its full passes grow with all that was imported, and each one is a pause for everybody.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)


def single_error(error: BaseException) -> BaseException:
    """The one error in a group of one, which says more than the group: what leaves a nursery always comes in one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def configure_logging(level: str, form: str) -> None:
    """Logs go to stderr: one JSON object a line, or text for people where stderr is a terminal."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)  # no local variables
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
