"""The outbox: records that were signed here and that no node has answered for yet.

A record is saved before it is first sent and dropped once a node has taken or refused it. Whoever tries again sends
these very bytes: signing the same intent twice would be two statements of one revision, which nobody could tell apart
from a quarrel.

``signed/`` keeps the last record that a node took for a name, of a bounded number of names. Another node, asked next,
may not have it yet; whoever signs for that node must not take its revision again.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from blake3 import blake3

from holo.core import codec, limits
from holo.core.binding import Binding, open_binding, parse_binding
from holo.core.cid import Cid
from holo.core.envelope import Record
from holo.core.names import Name
from holo.store.home import Home, files_in, make_private_folder, read_small, write_atomically

SETTLED: Final = 4096
_SUFFIX: Final = ".record"
_FILE_BYTES: Final = limits.ENDORSEMENTS_PER_RECORD * (limits.BINDING_BYTES + 2 * limits.ENVELOPE_OVERHEAD_BYTES)


class Outbox:
    """The outbox of a home."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def save(self, record: Record) -> None:
        """Keep ``record``, durably."""
        make_private_folder(self._home.create().outbox)
        write_atomically(self._path(record.statement.id), codec.encode(record.envelopes()))

    def waiting(self, name: Name) -> list[tuple[Binding, Record]]:
        """What waits here for ``name``, its signatures verified, lowest revision first."""
        found = []
        for path in files_in(self._home.outbox, _SUFFIX):
            data = read_small(path, _FILE_BYTES)
            if data is None:  # another process has just sent it
                continue
            binding, record = open_binding(codec.decode(data, _FILE_BYTES))
            if (binding.name.namespace, binding.name.path) == (name.namespace, name.path):
                found.append((binding, record))
        return sorted(found, key=lambda item: item[0].rev)

    def drop(self, statement: Cid) -> None:
        """Forget a record: a node has answered for it."""
        self._path(statement).unlink(missing_ok=True)

    def settle(self, record: Record) -> None:
        """A node has taken a record: remember it as the last one for its name.

        Nothing is waited for: what a crash undoes is in the outbox again, and sent again.
        """
        binding = parse_binding(record.statement)
        folder, path = self._home.path / "signed", self._settled(binding.name)
        before = self.last(binding.name)
        if before is not None and before[0].rev > binding.rev:
            self.drop(record.statement.id)
            return
        make_private_folder(folder)
        if before is None:
            files = list(files_in(folder, _SUFFIX))
            for old in sorted(files, key=lambda file: file.stat().st_mtime_ns)[: max(0, len(files) - SETTLED + 1)]:
                old.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another process has sent the very same
            self._path(record.statement.id).replace(path)

    def last(self, name: Name) -> tuple[Binding, Record] | None:
        """The last record that a node took for ``name``, its signatures verified; None where none is remembered."""
        data = read_small(self._settled(name), _FILE_BYTES)
        return None if data is None else open_binding(codec.decode(data, _FILE_BYTES))

    def _settled(self, name: Name) -> Path:
        digest = blake3(f"{name.namespace}/{name.path}".encode()).hexdigest()
        return self._home.path / "signed" / f"{digest}{_SUFFIX}"

    def _path(self, statement: Cid) -> Path:
        return self._home.outbox / f"{statement!s}{_SUFFIX}"
