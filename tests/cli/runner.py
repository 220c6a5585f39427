"""Running ``holo`` in tests: in this process for speed, or as a real process where that is what is tested."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holo.cli.main import run

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ran:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout, which has to be exactly one JSON object on one line."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)


def holo(home: Path | None, *words: object, expect: int = 0) -> Ran:
    """Run a command line in this process; ``expect`` is the exit code it must have."""
    args = ([] if home is None else ["--home", str(home)]) + [str(word) for word in words]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(args)
    ran = Ran(code, _text(out), _text(err))
    assert code == expect, f"holo {' '.join(args)}: {code}\n{ran.out}{ran.err}"
    return ran


def said(home: Path | None, *words: object, expect: int = 0) -> Any:
    """The JSON object that a command line prints."""
    return holo(home, "--json", *words, expect=expect).json


def command(*words: object) -> list[str]:
    """The command line of a real process."""
    return [sys.executable, "-m", "holo", *(str(word) for word in words)]


def environment(**over: str) -> dict[str, str]:
    """The environment of a real process: none of the developer's own holo settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOLO_", "_HOLO"))}
    return {**kept, **over}


def process(*words: object, env: Mapping[str, str] | None = None) -> Ran:
    """Run a command line as a process of its own."""
    done = subprocess.run(
        command(*words), capture_output=True, text=True, timeout=120, env=environment(**(env or {})), cwd=PROJECT
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def shape(value: Any) -> Any:
    """What a JSON value looks like: names and types, a list by its first item."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None if value is None else type(value).__name__


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()
