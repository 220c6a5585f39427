"""Reads the order of a child's system calls, to prove that what it answered was on the disk by then.

A kill cannot prove that: the page cache survives the process. What can is the order of its own calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_SENDS = ("write", "writev", "send", "sendto", "sendmsg")
_SYNCS = ("fdatasync", "fsync")


class Call(NamedTuple):
    """One call: its place in the order, its name, its size and result, and what it was made on."""

    sequence: int
    name: str
    size_bytes: int
    result: int
    self_syncing: bool  # the descriptor was opened with O_DSYNC
    head: bytes  # the first bytes of what was sent; empty for what went to a file
    path: str


def read_trace(trace: Path) -> list[Call]:
    """The calls a child made, in order."""
    calls = []
    for line in trace.read_text().splitlines():
        sequence, name, size, result, mode, head, path = line.split(" ", 6)
        sent = b"" if head == "-" else bytes.fromhex(head)
        calls.append(Call(int(sequence), name, int(size), int(result), mode == "dsync", sent, path))
    return sorted(calls)


def answer_at(calls: list[Call], start: bytes) -> int:
    """The index of the call that first sends bytes which begin with ``start``."""
    for index, call in enumerate(calls):
        if call.name in _SENDS and call.head and call.head.startswith(start[:24]):
            return index
    raise AssertionError(f"nothing was sent that starts with {start!r}")


def unsynced(calls: Iterable[Call], folder: Path) -> set[str]:
    """The files under ``folder`` that hold writes which no sync has covered yet, after these calls."""
    waiting: set[str] = set()
    for call in calls:
        if not call.path.startswith(str(folder)) or call.result < 0:
            continue
        if call.name in _SYNCS:
            waiting.discard(call.path)
        elif not call.self_syncing:
            waiting.add(call.path)
    return waiting


def stored_bytes(calls: Iterable[Call], folder: Path) -> int:
    """How much was written to files under ``folder``: a proof about no writes proves nothing."""
    return sum(call.result for call in calls if call.path.startswith(str(folder)) and call.name not in _SYNCS)
