"""The node under measurement: ``holo node`` as its own process, on a copy of a loaded home."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.processes import Process
from holo.profile import SHIPPED
from holo.store.home import Home

HOLO: Final = Path(sys.executable).with_name("holo")
"""The command of the environment this runs in."""

PROFILE: Final = "holder-peer" if "holder-peer" in SHIPPED else "minimal-peer"

_READY: Final = re.compile(r"^ready url=(\S+) ")


class Node:
    """A running node. ``ready_s`` is how long it took from the start of the process to its line that it is ready.

    ``settings`` are ``KEY=VALUE`` over the profile.
    """

    def __init__(
        self,
        home: Home,
        log: Path,
        *,
        cert: Path | None = None,
        key: Path | None = None,
        settings: Sequence[str] = (),
    ) -> None:
        over = ["http.listen=127.0.0.1:0", "roles.gossip.listen=127.0.0.1:0", "node.log_level=warning", *settings]
        if cert is not None:
            over += [f'http.tls_cert="{cert}"', f'http.tls_key="{key}"']
        args: list[str | Path] = [HOLO, "--home", home.path, "node", "--profile", PROFILE]
        began = time.perf_counter()
        self.process = Process([*args, *(part for item in over for part in ("--set", item))], log)
        ready = _READY.match(self.process.line())
        self.ready_s = time.perf_counter() - began
        assert ready is not None, "a node's first line says where it is ready"
        self.url = ready[1]
        self.home = home

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])


def copy_home(home: Home, to: Path) -> Home:
    """A copy of a loaded home that a run may write to; what was there before is gone."""
    shutil.rmtree(to, ignore_errors=True)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(home.path, to, ignore=shutil.ignore_patterns("lock.mdb", "lock"))
    return Home(to).create()
