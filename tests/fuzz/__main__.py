"""Search for inputs that break what is promised: ``python -m tests.fuzz`` (``make fuzz``).

Every target has the same share of the time. What is found goes to build/fuzz/TARGET/, with the command that shows it
again; with ``--keep`` the few inputs worth it go to fixtures/fuzz/.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import structlog

from tests.fuzz import api, corpus
from tests.fuzz.choosing import choose
from tests.fuzz.registry import ROOMS, TARGETS
from tests.fuzz.target import Target, accepts

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "build" / "fuzz"
API: Final = "api"
INPUT_SECONDS: Final = 10  # an input that takes so long is a finding
MEMORY_MB: Final = 1024  # and so is one that makes the process take so much
KEPT_INPUTS: Final = 40
KEPT_BYTES: Final = 2_000  # of a target's inputs, more for large ones; findings are kept whatever their size

_PROGRESS: Final = re.compile(r"INFO|WARNING|#\d|stat::|Dictionary|Slowest")  # what libFuzzer tells as it goes


def main() -> int:
    """Search, or replay; the exit status is 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--target", choices=[*TARGETS, API, ""], default="", help="only this one")
    parser.add_argument("--keep", action="store_true", help="put what is worth keeping into fixtures/fuzz/")
    parser.add_argument("--replay", metavar="FILE", type=Path, help="only run TARGET on this input")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if given.replay:
        print("accepted" if accepts(TARGETS[given.target], given.replay.read_bytes()) else "refused")
        return 0
    names = [given.target] if given.target else [*TARGETS, API]
    if importlib.util.find_spec("atheris") is None:
        print("atheris, which guides the search, has wheels for Linux on x86-64 only: left out")
        names = [name for name in names if name == API]
    seconds = given.seconds / max(1, len(names))
    failed = [name for room in dict.fromkeys(ROOMS.values()) for name in _searched(room, names, seconds)]
    if API in names and not api.search(seconds, BUILD / API):
        failed.append(API)
    if given.keep:
        for name in names:
            if name in TARGETS and name not in failed:
                _keep(TARGETS[name])
    print(f"{len(names)} targets, found something in: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _searched(room: str, names: list[str], seconds: float) -> list[str]:
    """Search the targets of one room; the names of those in which something was found."""
    targets = [TARGETS[name] for name in names if ROOMS.get(name) == room]
    if not targets:
        return []
    jobs = "".join(json.dumps(_job(target, seconds)) + "\n" for target in targets)
    failed = []
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.search", room],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(jobs)
        process.stdin.close()
        ended = 0
        for line in process.stdout:
            if line.startswith("["):
                name, status = json.loads(line)
                ended += 1
                failed += [name] if _reported(name, status) else []
    assert ended == len(targets), f"searches of {room} did not all end; python -m tests.fuzz.search {room} says why"
    return failed


def _job(target: Target, seconds: float) -> dict[str, Any]:
    """What one search is to do. Makes its folders: seeds, the corpus of all searches so far, and what is found now."""
    folder = BUILD / target.name
    for part in ("corpus", "seeds", "found"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for path in (folder / "found").iterdir():
        path.unlink()
    kept = corpus.read(target.name)
    for number, data in enumerate([*target.seeds(), *kept.inputs, *kept.findings.values()]):
        (folder / "seeds" / f"{number:04}").write_bytes(data)
    known = ["".join(f"\\x{byte:02x}" for byte in text) for text in target.known]
    (folder / "known").write_text("".join(f'"{text}"\n' for text in known))
    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-max_len={target.limit_bytes}",
        f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={folder}/found/",
        "-print_final_stats=1",
        *([f"-dict={folder}/known"] if known else []),
        str(folder / "corpus"),
        str(folder / "seeds"),
    ]
    return {"target": target.name, "options": options, "log": str(folder / "log")}


def _reported(name: str, status: int) -> bool:
    """Print what became of one search; whether it found something."""
    log = (BUILD / name / "log").read_text("utf-8", "replace").splitlines()
    cover = [line.partition("cov:")[2].partition(" exec")[0] for line in log if "cov:" in line]
    runs = [line.split()[-1] for line in log if line.startswith("stat::number_of_executed_units")]
    print(f"{name:16} {runs[-1] if runs else '?'} runs, reached{cover[-1] if cover else ' nothing'}", flush=True)
    if status:
        print("\n".join(line for line in log if not _PROGRESS.match(line)))
        for found in sorted((BUILD / name / "found").iterdir()):
            print(f"again: make fuzz TARGET={name} ARGS='--replay {found.relative_to(ROOT)}'")
    return status != 0


def _keep(target: Target) -> None:
    """Choose among all that searches have found so far."""
    kept = corpus.read(target.name)
    found = [*kept.inputs, *(path.read_bytes() for path in (BUILD / target.name / "corpus").iterdir())]
    known = [*target.seeds(), *kept.findings.values()]
    room_bytes = max(KEPT_BYTES, target.limit_bytes // 4)
    kept.inputs = choose(target, known, found, KEPT_INPUTS, room_bytes)
    if kept.inputs or kept.findings:
        corpus.write(target.name, kept)


if __name__ == "__main__":
    sys.exit(main())
