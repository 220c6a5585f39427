"""Rivals and load generators, found on this machine or fetched from Debian; who is absent is absent by name.

As root they are installed with apt-get, without their services being started. Otherwise, and where that fails, the
packages and what they need are unpacked under ``build/bench/tools``. Where neither works the rows that need them say
so and the others go on.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bench.loading import BUILD

_PACKAGES: Final = {
    "nginx": "nginx-light",
    "docker-registry": "docker-registry",
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "valgrind": "valgrind",
}
_FOLDERS: Final = ("usr/sbin", "usr/bin", "sbin", "bin")
_ROOT: Final = BUILD / "tools"
_APT_S: Final = 300
_NO_SERVICES: Final = {"RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}  # at runlevel 1 nothing is started


class Absent(Exception):
    """A tool this machine does not have and could not get; the text says why."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program and the environment it runs in."""

    path: Path
    env: dict[str, str]

    def version(self, *args: str) -> str:
        """The first version number among what the program says when called with ``args``."""
        said = subprocess.run([self.path, *args], env=self.env, capture_output=True, text=True, check=False, timeout=60)
        found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
        return found[0] if found else "unknown"


@cache
def find_tool(name: str) -> Tool:
    """The program ``name``, installed if it is not here. Raises :class:`Absent`."""
    found = _find(name)
    if found is not None:
        return found
    if shutil.which("apt-get") is None:
        raise Absent(f"{name} is not installed and there is no apt-get")
    said = ""
    if os.geteuid() == 0:
        said = _install(_PACKAGES[name])
    found = _find(name)
    if found is None:
        said = _unpack(_PACKAGES[name])
        found = _find(name)
    if found is None:
        raise Absent(f"{name} is not installed and apt-get did not bring it: {said}")
    return found


def _find(name: str) -> Tool | None:
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is not None:
        return Tool(Path(path), dict(os.environ))
    for folder in _FOLDERS:
        unpacked = _ROOT / folder / name
        if unpacked.exists():
            libraries = ":".join(str(item) for item in sorted(_ROOT.glob("**/*-linux-gnu")))
            return Tool(unpacked, {**os.environ, "LD_LIBRARY_PATH": libraries})
    return None


def _install(package: str) -> str:
    said = _apt("install", "-y", "--no-install-recommends", package)
    if said:
        _apt("update")
        said = _apt("install", "-y", "--no-install-recommends", package)
    return said


def _unpack(package: str) -> str:
    """Unpack ``package`` and whatever it needs and is not here; what went wrong, or nothing."""
    plan = subprocess.run(
        ["apt-get", "--simulate", "install", "--no-install-recommends", package],
        capture_output=True,
        text=True,
        check=False,
        timeout=_APT_S,
    )
    needed = re.findall(r"^Inst (\S+)", plan.stdout, re.MULTILINE)
    if not needed:
        return _last_line(plan.stderr) or f"there is no package {package}"
    _ROOT.mkdir(parents=True, exist_ok=True)
    said = _apt("download", *needed, cwd=_ROOT)
    for archive in sorted(_ROOT.glob("*.deb")):
        subprocess.run(["dpkg", "-x", archive, _ROOT], check=False, timeout=_APT_S)
        archive.unlink()
    return said


def _apt(*args: str, cwd: Path | None = None) -> str:
    """Run apt-get; the last thing it said where it failed, otherwise nothing."""
    try:
        done = subprocess.run(
            ["apt-get", *args],
            env={**os.environ, **_NO_SERVICES},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_APT_S,
        )
    except subprocess.TimeoutExpired:
        return f"apt-get {args[0]} took more than {_APT_S} s"
    return _last_line(done.stderr) or f"apt-get ended with {done.returncode}" if done.returncode else ""


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
