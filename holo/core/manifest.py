"""Content as blocks, and the manifests that put it together again (spec section 6).

One content has one CID, a function of its bytes alone:

- up to 1 MiB (``BLOCK_BYTES``) it is one raw block, and its CID is that block's, the empty content included;
- up to 16 GiB (``CHUNKS_PER_MANIFEST`` chunks) its CID is that of a manifest
  ``{v, type: "manifest", size, chunks, blake3}``. Its chunks are 1 MiB each, the last may be shorter but not empty;
  ``chunks`` is the 32-byte blake3 digests of them, one after the other, each chunk being a raw block;
- above that it is cut into parts of 16 GiB each, the last may be shorter, and its CID is that of a manifest
  ``{v, type: "manifest", size, parts, blake3}``. ``parts`` links to each part as the content that part would be by
  itself: a manifest with chunks, or one raw block for a last part of at most 1 MiB.

``size`` is in bytes and ``blake3`` is the hash of the whole content. The form follows from ``size``, so a manifest of
another form is refused. Nothing is larger than 256 TiB (``PARTS_PER_MANIFEST`` parts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from blake3 import blake3

from holo.core import codec
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.envelope import open_statement
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.limits import BLOCK_BYTES, CHUNKS_PER_MANIFEST, INT_MAX, MANIFEST_BYTES, PARTS_PER_MANIFEST

TYPE: Final = "manifest"

_DIGEST_BYTES: Final = 32

Fetch: TypeAlias = Callable[[Cid], bytes]
"""Gives the block a CID names, unverified, or raises :class:`Missing`."""


class Block(NamedTuple):
    """The unit that is stored and transferred: at most ``BLOCK_BYTES`` of data and the CID they hash to."""

    cid: Cid
    data: bytes


class Span(NamedTuple):
    """A stretch of a content: the CID of its bytes and how many they are."""

    cid: Cid
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A content of more than one block. Either ``chunks`` or ``parts`` is empty."""

    size_bytes: int
    blake3: bytes
    chunks: bytes
    parts: tuple[Cid, ...]

    def spans(self) -> Iterator[Span]:
        """The stretches it is made of, in order: chunks, or parts."""
        step = BLOCK_BYTES if self.chunks else _part_bytes()
        for index, at in enumerate(range(0, self.size_bytes, step)):
            yield Span(self._child(index), min(step, self.size_bytes - at))

    def _child(self, index: int) -> Cid:
        if self.parts:
            return self.parts[index]
        return Cid.from_digest(RAW, self.chunks[index * _DIGEST_BYTES : (index + 1) * _DIGEST_BYTES])


class ManifestBuilder:
    """Cuts a content into blocks as it is fed, in constant memory but for 32 bytes a chunk.

    The blocks do not depend on how the content was split between calls, and each comes before any that links to it.
    """

    def __init__(self) -> None:
        self.size_bytes = 0
        self._pieces: list[bytes] = []  # fed and not yet cut: at most one block, held back until it is known if it ends
        self._pending_bytes = 0
        self._chunks = bytearray()  # digests of the part being cut
        self._part_size = 0
        self._part_hash = blake3()
        self._parts: list[Cid] = []
        self._whole_hash: blake3 | None = None  # apart from the part's only once there are two parts

    def feed(self, data: bytes) -> list[Block]:
        """Take the next bytes of the content; the blocks that are complete now. Raises ``too-large``."""
        self.size_bytes += len(data)
        if self.size_bytes > _part_bytes() * PARTS_PER_MANIFEST:
            raise Rejected("too-large", f"content of more than {_part_bytes() * PARTS_PER_MANIFEST} bytes")
        blocks: list[Block] = []
        at = 0
        while self._pending_bytes + len(data) - at > BLOCK_BYTES:
            end = at + BLOCK_BYTES - self._pending_bytes
            self._take(data[at:end])
            at = end
            blocks += self._cut()
        self._take(data[at:])
        return blocks

    def finish(self) -> list[Block]:
        """The remaining blocks, once everything was fed. The last one's CID is the content's."""
        blocks = self._cut()
        whole_hash = self._whole_hash
        blocks += self._close_part()
        if whole_hash is None:
            return blocks
        value = {"v": 1, "type": TYPE, "size": self.size_bytes, "parts": self._parts, "blake3": whole_hash.digest()}
        return [*blocks, _block(value)]

    def _take(self, piece: bytes) -> None:
        if piece:  # a block that is fed whole is then joined without being copied
            self._pieces.append(piece)
            self._pending_bytes += len(piece)

    def _cut(self) -> list[Block]:
        """Make a chunk of what is pending, after closing the part before it if that is full."""
        blocks = self._close_part() if len(self._chunks) == _DIGEST_BYTES * CHUNKS_PER_MANIFEST else []
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._pending_bytes = 0
        chunk = Block(Cid.of(RAW, data), data)
        self._chunks += chunk.cid.digest
        self._part_size += len(data)
        self._part_hash.update(data)
        if self._whole_hash is not None:
            self._whole_hash.update(data)
        return [*blocks, chunk]

    def _close_part(self) -> list[Block]:
        """End the part being cut: its manifest, or nothing if its one chunk is all it needs."""
        blocks = []
        cid = Cid.from_digest(RAW, bytes(self._chunks[:_DIGEST_BYTES]))
        if len(self._chunks) > _DIGEST_BYTES:
            digest = self._part_hash.digest()
            block = _block(
                {"v": 1, "type": TYPE, "size": self._part_size, "chunks": bytes(self._chunks), "blake3": digest}
            )
            blocks.append(block)
            cid = block.cid
        self._parts.append(cid)
        if self._whole_hash is None:  # up to here, the part was the whole
            self._whole_hash = self._part_hash
        self._part_hash = blake3()
        self._part_size = 0
        self._chunks = bytearray()
        return blocks


def open_manifest(cid: Cid, data: bytes) -> Manifest:
    """The manifest that ``cid`` names. Raises ``cid-mismatch`` and what :func:`decode_manifest` raises."""
    if not cid.matches(data):
        raise Rejected("cid-mismatch", f"{len(data)} bytes", subject=str(cid))
    if cid.codec != DAG_CBOR:
        raise Rejected("manifest-invalid", "a manifest's CID has the codec dag-cbor", subject=str(cid))
    return decode_manifest(data)


def decode_manifest(data: bytes) -> Manifest:
    """The manifest these bytes encode, its numbers in agreement; whether its content agrees is not known yet.

    Raises ``too-large``, ``cbor-invalid``, ``type-mismatch``, ``version-unsupported``, a ``field-…`` code, or
    ``manifest-invalid`` where size, chunks and parts contradict each other.
    """
    value = open_statement(data, TYPE, MANIFEST_BYTES).value
    form = "parts" if "parts" in value else "chunks"
    fields = Fields(value, TYPE, ("v", "type", "size", form, "blake3"))
    size = fields.integer("size", high=INT_MAX)
    digest = fields.data("blake3", _DIGEST_BYTES)
    if form == "chunks":
        _check_span("chunks", size, BLOCK_BYTES, CHUNKS_PER_MANIFEST)
        return Manifest(size, digest, fields.data("chunks", _DIGEST_BYTES * -(-size // BLOCK_BYTES)), ())
    _check_span("parts", size, _part_bytes(), PARTS_PER_MANIFEST)
    parts: tuple[Any, ...] = tuple(fields.items("parts", PARTS_PER_MANIFEST))
    if len(parts) != -(-size // _part_bytes()):
        raise Rejected("manifest-invalid", f"{len(parts)} parts for {size} bytes", at="manifest.parts")
    manifest = Manifest(size, digest, b"", parts)
    for index, (part, span) in enumerate(zip(parts, manifest.spans(), strict=True)):
        if not isinstance(part, Cid) or part.codec != codec_of(span.size_bytes):
            raise Rejected("manifest-invalid", f"no link to {span.size_bytes} bytes", at=f"manifest.parts[{index}]")
    return manifest


def codec_of(size_bytes: int) -> int:
    """The codec that the CID of a content of this size has."""
    return RAW if size_bytes <= BLOCK_BYTES else DAG_CBOR


def read_content(cid: Cid, fetch: Fetch) -> Iterator[bytes]:
    """The bytes of a content in order, each piece verified before it is given out.

    Raises ``cid-mismatch`` for a block that is not what its CID names and ``manifest-invalid`` where a length, or at
    the very end the hash of the whole, is not what the manifest says: what was given out until then is void.
    """
    return _read(cid, None, fetch)


def _read(cid: Cid, due_bytes: int | None, fetch: Fetch) -> Iterator[bytes]:
    if cid.codec == RAW:
        data = _open_chunk(cid, fetch(cid))
        _check_length(cid, len(data), due_bytes)
        yield data
        return
    manifest = open_manifest(cid, fetch(cid))
    _check_length(cid, manifest.size_bytes, due_bytes)
    whole = blake3()
    for span in manifest.spans():
        for piece in _read(span.cid, span.size_bytes, fetch):
            whole.update(piece)
            yield piece
    if whole.digest() != manifest.blake3:
        raise Rejected("manifest-invalid", "the content does not have the hash that blake3 gives", subject=str(cid))


def _check_length(cid: Cid, size_bytes: int, due_bytes: int | None) -> None:
    if due_bytes is not None and size_bytes != due_bytes:
        raise Rejected("manifest-invalid", f"{size_bytes} bytes where {due_bytes} are due", subject=str(cid))


def _open_chunk(cid: Cid, data: bytes) -> bytes:
    if len(data) > BLOCK_BYTES:
        raise Rejected("too-large", f"block of {len(data)} bytes where at most {BLOCK_BYTES} are allowed")
    if not cid.matches(data):
        raise Rejected("cid-mismatch", f"{len(data)} bytes", subject=str(cid))
    return data


def _check_span(form: str, size: int, step: int, most: int) -> None:
    if not step < size <= step * most:
        raise Rejected("manifest-invalid", f"a content of {size} bytes has no {form}", at="manifest.size")


def _part_bytes() -> int:
    return BLOCK_BYTES * CHUNKS_PER_MANIFEST


def _block(value: dict[str, Any]) -> Block:
    data = codec.encode(value)
    return Block(Cid.of(DAG_CBOR, data), data)
