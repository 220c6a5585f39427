"""Rows about publishing over HTTP: signed bindings, each new revision acknowledged once it is on the disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench import client
from bench.client import Plan, Report, Running
from bench.installing import Absent
from bench.node import Node
from bench.rows import HOLO, Findings, Goal, Row
from bench.signing import Update
from bench.stage import Stage
from holo.http.base64url import encode_base64url

_TOGETHER: Final = 100
_POSTS: Final = 150
_POSTS_CONNECTIONS: Final = 4
_ONE_BY_ONE: Final = 6000
_CLIENTS: Final = 64
_MOST_PER_S: Final = 4000  # more than a node takes of 64 clients on the machines this was tried on
_OVERLAP_S: Final = 1.0  # so that they publish until what is measured beside them is over


def publish_together(stage: Stage) -> Findings:
    """POST bindings, 100 of one namespace each, 4 connections."""
    findings = Findings()
    node = stage.node()
    posts = max(_POSTS_CONNECTIONS, round(_POSTS * stage.effort.size))
    for _ in range(stage.effort.rounds):
        batches = stage.updates.take_together(posts, _TOGETHER)
        count = sum(map(len, batches))
        file = _write(stage.folder / "publish-together", node, batches)
        before = node.process.cpu_s()
        report = Running(Plan(node.port, str(file), _POSTS_CONNECTIONS, marker='"status":201')).report()
        report.require("200", count)
        findings.add(
            HOLO,
            bindings_per_second=count / report.seconds,
            p95_ms=report.p95_ms,
            cpu_us=(node.process.cpu_s() - before) / count * 1e6,
        )
    return findings


def publish_singly(stage: Stage) -> Findings:
    """POST bindings, one each, 64 clients; docker-registry takes a manifest by tag each."""
    findings = Findings()
    for number in range(stage.effort.rounds):
        count = publish_round(stage, findings)
        _put_manifests(stage, findings, f"r{number}-", count // 4)
    return findings


def publish_round(stage: Stage, findings: Findings) -> int:
    """One round of 64 clients that publish one binding a POST, added to ``findings``; how many bindings."""
    node = stage.node()
    count = max(_CLIENTS, round(_ONE_BY_ONE * stage.effort.size))
    file = _write(stage.folder / "publish-singly", node, [[item] for item in stage.updates.take(count)])
    before = node.process.cpu_s()
    report = Running(Plan(node.port, str(file), _CLIENTS)).report()
    report.require("201")
    findings.add(
        HOLO,
        bindings_per_second=report.per_second,
        p50_ms=report.p50_ms,
        p95_ms=report.p95_ms,
        cpu_us=(node.process.cpu_s() - before) / count * 1e6,
    )
    return count


@contextmanager
def publish_one_by_one(stage: Stage, node: Node, seconds: float) -> Iterator[Callable[[], Report]]:
    """64 clients that publish one binding after the other while the block runs; afterwards, what came of it."""
    seconds += _OVERLAP_S
    updates = stage.updates.take(round(_MOST_PER_S * max(stage.effort.size, 0.5) * seconds))
    file = _write(stage.folder / "publish-beside", node, [[item] for item in updates])
    running = Running(Plan(node.port, str(file), _CLIENTS, seconds=seconds))
    found: list[Report] = []
    yield lambda: found[0]
    found.append(running.report())
    found[0].require("201")
    if found[0].answered == len(updates):
        raise RuntimeError(f"{len(updates)} bindings were published before what ran beside them was over")
    stage.updates.give_back(updates[found[0].answered :])


def post_binding(node: Node, batch: Sequence[Update]) -> bytes:
    """The request that publishes ``batch``, all of one namespace."""
    body = json.dumps({"records": [[encode_base64url(item.envelope)] for item in batch]}).encode()
    return client.post(node.port, f"/v1/namespaces/{batch[0].namespace}/bindings", body, "application/json")


def _write(file: Path, node: Node, batches: Sequence[Sequence[Update]]) -> Path:
    """Keep the requests that publish each of ``batches``."""
    client.write_requests(file, (post_binding(node, batch) for batch in batches))
    return file


def _put_manifests(stage: Stage, findings: Findings, prefix: str, count: int) -> None:
    if "docker-registry" in findings.absent:
        return
    try:
        registry = stage.docker_registry
    except Absent as error:
        findings.absent["docker-registry"] = str(error)
        return
    port = int(registry.url.rpartition(":")[2])
    file = stage.folder / "put-manifests"
    client.write_requests(
        file,
        (
            client.post(port, registry.path(f"{prefix}{tag}"), registry.manifest, registry.media_type, "PUT")
            for tag in range(count)
        ),
    )
    report = Running(Plan(port, str(file), _CLIENTS)).report()
    report.require("201")
    findings.add("docker-registry", bindings_per_second=report.per_second, p50_ms=report.p50_ms, p95_ms=report.p95_ms)


ROWS: Final = (
    Row(
        "publish-together",
        "durable signed bindings, 100 a POST",
        "bindings_per_second",
        (Goal("bindings_per_second", at_least=2500),),
        publish_together,
    ),
    Row(
        "publish-singly",
        "durable signed bindings, one a POST, 64 clients",
        "bindings_per_second",
        (Goal("bindings_per_second", at_least=600),),
        publish_singly,
    ),
)
