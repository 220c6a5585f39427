"""A whole node: durable before acknowledged, failures told and survived, kills harmless, backups visible."""

from __future__ import annotations

import errno
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.faults import preload
from tests.faults.preload import Fault
from tests.faults.process import NodeProcess
from tests.faults.scene import Acknowledged, begin_namespace, publish
from tests.faults.trace import read_trace, stored_bytes, unsynced

QUIET = ("roles.registry.head_interval_ms=3600000", "roles.registry.head_changes=1000000")


def test_the_sync_precedes_the_answer_on_the_wire(tmp_path: Path, preload_library: Path) -> None:
    trace, home = tmp_path / "trace", tmp_path / "home"
    acknowledged = Acknowledged()
    with NodeProcess(home, environ=preload.environ(preload_library, trace=trace), settings=QUIET) as node:
        assert begin_namespace(node).status_code == 201
        for number in range(5):
            assert publish(node, f"n{number}", acknowledged).status_code == 201
        assert node.stop() == 0
    calls = read_trace(trace)
    answers = [index for index, call in enumerate(calls) if call.head.startswith(b"HTTP/1.1 201")]
    assert len(answers) == 6
    stored = 0
    for index in answers:
        before = calls[:index]
        assert unsynced(before, home / "records") - {str(home / "records" / "witness.json")} == set()
        assert stored_bytes(before, home / "records") > stored, "an answer without a write would prove nothing"
        stored = stored_bytes(before, home / "records")
    acknowledged.check(home)


@pytest.mark.parametrize("kind", ["pwrite", "sync"])
@pytest.mark.parametrize("at", [1, 2, 5, 9])
def test_a_failing_disk_stops_the_node_loudly_and_loses_nothing(
    tmp_path: Path, preload_library: Path, kind: str, at: int
) -> None:
    home, acknowledged = tmp_path / "home", Acknowledged()
    with NodeProcess(home, settings=QUIET) as node:
        assert begin_namespace(node).status_code == 201
        assert node.stop() == 0
    fault = Fault(kind, "data.mdb", at=at, count=0, errno=errno.EIO)
    codes = []
    try:
        with NodeProcess(home, environ=preload.environ(preload_library, fault), settings=QUIET) as node:
            for number in range(12):
                try:
                    codes.append(publish(node, f"n{number}", acknowledged).status_code)
                except httpx.TransportError:
                    break
            assert node.wait() == 70, "a node whose store failed ends by itself"
    except RuntimeError as error:
        assert "store-failed" in str(error)  # noqa: PT017 it failed while starting
    assert all(code == 201 for code in codes[:-1])
    acknowledged.check(home)
    with NodeProcess(home, settings=QUIET) as node:
        assert publish(node, "after", acknowledged).status_code == 201
        assert node.stop() == 0
    acknowledged.check(home)


@pytest.mark.parametrize("at", [3, 4, 7])
def test_a_full_disk_is_a_507_and_the_node_goes_on(tmp_path: Path, preload_library: Path, at: int) -> None:
    home, acknowledged = tmp_path / "home", Acknowledged()
    with NodeProcess(home, settings=QUIET) as node:
        assert begin_namespace(node).status_code == 201
        assert node.stop() == 0
    fault = Fault("fdatasync", "data.mdb", at=at, count=1, errno=errno.ENOSPC)
    with NodeProcess(home, environ=preload.environ(preload_library, fault), settings=QUIET) as node:
        codes = [publish(node, f"n{number}", acknowledged).status_code for number in range(10)]
        assert node.http.get("/v1/node").status_code == 200
        assert node.stop() == 0
    assert sorted(set(codes)) == [201, 507]
    assert codes.count(507) == 1
    acknowledged.check(home)


def test_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    kill_in_a_loop(tmp_path / "home", rounds=4, seed=1)


@pytest.mark.soak
def test_kills_lose_nothing_for_as_long_as_asked(tmp_path: Path, soak_seconds: float) -> None:
    kill_in_a_loop(tmp_path / "home", rounds=10**9, seed=time.time_ns(), until=time.monotonic() + soak_seconds)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_gracefully(tmp_path: Path, number: int) -> None:
    home, acknowledged = tmp_path / "home", Acknowledged()
    with NodeProcess(home, settings=QUIET) as node:
        begin_namespace(node)
        writers = [
            threading.Thread(target=publish_until_refused, args=(node, f"w{at}", acknowledged)) for at in range(3)
        ]
        for writer in writers:
            writer.start()
        while len(acknowledged.receipts) < 10:
            time.sleep(0.01)
        assert node.stop(number) == 0
        for writer in writers:
            writer.join()
        assert not (home / "node.json").exists()
    acknowledged.check(home)
    with NodeProcess(home, settings=QUIET) as node:
        about = node.http.get("/v1/node").json()
        current = node.http.get("/v1/catalogs/current").json()
        assert current["log_size"] == about["log_size"] == len(acknowledged.receipts) + 1, (
            "a last head covers everything"
        )


def test_a_home_put_back_from_a_backup_says_so_in_a_new_log(tmp_path: Path) -> None:
    home, backup, acknowledged = tmp_path / "home", tmp_path / "backup", Acknowledged()
    with NodeProcess(home) as node:
        begin_namespace(node)
        publish(node, "before", acknowledged)
        assert node.stop() == 0
    shutil.copytree(home, backup)
    with NodeProcess(home) as node:
        publish(node, "lost", Acknowledged())
        old = node.http.get("/v1/node").json()
        assert node.stop() == 0
    shutil.rmtree(home)
    shutil.copytree(backup, home)
    with NodeProcess(home) as node:
        new = node.http.get("/v1/node").json()
        assert (new["node"], new["log"] != old["log"]) == (old["node"], True)
        genesis = node.http.get(f"/v1/objects/{new['log']}")
        assert genesis.status_code == 200
        publish(node, "after", acknowledged)
        assert node.stop() == 0
    acknowledged.check(home)


def kill_in_a_loop(home: Path, rounds: int, seed: int, until: float = float("inf")) -> None:
    """Start, publish from several clients, kill at a random moment, check; all of it again and again."""
    chance, acknowledged = random.Random(seed), Acknowledged()
    for number in range(rounds):
        if time.monotonic() > until:
            break
        with NodeProcess(home, settings=("roles.registry.head_interval_ms=20",)) as node:
            assert begin_namespace(node).status_code in (200, 201)
            before = len(acknowledged.receipts)
            writers = [
                threading.Thread(target=publish_until_refused, args=(node, f"r{number}-{at}", acknowledged))
                for at in range(4)
            ]
            for writer in writers:
                writer.start()
            while len(acknowledged.receipts) < before + 5:
                time.sleep(0.005)
            time.sleep(chance.random() * 0.3)
            node.kill()
            for writer in writers:
                writer.join()
        acknowledged.check(home)
    assert acknowledged.receipts, f"seed {seed}"


def publish_until_refused(node: NodeProcess, prefix: str, acknowledged: Acknowledged) -> None:
    """Publish new names until the node is gone."""
    for number in range(10**9):
        try:
            if publish(node, f"{prefix}-{number}", acknowledged).status_code != 201:
                return
        except httpx.TransportError:
            return
