"""A folder as a value: the pack (spec section 6).

A pack is ``{v, type: "pack", entries: [{path, cid, size, executable}]}``, one entry a file, in bytewise order of path.
It holds files and nothing else: no empty folders, no times, owners, links or devices, no bits of a mode but one. So
two folders with the same files have one CID, whatever machine they lie on.

Which paths a file may have is :mod:`holo.core.pack_path`'s rule. No path occurs twice, or is both a file and a folder
of another path.

**Sub-packs.** A pack that would be encoded in more than 1 MiB (``PACK_BYTES``) is folded:

1. every top-level folder becomes one entry, ``path`` its name and a final ``/``, ``cid`` the pack of the paths below it
   (folded by the same rule if that is too large), ``size`` the sum of their sizes, ``executable`` false;
2. if it is still too large, its entries are cut, in order, into runs, each as long as its pack may be; each run becomes
   one entry with an empty path, ``cid`` its pack, ``size`` the sum of its sizes, ``executable`` false.

The path of an entry in a sub-pack is what follows the path that links to it. The rule leaves no choice, so a pack that
is folded in another way is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Final

from holo.core import codec
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import open_statement
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.limits import INT_MAX, PACK_BYTES, PACK_DEPTH, PACK_ENTRIES, PACK_PATH_BYTES
from holo.core.manifest import Block, Fetch, codec_of
from holo.core.pack_path import bad_path, check_path

TYPE: Final = "pack"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a pack, or a link to a sub-pack, whose path is empty or ends in ``/``. The size is the content's."""

    path: str
    cid: Cid
    size_bytes: int
    executable: bool = False

    @property
    def is_pack(self) -> bool:
        """Whether it links to a sub-pack."""
        return not self.path or self.path.endswith("/")


def build_pack(entries: Iterable[Entry]) -> list[Block]:
    """The blocks of the pack of these files, in whatever order they are given; the last one's CID is the pack's.

    Raises ``path-invalid`` for a path a pack may not hold, ``field-invalid`` for a CID or size that is no content's and
    ``too-large`` for more than ``PACK_ENTRIES``.
    """
    ordered = sorted(entries, key=lambda entry: entry.path)  # code points sort as their UTF-8 bytes do
    _check_files(ordered)
    blocks: list[Block] = []
    _fold(ordered, blocks)
    return blocks


def open_pack(cid: Cid, fetch: Fetch) -> list[Entry]:
    """Every file of the pack that ``cid`` names, in bytewise order of path, its sub-packs read and verified.

    Raises ``cid-mismatch``, what :func:`decode_pack` raises, ``too-large``, and ``pack-invalid`` for sub-packs that are
    not those the files have.
    """
    files: list[Entry] = []
    folded = _collect(cid, "", fetch, files)
    if folded:
        _check_files(files)
        if build_pack(files)[-1].cid != cid:
            raise Rejected("pack-invalid", "folded in another way than its files are", subject=str(cid))
    return files


def decode_pack(data: bytes) -> list[Entry]:
    """The entries of one encoded pack, sub-packs not followed, in order and free of contradictions among themselves.

    Raises ``too-large``, ``cbor-invalid``, ``type-mismatch``, ``version-unsupported``, a ``field-…`` code,
    ``path-invalid`` or ``pack-invalid``.
    """
    value = open_statement(data, TYPE, PACK_BYTES).value
    fields = Fields(value, TYPE, ("v", "type", "entries"))
    entries = [
        _decode_entry(item, f"pack.entries[{index}]")
        for index, item in enumerate(fields.items("entries", PACK_ENTRIES))
    ]
    _check_total(entries)
    runs = sum(not entry.path for entry in entries)
    if runs:
        if runs != len(entries) or runs < 2:
            raise Rejected("pack-invalid", "runs are two or more, and nothing beside them", at="pack.entries")
        return entries
    for before, entry in pairwise(entries):
        if before.path >= entry.path:
            detail = f"{entry.path!r} does not come after {before.path!r}"
            raise Rejected("pack-invalid", detail, at="pack.entries")
    _check_conflicts(entries)
    return entries


def _decode_entry(item: Any, at: str) -> Entry:
    fields = Fields(item, at, ("path", "cid", "size", "executable"))
    entry = Entry(
        fields.text("path", PACK_PATH_BYTES),
        fields.link("cid"),
        fields.integer("size"),
        fields.boolean("executable"),
    )
    try:
        if not entry.is_pack:
            _check_file(entry)
        elif entry.path:
            check_path(entry.path[:-1])
    except Rejected as error:
        error.at = at
        raise
    if entry.is_pack and ("/" in entry.path[:-1] or entry.executable or entry.cid.codec != DAG_CBOR):
        raise Rejected("pack-invalid", f"{entry.path!r} is not how a sub-pack is linked", at=at)
    return entry


def _collect(cid: Cid, prefix: str, fetch: Fetch, files: list[Entry], *, in_run: bool = False) -> bool:
    """Append the files of a pack and of its sub-packs, their paths in full; whether there were any sub-packs."""
    data = fetch(cid)
    if len(data) > PACK_BYTES:
        raise Rejected("too-large", f"pack of {len(data)} bytes where at most {PACK_BYTES} are allowed")
    if not cid.matches(data):
        raise Rejected("cid-mismatch", f"{len(data)} bytes", subject=str(cid))
    if cid.codec != DAG_CBOR:
        raise Rejected("pack-invalid", "a pack's CID has the codec dag-cbor", subject=str(cid))
    entries = decode_pack(data)
    # Every sub-pack holds a file, so that their number is bounded by that of the files; runs do not nest.
    if (prefix or in_run) and (not entries or (in_run and not entries[0].path)):
        raise Rejected("pack-invalid", "a sub-pack without entries of its own", subject=str(cid))
    first = len(files)
    for entry in entries:
        if entry.is_pack:
            _collect_sub_pack(cid, entry, prefix, fetch, files)
        elif len(files) >= PACK_ENTRIES:
            raise Rejected("too-large", f"pack of more than {PACK_ENTRIES} files")
        else:
            files.append(_moved(entry, prefix + entry.path) if prefix else entry)
    folded = any(entry.is_pack for entry in entries)
    if folded and not in_run and not _needs_folding(files, first, prefix):
        # Found at the innermost such pack, before many links to it could multiply the work. A run is cut from folded
        # entries, so it may link to little.
        raise Rejected("pack-invalid", "folded although it would fit one block", subject=str(cid))
    return folded


def _collect_sub_pack(parent: Cid, link: Entry, prefix: str, fetch: Fetch, files: list[Entry]) -> None:
    if prefix.count("/") >= PACK_DEPTH:
        raise bad_path(prefix, f"has more than {PACK_DEPTH} components")
    first = len(files)
    _collect(link.cid, prefix + link.path, fetch, files, in_run=not link.path)
    if sum(file.size_bytes for file in files[first:]) != link.size_bytes:
        raise Rejected("pack-invalid", f"{link.path!r} has another size than its files", subject=str(parent))


def _needs_folding(files: Sequence[Entry], first: int, prefix: str) -> bool:
    """Whether the files from ``first`` on, their paths taken from ``prefix``, are too many for one block."""
    size = _PACK_HEAD_BYTES + _head_bytes(len(files) - first)
    for index in range(first, len(files)):
        size += _entry_bytes(_moved(files[index], files[index].path[len(prefix) :]))
        if size > PACK_BYTES:
            return True
    return False


def _check_files(ordered: Sequence[Entry]) -> None:
    """Refuse files that do not make a pack; they are in order of path."""
    if len(ordered) > PACK_ENTRIES:
        raise Rejected("too-large", f"{len(ordered)} files where at most {PACK_ENTRIES} are allowed")
    for entry in ordered:
        _check_file(entry)
    for before, entry in pairwise(ordered):
        if before.path == entry.path:
            raise bad_path(entry.path, "occurs twice")
    _check_total(ordered)
    _check_conflicts(ordered)


def _check_file(entry: Entry) -> None:
    check_path(entry.path)
    if entry.size_bytes < 0 or entry.cid.codec != codec_of(entry.size_bytes):
        raise Rejected("field-invalid", f"{entry.cid} is no content of {entry.size_bytes} bytes", subject=entry.path)


def _check_total(entries: Sequence[Entry]) -> None:
    if sum(entry.size_bytes for entry in entries) > INT_MAX:
        raise Rejected("too-large", f"files of more than {INT_MAX} bytes together")


def _check_conflicts(entries: Sequence[Entry]) -> None:
    """Refuse a path that is a file and also a folder of another path."""
    folders: set[str] = set()
    latest = ""
    for entry in entries:
        folder = entry.path.rpartition("/")[0]
        if folder == latest:
            continue
        latest = folder
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for entry in entries:
        if entry.path in folders:
            raise bad_path(entry.path, "is a file and a folder at once")


def _fold(entries: list[Entry], blocks: list[Block]) -> Cid:
    """Append the blocks of the pack with these paths, sub-packs before what links to them; its CID."""
    if _encoded_bytes(entries) > PACK_BYTES:
        entries = [entry for name, group in groupby(entries, _top) for entry in _fold_folder(name, list(group), blocks)]
    if _encoded_bytes(entries) > PACK_BYTES:
        entries = [_link("", run, _fold(run, blocks)) for run in _runs(entries)]
    data = codec.encode({"v": 1, "type": TYPE, "entries": [_value(entry) for entry in entries]})
    assert len(data) == _encoded_bytes(entries) <= PACK_BYTES
    blocks.append(Block(Cid.of(DAG_CBOR, data), data))
    return blocks[-1].cid


def _fold_folder(name: str, entries: list[Entry], blocks: list[Block]) -> list[Entry]:
    """The one entry for the files below the folder ``name``, which ends in ``/``; a file at the top stays as it is."""
    if not name.endswith("/"):
        return entries
    below = [_moved(entry, entry.path[len(name) :]) for entry in entries]
    return [_link(name, below, _fold(below, blocks))]


def _runs(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Cut entries into the longest runs that each fit one pack, from the first on."""
    run: list[Entry] = []
    size = 0
    for entry in entries:
        more = _entry_bytes(entry)
        if _PACK_HEAD_BYTES + _head_bytes(len(run) + 1) + size + more > PACK_BYTES:
            yield run
            run, size = [], 0
        run.append(entry)
        size += more
    yield run


def _top(entry: Entry) -> str:
    name, slash, _ = entry.path.partition("/")
    return name + slash


def _link(path: str, entries: Iterable[Entry], cid: Cid) -> Entry:
    return Entry(path, cid, sum(entry.size_bytes for entry in entries))


def _moved(entry: Entry, path: str) -> Entry:
    return Entry(path, entry.cid, entry.size_bytes, entry.executable)


def _value(entry: Entry) -> dict[str, Any]:
    return {"path": entry.path, "cid": entry.cid, "size": entry.size_bytes, "executable": entry.executable}


# The sizes of encodings, known without encoding: what is folded is measured once a level.
_PACK_HEAD_BYTES: Final = len(codec.encode({"v": 1, "type": TYPE, "entries": []})) - 1
_ENTRY_HEAD_BYTES: Final = (
    len(codec.encode(_value(Entry("", Cid.from_digest(DAG_CBOR, bytes(32)), 0)))) - 2  # path and size are measured
)


def _encoded_bytes(entries: Sequence[Entry]) -> int:
    return _PACK_HEAD_BYTES + _head_bytes(len(entries)) + sum(map(_entry_bytes, entries))


def _entry_bytes(entry: Entry) -> int:
    size = len(entry.path.encode())
    return _ENTRY_HEAD_BYTES + _head_bytes(size) + size + _head_bytes(entry.size_bytes)


def _head_bytes(number: int) -> int:
    """How many bytes CBOR takes to say ``number`` (RFC 8949 section 3)."""
    return 1 if number < 24 else 2 if number < 1 << 8 else 3 if number < 1 << 16 else 5 if number < 1 << 32 else 9
