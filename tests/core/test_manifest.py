"""Contents as blocks: one CID whatever the feeding, every boundary, and manifests made to deceive."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from holo.core import codec, manifest
from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.errors import Missing, Rejected
from holo.core.manifest import Block, ManifestBuilder, decode_manifest, open_manifest, read_content

MIB = 1024 * 1024
GIB = 1024 * MIB


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 4 bytes and parts of 3 blocks, so that contents of every shape fit a test."""
    shrink(monkeypatch)


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "BLOCK_BYTES", 4)
    monkeypatch.setattr(manifest, "CHUNKS_PER_MANIFEST", 3)
    monkeypatch.setattr(manifest, "PARTS_PER_MANIFEST", 5)


def cut(*pieces: bytes) -> list[Block]:
    builder = ManifestBuilder()
    blocks = [block for piece in pieces for block in builder.feed(piece)]
    return blocks + builder.finish()


def fetch_from(blocks: list[Block]) -> manifest.Fetch:
    store = dict(blocks)

    def fetch(cid: Cid) -> bytes:
        if cid not in store:
            raise Missing("not-found", subject=str(cid))
        return store[cid]

    return fetch


def content(size: int) -> bytes:
    return blake3(b"content").digest(length=size)


def code_of(data: bytes) -> str:
    with pytest.raises(Rejected) as refusal:
        decode_manifest(data)
    return refusal.value.code


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB])
def test_up_to_a_mebibyte_a_content_is_one_raw_block(size: int) -> None:
    data = content(size)
    assert cut(data) == [Block(Cid.of(RAW, data), data)]
    assert b"".join(read_content(Cid.of(RAW, data), fetch_from(cut(data)))) == data


@pytest.mark.parametrize("size", [MIB + 1, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 5 * MIB + 12345])
def test_above_a_mebibyte_it_is_chunks_and_a_manifest(size: int) -> None:
    data = content(size)
    blocks = cut(data)
    chunks = [data[at : at + MIB] for at in range(0, size, MIB)]
    assert blocks[:-1] == [Block(Cid.of(RAW, chunk), chunk) for chunk in chunks]
    assert codec.decode(blocks[-1].data, MIB) == {
        "v": 1,
        "type": "manifest",
        "size": size,
        "chunks": b"".join(blake3(chunk).digest() for chunk in chunks),
        "blake3": blake3(data).digest(),
    }
    assert blocks[-1].cid == Cid.of(DAG_CBOR, blocks[-1].data)
    assert b"".join(read_content(blocks[-1].cid, fetch_from(blocks))) == data


def test_the_cid_is_the_one_it_was_when_the_format_was_written() -> None:
    assert {size: str(cut(content(size))[-1].cid) for size in (0, MIB, MIB + 1)} == {
        0: "bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlpte2spfoihzsmi",
        MIB: "bafkr4ihhcyiuqfz2htf5l2hexy6sok7nqeybzc4wrzmgjisxpbluqaw5i4",
        MIB + 1: "bafyr4ihrjb72fgd2jbovhzxpqdkrzphcaiqht5s2ak5pii622pshibipgq",
    }


@given(data=st.binary(max_size=70), splits=st.lists(st.integers(0, 70), max_size=8))
def test_how_it_is_fed_changes_nothing(data: bytes, splits: list[int]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        shrink(monkeypatch)
        bounds = [0, *sorted(min(split, len(data), 60) for split in splits), min(len(data), 60)]
        data = data[:60]
        blocks = cut(*(data[start:end] for start, end in itertools.pairwise(bounds)))
        assert blocks == cut(data)
        assert b"".join(read_content(blocks[-1].cid, fetch_from(blocks))) == data
        assert_links_come_first(blocks)


def assert_links_come_first(blocks: list[Block]) -> None:
    seen: set[Cid] = set()
    for block in blocks:
        if block.cid.codec == DAG_CBOR:
            assert {span.cid for span in open_manifest(*block).spans()} <= seen
        seen.add(block.cid)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("size", range(61))
def test_each_part_is_the_content_it_would_be_by_itself(size: int) -> None:
    data = content(size)
    root = cut(data)[-1]
    if size <= 12:
        return
    parts = [data[at : at + 12] for at in range(0, size, 12)]
    assert codec.decode(root.data, MIB) == {
        "v": 1,
        "type": "manifest",
        "size": size,
        "parts": [cut(part)[-1].cid for part in parts],
        "blake3": blake3(data).digest(),
    }
    spans = list(open_manifest(*root).spans())
    assert [span.size_bytes for span in spans] == [len(part) for part in parts]


@pytest.mark.usefixtures("small")
def test_contents_beyond_the_largest_are_refused() -> None:
    cut(content(60))
    builder = ManifestBuilder()
    builder.feed(content(60))
    with pytest.raises(Rejected) as refusal:
        builder.feed(b"1")
    assert refusal.value.code == "too-large"


@pytest.mark.slow
def test_sixteen_gibibytes_and_one_byte_make_two_parts() -> None:
    builder = ManifestBuilder()
    piece = bytes(MIB)
    manifests = [block for _ in range(16384) for block in builder.feed(piece) if block.cid.codec == DAG_CBOR]
    assert manifests == []
    *_, root = builder.feed(b"1") + builder.finish()
    value = open_manifest(*root)
    assert value.size_bytes == 16 * GIB + 1
    assert [(span.cid.codec, span.size_bytes) for span in value.spans()] == [(DAG_CBOR, 16 * GIB), (RAW, 1)]


# ------------------------------------------------------------------------------------------ made to deceive


def flat(**changes: Any) -> bytes:
    value = {"v": 1, "type": "manifest", "size": 2 * MIB, "chunks": bytes(64), "blake3": bytes(32), **changes}
    return codec.encode({name: field for name, field in value.items() if field is not ...})


def nested(**changes: Any) -> bytes:
    part = Cid.from_digest(DAG_CBOR, bytes(32))
    value = {"v": 1, "type": "manifest", "size": 32 * GIB, "parts": [part, part], "blake3": bytes(32), **changes}
    return codec.encode({name: field for name, field in value.items() if field is not ...})


def test_the_samples_below_are_valid_before_they_are_spoiled() -> None:
    assert decode_manifest(flat()).size_bytes == 2 * MIB
    assert decode_manifest(nested()).size_bytes == 32 * GIB


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"size": 2 * MIB + 1}, "field-invalid"),
        ({"size": MIB + 1}, None),
        ({"size": MIB}, "manifest-invalid"),
        ({"size": 0}, "manifest-invalid"),
        ({"size": -1}, "field-invalid"),
        ({"size": True}, "field-invalid"),
        ({"size": 16 * GIB + 1}, "manifest-invalid"),
        ({"size": ...}, "field-missing"),
        ({"chunks": bytes(63)}, "field-invalid"),
        ({"chunks": bytes(96)}, "field-invalid"),
        ({"chunks": b""}, "field-invalid"),
        ({"chunks": "0" * 64}, "field-invalid"),
        ({"chunks": ...}, "field-missing"),
        ({"blake3": bytes(31)}, "field-invalid"),
        ({"blake3": ...}, "field-missing"),
        ({"parts": []}, "field-unknown"),
        ({"extra": 1}, "field-unknown"),
        ({"v": 2}, "version-unsupported"),
        ({"v": True}, "version-unsupported"),
        ({"type": "pack"}, "type-mismatch"),
    ],
)
def test_chunks_that_contradict_the_rest_are_refused(changes: dict[str, Any], code: str | None) -> None:
    if code is None:
        decode_manifest(flat(**changes))
    else:
        assert code_of(flat(**changes)) == code


PART = Cid.from_digest(DAG_CBOR, bytes(32))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"parts": [PART]}, "manifest-invalid"),
        ({"parts": [PART, PART, PART]}, "manifest-invalid"),
        ({"parts": []}, "manifest-invalid"),
        ({"parts": [PART, 1]}, "manifest-invalid"),
        ({"parts": [PART, Cid.from_digest(RAW, bytes(32))]}, "manifest-invalid"),
        ({"parts": [PART, Cid.from_digest(CBOR, bytes(32))]}, "manifest-invalid"),
        ({"parts": PART}, "field-invalid"),
        ({"parts": [PART] * 16385}, "field-invalid"),
        ({"size": 16 * GIB, "parts": [PART]}, "manifest-invalid"),
        ({"size": 16 * GIB + 1}, "manifest-invalid"),
        ({"size": 2**48 + 1}, "manifest-invalid"),
        ({"size": 2**48, "parts": [PART] * 16384}, None),
        ({"size": 16 * GIB + 1, "parts": [PART, Cid.from_digest(RAW, bytes(32))]}, None),
        ({"chunks": b""}, "field-unknown"),
    ],
)
def test_parts_that_contradict_the_rest_are_refused(changes: dict[str, Any], code: str | None) -> None:
    if code is None:
        decode_manifest(nested(**changes))
    else:
        assert code_of(nested(**changes)) == code


def test_more_than_a_mebibyte_is_not_decoded() -> None:
    assert code_of(flat(extra=bytes(MIB))) == "too-large"


@given(st.binary(max_size=200))
def test_rubbish_is_refused_and_nothing_worse(data: bytes) -> None:
    with pytest.raises(Rejected):
        decode_manifest(data)


def spoiled(**changes: Any) -> tuple[Cid, list[Block]]:
    """A content of 11 bytes in small blocks whose root manifest was changed after it was made."""
    blocks = cut(content(11))
    value = {**codec.decode(blocks[-1].data, MIB), **changes}
    data = codec.encode(value)
    return Cid.of(DAG_CBOR, data), [*blocks, Block(Cid.of(DAG_CBOR, data), data)]


def code_of_reading(cid: Cid, blocks: list[Block]) -> str:
    with pytest.raises(Rejected) as refusal:
        for _ in read_content(cid, fetch_from(blocks)):
            pass
    return refusal.value.code


@pytest.mark.usefixtures("small")
def test_reading_finds_what_a_manifest_lies_about() -> None:
    assert b"".join(read_content(spoiled()[0], fetch_from(spoiled()[1]))) == content(11)
    assert code_of_reading(*spoiled(blake3=bytes(32))) == "manifest-invalid"
    assert code_of_reading(*spoiled(size=12)) == "manifest-invalid"
    assert code_of_reading(*spoiled(size=10)) == "manifest-invalid"


@pytest.mark.usefixtures("small")
def test_reading_finds_blocks_that_are_not_what_their_cid_names() -> None:
    blocks = cut(content(30))
    for index, block in enumerate(blocks):
        bad = [*blocks[:index], Block(block.cid, block.data[:-1] + bytes([block.data[-1] ^ 1])), *blocks[index + 1 :]]
        assert code_of_reading(blocks[-1].cid, bad) == "cid-mismatch"


@pytest.mark.usefixtures("small")
def test_a_part_of_another_length_is_refused_before_it_is_read() -> None:
    blocks = cut(content(30))
    value = codec.decode(blocks[-1].data, MIB)
    longer = cut(content(60))
    data = codec.encode({**value, "parts": [longer[-1].cid, *value["parts"][1:]]})
    root = Block(Cid.of(DAG_CBOR, data), data)
    asked: list[Cid] = []

    def fetch(cid: Cid) -> bytes:
        asked.append(cid)
        return fetch_from([*blocks, *longer, root])(cid)

    with pytest.raises(Rejected) as refusal:
        next(read_content(root.cid, fetch))
    assert refusal.value.code == "manifest-invalid"
    assert asked == [root.cid, longer[-1].cid]


@pytest.mark.usefixtures("small")
def test_a_missing_block_is_named() -> None:
    blocks = cut(content(30))
    pieces: Iterator[bytes] = read_content(blocks[-1].cid, fetch_from(blocks[1:]))
    with pytest.raises(Missing) as missing:
        next(pieces)
    assert missing.value.subject == str(blocks[0].cid)


def test_a_root_of_another_kind_is_refused() -> None:
    data = flat()
    with pytest.raises(Rejected) as refusal:
        open_manifest(Cid.of(CBOR, data), data)
    assert refusal.value.code == "manifest-invalid"


def test_a_block_larger_than_allowed_is_refused_before_it_is_hashed() -> None:
    data = bytes(MIB + 1)
    assert code_of_reading(Cid.of(RAW, data), [Block(Cid.of(RAW, data), data)]) == "too-large"
