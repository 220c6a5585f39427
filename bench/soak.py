"""``make soak``: one node under steady load for as long as asked, and what that does to it.

The node has a corpus of names. Readers resolve random ones at a fixed rate, publishers add signed revisions at another,
heads are signed every second and few are kept, so that trees are collected all the time. Load comes in slices; after
each, what the node holds is read from /proc and from its home. At the end memory and descriptors must be where they
were after the first slices, the disk must have grown by what was published, and nothing may have been refused.

Everything is kept in ``build/bench/soak.json`` and drawn in ``build/bench/soak.svg``.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bench import client
from bench.client import Plan, Report, Running
from bench.corpus import Corpus
from bench.loading import BUILD, load
from bench.node import Node, copy_home
from bench.publishing import post_binding
from bench.signing import Updates
from bench.soak_chart import draw
from holo.store.home import Home

RESULTS: Final = BUILD / "soak.json"
CHART: Final = BUILD / "soak.svg"

_READERS: Final = 64
_PUBLISHERS: Final = 16
_NAMES_ASKED: Final = 100_000
_KEPT_HEADS: Final = 30
_SETTLED: Final = 0.25  # the share of the slices after which a node counts as warm

GROWTH_ALLOWED: Final = 0.05
"""How much more anonymous memory may be in use at the end than once the node was warm."""


@dataclass(frozen=True, slots=True)
class Plans:
    """How long, in slices of how long, and how many reads and publications a second."""

    seconds: float
    slice_s: float = 10.0
    reads_per_s: float = 10_000
    publishes_per_s: float = 100


class Sample(msgspec.Struct, frozen=True):
    """The node after one slice. Latencies are of that slice, sizes as they are then, ``published`` is in all."""

    at_s: float
    reads_per_s: float
    read_p50_ms: float
    read_p99_ms: float
    read_max_ms: float
    publish_p99_ms: float
    published: int
    cpu_share: float
    anonymous_bytes: float
    descriptors: int
    threads: int
    disk_bytes: int


class Soak(msgspec.Struct):
    """What a soak found. ``faults`` is empty where everything is as it has to be."""

    bindings: int
    samples: list[Sample]
    faults: list[str]


def soak(corpus: Corpus, plans: Plans) -> Soak:
    """Run it. Raises :class:`RuntimeError` where the node or a load generator fails, or anything is refused."""
    source = load(corpus)
    with tempfile.TemporaryDirectory(prefix="soak-", dir=BUILD) as folder:
        home = copy_home(source, Path(folder) / "home")
        node = Node(home, Path(folder) / "node.log", settings=[f"store.keep_heads={_KEPT_HEADS}"])
        try:
            samples = _run(node, corpus, plans, Path(folder))
        finally:
            node.process.stop()
    return Soak(corpus.bindings, samples, faults_of(samples))


def faults_of(samples: Sequence[Sample]) -> list[str]:
    """What is not as it has to be, in words: memory, descriptors and threads after the node was warm, and the disk."""
    warm = int(len(samples) * _SETTLED)
    if len(samples) - warm < 4:
        return []  # too short to tell growth from warming up
    faults = []
    early, late = samples[warm : warm + 2], samples[-2:]
    grown = _mean(late, "anonymous_bytes") / _mean(early, "anonymous_bytes") - 1
    if grown > GROWTH_ALLOWED:
        faults.append(f"anonymous memory grew by {grown:.1%} since the node was warm")
    for figure in ("descriptors", "threads"):
        before, after = max(getattr(item, figure) for item in samples[: warm + 2]), getattr(samples[-1], figure)
        if after > before:
            faults.append(f"{after} {figure} where there were {before}")
    halves = [samples[warm : (warm + len(samples)) // 2 + 1], samples[(warm + len(samples)) // 2 :]]
    first, second = (_bytes_per_binding(half) for half in halves)
    if second > 2 * max(first, 2048):
        faults.append(f"a binding took {second:,.0f} bytes of disk at the end, {first:,.0f} before")
    return faults


def keep(result: Soak) -> None:
    """Write the results and the chart of a soak."""
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    CHART.write_text(draw(result.samples, f"{result.bindings:,} names"))


def report(result: Soak) -> str:
    """A soak in a few lines."""
    first, last = result.samples[0], result.samples[-1]
    lines = [
        f"{result.bindings:,} names, {last.at_s:,.0f} s, {last.published:,} published",
        f"reads/s   {statistics.fmean(item.reads_per_s for item in result.samples):,.0f}",
        f"P99 read  {statistics.median(item.read_p99_ms for item in result.samples):.1f} ms (median of slices),"
        f" worst answer {max(item.read_max_ms for item in result.samples):.0f} ms",
        f"RssAnon   {first.anonymous_bytes / 1e6:.0f} MB first, {last.anonymous_bytes / 1e6:.0f} MB last",
        f"open      {first.descriptors} descriptors first, {last.descriptors} last",
        f"disk      {first.disk_bytes / 1e6:,.0f} MB first, {last.disk_bytes / 1e6:,.0f} MB last,"
        f" {_bytes_per_binding(result.samples):,.0f} bytes a binding",
        *(f"fault: {fault}" for fault in result.faults),
    ]
    return "\n".join(lines) + "\n"


def _run(node: Node, corpus: Corpus, plans: Plans, folder: Path) -> list[Sample]:
    updates = Updates(corpus)
    asked = folder / "reads"
    step = max(1, corpus.bindings // _NAMES_ASKED)
    names = [corpus.name(number) for number in range(0, corpus.bindings, step)]
    client.write_requests(asked, (client.get(node.port, f"/v1/resolve?handle={name}") for name in _shuffled(names)))
    samples: list[Sample] = []
    published = 0
    began = time.monotonic()
    while not samples or time.monotonic() - began < plans.seconds:
        records = updates.take(round(plans.publishes_per_s * plans.slice_s))
        posts = folder / "posts"
        client.write_requests(posts, (post_binding(node, [item]) for item in records))
        cpu_s, slice_began = node.process.cpu_s(), time.monotonic()
        running = [
            Running(Plan(node.port, str(asked), _READERS, plans.slice_s, plans.reads_per_s)),
            Running(Plan(node.port, str(posts), _PUBLISHERS, plans.slice_s, plans.publishes_per_s)),
        ]
        reads, writes = (item.report() for item in running)
        reads.require("200")
        writes.require("201")
        published += writes.answered
        spent_s = time.monotonic() - slice_began
        samples.append(_sample(node, reads, writes, published, began, (node.process.cpu_s() - cpu_s) / spent_s))
        _say(samples[-1])
    return samples


def _sample(node: Node, reads: Report, writes: Report, published: int, began: float, cpu_share: float) -> Sample:
    return Sample(
        at_s=time.monotonic() - began,
        reads_per_s=reads.per_second,
        read_p50_ms=reads.p50_ms,
        read_p99_ms=reads.p99_ms,
        read_max_ms=reads.max_ms,
        publish_p99_ms=writes.p99_ms,
        published=published,
        cpu_share=cpu_share,
        anonymous_bytes=node.process.anonymous_bytes(),
        descriptors=node.process.descriptors(),
        threads=node.process.threads(),
        disk_bytes=_disk_bytes(node.home),
    )


def _disk_bytes(home: Home) -> int:
    """What the home takes on the disk: blocks, since the store's file is sparse."""
    return sum(path.stat().st_blocks * 512 for path in home.path.rglob("*") if path.is_file())


def _bytes_per_binding(samples: Sequence[Sample]) -> float:
    published = samples[-1].published - samples[0].published
    return (samples[-1].disk_bytes - samples[0].disk_bytes) / published if published else 0.0


def _mean(samples: Sequence[Sample], figure: str) -> float:
    return statistics.fmean(getattr(item, figure) for item in samples)


def _shuffled(names: list[str]) -> list[str]:
    """The names in an order that has nothing to do with where they lie, the same in every run."""
    return random.Random(0).sample(names, len(names))


def _say(sample: Sample) -> None:
    sys.stderr.write(
        f"{sample.at_s:6.0f} s  {sample.reads_per_s:8,.0f} reads/s  P99 {sample.read_p99_ms:6.1f} ms"
        f"  {sample.published:8,} published  {sample.anonymous_bytes / 1e6:5.0f} MB"
        f"  {sample.descriptors:4} open  {sample.disk_bytes / 1e6:7,.0f} MB disk  {sample.cpu_share:4.0%} CPU\n"
    )
    sys.stderr.flush()
