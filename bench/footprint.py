"""Rows about what a node and the command cost before anybody asks anything: memory, start, a verb."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.installing import Absent
from bench.node import HOLO as COMMAND
from bench.publishing import publish_round, publish_together
from bench.resolving import resolve_many, resolve_plain, resolve_receipt
from bench.rows import HOLO, Findings, Goal, Row
from bench.stage import QUICK, SMOKE, Stage

_STARTS: Final = 3
_VERBS: Final = 7


def memory(stage: Stage) -> Findings:
    """Anonymous memory of a node that was just started, and after each kind of work was done."""
    findings = Findings()
    effort = stage.effort
    stage.leave_node()
    node = stage.node()
    most = fresh = node.process.anonymous_bytes()
    stage.effort = SMOKE if effort == SMOKE else QUICK
    try:
        for work in (resolve_plain, resolve_receipt, resolve_many, publish_together, _publish):
            try:
                work(stage)
            except Absent as error:
                findings.absent[work.__name__] = str(error)
            most = max(most, node.process.anonymous_bytes())
    finally:
        stage.effort = effort
    findings.add(HOLO, anonymous_mb=most / 1e6, fresh_mb=fresh / 1e6)
    return findings


def _publish(stage: Stage) -> Findings:
    findings = Findings()
    publish_round(stage, findings)
    return findings


def start(stage: Stage) -> Findings:
    """From the start of the process to the line that says it is ready."""
    findings = Findings()
    stage.node()  # the first start on a copied home opens a new log
    for _ in range(_STARTS * stage.effort.rounds):
        stage.leave_node()
        findings.add(HOLO, ready_s=stage.node().ready_s)
    return findings


def help_verb(stage: Stage) -> Findings:
    """``holo --help``, beside an interpreter that does nothing."""
    return _time_verb(stage, ["--help"])


def resolve_verb(stage: Stage) -> Findings:
    """``holo resolve`` of a name against a running node, beside an interpreter that does nothing."""
    return _time_verb(stage, ["--home", stage.home.path, "--node", stage.node().url, "resolve", stage.corpus.name(1)])


def _time_verb(stage: Stage, args: Sequence[str | Path]) -> Findings:
    findings = Findings()
    for _ in range(stage.effort.rounds):
        for who, called in ((HOLO, [COMMAND, *args]), ("python -c pass", [sys.executable, "-c", "pass"])):
            spent_ms = [_spent_ms(called) for _ in range(_VERBS)]
            findings.add(who, spent_ms=statistics.median(spent_ms), min_ms=min(spent_ms))
    return findings


def _spent_ms(args: Sequence[str | Path]) -> float:
    began = time.perf_counter()
    subprocess.run(args, check=True, capture_output=True, timeout=60)
    return (time.perf_counter() - began) * 1000


ROWS: Final = (
    Row("memory", "anonymous memory of the node", "anonymous_mb", (Goal("anonymous_mb", below=400),), memory),
    Row("start", "ready after the start", "ready_s", (Goal("ready_s", below=2),), start),
    Row("help", "holo --help", "spent_ms", (Goal("spent_ms", below=200),), help_verb),
    Row("verb", "holo resolve, against a node", "spent_ms", (Goal("spent_ms", below=350),), resolve_verb),
)
