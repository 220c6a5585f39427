"""Counters of the edge and the Prometheus text that shows them (exposition format 0.0.4).

Names are ``holo_*`` with their unit last. What is counted here is about this process only; what must be provable is in
receipts instead.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final, TypeAlias

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Family: TypeAlias = tuple[str, str, str, Iterable[tuple[str, float]]]
"""Name, kind, help, and samples: the labels as they are written, and the value."""

_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class Metrics:
    """What the edge counts. Owned by the trio thread."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, str, int]] = Counter()
        self._problems: Counter[str] = Counter()
        self._buckets: dict[str, list[int]] = {}  # route → answers by the bucket they belong to, the last one endless
        self._seconds: Counter[str] = Counter()
        self._readers_cut = 0

    def answered(self, route: str, method: str, status: int, seconds: float, count: int = 1) -> None:
        """Count ``count`` answers of ``route`` and how long each took to begin."""
        self._answers[route, method, status] += count
        self._seconds[route] += seconds * count  # type: ignore[assignment]
        buckets = self._buckets.get(route)
        if buckets is None:
            buckets = self._buckets[route] = [0] * (len(_BUCKETS_S) + 1)
        buckets[bisect_left(_BUCKETS_S, seconds)] += count

    def refused(self, code: str) -> None:
        """Count an answer that was a problem, by its code."""
        self._problems[code] += 1

    def reader_cut(self) -> None:
        """Count an answer that was broken off because its reader took no bytes."""
        self._readers_cut += 1

    def text(
        self,
        gauges: Mapping[str, tuple[str, float]],
        records: Mapping[str, Mapping[str, int]],
        families: Iterable[Family] = (),
    ) -> bytes:
        """Everything counted, as Prometheus reads it.

        ``gauges``: name → (help, value). ``records``: what became of records → state or code → count. ``families``
        come last.
        """
        lines: list[str] = []
        for name, (summary, value) in gauges.items():
            lines += _family(name, "gauge", summary, [("", value)])
        lines += _family(
            "holo_http_requests_total",
            "counter",
            "Answers sent.",
            (
                (f'{{route="{route}",method="{method}",status="{status}"}}', count)
                for (route, method, status), count in sorted(self._answers.items())
            ),
        )
        lines += self._durations()
        lines += _family(
            "holo_http_problems_total",
            "counter",
            "Answers that were a problem, by code.",
            ((f'{{code="{code}"}}', count) for code, count in sorted(self._problems.items())),
        )
        lines += _family(
            "holo_http_readers_cut_total", "counter", "Answers broken off for a slow reader.", [("", self._readers_cut)]
        )
        lines += _family(
            "holo_records_total",
            "counter",
            "Records offered, by what became of them.",
            (
                (f'{{result="{result}",why="{why}"}}', count)
                for result, counts in sorted(records.items())
                for why, count in sorted(counts.items())
            ),
        )
        for family in families:
            lines += _family(*family)
        return ("\n".join(lines) + "\n").encode()

    def _durations(self) -> list[str]:
        name = "holo_http_request_duration_seconds"
        lines = [f"# HELP {name} Time until an answer began.", f"# TYPE {name} histogram"]
        for route, buckets in sorted(self._buckets.items()):
            *below, total = accumulate(buckets)
            lines += [
                f'{name}_bucket{{route="{route}",le="{bucket}"}} {count}'
                for bucket, count in zip(_BUCKETS_S, below, strict=True)
            ]
            lines.append(f'{name}_bucket{{route="{route}",le="+Inf"}} {total}')
            lines.append(f'{name}_sum{{route="{route}"}} {self._seconds[route]:.6f}')
            lines.append(f'{name}_count{{route="{route}"}} {total}')
        return lines


def _family(name: str, kind: str, summary: str, samples: Iterable[tuple[str, float]]) -> list[str]:
    return [
        f"# HELP {name} {summary}",
        f"# TYPE {name} {kind}",
        *(f"{name}{labels} {value}" for labels, value in samples),
    ]
