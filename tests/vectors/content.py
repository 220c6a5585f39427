"""Vectors of section 6: contents, manifests, packs and what is left out of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blake3 import blake3

from holo.core import codec, limits
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.ignore import Ignore
from holo.core.limits import BLOCK_BYTES
from holo.core.manifest import ManifestBuilder
from holo.core.pack import Entry, build_pack
from tests.records import content
from tests.vectors.form import Group, Json, changed, dag_json

_PART_BYTES = BLOCK_BYTES * limits.CHUNKS_PER_MANIFEST


def groups() -> Iterator[Group]:
    """Every group of this section."""
    yield _manifests()
    yield _packs()
    yield _ignores()


def patterned(pattern: bytes, size: int) -> bytes:
    """A content of this size that repeats ``pattern``."""
    return (pattern * (size // len(pattern) + 1))[:size]


def _manifests() -> Group:
    group = Group(
        "manifests",
        "Contents and manifests (6.1, 6.2). A content is given by a pattern that is repeated to its size; `manifest` "
        "is the encoded manifest, null for a content of one block.",
    )
    pattern = bytes(range(251))
    for name, size in (
        ("empty", 0),
        ("one-byte", 1),
        ("one-block", BLOCK_BYTES),
        ("a-byte-more-than-a-block", BLOCK_BYTES + 1),
        ("two-blocks", 2 * BLOCK_BYTES),
        ("three-chunks", 2 * BLOCK_BYTES + 12345),
    ):
        data = patterned(pattern, size)
        builder = ManifestBuilder()
        blocks = [*builder.feed(data), *builder.finish()]
        cid = blocks[-1].cid
        assert cid == _expected(data)
        manifest = blocks[-1].data.hex() if cid.codec == DAG_CBOR else None
        group.valid(name, "chunk", {"cid": str(cid), "manifest": manifest}, pattern=pattern.hex(), size=size)
    _read_manifests(group)
    return group


def _expected(data: bytes) -> Cid:
    """The CID of a content of at most 16 GiB, as the specification says it."""
    if len(data) <= BLOCK_BYTES:
        return Cid.of(RAW, data)
    chunks = [blake3(data[at : at + BLOCK_BYTES]).digest() for at in range(0, len(data), BLOCK_BYTES)]
    whole = blake3(data).digest()
    return codec.cid_of({"v": 1, "type": "manifest", "size": len(data), "chunks": b"".join(chunks), "blake3": whole})


def _read_manifests(group: Group) -> None:
    chunked = {"v": 1, "type": "manifest", "size": BLOCK_BYTES + 1, "chunks": bytes(64), "blake3": bytes(32)}
    manifest_link = Cid.of(DAG_CBOR, b"part")
    parted = {
        "v": 1, "type": "manifest", "size": _PART_BYTES + 1, "blake3": bytes(32),
        "parts": [manifest_link, Cid.of(RAW, b"tail")],
    }  # fmt: skip
    longer = {**parted, "size": 2 * _PART_BYTES, "parts": [manifest_link, Cid.of(DAG_CBOR, b"part 2")]}
    for name, value in (("chunked", chunked), ("parted", parted), ("two-whole-parts", longer)):
        data = codec.encode(value)
        result = {"id": str(Cid.of(DAG_CBOR, data)), "value": dag_json(value)}
        group.valid(name, "decode-manifest", result, bytes=data.hex())
    bad, field = "manifest-invalid", "field-invalid"
    cases: list[tuple[str, str, str, dict[str, Any], list[str | int], Any]] = [
        ("size-of-one-block", bad, "chunked", chunked, ["size"], BLOCK_BYTES),
        ("size-beyond-the-chunks", field, "chunked", chunked, ["size"], 2 * BLOCK_BYTES + 1),
        ("size-beyond-chunked", bad, "chunked", chunked, ["size"], _PART_BYTES + 1),
        ("chunks-cut", field, "chunked", chunked, ["chunks"], bytes(63)),
        ("a-chunk-more", field, "chunked", chunked, ["chunks"], bytes(96)),
        ("hash-cut", field, "chunked", chunked, ["blake3"], bytes(31)),
        ("size-negative", field, "chunked", chunked, ["size"], -1),
        ("parted-size-of-one-part", bad, "parted", parted, ["size"], _PART_BYTES),
        ("a-part-less", bad, "parted", parted, ["parts"], [manifest_link]),
        ("a-part-more", bad, "parted", parted, ["parts"], [manifest_link, manifest_link, Cid.of(RAW, b"tail")]),
        ("tail-as-manifest", bad, "parted", parted, ["parts", 1], manifest_link),
        ("part-as-block", bad, "parted", parted, ["parts", 0], Cid.of(RAW, b"tail")),
        ("part-as-text", bad, "parted", parted, ["parts", 0], "part"),
        ("long-tail-as-block", bad, "two-whole-parts", longer, ["parts", 1], Cid.of(RAW, b"tail")),
        ("version-2", "version-unsupported", "chunked", chunked, ["v"], 2),
        ("other-type", "type-mismatch", "chunked", chunked, ["type"], "pack"),
        ("unknown-field", "field-unknown", "chunked", chunked, ["more"], 1),
        ("chunks-and-parts", "field-unknown", "parted", parted, ["chunks"], bytes(64)),
    ]
    for name, code, of, value, path, new in cases:
        wrong = codec.encode(changed(value, path, new))
        change = f"{'.'.join(map(str, path))} is changed"
        group.invalid(name, "decode-manifest", code, of, change, bytes=wrong.hex())


# ------------------------------------------------------------------------------------------ packs


def _packs() -> Group:
    group = Group(
        "packs",
        "Packs (6.3): the CID of a folder's files, in whatever order they are given, and of large folders by a rule: "
        "`number` files whose path is `form` with the number in place of `#`, in six digits.",
    )
    files = [
        ("README", b"read"),
        ("bin/run", b"run"),
        ("bin-2", b"two"),
        ("src/a", b""),
        ("ü", b"umlaut"),
        ("z z:*", b"z"),
    ]
    entries = [Entry(path, Cid.of(RAW, data), len(data), path == "bin/run") for path, data in files]
    for name, some in (("empty", []), ("one-file", entries[:1]), ("files", entries)):
        (block,) = build_pack(some)
        group.valid(
            name, "build-pack", {"cid": str(block.cid), "pack": block.data.hex()}, entries=list(map(_entry, some))
        )
    for name, form, number in (
        ("fits", "folder/#", 10_000),
        ("folders-folded", "f#/file", 10_500),
        ("one-folder-folded-in-runs", "folder/sub/#", 12_000),
        ("runs", "file-#", 30_000),
    ):
        blocks = build_pack(_numbered(form, number))
        result = {"cid": str(blocks[-1].cid), "blocks": len(blocks)}
        group.valid(name, "build-numbered-pack", result, form=form, number=number)
    _read_packs(group, entries)
    return group


def _numbered(form: str, number: int) -> list[Entry]:
    cid = content("a file")
    return [Entry(form.replace("#", f"{index:06}"), cid, len("a file")) for index in range(number)]


def _entry(entry: Entry) -> Json:
    return {"path": entry.path, "cid": str(entry.cid), "size": entry.size_bytes, "executable": entry.executable}


def _read_packs(group: Group, entries: list[Entry]) -> None:
    (block,) = build_pack(entries)
    value: dict[str, Any] = codec.decode(block.data, limits.PACK_BYTES)
    group.valid("read", "decode-pack", {"id": str(block.cid), "value": dag_json(value)}, bytes=block.data.hex())
    first = value["entries"][0]

    def one(**fields: Any) -> list[dict[str, Any]]:
        return [{**first, **fields}]

    sub = {"path": "src/", "cid": Cid.of(DAG_CBOR, b"sub"), "size": 1, "executable": False}
    cases: list[tuple[str, str, str, list[str | int], Any]] = [
        ("unsorted", "pack-invalid", "entries in another order", ["entries"], value["entries"][::-1]),
        ("path-twice", "pack-invalid", "a path twice", ["entries"], [first, first]),
        ("file-and-folder", "path-invalid", "a path below a file", ["entries"], [first, {**first, "path": "README/x"}]),
        ("size-not-of-the-cid", "field-invalid", "a size for a manifest", ["entries"], one(size=BLOCK_BYTES + 1)),
        ("manifest-for-a-block", "field-invalid", "a dag-cbor CID", ["entries"], one(cid=Cid.of(DAG_CBOR, b"x"))),
        ("size-negative", "field-invalid", "a negative size", ["entries"], one(size=-1)),
        ("executable-null", "field-invalid", "executable null", ["entries"], one(executable=None)),
        ("unknown-field", "field-unknown", "another field", ["entries", 0, "mode"], 0o755),
        ("no-path", "field-missing", "no path", ["entries"], [{k: v for k, v in first.items() if k != "path"}]),
        ("sub-pack-executable", "pack-invalid", "an executable folder", ["entries"], [{**sub, "executable": True}]),
        ("sub-pack-two-deep", "pack-invalid", "a folder of two names", ["entries"], [{**sub, "path": "src/a/"}]),
        ("sub-pack-of-codec-raw", "pack-invalid", "a blob as a folder", ["entries"], [{**sub, "cid": first["cid"]}]),
        ("one-run", "pack-invalid", "one run alone", ["entries"], [{**sub, "path": ""}]),
        ("run-beside-a-file", "pack-invalid", "a run beside a file", ["entries"], [{**sub, "path": ""}, first]),
        ("sizes-too-large", "too-large", "sizes beyond 2^53-1 together", ["entries"], [
            {**first, "cid": Cid.of(DAG_CBOR, b"x"), "size": 2**53 - 1}, {**first, "path": "b"},
        ]),
        ("version-2", "version-unsupported", "v = 2", ["v"], 2),
        ("other-type", "type-mismatch", "another type", ["type"], "manifest"),
    ]  # fmt: skip
    for name, code, change, path, new in cases:
        wrong = codec.encode(changed(value, path, new))
        group.invalid(name, "decode-pack", code, "read", change, bytes=wrong.hex())
    for number, path_text in enumerate(
        ("/abs", "a//b", "a/./b", "../up", "a/..", ".git/config", "a/.GIT/x", "_darcs/x", "a\\b", "a\nb", "a\0b",
         "\x7f", "\x85", "/".join("a" * 65), "p" * 4097)
    ):  # fmt: skip
        code = "field-invalid" if len(path_text) > limits.PACK_PATH_BYTES else "path-invalid"
        wrong = codec.encode({**value, "entries": one(path=path_text)})
        change = f"the path {path_text[:20]!r}"
        group.invalid(f"path-{number}", "decode-pack", code, "read", change, bytes=wrong.hex())


def _ignores() -> Group:
    group = Group("ignores", "What `.holoignore` leaves out (6.4): given that no folder above the path is left out.")
    for name, rules, path, is_folder, out in (
        ("name-anywhere", "*.pyc", "a/b/c.pyc", False, True),
        ("star-stays-in-a-component", "a*c", "a/c", False, False),
        ("question-mark", "a?c", "abc", False, True),
        ("question-mark-is-not-nothing", "a?c", "ac", False, False),
        ("class", "v[0-9]", "v7", False, True),
        ("class-negated", "v[!0-9]", "v7", False, False),
        ("case-counts", "README", "readme", False, False),
        ("slash-anchors", "build/out", "a/build/out", False, False),
        ("leading-slash-anchors", "/build", "a/build", False, False),
        ("leading-slash-at-the-top", "/build", "build", True, True),
        ("folders-only-folder", "build/", "a/build", True, True),
        ("folders-only-file", "build/", "build", False, False),
        ("double-star-none", "a/**/z", "a/z", False, True),
        ("double-star-many", "a/**/z", "a/b/c/z", False, True),
        ("double-star-below", "a/**", "a/b", False, True),
        ("double-star-not-itself", "a/**", "a", True, False),
        ("double-star-in-front", "**/z", "z", False, True),
        ("taken-back", "*.log\n!keep.log", "x/keep.log", False, False),
        ("last-rule-decides", "!keep.log\n*.log", "keep.log", False, True),
        ("comment", "# *.log\n", "a.log", False, False),
        ("spaces-at-the-end", "a.log  ", "a.log", False, True),
        ("carriage-return", "a.log\r\nb.log\r\n", "a.log", False, True),
        ("many-stars", "*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", False, False),
        ("not-ascii", "ü*", "übung", False, True),
        ("nothing", "", "a", False, False),
    ):
        ignore = Ignore.parse(rules.encode())
        assert ignore.leaves_out(path, is_folder=is_folder) == out, name
        group.valid(name, "ignore", {"left_out": out}, rules=rules.encode().hex(), path=path, is_folder=is_folder)
    for name, change, wrong in (
        ("backslash", "a backslash", b"a\\*"),
        ("open-bracket", "a bracket that is not closed", b"v[0-9"),
        ("empty-bracket", "an empty bracket", b"v[]"),
        ("backward-range", "a range that runs backwards", b"v[9-0]"),
        ("slash-in-a-bracket", "a slash in a bracket", b"v[/]"),
        ("empty-component", "an empty component", b"a//b"),
        ("slash-alone", "a slash alone", b"/"),
        ("exclamation-alone", "an exclamation mark alone", b"!"),
        ("not-utf-8", "not UTF-8", b"v\xff"),
        ("too-many-rules", "1,001 rules", b"a\n" * (limits.IGNORE_RULES + 1)),
        ("too-deep", "65 components", b"/".join([b"a"] * 65)),
    ):
        group.invalid(name, "ignore", "ignore-invalid", "class", change, rules=wrong.hex(), path="v7", is_folder=False)
    return group
