"""Nodes over a network in memory, on virtual time: whole stores and registries, and what a test does with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import trio

from holo.core.cid import Cid
from holo.core.envelope import Record
from holo.core.keys import Kid
from holo.profile import Anonymous
from holo.profile import Gossip as Settings
from holo.profile import Registry as RegistrySettings
from holo.roles.gossip.role import Gossip
from holo.roles.gossip.state import PeerState
from holo.roles.registry import Registry
from holo.store.incoming import Incoming
from holo.store.ledger import Hosting, Outcome
from holo.store.store import Store
from tests.records import binding_record, content, key, policy_record
from tests.sim.network import CALM, Endpoint, Weather, Wire, open_wire


@dataclass
class PinsInMemory:
    """Pins a test changes."""

    pinned: dict[Kid, tuple[str, ...]] = field(default_factory=dict)
    _changed: trio.Event = field(default_factory=trio.Event)

    def peers(self) -> dict[Kid, tuple[str, ...]]:
        return dict(self.pinned)

    def pin(self, kid: Kid, *addresses: str) -> None:
        self.pinned[kid] = addresses
        self._tell()

    def unpin(self, kid: Kid) -> None:
        del self.pinned[kid]
        self._tell()

    async def changed(self) -> None:
        await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@dataclass
class Peer:
    """One node of a scene."""

    name: str
    store: Store
    registry: Registry
    gossip: Gossip
    endpoint: Endpoint
    pins: PinsInMemory

    @property
    def kid(self) -> Kid:
        return self.store.key.kid

    async def admit(self, *records: Record, nodes: Sequence[bytes] = ()) -> list[Any]:
        """What became of records that somebody posts here; all of them have to be taken."""
        results = await self.registry.admit([incoming(record, nodes) for record in records])
        assert all(isinstance(result, Outcome) for result in results), results
        return results

    def states(self) -> dict[str, Cid | None]:
        """Each namespace's state in the newest head."""
        with self.store.view() as view:
            return {row.ns: row.state for row in view.records.namespaces()}

    def has(self, record: Record) -> bool:
        """Whether every endorsement of a record is held as part of a complete one."""
        with self.store.view() as view:
            return record.endorsements.keys() <= view.records.endorsements(record.statement.id).keys()

    def state_of(self, other: Peer) -> PeerState:
        """What this node says of another."""
        found = [item for item in self.gossip.peers() if item.kid == other.kid]
        return found[0] if found else PeerState(other.kid, ())


def incoming(record: Record, nodes: Sequence[bytes] = ()) -> Incoming:
    kind = "policy" if record.statement.type == "policy" else "binding"
    return Incoming(kind, record.envelopes(), nodes=nodes)  # type: ignore[arg-type]


class Scene:
    """Any number of peers on one wire, each pinning every other unless told otherwise."""

    def __init__(self, folder: Path, wire: Wire, stack: AsyncExitStack, nursery: trio.Nursery) -> None:
        self.wire = wire
        self.peers: list[Peer] = []
        self._folder = folder
        self._stack = stack
        self.nursery = nursery

    def clock_ms(self) -> int:
        return 1_700_000_000_000 + int(trio.current_time() * 1000)

    async def add(self, name: str, *, pinned: bool = True, hosting: Hosting | None = None, **settings: Any) -> Peer:
        """A node that runs."""
        peer = self.make(name, pinned=pinned, hosting=hosting, **settings)
        await self.nursery.start(peer.registry.run)
        await self.nursery.start(peer.gossip.run)
        return peer

    def make(self, name: str, *, pinned: bool = True, hosting: Hosting | None = None, **settings: Any) -> Peer:
        """A node that does not run yet."""
        hosting = hosting or Hosting()
        store = Store(self._folder / name, key(name), clock_ms=self.clock_ms, hosting=hosting, map_bytes=1 << 28)
        self._stack.callback(store.close)
        registry = Registry(
            store, RegistrySettings(), Anonymous(denials_per_minute=100), self.clock_ms, run_sync=at_once(store)
        )
        pins = PinsInMemory()
        address = f"{name}:1"
        endpoint = self.wire.endpoint(store.key.kid, address, pins=pins.peers)
        gossip = Gossip(
            store=store,
            door=registry,
            network=endpoint,
            pins=pins,
            settings=Settings(**settings),
            rng=Random(name),
            clock_ms=self.clock_ms,
            hosting=hosting,
            run_sync=at_once(store),
        )
        peer = Peer(name, store, registry, gossip, endpoint, pins)
        if pinned:
            for other in self.peers:
                introduce(peer, other)
        self.peers.append(peer)
        return peer


def introduce(one: Peer, other: Peer) -> None:
    """Have each pin the other."""
    one.pins.pin(other.kid, *other.endpoint.addresses)
    other.pins.pin(one.kid, *one.endpoint.addresses)


def at_once(store: Store) -> Any:
    """Runs what a thread would do at once; the loop's own turn does not count meanwhile."""

    async def run(call: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return call(*arguments)

    return run


@asynccontextmanager
async def scene(folder: Path, weather: Weather = CALM) -> AsyncIterator[Scene]:
    """A wire, and nodes on it that are stopped at the end."""
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(open_wire(0, weather))
        async with trio.open_nursery() as nursery:
            yield Scene(folder, wire, stack, nursery)
            nursery.cancel_scope.cancel()


async def until(holds: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait, in virtual time, until something holds."""
    with trio.fail_after(within_s):
        while not holds():  # noqa: ASYNC110 - anything may make it hold
            await trio.sleep(0.05)


def equal(*peers: Peer) -> bool:
    """Whether all have the same namespace states, and some."""
    first, *others = (peer.states() for peer in peers)
    return bool(first) and None not in first.values() and all(other == first for other in others)


GENESIS = policy_record(
    "acme", signers={"alice": (("*",), ("*",)), "bob": (("*",), ("*",))}, thresholds=((("stable",), 2),)
)


def bind(path: str, text: str, *, rev: int = 1, by: Sequence[str] = ("alice",), genesis: Record = GENESIS) -> Record:
    """A binding of acme, under its genesis."""
    handle, _, tag = path.rpartition("/")
    ns = genesis.statement.value["ns"]
    return binding_record(
        genesis.statement.id, genesis.statement.id, f"{ns}/{handle}:{tag}", content(text), rev=rev, by=by
    )
