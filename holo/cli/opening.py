"""Which node a verb speaks to: those named with ``--node``, the one running on the home, or one opened in here."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from holo.cli.invocation import Invocation
from holo.client import Client, Connection, Endpoint
from holo.client.freshness import Freshness
from holo.core import keys
from holo.store.home import LOCK_WAIT_S, Home, HomeLock, Running
from holo.store.seen import SeenHeads
from holo.store.trust import read_remotes


@contextmanager
def open_client(invocation: Invocation, *, writes: bool = False, lenient: bool = False) -> Iterator[Client]:
    """A client of the node that this run is about; ``writes`` if it may send records.

    With ``--node`` that is over HTTP and nothing else, the first node that answers and still stands where it stood;
    ``lenient`` asks one that does not, and warns, for those who want to know what is wrong with it. Else a node running
    on the home is asked, over HTTP too; where none runs, the same node is opened inside this process, with no listener,
    for as long as the block lasts. Then the home is locked, by readers together, by a writer, or whoever comes first to
    a home without a store, alone.
    """
    if invocation.nodes:
        endpoints = [endpoint_of(invocation.home, text) for text in invocation.nodes]
        with _connected(invocation, endpoints, freshness_of(invocation), lenient=lenient) as client:
            yield client
        return
    readonly = not writes and invocation.home.records.joinpath("data.mdb").exists()
    lock, running = _lock_or_running(invocation.home, shared=readonly)
    if running is not None:
        invocation.detail(f"asking the node at {running.url}")
        with _connected(invocation, [Endpoint(running.url, keys.parse_did(running.node))]) as client:
            yield client
        return
    assert lock is not None
    from holo.embedded import embedded
    from holo.node import configure_logging

    configure_logging("debug" if invocation.verbose > 1 else "warning", "auto")
    invocation.detail(f"opening {invocation.home.path}")
    with (
        lock,
        embedded(invocation.home, readonly=readonly) as inside,
        _connected(invocation, [Endpoint(inside.url, inside.kid, inside.transport)]) as client,
    ):
        yield client


@contextmanager
def open_each(invocation: Invocation) -> Iterator[list[Client]]:
    """A client of each node named, in order; none goes on to another, and none was reached yet."""
    freshness = freshness_of(invocation)
    with ExitStack() as stack:
        clients = []
        for text in invocation.nodes:
            endpoint = endpoint_of(invocation.home, text)
            connection = Connection([endpoint], timeout_s=invocation.timeout_s, freshness=freshness)
            clients.append(stack.enter_context(Client(connection)))
        yield clients


@contextmanager
def _connected(
    invocation: Invocation, endpoints: Sequence[Endpoint], freshness: Freshness | None = None, *, lenient: bool = False
) -> Iterator[Client]:
    connection = Connection(
        endpoints, timeout_s=invocation.timeout_s, warn=invocation.warn, freshness=freshness, lenient=lenient
    )
    invocation.asked = lambda: _asked(connection)
    with connection:
        yield Client(connection)


def freshness_of(invocation: Invocation) -> Freshness:
    """What a node is held against: this machine's clock, and what this home has seen of it."""
    max_age_ms = int(invocation.max_age_s * 1000)
    return Freshness(SeenHeads(invocation.home), max_age_ms, lambda: time.time_ns() // 1_000_000, invocation.warn)


def _asked(connection: Connection) -> list[dict[str, Any]]:
    """The nodes that were asked, as JSON: those that were passed over, and the one that answered."""
    told = [told_of(item.endpoint, None, "passed-over", item.code, item.detail) for item in connection.passed]
    if connection.answered is not None:
        told.append(told_of(connection.answered, connection.node, "used"))
    return told


def told_of(
    endpoint: Endpoint, node: keys.Kid | None, result: str, code: str | None = None, detail: str | None = None
) -> dict[str, Any]:
    """One node that was asked, as JSON."""
    kid = endpoint.node or node
    did = None if kid is None else keys.did_of(kid)
    return {"url": endpoint.url, "node": did, "result": result, "code": code, "detail": detail}


def endpoint_of(home: Home, text: str) -> Endpoint:
    """The endpoint a ``--node`` names: a URL, or a remote with its key."""
    if "://" in text:
        if not text.startswith(("http://", "https://")):
            raise click.UsageError(f"{text!r} is not an http or https URL.")
        return Endpoint(text)
    remotes = read_remotes(home)
    if text not in remotes:
        near = difflib.get_close_matches(text, remotes, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else "`holo remote list` shows them."
        raise click.UsageError(f"No remote {text!r}; {hint}")
    return Endpoint(remotes[text].url, remotes[text].node)


def _lock_or_running(home: Home, *, shared: bool) -> tuple[HomeLock | None, Running | None]:
    """The home's lock, or the node that holds it. Raises ``home-locked`` where another verb keeps it too long."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        lock = home.try_lock(shared=shared)
        if lock is not None:
            return lock, None
        running = home.running()
        if running is not None:
            return None, running
        if time.monotonic() >= deadline:
            return home.lock(shared=shared, wait_s=0), None
        time.sleep(0.05)
