"""The measured part of docs/benchmarks.md and its plot, made of the results kept. The rest of the page is written."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.chart import Bar, draw
from bench.rows import HOLO, LABELS, Findings, Row
from bench.running import RESULTS, ROWS, Result, Results, read_results

_DOCS: Final = Path(__file__).parents[1] / "docs"
PAGE: Final = _DOCS / "benchmarks.md"
PLOT: Final = _DOCS / "benchmarks.svg"

_BEGIN: Final = "<!-- measured: begin; `make bench` writes what follows -->\n"
_END: Final = "<!-- measured: end -->\n"
_VERDICTS: Final = {True: "yes", False: "**no**", None: "not decided here"}
_BESIDES: Final = ("p50_ms", "p95_ms", "p99_ms", "cpu_us", "bindings_per_second", "share_percent", "min_ms", "fresh_mb")


def render(results: Path = RESULTS, page: Path = PAGE, plot: Path = PLOT) -> None:
    """Write the measured part of ``page`` and draw ``plot`` from the results kept."""
    found = read_results(results)
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{page} has no place for what was measured")
    page.write_text(before + begin + measured_part(found) + end + after, encoding="utf-8")
    plot.write_text(draw(_bars(found)), encoding="utf-8")


def measured_part(results: Results) -> str:
    """The table of all results, and of what machine they are."""
    lines = ["\n", "| row | reach | holo | beside it | ratio | reached |\n", "| --- | --- | --- | --- | --- | --- |\n"]
    for row in ROWS:
        if row.key in results:
            lines.append(_line(row, results[row.key]))
    lines.append(
        "\nMedians of the rounds, least and most in brackets; µs CPU are the server's per request or binding.\n\n"
    )
    lines += sorted({_origin(result) for result in results.values()})
    return "".join(lines) + "\n"


def _line(row: Row, result: Result) -> str:
    reach = "<br>".join(goal.text for goal in row.goals)
    title = f"{row.title} (`{row.key}`)"
    if result.failed or result.absent:
        why = f"failed: {result.failed}" if result.failed else f"not measured here: {result.absent}"
        return f"| {title} | {reach} | {why} | | | |\n"
    findings = result.findings
    others = [f"{who}: {_figures(row, findings, who)}" for who in findings.samples if who != HOLO]
    others += [f"{who}: not measured here: {why}" for who, why in findings.absent.items()]
    ratios = [
        f"{ratio:.2f}× {goal.times}"
        for goal in row.goals
        if goal.times and (ratio := _ratio(findings, goal.times, goal.figure)) is not None
    ]
    cells = [title, reach, _figures(row, findings, HOLO), "<br>".join(others), "<br>".join(ratios)]
    return f"| {' | '.join([*cells, _VERDICTS[row.reached(findings)]])} |\n"


def _figures(row: Row, findings: Findings, who: str) -> str:
    """The figure the row is about with its spread, then the others."""
    shown = [row.shown, *(goal.figure for goal in row.goals if goal.figure != row.shown)]
    figures = dict.fromkeys([*shown, *_BESIDES])
    samples = findings.samples.get(who, {})
    said = []
    for figure in figures:
        value = findings.median(who, figure)
        if value is None:
            continue
        label, unit = LABELS[figure]
        spread = f" ({_number(min(samples[figure]))}–{_number(max(samples[figure]))})" if figure == row.shown else ""
        said.append(f"{f'{label} ' if label else ''}{_number(value)}{unit}{spread}")
    return ", ".join(said)


def _number(value: float) -> str:
    """A figure with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(findings: Findings, rival: str, figure: str) -> float | None:
    ours, theirs = findings.median(HOLO, figure), findings.median(rival, figure)
    return None if ours is None or not theirs else ours / theirs


def _origin(result: Result) -> str:
    machine = result.machine
    versions = "".join(f", {name} {version}" for name, version in sorted(result.versions.items()))
    return (
        f"- {result.bindings:,} bindings, {result.rounds} rounds of {result.seconds:g} s, at commit {machine.commit}:"
        f" {machine.cores} cores of {machine.cpu}, {machine.memory_gib:g} GiB, {machine.kernel},"
        f" {machine.python}{versions}; load {machine.load:g} at the start\n"
    )


def _bars(results: Results) -> list[Bar]:
    bars = []
    for row in ROWS:
        for goal in row.goals if row.key in results else ():
            margin = goal.margin(results[row.key].findings)
            if margin is not None:
                bars.append(Bar(f"{row.key}: {goal.text}", margin))
    return bars
