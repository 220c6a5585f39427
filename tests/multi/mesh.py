"""Nodes in processes of their own that link over TLS on loopback, and what a test asks of all of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import trio

from holo.core.keys import Kid, parse_did
from holo.core.pairing import Ticket
from holo.net.identity import Identity
from holo.net.joining import join
from holo.store.home import Home
from holo.store.keyring import own_key
from holo.store.peers_file import PeersFile
from tests.faults.process import NodeProcess
from tests.faults.scene import Acknowledged
from tests.multi.lan import HTTP_PORT, Host

WITHIN_S = 60.0
SOON = ("roles.registry.head_interval_ms=200", "roles.gossip.pull_interval_ms=500")


class Member:
    """One node of a mesh, on ``host`` where one is given. It keeps its address where it is started again."""

    def __init__(self, home: Path, host: Host | None = None) -> None:
        self.home = home
        self._host = host
        self._listen = "127.0.0.1:0" if host is None else host.listen
        self.process = self._start()
        self._listen = self.process.peer

    @property
    def kid(self) -> Kid:
        return parse_did(self.process.node)

    @property
    def address(self) -> str:
        return self._listen

    @property
    def http(self) -> httpx.Client:
        return self.process.http

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.http.close()
        assert self.process.process.stdout is not None
        self.process.process.stdout.close()

    def start(self) -> None:
        """Have it run again."""
        self.process = self._start()

    def pin(self, other: Member) -> None:
        """As `holo peer add` does beside the running node."""
        PeersFile(Home(self.home)).add(other.kid, [other.address])

    def catalog(self) -> str:
        """The catalog of the newest head."""
        cid: str = self.http.get("/v1/catalogs/current").raise_for_status().json()["catalog"]
        return cid

    def peers(self) -> list[dict[str, object]]:
        """What it says of its peers."""
        items: list[dict[str, object]] = self.http.get("/v1/peers").raise_for_status().json()["items"]
        return items

    def hosts(self) -> bool:
        """Whether acme is here."""
        return self.http.get("/v1/namespaces/acme/policy").status_code == 200

    def statements(self) -> set[str]:
        """Everything that is current in acme; nothing where that is not hosted yet."""
        found: set[str] = set()
        cursor: dict[str, str] = {}
        while True:
            answer = self.http.get("/v1/namespaces/acme/bindings", params={"limit": "1000", **cursor})
            if answer.status_code == 404:
                return found
            page = answer.raise_for_status().json()
            found |= {item["statement"] for item in page["items"]}
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}

    def has(self, known: Acknowledged) -> bool:
        """Whether all that was acknowledged to somebody is current here."""
        return {str(statement) for statement in known.receipts} <= self.statements()

    def _start(self) -> NodeProcess:
        settings = (*SOON, f"roles.gossip.listen={self._listen}")
        if self._host is None:
            return NodeProcess(self.home, settings=settings)
        own = (*settings, f"http.listen=127.0.0.1:{HTTP_PORT}")
        return NodeProcess(self.home, settings=own, under=self._host.under, doorway=self._host.doorway)


@contextmanager
def mesh(folder: Path, count: int, hosts: Sequence[Host] = ()) -> Iterator[list[Member]]:
    """So many nodes, each on a host of its own if there are hosts, ended when the block ends. Nobody knows anybody."""
    members: list[Member] = []
    try:
        for number in range(count):
            members.append(Member(folder / f"home{number}", hosts[number] if hosts else None))
        yield members
    finally:
        for member in members:
            if member.process.process.poll() is None:
                member.kill()


def introduce_all(members: Sequence[Member]) -> None:
    """Have everybody pin everybody."""
    for one in members:
        for other in members:
            if one is not other:
                one.pin(other)


def pair(one: Member, other: Member) -> None:
    """A ticket of the first, used by the second: what `holo peer ticket` and `holo peer add` do."""
    ticket = Ticket(one.kid, (one.address,), os.urandom(16), int(time.time() * 1000) + 60_000)
    PeersFile(Home(one.home)).open_ticket(ticket.id, ticket.expires_ms)
    key = own_key(Home(other.home), "node")
    identity = Identity(key, lambda: int(time.time() * 1000))
    reached = trio.run(join, identity, key, ticket, [other.address])
    PeersFile(Home(other.home)).add(one.kid, [reached])


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {WITHIN_S:.0f} s: {what}"
        time.sleep(0.05)


def agree(members: Sequence[Member]) -> bool:
    """Whether all commit to the same states."""
    return len({member.catalog() for member in members}) == 1
