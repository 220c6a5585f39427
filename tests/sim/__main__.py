"""`python -m tests.sim SEED`: one run, or with `--seconds` as many as there is time for. Exits 1 where one fails."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import structlog

from tests.sim.plan import Plan, make_plan
from tests.sim.shrink import shrink
from tests.sim.simulation import Verdict, simulate


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="the run to make; a fresh one without")
    parser.add_argument("--nodes", type=int, help="how many honest nodes")
    parser.add_argument("--liars", type=int, help="how many lying peers")
    parser.add_argument("--minutes", type=float, default=2.0, help="of virtual time until everything heals")
    parser.add_argument("--seconds", type=float, help="go on with other seeds for so long")
    parser.add_argument("--verbose", action="store_true", help="say what happens")
    parser.add_argument(
        "--shrink", type=float, default=60.0, metavar="SECONDS", help="look so long for a smaller failure"
    )
    parser.add_argument("--plan", type=Path, help="a plan that was made smaller, in place of a seed")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("debug" if options.verbose else "error"))
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    until = time.monotonic() + (options.seconds or 0.0)
    runs = delivered = 0
    while True:
        if options.plan is None:
            plan = make_plan(seed, options.nodes, options.minutes, options.liars)
        else:
            plan = Plan.from_json(options.plan.read_text())
        verdict = simulate(plan, verbose=options.verbose)
        runs += 1
        if verdict.problem is not None:
            if options.plan is None:
                report(verdict, options.shrink)
            else:
                print("\n".join([line(verdict), *verdict.log[-40:]]))
            return 1
        if options.seconds is None:
            print(line(verdict))
            return 0
        delivered += verdict.delivered
        if time.monotonic() >= until:
            print(f"{runs} runs ok, up to seed {seed}; {delivered} messages; the last: {line(verdict)}")
            return 0
        seed += 1


def report(verdict: Verdict, shrink_s: float) -> None:
    """Say what failed, how to see it again, and the shortest plan that fails in the same way."""
    plan = verdict.plan
    print(line(verdict))
    print("\n".join(verdict.log[-40:]))
    print(
        f"\nagain: python -m tests.sim {plan.seed} --nodes {plan.nodes} --liars {len(plan.liars)} "
        f"--minutes {plan.minutes:g} --verbose"
    )
    if shrink_s > 0:
        small = shrink(verdict, shrink_s)
        file = Path("build/sim") / f"{plan.seed}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(small.plan.to_json())
        print(f"\nsmaller: {line(small)}\n{small.plan.text()}\nagain: python -m tests.sim --plan {file} --verbose")


def line(verdict: Verdict) -> str:
    """A verdict in one line."""
    plan = verdict.plan
    healed = "" if verdict.healed_s is None else f", equal after {verdict.healed_s:.0f} s"
    return (
        f"seed {plan.seed}: {'ok' if verdict.problem is None else 'FAILED: ' + verdict.problem} · "
        f"{plan.nodes} nodes, {len(plan.liars)} liars, {len(plan.steps)} steps, {verdict.virtual_s:.0f} s virtual in "
        f"{verdict.wall_s:.1f} s{healed} · {verdict.commits} commits, {verdict.promises} promises, "
        f"{verdict.delivered} messages ({verdict.delivered / max(verdict.wall_s, 1e-9):.0f}/s) · {verdict.trace}"
    )


if __name__ == "__main__":
    sys.exit(main())
