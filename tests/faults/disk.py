"""A file system of its own, small enough to fill, that can be made read-only under a running process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_BALLAST = ".ballast"
_PART_BYTES = 64 * 1024


class Disk:
    """A mounted file system at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def free_bytes(self) -> int:
        """Room left for everybody."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Let something else take what is free, but for ``leave_bytes``, rounded down to a whole part."""
        with open(self.path / _BALLAST, "ab", buffering=0) as file:
            while self.free_bytes() - leave_bytes >= _PART_BYTES:
                file.write(bytes(_PART_BYTES))

    def clear(self) -> None:
        """Let it give that back."""
        (self.path / _BALLAST).unlink()

    def remount(self, mode: str) -> None:
        """``ro`` or ``rw``."""
        subprocess.run(["mount", "-o", f"remount,{mode}", self.path], check=True)


@contextmanager
def mounted(path: Path, size_bytes: int) -> Iterator[Disk]:
    """A file system in memory at ``path`` for the length of the block; skips the test where that may not be done."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "tmpfs", path], check=False)
    if done.returncode != 0:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", path], check=True)
