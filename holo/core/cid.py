"""Content identifiers: CIDv1, lower-case base32, blake3-256 (spec section 1).

A :class:`Cid` *is* its 36 binary bytes, so it hashes, sorts and serves as a database key without conversion,
while its type keeps it apart from byte strings in the codec.
"""

from __future__ import annotations

import base64
import re
from typing import Final, Self

from blake3 import blake3

from holo.core.base32 import ID_CHARS, decode_id, encode_id
from holo.core.errors import Rejected

RAW: Final = 0x55
DAG_CBOR: Final = 0x71
CBOR: Final = 0x51

_MULTIHASH: Final = bytes((0x1E, 0x20))
_PREFIXES: Final = {codec: bytes((0x01, codec)) + _MULTIHASH for codec in (RAW, DAG_CBOR, CBOR)}
_VALID_PREFIXES: Final = frozenset(_PREFIXES.values())
CID_BYTES: Final = 36
_TEXT: Final = re.compile(f"b[a-z2-7]{{{ID_CHARS}}}")


class Cid(bytes):
    """A CID as its 36 binary bytes: version 1, codec, 0x1e, 0x20, 32 bytes of blake3."""

    __slots__ = ()

    @classmethod
    def of(cls, codec: int, data: bytes) -> Self:
        """The CID of ``data`` under ``codec`` (:data:`RAW`, :data:`DAG_CBOR` or :data:`CBOR`)."""
        return cls(_PREFIXES[codec] + blake3(data).digest())

    @classmethod
    def from_digest(cls, codec: int, digest: bytes) -> Self:
        """The CID with this 32-byte blake3 digest."""
        assert len(digest) == 32
        return cls(_PREFIXES[codec] + digest)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The CID these 36 bytes are. Raises ``cid-unsupported`` for other kinds, ``cid-invalid`` for rubbish."""
        if len(data) == CID_BYTES and data[:4] in _VALID_PREFIXES:
            return cls(data)
        if len(data) < 4 or data[0] not in (0x01, 0x12):
            raise Rejected("cid-invalid", f"{len(data)} bytes that start with {data[:4].hex() or 'nothing'}")
        raise Rejected("cid-unsupported", f"{len(data)} bytes that start with {data[:4].hex()}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The CID that ``text`` writes. Only the one canonical spelling is accepted."""
        if len(text) > 128:
            raise Rejected("cid-invalid", f"{len(text)} characters")
        if _TEXT.fullmatch(text) and (known := decode_id(text[1:])) is not None:
            return cls.from_bytes(known)
        if not text.startswith("b"):
            foreign = text.startswith(("Qm", "z", "f", "B", "m", "u", "k"))
            raise Rejected("cid-unsupported" if foreign else "cid-invalid", f"{text!r} is not lower-case base32")
        body = text[1:]
        try:
            data = base64.b32decode(body.upper() + "=" * (-len(body) % 8)) if body == body.lower() else None
        except ValueError:
            data = None
        if data is None:
            raise Rejected("cid-invalid", f"{text!r} is not lower-case base32")
        cid = cls.from_bytes(data)
        if str(cid) != text:
            raise Rejected("cid-invalid", f"{text!r} is not the canonical spelling, which is {cid!s}")
        return cid

    @property
    def codec(self) -> int:
        """:data:`RAW`, :data:`DAG_CBOR` or :data:`CBOR`."""
        return self[1]

    @property
    def digest(self) -> bytes:
        """The 32 bytes of blake3."""
        return bytes(self[4:])

    def matches(self, data: bytes) -> bool:
        """Whether ``data`` is what this CID names."""
        return blake3(data).digest() == self[4:]

    def __str__(self) -> str:
        return "b" + encode_id(self).decode("ascii")

    def __repr__(self) -> str:
        return f"Cid({self!s})"
