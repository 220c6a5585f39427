"""Files and folders of this machine as contents: read, cut into blocks, named (spec section 7).

Everything that asks which CID a path has goes through :func:`take_in`: storing it, comparing it with a release, or only
saying what it would be. What becomes of the blocks is the caller's: :func:`identify` keeps none.

- A folder becomes a pack of its regular files, what ``.holoignore`` and version control have in it left out. A symbolic
  link, a socket or a device that is not left out is refused, and never followed or opened.
- What is read is what was there at one time: a file that is seen to change meanwhile is refused. (A change that leaves
  size, times and inode alone is not seen; the CID is that of the bytes read in any case.)
- Blocks come in an order in which each comes before those that link to it; the last is the content's own.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from holo.core.cid import Cid
from holo.core.errors import HoloError, Missing, Rejected
from holo.core.ignore import FILE_NAME, Ignore
from holo.core.limits import BLOCK_BYTES, IGNORE_FILE_BYTES, PACK_ENTRIES
from holo.core.manifest import Block, ManifestBuilder
from holo.core.pack import Entry, build_pack
from holo.core.pack_path import bad_path, check_path, is_version_control

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO put in a file's place must not block


class Content(NamedTuple):
    """What a path holds: its CID, the bytes of its files together, and how many files."""

    cid: Cid
    size_bytes: int
    files: int


class Progress(NamedTuple):
    """How far the reading is: ``path`` is the file being read, from the top of the folder."""

    done_bytes: int
    total_bytes: int
    path: str


Keep: TypeAlias = Callable[[Block], None]
Report: TypeAlias = Callable[[Progress], None]


def identify(path: Path, report: Report | None = None) -> Content:
    """What :func:`take_in` would say of ``path``, nothing being kept."""
    return take_in(path, lambda block: None, report)


def take_in(path: Path, keep: Keep, report: Report | None = None) -> Content:
    """Read the file or folder at ``path``, give each block to ``keep`` and say what it is. ``path`` may be a link.

    Raises :class:`Missing` ``not-found``, or :class:`Rejected` ``path-invalid``, ``ignore-invalid``, ``file-changed``,
    ``file-unreadable`` or ``too-large``.
    """
    try:
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise Missing("not-found", f"no file or folder {path}", subject=str(path)) from None
    except OSError as error:
        raise _unreadable(path, error) from error
    if stat.S_ISREG(about.st_mode):
        reading = _Reading(keep, report, about.st_size)
        entry = reading.read_file(path, path.name, links=True)
        return Content(entry.cid, entry.size_bytes, 1)
    if not stat.S_ISDIR(about.st_mode):
        raise bad_path(str(path), "is neither a file nor a folder")
    found = sorted(_list_files(path))
    reading = _Reading(keep, report, sum(size for _, size in found))
    entries = [reading.read_file(path / name, name) for name, _ in found]
    blocks = build_pack(entries)
    for block in blocks:
        keep(block)
    return Content(blocks[-1].cid, sum(entry.size_bytes for entry in entries), len(entries))


class _Reading:
    """One run through some files."""

    def __init__(self, keep: Keep, report: Report | None, total_bytes: int) -> None:
        self._keep = keep
        self._report = report
        self._total_bytes = total_bytes
        self._done_bytes = 0

    def read_file(self, path: Path, name: str, *, links: bool = False) -> Entry:
        """Cut one file into blocks; its entry under ``name``."""
        builder = ManifestBuilder()
        descriptor, before = _open_file(path, links=links)
        try:
            while data := os.read(descriptor, BLOCK_BYTES):
                self._keep_all(builder.feed(data))
                if builder.size_bytes > before.st_size:
                    break
                self._advance(len(data), name)
            after = os.fstat(descriptor)
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            os.close(descriptor)
        if builder.size_bytes != before.st_size or _version(after) != _version(before):
            raise _changed(path)
        blocks = builder.finish()
        self._keep_all(blocks)
        return Entry(name, blocks[-1].cid, builder.size_bytes, bool(before.st_mode & stat.S_IXUSR))

    def _keep_all(self, blocks: list[Block]) -> None:
        for block in blocks:
            self._keep(block)

    def _advance(self, read_bytes: int, name: str) -> None:
        self._done_bytes += read_bytes
        if self._report is not None:
            self._report(Progress(self._done_bytes, self._total_bytes, name))


def _list_files(root: Path) -> Iterator[tuple[str, int]]:
    """Path from ``root`` and size of each file that belongs to its pack."""
    ignore = _read_ignore(root)
    waiting = [""]
    count = 0
    while waiting:
        prefix = waiting.pop()
        for item in _scan(root / prefix):
            path = prefix + item.name
            is_folder = item.is_dir(follow_symlinks=False)
            if is_version_control(item.name) or ignore.leaves_out(path, is_folder=is_folder):
                continue
            if is_folder:
                waiting.append(f"{path}/")
                continue
            check_path(path)
            if not item.is_file(follow_symlinks=False):
                kind = "a symbolic link" if item.is_symlink() else "neither a file nor a folder"
                raise bad_path(path, f"is {kind}; remove it, or leave it out with {FILE_NAME}")
            count += 1
            if count > PACK_ENTRIES:
                raise Rejected("too-large", f"{root} has more than {PACK_ENTRIES} files")
            yield path, _size(root / path, item)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return list(items)
    except (FileNotFoundError, NotADirectoryError):
        raise _changed(folder) from None
    except OSError as error:
        raise _unreadable(folder, error) from error


def _size(path: Path, item: os.DirEntry[str]) -> int:
    try:
        return item.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        raise _changed(path) from None
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_ignore(root: Path) -> Ignore:
    """The rules at the top of ``root``; none where it has no such file."""
    path = root / FILE_NAME
    if not path.is_file() or path.is_symlink():  # a link is refused, with its name, when the folder is listed
        return Ignore()
    descriptor, _ = _open_file(path)
    try:
        with os.fdopen(descriptor, "rb") as file:
            return Ignore.parse(file.read(IGNORE_FILE_BYTES + 1))
    except OSError as error:
        raise _unreadable(path, error) from error
    except Rejected as error:
        error.subject = str(path)
        raise


def _open_file(path: Path, *, links: bool = False) -> tuple[int, os.stat_result]:
    """A descriptor of a regular file and what it was when opened."""
    try:
        descriptor = os.open(path, _OPEN_FLAGS if links else _OPEN_FLAGS | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):  # it was a file when listed
            raise _changed(path) from error
        raise _unreadable(path, error) from error
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        os.close(descriptor)
        raise _changed(path)
    return descriptor, about


def _version(about: os.stat_result) -> tuple[int, ...]:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def _changed(path: Path) -> HoloError:
    return Rejected("file-changed", f"{path} changed while it was being read", subject=str(path))


def _unreadable(path: Path, error: OSError) -> HoloError:
    return Rejected("file-unreadable", f"{path}: {error.strerror}", subject=str(path))
