"""``holo peers``: the peers of a node, how far apart the two are, and what is wrong with a link; live on a terminal."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import click
import msgspec

from holo.cli.group import Verb
from holo.cli.invocation import Invocation, counted, table
from holo.cli.opening import open_client
from holo.client import Client
from holo.core.errors import HoloError
from holo.http.types import NodeReply, PeerItem

_EVERY_S: Final = 1.0
_ENDS: Final = b"qQ\x03\x04\x1b"


@click.command(cls=Verb)
@click.option("--once", is_flag=True, help="Show them once on a terminal, too.")
@click.pass_obj
def peers(invocation: Invocation, once: bool) -> None:
    """Who this node is paired with: links, lag, and evidence against them. On a terminal again each second; q ends."""
    with open_client(invocation, lenient=True) as client:
        if once or invocation.json or not (sys.stdout.isatty() and sys.stdin.isatty()):
            about, found = client.node(), list(client.peers())
            invocation.show(_view(about, found), _lines(invocation, about, found, _now_ms()))
            return
        _watch(lambda: _screen(invocation, client))


def _screen(invocation: Invocation, client: Client) -> list[str]:
    """What is on the screen now; a node that does not answer is said to, and asked again."""
    try:
        return _lines(invocation, client.node(), list(client.peers()), _now_ms())
    except HoloError as error:
        return [invocation.mark(f"{client.url}: {error.code}", "bad"), error.detail]


def _view(about: NodeReply, found: list[PeerItem]) -> dict[str, Any]:
    return {
        "node": about.node,
        "addresses": about.peer_addresses,
        "items": [msgspec.to_builtins(peer) for peer in found],
    }


def _lines(invocation: Invocation, about: NodeReply, found: list[PeerItem], now_ms: int) -> list[str]:
    where = f" at {' '.join(about.peer_addresses)}" if about.peer_addresses else ""
    links = sum(peer.connected for peer in found)
    lines = [f"{about.node}{where}: {counted(len(found), 'peer')}, {counted(links, 'link')}"]
    if not found:
        hint = "`holo peer ticket` here and `holo peer add TICKET` there pair two nodes"
        return [*lines, hint if "gossip" in about.roles else "this node has no roles.gossip"]
    head = ["peer", "link", "address", "seq", "lag", "converged", "out", "in", "refused"]
    rows = [[invocation.mark(text, "head") for text in head]]
    rows += [_row(invocation, peer, now_ms) for peer in found]
    lines += table(rows)
    for peer in found:
        lines += [invocation.mark(f"{peer.node} signed two truths: {cid}", "bad") for cid in peer.equivocations]
    return lines


def _row(invocation: Invocation, peer: PeerItem, now_ms: int) -> list[str]:
    if peer.connected:
        link = invocation.mark("dialled" if peer.outgoing else "taken", "ok")
    else:
        link = invocation.mark(peer.problem or "none", "warn")
    lag = "?" if peer.lag_ms is None else "0" if peer.lag_ms == 0 else _span(peer.lag_ms)
    return [
        peer.node,
        link if peer.since_ms is None else f"{link} {_span(now_ms - peer.since_ms)}",
        peer.cp or "none",
        "?" if peer.seq is None else str(peer.seq),
        lag,
        "never" if peer.converged_at_ms is None else f"{_span(now_ms - peer.converged_at_ms)} ago",
        f"{peer.sent_records} ({_size(peer.sent_bytes)})",
        f"{peer.received_records} ({_size(peer.received_bytes)})",
        str(peer.refused),
    ]


def _span(time_ms: int) -> str:
    """A length of time by its largest unit."""
    seconds = max(0, time_ms) / 1000
    if seconds < 1:
        return f"{max(0, time_ms)} ms"
    for size_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size_s:
            return f"{seconds / size_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def _size(count: int) -> str:
    for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _watch(draw: Callable[[], list[str]]) -> None:
    """Draw again each second until q, Escape or an interrupt."""
    with _own_screen(), contextlib.suppress(KeyboardInterrupt):
        while True:
            lines = draw()
            room = max(2, shutil.get_terminal_size().lines - 1)
            shown = lines if len(lines) <= room else [*lines[: room - 1], f"and {len(lines) - room + 1} lines more"]
            sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in shown) + "\x1b[J")
            sys.stdout.flush()
            readable, _, _ = select.select([sys.stdin.fileno()], [], [], _EVERY_S)
            if readable:
                typed = os.read(sys.stdin.fileno(), 64)
                if not typed or any(key in _ENDS for key in typed):
                    return


@contextlib.contextmanager
def _own_screen() -> Iterator[None]:
    """The terminal's other screen, with no cursor, echo or wrapping; the first one comes back as it was."""
    import termios
    import tty

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[?7l")
    sys.stdout.flush()
    try:
        yield
    finally:
        sys.stdout.write("\x1b[?7h\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
