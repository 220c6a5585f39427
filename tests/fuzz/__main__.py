"""Search for inputs that break what is promised: ``python -m tests.fuzz`` (``make fuzz``).

Every target has the same share of the time. What is found goes to build/fuzz/TARGET/, with the command that shows it
again; with ``--keep`` the corpora that were found are minimised into fixtures/fuzz/.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.fuzz import api, corpus
from tests.fuzz.registry import ROOMS, TARGETS
from tests.fuzz.target import Target, accepts

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "build" / "fuzz"
API: Final = "api"
INPUT_SECONDS: Final = 10  # an input that takes so long is a finding
MEMORY_MB: Final = 1024  # and so is one that makes the process take so much
KEPT_INPUTS: Final = 40
KEPT_BYTES: Final = 2_000  # of a target's corpus; findings are kept whatever their size

_PROGRESS: Final = re.compile(r"INFO|WARNING|#\d|stat::|Dictionary|Slowest")  # what libFuzzer tells as it goes


def main() -> int:
    """Search, or replay; the exit status is 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--target", choices=[*TARGETS, API, ""], default="", help="only this one")
    parser.add_argument("--keep", action="store_true", help="minimise what was found into fixtures/fuzz/")
    parser.add_argument("--replay", metavar="FILE", type=Path, help="only run TARGET on this input")
    given = parser.parse_args()
    if given.replay:
        print("accepted" if accepts(TARGETS[given.target], given.replay.read_bytes()) else "refused")
        return 0
    names = [given.target] if given.target else [*TARGETS, API]
    if importlib.util.find_spec("atheris") is None:
        print("atheris, which guides the search, has wheels for Linux on x86-64 only: left out")
        names = [name for name in names if name == API]
    failed = [name for name in names if not _searched(name, given.seconds / len(names), keep=given.keep)]
    print(f"{len(names)} targets, found something in: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _searched(name: str, seconds: float, *, keep: bool) -> bool:
    """Search one target; whether nothing was found."""
    if name == API:
        return api.search(seconds, BUILD / API)
    target, folder = TARGETS[name], BUILD / name
    for part in ("corpus", "seeds", "found"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    _write_seeds(target, folder)
    status, log = _libfuzzer(
        target, folder, [f"-max_total_time={max(1, round(seconds))}", str(folder / "corpus"), str(folder / "seeds")]
    )
    print(f"{name:16} {_summary(log)}", flush=True)
    if status:
        print("\n".join(line for line in log.splitlines() if not _PROGRESS.match(line)))
        for found in sorted((folder / "found").iterdir()):
            print(f"again: make fuzz TARGET={name} ARGS='--replay {found.relative_to(ROOT)}'")
        return False
    if keep:
        _keep(target, folder)
    return True


def _write_seeds(target: Target, folder: Path) -> None:
    kept = corpus.read(target.name)
    for number, data in enumerate([*target.seeds(), *kept.inputs, *kept.findings.values()]):
        (folder / "seeds" / f"{number:04}").write_bytes(data)
    known = ["".join(f"\\x{byte:02x}" for byte in text) for text in target.known]
    (folder / "known").write_text("".join(f'"{text}"\n' for text in known))


def _libfuzzer(target: Target, folder: Path, options: list[str]) -> tuple[int, str]:
    """(exit status, log) of a search or of what else the options say."""
    shutil.rmtree(folder / "found")
    (folder / "found").mkdir()
    command = [sys.executable, "-m", "tests.fuzz.search", ROOMS[target.name], target.name]
    bounds = [
        f"-max_len={target.limit_bytes}",
        f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={folder}/found/",
        "-print_final_stats=1",
        *([f"-dict={folder}/known"] if target.known else []),
    ]
    done = subprocess.run([*command, *bounds, *options], cwd=ROOT, capture_output=True, text=True, errors="replace")
    (folder / "log").write_text(done.stderr)
    return done.returncode, done.stdout + done.stderr


def _summary(log: str) -> str:
    """What libFuzzer did, from the last lines of its log."""
    cover = [line for line in log.splitlines() if "cov:" in line]
    runs = [line.split()[-1] for line in log.splitlines() if line.startswith("stat::number_of_executed_units")]
    reached = cover[-1].partition("cov:")[2].partition(" exec")[0] if cover else "nothing"
    return f"{runs[-1] if runs else '?'} runs, reached {reached.strip()}"


def _keep(target: Target, folder: Path) -> None:
    """Of what was found by all searches, keep what the seeds do not reach, as few and short as libFuzzer can choose."""
    chosen = folder / "chosen"
    shutil.rmtree(chosen, ignore_errors=True)
    chosen.mkdir()
    for number, data in enumerate(target.seeds()):
        (chosen / f"seed-{number:04}").write_bytes(data)
    before = {path.name for path in chosen.iterdir()}
    _libfuzzer(target, folder, ["-merge=1", str(chosen), str(folder / "corpus"), str(folder / "seeds")])
    kept = corpus.read(target.name)
    room = KEPT_BYTES
    kept.inputs = []
    for data in corpus.in_order(path.read_bytes() for path in chosen.iterdir() if path.name not in before):
        room -= len(data)
        if room < 0 or len(kept.inputs) == KEPT_INPUTS:
            break
        kept.inputs.append(data)
    corpus.write(target.name, kept)


if __name__ == "__main__":
    sys.exit(main())
