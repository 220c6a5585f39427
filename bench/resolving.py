"""Rows about resolving: one name a request, with a receipt, many names a request, and beside publishing."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Final

import httpx

from bench import client
from bench.client import Plan, Running
from bench.generators import Load, Targets, names_asked, run_h2load, run_wrk, tags_asked
from bench.installing import Absent
from bench.node import Node
from bench.processes import Process
from bench.publishing import publish_one_by_one
from bench.rivals import DockerRegistry, Nginx
from bench.rows import HOLO, Findings, Goal, Row
from bench.stage import Stage
from holo.http.negotiation import COSE

_CONNECTIONS: Final = 64
_RECEIPT_CONNECTIONS: Final = 16
_MANY: Final = 1000
_MANY_CONNECTIONS: Final = 4
_MANY_REQUESTS: Final = 300
_OFFERED_PER_S: Final = 10_000
_OFFERED_SMALL_PER_S: Final = 500
_OFFERED_CONNECTIONS: Final = 64

Contender = tuple[Process, Callable[[], Load]]


def measure_in_turn(findings: Findings, contenders: dict[str, Contender], rounds: int) -> None:
    """Let the contenders run in turn, so many rounds after one to warm up; who cannot is noted as absent."""
    for number in range(rounds + 1):
        for who, (process, run) in contenders.items():
            if who in findings.absent:
                continue
            before = process.cpu_s()
            try:
                load = run()
            except Absent as error:
                findings.absent[who] = str(error)
                continue
            if number == 0:
                continue  # a store's pages are mapped at first touch, by each process anew
            findings.add(
                who,
                per_second=load.per_second,
                p50_ms=load.p50_ms,
                p95_ms=load.p95_ms,
                p99_ms=load.p99_ms,
                cpu_us=(process.cpu_s() - before) / load.requests * 1e6,
            )


def resolve_plain(stage: Stage) -> Findings:
    """GET resolve over HTTP/1.1, 64 connections, names at random."""
    findings = Findings()
    targets = names_asked(stage.corpus)
    node = _node(stage)
    contenders: dict[str, Contender] = {HOLO: (node.process, partial(_wrk, stage, node.url, targets))}
    nginx = _nginx(stage, findings)
    if nginx is not None:
        contenders["nginx"] = nginx.process, partial(_wrk, stage, nginx.url, targets)
    registry = _registry(stage, findings)
    if registry is not None:
        tags = tags_asked(registry.path("v"), registry.tags, registry.media_type)
        contenders["docker-registry"] = registry.process, partial(_wrk, stage, registry.url, tags)
    measure_in_turn(findings, contenders, stage.effort.rounds)
    return findings


def resolve_tls(stage: Stage) -> Findings:
    """GET resolve over HTTP/1.1 and TLS, 64 connections, names at random."""
    findings = Findings()
    nginx = _nginx(stage, findings)
    node = _node(stage, tls=True)
    contenders: dict[str, Contender] = {HOLO: (node.process, partial(_wrk, stage, node.url, names_asked(stage.corpus)))}
    if nginx is not None:
        contenders["nginx"] = nginx.process, partial(_wrk, stage, nginx.tls_url, names_asked(stage.corpus))
    measure_in_turn(findings, contenders, stage.effort.rounds)
    return findings


def resolve_h2(stage: Stage) -> Findings:
    """GET resolve over HTTP/2 and TLS, 16 connections of 10 streams, names at random."""
    findings = Findings()
    nginx = _nginx(stage, findings)
    node = _node(stage, tls=True)
    contenders: dict[str, Contender] = {HOLO: (node.process, partial(_h2load, stage, node.url))}
    if nginx is not None:
        contenders["nginx"] = nginx.process, partial(_h2load, stage, nginx.tls_url)
    measure_in_turn(findings, contenders, stage.effort.rounds)
    return findings


def resolve_receipt(stage: Stage) -> Findings:
    """GET resolve, answered with a signed receipt as COSE; beside it with the bundle that proves it, as JSON."""
    findings = Findings()
    node = _node(stage)
    wanted = {
        HOLO: names_asked(stage.corpus, receipt=True, media_type=COSE),
        "holo, with its proof": names_asked(stage.corpus, receipt=True),
    }
    contenders: dict[str, Contender] = {
        who: (node.process, partial(_wrk, stage, node.url, targets, connections=_RECEIPT_CONNECTIONS))
        for who, targets in wanted.items()
    }
    measure_in_turn(findings, contenders, stage.effort.rounds)
    return findings


def resolve_many(stage: Stage) -> Findings:
    """POST resolve, 1,000 names at random each, 4 connections."""
    findings = Findings()
    node = stage.node()
    names = stage.corpus.bindings
    count = max(_MANY_CONNECTIONS, round(_MANY_REQUESTS * stage.effort.size))

    def request() -> bytes:
        queries = [{"handle": stage.corpus.name(stage.random.randrange(names))} for _ in range(_MANY)]
        return client.post(node.port, "/v1/resolve", json.dumps({"queries": queries}).encode(), "application/json")

    file = stage.folder / "resolve-many"
    client.write_requests(file, (request() for _ in range(count)))
    for _ in range(stage.effort.rounds):
        before = node.process.cpu_s()
        report = Running(Plan(node.port, str(file), _MANY_CONNECTIONS, marker='"outcome":"resolved"')).report()
        report.require("200", count * _MANY)
        findings.add(
            HOLO,
            names_per_second=report.per_second * _MANY,
            p95_ms=report.p95_ms,
            cpu_us=(node.process.cpu_s() - before) / (count * _MANY) * 1e6,
        )
    return findings


def resolve_while_publishing(stage: Stage) -> Findings:
    """GET resolve offered 10,000 times a second, first alone and then while 64 clients publish one binding a POST."""
    findings = Findings()
    node = stage.node()
    rate = _OFFERED_PER_S if stage.effort.size >= 0.1 else _OFFERED_SMALL_PER_S
    seconds = 2 * stage.effort.seconds
    file = stage.folder / "resolve-paced"
    client.write_requests(file, (client.get(node.port, path) for path in stage.paths_asked))
    plan = Plan(
        node.port, str(file), _OFFERED_CONNECTIONS, seconds=seconds, rate_per_s=rate, marker='"outcome":"resolved"'
    )
    for _ in range(stage.effort.rounds):
        alone = Running(plan).report()
        alone.require("200", alone.answered)
        findings.add("holo, nobody publishing", per_second=alone.per_second, p50_ms=alone.p50_ms, p99_ms=alone.p99_ms)
        with publish_one_by_one(stage, node, seconds) as published:
            busy = Running(plan).report()
        busy.require("200", busy.answered)
        findings.add(
            HOLO,
            per_second=busy.per_second,
            p50_ms=busy.p50_ms,
            p95_ms=busy.p95_ms,
            p99_ms=busy.p99_ms,
            bindings_per_second=published().per_second,
        )
    return findings


def _node(stage: Stage, *, tls: bool = False) -> Node:
    """The node, after it has shown that it resolves what it is going to be asked."""
    node = stage.node(tls=tls)
    with httpx.Client(base_url=node.url, verify=False) as reader:
        for path in stage.paths_asked[:20]:
            outcome = reader.get(path).raise_for_status().json()["outcome"]
            if outcome != "resolved":
                raise RuntimeError(f"{path}: {outcome}")
    return node


def _wrk(stage: Stage, url: str, targets: Targets, *, connections: int = _CONNECTIONS) -> Load:
    return run_wrk(
        url,
        targets,
        stage.folder,
        connections=connections,
        seconds=stage.effort.seconds,
        seed=stage.random.randrange(1 << 20),
    )


def _h2load(stage: Stage, url: str) -> Load:
    return run_h2load(url, stage.paths_asked, stage.folder, seconds=stage.effort.seconds)


def _nginx(stage: Stage, findings: Findings) -> Nginx | None:
    try:
        return stage.nginx
    except Absent as error:
        findings.absent["nginx"] = str(error)
        return None


def _registry(stage: Stage, findings: Findings) -> DockerRegistry | None:
    try:
        return stage.docker_registry
    except Absent as error:
        findings.absent["docker-registry"] = str(error)
        return None


ROWS: Final = (
    Row(
        "resolve",
        "GET resolve, HTTP/1.1, 64 connections",
        "per_second",
        (
            Goal("per_second", at_least=0.5, times="nginx"),
            Goal("per_second", at_least=15, times="docker-registry"),
            Goal("p95_ms", below=5),
        ),
        resolve_plain,
    ),
    Row(
        "resolve-while-publishing",
        "GET resolve, 10,000/s offered while 64 clients publish",
        "p99_ms",
        (Goal("p99_ms", below=30),),
        resolve_while_publishing,
    ),
    Row(
        "resolve-receipt",
        "GET resolve with a signed receipt each",
        "per_second",
        (Goal("per_second", at_least=5000),),
        resolve_receipt,
    ),
    Row(
        "resolve-many",
        "POST resolve, 1,000 names each",
        "names_per_second",
        (Goal("names_per_second", at_least=100_000),),
        resolve_many,
    ),
    Row(
        "resolve-tls",
        "GET resolve, HTTP/1.1 over TLS, 64 connections",
        "per_second",
        (Goal("per_second", at_least=0.4, times="nginx"),),
        resolve_tls,
    ),
    Row(
        "resolve-h2",
        "GET resolve, HTTP/2 over TLS",
        "per_second",
        (Goal("per_second", at_least=0.3, times="nginx"),),
        resolve_h2,
    ),
)
