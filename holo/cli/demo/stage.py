"""What the demo is played on: homes in one folder, node processes on loopback, and verbs run as a user runs them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from holo.cli.demo.offline import DENIED_LINE

_MARKER: Final = ".holo-demo"
_START_S: Final = 30
_STOP_S: Final = 15
_ENVIRONMENT: Final = ("HOLO_HOME", "HOLO_KEY", "HOLO_PASSPHRASE", "_HOLO_COMPLETE")


class DemoFailed(Exception):
    """Something the demo would have shown is not so."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A verb that ran: its exit code and the JSON object it printed."""

    code: int
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """A node that takes connections: its process, its home, its URL, its did:key and where peers reach it."""

    process: subprocess.Popen[str]
    home: Path
    url: str
    did: str
    peer: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port


def make_folder(wanted: Path | None) -> Path:
    """An empty folder for the demo. One that is there is emptied only if a demo made it."""
    if wanted is None:
        return Path(tempfile.mkdtemp(prefix="holo-demo-"))
    if wanted.exists() and any(wanted.iterdir()):
        if not (wanted / _MARKER).exists():
            raise DemoFailed(f"{wanted} is not empty and no demo's; give another --folder")
        shutil.rmtree(wanted)
    wanted.mkdir(parents=True, exist_ok=True)
    (wanted / _MARKER).touch()
    return wanted


def verb(home: Path, *words: str | Path, expect: int | None = 0) -> Ran:
    """Run ``holo --home HOME --json WORDS`` in this process. Raises :class:`DemoFailed` for another exit code."""
    from holo.cli.main import run

    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    args = ["--home", str(home), "--json", *map(str, words)]
    with _clean_environment(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(args)
    said = _text(out)
    if expect is not None and code != expect:
        raise DemoFailed(f"`holo {' '.join(args)}` ended with {code} instead of {expect}\n{said}{_text(err)}")
    try:
        value = json.loads(said)
    except ValueError:
        raise DemoFailed(f"`holo {' '.join(args)}` printed no JSON object\n{said}{_text(err)}") from None
    return Ran(code, value)


def verb_offline(folder: Path, outside: tuple[str, int], *words: str | Path) -> Ran:
    """Run a verb in a process of its own with networking denied, and shown to be denied."""
    host, port = outside
    args = [
        sys.executable,
        "-m",
        "holo.cli.demo.offline",
        host,
        str(port),
        "--home",
        str(folder / "stranger"),
        "--json",
    ]
    done = subprocess.run(
        [*_no_network(), *args, *map(str, words)], capture_output=True, text=True, timeout=60, env=_child_environment()
    )
    if DENIED_LINE not in done.stderr.splitlines():
        raise DemoFailed(f"networking was not denied: exit {done.returncode}\n{done.stdout}{done.stderr}")
    try:
        return Ran(done.returncode, json.loads(done.stdout))
    except ValueError:
        raise DemoFailed(f"exit {done.returncode}\n{done.stdout}{done.stderr}") from None


@contextmanager
def node_process(home: Path) -> Iterator[NodeProcess]:
    """A node on ``home`` and a free loopback port, stopped by its process id when the block ends."""
    args = [
        sys.executable,
        "-m",
        "holo",
        "--home",
        str(home),
        "--json",
        "node",
        "--http",
        "127.0.0.1:0",
        "--peers",
        "127.0.0.1:0",
    ]
    log = (home.parent / f"{home.name}.log").open("w")
    process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=log, text=True, env=_child_environment())
    try:
        ready = _ready_line(process, Path(log.name))
        yield NodeProcess(process, home, ready["url"], ready["node"], ready["peer"])
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
        log.close()


def _ready_line(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    import select

    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], _START_S)
    line = process.stdout.readline() if readable else ""
    try:
        value = json.loads(line)
    except ValueError:
        raise DemoFailed(f"the node did not start\n{log.read_text()}") from None
    assert isinstance(value, dict)
    return value


def _no_network() -> list[str]:
    """The command that gives a process an empty network namespace, where this system has it and lets us."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    command = [unshare, "--user", "--map-root-user", "--net", "--"]
    works = subprocess.run([*command, sys.executable, "-c", ""], capture_output=True).returncode == 0
    return command if works else []


def _child_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _ENVIRONMENT}


@contextmanager
def _clean_environment() -> Iterator[None]:
    """The user's own holo settings have no part in the play."""
    kept = {name: os.environ.pop(name) for name in _ENVIRONMENT if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


def require(holds: bool, what: str) -> None:
    """Raises :class:`DemoFailed` unless ``holds``."""
    if not holds:
        raise DemoFailed(what)
