"""The simulated network keeps what links promise, and does to them what it says it does."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from holo.net.link import Link, LinkClosed, Network
from tests.records import kid
from tests.sim.network import CALM, STORMY, WINDOW_BYTES, Endpoint, Weather, Wire, open_wire
from tests.sim.schedule import run_seeded

A, B, C = kid("a"), kid("b"), kid("c")
SOON = Weather(delay_s=(0.01, 0.01))


@pytest.fixture
def clock(autojump_clock: MockClock) -> MockClock:
    """Return time that passes only where everybody waits for it."""
    return autojump_clock


@asynccontextmanager
async def linked(
    weather: Weather = SOON, seed: int = 0
) -> AsyncIterator[tuple[Wire, Link, Link, trio.CancelScope, Endpoint]]:
    """A wire with a link from A to B: (wire, A's end, B's end, what ends B, B's place)."""
    arrived: list[Link] = []
    came = trio.Event()

    async def keep(link: Link) -> None:
        arrived.append(link)
        came.set()
        await trio.sleep_forever()

    async with open_wire(seed, weather) as wire, trio.open_nursery() as nursery:
        one, other = wire.endpoint(A, "a:1"), wire.endpoint(B, "b:1")
        scope = trio.CancelScope()

        async def serve(*, task_status: trio.TaskStatus[None]) -> None:
            with scope:
                await other.serve(keep, task_status=task_status)

        await nursery.start(serve)
        near = await one.connect(B, "b:1")
        await came.wait()
        yield wire, near, arrived[0], scope, other
        nursery.cancel_scope.cancel()


async def test_an_endpoint_is_a_network_and_knows_both_ends(clock: MockClock) -> None:
    async with linked() as (_, near, far, _, place):
        network: Network = place
        assert network.addresses == ("b:1",)
        assert (near.peer, near.outgoing, near.address) == (B, True, "b:1")
        assert (far.peer, far.outgoing, far.address) == (A, False, "a:1")


@pytest.mark.parametrize("seed", range(4))
async def test_frames_arrive_whole_and_in_order_whatever_their_delays(clock: MockClock, seed: int) -> None:
    weather = dataclasses.replace(STORMY, breaks=0.0)
    frames = [bytes([number % 256]) * (number * 37 % 5000) for number in range(300)]
    async with linked(weather, seed) as (_, near, far, _, _), trio.open_nursery() as nursery:

        async def send() -> None:
            for frame in frames:
                await near.send(frame)

        nursery.start_soon(send)
        assert [await far.receive() for _ in frames] == frames


async def test_two_links_do_not_wait_for_each_other(clock: MockClock) -> None:
    order: list[bytes] = []
    async with open_wire(7, Weather(delay_s=(0.0, 1.0))) as wire, trio.open_nursery() as nursery:
        place = wire.endpoint(B, "b:1")

        async def take(link: Link) -> None:
            order.append(await link.receive())

        await nursery.start(place.serve, take)
        sent = [bytes([number]) for number in range(20)]
        links = [await wire.endpoint(kid(f"p{number}")).connect(B, "b:1") for number in range(20)]
        for link, frame in zip(links, sent, strict=True):
            await link.send(frame)
        await trio.sleep(3)
        assert sorted(order) == sent
        assert order != sent
        nursery.cancel_scope.cancel()


async def test_a_peer_that_does_not_read_holds_the_sender_up(clock: MockClock) -> None:
    async with linked() as (_, near, far, _, _):
        sent = 0
        with trio.move_on_after(60):
            while True:
                await near.send(bytes(WINDOW_BYTES // 8))
                sent += 1
        assert sent == 8
        await far.receive()
        with trio.fail_after(1):
            await near.send(b"there is room again")


async def test_a_slow_reader_and_a_narrow_wire_take_their_time(clock: MockClock) -> None:
    async with linked(Weather(delay_s=(0.0, 0.0), bytes_per_s=1000.0)) as (_, near, far, _, place):
        began = trio.current_time()
        await near.send(bytes(2000))
        await far.receive()
        assert trio.current_time() - began == pytest.approx(2.0, abs=0.01)
        place.reads_bytes_per_s = 100.0
        await near.send(bytes(1000))
        await far.receive()
        assert trio.current_time() - began == pytest.approx(12.0, abs=0.01)


async def test_what_was_sent_before_a_close_is_read_and_then_the_end(clock: MockClock) -> None:
    async with linked() as (wire, near, far, _, _):
        await near.send(b"one")
        await near.send(b"two")
        await near.aclose()
        assert [await far.receive(), await far.receive()] == [b"one", b"two"]
        for call in (far.receive, near.receive, lambda: far.send(b""), lambda: near.send(b"")):
            with pytest.raises(LinkClosed):
                await call()
        assert wire.links == 0


async def test_a_close_wakes_whoever_waits_at_either_end(clock: MockClock) -> None:
    async with linked() as (_, near, far, _, _), trio.open_nursery() as nursery:
        ended = []

        async def fill() -> None:
            try:
                while True:
                    await near.send(bytes(1000))
            except LinkClosed as error:
                ended.append(error.code)

        async def wait() -> None:
            try:
                await near.receive()
            except LinkClosed as error:
                ended.append(error.code)

        nursery.start_soon(fill)
        nursery.start_soon(fill)
        nursery.start_soon(wait)
        await trio.sleep(1)
        await far.aclose()
        await trio.sleep(1)
        assert ended == ["closed", "closed", "closed"]


async def test_a_partition_holds_frames_back_and_a_heal_lets_them_on(clock: MockClock) -> None:
    async with linked() as (wire, near, far, _, _):
        wire.partition([A], [B])
        await near.send(b"late")
        with trio.move_on_after(5) as early:
            await far.receive()
        assert early.cancelled_caught
        wire.heal()
        with trio.fail_after(1):
            assert await far.receive() == b"late"


async def test_a_partition_outlasts_links_and_keeps_new_ones_away(clock: MockClock) -> None:
    async with linked() as (wire, near, far, _, _):
        wire.partition([A])
        for end in (near, far):
            with trio.fail_after(CALM.patience_s + 1), pytest.raises(LinkClosed) as raised:
                await end.receive()
            assert raised.value.code == "timeout"
        with pytest.raises(LinkClosed) as refused:
            await wire.endpoint(A).connect(B, "b:1")
        assert refused.value.code == "timeout"
        wire.heal()
        await wire.endpoint(A).connect(B, "b:1")


async def test_a_short_partition_is_forgotten_by_the_next(clock: MockClock) -> None:
    async with linked() as (wire, near, far, _, _):
        for _ in range(4):
            wire.partition([A], [B])
            await trio.sleep(0.9 * CALM.patience_s)
            wire.heal()
            await near.send(b"x")
            assert await far.receive() == b"x"


async def test_a_wire_that_breaks_links_tells_both_ends(clock: MockClock) -> None:
    async with linked(dataclasses.replace(SOON, breaks=0.1)) as (wire, near, far, _, _):
        sent = received = 0
        with contextlib.suppress(LinkClosed):
            while True:
                await near.send(b"x")
                sent += 1
                await trio.sleep(0.1)
        with contextlib.suppress(LinkClosed):
            while True:
                await far.receive()
                received += 1
        assert wire.broken["link-lost"] == 2
        assert sent - 1 == received == wire.delivered


async def test_who_vanishes_is_noticed_late_and_who_stops_at_once(clock: MockClock) -> None:
    async with linked() as (_, near, far, _, place):
        began = trio.current_time()
        place.vanish()
        with pytest.raises(LinkClosed):
            await near.receive()
        assert trio.current_time() - began == pytest.approx(CALM.patience_s, abs=0.01)
        with pytest.raises(LinkClosed):
            await far.receive()
    async with linked() as (_, near, _, scope, _):
        scope.cancel()
        with trio.fail_after(1), pytest.raises(LinkClosed):
            await near.receive()


async def test_a_dialler_hears_why_there_is_no_link(clock: MockClock) -> None:
    async with open_wire(0, SOON) as wire, trio.open_nursery() as nursery:
        here, pinned = wire.endpoint(A), {C}
        place = wire.endpoint(B, "b:1", "b:2", pins=lambda: pinned)

        async def refused(peer: bytes, address: str) -> str:
            with pytest.raises(LinkClosed) as raised:
                await here.connect(kid("b") if peer == B else kid("c"), address)
            return raised.value.code

        assert await refused(B, "b:1") == "unreachable"
        await nursery.start(place.serve, lambda link: link.aclose())
        assert await refused(B, "nowhere:1") == "unreachable"
        assert await refused(C, "b:2") == "peer-wrong-key"
        assert await refused(B, "b:1") == "peer-unpinned"
        pinned.add(A)
        link = await here.connect(B, "b:2")
        assert link.peer == B
        nursery.cancel_scope.cancel()


async def test_the_transfer_plane_has_a_taker_of_its_own(clock: MockClock) -> None:
    async with open_wire(0, SOON) as wire, trio.open_nursery() as nursery:

        def saying(text: bytes) -> object:
            return lambda link: link.send(text)

        await nursery.start(wire.endpoint(B, "b:1").serve, saying(b"control"), saying(b"transfer"))
        here = wire.endpoint(A)
        assert await (await here.connect(B, "b:1")).receive() == b"control"
        assert await (await here.transfer(B, "b:1")).receive() == b"transfer"
        nursery.cancel_scope.cancel()


def test_one_seed_is_one_trace_and_another_seed_another() -> None:
    async def main(seed: int) -> str:
        async with linked(STORMY, seed) as (wire, near, far, _, _), trio.open_nursery() as nursery:

            async def talk(link: Link) -> None:
                try:
                    for number in range(100):
                        await link.send(bytes([number]))
                        await link.receive()
                except LinkClosed:
                    wire.note("ended")

            nursery.start_soon(talk, near)
            nursery.start_soon(talk, far)
            await trio.sleep(1000)
            return wire.trace

    traces = [run_seeded(seed, partial(main, seed)) for seed in (1, 1, 2)]
    assert traces[0] == traces[1]
    assert traces[0] != traces[2]
