"""What a benchmark is: a row with its goals, how it is measured, and what a run found."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from bench.stage import Stage

HOLO: Final = "holo"

Samples = dict[str, list[float]]
"""Figure → one value of each round. A figure's name ends in its unit: ``per_second``, ``p95_ms``, ``cpu_us``."""


class Findings(msgspec.Struct):
    """What was measured: of whom, holo or a rival, which samples. ``absent``: who could not be measured, and why."""

    samples: dict[str, Samples] = {}
    absent: dict[str, str] = {}

    def add(self, who: str, **figures: float) -> None:
        """Add one round's figures of ``who``; what is not a number was not measured."""
        of_whom = self.samples.setdefault(who, {})
        for name, value in figures.items():
            if not math.isnan(value):
                of_whom.setdefault(name, []).append(value)

    def median(self, who: str, figure: str) -> float | None:
        """The median of a figure, or None where it was not measured."""
        values = self.samples.get(who, {}).get(figure)
        return statistics.median(values) if values else None


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure of holo has to be: ``at_least`` or ``below`` so much, or so many times what a rival has."""

    figure: str
    at_least: float | None = None
    below: float | None = None
    times: str = ""

    @property
    def text(self) -> str:
        """The goal in words."""
        sign, value = ("≥", self.at_least) if self.at_least is not None else ("<", self.below)
        if self.times:
            return f"{sign} {value:g}× {self.times}"
        label, unit = LABELS[self.figure]
        return f"{f'{label} ' if label else ''}{sign} {value:,g}{unit}"

    def margin(self, findings: Findings) -> float | None:
        """How many times better than the goal it is; 1 is just reached, None is not measured."""
        found = findings.median(HOLO, self.figure)
        if found is None:
            return None
        if self.times:
            rival = findings.median(self.times, self.figure)
            if rival is None:
                return None
            found /= rival
        if self.at_least is not None:
            return found / self.at_least
        assert self.below is not None
        return self.below / found if found else float("inf")


LABELS: Final = {
    "per_second": ("", "/s"),
    "names_per_second": ("", " names/s"),
    "bindings_per_second": ("", " bindings/s"),
    "p50_ms": ("P50", " ms"),
    "p95_ms": ("P95", " ms"),
    "p99_ms": ("P99", " ms"),
    "min_ms": ("at least", " ms"),
    "cpu_us": ("", " µs CPU"),
    "anonymous_mb": ("", " MB"),
    "fresh_mb": ("at first", " MB"),
    "ready_s": ("", " s"),
    "spent_ms": ("", " ms"),
    "receipt_us": ("", " µs CPU"),
    "share_percent": ("", " % of the CPU"),
}
"""Figure → what stands before its value and its unit behind it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One benchmark. ``shown`` is the figure a reader wants to see first; ``measure`` raises what stops it."""

    key: str
    title: str
    shown: str
    goals: tuple[Goal, ...]
    measure: Callable[[Stage], Findings]

    def reached(self, findings: Findings) -> bool | None:
        """Whether every goal is reached; None where one that counts was not measured and none was missed."""
        margins = [goal.margin(findings) for goal in self.goals]
        if any(margin is not None and margin < 1 for margin in margins):
            return False
        return None if None in margins else True
