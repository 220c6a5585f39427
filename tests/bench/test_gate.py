"""The gate against regressions lets through what it should and holds what it must."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import gate
from bench.operations import NAMES
from bench.quantile import quantile

BASELINE = {"calibration": 1_000, "commit": 400_000, "hot read": 50_000}


def verdicts(counts: dict[str, int]) -> dict[str, str]:
    return {change.operation: change.verdict for change in gate.compare(BASELINE, counts)}


def test_a_fifth_more_instructions_is_held_and_less_is_not() -> None:
    assert verdicts({**BASELINE, "commit": 480_001}) == {"commit": "slower", "hot read": "as before"}
    assert verdicts({**BASELINE, "commit": 479_999}) == {"commit": "as before", "hot read": "as before"}
    assert verdicts({**BASELINE, "hot read": 30_000}) == {"commit": "as before", "hot read": "faster"}


def test_another_build_of_the_interpreter_is_not_taken_for_a_regression() -> None:
    slower = {name: count * 3 // 2 for name, count in BASELINE.items()}
    assert set(verdicts(slower).values()) == {"as before"}
    assert verdicts({**slower, "commit": slower["commit"] * 13 // 10})["commit"] == "slower"


def test_an_operation_without_a_baseline_is_named_and_not_judged() -> None:
    counts = {**BASELINE, "new": 7}
    changes = gate.compare(BASELINE, counts)
    assert "new" not in {change.operation for change in changes}
    assert "no baseline" in gate.report(changes, counts)


def test_a_slowdown_put_into_an_operation_is_caught() -> None:
    """The same with real work: what is counted here is the steps of the interpreter, in place of instructions."""
    before, now = {"calibration": 1_000}, {"calibration": 1_000}
    before["sum"] = steps_of(lambda: sum(number * number for number in range(2_000)))
    now["sum"] = steps_of(lambda: sum(number * number for number in range(2_500)))
    (change,) = gate.compare(before, now)
    assert change.verdict == "slower"
    assert gate.compare(before, before)[0].verdict == "as before"


def test_every_baseline_has_every_operation() -> None:
    for counts in gate._read_all().values():
        assert counts.keys() == NAMES.keys()


def test_a_baseline_is_kept_beside_those_of_other_interpreters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BASELINE", tmp_path / "baseline.json")
    assert gate.read_baseline() is None
    monkeypatch.setattr(gate, "version", lambda: "cpython-3.9")
    gate.write_baseline({"calibration": 1})
    monkeypatch.undo()
    monkeypatch.setattr(gate, "BASELINE", tmp_path / "baseline.json")
    gate.write_baseline(BASELINE)
    assert gate.read_baseline() == BASELINE
    assert gate._read_all()["cpython-3.9"] == {"calibration": 1}


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile(range(1, 101), 0.95) == 95
    assert quantile([5], 0.99) == 5
    assert quantile([], 0.5) == 0


def steps_of(run: Callable[[], object]) -> int:
    """How many lines and generator steps the interpreter takes in ``run``."""
    steps = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal steps
        steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        run()
    finally:
        sys.settrace(before)
    return steps
