"""Section 6: manifests and the content they name, packs, paths, and what a folder leaves out."""

from __future__ import annotations

from typing import Any

from holo.core import codec, manifest, pack
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.errors import Missing, Rejected
from holo.core.ignore import Ignore
from holo.core.limits import BLOCK_BYTES
from holo.core.manifest import Block, Fetch
from holo.core.pack import Entry
from holo.core.pack_path import check_path
from tests.fuzz.seeds import hexes, of_vectors
from tests.fuzz.target import Target
from tests.fuzz.targets.encoding import text_of


def _manifest(data: bytes) -> None:
    found = manifest.decode_manifest(data)
    value = {"v": 1, "type": "manifest", "size": found.size_bytes, "blake3": found.blake3}
    form = {"parts": list(found.parts)} if found.parts else {"chunks": found.chunks}
    assert codec.encode({**value, **form}) == data
    assert manifest.open_manifest(Cid.of(DAG_CBOR, data), data) == found
    spans = list(found.spans()) if found.size_bytes < 64 * BLOCK_BYTES or found.parts else []
    assert not spans or sum(span.size_bytes for span in spans) == found.size_bytes


def _fetch(blocks: list[bytes]) -> Fetch:
    held = {Cid.of(kind, data): data for data in blocks for kind in (RAW, DAG_CBOR)}

    def fetch(cid: Cid) -> bytes:
        if cid not in held:
            raise Missing("not-found", str(cid))
        return held[cid]

    return fetch


def _blocks_of(data: bytes) -> list[bytes]:
    blocks = codec.decode(data, 1 << 20)
    if not (isinstance(blocks, list) and blocks and all(type(item) is bytes for item in blocks)):
        raise Rejected("field-invalid", "not a list of blocks")
    return blocks


def _content(data: bytes) -> None:
    """A list of blocks, the content's first: it is read to the end and has one CID, or is refused."""
    blocks = _blocks_of(data)
    kind = DAG_CBOR if blocks[0][:1] in (b"\xa4", b"\xa5") else RAW
    read = b"".join(manifest.read_content(Cid.of(kind, blocks[0]), _fetch(blocks)))
    builder = manifest.ManifestBuilder()
    builder.feed(read)
    assert builder.finish()[-1].cid == Cid.of(kind, blocks[0])


def _pack(data: bytes) -> None:
    entries = pack.decode_pack(data)
    rows = [
        {"path": entry.path, "cid": entry.cid, "size": entry.size_bytes, "executable": entry.executable}
        for entry in entries
    ]
    assert codec.encode({"v": 1, "type": "pack", "entries": rows}) == data
    if not any(entry.is_pack for entry in entries):
        assert pack.build_pack(reversed(entries)) == [Block(Cid.of(DAG_CBOR, data), data)]


def _packs(data: bytes) -> None:
    """A list of blocks, a pack first: its files make the same pack again."""
    blocks = _blocks_of(data)
    root = Cid.of(DAG_CBOR, blocks[0])
    files = pack.open_pack(root, _fetch(blocks))
    assert pack.build_pack(files)[-1].cid == root
    assert [file.path for file in files] == sorted({file.path for file in files})


def _path(data: bytes) -> None:
    path = text_of(data)
    check_path(path)
    (block,) = pack.build_pack([Entry(path, Cid.of(RAW, b""), 0)])
    assert [entry.path for entry in pack.decode_pack(block.data)] == [path]


def _ignore(data: bytes) -> None:
    """Paths, an empty line, and rules: each path is left out or not, in a time that no rule can stretch."""
    paths, parted, rules = data.partition(b"\n\n")
    if not parted:
        raise Rejected("ignore-invalid", "no empty line")
    ignore = Ignore.parse(rules)
    for line in paths.split(b"\n")[:8]:
        path = text_of(line)
        as_file, as_folder = (ignore.leaves_out(path, is_folder=is_folder) for is_folder in (False, True))
        if not any(rule.folders_only for rule in ignore.rules):
            assert as_file == as_folder


def _ignore_seed(given: Any) -> Any:
    yield given["path"].encode() + b"\n\n" + bytes.fromhex(given["rules"])


def _content_seeds() -> list[bytes]:
    return [
        codec.encode([b"one block"]),
        codec.encode([b""]),
        *map(_single, of_vectors("decode-manifest", hexes("bytes"), 4096)),
    ]


def _pack_seeds() -> list[bytes]:
    files = [("a", False), ("b/c", True), ("b/d/e", False), ("ü", False), ("z" * 200, True)]
    entries = [Entry(path, Cid.of(RAW, path.encode()), len(path), executable) for path, executable in files]
    links = [
        {"path": path, "cid": Cid.of(DAG_CBOR, b""), "size": 3, "executable": False} for path in ("", "", "b/", "c/")
    ]
    folded = [{"v": 1, "type": "pack", "entries": rows} for rows in (links[:2], links[2:])]
    built = [block.data for block in pack.build_pack(entries)]
    return [*of_vectors("decode-pack", hexes("bytes")), *built, *map(codec.encode, folded)]


def _folded_seeds() -> list[bytes]:
    (inner,) = pack.build_pack([Entry("c", Cid.of(RAW, b""), 0)])
    outer = {"path": "b/", "cid": inner.cid, "size": 0, "executable": False}
    folded = codec.encode({"v": 1, "type": "pack", "entries": [outer]})
    runs = codec.encode({"v": 1, "type": "pack", "entries": [{**outer, "path": ""}] * 2})
    return [*map(_single, _pack_seeds()), codec.encode([folded, inner.data]), codec.encode([runs, inner.data])]


def _single(block: bytes) -> bytes:
    return codec.encode([block])


TARGETS = (
    Target("manifest", _manifest, lambda: of_vectors("decode-manifest", hexes("bytes"), 4096), structured=True),
    Target("content", _content, _content_seeds, structured=True),
    Target("pack", _pack, _pack_seeds, 8192, structured=True),
    Target("packs", _packs, _folded_seeds, 8192, structured=True),
    Target("path", _path, lambda: [b"a", b"a/b/c", b"..", b"a//b", b".git/x", "ü/é".encode(), b"a\x7f"], 1024),
    Target("ignore", _ignore, lambda: of_vectors("ignore", _ignore_seed), 1024, known=(b"**", b"\n!", b"[!a-z]", b"/")),
)
