"""A network in memory: what `holo.net.link` says of links, on trio's clock, with everything that goes wrong on a wire.

A `Wire` joins any number of `Endpoint`s. Every frame has its delay, drawn from one seeded generator; a link keeps the
order of its frames, as TLS does, and links do not wait for each other. Frames are never lost by themselves: a link
stalls and goes on, or it breaks. All that happens later happens in one task, `Wire.run`, so that under a clock of
trio's own making a run is a function of the seed. `Wire.trace` is a hash of everything that was delivered, and when.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NoReturn

import trio

from holo.core import limits
from holo.core.keys import Kid
from holo.net.link import Link, LinkClosed

WINDOW_BYTES: Final = 256 * 1024  # of one direction of a link, sent and not taken by the reader yet
_CONNECT_S: Final = 5.0
_TICK_S: Final = 0.001  # arrivals are rounded up to it: what comes in one tick comes at once

Handle = Callable[[Link], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Weather:
    """How a wire treats what is sent on it: seconds, bytes a second, and chances for each frame."""

    delay_s: tuple[float, float] = (0.001, 0.02)
    bytes_per_s: float = 10_000_000.0
    stall: float = 0.0
    stall_s: tuple[float, float] = (0.2, 3.0)
    breaks: float = 0.0
    patience_s: float = 20.0  # a link over which nothing gets for so long is given up by both ends


CALM: Final = Weather()
STORMY: Final = Weather(delay_s=(0.001, 0.3), bytes_per_s=1_000_000.0, stall=0.02, breaks=0.004)


class Wire:
    """All links there are. `run` has to run for anything to arrive."""

    def __init__(self, seed: int | random.Random, weather: Weather = CALM) -> None:
        self.rng = seed if isinstance(seed, random.Random) else random.Random(seed)
        self.weather = weather
        self.delivered = 0
        self.delivered_bytes = 0
        self.broken: Counter[str] = Counter()
        self._trace = hashlib.blake2b(digest_size=16)
        self._endpoints: dict[str, Endpoint] = {}
        self._island: dict[Kid, int] = {}
        self._links: dict[int, tuple[_Side, _Side]] = {}
        self._numbers = itertools.count()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._sooner = trio.Event()

    # --- who is on it

    def endpoint(self, kid: Kid, *addresses: str, pins: Callable[[], Collection[Kid]] | None = None) -> Endpoint:
        """The place of ``kid`` on the wire. It takes links of whom ``pins`` says, of everybody without it."""
        made = Endpoint(self, kid, addresses, pins)
        for address in addresses:
            assert address not in self._endpoints, f"{address} is taken"
            self._endpoints[address] = made
        return made

    def partition(self, *islands: Iterable[Kid]) -> None:
        """From now on nothing gets from one of these groups to another; who is in none is in one more, all together."""
        self.note("partition", *("".join(sorted(kid.hex()[:8] for kid in island)) for island in islands))
        self._island = {kid: number for number, island in enumerate(islands, 1) for kid in island}
        self._settle_links()

    def heal(self) -> None:
        """Everybody reaches everybody again; what was under way goes on."""
        self.partition()

    def parted(self, one: Kid, other: Kid) -> bool:
        """Whether nothing gets from ``one`` to ``other``."""
        return self._island.get(one, 0) != self._island.get(other, 0)

    @property
    def links(self) -> int:
        """How many links are open."""
        return len(self._links)

    def break_links(self, *kids: Kid) -> int:
        """Break every link that one of ``kids`` is an end of, all links without one; how many there were."""
        chosen = [sides for sides in self._links.values() if not kids or any(side.here.kid in kids for side in sides)]
        for sides in chosen:
            self._break(sides, "link-lost")
        return len(chosen)

    # --- time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Let things arrive, until cancelled."""
        task_status.started()
        while True:
            now = trio.current_time()
            while self._later and self._later[0][0] <= now:
                heapq.heappop(self._later)[2]()
            self._sooner = trio.Event()
            with trio.move_on_at(self._later[0][0] if self._later else float("inf")):
                await self._sooner.wait()

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do ``action`` at ``when``, a time of trio's clock, rounded up to a tick."""
        when = -(-when // _TICK_S) * _TICK_S
        if not self._later or when < self._later[0][0]:
            self._sooner.set()
        heapq.heappush(self._later, (when, next(self._numbers), action))

    def note(self, *what: object) -> None:
        """Put something that happened into the trace."""
        self._trace.update(f"{trio.current_time():.6f} {' '.join(map(str, what))}\n".encode())

    @property
    def trace(self) -> str:
        """A hash of all that happened so far."""
        return self._trace.copy().hexdigest()

    # --- links

    def delay_s(self) -> float:
        """How long something takes from one end to another."""
        return self.rng.uniform(*self.weather.delay_s)

    def find(self, address: str) -> Endpoint | None:
        """Who listens there."""
        return self._endpoints.get(address)

    def join(self, dialler: Endpoint, acceptor: Endpoint, address: str, plane: str) -> tuple[_Side, _Side]:
        """A new link: its end at ``dialler`` and its end at ``acceptor``."""
        number = next(self._numbers)
        near = _Side(self, number, dialler, acceptor, True, address)
        far = _Side(self, number, acceptor, dialler, False, (dialler.addresses or ("nowhere:0",))[0])
        near.other, far.other = far, near
        self._links[number] = near, far
        self.note("link", number, dialler.kid.hex()[:8], acceptor.kid.hex()[:8], plane)
        return near, far

    def _break(self, sides: Iterable[_Side], code: str) -> None:
        for side in sides:
            self._links.pop(side.number, None)
            self.broken[code] += 1
            self.note("broken", side.number, code)
            side.fail(LinkClosed(code, "the connection is gone"))

    def _settle_links(self) -> None:
        """Let those links go on whose ends reach each other, and have the others given up when patience ends."""
        for near, far in list(self._links.values()):
            if not self.parted(near.here.kid, far.here.kid):
                near.go_on()
                far.go_on()
            else:
                self._give_up_later(near, far)

    def _give_up_later(self, near: _Side, far: _Side) -> None:
        since = trio.current_time()
        near.parted_since = since

        def give_up() -> None:
            still = near.number in self._links and self.parted(near.here.kid, far.here.kid)
            if still and near.parted_since == since:
                self._break((near, far), "timeout")

        self.at(since + self.weather.patience_s, give_up)

    def posted(self, side: _Side) -> tuple[float, bool]:
        """When a frame that ``side`` sends now would arrive by itself, and whether the link breaks instead."""
        rng, weather = self.rng, self.weather
        delay_s = rng.uniform(*weather.delay_s)
        if weather.stall and rng.random() < weather.stall:
            delay_s += rng.uniform(*weather.stall_s)
        breaks = bool(weather.breaks) and rng.random() < weather.breaks
        return trio.current_time() + delay_s, breaks

    def arrived(self, side: _Side, frame: bytes) -> None:
        """Note that ``frame`` reached the other end of ``side``."""
        self.delivered += 1
        self.delivered_bytes += len(frame)
        self._trace.update(b"%d %d %d %d " % (trio.current_time() * 1_000_000, side.number, side.outgoing, len(frame)))
        self._trace.update(frame)

    def lost(self, side: _Side) -> None:
        """The link of ``side`` breaks for both ends."""
        if side.number in self._links:
            self._break((side, side.other), "link-lost")

    def closed(self, side: _Side) -> None:
        """Both ends know that the link is closed."""
        self._links.pop(side.number, None)


class Endpoint:
    """One end of many links: a `Network`. ``reads_bytes_per_s`` may be set at any time: a slow reader."""

    def __init__(
        self, wire: Wire, kid: Kid, addresses: tuple[str, ...], pins: Callable[[], Collection[Kid]] | None
    ) -> None:
        self.wire = wire
        self.kid = kid
        self.addresses = addresses
        self.pins = pins
        self.reads_bytes_per_s = float("inf")
        self._accept: Callable[[_Side, str], None] | None = None

    async def serve(
        self,
        handle: Handle,
        handle_transfer: Handle | None = None,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Hand links as they come to ``handle``, those of the transfer plane to the other; closed when it returns."""
        handles = {"control": handle, "transfer": handle_transfer}

        async with trio.open_nursery() as nursery:

            async def serve_one(side: _Side, plane: str) -> None:
                taker = handles[plane]
                try:
                    if taker is not None:
                        await taker(side)
                finally:
                    side.close()

            def accept(side: _Side, plane: str) -> None:
                nursery.start_soon(serve_one, side, plane)

            assert self._accept is None, "served twice"
            self._accept = accept
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._accept = None
        raise AssertionError

    async def connect(self, peer: Kid, address: str) -> Link:
        """A link of the control plane to ``peer``, who should be at ``address``."""
        return await self._dial(peer, address, "control")

    async def transfer(self, peer: Kid, address: str) -> Link:
        """A link of the transfer plane."""
        return await self._dial(peer, address, "transfer")

    def vanish(self) -> None:
        """As a host that loses power: its links end here at once, and there when patience does."""
        self._accept = None
        for near, far in list(self.wire._links.values()):
            for mine, theirs in ((near, far), (far, near)):
                if mine.here is self:
                    mine.fail(LinkClosed("stopped", "this end is gone"))
                    theirs.lose(trio.current_time() + self.wire.weather.patience_s)

    async def _dial(self, peer: Kid, address: str, plane: str) -> Link:
        wire = self.wire
        with trio.move_on_after(_CONNECT_S):
            await trio.sleep(2 * wire.delay_s())
            found = wire.find(address)
            if found is not None and wire.parted(self.kid, found.kid):
                await trio.sleep_forever()
            if found is None or found._accept is None:
                raise LinkClosed("unreachable", f"nobody listens at {address}")
            if found.kid != peer:
                raise LinkClosed("peer-wrong-key", f"another key answers at {address}")
            if found.pins is not None and self.kid not in found.pins():
                raise LinkClosed("peer-unpinned", f"{address} does not know this node")
            near, far = wire.join(self, found, address, plane)
            found._accept(far, plane)
            return near
        raise LinkClosed("timeout", f"{address} did not answer")


@dataclass(slots=True, eq=False)
class _Side:
    """One end of a link."""

    wire: Wire
    number: int
    here: Endpoint
    there: Endpoint
    outgoing: bool
    address: str
    other: _Side = field(init=False)
    parted_since: float = -1.0
    _sent: deque[tuple[float, bytes | None]] = field(default_factory=deque)  # under way from here; None is the end
    _free_at: float = 0.0  # when what was sent before has passed
    _moving: bool = False  # the first of what is under way has its time on the wire's list
    _unread_bytes: int = 0  # sent from here, not taken there
    _come: deque[bytes] = field(default_factory=deque)
    _over: LinkClosed | None = None  # why nothing more comes
    _closed: LinkClosed | None = None  # why nothing can be sent
    _wakes_reader: trio.Event | None = None
    _wakes_writer: trio.Event | None = None

    @property
    def peer(self) -> Kid:
        """Who is at the other end."""
        return self.there.kid

    async def send(self, frame: bytes) -> None:
        """One whole frame; waits while the peer does not read."""
        assert len(frame) <= limits.FRAME_BYTES, f"a frame of {len(frame)} bytes"
        await trio.lowlevel.checkpoint_if_cancelled()
        while self._closed is None and self._unread_bytes and self._unread_bytes + len(frame) > WINDOW_BYTES:
            if self._wakes_writer is None:
                self._wakes_writer = trio.Event()
            await self._wakes_writer.wait()
        if self._closed is not None:
            raise LinkClosed(self._closed.code, self._closed.detail)
        self._unread_bytes += len(frame)
        when, breaks = self.wire.posted(self)
        if breaks:
            self.wire.at(when, lambda: self.wire.lost(self))
        self._post(when, frame)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def receive(self) -> bytes:
        """One whole frame; `LinkClosed` where no more come."""
        await trio.lowlevel.checkpoint()
        while not self._come:
            if self._over is not None:
                raise LinkClosed(self._over.code, self._over.detail)
            assert self._wakes_reader is None, "two read one link"
            self._wakes_reader = trio.Event()
            try:
                await self._wakes_reader.wait()
            finally:
                self._wakes_reader = None
        frame = self._come.popleft()
        self.other._taken(len(frame))
        return frame

    async def aclose(self) -> None:
        """Close this end. What was sent before still arrives."""
        self.close()
        await trio.lowlevel.checkpoint()

    # --- what the wire does

    def close(self) -> None:
        """As `aclose`, for those who cannot wait."""
        if self._closed is None:
            self._post(self.wire.posted(self)[0], None)
        self._end(LinkClosed("closed", "this end was closed"))
        self._come.clear()

    def fail(self, error: LinkClosed) -> None:
        """The link is broken as seen from here."""
        self._sent.clear()
        self._end(error)

    def lose(self, when: float) -> None:
        """Nothing moves any more, and at ``when`` this end notices."""
        self._sent.clear()

        def notice() -> None:
            if self._over is None:
                self.wire.broken["timeout"] += 1
                self.fail(LinkClosed("timeout", "nothing was heard for long"))
            self.wire.closed(self)

        self.wire.at(when, notice)

    def go_on(self) -> None:
        """Let what waits here move, if it may."""
        self.parted_since = -1.0
        self.other.parted_since = -1.0
        if self._sent and not self._moving:
            self._schedule()

    def _post(self, when: float, frame: bytes | None) -> None:
        pace = min(self.wire.weather.bytes_per_s, self.there.reads_bytes_per_s)
        self._free_at = max(when, self._free_at) + len(frame or b"") / pace
        self._sent.append((self._free_at, frame))
        if not self._moving:
            self._schedule()

    def _schedule(self) -> None:
        self._moving = True
        self.wire.at(max(self._sent[0][0], trio.current_time()), self._arrive)

    def _arrive(self) -> None:
        """What is first under way reaches the other end, unless nothing gets there now."""
        self._moving = False
        if not self._sent or self.wire.parted(self.here.kid, self.there.kid):
            return
        now = trio.current_time()
        while self._sent and self._sent[0][0] <= now:
            _, frame = self._sent.popleft()
            if frame is not None:
                self.other._come_in(frame)
            else:
                self.other._ended(LinkClosed("closed", "the peer closed the link"))
                self.wire.closed(self)
        if self._sent:
            self._schedule()

    def _come_in(self, frame: bytes) -> None:
        if self._over is None:
            self.wire.arrived(self.other, frame)
            self._come.append(frame)
            if self._wakes_reader is not None:
                self._wakes_reader.set()

    def _taken(self, size_bytes: int) -> None:
        self._unread_bytes -= size_bytes
        if self._wakes_writer is not None:
            self._wakes_writer.set()
            self._wakes_writer = None

    def _ended(self, error: LinkClosed) -> None:
        """The peer closed: what came before may still be read."""
        self._sent.clear()
        self._end(error)

    def _end(self, error: LinkClosed) -> None:
        self._over = self._over or error
        self._closed = self._closed or error
        for event in (self._wakes_reader, self._wakes_writer):
            if event is not None:
                event.set()


@asynccontextmanager
async def open_wire(seed: int | random.Random = 0, weather: Weather = CALM) -> AsyncIterator[Wire]:
    """A wire on which things arrive for the length of the block."""
    wire = Wire(seed, weather)
    async with trio.open_nursery() as nursery:
        await nursery.start(wire.run)
        yield wire
        nursery.cancel_scope.cancel()
