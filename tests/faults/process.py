"""A real node in a process of its own, to be traced, starved, killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.faults.preload import PROJECT

SETTINGS = (
    "http.listen=127.0.0.1:0",
    "roles.gossip.listen=127.0.0.1:0",
    "store.map_bytes=268435456",
    "store.free_reserve_bytes=0",
)


class NodeProcess:
    """``holo node`` on ``home``, taking connections; ended by pid when the block ends, if it has not ended itself.

    ``under`` is a command that becomes the node once it has prepared its surroundings. ``doorway`` is a socket in the
    file system that leads to its HTTP, where nothing else does.
    """

    def __init__(
        self,
        home: Path,
        *,
        environ: Mapping[str, str] | None = None,
        settings: Sequence[str] = (),
        under: Sequence[str] = (),
        doorway: Path | None = None,
        cwd: Path = PROJECT,
    ) -> None:
        sets = [part for setting in (*SETTINGS, *settings) for part in ("--set", setting)]
        command = [*under, sys.executable, "-m", "holo", "--home", str(home), "--json", "node", *sets]
        self.log = home.parent / f"{home.name}.{os.urandom(4).hex()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environ, cwd=cwd)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        said = json.loads(line) if line else {}
        if "url" not in said:
            self.process.stdout.close()
            raise RuntimeError(f"no node: exit {self.process.wait(10)}\n{said}\n{self.log.read_text()[-4000:]}")
        self.url: str = said["url"]
        self.node: str = said["node"]
        self.peer: str = said["peer"]
        transport = None if doorway is None else httpx.HTTPTransport(uds=str(doorway))
        self.http = httpx.Client(base_url=self.url, timeout=30, transport=transport)

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can tell."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as an operator would; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def wait(self) -> int:
        """The exit code of a node that ends by itself."""
        return self.process.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
