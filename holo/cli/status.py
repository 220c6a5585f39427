"""``holo status``: what this home holds and what its node is doing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from holo.cli.group import Verb
from holo.cli.invocation import Invocation, counted, fields
from holo.cli.opening import open_client
from holo.client import Client
from holo.store.home import files_in
from holo.store.keyring import Keyring


@click.command(cls=Verb)
@click.pass_obj
def status(invocation: Invocation) -> None:
    """The home, its keys, and the node: running or not, its log, its newest head, its namespaces."""
    home = invocation.home
    keyring = Keyring(home)
    waiting = [path.stem for path in files_in(home.outbox, ".record")]
    result: dict[str, Any] = {
        "home": {
            "path": str(home.path),
            "keys": [entry.name for entry in keyring.entries()],
            "default_key": keyring.default(),
            "outbox": waiting,
        },
        "running": None,
        "node": None,
        "namespaces": [],
    }
    pairs: list[tuple[str, object]] = [
        ("home", home.path),
        ("keys", " ".join(result["home"]["keys"]) or "none: `holo keys new NAME`"),
        ("default key", keyring.default()),
        *(("unanswered", f"{statement}: run its command again") for statement in waiting),
    ]
    if invocation.nodes or home.records.exists() or home.running() is not None:
        with open_client(invocation, lenient=True) as client:
            running = None if invocation.nodes else home.running()
            where = client.url if invocation.nodes else "none running here"
            if running is not None:
                where = f"{running.url}, pid {running.pid}, profile {running.profile}"
                result["running"] = {"url": running.url, "pid": running.pid, "profile": running.profile}
            pairs += [("node", where), *_of_node(client, result)]
    else:
        pairs.append(("node", "none yet: `holo node` or `holo ns new NAMESPACE`"))
    invocation.show(result, fields(pairs))


def _of_node(client: Client, result: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """What the node says of itself, for people; and into ``result``, for programs."""
    about = client.node()
    namespaces = list(client.namespaces())
    result["node"] = msgspec.to_builtins(about)
    result["namespaces"] = [msgspec.to_builtins(item) for item in namespaces]
    yield from (("key", about.node), ("version", about.version), ("roles", " ".join(about.roles)))
    yield "log", f"{about.log}, {about.log_size} receipts"
    if about.head is None:
        yield "head", "none yet"
    else:
        newest = client.catalog()
        age_s = max(0, time.time() - newest.at_ms / 1000)
        yield "head", f"{newest.head}, seq {newest.seq}, {age_s:.0f} s old"
        yield "catalog", f"{newest.catalog}, {counted(newest.count, 'name')}"
    for item in namespaces:
        yield "namespace", f"{item.ns}, policy {item.policy_seq}, {_state(item.held)}"


def _state(held: str | None) -> str:
    return "in effect" if held is None else f"HELD: {held}"
