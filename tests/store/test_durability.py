"""What the environment says is on the disk is: shown by the order of its calls, and by failing each of them in turn."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from holo.store.environment import Environment
from tests.faults import preload
from tests.faults.preload import Fault
from tests.faults.trace import answer_at, read_trace, stored_bytes, unsynced
from tests.store.commits import MAP_BYTES

COMMITS = 3
VALUE_BYTES = 20_000


def run_commits(folder: Path, environ: dict[str, str], value_bytes: int, how: str = "durable") -> list[str]:
    child = preload.run_module("tests.store.commits", str(folder), str(COMMITS), str(value_bytes), how, environ=environ)
    assert child.returncode == 0, child.stderr
    return child.stdout.splitlines()


def open_environment(folder: Path) -> Environment:
    return Environment(folder, ["keys"], map_bytes=MAP_BYTES, free_reserve_bytes=0)


@pytest.mark.parametrize("value_bytes", [100, 300_000])
def test_every_sync_precedes_its_answer(tmp_path: Path, preload_library: Path, value_bytes: int) -> None:
    trace = tmp_path / "trace"
    answers = run_commits(tmp_path / "env", preload.environ(preload_library, trace=trace), value_bytes)
    assert answers == ["ok 0", "ok 1", "ok 2"]
    calls = read_trace(trace)
    for index in range(COMMITS):
        before = calls[: answer_at(calls, b"ok %d" % index)]
        assert unsynced(before, tmp_path / "env") == set()
        assert stored_bytes(before, tmp_path / "env") > (index + 1) * value_bytes


def test_the_proof_fails_for_a_store_that_does_not_sync(tmp_path: Path, preload_library: Path) -> None:
    trace = tmp_path / "trace"
    assert run_commits(tmp_path / "env", preload.environ(preload_library, trace=trace), 100, "careless") == ["ok 0"]
    calls = read_trace(trace)
    assert unsynced(calls[: answer_at(calls, b"ok 0")], tmp_path / "env") == {str(tmp_path / "env" / "data.mdb")}


def test_a_new_store_makes_its_directory_durable(tmp_path: Path, preload_library: Path) -> None:
    trace = tmp_path / "trace"
    run_commits(tmp_path / "env", preload.environ(preload_library, trace=trace), 100)
    calls = read_trace(trace)
    synced = {call.path for call in calls[: answer_at(calls, b"ok 0")] if call.name == "fsync"}
    assert {str(tmp_path / "env"), str(tmp_path)} <= synced


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(("kind", "torn_bytes"), [("pwrite", 0), ("pwrite", 1000), ("sync", 0)])
def test_each_failing_call_is_told_and_harms_nothing_that_was_acknowledged(
    tmp_path: Path, preload_library: Path, kind: str, torn_bytes: int, number: int
) -> None:
    calls = calls_of_commits(tmp_path, preload_library, kind)
    assert len(calls) >= COMMITS
    for at, (commit, meta_page) in enumerate(calls, start=1):
        folder = tmp_path / str(at)
        open_environment(folder).close()
        fault = Fault(kind, "data.mdb", at=at, errno=number, short_bytes=torn_bytes)
        answers = run_commits(folder, preload.environ(preload_library, fault), VALUE_BYTES)
        expected = [f"ok {index}" for index in range(COMMITS)]
        if number != errno.EIO and not meta_page:  # a full disk: that commit is refused, the store goes on
            expected[commit] = f"Overloaded:no-space {commit}"
        else:  # what is on the disk is not known: nothing is accepted from here on
            expected[commit:] = [f"StoreFailed:store-failed {index}" for index in range(commit, COMMITS)]
        assert answers == expected
        check_store(folder, answers)


def calls_of_commits(tmp_path: Path, preload_library: Path, kind: str) -> list[tuple[int, bool]]:
    """For each call of ``kind`` on the data file, in order: which commit it is part of, if it writes the meta page."""
    open_environment(tmp_path / "plain").close()
    trace = tmp_path / "plain.trace"
    run_commits(tmp_path / "plain", preload.environ(preload_library, trace=trace), VALUE_BYTES)
    calls = read_trace(trace)
    ends = [answer_at(calls, b"ok %d" % index) for index in range(COMMITS)]
    names = {"pwrite": ("pwrite", "write", "writev", "pwritev"), "sync": ("fdatasync", "fsync", "msync")}[kind]
    return [
        (sum(index > end for end in ends), call.self_syncing)
        for index, call in enumerate(calls)
        if call.name in names and call.path.endswith("data.mdb")
    ]


def check_store(folder: Path, answers: list[str]) -> None:
    """Another process finds what was acknowledged, nothing else, and can go on writing."""
    environment = open_environment(folder)
    with environment.read() as reader:
        found = dict(reader.range("keys", b""))
    assert found == {answer.split()[1].encode(): bytes(VALUE_BYTES) for answer in answers if answer.startswith("ok")}
    with environment.write() as writer:
        writer.put("keys", b"after", b"1")
    environment.close()
    environment = open_environment(folder)
    with environment.read() as reader:
        assert reader.count("keys") == len(found) + 1
    environment.close()
