"""``python -m bench``: load a store, run benchmarks, compare instruction counts. The Makefile calls it."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace

import click
import msgspec

from bench.corpus import Corpus


@click.group()
def main() -> None:
    """Benchmarks of holo."""


@main.command()
@click.option("--namespaces", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--names", type=click.IntRange(1), default=100, show_default=True, help="Names in each namespace.")
@click.option("--signing-processes", type=click.IntRange(1), default=1, show_default=True)
def load(namespaces: int, names: int, signing_processes: int) -> None:
    """Make a home with many signed names under build/bench, once, and print where it is."""
    from bench.loading import load as load_corpus

    home = load_corpus(Corpus(namespaces, names), signing_processes=signing_processes)
    sys.stdout.write(f"{home.path}\n")


@main.command()
@click.argument("keys", nargs=-1)
@click.option("--namespaces", type=click.IntRange(1), help="Of 100 names each. 10,000, or 50 with --smoke.")
@click.option("--rounds", type=click.IntRange(1), help="How often everything is measured.")
@click.option("--seconds", type=click.FloatRange(1), help="How long what is measured by time runs.")
@click.option("--quick", is_flag=True, help="Shorter and fewer rounds; the figures are kept apart.")
@click.option("--smoke", is_flag=True, help="Everything once and small: whether it runs, not how fast. Keeps nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def run(
    keys: tuple[str, ...],
    namespaces: int | None,
    rounds: int | None,
    seconds: float | None,
    quick: bool,
    smoke: bool,
    as_json: bool,
) -> None:
    """Run the rows named KEYS, or all, and keep the results. Fails where a row could not run."""
    from bench.loading import BUILD
    from bench.report import render
    from bench.running import RESULTS, ROWS, keep_results, run_rows
    from bench.stage import FULL, QUICK, SMOKE

    unknown = set(keys) - {row.key for row in ROWS}
    if unknown:
        raise click.UsageError(f"no row {', '.join(sorted(unknown))}; there are {', '.join(row.key for row in ROWS)}")
    effort = SMOKE if smoke else QUICK if quick else FULL
    effort = replace(effort, rounds=rounds or effort.rounds, seconds=seconds or effort.seconds)
    corpus = Corpus(namespaces or (50 if smoke else 10_000), 100)
    results = run_rows([row for row in ROWS if not keys or row.key in keys], corpus, effort)
    if quick:
        keep_results(results, BUILD / "results-quick.json")
    elif not smoke:
        keep_results(results, RESULTS)
        render()
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    sys.exit(any(result.failed for result in results.values()))


@main.command()
@click.option("--seconds", type=click.FloatRange(1), default=60, show_default=True, help="How long it runs.")
@click.option("--namespaces", type=click.IntRange(1), default=10_000, show_default=True, help="Of 100 names each.")
@click.option("--reads", type=click.FloatRange(1), default=10_000, show_default=True, help="Resolves a second.")
@click.option("--publishes", type=click.FloatRange(1), default=100, show_default=True, help="Bindings a second.")
def soak(seconds: float, namespaces: int, reads: float, publishes: float) -> None:
    """Keep a node under steady load; keep and draw what it does to it. Fails where something grows that must not."""
    from bench import soak as soaking

    plans = soaking.Plans(seconds, min(10.0, max(2.0, seconds / 12)), reads, publishes)
    result = soaking.soak(Corpus(namespaces, 100), plans)
    soaking.keep(result)
    sys.stdout.write(soaking.report(result))
    sys.exit(bool(result.faults))


@main.command()
@click.option("--write", is_flag=True, help="Make what is counted the baseline of this version of Python.")
def gate(write: bool) -> None:
    """Count instructions of what a node does most; fail where something takes a fifth more than the baseline."""
    from bench import gate as gates
    from bench.installing import Absent

    baseline = gates.read_baseline()
    if baseline is None and not write:
        sys.stdout.write(f"skipped: no baseline for {gates.version()}; `make bench-baseline` writes one\n")
        return
    try:
        counts = gates.count_instructions()
    except Absent as error:
        sys.stdout.write(f"skipped: not measured here: {error}\n")
        return
    changes = gates.compare(baseline, counts) if baseline is not None else []
    sys.stdout.write(gates.report(changes, counts))
    if write:
        gates.write_baseline(counts)
    elif any(change.verdict == "slower" for change in changes):
        sys.stderr.write("slower than the baseline; docs/benchmarks.md, The gate, says what to do\n")
        sys.exit(1)


@main.command("list")
def list_rows() -> None:
    """The rows there are, and their goals."""
    from bench.running import ROWS

    for row in ROWS:
        sys.stdout.write(f"{row.key:26} {row.title}: {'; '.join(goal.text for goal in row.goals)}\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # what was started is then stopped
    main(prog_name="python -m bench")
