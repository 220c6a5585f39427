"""Pins: what the file says, noticed while running, and what the profile says besides."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from holo.core.errors import Rejected
from holo.core.keys import SigningKey
from holo.net.pins import Pins
from holo.store.home import Home
from holo.store.peers_file import PeersFile
from tests.net.scene import LONG_S

A, B = (SigningKey(bytes([number]) * 32).kid for number in (1, 2))


def test_the_same_object_until_something_changes(tmp_path: Path) -> None:
    file = PeersFile(Home(tmp_path))
    pins = Pins(file, {B: ["b:1"]})
    first = pins.peers()
    assert first == {B: ("b:1",)}
    assert pins.peers() is first
    file.add(A, ["a:1"])
    assert pins.peers() == {A: ("a:1",), B: ("b:1",)}
    second = pins.peers()
    file.add(B, ["b:2"])
    assert pins.peers() == {A: ("a:1",), B: ("b:1", "b:2")}  # the profile's address first
    assert pins.add(B, ["b:2"]) is False
    assert pins.remove(B) is True
    assert pins.peers() == second  # the profile's stays
    file.add(A, [], "name")
    seen = pins.peers()
    assert pins.peers() is seen


async def test_whoever_waits_is_told_of_changes_by_others(tmp_path: Path) -> None:
    file, pins = PeersFile(Home(tmp_path)), Pins(PeersFile(Home(tmp_path)))
    before = pins.peers()
    with trio.fail_after(LONG_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pins.changed)
            nursery.start_soon(pins.changed, before)
            await trio.testing.wait_all_tasks_blocked()
            file.add(A, [])
        assert pins.peers() == {A: ()}
        await pins.changed(before)  # long since


def test_a_broken_file_leaves_what_was_known_and_is_an_error_at_first(tmp_path: Path) -> None:
    file = PeersFile(Home(tmp_path))
    pins = Pins(file)
    file.add(A, ["a:1"])
    known = pins.peers()
    file.path.write_text("{")
    assert pins.peers() is known
    with pytest.raises(Rejected):
        Pins(file).peers()
    file.path.unlink()
    assert pins.peers() == {}
