"""Whole nodes in virtual time: what must hold does, a seed says all there is to a run, and no check is blind."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holo.core.cid import RAW, Cid
from holo.store.store import Store
from tests.records import kid
from tests.sim.host import Host
from tests.sim.observer import Observer, Unsafe
from tests.sim.plan import LIARS, Plan, Step, make_plan
from tests.sim.shrink import kind_of, shrink
from tests.sim.simulation import simulate

SEEDS = (2, 5, 7, 8)  # between them all there is to meet, but for what takes long
PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_must_hold_holds(seed: int) -> None:
    verdict = simulate(make_plan(seed, minutes=0.5))
    assert verdict.problem is None, "\n".join(verdict.log[-60:])
    assert verdict.commits
    assert verdict.promises


def test_a_seed_is_a_plan_and_every_kind_of_step_is_drawn() -> None:
    plans = [make_plan(seed) for seed in range(60)]
    assert make_plan(7) == plans[7]
    kinds = {step.kind for plan in plans for step in plan.steps}
    assert kinds >= {"publish", "seal", "rivals", "crash", "kill", "restart", "restore", "partition", "heal", "clock"}
    assert {liar for plan in plans for liar in plan.liars}
    for plan in plans:
        assert [step.at_s for step in plan.steps] == sorted(step.at_s for step in plan.steps)
        everybody = set(range(plan.nodes))
        reached, found = {0}, {0}
        while found:
            found = {peer for number in found for peer in plan.neighbours(number) if peer in everybody} - reached
            reached |= found
        assert reached == everybody, "honest nodes reach each other without any liar"


def test_part_of_a_plan_is_a_plan() -> None:
    plan = make_plan(3, nodes=4, liars=2)
    smaller = plan.without_last_node().without_liar(0)
    assert (smaller.nodes, len(smaller.liars), smaller.peers) == (3, 1, 4)
    assert all(step.node < 3 and step.args.get("other", 0) < 3 for step in smaller.steps)
    assert all(max(edge) < 4 for edge in smaller.edges)
    assert simulate(smaller.with_steps(smaller.steps[::3])).problem is None
    assert Plan.from_json(smaller.to_json()) == smaller


def test_a_run_is_a_function_of_its_seed_in_every_process() -> None:
    def trace(seed: int, hash_seed: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tests.sim", str(seed), "--nodes", "3", "--liars", "1", "--minutes", "0.3"],
            cwd=PROJECT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        found = re.search(r"· ([0-9a-f]{32})$", done.stdout.strip())
        assert found is not None, done.stdout
        return found[1]

    first = trace(11, "1")
    assert first == trace(11, "2")
    assert first != simulate(make_plan(12, nodes=2, minutes=0.1)).trace


# --- checks that must be able to fail


def restoring(number: int = 0) -> Plan:
    """A plan of which one restore matters and most does not."""
    trouble = [
        Step(20.0, "backup", 0),
        Step(25.0, "publish", 0, {"ns": "acme", "path": "app/dev", "who": "alice", "text": "later"}),
        Step(30.0, "restore", 0, {"down_s": 1.0, "witness": "old"}),
    ]
    plan = make_plan(number, nodes=2, minutes=0.6, liars=0)
    begin = Step(0.5, "begin", 0, {"ns": "acme"})
    work = [step for step in plan.steps if step.kind in ("publish", "propose", "pair")]
    return plan.with_steps(tuple(sorted([begin, *trouble, *work], key=lambda step: step.at_s)))


def test_an_honest_node_put_back_in_place_contradicts_itself_nowhere() -> None:
    plan = restoring()
    in_place = {"down_s": 1.0, "witness": "in place"}
    steps = [dataclasses.replace(step, args=in_place) if step.kind == "restore" else step for step in plan.steps]
    assert simulate(plan.with_steps(tuple(steps))).problem is None


def test_what_a_node_loses_is_found_and_the_plan_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    assert simulate(restoring()).problem is None
    monkeypatch.setattr(Host, "lost", lambda self, at_s: False)  # as if it had no right to
    failed = simulate(restoring())
    assert failed.problem is not None
    assert "has lost" in failed.problem
    small = shrink(failed, seconds=300)
    assert kind_of(small) == kind_of(failed)
    assert {step.kind for step in small.plan.steps} <= {"begin", "backup", "publish", "propose", "pair", "restore"}
    assert len(small.plan.steps) <= 4 < len(failed.plan.steps)
    again = simulate(small.plan)
    assert (again.problem, again.trace) == (small.problem, small.trace)


def test_a_log_that_goes_on_after_a_restore_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "_place", lambda self: 1)  # as if the copy were the original
    monkeypatch.setattr(Store, "_changed_ns", lambda self: 1)  # and nobody had touched it
    failed = simulate(restoring())
    assert failed.problem is not None
    assert "goes on with log" in failed.problem


def test_a_record_nobody_may_sign_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(0, nodes=1, liars=0, minutes=0.5)
    args: dict[str, Any] = {"ns": "acme", "path": "app/dev", "who": "alice", "text": "x"}
    steps = (Step(0.5, "begin", 0, {"ns": "acme"}), Step(5.0, "forbidden", 0, args))
    verdict = simulate(plan.with_steps(steps))
    assert (verdict.problem, verdict.refused) == (None, {"signer-not-allowed": 1})

    from tests.sim.authors import Authors

    def say_alice_may_not(self: Authors, at: Any) -> list[Any]:
        record = at.binding("alice")
        self.forbidden.add(record.statement.id)
        return [record]

    monkeypatch.setattr(Authors, "_forbidden", say_alice_may_not)
    failed = simulate(plan.with_steps(steps))
    assert failed.problem is not None
    assert "nobody may sign" in failed.problem


def test_a_state_that_does_not_follow_from_the_records_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sim.judge._bindings", lambda view, ns: iter(()))  # as if nothing had been published
    failed = simulate(restoring())
    assert failed.problem is not None
    assert "another state" in failed.problem


def lying(kind: str) -> Plan:
    """A plan in which nothing happens but lies."""
    plan = make_plan(1, nodes=3, minutes=0.2, liars=1)
    return dataclasses.replace(plan, liars=(kind,), stormy=False, steps=(Step(0.5, "begin", 0, {"ns": "acme"}),))


@pytest.mark.parametrize("kind", LIARS)
def test_no_lie_does_any_harm(kind: str) -> None:
    verdict = simulate(lying(kind))
    assert verdict.problem is None, "\n".join(verdict.log[-60:])
    assert verdict.lies >= 3


def test_a_liar_with_two_faces_that_goes_unnoticed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "exposed", lambda self: set())
    failed = simulate(lying("splitter"))
    assert failed.problem is not None
    assert "does not know of" in failed.problem


def test_evidence_against_the_honest_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "exposed", lambda self: {kid("node 0")})
    failed = simulate(lying("forger"))
    assert failed.problem is not None
    assert "evidence against node 0" in failed.problem


def test_two_receipts_in_one_place_are_found() -> None:
    observer = Observer(lambda *what: None)
    one, other = Cid.of(RAW, b"one"), Cid.of(RAW, b"other")
    known: dict[int, Cid] = {}
    observer._note(known, 3, one, "receipt 3")
    observer._note(known, 3, one, "receipt 3")
    with pytest.raises(Unsafe):
        observer._note(known, 3, other, "receipt 3")


def test_a_crash_at_any_step_of_the_store_loses_nothing() -> None:
    for point in ("begin", "before commit", "after commit", "after witness"):
        plan = make_plan(21, nodes=2, minutes=0.5, liars=0)
        work = [step for step in plan.steps if step.kind in ("begin", "publish", "pair", "burst", "amend", "seal")]
        crashes = [
            Step(at_s, "crash", at_s % 2, {"point": point, "nth": 1 + at_s % 3, "down_s": 0.5})
            for at_s in range(3, 30, 4)
        ]
        steps = tuple(sorted([*work, *crashes], key=lambda step: step.at_s))
        verdict = simulate(plan.with_steps(steps))
        assert verdict.problem is None, "\n".join(verdict.log[-40:])
        assert sum("crashed" in line for line in verdict.log) >= 3
