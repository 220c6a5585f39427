"""What a run found becomes the table of the page: goals judged, rivals beside, absences named, written text kept."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.chart import Bar, draw
from bench.machine import describe_machine
from bench.report import PAGE, measured_part, render
from bench.rows import HOLO, Findings
from bench.running import ROWS, Result, keep_results, read_results

(RESOLVE,) = (row for row in ROWS if row.key == "resolve")


def found(*per_second: float, p95_ms: float = 1.0) -> Findings:
    findings = Findings()
    for value in per_second:
        findings.add(HOLO, per_second=value, p95_ms=p95_ms, cpu_us=float("nan"))
    findings.add("nginx", per_second=60_000)
    findings.add("docker-registry", per_second=1_500)
    return findings


def result(findings: Findings, *, failed: str = "") -> Result:
    return Result(findings=findings, machine=describe_machine(), bindings=5000, rounds=1, seconds=1, failed=failed)


def test_a_row_is_reached_where_every_goal_is() -> None:
    assert RESOLVE.reached(found(31_000, 30_000, 29_000)) is True
    assert RESOLVE.reached(found(29_000)) is False
    assert RESOLVE.reached(found(40_000, p95_ms=5.5)) is False


def test_a_missing_rival_leaves_a_row_undecided_unless_another_goal_is_missed() -> None:
    findings = found(40_000)
    del findings.samples["nginx"]
    findings.absent["nginx"] = "no apt-get"
    assert RESOLVE.reached(findings) is None
    assert "nginx: not measured here: no apt-get" in measured_part({"resolve": result(findings)})
    findings.samples[HOLO]["p95_ms"] = [9.0]
    assert RESOLVE.reached(findings) is False


def test_what_is_not_a_number_was_not_measured() -> None:
    assert "cpu_us" not in found(1).samples[HOLO]


def test_a_row_that_failed_stays_in_the_table_and_says_why() -> None:
    assert "failed: RuntimeError: no" in measured_part({"resolve": result(Findings(), failed="RuntimeError: no")})


def test_rendering_replaces_what_was_measured_and_keeps_what_was_written(tmp_path: Path) -> None:
    page, plot, kept = tmp_path / "page.md", tmp_path / "plot.svg", tmp_path / "results.json"
    page.write_text(PAGE.read_text("utf-8"), "utf-8")
    keep_results({"resolve": result(found(30_000))}, kept)
    render(kept, page, plot)
    first = page.read_text("utf-8")
    keep_results({"resolve": result(found(10_000))}, kept)
    render(kept, page, plot)
    second = page.read_text("utf-8")
    assert "| yes |" in first
    assert "| **no** |" in second
    assert first.partition("## Measured")[0] == second.partition("## Measured")[0]
    assert first.partition("<!-- measured: end -->")[2] == second.partition("<!-- measured: end -->")[2]
    assert "resolve: ≥ 0.5× nginx" in plot.read_text("utf-8")


def test_results_of_other_rows_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    keep_results({"head": result(found(1))}, path)
    keep_results({"resolve": result(found(2))}, path)
    assert list(read_results(path)) == ["resolve", "head"]
    assert msgspec.json.decode(path.read_bytes())["head"]["bindings"] == 5000


def test_results_of_another_version_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"head": {"seconds": 1}}', "utf-8")
    keep_results({"resolve": result(found(2))}, path)
    assert list(read_results(path)) == ["resolve"]


def test_a_bar_ends_where_its_scale_ends() -> None:
    drawn = draw([Bar("<goal>", 1e9), Bar("missed", 0.0)])
    assert "&lt;goal&gt;" in drawn
    assert drawn.count("<rect") == 3
