"""The gate against regressions: instructions of each operation, compared with those of the baseline.

Instructions do not depend on how busy a machine is, so a tolerance that a clock could never keep can be kept. What
they do depend on is the interpreter: each version has a baseline of its own, and where another build of the same
version needs more or fewer instructions for the calibration, everything is scaled by that.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bench.installing import find_tool
from bench.loading import BUILD, load
from bench.node import copy_home
from bench.operations import CORPUS, NAMES

BASELINE: Final = Path(__file__).with_name("baseline.json")
TOLERANCE: Final = 0.20

_CALIBRATION: Final = "calibration"
_MINUTES: Final = 10

Counts = dict[str, int]
"""Operation → instructions each."""


@dataclass(frozen=True, slots=True)
class Change:
    """An operation beside its baseline. ``ratio`` is how many times the instructions of the baseline it takes."""

    operation: str
    before: int
    now: int
    ratio: float

    @property
    def verdict(self) -> str:
        """What is to be thought of it."""
        if self.ratio > 1 + TOLERANCE:
            return "slower"
        return "faster" if self.ratio < 1 - TOLERANCE else "as before"


def compare(baseline: Mapping[str, int], counts: Mapping[str, int]) -> list[Change]:
    """Each operation of ``counts`` that has a baseline, scaled by what the interpreter itself takes."""
    scale = counts[_CALIBRATION] / baseline[_CALIBRATION]
    return [
        Change(name, baseline[name], now, now / (baseline[name] * scale))
        for name, now in counts.items()
        if name in baseline and name != _CALIBRATION
    ]


def report(changes: Sequence[Change], counts: Mapping[str, int]) -> str:
    """What the gate says: a line for each operation."""
    beside = {change.operation: change for change in changes}
    lines = []
    for name, now in counts.items():
        change = beside.get(name)
        than = f"{change.ratio:6.2f}× {change.before:,} ({change.verdict})" if change is not None else "no baseline"
        lines.append(f"{name:30} {now:12,} instructions   {'calibration' if name == _CALIBRATION else than}\n")
    return "".join(lines)


def count_instructions() -> Counts:
    """Instructions of each operation, counted now. Raises :class:`~bench.installing.Absent` without valgrind."""
    tool = find_tool("valgrind")
    home = load(CORPUS)
    with tempfile.TemporaryDirectory(prefix="gate-", dir=BUILD) as name:
        folder = Path(name)
        copy = copy_home(home, folder / "home")
        done = subprocess.run(
            [
                *(tool.path, "--tool=callgrind", f"--callgrind-out-file={folder}/out"),
                *("--dump-before=getpriority", "--instr-atstart=yes"),
                *(sys.executable, "-m", "bench.operations", copy.path),
            ],
            cwd=Path(__file__).parents[1],
            env={**tool.env, "PYTHONHASHSEED": "0", "HOME": str(folder), "PATH": os.environ.get("PATH", os.defpath)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60 * _MINUTES,
        )
        if done.returncode:
            raise RuntimeError(f"the operations ended with {done.returncode}: {done.stderr[-3000:]}")
        return _read_accounts(folder)


def version() -> str:
    """The interpreter a baseline belongs to."""
    return f"{sys.implementation.name}-{sys.version_info.major}.{sys.version_info.minor}"


def read_baseline() -> Counts | None:
    """The baseline of this interpreter's version, or None."""
    return _read_all().get(version())


def write_baseline(counts: Counts) -> None:
    """Make ``counts`` the baseline of this interpreter's version."""
    every = {**_read_all(), version(): counts}
    BASELINE.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(every.items())))) + b"\n")


def _read_all() -> dict[str, Counts]:
    return msgspec.json.decode(BASELINE.read_bytes(), type=dict[str, Counts]) if BASELINE.exists() else {}


def _read_accounts(folder: Path) -> Counts:
    """The accounts between the marks: each second dump is an operation, the others are what is between two."""
    dumps = sorted(folder.glob("out.*"), key=lambda path: int(path.suffix[1:]))
    totals = [_total(path) for path in dumps]
    if len(totals) != 2 * len(NAMES):
        raise RuntimeError(f"{len(totals)} accounts where {2 * len(NAMES)} were expected")
    return {name: totals[2 * index + 1] // times for index, (name, times) in enumerate(NAMES.items())}


def _total(path: Path) -> int:
    found = re.search(r"^(?:totals|summary): (\d+)$", path.read_text(), re.MULTILINE)
    assert found is not None, f"{path} has no total"
    return int(found[1])
