"""``holo peers``: once off a terminal, live on one."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import World
from tests.cli.runner import PROJECT, command, environment, holo, said


def test_a_node_without_peers_says_how_to_get_one(world: World) -> None:
    found = said(world.alice, "--node", "node", "peers")
    assert (found["node"], found["items"]) == (world.did, [])
    lines = holo(world.alice, "--node", "node", "peers").out.splitlines()
    assert lines[0].startswith(world.did)
    assert lines[0].endswith("0 peers, 0 links")
    assert "pair" in lines[1] or "roles.gossip" in lines[1]


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_on_a_terminal_it_is_drawn_again_until_a_key_ends_it(world: World, key: bytes) -> None:
    main, side = pty.openpty()
    words = command("--home", world.alice, "--node", "node", "peers")
    running = subprocess.Popen(
        words, stdin=side, stdout=side, stderr=side, env=environment(TERM="xterm"), cwd=PROJECT, start_new_session=True
    )
    os.close(side)
    try:
        shown = _read_until(main, b"\x1b[J", times=2)
        assert shown.startswith(b"\x1b[?1049h")
        assert shown.count(world.did.encode()) >= 2
        if key == b"q":
            os.write(main, key)
        else:
            running.send_signal(signal.SIGINT)
        rest = _read_until(main, b"\x1b[?1049l")
        assert b"\x1b[?7h\x1b[?25h\x1b[?1049l" in rest
        assert running.wait(20) == 0
    finally:
        running.kill()
        running.wait()
        os.close(main)


def _read_until(fd: int, end: bytes, times: int = 1) -> bytes:
    found = b""
    while found.count(end) < times:
        readable, _, _ = select.select([fd], [], [], 30)
        assert readable, found
        found += os.read(fd, 65536)
    return found


def test_once_is_enough_where_it_is_asked_for(world: World) -> None:
    assert holo(world.alice, "--node", "node", "peers", "--once").out.startswith(world.did)


def test_a_home_without_a_node_has_no_peers(folder: Path) -> None:
    home = folder / "quiet"
    said(home, "keys", "new", "me")
    said(home, "ns", "new", "mine")
    assert said(home, "peers")["items"] == []
