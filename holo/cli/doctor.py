"""``holo doctor``: everything that can be wrong with a home, looked at; with ``--fsck`` every byte of its store."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import click

from holo.cli import exits
from holo.cli.content import open_cam
from holo.cli.group import Verb
from holo.cli.invocation import Invocation, counted, table
from holo.cli.opening import endpoint_of
from holo.client import Client, Connection, Endpoint
from holo.core import keys
from holo.core.errors import HoloError, Rejected
from holo.store.home import Home, check_private, files_in
from holo.store.keyring import NODE, RECOVERY, Keyring, own_kid
from holo.store.trust import read_remotes, read_trust

_FREE_BYTES: Final = 1 << 30
_ANSWER_S: Final = 5.0
_OFF_S: Final = 5.0
_STALE_S: Final = 600.0
_MARKS: Final = {"ok": "ok", "warn": "warn", "bad": "bad"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``verdict`` is ok, warn or bad."""

    check: str
    verdict: str
    detail: str


@click.command(cls=Verb)
@click.option("--fsck", is_flag=True, help="Derive everything in the store again and compare.")
@click.pass_obj
def doctor(invocation: Invocation, fsck: bool) -> None:
    """Find out what is wrong with this home, and with its node or those that --node names.

    Changes nothing; exit 1 if something is bad.
    """
    if fsck:
        invocation.refuse_node("--fsck reads the store of this home; a node's own is read where it lies.")
    home = invocation.home
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("python", _python),
        ("home", lambda: _home(home)),
        ("keys", lambda: _keys(home)),
        ("trust", lambda: _trust(home)),
        ("outbox", lambda: _outbox(home)),
        ("disk", lambda: _disk(home)),
        ("node", lambda: _node(invocation, home)),
    ]
    if fsck:
        checks += [("store", lambda: _store(invocation, home)), ("content", lambda: _content(invocation, home))]
    found: list[Finding] = []
    for name, check in checks:
        try:
            found += check()
        except (HoloError, OSError) as error:
            found.append(Finding(name, "bad", str(error)))
    bad = any(finding.verdict == "bad" for finding in found)
    items: list[dict[str, Any]] = [
        {"check": item.check, "verdict": item.verdict, "detail": item.detail} for item in found
    ]
    rows = [[invocation.mark(item.verdict, _MARKS[item.verdict]), item.check, item.detail] for item in found]
    invocation.show({"healthy": not bad, "items": items}, table(rows))
    if bad:
        raise click.exceptions.Exit(exits.BAD)


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    fits = (3, 11) <= sys.version_info[:2] < (3, 15)
    yield Finding("python", "ok" if fits else "warn", f"{version} on {platform.system()} {platform.machine()}")


def _home(home: Home) -> Iterator[Finding]:
    if not home.exists():
        yield Finding("home", "ok", f"{home.path} is not there yet; the first verb that needs it makes it")
        return
    home.check()
    yield Finding("home", "ok", f"{home.path}, for you alone")
    if not os.access(home.path, os.W_OK):
        yield Finding("home", "warn", f"{home.path} cannot be written: only what reads works on it")


def _keys(home: Home) -> Iterator[Finding]:
    entries = Keyring(home).entries()
    if home.records.exists() and own_kid(home, NODE) is None:
        yield Finding("keys", "bad", f"the node's own key is gone from {home.identity}: `holo explain node-key-lost`")
    open_ones = [entry.name for entry in entries if not entry.sealed]
    yield Finding("keys", "ok", f"{counted(len(entries), 'key')}, {len(entries) - len(open_ones)} with a passphrase")
    for entry in entries:
        try:
            check_private(entry.path)
        except Rejected as error:
            yield Finding("keys", "bad", f"{error.detail}; verbs will not use it: {error.fix}")
        if entry.purpose == RECOVERY:
            yield Finding("keys", "warn", f"{entry.name} lies here; a recovery key belongs offline")


def _trust(home: Home) -> Iterator[Finding]:
    trust, remotes = read_trust(home), read_remotes(home)
    counts = ", ".join(
        counted(len(found), noun)
        for found, noun in ((trust.nodes, "node"), (trust.namespaces, "namespace"), (remotes, "remote"))
    )
    yield Finding("trust", "ok", counts)


def _outbox(home: Home) -> Iterator[Finding]:
    waiting = list(files_in(home.outbox, ".record"))
    for path in waiting:
        yield Finding("outbox", "warn", f"{path.stem} was signed and no node has answered; run its command again")
    if not waiting:
        yield Finding("outbox", "ok", "nothing waits to be sent")


def _disk(home: Home) -> Iterator[Finding]:
    place = home.path
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    yield Finding("disk", "ok" if free > _FREE_BYTES else "warn", f"{free >> 20} MiB free at {place}")


def _node(invocation: Invocation, home: Home) -> Iterator[Finding]:
    if invocation.nodes:
        for text in invocation.nodes:
            yield from _answers(invocation, endpoint_of(home, text))
        return
    running = home.running()
    if running is None:
        yield Finding("node", "ok", "none runs here; verbs open the store themselves")
        return
    try:
        os.kill(running.pid, 0)
    except ProcessLookupError:
        yield Finding("node", "warn", f"pid {running.pid} left its address and is gone; the next verb clears it")
        return
    except PermissionError:
        pass  # it is there, under another user
    expected = own_kid(home, NODE)
    yield from _answers(invocation, Endpoint(running.url, expected or keys.parse_did(running.node)))


def _answers(invocation: Invocation, endpoint: Endpoint) -> Iterator[Finding]:
    """Whether a node answers, as whom, and whether it takes writes."""
    connection = Connection([endpoint], timeout_s=min(invocation.timeout_s, _ANSWER_S))
    try:
        with Client(connection) as client:
            about = client.node()
            yield Finding("node", "ok", f"{endpoint.url} answers as {about.node}, version {about.version}")
            yield from _clock(client)
            connection.request("GET", "/readyz", accept="text/plain")
    except HoloError as error:
        yield Finding("node", "bad", str(error))


def _clock(client: Client) -> Iterator[Finding]:
    """Whether the node and this machine agree about the time, and whether the node still signs heads."""
    age_s = time.time() - client.catalog().at_ms / 1000
    if age_s < -_OFF_S:
        yield Finding("clock", "warn", f"the newest head is {-age_s:.0f} s ahead of this machine's clock")
    elif age_s > _STALE_S:
        yield Finding("clock", "warn", f"the newest head is {age_s:.0f} s old: one is due every head_idle_ms")
    else:
        yield Finding("clock", "ok", f"the newest head is {max(0, age_s):.0f} s old by this machine's clock")


def _store(invocation: Invocation, home: Home) -> Iterator[Finding]:
    from holo.node import wall_clock_ms
    from holo.store.fsck import check_store
    from holo.store.keyring import own_key
    from holo.store.rotation import own_handovers
    from holo.store.store import Store

    if not home.records.exists():
        yield Finding("store", "ok", "nothing is stored yet")
        return
    key, handovers = own_key(home, NODE), own_handovers(home)
    store = Store(home.records, key, clock_ms=wall_clock_ms, readonly=True, handovers=handovers)
    sound = True
    try:
        with store.view() as view:
            for fault in check_store(
                view.records, store.owner, lambda stage, count: invocation.say(f"fsck {stage}: {count} faults")
            ):
                sound = False
                yield Finding("store", "bad", f"{fault.table} {fault.subject}: {fault.detail}")
    finally:
        store.close()
    if sound:
        yield Finding("store", "ok", "everything derived again, and the same")


def _content(invocation: Invocation, home: Home) -> Iterator[Finding]:
    if not home.cam.exists():
        yield Finding("content", "ok", "nothing is stored yet")
        return
    with open_cam(invocation, readonly=True) as cam:
        counted = cam.stat()
        invocation.say(f"hashing {counted.blocks} blocks, {counted.blocks_bytes >> 20} MiB")
        spoiled = [str(cid) for cid in cam.verify()]
    yield from (Finding("content", "bad", f"block {cid} is not what its CID names") for cid in spoiled)
    if not spoiled:
        yield Finding("content", "ok", f"{counted.blocks} blocks hashed again, and the same")
