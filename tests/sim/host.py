"""A whole node of a simulation: its folder, its clock, its place on the wire, and what may happen to all of it.

The store is a real one. What a node does is done in place, never in a thread, so that the order of everything is the
seed's. A crash is a `Crash` at a step of the store: from then on that store refuses every step, whoever asks, as if the
process were gone; what was committed is there when it starts again.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import lmdb
import trio

from holo.core.cid import Cid
from holo.core.errors import HoloError, Overloaded
from holo.core.keys import Kid, SigningKey
from holo.profile import Anonymous
from holo.profile import Gossip as GossipSettings
from holo.profile import Registry as RegistrySettings
from holo.roles.gossip.role import Gossip
from holo.roles.registry import Incoming, Registry
from holo.store.ledger import Hosting
from holo.store.store import Result, Store
from tests.records import AT_MS, key
from tests.sim.network import Endpoint, Wire
from tests.sim.observer import Observer

MAP_BYTES: Final = 1 << 28
SETTINGS: Final = RegistrySettings(head_interval_ms=1000, head_idle_ms=20_000)
GOSSIP: Final = GossipSettings()
ANONYMOUS: Final = Anonymous(denials_per_minute=30)


class Crash(BaseException):
    """The process of a node ends here and now."""


@dataclass
class Faults:
    """Where the store of one run of a node crashes, if anywhere: at the ``nth`` time it comes to ``point``."""

    point: str = ""
    nth: int = 0
    over: bool = False

    def reach(self, point: str) -> None:
        """The store has come to ``point``."""
        if self.over:
            raise Crash
        if point == self.point:
            self.nth -= 1
            if self.nth <= 0:
                self.over = True
                raise Crash


class Pins:
    """Whom a node has pinned, for as long as the simulation runs."""

    def __init__(self, peers: Mapping[Kid, tuple[str, ...]]) -> None:
        self._peers = peers

    def peers(self) -> Mapping[Kid, tuple[str, ...]]:
        """Every pinned peer with its addresses."""
        return self._peers

    async def changed(self) -> None:
        """Never: nobody adds or removes a peer."""
        await trio.sleep_forever()


async def run_inline(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a thread would do, done at once."""
    await trio.lowlevel.checkpoint()
    return work(*args)


@dataclass
class Host:
    """A node. While it is up ``registry`` and ``gossip`` are there."""

    number: int
    folder: Path
    wire: Wire
    pins: Pins
    hosting: Hosting
    observer: Observer
    skew_ms: int = 0
    registry: Registry | None = None
    gossip: Gossip | None = None
    starts: int = 0
    _lost: list[tuple[float, float]] = field(default_factory=list)
    _faults: Faults = field(default_factory=Faults)
    _scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    _graceful: bool = False
    _down: trio.Event = field(default_factory=trio.Event)
    _backups: list[tuple[float, Path]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._down.set()
        self.endpoint: Endpoint = self.wire.endpoint(self.kid, self.address, pins=self.pins.peers)

    @property
    def key(self) -> SigningKey:
        """The node's key."""
        return key(f"node {self.number}")

    @property
    def kid(self) -> Kid:
        """The node's kid."""
        return self.key.kid

    @property
    def address(self) -> str:
        """Where it listens."""
        return address_of(self.number)

    @property
    def up(self) -> bool:
        """Whether it runs."""
        return self.registry is not None

    def clock_ms(self) -> int:
        """The time as this node has it."""
        return AT_MS + 1000 * 86_400 * 1000 + self.skew_ms + int(trio.current_time() * 1000)

    @property
    def crashed(self) -> bool:
        """Whether it came to its end at a step of the store, or was killed."""
        return self._faults.over

    def lost(self, at_s: float) -> bool:
        """Whether what was on the disk at ``at_s`` may have been lost when an older backup was put back."""
        return any(backup_s <= at_s <= restored_s for backup_s, restored_s in self._lost)

    # --- up and down

    def claim(self) -> bool:
        """Whether it is down, and the caller the one to start it."""
        if not self._down.is_set():
            return False
        self._down = trio.Event()
        return True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be up, until stopped or crashed; whoever starts it has claimed it. Any other failure is the simulation's."""
        assert not self._down.is_set()
        self._faults = Faults()
        self._scope = trio.CancelScope()
        self._graceful = False
        self.starts += 1
        try:
            await self._live(task_status)
        except BaseExceptionGroup as group:
            _, others = group.split(Crash)
            if others is not None and self._faults.over:  # in a process that is gone nobody is left to be told
                _, others = others.split(HoloError)
            if others is not None:
                raise
        except Crash:
            pass
        finally:
            self.registry = self.gossip = None
            self._down.set()

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        store = self._open_store()
        try:
            registry = Registry(store, SETTINGS, ANONYMOUS, self.clock_ms, run_sync=run_inline)
            with self._scope:
                async with trio.open_nursery() as nursery:
                    await nursery.start(registry.run)
                    gossip = Gossip(
                        store=store,
                        door=registry,
                        network=self.endpoint,
                        pins=self.pins,
                        settings=GOSSIP,
                        rng=random.Random(self.wire.rng.random()),
                        clock_ms=self.clock_ms,
                        hosting=self.hosting,
                        run_sync=run_inline,
                    )
                    await nursery.start(gossip.run)
                    self.registry, self.gossip = registry, gossip
                    task_status.started()
                    try:
                        await trio.sleep_forever()
                    finally:
                        self.registry = self.gossip = None
            if self._graceful:
                with trio.CancelScope(shield=True):
                    await registry.finish()
        finally:
            with suppress(Crash):
                self._watch(store)
            store.close()

    async def stop(self) -> None:
        """Stop as a node that is told to."""
        self._graceful = True
        self._scope.cancel()
        await self._down.wait()

    async def kill(self, *, silent: bool = False) -> None:
        """Be gone at once; ``silent``: and nobody is told."""
        self._faults.over = True
        if silent:
            self.endpoint.vanish()
        else:
            self.wire.break_links(self.kid)
        self._scope.cancel()
        await self._down.wait()

    async def admit(self, records: Sequence[Incoming]) -> list[Result]:
        """What the node answers to whoever sent these records. Raises what `Registry.admit` does."""
        if self.registry is None:
            raise Overloaded("stopping", "the node is down")
        try:
            return await self.registry.admit(records)
        except Crash:
            await self.kill()
            raise Overloaded("stopping", "the node is down") from None

    async def fetch(self, cid: Cid) -> bytes | None:
        """What the node gets of its peers by CID; None while it is down, or where it ends meanwhile."""
        if self.gossip is None:
            return None
        try:
            return await self.gossip.fetch(cid)
        except (HoloError, Crash):
            return None

    def arm(self, point: str, nth: int) -> None:
        """Crash at the ``nth`` time from now that the store comes to ``point``."""
        self._faults.point, self._faults.nth = point, nth

    def disarm(self) -> None:
        """Crash no more."""
        self._faults.point = ""

    async def wait_down(self) -> None:
        """Until it is down."""
        await self._down.wait()

    def says(self) -> dict[str, Cid] | None:
        """What its newest head commits to: the state of each namespace, and against whom there is evidence.

        None while it is down, or has something that no head commits to.
        """
        if self.registry is None:
            return None
        with self.registry.view() as view:
            if view.records.dirty_count():
                return None
            found = {row.ns: row.state for row in view.records.namespaces() if row.state is not None}
            return found | {f"against {kid.hex()[4:12]}": evidence for kid, evidence in view.exposed()}

    def exposed(self) -> set[Kid]:
        """Whom it holds evidence against."""
        if self.registry is None:
            return set()
        with self.registry.view() as view:
            return {kid for kid, _ in view.exposed()}

    # --- backups

    def back_up(self) -> None:
        """Keep a copy of the store as it is."""
        path = self.folder / f"backup-{len(self._backups)}"
        if (self._store_folder / "data.mdb").exists():
            shutil.copytree(self._store_folder, path)
            self._backups.append((trio.current_time(), path))

    def restore(self, witness: str) -> bool:
        """Put the last backup back while down. The witness is ``kept``, ``lost``, or as ``old`` as the backup.

        With "in place" both files are written over, as old as they are, and stay the files they were.
        """
        assert not self.up
        if not self._backups:
            return False
        at_s, path = self._backups[-1]
        found = self._store_folder / "witness.json"
        saved = found.read_bytes() if found.exists() else None
        if witness == "in place":
            for name in ("data.mdb", "witness.json"):
                if (path / name).exists():
                    (self._store_folder / name).write_bytes((path / name).read_bytes())
        else:  # under a new name first, so that no file gets the number of a former one
            self._store_folder.rename(self.folder / f"was-{self.starts}")
            shutil.copytree(path, self._store_folder)
        (self._store_folder / "lock.mdb").unlink(missing_ok=True)
        if witness == "lost":
            found.unlink(missing_ok=True)
        elif witness == "kept" and saved is not None:
            found.write_bytes(saved)
        self._lost.append((at_s, trio.current_time()))
        self.observer.restored(self.number)
        return True

    @property
    def _store_folder(self) -> Path:
        return self.folder / "records"

    # --- the store, watched

    def open_for_checks(self) -> Store:
        """The store as it was left, to be read."""
        return Store(self._store_folder, self.key, clock_ms=self.clock_ms, map_bytes=MAP_BYTES, readonly=True)

    def _open_store(self) -> Store:
        store = Store(
            self._store_folder,
            self.key,
            clock_ms=self.clock_ms,
            hosting=self.hosting,
            map_bytes=MAP_BYTES,
            keep_heads=50,
            nonce=self.wire.rng.randbytes,
        )
        environment: Any = store._env
        commit, write, witness = environment.commit, environment.write, store._write_witness
        faults = self._faults

        def write_or_crash() -> Any:
            faults.reach("begin")
            return write()

        def commit_or_crash(txn: lmdb.Transaction[bytes]) -> None:
            try:
                faults.reach("before commit")
            except Crash:
                txn.abort()
                raise
            commit(txn)
            self._watch(store)
            faults.reach("after commit")

        def witness_or_crash(state: Any) -> None:
            witness(state)
            faults.reach("after witness")

        environment.write, environment.commit = write_or_crash, commit_or_crash
        store._write_witness = witness_or_crash  # type: ignore[method-assign]
        self._watch(store)
        return store

    def _watch(self, store: Store) -> None:
        with store.view() as view:
            self.observer.see(self.number, view)


def address_of(number: int) -> str:
    """Where peer ``number`` listens."""
    return f"peer{number}.example:{4000 + number}"
