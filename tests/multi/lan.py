"""Hosts on a network of their own: a network namespace for each, joined by a bridge in one more.

No namespace has a name: each lives as long as the processes in it. The one that holds it ends when the test's end of
its pipe does, and what runs on a host is killed with the test, however that ends. All of it is in a user namespace,
so nobody has to be root.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.preload import PROJECT

HTTP_PORT = 8420
LINK_PORT = 8421
_TOOLS = ("unshare", "nsenter", "setpriv", "ip")
_BRIDGE = "switch"


class Host:
    """One host: how to run something on it, where others reach it, and how the test does."""

    def __init__(self, number: int, under: Sequence[str], pid: int, doorway: Path) -> None:
        self.number = number
        self.under = under
        self.pid = pid
        self.doorway = doorway
        self.listen = f"10.73.0.{number + 1}:{LINK_PORT}"

    @property
    def port(self) -> str:
        """The end of its cable that is in the switch."""
        return f"port{self.number}"


class Lan:
    """The switch and what is plugged in."""

    def __init__(self, pid: int, hosts: Sequence[Host]) -> None:
        self._pid = pid
        self.hosts = hosts

    def unplug(self, host: Host) -> None:
        """Its link goes down, and both ends see that."""
        ip(self._pid, "link", "set", host.port, "down")

    def plug_in(self, host: Host) -> None:
        """Undo :meth:`unplug`."""
        ip(self._pid, "link", "set", host.port, "up")

    def drop(self, host: Host) -> None:
        """Whatever it sends or is sent is lost. Nothing tells: its link stays up."""
        ip(self._pid, "link", "set", host.port, "nomaster")

    def carry(self, host: Host) -> None:
        """Undo :meth:`drop`."""
        ip(self._pid, "link", "set", host.port, "master", _BRIDGE)


@contextmanager
def lan(count: int) -> Iterator[Lan]:
    """So many hosts, all of them plugged in. Skips the test where this machine has no such networks."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"networks of processes take {' and '.join(missing)} (Linux: util-linux and iproute2)")
    held: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="holo-") as folder:  # a socket's path has to be short
        try:
            held.append(switch := _hold(["unshare", "--map-root-user", "--net"], "sh", "-c", "echo ready; exec cat"))
            _make(switch.pid, "link", "add", _BRIDGE, "type", "bridge")
            _make(switch.pid, "link", "set", _BRIDGE, "up")
            hosts = []
            for number in range(count):
                doorway = Path(folder) / f"host{number}"
                inside = ("-m", "tests.multi.doorway", str(doorway), str(HTTP_PORT))
                held.append(holder := _hold([*_within(switch.pid), "unshare", "--net"], sys.executable, *inside))
                under = (*_within(holder.pid), "setpriv", "--pdeathsig=KILL")
                hosts.append(host := Host(number, under, holder.pid, doorway))
                _plug(switch.pid, host)
            yield Lan(switch.pid, hosts)
        finally:
            for process in reversed(held):
                process.communicate()  # its input ends, and so does it


def ip(pid: int, *words: str) -> None:
    """``ip`` in the network that a process is in."""
    done = subprocess.run([*_within(pid), "ip", *words], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()}"


def _make(pid: int, *words: str) -> None:
    """:func:`ip`, while the network is being made: a kernel may be without some part of it."""
    try:
        ip(pid, *words)
    except AssertionError as error:
        pytest.skip(f"networks of processes cannot be made here: {error}")


def _within(pid: int) -> tuple[str, ...]:
    return ("nsenter", f"--target={pid}", "--user", "--net", "--preserve-credentials")


def _plug(switch: int, host: Host) -> None:
    end = ["peer", "name", "cable", "netns", str(host.pid)]
    _make(switch, "link", "add", host.port, "type", "veth", *end)
    _make(switch, "link", "set", host.port, "master", _BRIDGE, "up")
    _make(host.pid, "address", "add", f"{host.listen.rpartition(':')[0]}/24", "dev", "cable")
    _make(host.pid, "link", "set", "cable", "up")
    _make(host.pid, "link", "set", "lo", "up")


def _hold(under: Sequence[str], *command: str) -> subprocess.Popen[bytes]:
    """Have a command hold a namespace until its input ends; here when it is in it."""
    process = subprocess.Popen(
        [*under, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=PROJECT
    )
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        _, said = process.communicate()
        pytest.skip(f"networks of processes cannot be made here: {' '.join(under)}: {said.decode().strip()[-500:]}")
    return process
