"""Guests: how many there are, and who makes room for whom."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from holo.core import limits
from holo.core.address import split_address
from holo.net.guests import Guests, place_of
from tests.net.scene import make_peer, serving, until

LONG_S = 60.0


async def test_a_flood_from_one_place_ends_its_own_handshakes() -> None:
    guests = Guests(4)
    with ExitStack() as stack:
        lone = stack.enter_context(guests.staying("192.0.2.1:1", LONG_S))
        flood = [stack.enter_context(guests.staying(f"192.0.2.2:{port}", LONG_S)) for port in range(1, 10)]
        assert not lone.cancel_called
        assert [scope.cancel_called for scope in flood] == [True] * 6 + [False] * 3
        assert len(guests) == 4
    assert len(guests) == 0


async def test_who_comes_from_elsewhere_gets_the_place_of_one_of_the_many() -> None:
    guests = Guests(4)
    with ExitStack() as stack:
        flood = [stack.enter_context(guests.staying(f"192.0.2.2:{port}", LONG_S)) for port in range(1, 5)]
        late = stack.enter_context(guests.staying("192.0.2.1:1", LONG_S))
        assert [scope.cancel_called for scope in flood] == [True, False, False, False]
        assert not late.cancel_called


async def test_among_equals_the_oldest_makes_room() -> None:
    guests = Guests(3)
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(guests.staying(f"192.0.2.{n}:1", LONG_S)) for n in (1, 2, 3))
        fourth = stack.enter_context(guests.staying("192.0.2.4:1", LONG_S))
        assert first.cancel_called
        assert not any(scope.cancel_called for scope in (second, third, fourth))


async def test_a_guest_has_so_much_time(autojump_clock: object) -> None:
    guests = Guests()
    began = trio.current_time()
    with guests.staying("192.0.2.1:1", 10.0):
        await trio.sleep(LONG_S)
    assert trio.current_time() - began == pytest.approx(10.0)
    assert len(guests) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1:1", "192.0.2.1:2", True),
        ("192.0.2.1:1", "192.0.2.2:1", False),
        ("[2001:db8::1]:1", "[2001:db8::ffff:1]:2", True),
        ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1", False),
        ("[::ffff:192.0.2.1]:1", "192.0.2.1:1", True),
        ("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", False),
        ("[fe80::1%eth0]:1", "[fe80::2%eth0]:1", True),
    ],
)
def test_places(one: str, other: str, same: bool) -> None:
    assert (place_of(one) == place_of(other)) is same


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127/8 is this machine's own on Linux alone")
async def test_a_link_is_made_while_strangers_hold_every_place(tmp_path: Path) -> None:
    """Some hundred connections that say nothing, from one address, and a peer that takes its time, from another."""
    a = make_peer(tmp_path, 1)
    async with serving(a):
        target = split_address(a.address)
        slow = socket.create_connection(target, source_address=("127.0.0.3", 0))
        with ExitStack() as stack:
            stack.callback(slow.close)
            for _ in range(3 * limits.HANDSHAKES):
                stack.callback(socket.create_connection(target, source_address=("127.0.0.2", 0)).close)
                await trio.lowlevel.checkpoint()
            await until(lambda: len(a.network._guests) == limits.HANDSHAKES)
            slow.setblocking(False)
            with pytest.raises(BlockingIOError):  # it is waited for still, with no word and no end of the connection
                slow.recv(1)
            b = make_peer(tmp_path, 2)
            a.pin(b)
            b.pins.add(a.kid, [a.address])
            link = await b.network.connect(a.kid, a.address)
            await link.send(b"hello")
            assert await link.receive() == b"hello"
            assert len(a.network._guests) <= limits.HANDSHAKES
            await link.aclose()
    assert len(a.network._guests) == 0
