"""The environment: snapshots, one writer, refusals below the reserve, what survives a closed process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core.errors import Missing, Overloaded, StoreFailed
from holo.core.limits import STORE_READERS
from holo.store.environment import Environment, after_prefix
from tests.faults.preload import PROJECT

MIB = 1024 * 1024


def open_environment(path: Path, *, map_bytes: int = 64 * MIB, reserve: int = 0, readonly: bool = False) -> Environment:
    return Environment(path, ["one", "two"], map_bytes=map_bytes, free_reserve_bytes=reserve, readonly=readonly)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    environment = open_environment(tmp_path / "env")
    yield environment
    environment.close()


def test_a_commit_is_read_back_after_reopening(tmp_path: Path) -> None:
    environment = open_environment(tmp_path / "deep" / "env")
    with environment.write() as writer:
        writer.put("one", b"k", b"v")
        assert writer.get("one", b"k") == b"v"
        assert writer.get("two", b"k") is None
    environment.close()
    environment = open_environment(tmp_path / "deep" / "env")
    with environment.read() as reader:
        assert reader.get("one", b"k") == b"v"
        assert reader.contains("one", b"k")
        assert not reader.contains("two", b"k")
        assert reader.count("one") == 1
    environment.close()


def test_the_store_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    open_environment(tmp_path / "env").close()
    modes = {path.name: path.stat().st_mode & 0o777 for path in [tmp_path / "env", *(tmp_path / "env").iterdir()]}
    assert modes == {"env": 0o700, "data.mdb": 0o600, "lock.mdb": 0o600}


def test_an_exception_leaves_nothing(environment: Environment) -> None:
    with environment.write() as writer:
        writer.put("one", b"kept", b"1")

    def fail_midway() -> None:
        with environment.write() as writer:
            writer.put("one", b"lost", b"1")
            writer.delete("one", b"kept")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_midway()
    with environment.read() as reader:
        assert dict(reader.range("one", b"")) == {b"kept": b"1"}


def test_a_snapshot_does_not_move(environment: Environment) -> None:
    with environment.write() as writer:
        writer.put("one", b"k", b"old")
    with environment.read() as reader:
        with environment.write() as writer:
            writer.put("one", b"k", b"new")
        assert reader.get("one", b"k") == b"old"
    with environment.read() as reader:
        assert reader.get("one", b"k") == b"new"


KEYS = st.binary(min_size=1, max_size=2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.binary(max_size=3)),
        st.tuples(st.sampled_from(["delete", "get", "contains", "range", "count"]), KEYS, st.just(b"")),
    ),
    max_size=30,
)


@given(committed=st.dictionaries(KEYS, st.binary(max_size=3), max_size=6), steps=STEPS, gathered=st.integers(1, 5))
def test_a_transaction_reads_what_it_has_written(
    tmp_path_factory: pytest.TempPathFactory,
    committed: dict[bytes, bytes],
    steps: list[tuple[str, bytes, bytes]],
    gathered: int,
) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path_factory.getbasetemp()) as folder, pytest.MonkeyPatch.context() as few:
        few.setattr("holo.store.environment._GATHERED_MAX", gathered)
        environment = open_environment(Path(folder) / "env")
        with environment.write() as writer:
            for key, value in committed.items():
                writer.put("one", key, value)
        model = dict(committed)
        with environment.write() as writer:
            for step, key, value in steps:
                match step:
                    case "put":
                        writer.put("one", key, value)
                        model[key] = value
                    case "delete":
                        assert writer.delete("one", key) == (model.pop(key, None) is not None)
                    case "get":
                        assert writer.get("one", key) == model.get(key)
                    case "contains":
                        assert writer.contains("one", key) == (key in model)
                    case "range":
                        assert list(writer.range("one", key)) == sorted(
                            item for item in model.items() if item[0] >= key
                        )
                    case _:
                        assert writer.count("one") == len(model)
            assert writer.count("two") == 0
        with environment.read() as reader:
            assert dict(reader.range("one", b"")) == model
        environment.close()


def test_writers_in_other_threads_wait(environment: Environment) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with environment.write() as writer:
            order.append("second")
            assert writer.get("one", b"k") == b"1"

    thread = threading.Thread(target=second)
    with environment.write() as writer:
        thread.start()
        waiting.wait(10)
        writer.put("one", b"k", b"1")
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_second_write_in_the_same_thread_is_refused_instead_of_hanging(environment: Environment) -> None:
    with environment.write() as writer:
        with pytest.raises(StoreFailed), environment.write():
            pass
        writer.put("one", b"k", b"1")
    with environment.read() as reader:
        assert reader.get("one", b"k") == b"1"


def test_a_write_transaction_stays_in_its_thread(environment: Environment) -> None:
    failures: list[BaseException] = []

    def meddle() -> None:
        try:
            writer.put("one", b"k", b"1")
        except AssertionError as error:
            failures.append(error)

    with environment.write() as writer:
        thread = threading.Thread(target=meddle)
        thread.start()
        thread.join(10)
    assert len(failures) == 1


def test_below_the_file_systems_reserve_a_write_is_refused(tmp_path: Path) -> None:
    open_environment(tmp_path / "env").close()
    disk = os.statvfs(tmp_path)
    if disk.f_bavail * disk.f_frsize > 1 << 39:
        pytest.skip("more than half a terabyte is free: the map would be met first")
    environment = open_environment(tmp_path / "env", map_bytes=1 << 40, reserve=1 << 39)
    with pytest.raises(Overloaded) as refusal, environment.write():
        pytest.fail("a write was begun below the reserve")
    assert (refusal.value.code, refusal.value.http_status) == ("no-space", 507)
    with environment.read() as reader:
        assert reader.count("one") == 0
    environment.close()


def test_the_maps_reserve_is_met_before_its_end(tmp_path: Path) -> None:
    environment = open_environment(tmp_path / "env", map_bytes=4 * MIB, reserve=1 * MIB)
    stored: list[int] = []

    def fill() -> None:
        for index in range(1000):
            with environment.write() as writer:
                writer.put("one", b"%03d" % index, bytes(100_000))
            stored.append(index)

    with pytest.raises(Overloaded) as refusal:
        fill()
    assert refusal.value.code == "no-space"
    assert "reserve" in refusal.value.detail
    assert 20 <= len(stored) <= 31
    with environment.read() as reader:
        assert reader.count("one") == len(stored)
    environment.close()


def test_a_map_that_is_raised_takes_more_and_one_that_is_lowered_loses_nothing(tmp_path: Path) -> None:
    for index, map_bytes in enumerate((2 * MIB, 8 * MIB, 1 * MIB)):
        environment = open_environment(tmp_path / "env", map_bytes=map_bytes, reserve=MIB if index == 0 else 0)
        with environment.read() as reader:
            assert reader.get("one", b"k") == (bytes(1_500_000) if index else None)
        if index == 0:
            with environment.write() as writer:
                writer.put("one", b"k", bytes(1_500_000))
            with pytest.raises(Overloaded), environment.write():
                pytest.fail("a write was begun below the reserve")
        if index == 1:
            with environment.write() as writer:
                writer.put("two", b"k", bytes(3 * MIB))
        if index == 2:
            with environment.read() as reader:
                assert reader.get("two", b"k") == bytes(3 * MIB)
        environment.close()


def test_a_transaction_larger_than_the_map_is_refused_and_leaves_the_store_usable(tmp_path: Path) -> None:
    environment = open_environment(tmp_path / "env", map_bytes=2 * MIB)
    with environment.write() as writer:
        writer.put("one", b"before", b"1")

    def overfill() -> None:
        with environment.write() as writer:
            for index in range(100):
                writer.put("one", b"%d" % index, bytes(100_000))

    with pytest.raises(Overloaded) as refusal:
        overfill()
    assert refusal.value.code == "no-space"
    with environment.write() as writer:
        writer.put("one", b"after", b"1")
    with environment.read() as reader:
        assert [key for key, _ in reader.range("one", b"")] == [b"after", b"before"]
    environment.close()


def test_a_refused_write_that_is_swallowed_still_refuses_the_commit(tmp_path: Path) -> None:
    environment = open_environment(tmp_path / "env", map_bytes=1 * MIB)

    def swallow() -> None:
        with environment.write() as writer:
            writer.put("one", b"small", b"1")
            writer.put("one", b"large", bytes(2 * MIB))
            with pytest.raises(Overloaded):
                writer.count("one")

    with pytest.raises(Overloaded) as refusal:
        swallow()
    assert refusal.value.code == "no-space"
    with environment.read() as reader:
        assert reader.count("one") == 0
    environment.close()


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "data.mdb").write_bytes(b"no LMDB file" * 1000)
    with pytest.raises(StoreFailed) as refusal:
        open_environment(tmp_path / "env")
    assert refusal.value.code == "store-corrupt"


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreFailed) as refusal:
        open_environment(tmp_path / "file" / "env")
    assert refusal.value.code == "store-failed"


def test_opening_twice_in_one_process_is_refused(environment: Environment) -> None:
    with pytest.raises(StoreFailed):
        open_environment(environment.path)


def test_readonly_sees_the_store_and_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(Missing) as missing:
        open_environment(tmp_path / "env", readonly=True)
    assert missing.value.code == "not-found"
    assert list(tmp_path.iterdir()) == []
    environment = open_environment(tmp_path / "env")
    with environment.write() as writer:
        writer.put("two", b"k", b"v")
    environment.close()
    environment = open_environment(tmp_path / "env", readonly=True)
    with environment.read() as reader:
        assert reader.get("two", b"k") == b"v"
    with pytest.raises(StoreFailed), environment.write():
        pytest.fail("a write was begun in a read-only environment")
    environment.close()


def test_readonly_refuses_a_store_that_lacks_a_database(tmp_path: Path) -> None:
    Environment(tmp_path / "env", ["one"], map_bytes=MIB, free_reserve_bytes=0).close()
    with pytest.raises(StoreFailed) as refusal:
        open_environment(tmp_path / "env", readonly=True)
    assert refusal.value.code == "store-version"


@pytest.mark.parametrize("readonly", [True, False])
def test_a_file_that_was_cut_off_is_refused_before_it_is_read(tmp_path: Path, readonly: bool) -> None:
    environment = open_environment(tmp_path / "env")
    with environment.write() as writer:
        writer.put("one", b"k", bytes(3 * MIB))
    environment.close()
    os.truncate(tmp_path / "env" / "data.mdb", MIB)
    with pytest.raises(StoreFailed) as refusal:
        open_environment(tmp_path / "env", readonly=readonly)
    assert refusal.value.code == "store-corrupt"
    assert f"cut off: {MIB} bytes of" in refusal.value.detail


def test_readers_beyond_the_limit_are_asked_to_come_back(environment: Environment) -> None:
    with ExitStack() as readers:
        for _ in range(STORE_READERS):
            readers.enter_context(environment.read())
        with pytest.raises(Overloaded) as refusal:
            readers.enter_context(environment.read())
    assert refusal.value.code == "overloaded"
    with environment.read() as snapshot:
        assert snapshot.count("one") == 0


def test_a_closed_environment_fails_instead_of_answering(tmp_path: Path) -> None:
    environment = open_environment(tmp_path / "env")
    environment.close()
    with pytest.raises(StoreFailed), environment.read():
        pass


OPENS = """
import os, sys
from pathlib import Path
from holo.store.environment import Environment
environment = Environment(Path(sys.argv[1]), ["one", "two"], map_bytes=1 << 26, free_reserve_bytes=0)
"""
READS_TILL_KILLED = """
with environment.read() as reader:
    os.write(1, b"reading")
    os.read(0, 1)
"""


def test_readers_that_died_are_cleared_at_open(tmp_path: Path) -> None:
    open_environment(tmp_path / "env").close()
    child = subprocess.Popen(
        [sys.executable, "-c", OPENS + READS_TILL_KILLED, str(tmp_path / "env")],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    with child:
        assert os.read(child.stdout.fileno(), 7) == b"reading"
        watcher = lmdb.Environment(str(tmp_path / "env"), max_dbs=2)
        assert str(child.pid) in watcher.readers()
        child.send_signal(signal.SIGKILL)
    assert str(child.pid) in watcher.readers(), "the slot of a killed reader stays until somebody clears it"
    subprocess.run([sys.executable, "-c", OPENS, str(tmp_path / "env")], cwd=PROJECT, check=True, timeout=60)
    assert str(child.pid) not in watcher.readers()
    watcher.close()


@given(
    pairs=st.dictionaries(st.binary(min_size=1, max_size=8), st.binary(max_size=8), max_size=20),
    start=st.binary(max_size=8),
    stop=st.none() | st.binary(min_size=1, max_size=8),
    reverse=st.booleans(),
    limit=st.none() | st.integers(0, 5),
)
def test_a_range_is_the_sorted_slice(
    tmp_path_factory: pytest.TempPathFactory,
    pairs: dict[bytes, bytes],
    start: bytes,
    stop: bytes | None,
    reverse: bool,
    limit: int | None,
) -> None:
    environment = open_environment(tmp_path_factory.getbasetemp() / "ranges")
    with environment.write() as writer:
        for key in [key for key, _ in writer.range("one", b"")]:
            writer.delete("one", key)
        for key, value in pairs.items():
            writer.put("one", key, value)
        expected = sorted((k, v) for k, v in pairs.items() if k >= start and (stop is None or k < stop))
        if reverse:
            expected.reverse()
        assert list(writer.range("one", start, stop, reverse=reverse, limit=limit)) == expected[:limit]
        prefixed = sorted((k, v) for k, v in pairs.items() if k.startswith(start))
        assert writer.last("one", start) == (prefixed[-1] if prefixed else None)
    environment.close()


@given(prefix=st.binary(max_size=4), key=st.binary(max_size=6))
def test_after_prefix_is_the_end_of_the_prefix(prefix: bytes, key: bytes) -> None:
    end = after_prefix(prefix)
    assert key.startswith(prefix) == (key >= prefix and (end is None or key < end))
