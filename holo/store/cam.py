"""The content-addressed store: blocks by CID, in an environment of their own (spec section 7).

Owns the environment ``cam``: ``blocks`` maps a CID to the bytes it names, at most 1 MiB, and ``totals`` counts them.

- Nothing is stored that is not what its CID names; what is served is not hashed again, its receiver does that.
- :meth:`Cam.put_path` stores a block only after everything it links to, so that a root it stored has its whole content
  behind it. It holds the write transaction only while a batch is committed, never while it reads, and does nothing
  twice: after a failure the same call goes on where the other ended.
- Storing a block heals it: bytes that were spoiled under its CID are replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from holo.core import manifest
from holo.core.cid import Cid
from holo.core.errors import Missing, Rejected, StoreFailed
from holo.core.limits import BLOCK_BYTES, CAM_BATCH_BLOCKS, CAM_BATCH_BYTES, CAM_VERIFY_BLOCKS
from holo.core.manifest import Block
from holo.store import extraction
from holo.store.environment import Environment
from holo.store.intake import Content, Report, take_in

_BLOCKS = "blocks"
_TOTALS = "totals"
_BYTES = b"bytes"


class CamStat(NamedTuple):
    """How many blocks there are, how many bytes they hold, and how much room is left."""

    blocks: int
    blocks_bytes: int
    free_bytes: int


class Cam:
    """The blocks in the environment at ``path``. Any thread may read; writers wait for each other."""

    def __init__(self, path: Path, *, map_bytes: int, free_reserve_bytes: int, readonly: bool = False) -> None:
        self._environment = Environment(
            path,
            (_BLOCKS, _TOTALS),
            map_bytes=map_bytes,
            free_reserve_bytes=free_reserve_bytes,
            readonly=readonly,
        )

    def close(self) -> None:
        """Give up the environment."""
        self._environment.close()

    def has(self, cid: Cid) -> bool:
        """Whether the block is here."""
        with self._environment.read() as reader:
            return reader.contains(_BLOCKS, cid)

    def get(self, cid: Cid) -> bytes | None:
        """The block as it was stored, or None."""
        with self._environment.read() as reader:
            return reader.get(_BLOCKS, cid)

    def put(self, cid: Cid, data: bytes) -> bool:
        """Store a block durably; False if it was here. Raises ``too-large``, ``cid-mismatch`` or ``no-space``."""
        if len(data) > BLOCK_BYTES:
            raise Rejected("too-large", f"block of {len(data)} bytes where at most {BLOCK_BYTES} are allowed")
        if not cid.matches(data):
            raise Rejected("cid-mismatch", f"{len(data)} bytes", subject=str(cid))
        if self.get(cid) == data:
            return False
        self._store({cid: data})
        return True

    def put_path(self, path: Path, report: Report | None = None) -> Content:
        """Store the file or folder at ``path``; its CID, size and number of files.

        Raises what :func:`~holo.store.intake.take_in` raises, ``no-space`` or ``store-failed``; blocks stored until
        then stay.
        """
        batch = _Batch(self)
        content = take_in(path, batch.keep, report)
        batch.flush()
        return content

    def read_content(self, cid: Cid) -> Iterator[bytes]:
        """The bytes of a file in order, each piece verified, the whole once it was all given out.

        Raises :class:`Missing` naming a block that is not here, ``store-corrupt`` for one that is spoiled,
        ``manifest-invalid``, or ``type-mismatch`` for a folder.
        """
        with _owning_up():
            yield from manifest.read_content(cid, self._fetch)

    def extract(self, cid: Cid, destination: Path) -> Content:
        """Write a file or folder to ``destination``: see :func:`holo.store.extraction.extract`."""
        with _owning_up():
            return extraction.extract(cid, destination, self._fetch)

    def stat(self) -> CamStat:
        """Counted as blocks are stored, not by looking at them."""
        with self._environment.read() as reader:
            total = int.from_bytes(reader.get(_TOTALS, _BYTES) or b"", "big")
            return CamStat(reader.count(_BLOCKS), total, self._environment.free_bytes())

    def verify(self) -> Iterator[Cid]:
        """Hash every block; the CIDs of those that are spoiled. Others may write meanwhile."""
        start = b""
        while True:
            checked = 0
            spoiled = []
            # A snapshot holds on to pages that were replaced since: none is kept for longer than a few blocks.
            with self._environment.read() as reader:
                for key, data in reader.range(_BLOCKS, start, limit=CAM_VERIFY_BLOCKS):
                    checked += 1
                    start = key + b"\0"
                    if not Cid(key).matches(data):
                        spoiled.append(Cid(key))
            yield from spoiled
            if checked < CAM_VERIFY_BLOCKS:
                return

    def _store(self, blocks: Mapping[Cid, bytes]) -> None:
        """Store blocks that are known to be what their CIDs name, in one durable transaction."""
        with self._environment.write() as writer:
            total = int.from_bytes(writer.get(_TOTALS, _BYTES) or b"", "big")
            for cid, data in blocks.items():
                held = writer.get(_BLOCKS, cid)
                if held != data:
                    writer.put(_BLOCKS, cid, data)
                    total += len(data) - len(held or b"")
            writer.put(_TOTALS, _BYTES, total.to_bytes(8, "big"))

    def _fetch(self, cid: Cid) -> bytes:
        data = self.get(cid)
        if data is None:
            raise Missing("not-found", f"block {cid} is not here", subject=str(cid))
        return data


class _Batch:
    """Blocks on their way into the store, committed a batch at a time, in the order they came."""

    def __init__(self, cam: Cam) -> None:
        self._cam = cam
        self._blocks: dict[Cid, bytes] = {}
        self._size_bytes = 0

    def keep(self, block: Block) -> None:
        """Take a block, unless it is here; commit if the batch is full."""
        if block.cid in self._blocks or self._cam.get(block.cid) == block.data:
            return
        self._blocks[block.cid] = block.data
        self._size_bytes += len(block.data)
        if self._size_bytes >= CAM_BATCH_BYTES or len(self._blocks) >= CAM_BATCH_BLOCKS:
            self.flush()

    def flush(self) -> None:
        """Commit what was taken."""
        if self._blocks:
            self._cam._store(self._blocks)
            self._blocks = {}
            self._size_bytes = 0


@contextmanager
def _owning_up() -> Iterator[None]:
    """A block that is not what its CID names is the store's fault here, not the reader's."""
    try:
        yield
    except Rejected as error:
        if error.code == "cid-mismatch":
            raise StoreFailed("store-corrupt", f"block {error.subject} is spoiled", subject=error.subject) from error
        raise
