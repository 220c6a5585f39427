"""A run: whole nodes on one wire in virtual time, a plan carried out on them, and what must hold at its end.

Safety is looked at after every commit (`tests.sim.observer`) and once more at the end, over everything. Then everything
that hinders is taken away, and within a bounded time all honest nodes have to say the same of every namespace.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from holo.core.cid import Cid
from holo.store.fsck import check_store
from holo.store.ledger import Hosting
from holo.store.view import View
from tests.records import key, kid
from tests.sim.authors import Authors, genesis_of
from tests.sim.host import Host, Pins, address_of
from tests.sim.judge import Records
from tests.sim.liars import Harm, Liar
from tests.sim.network import CALM, STORMY, Wire
from tests.sim.observer import Observer, Unsafe
from tests.sim.plan import NAMESPACES, Plan, Step
from tests.sim.schedule import run_seeded

HEALING_S: Final = 120.0  # within which all are equal once nothing hinders them
_LOOK_S: Final = 1.0
_STILL_LYING_S: Final = 30.0  # for so long liars go on where nothing hinders them either


class Unlike(AssertionError):
    """Nodes that should have come to say the same have not."""


@dataclass
class Verdict:
    """How a run went. ``problem`` is None where everything held."""

    plan: Plan
    problem: str | None = None
    trace: str = ""
    commits: int = 0
    promises: int = 0
    lies: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    healed_s: float | None = None
    virtual_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    happened: Counter[str] = field(default_factory=Counter)
    refused: dict[str, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)


def simulate(plan: Plan, *, verbose: bool = False) -> Verdict:
    """Carry out a plan."""
    verdict = Verdict(plan)
    began, began_cpu = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory(prefix="holo-sim-", dir=_memory()) as folder:
        run = Simulation(plan, Path(folder), verdict, verbose=verbose)
        try:
            run_seeded(plan.seed, run.run)
        except BaseException as error:
            failure = _only(error)
            if not isinstance(failure, Exception):
                raise
            verdict.problem = f"{type(failure).__name__}: {failure}"
            verdict.log.extend(_where(failure))
    verdict.wall_s, verdict.cpu_s = time.monotonic() - began, time.process_time() - began_cpu
    return verdict


class Simulation:
    """One run."""

    def __init__(self, plan: Plan, folder: Path, verdict: Verdict, *, verbose: bool = False) -> None:
        self.plan = plan
        self.verdict = verdict
        self.wire = Wire(plan.seed, STORMY if plan.stormy else CALM)
        self.observer = Observer(self.wire.note)
        geneses = {ns: genesis_of(ns) for ns in NAMESPACES}
        self.authors = Authors(geneses)
        self.harm = Harm(self.authors.forbidden)
        self._verbose = verbose
        pinned = {ns: record.statement.id for ns, record in geneses.items()}
        self.hosts = [self._host(number, folder, Hosting(open=True, pinned=pinned)) for number in range(plan.nodes)]

    def _host(self, number: int, folder: Path, hosting: Hosting) -> Host:
        place = folder / f"node{number}"
        place.mkdir()
        return Host(
            number=number,
            folder=place,
            wire=self.wire,
            pins=Pins({kid(f"node {peer}"): (address_of(peer),) for peer in self.plan.neighbours(number)}),
            hosting=hosting,
            observer=self.observer,
            skew_ms=self.plan.skews_ms[number],
        )

    def _liar(self, number: int, kind: str) -> Liar:
        own = key(f"node {number}")
        peers = [(kid(f"node {peer}"), address_of(peer)) for peer in self.plan.neighbours(number)]
        endpoint = self.wire.endpoint(own.kid, address_of(number))
        rng = random.Random(f"liar {number} of {self.plan.seed}")
        return Liar(kind, endpoint, own, peers, self.authors.geneses, rng, self.harm)

    async def run(self) -> None:
        """Everything, from the first start to the last check."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.wire.run)
                for host in self.hosts:
                    await self._ensure_up(host, nursery)
                for number, kind in enumerate(self.plan.liars, self.plan.nodes):
                    await nursery.start(self._liar(number, kind).run)
                await self._carry_out(nursery)
                await self._heal(nursery)
                try:
                    await self._converge()
                finally:
                    self._check_innocence()
                for host in self.hosts:
                    await host.stop()
                self._check_stores()
                nursery.cancel_scope.cancel()
        finally:
            verdict = self.verdict
            verdict.trace, verdict.commits = self.wire.trace, self.observer.commits
            verdict.delivered, verdict.delivered_bytes = self.wire.delivered, self.wire.delivered_bytes
            verdict.promises, verdict.virtual_s = len(self.authors.promises), trio.current_time()
            verdict.refused, verdict.lies = self.authors.refused, self.harm.done

    # --- the plan

    async def _carry_out(self, nursery: trio.Nursery) -> None:
        troubles = {
            "restart": self._restart,
            "kill": self._kill,
            "crash": self._crash,
            "backup": self._back_up,
            "restore": self._restore,
            "partition": self._partition,
            "heal": self._unite,
            "fetch": self._fetch,
            "break": self._break,
            "slow": self._slow,
            "clock": self._clock,
        }
        for step in self.plan.steps:
            await trio.sleep_until(step.at_s)
            self._say(str(step))
            self.verdict.happened[step.kind] += 1
            trouble = troubles.get(step.kind)
            if trouble is None:
                nursery.start_soon(self.authors.carry_out, step, self.hosts)
            else:
                nursery.start_soon(trouble, step, self.hosts[step.node], nursery)
        await trio.sleep_until(self.plan.minutes * 60)

    async def _restart(self, step: Step, host: Host, nursery: trio.Nursery) -> None:
        if host.up:
            await host.stop()
            await self._start_later(step, host, nursery)

    async def _kill(self, step: Step, host: Host, nursery: trio.Nursery) -> None:
        if host.up:
            await host.kill(silent=step.args["silent"])
            await self._start_later(step, host, nursery)

    async def _crash(self, step: Step, host: Host, nursery: trio.Nursery) -> None:
        if host.up:
            host.arm(step.args["point"], step.args["nth"])
            await host.wait_down()
            if host.crashed:
                self._say(f"node {host.number} crashed: {step.args['point']}")
                await self._start_later(step, host, nursery)

    async def _back_up(self, step: Step, host: Host, nursery: trio.Nursery) -> None:
        host.back_up()

    async def _restore(self, step: Step, host: Host, nursery: trio.Nursery) -> None:
        if host.up:
            await host.kill()
            host.restore(step.args["witness"])
            await self._start_later(step, host, nursery)

    async def _start_later(self, step: Step, host: Host, nursery: trio.Nursery) -> None:
        await trio.sleep(step.args["down_s"])
        await self._ensure_up(host, nursery)

    async def _ensure_up(self, host: Host, nursery: trio.Nursery) -> None:
        if host.claim():
            await nursery.start(host.run)

    async def _partition(self, step: Step, host: Host, nursery: trio.Nursery) -> None:
        self.wire.partition(*[[kid(f"node {member}") for member in island] for island in step.args["islands"]])

    async def _unite(self, step: Step, host: Host, nursery: trio.Nursery) -> None:
        self.wire.heal()

    async def _fetch(self, step: Step, host: Host, nursery: trio.Nursery) -> None:
        """The catalog of another node, by its CID: those bytes or none."""
        other = self.hosts[step.args["other"]]
        if host.gossip is None or other.registry is None:
            return
        with other.registry.view() as view:
            head = view.head()
        if head is not None:
            data = await host.fetch(head[0].catalog)
            self.verdict.happened["fetched"] += data is not None
            if data is not None and not head[0].catalog.matches(data):
                raise Unsafe(f"node {host.number} took other bytes for {head[0].catalog!s}")

    async def _break(self, step: Step, host: Host, nursery: trio.Nursery) -> None:
        self.wire.break_links(host.kid)

    async def _slow(self, step: Step, host: Host, nursery: trio.Nursery) -> None:
        host.endpoint.reads_bytes_per_s = step.args["bytes_per_s"]
        await trio.sleep(step.args["for_s"])
        host.endpoint.reads_bytes_per_s = float("inf")

    async def _clock(self, step: Step, host: Host, nursery: trio.Nursery) -> None:
        host.skew_ms += step.args["by_ms"]

    # --- the end

    async def _heal(self, nursery: trio.Nursery) -> None:
        """Nothing hinders anybody from now on."""
        self._say("everything heals")
        self.wire.heal()
        self.wire.weather = CALM
        for host in self.hosts:
            host.disarm()
            host.endpoint.reads_bytes_per_s = float("inf")
            await self._ensure_up(host, nursery)

    async def _converge(self) -> None:
        """Wait until all honest nodes have equal states. Raises `Unlike` where they never do."""
        began_s = trio.current_time()
        self.harm.two_faced.clear()  # what was shown before may never have arrived
        while True:
            said = [host.says() for host in self.hosts]
            unseen = self._unexposed()
            waited_s = trio.current_time() - began_s
            if said[0] is not None and all(found == said[0] for found in said) and not unseen:
                if self.verdict.healed_s is None:
                    self.verdict.healed_s = waited_s
                    self._say("all are equal")
                if waited_s >= (_STILL_LYING_S if self.plan.liars else 0):
                    return
            elif waited_s > HEALING_S:
                raise Unlike(_difference(self.hosts, said) + unseen)
            await trio.sleep(_LOOK_S)

    def _unexposed(self) -> str:
        """Liars that have shown two faces to the honest, and not every honest node has evidence against."""
        found: list[str] = []
        honest = {host.kid for host in self.hosts}
        for liar, faces in sorted(self.harm.two_faced.items()):
            if sum(bool(seen & honest) for seen in faces.values()) > 1:
                blind = [host.number for host in self.hosts if liar not in host.exposed()]
                found.extend(f"; node {number} does not know of {liar.hex()[4:12]}" for number in blind)
        return "".join(found)

    def _check_innocence(self) -> None:
        """That nobody honest stands accused, whatever was restored, crashed or lied about."""
        honest = {host.kid: host.number for host in self.hosts}
        for host in self.hosts:
            for accused in sorted(host.exposed() & honest.keys()):
                raise Unsafe(f"node {host.number} has evidence against node {honest[accused]}, which is honest")

    # --- checks over everything

    def _check_stores(self) -> None:
        records, states = Records(), dict[str, Cid]()
        for host in self.hosts:
            store = host.open_for_checks()
            try:
                with store.view() as view:
                    faults = list(check_store(view.records, host.kid))
                    if faults:
                        raise Unsafe(f"node {host.number}: {faults[0]}")
                    for statement in sorted(self.authors.forbidden):
                        if view.records.payload(statement) is not None:
                            raise Unsafe(f"node {host.number} holds {statement!s}, which nobody may sign")
                    self._check_promises(host, view)
                    for row in view.records.namespaces():
                        if row.ns in self.authors.geneses and row.state is not None:
                            records.gather(view, row.ns)
                            states[row.ns] = row.state
            finally:
                store.close()
        for ns, state in states.items():
            if records.state(ns, self.authors.geneses[ns].statement.id) != state:
                raise Unsafe(f"{ns}: another state than {state!s} follows from what the nodes hold")

    def _check_promises(self, host: Host, view: View) -> None:
        for promise in self.authors.promises:
            if promise.node != host.number or host.lost(promise.at_s):
                continue
            if view.records.receipt_place(promise.receipt) is None:
                raise Unsafe(f"node {host.number} has lost receipt {promise.receipt!s}")
            if promise.state != "pending" and view.records.payload(promise.statement) is None:
                raise Unsafe(f"node {host.number} has lost {promise.statement!s}, which it acknowledged")

    def _say(self, text: str) -> None:
        line = f"{trio.current_time():8.2f} {text}"
        self.verdict.log.append(line)
        if self._verbose:
            print(line)


def _difference(hosts: Sequence[Host], states: Sequence[dict[str, Cid] | None]) -> str:
    """Which namespaces differ, and where."""
    found = []
    for ns in sorted({ns for state in states if state is not None for ns in state}):
        held = ["unsigned" if state is None else str(state.get(ns))[-6:] for state in states]
        if len(set(held)) > 1:
            found.append(f"{ns} is {', '.join(held)}")
    up = ", ".join(str(host.number) for host in hosts if not host.up)
    return "; ".join(found) + (f"; down: {up}" if up else "")


def _memory() -> str | None:
    """Where files cost least, if there is such a place."""
    memory = Path("/dev/shm")
    return str(memory) if os.access(memory, os.W_OK) else None


def _only(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _where(error: BaseException) -> list[str]:
    return [line for text in traceback.format_exception(error) for line in text.rstrip().split("\n")]
