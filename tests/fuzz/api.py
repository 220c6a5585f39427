"""Requests made from the served OpenAPI document, good ones and bad ones, to a real node: schemathesis."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx

from holo.core.policy import parse_policy
from holo.testing import node_in_background
from tests.fuzz.api_paths import with_paths
from tests.http.scene import MANY_DENIALS, acme, wire
from tests.records import binding_record, content

_ROOT: Final = Path(__file__).resolve().parents[2]
# Its own idea of which refusals a good request may meet does not know semantic ones: api_checks has ours.
_LEFT_OUT: Final = "positive_data_acceptance"
_LEAST_SECONDS: Final = 15  # reading the document takes some
_STREAM: Final = "/v1/events"  # an answer that does not end


def search(seconds: float, folder: Path) -> bool:
    """Try requests for so long, or the least that makes sense; whether every answer was as the document says."""
    return run(["--max-time", str(max(_LEAST_SECONDS, round(seconds))), "--generation-database", "none"], folder)


def try_some(folder: Path) -> bool:
    """Try the same few requests each time."""
    return run(
        ["--phases", "examples,coverage,stateful", "--generation-deterministic", "--seed", "1", "--max-examples", "2"],
        folder,
    )


def run(options: list[str], folder: Path) -> bool:
    """Run schemathesis with these options against a node of its own; its report goes to ``folder``/log."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with node_in_background(settings=MANY_DENIALS) as running:
        (folder / "openapi.json").write_text(json.dumps(_document(running.url)))
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", "openapi.json", "--url", running.url]
        fixed = ["--checks", "all", "--exclude-checks", _LEFT_OUT, "--exclude-path", _STREAM, "--no-color"]
        done = subprocess.run(
            [*command, *fixed, *options],
            cwd=folder,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz.api_checks", "PYTHONPATH": str(_ROOT)},
            capture_output=True,
            text=True,
        )
    (folder / "log").write_text(done.stdout + done.stderr)
    tried = re.search(r"\d+ generated.*", done.stdout)
    print(f"{'api':16} {tried[0] if tried else 'nothing was tried'}", flush=True)
    if done.returncode or not tried:
        print(done.stdout[-20_000:], done.stderr[-5_000:])
    return done.returncode == 0 and tried is not None


def _document(url: str) -> dict[str, Any]:
    """What the node serves as its document, with ways through it, once it hosts acme with names in the newest head."""
    genesis = acme()
    ns = parse_policy(genesis.statement)
    with httpx.Client(base_url=url, timeout=60) as client:
        _sent(client.post("/v1/namespaces", json={"policy_cose": wire(genesis)}))
        records = [binding_record(ns.id, ns.id, f"acme/app{at}:beta", content(str(at))) for at in range(5)]
        path, body = "/v1/namespaces/acme/bindings", {"records": [wire(record) for record in records]}
        _sent(client.post(path, json=body, headers={"prefer": "wait=20"}))
        catalog = _sent(client.get("/v1/catalogs/current"))["catalog"]
        name = "acme/app1:beta"
        examples = {"ns": "acme", "handle": name, "name": name, "cid": catalog, "from": catalog, "subject": name}
        return with_paths(_sent(client.get("/openapi.json")), examples)


def _sent(response: httpx.Response) -> Any:
    assert response.is_success, response.text
    return response.json()
