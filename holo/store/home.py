"""A home: the one directory that holds everything of a node or of a person using holo, and its lock.

Layout: ``records/`` and ``cam/`` (LMDB), ``keys/`` (people's keys), ``identity/`` (the node's and its operator's
keys, kept apart so that neither ever signs a binding), ``outbox/`` (signed bytes not yet accepted), ``trust.toml``,
``remotes.toml``, ``node.json`` (where the running node listens) and ``lock``.

Invariants: the directory is 0700 and what lies in it 0600; whoever writes the stores holds the lock exclusively,
readers hold it shared; ``node.json`` is there only while, or because, a node held the lock: whoever gets the lock
removes a leftover. Every file is replaced as a whole, durably (write, fsync, rename, fsync of the directory).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from holo.core.errors import Missing, Rejected

LOCK_WAIT_S: Final = 5.0
_LOCK_POLL_S: Final = 0.05
_SMALL_FILE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Running:
    """A node that runs on a home: its URL, its did:key, its process id, its profile's name, and where peers meet it.

    ``peer`` is HOST:PORT, or empty where it links with no peers.
    """

    url: str
    node: str
    pid: int
    profile: str
    peer: str = ""


class Home:
    """A home directory. Making the object touches nothing; :meth:`create` makes or checks the directory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()

    @classmethod
    def default_path(cls) -> Path:
        """Where a home lies if nobody says otherwise: the platform's place for a user's data."""
        import platformdirs  # only those who name no home pay for it

        return Path(platformdirs.user_data_path("holo", appauthor=False))

    @property
    def records(self) -> Path:
        """The folder of the records environment."""
        return self.path / "records"

    @property
    def cam(self) -> Path:
        """The folder of the content environment."""
        return self.path / "cam"

    @property
    def keys(self) -> Path:
        """The folder of people's keys."""
        return self.path / "keys"

    @property
    def identity(self) -> Path:
        """The folder of the node's and its operator's keys."""
        return self.path / "identity"

    @property
    def outbox(self) -> Path:
        """The folder of signed statements no node has answered yet."""
        return self.path / "outbox"

    @property
    def trust_file(self) -> Path:
        """Which nodes and which namespaces this home's owner trusts."""
        return self.path / "trust.toml"

    @property
    def remotes_file(self) -> Path:
        """Short names of nodes."""
        return self.path / "remotes.toml"

    @property
    def node_file(self) -> Path:
        """The running node's address."""
        return self.path / "node.json"

    @property
    def lock_file(self) -> Path:
        """The file whose lock is the home's lock; its content means nothing."""
        return self.path / "lock"

    def exists(self) -> bool:
        """Whether the directory is there."""
        return self.path.is_dir()

    def create(self) -> Self:
        """Make the directory, 0700, if it is absent; check it if it is there. Raises ``home-unsafe``."""
        make_private_folder(self.path)
        return self

    def check(self) -> None:
        """Raises ``home-unsafe`` where somebody else could read or write the home's secrets."""
        for path in (self.path, self.keys, self.identity):
            if path.exists():
                check_private(path)

    # -- the lock

    def lock(self, *, shared: bool = False, wait_s: float = LOCK_WAIT_S) -> HomeLock:
        """The home's lock, taken. Raises ``home-locked`` if it is not free within ``wait_s``; 0 tries once."""
        deadline = time.monotonic() + wait_s
        while True:
            lock = self.try_lock(shared=shared)
            if lock is not None:
                return lock
            if time.monotonic() >= deadline:
                running = self.running()
                who = f"the node at {running.url}, pid {running.pid}," if running else "another process"
                raise Rejected("home-locked", f"{who} holds {self.path}", subject=str(self.path))
            time.sleep(_LOCK_POLL_S)

    def try_lock(self, *, shared: bool = False) -> HomeLock | None:
        """The home's lock if it is free now, else None. Leftovers of a node that died are removed on success.

        On a file system that is read-only, readers lock the file that is there, and leave the rest as it is.
        """
        fd = self._open_lock(readonly=shared)
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        with contextlib.suppress(OSError) if shared else contextlib.nullcontext():
            self.node_file.unlink(missing_ok=True)  # no node runs: it would hold the lock
        return HomeLock(fd, shared)

    def _open_lock(self, *, readonly: bool) -> int:
        try:
            return os.open(self.create().lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if not readonly or error.errno != errno.EROFS:
                raise
            return os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)

    # -- the running node

    def announce(self, running: Running) -> None:
        """Leave the node's address for other processes. Only the holder of the exclusive lock may call it."""
        fields = {"url": running.url, "node": running.node, "pid": running.pid, "profile": running.profile}
        fields["peer"] = running.peer
        write_atomically(self.node_file, json.dumps({"v": 1, **fields}).encode() + b"\n")

    def withdraw(self) -> None:
        """Take the address away again, before the lock is released."""
        self.node_file.unlink(missing_ok=True)

    def running(self) -> Running | None:
        """The node that says it runs here, or None. Only the lock proves it: a node that died leaves its file."""
        data = read_small(self.node_file)
        if data is None:
            return None
        try:
            value = json.loads(data)
            url, node, pid = value["url"], value["node"], value["pid"]
            profile, peer = value.get("profile", ""), value.get("peer", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        if not (isinstance(url, str) and isinstance(node, str) and type(pid) is int and isinstance(profile, str)):
            return None
        return Running(url, node, pid, profile, peer if isinstance(peer, str) else "")


class HomeLock:
    """A lock that is held until :meth:`release`, the end of its ``with`` block, or the end of the process."""

    def __init__(self, fd: int, shared: bool) -> None:
        self._fd: int | None = fd
        self.shared = shared

    def release(self) -> None:
        """Give the lock back. Doing so twice is harmless."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def make_private_folder(path: Path) -> None:
    """Make ``path`` and its parents, itself 0700; if it is there already, check it. Raises ``home-unsafe``."""
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise Rejected("home-unsafe", f"{path} is not a directory", subject=str(path)) from None
        if path.stat().st_uid == os.geteuid() and not any(path.iterdir()):
            path.chmod(0o700)  # made by hand for this and still empty: there is nothing anyone could have read
        check_private(path)


def check_private(path: Path) -> None:
    """Raises ``home-unsafe`` unless ``path`` is ours and nobody else may read or write it."""
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in (os.geteuid(), 0):
        raise Rejected("home-unsafe", f"{path} belongs to user {found.st_uid}", subject=str(path))
    if mode & 0o077:
        raise Rejected("home-unsafe", f"{path} has mode {mode:04o}; others may use it", subject=str(path))


def read_small(path: Path, limit_bytes: int = _SMALL_FILE_BYTES) -> bytes | None:
    """The bytes of a small file, or None where there is none. Raises ``too-large``."""
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(data) > limit_bytes:
        raise Rejected("too-large", f"{path} is longer than {limit_bytes} bytes", subject=str(path))
    return data


def need_small(path: Path, limit_bytes: int = _SMALL_FILE_BYTES) -> bytes:
    """As :func:`read_small`, but raises ``not-found`` where there is no such file."""
    data = read_small(path, limit_bytes)
    if data is None:
        raise Missing("not-found", f"no file {path}", subject=str(path))
    return data


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` by ``data`` so that a crash leaves the old file or the new one, and the new one is durable."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns():x}")
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as error:
        error.filename = str(path)  # nobody knows the draft's name
        raise
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        raise
    _sync_folder(path.parent)


def replace_durably(draft: Path, path: Path) -> None:
    """Put a file that is on the disk in the place of another of its folder: one or the other after a crash."""
    os.rename(draft, path)
    _sync_folder(path.parent)


def write_new(path: Path, data: bytes, mode: int = 0o600) -> bool:
    """Write a file that must not exist yet, durably; False, and nothing changed, if it does."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns():x}")
    write_atomically(draft, data, mode)
    try:
        os.link(draft, path)  # fails where the name is taken, which rename would not
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    _sync_folder(path.parent)
    return True


def files_in(folder: Path, suffix: str) -> Iterator[Path]:
    """The files of a folder with this suffix, drafts left out, in order of name; none where there is no folder."""
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if path.suffix == suffix and path.name[0] != ".")


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
