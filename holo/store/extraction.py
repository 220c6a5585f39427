"""Contents as files and folders of this machine, written so that nothing but the destination can change.

- Nothing is at the destination until all of it is: it is written beside it, in a folder nobody else can enter, and
  then renamed. What fails leaves nothing behind.
- Every block is verified before it is written, and the whole before it is renamed.
- Every path was checked when the pack was opened; every file is made new and no link is followed, since there is none.
- A file is replaced, a link at the destination too and not what it points to; a folder goes only where there is nothing
  or an empty folder.

A single file is synced before it is renamed; a folder's are not, its content being in the store.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from holo.core import codec, manifest, pack
from holo.core.cid import RAW, Cid
from holo.core.errors import HoloError, Missing, Overloaded, Rejected
from holo.core.limits import BLOCK_BYTES
from holo.core.manifest import Fetch, read_content
from holo.core.pack import Entry, open_pack
from holo.core.pack_path import bad_path
from holo.store.intake import Content

_CREATE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR})


def extract(cid: Cid, destination: Path, fetch: Fetch) -> Content:
    """Write the file or folder that ``cid`` names to ``destination``, whose parent is there.

    Raises :class:`Missing` for a block that is not here, what :func:`read_content` and :func:`open_pack` raise,
    ``type-mismatch`` for an object that is no content, ``path-invalid`` where this file system cannot hold a path,
    ``path-exists``, ``path-unwritable`` or ``no-space``.
    """
    if _is_pack(cid, fetch):
        entries = open_pack(cid, fetch)
        with _staging(destination) as staged:
            _require_vacant(destination)
            _write_folder(entries, staged, fetch)
            os.rename(staged, destination)
        return Content(cid, sum(entry.size_bytes for entry in entries), len(entries))
    with _staging(destination) as staged:
        size = _write_file(cid, staged, fetch, sync=True)
        os.replace(staged, destination)
    return Content(cid, size, 1)


def _is_pack(cid: Cid, fetch: Fetch) -> bool:
    """Whether ``cid`` names a folder; False for a file."""
    if cid.codec == RAW:
        return False
    value = codec.decode(fetch(cid), BLOCK_BYTES)
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in (manifest.TYPE, pack.TYPE):
        raise Rejected("type-mismatch", f"{kind!r} where a manifest or a pack is expected", subject=str(cid))
    return bool(kind == pack.TYPE)


def _write_folder(entries: list[Entry], root: Path, fetch: Fetch) -> None:
    root.mkdir()
    made = {""}
    for entry in entries:
        folder = entry.path.rpartition("/")[0]
        with _naming(entry.path):
            _make_folders(root, folder, made)
            size = _write_file(entry.cid, root / entry.path, fetch, executable=entry.executable)
        if size != entry.size_bytes:
            detail = f"{entry.path!r} has {size} bytes where the pack says {entry.size_bytes}"
            raise Rejected("pack-invalid", detail, subject=entry.path)


def _make_folders(root: Path, folder: str, made: set[str]) -> None:
    """Make ``folder`` and those above it that are not among ``made``; each is new, so none is a link."""
    if folder in made:
        return
    _make_folders(root, folder.rpartition("/")[0], made)
    os.mkdir(root / folder)
    made.add(folder)


def _write_file(cid: Cid, path: Path, fetch: Fetch, *, executable: bool = False, sync: bool = False) -> int:
    """Write a content to a new file; its size. The mode is what the umask leaves."""
    size = 0
    with os.fdopen(os.open(path, _CREATE_FLAGS, 0o777 if executable else 0o666), "wb") as file:
        for piece in read_content(cid, fetch):
            file.write(piece)
            size += len(piece)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    return size


@contextmanager
def _staging(destination: Path) -> Iterator[Path]:
    """A path beside ``destination`` to write to, which is gone afterwards if it was not renamed."""
    try:
        private = Path(tempfile.mkdtemp(prefix=".holo-", dir=destination.parent))
    except FileNotFoundError:
        parent = str(destination.parent)
        raise Missing("not-found", f"no folder {parent}", subject=parent) from None
    except OSError as error:
        raise _unwritable(destination, error) from error
    try:
        yield private / "content"
    except OSError as error:
        raise _unwritable(destination, error) from error
    finally:
        shutil.rmtree(private, ignore_errors=True)


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Errors that are about one path of a pack, told so."""
    try:
        yield
    except FileExistsError:
        raise bad_path(path, "is the same as another path of the pack on this file system") from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
            raise bad_path(path, f"cannot be held by this file system: {error.strerror}") from None
        raise


def _require_vacant(destination: Path) -> None:
    """Refuse early what the final rename would refuse."""
    if destination.is_symlink() or (destination.exists() and not (destination.is_dir() and _is_empty(destination))):
        raise Rejected("path-exists", f"{destination} is there and not an empty folder", subject=str(destination))


def _is_empty(folder: Path) -> bool:
    with os.scandir(folder) as items:
        return next(items, None) is None


def _unwritable(destination: Path, error: OSError) -> HoloError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Overloaded("no-space", f"{destination}: {error.strerror}")
    if error.errno in _TAKEN:
        return Rejected("path-exists", f"{destination}: {error.strerror}", subject=str(destination))
    return Rejected("path-unwritable", f"{destination}: {error.strerror}", subject=str(destination))
