"""Which node a verb speaks to: those named with ``--node``, the one running on the home, or one opened in here."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from holo.cli.invocation import Invocation
from holo.client import Client, Connection, Endpoint
from holo.core import keys
from holo.store.home import LOCK_WAIT_S, Home, HomeLock, Running
from holo.store.trust import read_remotes


@contextmanager
def open_client(invocation: Invocation, *, writes: bool = False) -> Iterator[Client]:
    """A client of the node that this run is about; ``writes`` if it may send records.

    With ``--node`` that is over HTTP and nothing else. Else a node running on the home is asked, over HTTP too; where
    none runs, the same node is opened inside this process, with no listener, for as long as the block lasts. Then the
    home is locked, by readers together, by a writer, or whoever comes first to a home without a store, alone.
    """
    if invocation.nodes:
        with _connected(invocation, [endpoint_of(invocation.home, text) for text in invocation.nodes]) as client:
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
def _connected(invocation: Invocation, endpoints: list[Endpoint]) -> Iterator[Client]:
    with Connection(endpoints, timeout_s=invocation.timeout_s, warn=invocation.warn) as connection:
        yield Client(connection)


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
