"""One run of ``holo``: what its global options say, and the only way anything is written to the terminal.

Data goes to stdout and everything else to stderr, so that output can be piped. With ``--json`` a verb prints exactly
one JSON object, a line of its own off a terminal. Ids are never cut.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

if TYPE_CHECKING:
    from holo.store.home import Home

DEFAULT_TIMEOUT_S: Final = 30.0
DEFAULT_MAX_AGE_S: Final = 3600.0  # nodes sign a head a minute where nothing happens

_STYLES: Final[dict[str, dict[str, Any]]] = {
    "ok": {"fg": "green"},
    "bad": {"fg": "red", "bold": True},
    "warn": {"fg": "yellow"},
    "dim": {"dim": True},
    "head": {"bold": True},
}


@dataclass
class Invocation:
    """The global options of this run, and its two output streams.

    ``asked`` tells of each node that was asked, as JSON, once any is; it is shown where several were named.
    """

    home_path: Path | None = None
    nodes: list[str] = field(default_factory=list)
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    timeout_s: float = DEFAULT_TIMEOUT_S
    max_age_s: float = DEFAULT_MAX_AGE_S
    yes: bool = False
    asked: Callable[[], list[dict[str, Any]]] | None = None

    @property
    def home(self) -> Home:
        """The home: ``--home``, else HOLO_HOME, else the platform's place. Nothing is made yet."""
        from holo.store.home import Home

        return Home(self.home_path or os.environ.get("HOLO_HOME") or Home.default_path())

    # -- stdout

    def show(self, result: Mapping[str, Any], lines: str | Iterable[str]) -> None:
        """The verb's data: ``result`` with ``--json``, else ``lines``."""
        if self.json:
            if self.asked is not None and len(self.nodes) > 1 and "nodes" not in result:
                result = {**result, "nodes": self.asked()}
            indent = 2 if sys.stdout.isatty() else None
            _write(sys.stdout, json.dumps(result, indent=indent, ensure_ascii=False))
            return
        for line in [lines] if isinstance(lines, str) else lines:
            _write(sys.stdout, line)

    # -- stderr

    def say(self, message: str) -> None:
        """Progress: what is being done. Nothing under ``--quiet``."""
        if not self.quiet:
            _write(sys.stderr, message)

    def detail(self, message: str) -> None:
        """What only ``-v`` wants to know."""
        if self.verbose:
            _write(sys.stderr, message)

    def warn(self, message: str) -> None:
        """What must be seen even under ``--quiet``."""
        _write(sys.stderr, styled(message, "warn", sys.stderr))

    def refuse_node(self, why: str) -> None:
        """Raises a usage error where ``--node`` names a node and the verb is about this home alone."""
        if self.nodes:
            raise click.UsageError(f"{why} Leave --node away.")

    def confirm(self, question: str) -> None:
        """Ask before something that cannot be taken back. ``--yes`` answers; off a terminal it is needed."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise click.UsageError(f"{question} Give --yes to answer this off a terminal.")
        if not click.confirm(question, err=True):
            raise click.exceptions.Exit(130)

    def mark(self, text: str, style: str) -> str:
        """``text`` for stdout, coloured if that is wanted there."""
        return styled(text, style, sys.stdout)


def styled(text: str, style: str, stream: TextIO) -> str:
    """``text`` in a style of :data:`_STYLES` where ``stream`` is a terminal that takes colours."""
    return click.style(text, **_STYLES[style]) if wants_colour(stream) else text


def wants_colour(stream: TextIO) -> bool:
    """Whether to colour: on a terminal that can, unless NO_COLOR says no."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table(rows: Iterable[Iterable[str]]) -> list[str]:
    """Rows as lines with aligned columns; nothing is cut."""
    cells = [[(cell, len(click.unstyle(cell))) for cell in row] for row in rows]
    widths = [max(width for _, width in column) for column in zip(*cells, strict=True)]
    padded = ([cell + " " * (to - at) for (cell, at), to in zip(row, widths, strict=True)] for row in cells)
    return ["  ".join(row).rstrip() for row in padded]


def fields(pairs: Iterable[tuple[str, object]]) -> list[str]:
    """``name  value`` lines with aligned values; those whose value is None are left out."""
    return table([name, str(value)] for name, value in pairs if value is not None)


def counted(number: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _write(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()
