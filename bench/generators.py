"""The load generators of others: wrk for HTTP/1.1, h2load for HTTP/2."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.corpus import Corpus
from bench.installing import find_tool
from bench.quantile import quantile

_WRK_THREADS: Final = 2
_H2_CLIENTS: Final = 16
_H2_STREAMS: Final = 10
_LINGER_S: Final = 120

# What a random number becomes is said twice, here in Lua and in Python; the assertions hold the two together.
_SCRIPT: Final = """
local threads = 0
function setup(thread) threads = threads + 1; thread:set("number", threads) end
{path}
for number, expected in pairs({{{samples}}}) do assert(path(number) == expected, path(number)) end
function init(args) math.randomseed({seed} + number) end
function request()
  return "GET " .. path(math.random(0, {total} - 1)) .. " HTTP/1.1\\r\\nHost: {host}\\r\\n{headers}\\r\\n"
end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\\n{{"requests":%d,"seconds":%.6f,"errors":%d,"p50":%.3f,"p95":%.3f,"p99":%.3f}}\\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
end
"""

_NAME_PATH: Final = """
local tags = {{{tags}}}
function path(number)
  local index = number % {names}
  return string.format("{target}team-%06d/service/%04d:%s{more}",
    math.floor(number / {names}), math.floor(index / {per_handle}), tags[index % {per_handle} + 1])
end
"""

_TAG_PATH: Final = """
function path(number) return string.format("{prefix}%d", number) end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of a load generator measured."""

    requests: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Targets:
    """Random request targets: ``lua`` says ``path(number)`` for 0 ≤ number < ``total``, as ``samples`` show."""

    lua: str
    total: int
    samples: dict[int, str]
    headers: str = ""


def names_asked(corpus: Corpus, *, receipt: bool = False, media_type: str = "") -> Targets:
    """Resolving every name of a corpus, with a signed receipt where ``receipt`` is set."""
    target, more = "/v1/resolve?handle=", "&receipt=1" if receipt else ""
    lua = _NAME_PATH.format(
        tags=", ".join(f'"{tag}"' for tag in corpus.TAGS),
        names=corpus.names_per_namespace,
        per_handle=len(corpus.TAGS),
        target=target,
        more=more,
    )
    numbers = (0, 1, corpus.bindings // 2, corpus.bindings - 1)
    samples = {number: target + corpus.name(number) + more for number in numbers}
    return Targets(lua, corpus.bindings, samples, _accept(media_type) if media_type else "")


def tags_asked(prefix: str, total: int, media_type: str) -> Targets:
    """Looking up tags ``prefix``0 to ``prefix``(total - 1)."""
    samples = {number: f"{prefix}{number}" for number in (0, total - 1)}
    return Targets(_TAG_PATH.format(prefix=prefix), total, samples, _accept(media_type))


def _accept(media_type: str) -> str:
    return f"Accept: {media_type}\\r\\n"


def run_wrk(url: str, targets: Targets, folder: Path, *, connections: int, seconds: float, seed: int) -> Load:
    """Ask for random targets over HTTP/1.1, one at a time on each connection."""
    tool = find_tool("wrk")
    script = folder / "wrk.lua"
    script.write_text(
        _SCRIPT.format(
            path=targets.lua,
            samples=", ".join(f'[{number}] = "{path}"' for number, path in targets.samples.items()),
            seed=seed * 1000,
            total=targets.total,
            host=url.partition("//")[2],
            headers=targets.headers,
        )
    )
    args: list[str | Path] = [
        tool.path,
        "-t",
        str(_WRK_THREADS),
        "-c",
        str(connections),
        "-d",
        f"{max(1, round(seconds))}s",
    ]
    said = _run([*args, "--timeout", "30s", "-s", script, url], tool.env, seconds)
    found = json.loads(said.strip().rpartition("\n")[2])
    if found["errors"] or not found["requests"]:
        raise RuntimeError(f"wrk on {url}: {said[-2000:]}")
    count = found["requests"]
    return Load(count, count / found["seconds"], found["p50"], found["p95"], found["p99"])


def run_h2load(url: str, paths: Iterable[str], folder: Path, *, seconds: float) -> Load:
    """Ask for the paths over HTTP/2, several at a time on each of several connections."""
    tool = find_tool("h2load")
    wanted, log = folder / "h2load.txt", folder / "h2load.log"
    wanted.write_text("".join(f"{url}{path}\n" for path in paths))
    log.unlink(missing_ok=True)
    duration_s = max(1, round(seconds))
    args: list[str | Path] = [tool.path, "-t", "1", "-c", str(_H2_CLIENTS), "-m", str(_H2_STREAMS)]
    args += ["-D", str(duration_s), "-i", wanted, "--log-file", log]
    said = _run(args, tool.env, seconds)
    latencies_ms, refused = [], 0
    with log.open() as lines:
        for line in lines:
            _, status, spent_us = line.split("\t")[:3]
            latencies_ms.append(int(spent_us) / 1000)
            refused += status != "200"
    if refused or not latencies_ms:
        raise RuntimeError(f"h2load on {url}: {refused} of {len(latencies_ms)} were not answered 200: {said[-2000:]}")
    count = len(latencies_ms)
    p50, p95, p99 = (quantile(latencies_ms, share) for share in (0.5, 0.95, 0.99))
    return Load(count, count / duration_s, p50, p95, p99)


def _run(args: list[str | Path], env: dict[str, str], seconds: float) -> str:
    done = subprocess.run(args, env=env, capture_output=True, text=True, check=False, timeout=seconds + _LINGER_S)
    if done.returncode:
        raise RuntimeError(f"{args[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout
