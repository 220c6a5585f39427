"""What a soak calls a fault, on samples made by hand, and the chart of it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bench.soak import Sample, faults_of
from bench.soak_chart import draw


def sample(at: int, **changed: float) -> Sample:
    """The sample after slice ``at`` of a node that is as it should be, but for what is ``changed``."""
    figures = {
        "at_s": at * 10.0,
        "reads_per_s": 10_000.0,
        "read_p50_ms": 1.0,
        "read_p99_ms": 4.0,
        "read_max_ms": 9.0,
        "publish_p99_ms": 20.0,
        "published": at * 1000,
        "cpu_share": 0.6,
        "anonymous_bytes": 150e6,
        "descriptors": 40,
        "threads": 8,
        "disk_bytes": 10**9 + at * 4_000_000,
    }
    return Sample(**{**figures, **changed})  # type: ignore[arg-type]


def test_a_node_that_stays_as_it_is_has_no_faults() -> None:
    assert faults_of([sample(at) for at in range(1, 21)]) == []


def test_warming_up_is_no_fault() -> None:
    assert faults_of([sample(at, anonymous_bytes=min(100e6 + at * 20e6, 180e6)) for at in range(1, 21)]) == []


@pytest.mark.parametrize(
    ("named", "samples"),
    [
        ("anonymous memory", [sample(at, anonymous_bytes=150e6 + at * 2e6) for at in range(1, 21)]),
        ("descriptors", [sample(at, descriptors=40 + at) for at in range(1, 21)]),
        ("threads", [sample(at, threads=8 + at // 6) for at in range(1, 21)]),
        ("of disk", [sample(at, disk_bytes=10**9 + at**4 * 30_000) for at in range(1, 21)]),
    ],
)
def test_what_grows_is_a_fault(named: str, samples: list[Sample]) -> None:
    (fault,) = faults_of(samples)
    assert named in fault


def test_a_soak_too_short_to_tell_says_nothing() -> None:
    assert faults_of([sample(1), sample(2, anonymous_bytes=9e9)]) == []


def test_the_chart_has_a_line_for_every_figure() -> None:
    root = ElementTree.fromstring(draw([sample(at) for at in range(1, 6)], "5 names"))
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 7
    assert all(len((line.get("points") or "").split()) == 5 for line in lines)
