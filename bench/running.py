"""Running rows and keeping what they found: one result per row, in ``build/bench/results.json``."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench import committing, footprint, publishing, resolving
from bench.corpus import Corpus
from bench.installing import Absent
from bench.loading import BUILD
from bench.machine import Machine, describe_machine
from bench.rows import LABELS, Findings, Row
from bench.stage import Effort, Stage

# In this order, so that the node is seldom started again: plain, without one, and last with TLS.
ROWS: Final[tuple[Row, ...]] = tuple(
    sorted(
        (*resolving.ROWS, *publishing.ROWS, *committing.ROWS, *footprint.ROWS),
        key=lambda row: row.key in ("resolve-tls", "resolve-h2"),
    )
)

_QUIET_LOAD: Final = 0.5

RESULTS: Final = BUILD / "results.json"


class Result(msgspec.Struct, frozen=True):
    """What a row found, or why it could not be measured (``absent``), or what went wrong (``failed``)."""

    findings: Findings
    machine: Machine
    bindings: int
    rounds: int
    seconds: float
    versions: dict[str, str] = {}
    absent: str = ""
    failed: str = ""


Results = dict[str, Result]


def run_rows(rows: Sequence[Row], corpus: Corpus, effort: Effort) -> Results:
    """Run ``rows`` on one stage, each by itself: what stops one does not stop the others."""
    results: Results = {}
    machine = describe_machine()
    if machine.load > _QUIET_LOAD:
        sys.stderr.write(f"the load is {machine.load:g}: something else runs here, and takes part in every figure\n")
    with Stage.open(corpus, effort) as stage:
        for row in rows:
            began = time.monotonic()
            found, absent, failed = Findings(), "", ""
            try:
                found = row.measure(stage)
            except Absent as error:
                absent = str(error)
            except Exception as error:
                failed = f"{type(error).__name__}: {error}"
                sys.stderr.write(traceback.format_exc())
            results[row.key] = Result(
                findings=found,
                machine=machine,
                bindings=corpus.bindings,
                rounds=effort.rounds,
                seconds=effort.seconds,
                versions=dict(stage.versions),
                absent=absent,
                failed=failed,
            )
            sys.stderr.write(f"{describe(row, results[row.key])}  [{time.monotonic() - began:.0f} s]\n")
    return results


def describe(row: Row, result: Result) -> str:
    """A row's result in a line."""
    if result.failed:
        return f"{row.key}: FAILED: {result.failed}"
    if result.absent:
        return f"{row.key}: not measured here: {result.absent}"
    said = []
    for who in result.findings.samples:
        figures = [(result.findings.median(who, figure), LABELS[figure][1]) for figure in (row.shown, "cpu_us")]
        said.append(who + " " + ", ".join(f"{value:,.4g}{unit}" for value, unit in figures if value is not None))
    verdict = {True: "reached", False: "NOT reached", None: "not decided here"}[row.reached(result.findings)]
    goals = []
    for goal in row.goals:
        margin = goal.margin(result.findings)
        goals.append(f"{goal.text}: {'?' if margin is None else f'{margin:.2f} of it'}")
    absent = [f"{who}: not measured here: {why}" for who, why in result.findings.absent.items()]
    return f"{row.key}: {'; '.join(said + absent)} — {verdict} ({'; '.join(goals)})"


def read_results(path: Path = RESULTS) -> Results:
    """The results kept; none where there are none, or where an earlier version of this program kept them."""
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results)
    except msgspec.ValidationError as error:
        sys.stderr.write(f"{path} is of another version and left out: {error}\n")
        return {}


def keep_results(results: Results, path: Path = RESULTS) -> None:
    """Keep ``results`` beside those of other rows, in place of earlier ones of the same rows."""
    kept = {**read_results(path), **results}
    ordered = {row.key: kept[row.key] for row in ROWS if row.key in kept}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(ordered)))
