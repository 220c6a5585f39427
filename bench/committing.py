"""Rows about what a commit leads to: the head over it, and the receipt in it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest import mock

from bench.client import Generator, Plan
from bench.node import Node
from bench.publishing import post_binding, publish_round
from bench.quantile import quantile
from bench.rows import HOLO, Findings, Goal, Row
from bench.signing import Update
from bench.stage import Stage
from holo.core.binding import open_binding
from holo.store.journal import Journal, Receipt
from holo.store.ledger import BindingSubmission, Outcome
from holo.store.store import Request

_UPDATES: Final = 100  # as many as make a node sign at once, so that no interval is waited for
_INTERVAL_MS: Final = 10_000
_TIMES: Final = 20
_CLIENTS: Final = 64
_PATIENCE_S: Final = 30.0
_POLL_S: Final = 0.002
_RECEIPTS: Final = 5000
_RECEIPTS_PER_COMMIT: Final = 100


def head_after_updates(stage: Stage) -> Findings:
    """100 updates of names at random; from the last acknowledgement until the new head and the diff were read.

    The head is signed at the hundredth change, and the interval is so long that it does not end before. Where it took
    two heads all the same, the try does not count and another is made.
    """
    findings = Findings()
    node = stage.node(settings=(f"roles.registry.head_interval_ms={_INTERVAL_MS}",))
    reading = http.client.HTTPConnection("127.0.0.1", node.port, timeout=_PATIENCE_S)
    times = max(3, round(_TIMES * stage.effort.size))
    for _ in range(stage.effort.rounds):
        spent_ms: list[float] = []
        for _ in range(5 * times):
            updates = stage.updates.take(_UPDATES)
            waited = _wait_for_head(node, reading, updates)
            spent_ms += [] if waited is None else [waited * 1000]
            if len(spent_ms) == times:
                break
        else:
            raise RuntimeError(f"only {len(spent_ms)} of {times} heads were signed at the {_UPDATES}th change")
        findings.add(HOLO, p50_ms=quantile(spent_ms, 0.5), p95_ms=quantile(spent_ms, 0.95))
    reading.close()
    return findings


def receipt_cost(stage: Stage) -> Findings:
    """CPU of making, signing, logging and indexing a receipt, and its share while 64 clients publish."""
    findings = Findings()
    count = max(_RECEIPTS_PER_COMMIT, round(_RECEIPTS * stage.effort.size))
    published = Findings()
    for _ in range(stage.effort.rounds):
        publish_round(stage, published)
    shares = published.samples[HOLO].get("cpu_us", [])
    with stage.store() as store:
        for number in range(stage.effort.rounds):
            updates = stage.updates.take(count)
            submissions = [BindingSubmission(*open_binding([item.envelope])) for item in updates]
            with _timing_receipts() as spent_us:
                for at in range(0, count, _RECEIPTS_PER_COMMIT):
                    (results,) = store.commit([Request(submissions[at : at + _RECEIPTS_PER_COMMIT])])
                    assert all(isinstance(item, Outcome) and item.new for item in results)
            each_us = spent_us() / count
            findings.add(HOLO, receipt_us=each_us)
            if number < len(shares):
                findings.add(HOLO, share_percent=100 * each_us / shares[number])
    return findings


def _wait_for_head(node: Node, reading: http.client.HTTPConnection, updates: list[Update]) -> float | None:
    """Publish ``updates``; seconds until what they changed could be read, or None where it took another head."""
    before = _read_quiet_head(reading)
    requests = [post_binding(node, [item]) for item in updates]
    Generator(Plan(node.port, "", _CLIENTS), requests).run().require("201")
    acknowledged = time.perf_counter()
    after = _read_head_over(reading, before["log_size"] + len(updates))
    target = f"/v1/catalogs/{after['catalog']}/diff?from={before['catalog']}&limit=1000"
    changed = _read(reading, target)["items"]
    seconds = time.perf_counter() - acknowledged
    if len(changed) != len({item.number for item in updates}):
        raise RuntimeError(f"the diff has {len(changed)} names where {len(updates)} were changed")
    return seconds if after["seq"] == before["seq"] + 1 else None


def _read_quiet_head(reading: http.client.HTTPConnection) -> dict[str, Any]:
    """The newest head, once it covers all that was published."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        found = _read(reading, "/v1/catalogs/current")
        if not _read(reading, f"/v1/receipts?since={found['log_size']}&limit=1")["items"]:
            return found
        time.sleep(_POLL_S)
    raise RuntimeError(f"no head over everything within {_PATIENCE_S:.0f} s")


def _read_head_over(reading: http.client.HTTPConnection, size: int) -> dict[str, Any]:
    """The newest head, once it covers so many entries of the log."""
    deadline = time.monotonic() + _PATIENCE_S
    while (found := _read(reading, "/v1/catalogs/current"))["log_size"] < size:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no head over {size} entries within {_PATIENCE_S:.0f} s")
        time.sleep(_POLL_S)
    return found


def _read(reading: http.client.HTTPConnection, target: str) -> dict[str, Any]:
    reading.request("GET", target)
    answer = reading.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{target}: {answer.status} {body[:500]!r}")
    found: dict[str, Any] = json.loads(body)
    return found


@contextmanager
def _timing_receipts() -> Iterator[Callable[[], float]]:
    """While the block runs, every receipt is timed; afterwards, how many microseconds of CPU they took together."""
    spent_ns = [0]
    append = Journal.append

    def timed(self: Journal, make: Any, subjects: list[bytes]) -> Receipt:
        began = time.thread_time_ns()
        try:
            return append(self, make, subjects)
        finally:
            spent_ns[0] += time.thread_time_ns() - began

    with mock.patch.object(Journal, "append", timed):
        yield lambda: spent_ns[0] / 1000


ROWS: Final = (
    Row(
        "head",
        "100 updates until head and diff are readable",
        "p95_ms",
        (Goal("p95_ms", below=150),),
        head_after_updates,
    ),
    Row(
        "receipt",
        "a receipt's cost, and its share while publishing",
        "receipt_us",
        (Goal("receipt_us", below=60), Goal("share_percent", below=7)),
        receipt_cost,
    ),
)
