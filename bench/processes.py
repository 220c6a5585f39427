"""Servers under measurement: started, waited for, watched through /proc, stopped."""

from __future__ import annotations

import math
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

_STOP_S: Final = 30.0
_PROC: Final = Path("/proc")


class Process:
    """A running server. What it says goes to ``log``; its first lines of output can be awaited with :meth:`line`."""

    def __init__(self, args: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
        self._log = log
        with log.open("ab") as stderr:
            self._popen = subprocess.Popen(
                [str(item) for item in args],
                env=None if env is None else dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        self.pid = self._popen.pid

    def line(self) -> str:
        """The next line it prints. Raises :class:`RuntimeError` where it ends instead."""
        out = self._popen.stdout
        assert out is not None
        said = _read_line(out)
        if not said:
            raise RuntimeError(f"{self._popen.args!r} ended with {self._popen.wait()}: {self._log.read_text()[-2000:]}")
        return said

    def wait_until(self, answers: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until ``answers`` says it does. Raises :class:`RuntimeError` where the process ends before, or late."""
        deadline = time.monotonic() + seconds
        while not answers():
            if self._popen.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._popen.args!r} does not answer: {self._log.read_text()[-2000:]}")
            time.sleep(0.01)

    def cpu_s(self) -> float:
        """Seconds of CPU it has used, its children included; not a number on a machine without /proc."""
        return sum(_cpu_s(pid) for pid in _family(self.pid))

    def anonymous_bytes(self) -> float:
        """Memory that is its own and not a file's: RssAnon; not a number on a machine without /proc."""
        return self._status("RssAnon") * 1024

    def threads(self) -> int:
        """How many threads it has; 0 on a machine without /proc."""
        found = self._status("Threads")
        return 0 if math.isnan(found) else int(found)

    def descriptors(self) -> int:
        """How many files and sockets it has open; 0 on a machine without /proc."""
        folder = _PROC / str(self.pid) / "fd"
        return len(list(folder.iterdir())) if folder.is_dir() else 0

    def _status(self, field: str) -> float:
        try:
            status = (_PROC / str(self.pid) / "status").read_text()
        except OSError:
            return math.nan
        found = re.search(rf"^{field}:\s+(\d+)", status, re.MULTILINE)
        return int(found[1]) if found else math.nan

    def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL where that does not help."""
        self._popen.terminate()
        try:
            self._popen.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()


def free_port() -> int:
    """A TCP port of the loopback that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Whether something listens on this port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _read_line(out: IO[bytes]) -> str:
    return out.readline().decode()


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = (_PROC / str(pid) / "task" / str(pid) / "children").read_text()
    except OSError:
        return
    for child in children.split():
        yield from _family(int(child))


def _cpu_s(pid: int) -> float:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return math.nan
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
