"""``python -m bench``: load a store, run benchmarks, compare instruction counts. The Makefile calls it."""

from __future__ import annotations

import sys

import click

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


if __name__ == "__main__":
    main(prog_name="python -m bench")
