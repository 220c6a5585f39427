"""What one run measures: a node on a copy of a loaded home, its rivals, and records signed beforehand.

Everything is started when it is first asked for and stays until the run ends, so that who is measured next to whom
runs at the same time. Only one of two nodes, the plain one and the one with TLS, can run on the home.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import httpx
import trustme

from bench.corpus import Corpus
from bench.loading import BUILD, load
from bench.node import Node, copy_home
from bench.rivals import DockerRegistry, Nginx
from bench.signing import Updates
from holo.store.home import Home
from holo.store.keyring import NODE, own_key
from holo.store.store import Store

_TAGS: Final = 200
_NAMES_SAMPLED: Final = 200_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often things are measured: ``rounds`` of ``seconds``; ``size`` scales what is counted."""

    rounds: int
    seconds: float
    size: float


FULL: Final = Effort(rounds=5, seconds=5, size=1.0)
QUICK: Final = Effort(rounds=3, seconds=2, size=0.2)
SMOKE: Final = Effort(rounds=1, seconds=1, size=0.02)


class Stage:
    """One run's servers. Use it as ``with Stage.open(corpus, effort) as stage``."""

    def __init__(self, corpus: Corpus, effort: Effort, folder: Path) -> None:
        self.corpus = corpus
        self.effort = effort
        self.folder = folder
        self.random = random.Random(corpus.seed)
        self.updates = Updates(corpus)
        self.versions: dict[str, str] = {}
        self._node: Node | None = None
        self._runs_with: tuple[bool, tuple[str, ...]] = (False, ())
        self._stops: list[Callable[[], None]] = []

    @classmethod
    @contextmanager
    def open(cls, corpus: Corpus, effort: Effort) -> Iterator[Stage]:
        """A stage for the length of the block. What it wrote goes with it."""
        BUILD.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=BUILD))
        folder.chmod(0o755)
        stage = cls(corpus, effort, folder)
        try:
            yield stage
        finally:
            stage.leave_node()
            for stop in stage._stops:
                stop()
            shutil.rmtree(folder)

    def node(self, *, tls: bool = False, settings: tuple[str, ...] = ()) -> Node:
        """The node, with or without TLS, with ``settings`` over its profile; started again where it runs otherwise."""
        if self._node is not None and self._runs_with != (tls, settings):
            self.leave_node()
        if self._node is None:
            cert, key = self.certificate if tls else (None, None)
            self._node = Node(self.home, self.folder / "node.log", cert=cert, key=key, settings=settings)
            self._runs_with = tls, settings
        return self._node

    def leave_node(self) -> None:
        """Stop the node, if one runs."""
        if self._node is not None:
            self._node.process.stop()
            self._node = None

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The store itself, no node running, for what is measured without one."""
        self.leave_node()
        with self.home.lock():
            store = Store(self.home.records, own_key(self.home, NODE), clock_ms=lambda: 0)
            try:
                yield store
            finally:
                store.close()

    @cached_property
    def home(self) -> Home:
        """A copy of the loaded home."""
        return copy_home(load(self.corpus), self.folder / "home")

    @cached_property
    def certificate(self) -> tuple[Path, Path]:
        """PEM files of a certificate for 127.0.0.1 and of its key (ECDSA P-256)."""
        cert, key = self.folder / "cert.pem", self.folder / "key.pem"
        issued = trustme.CA().issue_cert("127.0.0.1", "localhost")
        issued.cert_chain_pems[0].write_to_path(cert)
        issued.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        return cert, key

    @cached_property
    def nginx(self) -> Nginx:
        """nginx, serving what a node answers to one of the names. Raises :class:`~bench.installing.Absent`."""
        answer = httpx.get(f"{self.node().url}/v1/resolve", params={"handle": self.corpus.name(0)}).raise_for_status()
        nginx = Nginx(self.folder / "nginx", answer.content, *self.certificate)
        self._stops.append(nginx.process.stop)
        self.versions["nginx"] = nginx.version
        return nginx

    @cached_property
    def docker_registry(self) -> DockerRegistry:
        """docker-registry with some tags. Raises :class:`~bench.installing.Absent`."""
        registry = DockerRegistry(self.folder / "docker-registry", _TAGS)
        self._stops.append(registry.process.stop)
        self.versions["docker-registry"] = registry.version
        return registry

    @cached_property
    def paths_asked(self) -> list[str]:
        """Resolve targets of names picked at random."""
        names = self.corpus.bindings
        picked = (self.random.randrange(names) for _ in range(min(_NAMES_SAMPLED, 10 * names)))
        return [f"/v1/resolve?handle={self.corpus.name(number)}" for number in picked]
