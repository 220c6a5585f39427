"""Reading files and folders: the CID they have, what is left out, what is refused, what changes meanwhile."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blake3 import blake3

from holo.core.cid import RAW, Cid
from holo.core.errors import Missing, Rejected
from holo.core.manifest import Block
from holo.core.pack import Entry, build_pack, decode_pack
from holo.store.intake import Content, Progress, identify, take_in
from tests.faults import preload
from tests.faults.preload import Fault

MIB = 1024 * 1024


def write_tree(root: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def paths_of(root: Path) -> list[str]:
    blocks: list[Block] = []
    take_in(root, blocks.append)
    return [entry.path for entry in decode_pack(blocks[-1].data)]


def code_of(path: Path, report: Callable[[Progress], None] | None = None) -> tuple[str, str | None]:
    with pytest.raises(Rejected) as refusal:
        identify(path, report)
    return refusal.value.code, refusal.value.subject


@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, 3 * MIB + 7])
def test_a_file_is_the_content_of_its_bytes(tmp_path: Path, size: int) -> None:
    data = blake3(b"x").digest(length=size)
    (tmp_path / "file").write_bytes(data)
    blocks: list[Block] = []
    content = take_in(tmp_path / "file", blocks.append)
    assert content == Content(blocks[-1].cid, size, 1)
    assert b"".join(block.data for block in blocks if block.cid.codec == RAW) == data
    assert identify(tmp_path / "file") == content


def test_a_folder_is_the_pack_of_its_files(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"b": b"bb", "a/c": b"c", "a.txt": b"", "é": b"e"})
    (root / "b").chmod(0o755)
    (root / "a/c").chmod(0o611)  # executable for others, not for its owner
    (root / "empty" / "folder").mkdir(parents=True)
    expected = [
        Entry("a.txt", Cid.of(RAW, b""), 0),
        Entry("a/c", Cid.of(RAW, b"c"), 1),
        Entry("b", Cid.of(RAW, b"bb"), 2, executable=True),
        Entry("é", Cid.of(RAW, b"e"), 1),
    ]
    assert identify(root) == Content(build_pack(expected)[-1].cid, 4, 4)


def test_times_names_and_modes_but_one_change_nothing(tmp_path: Path) -> None:
    first = write_tree(tmp_path / "first", {"x": b"1", "y/z": b"2"})
    second = write_tree(tmp_path / "second", {"y/z": b"2", "x": b"1"})
    os.utime(second / "x", (0, 0))
    (second / "x").chmod(0o600)
    (second / "y").chmod(0o700)
    assert identify(first) == identify(second)
    (second / "x").chmod(0o700)
    assert identify(first) != identify(second)


def test_an_empty_folder_has_a_cid(tmp_path: Path) -> None:
    assert identify(tmp_path) == Content(build_pack([])[-1].cid, 0, 0)


def test_version_control_and_ignored_files_are_left_out(tmp_path: Path) -> None:
    rules = b"*.log\nbuild/\n!keep.log\n"
    root = write_tree(
        tmp_path,
        {
            ".holoignore": rules,
            "a": b"",
            "a.log": b"",
            "keep.log": b"",
            "build/x": b"",
            "src/build/x": b"",
            "src/keep.log": b"",
            ".git/config": b"",
            "sub/.git": b"gitdir: elsewhere",
            "sub/.HG/x": b"",
            "sub/.holoignore": b"kept\n",
            "sub/kept": b"",
        },
    )
    os.symlink("/etc/passwd", root / "link.log")
    os.symlink("/", root / "build" / "root")
    assert paths_of(root) == [".holoignore", "a", "keep.log", "src/keep.log", "sub/.holoignore", "sub/kept"]


def test_links_are_refused_by_name_and_not_followed(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a/b": b""})
    os.symlink("/etc/passwd", root / "a" / "link")
    assert code_of(root) == ("path-invalid", "a/link")
    (root / "a" / "link").unlink()
    os.symlink(tmp_path, root / "loop")
    assert code_of(root) == ("path-invalid", "loop")
    (root / "loop").unlink()
    os.symlink("a/b", root / ".holoignore")
    assert code_of(root) == ("path-invalid", ".holoignore")


def test_the_path_that_was_asked_for_may_be_a_link(tmp_path: Path) -> None:
    write_tree(tmp_path, {"folder/a": b"1"})
    os.symlink("folder", tmp_path / "link")
    os.symlink("folder/a", tmp_path / "file")
    assert identify(tmp_path / "link") == identify(tmp_path / "folder")
    assert identify(tmp_path / "file") == identify(tmp_path / "folder" / "a")


def test_what_is_no_file_is_refused_without_opening_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert code_of(tmp_path) == ("path-invalid", "fifo")
    assert code_of(tmp_path / "fifo")[0] == "path-invalid"
    (tmp_path / "fifo").unlink()
    with socket.socket(socket.AF_UNIX) as listener, entered(tmp_path):
        listener.bind("socket")
        assert code_of(tmp_path) == ("path-invalid", "socket")


@contextmanager
def entered(folder: Path) -> Iterator[None]:
    """A short way to a socket: its path has little room."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    ("name", "shown"), [("new\nline", r"new\nline"), ("back\\slash", r"back\slash"), ("\x1b[31m", r"\x1b[31m")]
)
def test_names_a_pack_may_not_hold_are_refused(tmp_path: Path, name: str, shown: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert code_of(tmp_path) == ("path-invalid", shown)


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system keeps such names out")
    assert code_of(tmp_path) == ("path-invalid", r"\udcff")


def test_a_missing_path_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "none", tmp_path / "file" / "below"):
        with pytest.raises(Missing) as missing:
            identify(path)
        assert missing.value.subject == str(path)


def test_a_bad_ignore_file_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, {".holoignore": b"ok\n[\n", "a": b""})
    with pytest.raises(Rejected) as refusal:
        identify(tmp_path)
    assert (refusal.value.code, refusal.value.at) == ("ignore-invalid", "line 2")
    assert refusal.value.subject == str(tmp_path / ".holoignore")


# ------------------------------------------------------------------------------------------ meanwhile


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, MIB + MIB // 2)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize("change", [grow, shrink, rewrite])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "folder" / "file"
    write_tree(tmp_path, {"folder/file": bytes(3 * MIB)})
    reports: list[Progress] = []

    def meddle(progress: Progress) -> None:
        if not reports:
            change(path)
        reports.append(progress)

    assert code_of(tmp_path / "folder", meddle) == ("file-changed", str(path))
    assert reports
    identify(tmp_path / "folder")


def test_a_file_that_goes_or_turns_into_a_link_after_it_was_listed_is_refused(tmp_path: Path) -> None:
    for turn in (lambda path: None, lambda path: os.symlink("/etc/passwd", path), os.mkfifo, os.mkdir):
        folder = tmp_path / "folder"
        write_tree(folder, {"a": b"1", "b": b"2"})

        def meddle(progress: Progress, turn: Callable[[Path], None] = turn, path: Path = folder / "b") -> None:
            path.unlink()
            turn(path)

        assert code_of(folder, meddle)[0] in ("file-changed", "file-unreadable")
        folder.rename(tmp_path / f"done-{len(list(tmp_path.iterdir()))}")


@contextmanager
def without_privileges(folder: Path) -> Iterator[None]:
    """Permissions bind everybody but the superuser, so a superuser's test run steps down for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.chmod(folder, 0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("locked", ["secret", "folder"])
def test_what_may_not_be_read_is_refused_by_name(locked: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = write_tree(Path(name), {"folder/x": b"", "open": b"", "secret": b""})
        (root / locked).chmod(0)
        with without_privileges(root):
            assert code_of(root) == ("file-unreadable", str(root / locked))
        (root / locked).chmod(0o700)


def test_a_disk_that_cannot_read_is_told(tmp_path: Path, preload_library: Path) -> None:
    write_tree(tmp_path, {"folder/good": b"1", "folder/spoiled": bytes(2 * MIB)})
    child = preload.run_module(
        "tests.store.puts",
        str(tmp_path / "cam"),
        str(tmp_path / "folder"),
        environ=preload.environ(preload_library, Fault("read", "spoiled", at=2)),
    )
    assert child.stdout == "Rejected file-unreadable", child.stderr


def test_progress_counts_bytes_up_to_the_total(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": bytes(MIB + 1), "b/c": b"12345", "d": b""})
    reports: list[Progress] = []
    identify(tmp_path, reports.append)
    total = MIB + 6
    assert reports == [Progress(MIB, total, "a"), Progress(MIB + 1, total, "a"), Progress(total, total, "b/c")]
