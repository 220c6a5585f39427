"""What nodes have shown this home's owner: the newest head of each, held against what it shows later.

``seen/`` has one file for each node, the envelope of a head. It is bounded: where there are more nodes than are
remembered, the one heard of longest ago goes. Beside them lies evidence against nodes that signed two truths.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holo.core import limits
from holo.core.cid import Cid
from holo.core.errors import HoloError
from holo.core.head import Head, open_head
from holo.core.keys import Kid, did_of
from holo.store.home import Home, files_in, make_private_folder, read_small, write_atomically

NODES: Final = 512
EVIDENCE: Final = 64
_FILE_BYTES: Final = limits.HEAD_BYTES + limits.ENVELOPE_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Seen:
    """A head that a node showed, and its envelope."""

    head: Head
    envelope: bytes


class SeenHeads:
    """What a home has seen. Nothing is made before there is something to remember."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._folder = home.path / "seen"

    def newest(self, node: Kid) -> Seen | None:
        """The newest head seen of ``node``, its signature verified; None where there is none, or none that is good."""
        try:
            envelope = read_small(self._path(node), _FILE_BYTES)
            head = None if envelope is None else open_head(envelope)
        except HoloError:
            return None
        return None if head is None or envelope is None or head.signer != node else Seen(head, envelope)

    def remember(self, shown: Seen, instead_of: Seen | None) -> None:
        """Keep ``shown`` durably, unless another process has meanwhile replaced the head it was judged by."""
        node = shown.head.signer
        with self._locked():
            known = self.newest(node)
            if (known and known.head.id) != (instead_of and instead_of.head.id):
                return
            if known is None:
                self._make_room()
            write_atomically(self._path(node), shown.envelope)

    def keep_evidence(self, evidence: Cid, data: bytes) -> Path:
        """Keep evidence; returns its file. Beyond so many pieces the file is not written."""
        path = self._folder / f"{evidence!s}.evidence"
        with self._locked():
            if len(list(files_in(self._folder, ".evidence"))) < EVIDENCE:
                write_atomically(path, data, 0o644)
        return path

    def _make_room(self) -> None:
        files = list(files_in(self._folder, ".head"))
        for path in sorted(files, key=lambda path: path.stat().st_mtime_ns)[: max(0, len(files) - NODES + 1)]:
            path.unlink(missing_ok=True)

    def _path(self, node: Kid) -> Path:
        return self._folder / f"{did_of(node).removeprefix('did:key:')}.head"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_private_folder(self._home.create().path / "seen")
        fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)
