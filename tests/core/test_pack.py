"""Packs: one CID for one set of files, the folding of large ones, and packs made to deceive."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import codec, pack
from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.errors import Missing, Rejected
from holo.core.manifest import Block, Fetch
from holo.core.pack import Entry, build_pack, decode_pack, open_pack
from holo.core.pack_path import check_path

MIB = 1024 * 1024
FILE = Cid.of(RAW, b"file")
LARGE = Cid.of(DAG_CBOR, b"large file")


def file(path: str, size: int = 4, *, executable: bool = False) -> Entry:
    return Entry(path, FILE if size <= MIB else LARGE, size, executable)


def fetch_from(blocks: list[Block]) -> Fetch:
    store = dict(blocks)

    def fetch(cid: Cid) -> bytes:
        if cid not in store:
            raise Missing("not-found", subject=str(cid))
        return store[cid]

    return fetch


def shrink(monkeypatch: pytest.MonkeyPatch, pack_bytes: int) -> None:
    """Packs of a few entries, so that foldings of every kind fit a test."""
    monkeypatch.setattr(pack, "PACK_BYTES", pack_bytes)


COMPONENTS = st.sampled_from(["a", "b", "c", "a.b", "a-b", "a0", "é", "z" * 30, "\U0001f600", "￿"])
PATHS = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)


@st.composite
def files(draw: st.DrawFn, max_size: int = 30) -> list[Entry]:
    """Files that may lie in one folder, in any order."""
    paths = draw(st.lists(PATHS, unique=True, max_size=max_size))
    folders = {path[:at] for path in paths for at, char in enumerate(path) if char == "/"}
    return [
        file(path, draw(st.sampled_from([0, 4, MIB, MIB + 1])), executable=draw(st.booleans()))
        for path in paths
        if path not in folders
    ]


def test_a_pack_is_this_map() -> None:
    entries = [file("b", 5, executable=True), file("a/c", 2 * MIB), file("a.b")]
    (block,) = build_pack(entries)
    assert codec.decode(block.data, MIB) == {
        "v": 1,
        "type": "pack",
        "entries": [
            {"path": "a.b", "cid": FILE, "size": 4, "executable": False},
            {"path": "a/c", "cid": LARGE, "size": 2 * MIB, "executable": False},
            {"path": "b", "cid": FILE, "size": 5, "executable": True},
        ],
    }
    assert block.cid == Cid.of(DAG_CBOR, block.data)
    assert str(block.cid) == "bafyr4ifr4nci2xsy7ldfygqov54dyafbe7mqfahro4l73ibpc7burphldq"


def test_the_empty_folder_is_a_pack() -> None:
    (block,) = build_pack([])
    assert open_pack(block.cid, fetch_from([block])) == []


@given(entries=files(), order=st.randoms(use_true_random=False))
def test_the_order_files_are_given_in_changes_nothing(entries: list[Entry], order: Any) -> None:
    shuffled = list(entries)
    order.shuffle(shuffled)
    assert build_pack(shuffled) == build_pack(entries)


@given(entries=files())
def test_a_pack_opens_to_its_files_in_bytewise_order(entries: list[Entry]) -> None:
    blocks = build_pack(entries)
    opened = open_pack(blocks[-1].cid, fetch_from(blocks))
    assert opened == sorted(entries, key=lambda entry: entry.path.encode())


@given(entries=files(max_size=40), pack_bytes=st.sampled_from([1000, 1500]))
def test_folded_packs_open_to_the_same_files(entries: list[Entry], pack_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        shrink(monkeypatch, pack_bytes)
        blocks = build_pack(entries)
        assert all(len(block.data) <= pack_bytes for block in blocks)
        opened = open_pack(blocks[-1].cid, fetch_from(blocks))
        assert opened == sorted(entries, key=lambda entry: entry.path.encode())
        seen: set[Cid] = set()
        for block in blocks:
            assert {entry.cid for entry in decode_pack(block.data) if entry.is_pack} <= seen
            seen.add(block.cid)


@given(entries=files())
def test_sizes_of_encodings_are_foreseen(entries: list[Entry]) -> None:
    data = codec.encode({"v": 1, "type": "pack", "entries": [pack._value(entry) for entry in entries]})
    assert len(data) == pack._encoded_bytes(entries)


def test_a_pack_of_exactly_the_limit_is_not_folded_and_one_byte_more_is() -> None:
    base = [file(f"folder/{index:05}") for index in range(10_000)]
    room = MIB - pack._encoded_bytes(base)
    while room > 4000:
        base.append(file(f"folder/{len(base):05}{'y' * 3000}"))
        room = MIB - pack._encoded_bytes(base)
    filler = room - (pack._encoded_bytes([file("folder/" + "z" * 300)]) - pack._encoded_bytes([])) + 300
    exact = [*base, file("folder/" + "z" * filler)]
    assert pack._encoded_bytes(exact) == MIB
    assert len(build_pack(exact)) == 1
    more = [*base, file("folder/" + "z" * (filler + 1))]
    blocks = build_pack(more)
    assert [entry.path for entry in decode_pack(blocks[-1].data)] == ["folder/"]
    assert len(open_pack(blocks[-1].cid, fetch_from(blocks))) == len(more)


def test_folders_become_sub_packs_and_files_at_the_top_stay() -> None:
    entries = [file("a", executable=True), file("z", 7)]
    entries += [file(f"m/{index:05}", 3) for index in range(6_000)]
    entries += [file(f"n/deep/{index:05}", 5) for index in range(8_000)]
    blocks = build_pack(entries)
    root = decode_pack(blocks[-1].data)
    assert [(entry.path, entry.size_bytes, entry.executable) for entry in root] == [
        ("a", 4, True),
        ("m/", 18_000, False),
        ("n/", 40_000, False),
        ("z", 7, False),
    ]
    below = [file(f"{index:05}", 3) for index in range(6_000)]
    assert root[1].cid == build_pack(below)[-1].cid
    assert open_pack(blocks[-1].cid, fetch_from(blocks)) == sorted(entries, key=lambda entry: entry.path)


def test_a_folder_of_too_many_files_becomes_runs() -> None:
    entries = [file(f"{index:05}.png", 9) for index in range(35_000)]
    blocks = build_pack(entries)
    root = decode_pack(blocks[-1].data)
    assert [entry.path for entry in root] == ["", "", ""]
    runs = [decode_pack(data) for cid, data in blocks[:-1]]
    assert list(itertools.chain(*runs)) == entries
    for run, following in itertools.pairwise(runs):
        assert pack._encoded_bytes([*run, following[0]]) > MIB
    assert sum(entry.size_bytes for entry in root) == 35_000 * 9
    assert open_pack(blocks[-1].cid, fetch_from(blocks)) == entries


def test_one_changed_file_changes_only_the_packs_above_it() -> None:
    entries = [file(f"{folder}/{folder}{index:05}") for folder in "abcd" for index in range(5_000)]
    changed = [*entries[:-1], file(entries[-1].path, 5)]
    before = {block.cid for block in build_pack(entries)}
    after = {block.cid for block in build_pack(changed)}
    assert len(before - after) == len(after - before) == 2


# ------------------------------------------------------------------------------------------ paths


GOOD_PATHS = [
    "a", "a/b", "a b", "a:b", "...", ".a", "a.", "..a", "-", "~", "é", "\u202ea", ".gitignore", "git", ".github/x",
]  # fmt: skip
BAD_PATHS = [
    "", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "../a", "a/../b", "a/..", "a\\b", "..\\a", "C:\\a", "a\0b",
    "a\nb", "\x1b[2J", "a\x7f", "a\x85b", "\udcff", ".git", ".git/config", "a/.git/hooks/x", ".GIT/config", "a/.Git",
    ".hg/x", ".svn", ".bzr/x", ".jj", ".pijul", "_darcs/x",
]  # fmt: skip


@pytest.mark.parametrize("path", [*GOOD_PATHS, "/".join(["d"] * 64), "x" * 4096], ids=ascii)
def test_paths_a_pack_may_hold(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize("path", [*BAD_PATHS, "/".join(["d"] * 65), "x" * 4097, "é" * 2049], ids=ascii)
def test_paths_a_pack_may_not_hold(path: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_path(path)
    assert refusal.value.code == "path-invalid"
    with pytest.raises(Rejected) as refusal:
        build_pack([Entry(path, FILE, 4)])
    assert refusal.value.code == "path-invalid"


@pytest.mark.parametrize(
    "paths",
    [["a", "a"], ["a", "a/b"], ["a", "a.b", "a/b"], ["a/b", "a/b/c/d"], ["x/a", "x/a-", "x/a/b"], ["a/b/c", "a"]],
)
def test_files_that_cannot_lie_in_one_folder_are_refused(paths: list[str]) -> None:
    with pytest.raises(Rejected) as refusal:
        build_pack([file(path) for path in paths])
    assert refusal.value.code == "path-invalid"


def test_unlike_spellings_of_one_letter_are_different_files() -> None:
    assert len(decode_pack(build_pack([file("\u00e9"), file("e\u0301")])[-1].data)) == 2


@pytest.mark.parametrize(
    "entry",
    [Entry("a", LARGE, 4), Entry("a", FILE, MIB + 1), Entry("a", FILE, -1), Entry("a", Cid.of(CBOR, b""), 4)],
)
def test_a_cid_that_is_no_contents_of_that_size_is_refused(entry: Entry) -> None:
    with pytest.raises(Rejected) as refusal:
        build_pack([entry])
    assert refusal.value.code == "field-invalid"


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, 4000)
    entries = [file(f"{index:03}") for index in range(101)]
    blocks = build_pack(entries)
    monkeypatch.setattr(pack, "PACK_ENTRIES", 100)
    for refused in (lambda: build_pack(entries), lambda: open_pack(blocks[-1].cid, fetch_from(blocks))):
        with pytest.raises(Rejected) as refusal:
            refused()
        assert refusal.value.code == "too-large"


def test_files_larger_together_than_an_integer_are_refused() -> None:
    entries = [Entry(name, LARGE, 2**52) for name in "abc"]
    data = codec.encode({"v": 1, "type": "pack", "entries": [pack._value(entry) for entry in entries]})
    for refused in (lambda: build_pack(entries), lambda: decode_pack(data)):
        with pytest.raises(Rejected) as refusal:
            refused()
        assert refusal.value.code == "too-large"


# ------------------------------------------------------------------------------------------ made to deceive


def encoded(*entries: dict[str, Any], **changes: Any) -> bytes:
    value = {"v": 1, "type": "pack", "entries": list(entries), **changes}
    return codec.encode({name: field for name, field in value.items() if field is not ...})


def item(path: Any = "a", **changes: Any) -> dict[str, Any]:
    value = {"path": path, "cid": FILE, "size": 4, "executable": False, **changes}
    return {name: field for name, field in value.items() if field is not ...}


def sub_pack(path: str = "a/", **changes: Any) -> dict[str, Any]:
    return item(path, **{"cid": LARGE, **changes})


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (encoded(item("b"), item("a")), "pack-invalid"),
        (encoded(item("a"), item("a")), "pack-invalid"),
        (encoded(item("a.b"), item("a/b"), item("a0"), item("a")), "pack-invalid"),
        (encoded(item("a"), item("a.b"), item("a/b")), "path-invalid"),
        (encoded(item("a"), sub_pack("a/")), "path-invalid"),
        (encoded(item("../a")), "path-invalid"),
        (encoded(item("/a")), "path-invalid"),
        (encoded(item(".git/config")), "path-invalid"),
        (encoded(sub_pack(".git/")), "path-invalid"),
        (encoded(sub_pack("../")), "path-invalid"),
        (encoded(sub_pack("/")), "path-invalid"),
        (encoded(sub_pack("a/b/")), "pack-invalid"),
        (encoded(sub_pack(executable=True)), "pack-invalid"),
        (encoded(sub_pack(cid=FILE)), "pack-invalid"),
        (encoded(sub_pack("")), "pack-invalid"),
        (encoded(sub_pack(""), item("a")), "pack-invalid"),
        (encoded(item(path=1)), "field-invalid"),
        (encoded(item(cid=b"")), "field-invalid"),
        (encoded(item(cid=LARGE)), "field-invalid"),
        (encoded(item(size=-1)), "field-invalid"),
        (encoded(item(size=MIB + 1)), "field-invalid"),
        (encoded(item(size=True)), "field-invalid"),
        (encoded(item(executable=1)), "field-invalid"),
        (encoded(item(executable=...)), "field-missing"),
        (encoded(item(mtime=0)), "field-unknown"),
        (encoded(1), "field-invalid"),  # type: ignore[arg-type]
        (encoded(entries=...), "field-missing"),
        (encoded(entries={}), "field-invalid"),
        (encoded(extra=1), "field-unknown"),
        (encoded(v=2), "version-unsupported"),
        (encoded(type="manifest"), "type-mismatch"),
        (encoded(extra=bytes(MIB)), "too-large"),
    ],
)
def test_a_pack_that_contradicts_itself_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(Rejected) as refusal:
        decode_pack(data)
    assert refusal.value.code == code


@given(st.binary(max_size=200))
def test_rubbish_is_refused_and_nothing_worse(data: bytes) -> None:
    with pytest.raises(Rejected):
        decode_pack(data)


def link(path: str, entries: list[Entry], blocks: list[Block], **changes: Any) -> dict[str, Any]:
    """An entry for a sub-pack of these entries, whose block is added to ``blocks``, folded or not as they are."""
    blocks.append(block_of([pack._value(entry) for entry in entries]))
    size = sum(entry.size_bytes for entry in entries)
    return {"path": path, "cid": blocks[-1].cid, "size": size, "executable": False, **changes}


def block_of(items: list[dict[str, Any]]) -> Block:
    data = encoded(*items)
    return Block(Cid.of(DAG_CBOR, data), data)


def code_of_opening(blocks: list[Block]) -> str:
    with pytest.raises(Rejected) as refusal:
        open_pack(blocks[-1].cid, fetch_from(blocks))
    return refusal.value.code


def test_packs_folded_in_another_way_are_refused() -> None:
    """Each of these holds files one block has room for, or cuts them elsewhere than the rule does."""
    blocks: list[Block] = []
    blocks.append(block_of([link("a/", [file("b")], blocks)]))
    assert code_of_opening(blocks) == "pack-invalid"

    entries = [file(f"{index:05}") for index in range(25_000)]
    blocks = []
    runs = [entries[:9_000], entries[9_000:18_000], entries[18_000:]]
    blocks.append(block_of([link("", run, blocks) for run in runs]))
    assert code_of_opening(blocks) == "pack-invalid"


def spoiled_folder(**changes: Any) -> list[Block]:
    """A pack with the two folders ``a`` and ``b``, both sub-packs, whose link to ``b`` was changed."""
    blocks: list[Block] = []
    below = [file(f"{index:05}") for index in range(8_000)]
    links = [link("a/", below, blocks), link("b/", below, blocks, **changes)]
    return [*blocks, block_of(links)]


def test_links_that_lie_about_a_sub_pack_are_refused() -> None:
    blocks = spoiled_folder()
    assert len(open_pack(blocks[-1].cid, fetch_from(blocks))) == 16_000
    assert code_of_opening(spoiled_folder(size=32_001)) == "pack-invalid"
    other = block_of([pack._value(file("x", 8_000 * 4))])
    assert code_of_opening([other, *spoiled_folder(cid=other.cid)]) == "pack-invalid"
    empty = block_of([])
    assert code_of_opening([empty, *spoiled_folder(cid=empty.cid, size=0)]) == "pack-invalid"
    evil = block_of([pack._value(Entry("../../etc/passwd", FILE, 4))])
    assert code_of_opening([evil, *spoiled_folder(cid=evil.cid, size=4)]) == "path-invalid"
    manifest = Block(
        Cid.of(DAG_CBOR, codec.encode({"v": 1, "type": "manifest"})), codec.encode({"v": 1, "type": "manifest"})
    )
    assert code_of_opening([manifest, *spoiled_folder(cid=manifest.cid)]) == "type-mismatch"


def test_blocks_that_are_not_what_their_cid_names_are_refused() -> None:
    blocks = spoiled_folder()
    wrong = Block(blocks[0].cid, build_pack([file("x")])[-1].data)
    assert code_of_opening([wrong, blocks[-1]]) == "cid-mismatch"
    data = build_pack([file("x")])[-1].data
    assert code_of_opening([Block(Cid.of(RAW, data), data)]) == "pack-invalid"


def test_a_path_too_deep_through_sub_packs_is_refused() -> None:
    blocks = [block_of([item("x")])]
    for _ in range(70):
        blocks.append(block_of([sub_pack("d/", cid=blocks[-1].cid)]))
    assert code_of_opening(blocks) == "path-invalid"


def test_a_few_blocks_cannot_cost_more_than_they_are_worth() -> None:
    """A thousand links to one chain of folders, level upon level: refused at the first, innermost fold."""
    asked = 0
    blocks = [block_of([item("x")])]
    for _ in range(30):
        name_links = [sub_pack(f"{index:04}/", cid=blocks[-1].cid) for index in range(1000)]
        blocks.append(block_of(name_links))
    fetch = fetch_from(blocks)

    def counting(cid: Cid) -> bytes:
        nonlocal asked
        asked += 1
        return fetch(cid)

    with pytest.raises(Rejected) as refusal:
        open_pack(blocks[-1].cid, counting)
    assert refusal.value.code == "pack-invalid"
    assert asked <= 30 + 1000


def nested_runs() -> Iterator[list[Block]]:
    run = block_of([item("x")])
    runs = block_of([sub_pack("", cid=run.cid), sub_pack("", cid=run.cid)])
    yield [run, runs, block_of([sub_pack("", cid=runs.cid, size=8), sub_pack("", cid=run.cid)])]
    yield [run, runs, block_of([sub_pack("", cid=run.cid), sub_pack("", cid=run.cid)])]


@pytest.mark.parametrize("index", [0, 1])
def test_runs_within_runs_and_runs_of_the_same_files_are_refused(index: int) -> None:
    assert code_of_opening(list(nested_runs())[index]) == "pack-invalid"
