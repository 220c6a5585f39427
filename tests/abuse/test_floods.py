"""A node under floods, while somebody honest asks: every question of theirs is answered, and nothing stays behind.

What the honest caller met is printed; a machine's speed is no part of what must hold. Memory is: the node may grow by
GROWTH_BYTES beyond what it had before the first flood, however many there are.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trio
import trustme

from tests.abuse import floods
from tests.abuse.floods import Flood, Target
from tests.faults.preload import PROJECT
from tests.faults.process import NodeProcess
from tests.http.scene import acme, wire
from tests.records import binding_record, content

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a node holds is read from /proc")

GROWTH_BYTES = 192 << 20
PER_SECOND = 100
TASKS = 16
SECONDS = 0.4
SETTINGS = (
    "http.max_connections=300",
    "http.header_timeout_ms=1000",
    "http.idle_timeout_ms=3000",
    "roles.registry.head_interval_ms=100",
)

PLAIN = [
    floods.connections, floods.silence, floods.half_heads, floods.half_other_heads, floods.half_bodies,
    floods.large_bodies, floods.pipelines, floods.unread, floods.absent_names, floods.absent_paths, floods.large_heads,
    floods.garbage, floods.event_streams, floods.many_names, floods.receipts, floods.denials,
]  # fmt: skip
SECURED = [floods.connections, floods.silence, floods.garbage, floods.handshakes, floods.half_handshakes]


@dataclass
class Besieged:
    """A node, what it held before the first flood, and the certificate it has, if it has one."""

    node: NodeProcess
    memory_bytes: int
    descriptors: int
    cert: str = ""

    @property
    def target(self) -> Target:
        """Where it listens."""
        url = httpx.URL(self.node.url)
        return Target(url.host, url.port or 0)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    """Return a node without TLS."""
    with NodeProcess(tmp_path_factory.mktemp("plain") / "home", settings=SETTINGS) as node:
        yield _settled(node)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    """Return a node with TLS."""
    folder = tmp_path_factory.mktemp("secured")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    files = [
        f"http.tls_cert={json.dumps(str(folder / 'cert.pem'))}",
        f"http.tls_key={json.dumps(str(folder / 'key.pem'))}",
    ]
    with NodeProcess(folder / "home", settings=[*SETTINGS, *files]) as node:
        node.http.close()
        node.http = httpx.Client(base_url=node.url, verify=False, timeout=30)
        yield _settled(node, str(folder / "ca.pem"))


def _settled(node: NodeProcess, cert: str = "") -> Besieged:
    genesis = acme()
    id = genesis.statement.id
    record = binding_record(id, id, "acme/holo:beta", content("one"))
    assert node.http.post("/v1/namespaces", json={"policy_cose": wire(genesis)}).status_code == 201
    posted = node.http.post("/v1/namespaces/acme/bindings", json={"records": [wire(record)]})
    assert posted.status_code == 201
    for _ in range(200):
        assert node.http.get("/v1/resolve?handle=acme/holo:beta").status_code == 200
    return Besieged(node, memory_bytes(node), descriptors(node), cert)


def _names(attacks: Sequence[Flood]) -> list[str]:
    return [str(attack.__name__) for attack in attacks]


@pytest.mark.parametrize("attack", PLAIN, ids=_names(PLAIN))
async def test_a_flood(plain: Besieged, attack: Flood) -> None:
    await withstand(plain, attack, SECONDS)


@pytest.mark.parametrize("attack", SECURED, ids=_names(SECURED))
async def test_a_flood_over_tls(secured: Besieged, attack: Flood) -> None:
    await withstand(secured, attack, SECONDS)


@pytest.mark.soak
async def test_floods_for_long(plain: Besieged, soak_seconds: float) -> None:
    for attack in PLAIN:
        await withstand(plain, attack, soak_seconds / len(PLAIN))


@pytest.mark.soak
async def test_floods_over_tls_for_long(secured: Besieged, soak_seconds: float) -> None:
    for attack in SECURED:
        await withstand(secured, attack, soak_seconds / len(SECURED))


async def withstand(besieged: Besieged, attack: Flood, seconds: float) -> None:
    """Have a node flooded for so long, and see what the honest caller met and what the node still holds."""
    caller = _calling(besieged)
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for _ in range(TASKS):
                nursery.start_soon(attack, besieged.target)
    met = await trio.to_thread.run_sync(_told, caller)
    grown = memory_bytes(besieged.node) - besieged.memory_bytes
    print(f"{attack.__name__}: {met}, grown by {grown >> 20} MiB")
    assert met["statuses"].keys() == {"200"}
    assert besieged.node.process.poll() is None
    assert grown < GROWTH_BYTES
    until = time.monotonic() + 20
    while descriptors(besieged.node) > besieged.descriptors + 4:
        assert time.monotonic() < until, "descriptors stay open"
        await trio.sleep(0.05)
    besieged.node.http.close()  # what it kept may have been closed meanwhile, to make room
    besieged.node.http = httpx.Client(base_url=besieged.node.url, verify=False, timeout=30)
    assert besieged.node.http.get("/v1/resolve?handle=acme/holo:beta").status_code == 200
    assert not re.search("Traceback", besieged.node.log.read_text())


def _calling(besieged: Besieged) -> subprocess.Popen[str]:
    target = besieged.target
    command = [sys.executable, "-m", "tests.abuse.honest", "localhost", str(target.port), str(PER_SECOND)]
    caller = subprocess.Popen(
        [*command, *([besieged.cert] if besieged.cert else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    assert caller.stdout is not None
    assert caller.stdout.readline() == "asking\n"
    return caller


def _told(caller: subprocess.Popen[str]) -> dict[str, dict[str, int]]:
    said, _ = caller.communicate("", timeout=120)
    found: dict[str, dict[str, int]] = json.loads(said)
    return found


def memory_bytes(node: NodeProcess) -> int:
    """What the process holds that is no file."""
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    found = re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def descriptors(node: NodeProcess) -> int:
    """How many it has open."""
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))
