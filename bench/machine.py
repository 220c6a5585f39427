"""The machine a run is of: figures without it mean nothing."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, frozen=True):
    """What a reader has to know to compare."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    commit: str
    load: float
    """How many processes wanted to run when the run began, this one aside; more than half a core spoils the figures."""


def describe_machine() -> Machine:
    """This machine, this interpreter, this checkout."""
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        commit=_commit(),
        load=round(os.getloadavg()[0], 1),
    )


def _cpu() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return re.sub(r"\s+", " ", found[1]) if found else platform.processor() or platform.machine()


def _commit() -> str:
    """The commit of the checkout, with a plus where files were changed since."""
    root = Path(__file__).parents[1]

    def git(*args: str) -> str:
        done = subprocess.run(["git", "-C", root, *args], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "holo") else "")
