"""One running node, and the homes of people who use it: Alice and Bob, who sign acme, and Mallory, who does not."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from holo.core.keys import did_of
from holo.node import configure_logging
from holo.testing import node_in_background
from tests.cli.runner import said

_ROOM_BYTES = 2 << 30


@dataclass(frozen=True)
class World:
    """A node, its key, and three homes. In acme, ``stable`` needs Alice and Bob; Alice alone is root."""

    url: str
    did: str
    node_home: Path
    alice: Path
    bob: Path
    mallory: Path
    genesis: str


@pytest.fixture(scope="module", autouse=True)
def _quiet_nodes() -> None:
    """Nodes inside the test process would otherwise log where the verbs print."""
    configure_logging("error", "json")


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOLO_HOME", "HOLO_KEY", "HOLO_PASSPHRASE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with room for stores that keep the default reserve: verbs that open a home themselves do."""
    path = tmp_path_factory.mktemp("cli")
    if shutil.disk_usage(path).free > _ROOM_BYTES:
        yield path
    else:
        with tempfile.TemporaryDirectory(prefix="holo-cli-") as elsewhere:
            yield Path(elsewhere)


@pytest.fixture(scope="module")
def world(folder: Path) -> Iterator[World]:
    """Return the node and the people, made anew for each module."""
    with node_in_background(folder / "node", ["roles.registry.head_interval_ms=50"]) as running:
        alice, bob, mallory = (folder / name for name in ("alice", "bob", "mallory"))
        did = did_of(running.node.kid)
        for home in (alice, bob, mallory):
            said(home, "keys", "new", home.name)
            said(home, "remote", "add", "node", running.url, did)
        bobs = said(bob, "keys", "export", "bob")["key"]
        words = ("--signer", "alice", "--signer", bobs, "--require", "stable=2")
        genesis = said(alice, "--node", "node", "ns", "new", "acme", *words)["genesis"]
        yield World(running.url, did, folder / "node", alice, bob, mallory, genesis)
