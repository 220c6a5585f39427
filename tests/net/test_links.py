"""Links between pinned nodes: both planes, large frames, slow readers, renewal, removal, and bounds of what is open."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
import trio

from holo.core import limits
from holo.core.keys import SigningKey
from holo.net import network, tls_link
from holo.net.certificate import open_leaf
from holo.net.guests import Guests
from holo.net.identity import Identity
from holo.net.link import Link, LinkClosed
from tests.net.scene import LONG_S, Peer, Taken, make_peer, refused, serving, until, wall_ms


@pytest.fixture
def a(tmp_path: Path) -> Peer:
    return make_peer(tmp_path, 1)


@pytest.fixture
def b(tmp_path: Path) -> Peer:
    return make_peer(tmp_path, 2)


async def test_each_end_knows_the_other_and_frames_come_whole_and_in_order(a: Peer, b: Peer) -> None:
    async with serving(a) as taken:
        a.pin(b)
        b.pin(a)
        link = await b.network.connect(a.kid, a.address)
        there = await taken.next()
        assert (link.peer, link.outgoing, link.address) == (a.kid, True, a.address)
        assert (there.peer, there.outgoing) == (b.kid, False)
        frames = [b"x", os.urandom(limits.FRAME_BYTES), os.urandom(70_000), b"last"]
        async with trio.open_nursery() as nursery:

            async def send_all() -> None:
                for frame in frames:
                    await link.send(frame)

            nursery.start_soon(send_all)
            with trio.fail_after(LONG_S):
                assert [await link.receive() for _ in frames] == frames
        await link.aclose()
        await link.aclose()
        with pytest.raises(LinkClosed):
            await link.send(b"more")
        with pytest.raises(LinkClosed):
            await link.receive()


async def test_the_two_planes_share_a_port_and_go_their_own_ways(a: Peer, b: Peer) -> None:
    came: list[tuple[str, bytes]] = []
    done = trio.Event()

    async def control(link: Link) -> None:
        came.append(("control", await link.receive()))

    async def transfer(link: Link) -> None:
        came.append(("transfer", await link.receive()))
        done.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(a.network.serve, control, transfer)
        a.pin(b)
        b.pin(a)
        first = await b.network.connect(a.kid, a.address)
        await first.send(b"one")
        assert (await refused(first.receive)).code == "closed"  # a link ends when its handler returns
        second = await b.network.transfer(a.kid, a.address)
        await second.send(b"two")
        with trio.fail_after(LONG_S):
            await done.wait()
        nursery.cancel_scope.cancel()
    assert came == [("control", b"one"), ("transfer", b"two")]


async def test_what_was_sent_before_the_end_arrives(a: Peer, b: Peer) -> None:
    async def say_goodbye(link: Link) -> None:
        await link.send(b"bye")

    async with serving(a, say_goodbye):
        a.pin(b)
        b.pin(a)
        for _ in range(20):
            link = await b.network.connect(a.kid, a.address)
            with contextlib.suppress(LinkClosed):
                await link.send(b"never read")
            assert await link.receive() == b"bye"
            assert (await refused(link.receive)).code == "closed"


async def test_a_handler_may_let_the_end_of_its_link_pass(a: Peer, b: Peer) -> None:
    async def read_on(link: Link) -> None:
        while True:
            await link.receive()

    async with serving(a, read_on):
        a.pin(b)
        b.pin(a)
        for _ in range(2):
            link = await b.network.connect(a.kid, a.address)
            await link.aclose()
        await until(lambda: not a.network._links)


async def test_a_slow_reader_holds_up_who_sends_and_loses_nothing(a: Peer, b: Peer) -> None:
    opened = trio.Event()
    sums: list[int] = []

    async def read_late(link: Link) -> None:
        await opened.wait()
        for _ in range(40):
            sums.append(sum(await link.receive()))

    async with serving(a, read_late):
        a.pin(b)
        b.pin(a)
        link = await b.network.connect(a.kid, a.address)
        frame = os.urandom(limits.FRAME_BYTES)
        sent = 0
        async with trio.open_nursery() as nursery:

            async def send_all() -> None:
                nonlocal sent
                for _ in range(40):
                    await link.send(frame)
                    sent += 1

            nursery.start_soon(send_all)
            before = -1
            while sent != before:  # until the buffers of the system are full
                before = sent
                await trio.sleep(0.2)
            assert sent < 40
            opened.set()
        assert (await refused(link.receive)).code == "closed"
    assert sums == [sum(frame)] * 40


async def test_a_reader_that_never_reads_ends_the_link(a: Peer, tmp_path: Path) -> None:
    async def never(link: Link) -> None:
        await trio.sleep_forever()

    b = make_peer(tmp_path, 2, frame_s=0.5)
    async with serving(a, never):
        a.pin(b)
        b.pin(a)
        link = await b.network.connect(a.kid, a.address)

        async def send_on() -> None:
            while True:
                await link.send(bytes(limits.FRAME_BYTES))

        assert (await refused(send_on)).code == "timeout"
        assert (await refused(link.send, b"x")).code == "closed"


async def test_half_a_frame_has_only_so_much_time(b: Peer, tmp_path: Path) -> None:
    a = make_peer(tmp_path, 1, frame_s=0.3)
    async with serving(a) as taken:
        a.pin(b)
        b.pin(a)
        link = await b.network.connect(a.kid, a.address)
        assert isinstance(link, tls_link.TlsLink)
        there = await taken.next()
        await link.send(b"a whole one")
        assert await link.receive() == b"a whole one"
        await trio.sleep(0.6)  # silence between frames is nothing
        await link.send(b"another")
        assert await link.receive() == b"another"
        await link._frames.stream.send_all(b"\0\0\1\0half")
        assert (await refused(link.receive)).code == "closed"
        assert taken.ended == ["timeout"]
        assert there.peer == b.kid


@pytest.mark.parametrize(("head", "code"), [(b"\0\0\0\0", "frame-invalid"), (b"\0\x20\0\1", "too-large")])
async def test_a_frame_of_another_length_ends_the_link_before_its_bytes_come(
    a: Peer, b: Peer, head: bytes, code: str
) -> None:
    async with serving(a) as taken:
        a.pin(b)
        b.pin(a)
        link = await b.network.connect(a.kid, a.address)
        assert isinstance(link, tls_link.TlsLink)
        await link._frames.stream.send_all(head)
        assert (await refused(link.receive)).code == "closed"
        assert taken.ended == [code]


async def test_a_cancelled_receive_loses_nothing_and_a_cancelled_send_ends_the_link(a: Peer, b: Peer) -> None:
    async def never(link: Link) -> None:
        await link.send(b"first")
        await trio.sleep_forever()

    async with serving(a, never):
        a.pin(b)
        b.pin(a)
        link = await b.network.connect(a.kid, a.address)
        for _ in range(3):
            with trio.move_on_after(0):
                await link.receive()
        assert await link.receive() == b"first"
        with trio.move_on_after(0.2) as scope:
            while True:
                await link.send(bytes(limits.FRAME_BYTES))
        assert scope.cancelled_caught
        assert (await refused(link.send, b"x")).code == "closed"


async def test_closing_wakes_whoever_receives(a: Peer, b: Peer) -> None:
    async with serving(a):
        a.pin(b)
        b.pin(a)
        link = await b.network.connect(a.kid, a.address)
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                assert (await refused(link.receive)).code == "closed"

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked(0.05)
            await link.aclose()


async def test_links_of_a_removed_peer_end_and_it_gets_no_other(a: Peer, b: Peer, tmp_path: Path) -> None:
    c = make_peer(tmp_path, 3)
    async with serving(a) as taken, serving(b) as at_b:
        a.pin(b, c)
        b.pin(a)
        c.pin(a)
        link = await b.network.connect(a.kid, a.address)
        back = await a.network.connect(b.kid, b.address)
        other = await c.network.connect(a.kid, a.address)
        for _ in range(2):
            await taken.next()
        await at_b.next()
        assert a.pins.remove(b.kid)
        assert (await refused(link.receive)).code == "closed"
        assert (await refused(back.receive)).code == "peer-unpinned"
        assert (await refused(b.network.connect, a.kid, a.address)).code == "peer-unpinned"
        await other.send(b"still here")
        assert await other.receive() == b"still here"
        a.pin(b)  # and once it is pinned again
        again = await b.network.connect(a.kid, a.address)
        await again.send(b"back")
        assert await again.receive() == b"back"


async def test_a_leaf_renews_itself_and_those_who_come_then_see_it(tmp_path: Path) -> None:
    """The clock of both nodes runs on by most of a day; links from before go on."""
    behind_ms = 20 * 3600 * 1000
    a, b = (make_peer(tmp_path, number, clock_ms=lambda: wall_ms() - behind_ms) for number in (1, 2))
    async with serving(a):
        a.pin(b)
        b.pin(a)
        leaves = []
        for shift_ms in (behind_ms, behind_ms, 0):
            behind_ms = shift_ms
            link = await b.network.connect(a.kid, a.address)
            assert isinstance(link, tls_link.TlsLink)
            leaves.append((link, link._frames.stream.leaf))
        assert leaves[0][1] == leaves[1][1] != leaves[2][1]
        for link, leaf in leaves:
            assert open_leaf(leaf or b"", wall_ms()) == a.kid
            await link.send(b"x")
            assert await link.receive() == b"x"


def test_a_leaf_is_renewed_from_half_of_its_life_on_and_after_a_clock_went_back() -> None:
    now_ms = 10**12
    identity = Identity(SigningKey(bytes(32)), lambda: now_ms, leaf_s=100)
    first = identity.leaf()
    context = identity.server_context(())
    now_ms += 49_000
    assert identity.leaf() is first
    assert identity.server_context(()) is context
    now_ms += 2_000
    second = identity.leaf()
    assert second is not first
    assert identity.server_context(()) is not context
    now_ms -= 10**10
    assert identity.leaf() is not second


async def test_a_peer_has_so_many_links_and_room_again(a: Peer, b: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(a) as taken:
        a.pin(b)
        b.pin(a)
        links = [await b.network.connect(a.kid, a.address) for _ in range(limits.LINKS_PER_PEER)]
        for _ in links:
            await taken.next()
        assert (await refused(b.network.transfer, a.kid, a.address)).code == "overloaded"
        await links[0].aclose()
        await until(lambda: bool(taken.ended))
        await b.network.transfer(a.kid, a.address)


async def test_a_node_has_so_many_links(a: Peer, b: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "LINKS", 2)
    c = make_peer(tmp_path, 3)
    async with serving(a):
        a.pin(b, c)
        b.pin(a)
        c.pin(a)
        for _ in range(2):
            await b.network.connect(a.kid, a.address)
        assert (await refused(c.network.connect, a.kid, a.address)).code == "overloaded"


async def test_the_oldest_guest_makes_room(a: Peer, b: Peer) -> None:
    """Strangers that say nothing keep no node out."""
    a.network._guests = Guests(4)
    async with serving(a):
        a.pin(b)
        b.pin(a)
        host, port = a.address.split(":")
        strangers = [await trio.open_tcp_stream(host, int(port)) for _ in range(20)]
        for _ in range(3):
            link = await b.network.connect(a.kid, a.address)
            await link.send(b"x")
            assert await link.receive() == b"x"
        with trio.fail_after(LONG_S):
            assert await strangers[0].receive_some() == b""
        for stranger in strangers:
            await stranger.aclose()


async def test_a_guest_that_says_nothing_is_gone_after_its_time(tmp_path: Path) -> None:
    a = make_peer(tmp_path, 1, handshake_s=0.2)
    async with serving(a):
        host, port = a.address.split(":")
        stranger = await trio.open_tcp_stream(host, int(port))
        with trio.fail_after(LONG_S):
            assert await stranger.receive_some() == b""
        await stranger.aclose()


async def test_who_serves_no_more_ends_every_link(a: Peer, b: Peer) -> None:
    async with serving(b) as at_b:
        async with trio.open_nursery() as nursery:
            taken = Taken()
            await nursery.start(a.network.serve, taken.handle)
            a.pin(b)
            b.pin(a)
            link = await b.network.connect(a.kid, a.address)
            back = await a.network.connect(b.kid, b.address)
            await taken.next()
            await at_b.next()
            nursery.cancel_scope.cancel()
        assert (await refused(link.receive)).code == "closed"
        assert (await refused(back.receive)).code == "stopping"
        assert a.network.addresses == ()


async def test_what_cannot_be_dialled(a: Peer, b: Peer) -> None:
    async with serving(a):
        address = a.address
    b.pins.add(a.kid, [address])
    assert (await refused(b.network.connect, a.kid, address)).code == "unreachable"
    assert (await refused(b.network.connect, a.kid, "no-such-host.invalid:1")).code == "unreachable"
    assert (await refused(b.network.connect, a.kid, "nonsense")).code == "address-invalid"
