"""The content-addressed store: what goes in comes out, nothing spoiled is taken or given, failures cost nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holo.core import codec
from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.errors import Missing, Overloaded, Rejected, StoreFailed
from holo.core.limits import CAM_BATCH_BYTES
from holo.core.manifest import ManifestBuilder
from holo.core.pack import Entry, build_pack
from holo.store.cam import Cam
from holo.store.intake import identify
from tests.faults import preload
from tests.faults.preload import Fault
from tests.faults.trace import answer_at, read_trace, stored_bytes, unsynced
from tests.store.puts import MAP_BYTES
from tests.store.test_intake import write_tree

MIB = 1024 * 1024


def open_cam(path: Path) -> Cam:
    return Cam(path, map_bytes=MAP_BYTES, free_reserve_bytes=0)


@pytest.fixture
def cam(tmp_path: Path) -> Iterator[Cam]:
    cam = open_cam(tmp_path / "cam")
    yield cam
    cam.close()


def content(size: int, seed: bytes = b"content") -> bytes:
    return blake3(seed).digest(length=size)


def put_content(cam: Cam, data: bytes) -> Cid:
    builder = ManifestBuilder()
    blocks = builder.feed(data) + builder.finish()
    for block in blocks:
        cam.put(*block)
    return blocks[-1].cid


def read(cam: Cam, cid: Cid) -> bytes:
    return b"".join(cam.read_content(cid))


def spoil(path: Path, cid: Cid, data: bytes) -> None:
    """Change a stored block as a failing disk would, behind the store's back. The store is closed."""
    with lmdb.Environment(str(path), map_size=MAP_BYTES, max_dbs=2) as env:
        blocks = env.open_db(b"blocks")
        with env.begin(write=True) as txn:
            assert txn.put(cid, data, db=blocks)


# ------------------------------------------------------------------------------------------ blocks


def test_a_block_is_stored_once(cam: Cam) -> None:
    cid = Cid.of(RAW, b"data")
    assert (cam.has(cid), cam.get(cid)) == (False, None)
    assert cam.put(cid, b"data")
    assert not cam.put(cid, b"data")
    assert (cam.has(cid), cam.get(cid)) == (True, b"data")
    assert cam.stat()[:2] == (1, 4)


def test_one_bytes_under_two_codecs_are_two_blocks(cam: Cam) -> None:
    data = codec.encode({})
    for kind in (RAW, DAG_CBOR, CBOR):
        assert cam.put(Cid.of(kind, data), data)
    assert cam.stat()[:2] == (3, 3)


def test_what_is_not_what_its_cid_names_is_refused(cam: Cam) -> None:
    for cid, data, code in (
        (Cid.of(RAW, b"a"), b"b", "cid-mismatch"),
        (Cid.of(RAW, bytes(MIB + 1)), bytes(MIB + 1), "too-large"),
    ):
        with pytest.raises(Rejected) as refusal:
            cam.put(cid, data)
        assert refusal.value.code == code
    assert cam.stat()[:2] == (0, 0)


def test_a_spoiled_block_is_found_told_and_healed(tmp_path: Path) -> None:
    cam = open_cam(tmp_path / "cam")
    good, bad = content(2 * MIB + 5), content(MIB + 9, b"other")
    good_cid, bad_cid = put_content(cam, good), put_content(cam, bad)
    before = cam.stat()
    assert list(cam.verify()) == []
    cam.close()
    chunk = Cid.of(RAW, bad[:MIB])
    spoil(tmp_path / "cam", chunk, bad[: MIB - 1])
    cam = open_cam(tmp_path / "cam")
    assert list(cam.verify()) == [chunk]
    assert read(cam, good_cid) == good
    for broken in (lambda: read(cam, bad_cid), lambda: cam.extract(bad_cid, tmp_path / "out")):
        with pytest.raises(StoreFailed) as failure:
            broken()
        assert (failure.value.code, failure.value.subject) == ("store-corrupt", str(chunk))
    assert os.listdir(tmp_path) == ["cam"]
    (tmp_path / "file").write_bytes(bad)
    assert cam.put_path(tmp_path / "file").cid == bad_cid
    assert list(cam.verify()) == []
    assert read(cam, bad_cid) == bad
    assert cam.stat()[0] == before[0]
    cam.close()


def test_verify_goes_through_every_block(tmp_path: Path) -> None:
    cam = open_cam(tmp_path / "cam")
    cids = sorted(Cid.of(RAW, b"%d" % index) for index in range(200))
    for index in range(200):
        cam.put(Cid.of(RAW, b"%d" % index), b"%d" % index)
    cam.close()
    spoiled = [*cids[::7], cids[-1]]
    for cid in spoiled:
        spoil(tmp_path / "cam", cid, b"spoiled")
    cam = open_cam(tmp_path / "cam")
    assert list(cam.verify()) == spoiled
    cam.close()


def test_a_reader_sees_a_store_it_cannot_change(tmp_path: Path) -> None:
    with pytest.raises(Missing):
        Cam(tmp_path / "cam", map_bytes=MAP_BYTES, free_reserve_bytes=0, readonly=True)
    cam = open_cam(tmp_path / "cam")
    cid = put_content(cam, b"data")
    cam.close()
    cam = Cam(tmp_path / "cam", map_bytes=MAP_BYTES, free_reserve_bytes=0, readonly=True)
    assert read(cam, cid) == b"data"
    with pytest.raises(StoreFailed):
        cam.put(Cid.of(RAW, b"more"), b"more")
    cam.close()


# ------------------------------------------------------------------------------------------ files and folders


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 3])
def test_a_file_comes_back_as_it_was(cam: Cam, tmp_path: Path, size: int) -> None:
    (tmp_path / "in").write_bytes(content(size))
    stored = cam.put_path(tmp_path / "in")
    assert stored == identify(tmp_path / "in")
    assert (stored.size_bytes, stored.files) == (size, 1)
    assert read(cam, stored.cid) == content(size)
    assert cam.extract(stored.cid, tmp_path / "out") == stored
    assert (tmp_path / "out").read_bytes() == content(size)


TREE = {"a": b"1", "b/c/d": content(2 * MIB + 1), "b/e": b"", "é/ü": b"x" * 100, "tool": b"#!/bin/sh\n"}


def test_a_folder_comes_back_as_it_was(cam: Cam, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "in", TREE)
    (root / "tool").chmod(0o755)
    stored = cam.put_path(root)
    assert stored == identify(root)
    assert cam.extract(stored.cid, tmp_path / "out") == stored
    assert identify(tmp_path / "out") == stored
    assert cam.put_path(tmp_path / "out") == stored
    umask = os.umask(0)
    os.umask(umask)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert (modes["tool"], modes["a"], modes["b"]) == (0o777 & ~umask, 0o666 & ~umask, 0o777 & ~umask)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.dictionaries(
        st.lists(st.sampled_from(["a", "b", "c.d", "é"]), min_size=1, max_size=3).map("/".join),
        st.sampled_from([b"", b"x", content(1000), content(MIB + 1)]),
        max_size=6,
    )
)
def test_any_folder_comes_back_with_the_same_cid(
    cam: Cam, tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    folders = {path[:at] for path in files for at, char in enumerate(path) if char == "/"}
    base = tmp_path_factory.mktemp("folder")
    (base / "in").mkdir()
    write_tree(base / "in", {path: data for path, data in files.items() if path not in folders})
    stored = cam.put_path(base / "in")
    cam.extract(stored.cid, base / "out")
    assert identify(base / "out") == stored == identify(base / "in")


def test_storing_again_stores_nothing(cam: Cam, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "in", TREE)
    stored = cam.put_path(root)
    before = cam.stat()
    assert cam.put_path(root) == stored
    assert cam.stat()[:2] == before[:2]
    (root / "a").write_bytes(b"2")
    assert cam.put_path(root).cid != stored.cid
    assert cam.stat().blocks == before.blocks + 2  # the file and the pack


def test_a_folder_of_many_files_is_folded_and_comes_back(cam: Cam, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "in", {f"d{index % 3}/{index:05}": b"%d" % (index % 10) for index in range(15_000)})
    stored = cam.put_path(root)
    assert stored.files == 15_000
    assert cam.stat().blocks == 10 + 4
    cam.extract(stored.cid, tmp_path / "out")
    assert identify(tmp_path / "out") == stored


def test_a_folder_that_takes_many_transactions_comes_back(
    cam: Cam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holo.store.cam.CAM_BATCH_BLOCKS", 3)
    root = write_tree(tmp_path / "in", {f"f{index}": b"%d" % index for index in range(20)})
    stored = cam.put_path(root)
    assert cam.stat().blocks == 20 + 1
    cam.extract(stored.cid, tmp_path / "out")
    assert identify(tmp_path / "out") == stored


def test_what_is_not_here_is_named(cam: Cam, tmp_path: Path) -> None:
    cid = Cid.of(RAW, b"absent")
    for ask in (lambda: read(cam, cid), lambda: cam.extract(cid, tmp_path / "out")):
        with pytest.raises(Missing) as missing:
            ask()
        assert missing.value.subject == str(cid)
    pack = build_pack([Entry("present", put_content(cam, b"1"), 1), Entry("zabsent", cid, 6)])[-1]
    cam.put(*pack)
    with pytest.raises(Missing):
        cam.extract(pack.cid, tmp_path / "out")
    assert os.listdir(tmp_path) == ["cam"]


# ------------------------------------------------------------------------------------------ extracting with care


def code_of_extracting(cam: Cam, cid: Cid, destination: Path) -> str:
    before = sorted(os.listdir(destination.parent))
    with pytest.raises(Rejected) as refusal:
        cam.extract(cid, destination)
    assert sorted(os.listdir(destination.parent)) == before
    return refusal.value.code


def put_object(cam: Cam, value: object) -> Cid:
    data = codec.encode(value)
    cam.put(Cid.of(DAG_CBOR, data), data)
    return Cid.of(DAG_CBOR, data)


@pytest.mark.parametrize("path", ["../out", "/tmp/out", "a/../../out", "a\\b", ".git/hooks/post-checkout", ""])
def test_a_pack_with_a_bad_path_writes_nothing(cam: Cam, tmp_path: Path, path: str) -> None:
    entry = {"path": path, "cid": put_content(cam, b"evil"), "size": 4, "executable": True}
    cid = put_object(cam, {"v": 1, "type": "pack", "entries": [entry]})
    assert code_of_extracting(cam, cid, tmp_path / "out") in ("path-invalid", "pack-invalid")


def test_a_pack_that_lies_about_a_size_writes_nothing(cam: Cam, tmp_path: Path) -> None:
    pack = build_pack([Entry("a", put_content(cam, b"1234"), 5)])[-1]
    cam.put(*pack)
    assert code_of_extracting(cam, pack.cid, tmp_path / "out") == "pack-invalid"


def test_a_manifest_that_lies_about_the_whole_writes_nothing(cam: Cam, tmp_path: Path) -> None:
    root = put_content(cam, content(2 * MIB))
    value = codec.decode(cam.get(root) or b"", MIB)
    cid = put_object(cam, {**value, "blake3": bytes(32)})
    assert code_of_extracting(cam, cid, tmp_path / "out") == "manifest-invalid"


def test_an_object_that_is_no_content_is_refused(cam: Cam, tmp_path: Path) -> None:
    values: list[object] = [{"v": 1, "type": "binding"}, [], 1]
    for value in values:
        assert code_of_extracting(cam, put_object(cam, value), tmp_path / "out") == "type-mismatch"


def test_a_folder_is_not_read_as_a_file(cam: Cam) -> None:
    with pytest.raises(Rejected) as refusal:
        read(cam, put_object(cam, {"v": 1, "type": "pack", "entries": []}))
    assert refusal.value.code == "type-mismatch"


def test_a_folder_goes_only_where_nothing_is(cam: Cam, tmp_path: Path) -> None:
    stored = cam.put_path(write_tree(tmp_path / "in", {"a": b"1"}))
    write_tree(tmp_path, {"file": b"mine", "folder/mine": b""})
    (tmp_path / "empty").mkdir()
    os.symlink("empty", tmp_path / "link")
    os.symlink("nowhere", tmp_path / "dangling")
    for name in ("file", "folder", "link", "dangling"):
        assert code_of_extracting(cam, stored.cid, tmp_path / name) == "path-exists"
    assert os.listdir(tmp_path / "folder") == ["mine"]
    assert os.listdir(tmp_path / "empty") == []
    cam.extract(stored.cid, tmp_path / "empty")
    assert identify(tmp_path / "empty") == stored


def test_a_file_replaces_a_file_or_a_link_but_no_folder(cam: Cam, tmp_path: Path) -> None:
    cid = put_content(cam, b"new")
    write_tree(tmp_path, {"target": b"old", "file": b"old", "folder/mine": b""})
    os.symlink("target", tmp_path / "link")
    assert code_of_extracting(cam, cid, tmp_path / "folder") == "path-exists"
    for name in ("file", "link"):
        cam.extract(cid, tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"new"
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"old"


def test_a_destination_without_a_parent_is_missing(cam: Cam, tmp_path: Path) -> None:
    with pytest.raises(Missing):
        cam.extract(put_content(cam, b"1"), tmp_path / "none" / "out")


def test_a_name_the_file_system_cannot_hold_is_refused(cam: Cam, tmp_path: Path) -> None:
    pack = build_pack([Entry("x" * 1000, put_content(cam, b"1"), 1)])[-1]
    cam.put(*pack)
    assert code_of_extracting(cam, pack.cid, tmp_path / "out") == "path-invalid"


def test_a_path_that_is_written_twice_is_refused(cam: Cam, tmp_path: Path) -> None:
    """Where case does not count, two entries may be one file; the first write is never followed by a second."""
    (tmp_path / "probe").write_bytes(b"")
    if not (tmp_path / "PROBE").exists():
        pytest.skip("case counts on this file system")
    one = put_content(cam, b"1")
    pack = build_pack([Entry("A", one, 1), Entry("a", one, 1)])[-1]
    cam.put(*pack)
    assert code_of_extracting(cam, pack.cid, tmp_path / "out") == "path-invalid"


# ------------------------------------------------------------------------------------------ failures


def test_without_room_nothing_is_stored_and_reading_goes_on(tmp_path: Path) -> None:
    cam = Cam(tmp_path / "cam", map_bytes=16 * MIB, free_reserve_bytes=4 * MIB)
    kept = put_content(cam, content(3 * MIB))
    (tmp_path / "large").write_bytes(content(40 * MIB))
    with pytest.raises(Overloaded) as refusal:
        cam.put_path(tmp_path / "large")
    assert refusal.value.code == "no-space"
    assert read(cam, kept) == content(3 * MIB)
    assert list(cam.verify()) == []
    cam.close()


def put_in_child(cam: Path, path: Path, library: Path, fault: Fault | None = None, trace: Path | None = None) -> str:
    child = preload.run_module("tests.store.puts", str(cam), str(path), environ=preload.environ(library, fault, trace))
    assert child.returncode == 0, child.stderr
    return child.stdout


def test_what_is_answered_as_stored_is_on_the_disk(tmp_path: Path, preload_library: Path) -> None:
    root = write_tree(tmp_path / "in", TREE)
    answer = put_in_child(tmp_path / "cam", root, preload_library, trace=tmp_path / "trace")
    assert answer == f"stored {identify(root).cid}"
    calls = read_trace(tmp_path / "trace")
    before = calls[: answer_at(calls, b"stored ")]
    assert unsynced(before, tmp_path / "cam") == set()
    assert stored_bytes(before, tmp_path / "cam") > 2 * MIB


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("kind", ["pwrite", "sync"])
def test_a_failing_disk_leaves_a_store_that_goes_on_where_it_ended(
    tmp_path: Path, preload_library: Path, kind: str, number: int
) -> None:
    path = tmp_path / "large"
    path.write_bytes(content(2 * CAM_BATCH_BYTES + MIB))
    expected = identify(path)
    second = first_call_of_second_commit(tmp_path, path, preload_library, kind)
    open_cam(tmp_path / "cam").close()
    told = "Overloaded no-space" if number == errno.ENOSPC else "StoreFailed store-failed"
    for at in (second, 1):  # the first batch is stored; then it is found, and the next fails
        answer = put_in_child(tmp_path / "cam", path, preload_library, Fault(kind, "data.mdb", at, 0, number))
        assert answer == told
        cam = open_cam(tmp_path / "cam")
        assert list(cam.verify()) == []
        assert cam.stat()[:2] == (CAM_BATCH_BYTES // MIB, CAM_BATCH_BYTES)
        cam.close()
    answer = put_in_child(tmp_path / "cam", path, preload_library, trace=tmp_path / "trace")
    assert answer == f"stored {expected.cid}"
    written = stored_bytes(read_trace(tmp_path / "trace"), tmp_path / "cam")
    assert written < CAM_BATCH_BYTES + 3 * MIB  # what was there is not written again
    cam = open_cam(tmp_path / "cam")
    assert read(cam, expected.cid) == path.read_bytes()
    assert list(cam.verify()) == []
    cam.close()


def first_call_of_second_commit(tmp_path: Path, path: Path, library: Path, kind: str) -> int:
    """Counting from 1, among the calls of ``kind`` on the data file while ``path`` is stored."""
    open_cam(tmp_path / "plain").close()
    put_in_child(tmp_path / "plain", path, library, trace=tmp_path / "plain.trace")
    calls = [call for call in read_trace(tmp_path / "plain.trace") if call.path.endswith("plain/data.mdb")]
    meta_page = next(index for index, call in enumerate(calls) if call.self_syncing)
    return 1 + sum((call.name == "fdatasync") == (kind == "sync") for call in calls[: meta_page + 1])


def test_a_full_disk_while_extracting_leaves_nothing(tmp_path: Path, preload_library: Path) -> None:
    cam = open_cam(tmp_path / "cam")
    stored = cam.put_path(write_tree(tmp_path / "in", TREE))
    cam.close()
    (tmp_path / "out").mkdir()
    child = preload.run_module(
        "tests.store.extracts",
        str(tmp_path / "cam"),
        str(stored.cid),
        str(tmp_path / "out" / "folder"),
        environ=preload.environ(preload_library, Fault("pwrite", "/out/", at=2, errno=errno.ENOSPC)),
    )
    assert child.stdout == "Overloaded no-space", child.stderr
    assert os.listdir(tmp_path / "out") == []
