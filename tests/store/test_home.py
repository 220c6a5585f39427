"""A home's lock between processes, its address file, its permissions, and files that are replaced as a whole."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holo.core.errors import HoloError
from holo.store.home import Home, Running, make_private_folder, read_small, write_atomically, write_new

_HOLD = "import sys; from holo.store.home import Home; lock = Home(sys.argv[1]).lock(shared=sys.argv[2] == 'shared'); \
print('held', flush=True); sys.stdin.read()"


@contextmanager
def holder(home: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until the block ends or it is killed."""
    running = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(home), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "held\n"
    try:
        yield running
    finally:
        running.communicate(timeout=30)


def test_one_writer_or_many_readers(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with holder(home.path, "exclusive"):
        assert home.try_lock() is None
        assert home.try_lock(shared=True) is None
    with holder(home.path, "shared"):
        assert home.try_lock() is None
        shared = home.try_lock(shared=True)
        assert shared is not None
        shared.release()
    with home.lock(wait_s=0):
        pass


def test_a_holder_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with holder(home.path, "exclusive") as running:
        running.kill()
        running.wait(30)
        home.lock(wait_s=0).release()


def test_waiting_is_bounded_and_says_who_holds_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with holder(home.path, "exclusive"):
        home.announce(Running("http://127.0.0.1:1", "did:key:z", 7, "minimal-peer"))
        with pytest.raises(HoloError) as refused:
            home.lock(wait_s=0.1)
    assert refused.value.code == "home-locked"
    assert "http://127.0.0.1:1" in refused.value.detail
    home.lock(wait_s=0).release()  # whoever gets the lock clears the address of a node that is gone
    assert home.running() is None


def test_the_address_is_whole_or_absent(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").create()
    running = Running("http://127.0.0.1:8420", "did:key:z6Mk", 42, "minimal-peer", "127.0.0.1:8421")
    home.announce(running)
    assert home.running() == running
    for broken in (b"", b"{", b"[]", b'{"v": 1}', b'{"url": 1, "node": 2, "pid": "x"}', b"\xff"):
        home.node_file.write_bytes(broken)
        assert home.running() is None
    home.withdraw()
    home.withdraw()
    assert not home.node_file.exists()


def test_a_home_is_private_from_the_start(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home").create()
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    (home.path / "something").touch()
    home.path.chmod(0o710)
    for act in (home.create, home.check, home.try_lock):
        with pytest.raises(HoloError) as refused:
            act()
        assert refused.value.code == "home-unsafe"
    made_by_hand = tmp_path / "by-hand"
    made_by_hand.mkdir(mode=0o755)
    make_private_folder(made_by_hand)  # empty: nobody can have read anything in it
    assert stat.S_IMODE(made_by_hand.stat().st_mode) == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(HoloError, match="not a directory"):
        Home(tmp_path / "file").create()


def test_files_are_replaced_whole_and_leave_no_drafts(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_atomically(file, b"one")
    write_atomically(file, b"two" * 1000)
    assert file.read_bytes() == b"two" * 1000
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not write_new(file, b"three")
    assert file.read_bytes() == b"two" * 1000
    assert write_new(tmp_path / "new", b"three")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_atomically(tmp_path / "folder", b"x")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "new"]


def test_small_files_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(101))
    assert read_small(tmp_path / "large", 101) == bytes(101)
    with pytest.raises(HoloError) as refused:
        read_small(tmp_path / "large", 100)
    assert refused.value.code == "too-large"
    assert read_small(tmp_path / "none") is None
