"""A running node whose surroundings fail: its disk fills, its descriptors run out, its clock jumps, it is stopped."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from holo.core.bundle import verify_bundle
from holo.core.head import Anchors
from holo.core.keys import parse_did
from holo.core.limits import BUNDLE_BYTES
from holo.http.base64url import decode_base64url
from tests.cli.runner import process, said
from tests.faults import preload
from tests.faults.disk import Disk, mounted
from tests.faults.preload import Fault, WallClock
from tests.faults.process import NodeProcess
from tests.faults.scene import Acknowledged, begin_namespace, publish

MIB = 1 << 20
SOON = "roles.registry.head_interval_ms=20"
LIMITED = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="another process's limits are Linux's to change")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Return a file system of 24 MiB."""
    with mounted(tmp_path / "disk", 24 * MIB) as found:
        yield found


@pytest.mark.parametrize("reserve_bytes", [4 * MIB, 0])
def test_on_a_full_disk_reads_go_on_and_writes_come_back_by_themselves(disk: Disk, reserve_bytes: int) -> None:
    home, acknowledged = disk.path / "home", Acknowledged()
    with NodeProcess(home, settings=(SOON, f"store.free_reserve_bytes={reserve_bytes}")) as node:
        begin_namespace(node)
        assert publish(node, "before", acknowledged).status_code == 201
        assert node.http.get("/readyz").status_code == 200
        disk.fill()
        refused = publish_until(node, "full", acknowledged, 507)
        assert (refused.json()["code"], "retry-after" in refused.headers) == ("no-space", True)
        assert resolved(node, "before")
        assert node.http.get("/healthz").status_code == 200
        assert node.http.get("/readyz").status_code == (507 if reserve_bytes else 200)
        assert node.http.get("/v1/catalogs/current").status_code == 200
        # what a proven key is refused cannot be logged now, and is refused all the same
        assert publish(node, "before", Acknowledged()).status_code in (200, 201, 507)
        disk.clear()
        assert publish(node, "after", acknowledged).status_code == 201
        assert node.http.get("/readyz").status_code == 200
        eventually(lambda: covered(node), "a head over what was admitted")
        assert node.stop() == 0
    acknowledged.check(home)


def test_a_node_that_stops_on_a_full_disk_starts_again_once_there_is_room(disk: Disk) -> None:
    home, acknowledged = disk.path / "home", Acknowledged()
    settings = (SOON, f"store.free_reserve_bytes={4 * MIB}")
    with NodeProcess(home, settings=settings) as node:
        begin_namespace(node)
        assert publish(node, "before", acknowledged).status_code == 201
        disk.fill()
        assert publish(node, "full", acknowledged).status_code == 507
        assert node.stop() == 0
    disk.clear()
    with NodeProcess(home, settings=settings) as node:
        assert resolved(node, "before")
        assert publish(node, "after", acknowledged).status_code == 201
        assert node.stop() == 0
    acknowledged.check(home)


@LIMITED
def test_without_descriptors_it_waits_and_takes_connections_again(tmp_path: Path) -> None:
    home, acknowledged = tmp_path / "home", Acknowledged()
    with NodeProcess(home, settings=(SOON,)) as node, contextlib.ExitStack() as clients:
        begin_namespace(node)
        assert publish(node, "before", acknowledged).status_code == 201  # this connection stays
        hard = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)[1]
        limit = descriptors(node) + 8
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (limit, hard))
        for _ in range(40):
            clients.enter_context(connected(node))
        eventually(lambda: "Too many open files" in node.log.read_text(), "end of its descriptors")
        before = cpu_s(node)
        for number in range(8):  # who asks is served, who is silent makes room
            assert publish(node, f"starved{number}", acknowledged).status_code == 201
            assert resolved(node, "before")
        time.sleep(1)  # what is measured is a second of waiting
        assert cpu_s(node) - before < 0.8, "a listener that cannot accept must not spin"
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
        for _ in range(40):
            assert answer_to(clients.enter_context(connected(node))).startswith(b"HTTP/1.1 200")
        assert node.stop() == 0
    acknowledged.check(home)


@LIMITED
def test_it_takes_no_more_connections_than_it_has_descriptors_for(tmp_path: Path) -> None:
    home = tmp_path / "home"
    few = ("sh", "-c", 'ulimit -S -n 40; ulimit -H -n 96; exec "$@"', "sh")
    with NodeProcess(home, settings=(SOON,), under=few) as node, contextlib.ExitStack() as clients:
        found = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
        assert found == (96, 96), "the soft limit was raised"
        for _ in range(200):  # each of the later ones has an idle one end
            assert answer_to(clients.enter_context(connected(node))).startswith(b"HTTP/1.1 200")
        assert node.stop() == 0
    log = node.log.read_text()
    assert "fewer connections than the profile allows" in log
    assert "Too many open files" not in log


def test_a_clock_that_jumps_changes_what_is_stamped_and_nothing_else(tmp_path: Path, preload_library: Path) -> None:
    home, acknowledged, clock = tmp_path / "home", Acknowledged(), WallClock(tmp_path / "clock")
    heads, stamps = [], []
    with NodeProcess(home, environ=preload.environ(preload_library, clock=clock), settings=(SOON,)) as node:
        begin_namespace(node)
        for number, offset_s in enumerate([0, 10 * 365 * 86400, -20 * 365 * 86400, 3600, -3600, 0]):
            clock.set(offset_s)
            assert publish(node, f"n{number}", acknowledged).status_code == 201
            eventually(lambda: covered(node), "a head after the jump")
            head = node.http.get("/v1/catalogs/current").json()
            heads.append(head["seq"])
            stamps.append(head["at_ms"] / 1000 - time.time() - offset_s)
            assert resolved(node, f"n{number}")
            assert proved(node, f"n{number}") == "ok"
        assert heads == sorted(set(heads)), "no seq is used twice, and none goes back"
        assert max(abs(stamp) for stamp in stamps) < 60, "the node says what its clock says"
        assert node.http.get("/readyz").status_code == 200
        assert node.stop() == 0
    acknowledged.check(home)
    with NodeProcess(home) as node:  # whose clock is right again
        assert publish(node, "after", acknowledged).status_code == 201
        assert node.stop() == 0
    acknowledged.check(home)


def test_a_home_that_cannot_be_written_is_read(disk: Disk) -> None:
    home = disk.path / "home"
    with NodeProcess(home, settings=(SOON,)) as node:
        begin_namespace(node)
        publish(node, "before", Acknowledged())
        eventually(lambda: covered(node), "a head")
        node.kill()  # its address is still there
    disk.remount("ro")
    try:
        for words in (
            "resolve acme/before:stable",
            "why acme/before:stable",
            "history acme/before:stable",
            "status",
            "catalog show",
            "receipts list",
        ):
            assert said(home, *words.split())
        found = said(home, "doctor", "--fsck")
        warned = [item["detail"] for item in found["items"] if (item["verdict"], item["check"]) == ("warn", "home")]
        assert warned == [f"{home} cannot be written: only what reads works on it"]
        for words in ("node --http 127.0.0.1:0 --peers 127.0.0.1:0", "keys new alice", f"put {__file__}"):
            refused = process("--home", home, "--json", *words.split())
            assert (refused.code, refused.json["code"]) == (4, "file-denied")
            assert "Read-only file system" in refused.json["detail"]
    finally:
        disk.remount("rw")
    with NodeProcess(home, settings=(SOON,)) as node:
        assert resolved(node, "before")


def test_a_disk_that_turns_read_only_under_a_node_ends_it_and_loses_nothing(
    tmp_path: Path, preload_library: Path
) -> None:
    """As the system does to a disk that reports errors."""
    home, acknowledged = tmp_path / "home", Acknowledged()
    with NodeProcess(home, settings=(SOON,)) as node:
        begin_namespace(node)
        assert publish(node, "before", acknowledged).status_code == 201
        assert node.stop() == 0
    fault = Fault("pwrite", "data.mdb", at=24, count=0, errno=errno.EROFS)  # what opening writes goes through
    quiet = ("roles.registry.head_interval_ms=3600000", "roles.registry.head_changes=1000000")
    with NodeProcess(home, environ=preload.environ(preload_library, fault), settings=quiet) as node:
        assert resolved(node, "before")
        with contextlib.suppress(httpx.TransportError):
            while publish(node, f"n{len(acknowledged.receipts)}", acknowledged).status_code == 201:
                pass
        assert node.wait() == 70
        assert "store-failed" in node.log.read_text()
    acknowledged.check(home)


def test_a_node_that_is_stopped_and_continued_goes_on(tmp_path: Path) -> None:
    home, acknowledged = tmp_path / "home", Acknowledged()
    with NodeProcess(home, settings=(SOON,)) as node, contextlib.ExitStack() as clients:
        begin_namespace(node)
        assert publish(node, "before", acknowledged).status_code == 201
        asking = [clients.enter_context(connected(node)) for _ in range(8)]
        node.process.send_signal(signal.SIGSTOP)
        for client in asking[:4]:
            ask(client)
        late = [clients.enter_context(connected(node)) for _ in range(4)]  # the system takes them
        time.sleep(1.5)
        node.process.send_signal(signal.SIGCONT)
        for client in asking[:4]:
            assert read_head(client).startswith(b"HTTP/1.1 200")
        for client in (*asking[4:], *late):
            assert answer_to(client).startswith(b"HTTP/1.1 200")
        assert publish(node, "after", acknowledged).status_code == 201
        eventually(lambda: covered(node), "a head")
        assert node.stop() == 0
    acknowledged.check(home)


# --- what a test sees of a node


def resolved(node: NodeProcess, handle: str) -> bool:
    """Whether the node answers what ``handle`` stands for."""
    answer = node.http.get("/v1/resolve", params={"handle": f"acme/{handle}:stable"})
    return answer.status_code == 200 and answer.json()["outcome"] == "resolved"


def proved(node: NodeProcess, handle: str) -> str:
    """What a stranger who trusts the node makes of its signed answer."""
    answer = node.http.get("/v1/resolve", params={"handle": f"acme/{handle}:stable", "receipt": "1"}).json()
    signer = parse_did(node.http.get("/v1/node").json()["node"])
    bundle = decode_base64url(answer["bundle"], BUNDLE_BYTES, at="bundle")
    return verify_bundle(bundle, Anchors(nodes=frozenset({signer}))).result


def covered(node: NodeProcess) -> bool:
    """Whether a head covers all the node has taken in."""
    log_size: int = node.http.get("/v1/node").json()["log_size"]
    return bool(node.http.get("/v1/catalogs/current").json()["log_size"] == log_size)


def publish_until(node: NodeProcess, prefix: str, acknowledged: Acknowledged, status: int) -> httpx.Response:
    """Publish new names until one is answered with ``status``: how many fit is the disk's to say."""
    for number in range(10_000):
        answer = publish(node, f"{prefix}{number}", acknowledged)
        if answer.status_code == status:
            return answer
        assert answer.status_code == 201, answer.text
    raise AssertionError(f"nothing was answered with {status}")


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait for what comes by itself; half a minute is never."""
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until, f"no {what}"
        time.sleep(0.01)


def descriptors(node: NodeProcess) -> int:
    """How many the node has open."""
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


def cpu_s(node: NodeProcess) -> float:
    """Processor time the node has used."""
    fields = Path(f"/proc/{node.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connected(node: NodeProcess) -> socket.socket:
    """A client of its own, which has asked nothing yet."""
    url = httpx.URL(node.url)
    return socket.create_connection((url.host, url.port or 0), timeout=30)


def ask(client: socket.socket) -> None:
    """Ask for something small."""
    client.sendall(b"GET /v1/node HTTP/1.1\r\nHost: localhost\r\n\r\n")


def read_head(client: socket.socket) -> bytes:
    """The beginning of an answer."""
    return client.recv(65536)


def answer_to(client: socket.socket) -> bytes:
    """The beginning of the answer to something small."""
    ask(client)
    return read_head(client)
