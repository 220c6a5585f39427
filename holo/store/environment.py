"""The one way an LMDB environment is opened, read and written (architecture: one home, one writer).

Owns an environment: its files, its named databases and the promise that what was committed is on the disk.

- A commit is durable when it returns: LMDB's default mode, which syncs the pages, then writes the meta page through a
  descriptor opened with O_DSYNC. Nothing here weakens it; on macOS, where all of that stops at the drive's cache, the
  drive is told to empty its cache as well.
- The map is address space, reserved whole when the environment is opened and never resized: resizing under readers
  kills them. The file grows only by what is written.
- A write is refused with ``no-space`` while the file system or the map has less room than the reserve, before LMDB can
  run into the end of either. The reserve is what the one transaction that is then under way may still take.
- After a commit failed for any reason but lack of room, what is on the disk is not known: every later write raises
  :class:`StoreFailed` until the process is started again.

Reads are snapshots, cost about two microseconds to begin and never wait for the writer.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import lmdb

from holo.core.errors import HoloError, Missing, Overloaded, StoreFailed
from holo.core.limits import STORE_READERS
from holo.store.turn import Turn

KEY_BYTES_MAX: Final = 511  # fixed when LMDB is compiled

_FORMAT: Final = 0  # LMDB 0.9, data format 1: what every other tool reads
_GATHERED_MAX: Final = 8192  # puts of one database that a transaction holds back
_ROWS_AT_ONCE: Final = 64  # between them, whoever answers may go first
_NEVER_WRITTEN_PAGES: Final = 256
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Environment:
    """An LMDB environment in the directory ``path`` with the named ``databases``, all made when it is first opened.

    ``map_bytes`` bounds the data file. ``free_reserve_bytes`` is the room below which writes are refused. With
    ``readonly`` nothing is created, and a store that is not there is :class:`Missing`. A write transaction gives way at
    every step while ``turn`` is taken.
    """

    def __init__(
        self,
        path: Path,
        databases: Sequence[str],
        *,
        map_bytes: int,
        free_reserve_bytes: int,
        readonly: bool = False,
        turn: Turn | None = None,
    ) -> None:
        self.path = path
        self.turn = turn or Turn()
        self._free_reserve_bytes = free_reserve_bytes
        self._failure: str | None = None
        if readonly and not (path / "data.mdb").exists():
            raise Missing("not-found", f"no store in {path}", subject=str(path))
        try:
            created = not readonly and _make_directory(path)
            self._env = lmdb.Environment(
                os.fspath(path),
                map_size=map_bytes,
                readonly=readonly,
                mode=0o700,
                max_dbs=len(databases),
                max_readers=STORE_READERS,
                lib_version=_FORMAT,
            )
        except lmdb.Error as error:
            raise _opening_failure(path, error) from error
        except OSError as error:
            raise StoreFailed("store-failed", f"{path}: {error}") from error
        try:
            self._env.reader_check()  # slots of readers that died would pin their pages for ever
            self._page_bytes: int = self._env.stat()["psize"]
            self._require_whole()
            self._databases: dict[str, Any] = {
                name: self._env.open_db(name.encode("ascii"), create=not readonly) for name in databases
            }
            if created:
                _sync_directory(path)
                _sync_directory(path.parent)
        except StoreFailed:
            self._env.close()
            raise
        except (lmdb.Error, OSError) as error:
            self._env.close()
            raise _opening_failure(path, error) from error

    def read(self) -> Reader:
        """A snapshot of the last commit, for one ``with`` block. Any thread, any number up to ``STORE_READERS``."""
        return Reader(self._env, self._databases)

    def write(self) -> AbstractContextManager[Writer]:
        """The write transaction, for one ``with`` block in one thread; others wait for it.

        Left cleanly, it is committed and on the disk; left by an exception, nothing of it remains. Raises
        :class:`Overloaded` ``no-space``, then nothing was changed, or :class:`StoreFailed`.
        """
        return Writer(self, self._env, self._databases)

    def free_bytes(self) -> int:
        """Room left: that of the file system or that of the map, whichever is less. Pages LMDB can reuse are extra."""
        try:
            disk = os.statvfs(self.path)
            info = self._env.info()
        except (lmdb.Error, OSError) as error:
            raise StoreFailed("store-failed", f"{self.path}: {error}") from error
        return min(disk.f_bavail * disk.f_frsize, info["map_size"] - (info["last_pgno"] + 1) * self._page_bytes)

    def close(self) -> None:
        """Give up the environment. Readers that are still open become useless; a writer is waited for."""
        self._env.close()

    def require_room(self) -> None:
        """Raises ``no-space`` while there is less room than the reserve."""
        free = self.free_bytes()
        if free < self._free_reserve_bytes:
            raise Overloaded("no-space", f"{free} bytes free where {self._free_reserve_bytes} are kept in reserve")

    def require_sound(self) -> None:
        """Raises ``store-failed`` once a commit has failed."""
        if self._failure is not None:
            raise StoreFailed("store-failed", f"an earlier commit failed: {self._failure}")

    def commit(self, txn: lmdb.Transaction[bytes]) -> None:
        """Commit ``txn`` durably, or raise and leave the last commit as it was."""
        try:
            txn.commit()
            _flush_drive(self.path)
        except OSError as error:
            self._failure = str(error)
            raise StoreFailed("store-failed", self._failure) from error
        except lmdb.Error as error:
            refusal = self._no_room(error)
            if refusal is not None and self._accepts_writes():
                raise refusal from error
            self._failure = str(error)
            raise StoreFailed("store-failed", self._failure) from error

    def _require_whole(self) -> None:
        """Raises ``store-corrupt`` for a data file that is cut off, as by a copy that broke off.

        LMDB maps the file: reading a page that is not there would end the process with SIGBUS. The last pages in use
        may never have been written, if what took them let go of them at once; so some may be missing.
        """
        used_bytes = (self._env.info()["last_pgno"] + 1) * self._page_bytes
        size_bytes = (self.path / "data.mdb").stat().st_size
        if used_bytes - size_bytes > _NEVER_WRITTEN_PAGES * self._page_bytes:
            raise StoreFailed("store-corrupt", f"{self.path} is cut off: {size_bytes} bytes of {used_bytes}")

    def _no_room(self, error: lmdb.Error) -> Overloaded | None:
        """The refusal, if lack of room is why a commit failed.

        The write that takes the last of a disk is carried out in part, and LMDB calls any such write EIO.
        """
        refusal = _failure(error)
        if isinstance(refusal, Overloaded):
            return refusal
        if error.code == errno.EIO and self.free_bytes() < self._page_bytes:
            return Overloaded("no-space", "the disk is full")
        return None

    def _accepts_writes(self) -> bool:
        """Whether LMDB goes on after a failed commit, which it does not if it was writing the meta page."""
        try:
            self._env.begin(write=True).abort()
        except lmdb.Error:
            return False
        return True


class Reader:
    """A snapshot. Values are copies and outlive it; iterators do not."""

    __slots__ = ("_databases", "_env", "_txn")

    _txn: lmdb.Transaction[bytes]

    def __init__(self, env: lmdb.Environment, databases: dict[str, Any]) -> None:
        self._env = env
        self._databases = databases

    def __enter__(self) -> Self:
        try:
            self._txn = self._env.begin()
        except lmdb.ReadersFullError as error:
            raise Overloaded("overloaded", str(error)) from error
        except lmdb.Error as error:
            raise _failure(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end().abort()

    def _end(self) -> lmdb.Transaction[bytes]:
        """Let go of the transaction: py-lmdb keeps its slot in the reader table for as long as the object lives."""
        txn = self._txn
        del self._txn
        return txn

    @property
    def commit(self) -> int:
        """The number of the last commit that it shows; each has its own."""
        number: int = self._txn.id()
        return number

    def get(self, db: str, key: bytes) -> bytes | None:
        """The value of ``key``, which is not empty."""
        try:
            return self._txn.get(key, db=self._databases[db])
        except lmdb.Error as error:
            raise _failure(error) from error

    def contains(self, db: str, key: bytes) -> bool:
        """Whether ``key`` is there, without copying its value."""
        try:
            return self._txn.cursor(self._databases[db]).set_key(key)
        except lmdb.Error as error:
            raise _failure(error) from error

    def range(
        self, db: str, start: bytes, stop: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with ``start`` ≤ key < ``stop`` in bytewise order, or ``reverse``, at most ``limit`` of them.

        An empty ``start`` and a ``stop`` of None are the ends. A writer must not change ``db`` while it iterates.
        """
        try:
            cursor = self._txn.cursor(self._databases[db])
            if not (_seek_last(cursor, stop) if reverse else cursor.set_range(start)):
                return
            for count, (key, value) in enumerate(cursor.iterprev() if reverse else cursor.iternext()):
                if count == limit or (key < start if reverse else stop is not None and key >= stop):
                    return
                yield key, value
        except lmdb.Error as error:
            raise _failure(error) from error

    def last(self, db: str, prefix: bytes) -> tuple[bytes, bytes] | None:
        """The greatest key that starts with ``prefix``, and its value."""
        return next(self.range(db, prefix, after_prefix(prefix), reverse=True), None)

    def count(self, db: str) -> int:
        """How many keys ``db`` holds."""
        try:
            return self._txn.stat(self._databases[db])["entries"]
        except lmdb.Error as error:
            raise _failure(error) from error


class Writer(Reader):
    """The write transaction. It reads what it has written. Bound to the thread that opened it.

    What is put is gathered and goes to LMDB when it has to, a database at a time and in order of key, which costs a
    fraction of what the same puts cost as they come.
    """

    __slots__ = ("_environment", "_failed", "_gathered", "_thread", "_turn")

    def __init__(self, environment: Environment, env: lmdb.Environment, databases: dict[str, Any]) -> None:
        super().__init__(env, databases)
        self._environment = environment
        self._turn = environment.turn
        self._failed: HoloError | None = None
        self._gathered: dict[str, dict[bytes, bytes]] = {name: {} for name in databases}
        self._thread = 0

    def __enter__(self) -> Self:
        self._environment.require_sound()
        self._environment.require_room()
        try:
            self._txn = self._env.begin(write=True)
        except lmdb.Error as error:
            raise _failure(error) from error
        self._thread = threading.get_ident()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread == threading.get_ident(), "a write transaction left by another thread"
        try:
            if kind is None:
                self._finish()
        except BaseException:
            self._end().abort()
            raise
        txn = self._end()
        if kind is None:
            self._environment.commit(txn)
        else:
            txn.abort()

    def _finish(self) -> None:
        """Write what is still gathered. Raises the refusal of an earlier write that the caller swallowed."""
        if self._failed is not None:
            raise self._failed
        for db in self._gathered:
            self._write_gathered(db)

    def get(self, db: str, key: bytes) -> bytes | None:
        """The value of ``key``, which is not empty."""
        if self._turn.taken:
            self._turn.give_way()
        found = self._gathered[db].get(key)
        return super().get(db, key) if found is None else found

    def contains(self, db: str, key: bytes) -> bool:
        """Whether ``key`` is there."""
        return key in self._gathered[db] or super().contains(db, key)

    def range(
        self, db: str, start: bytes, stop: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """As :meth:`Reader.range`, what was put included."""
        self._write_gathered(db)
        return super().range(db, start, stop, reverse=reverse, limit=limit)

    def count(self, db: str) -> int:
        """How many keys ``db`` holds."""
        self._write_gathered(db)
        return super().count(db)

    def put(self, db: str, key: bytes, value: bytes) -> None:
        """Set ``key`` to ``value``. That there is no room may only show later in the transaction, or at its end."""
        if self._turn.taken:
            self._turn.give_way()
        assert 0 < len(key) <= KEY_BYTES_MAX, f"key of {len(key)} bytes"
        assert self._thread == threading.get_ident(), "a write transaction used by another thread"
        gathered = self._gathered[db]
        gathered[key] = value
        if len(gathered) >= _GATHERED_MAX:
            self._write_gathered(db)

    def delete(self, db: str, key: bytes) -> bool:
        """Remove ``key``; False if it was not there."""
        assert self._thread == threading.get_ident(), "a write transaction used by another thread"
        was_gathered = self._gathered[db].pop(key, None) is not None
        try:
            return self._txn.delete(key, db=self._databases[db]) or was_gathered
        except lmdb.Error as error:
            self._failed = _failure(error)
            raise self._failed from error

    def _write_gathered(self, db: str) -> None:
        gathered = self._gathered[db]
        if not gathered:
            return
        rows = sorted(gathered.items())
        try:
            for at in range(0, len(rows), _ROWS_AT_ONCE):
                if self._turn.taken:
                    self._turn.give_way()
                self._txn.cursor(self._databases[db]).putmulti(rows[at : at + _ROWS_AT_ONCE])
        except lmdb.Error as error:
            self._failed = _failure(error)
            raise self._failed from error
        gathered.clear()


def after_prefix(prefix: bytes) -> bytes | None:
    """The least key above every key that starts with ``prefix``; None where there is none."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes((head[-1] + 1,)) if head else None


def _seek_last(cursor: lmdb.Cursor[bytes], stop: bytes | None) -> bool:
    """Put ``cursor`` on the greatest key below ``stop``."""
    if stop is not None and cursor.set_range(stop):
        return cursor.prev()
    return cursor.last()


def _failure(error: lmdb.Error) -> HoloError:
    if isinstance(error, lmdb.MapFullError) or error.code in _NO_ROOM:
        return Overloaded("no-space", str(error))
    if isinstance(error, lmdb.CorruptedError | lmdb.PageNotFoundError):
        return StoreFailed("store-corrupt", str(error))
    return StoreFailed("store-failed", str(error))


def _opening_failure(path: Path, error: Exception) -> HoloError:
    if isinstance(error, lmdb.VersionMismatchError | lmdb.NotFoundError):
        return StoreFailed("store-version", f"{path}: {error}")
    if isinstance(error, lmdb.InvalidError):
        return StoreFailed("store-corrupt", f"{path}: {error}")
    if isinstance(error, lmdb.Error):
        return _failure(error)
    return StoreFailed("store-failed", f"{path}: {error}")


def _make_directory(path: Path) -> bool:
    """Make ``path`` unless it is there; whether the store in it will be a new one."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return not (path / "data.mdb").exists()


def _flush_drive(path: Path) -> None:
    """On macOS, wait until the drive has written what it was given: fcntl(2) there, F_FULLFSYNC."""
    if sys.platform == "darwin":
        descriptor = os.open(path / "data.mdb", os.O_RDONLY)
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        finally:
            os.close(descriptor)


def _sync_directory(path: Path) -> None:
    """Make the names in ``path`` durable: a synced file whose name is lost is lost."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
