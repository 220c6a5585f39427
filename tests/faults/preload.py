"""Builds the library that stands between a child process and its C library, and runs children behind it.

The failures are real to the process that meets them: LMDB, Python and everything in between see what a full or broken
disk answers. Nothing in holo knows of it.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("preload.c")
PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Fault:
    """Calls named ``call``, or of that kind (pwrite, sync, send, read), on paths that contain ``path`` fail.

    They do so with ``errno`` from the ``at``-th on, ``count`` times (0: for ever). ``short_bytes`` of each failing
    write still reach the file.
    """

    call: str
    path: str
    at: int = 1
    count: int = 1
    errno: int = errno.EIO
    short_bytes: int = 0

    def environ(self) -> dict[str, str]:
        """The variables that tell the library."""
        return {
            "FAULT_CALL": self.call,
            "FAULT_PATH": self.path,
            "FAULT_AT": str(self.at),
            "FAULT_COUNT": str(self.count),
            "FAULT_ERRNO": str(self.errno),
            "FAULT_SHORT": str(self.short_bytes),
        }


def build(folder: Path) -> Path:
    """Compile the library into ``folder``; skips the test where that cannot be done."""
    if not sys.platform.startswith("linux"):
        pytest.skip("faults are injected with LD_PRELOAD, which is Linux's")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler to build the fault injection with")
    library = folder / "preload.so"
    flags = ("-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    subprocess.run([compiler, *flags, "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


class WallClock:
    """The wall clock of children that run behind the library: off by as many seconds as it was last set to."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set(0)

    def set(self, offset_s: int) -> None:
        """Let it jump, for those who run too."""
        with open(os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:  # in place: it is mapped
            file.write(struct.pack("=q", offset_s))


def environ(
    library: Path, fault: Fault | None = None, trace: Path | None = None, clock: WallClock | None = None
) -> dict[str, str]:
    """The environment of a child that runs behind ``library``, for callers that start it themselves."""
    others = os.environ.get("LD_PRELOAD")
    variables = {**os.environ, "LD_PRELOAD": f"{library}:{others}" if others else str(library)}
    variables.update(fault.environ() if fault else {})
    variables.update({"TRACE_FILE": str(trace)} if trace else {})
    variables.update({"CLOCK_FILE": str(clock.file)} if clock else {})
    return variables


def run_module(
    module: str, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module arguments`` from the project's folder to its end, at most a minute."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
