"""Taking bytes by CID from a peer, on the transfer plane (spec section 7.8).

``get`` asks for a piece of what a CID names; the answer is a ``bytes`` message, and so many bytes after it in frames of
their own. Answers come in the order of their questions. :class:`Fetch` puts one object together and believes nothing
before the whole of it matches its CID; pieces beyond what was asked for are refused before they are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self, TypeAlias

from holo.core import codec, limits
from holo.core.cid import Cid
from holo.core.errors import Missing, Rejected
from holo.core.fields import Fields
from holo.core.messages import kind_of
from holo.core.questions import ID_MAX

_PIECE_BYTES: Final = 256 * 1024
"""Of a frame of bytes that is sent. Any up to the largest frame is taken."""


@dataclass(frozen=True, slots=True)
class Get:
    """``length`` bytes of what ``cid`` names, from ``offset`` on, are asked for."""

    id: int
    cid: Cid
    offset: int
    length: int

    KIND: ClassVar = "get"
    FIELDS: ClassVar = ("id", "cid", "offset", "length")

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"id": self.id, "cid": self.cid, "offset": self.offset, "length": self.length}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        length = fields.integer("length", 1, limits.TRANSFER_BYTES)
        return cls(fields.integer("id", 0, ID_MAX), fields.link("cid"), fields.integer("offset"), length)


@dataclass(frozen=True, slots=True)
class Bytes:
    """``size`` bytes follow, fewer than were asked for only where the end is reached; None: not held here."""

    id: int
    size: int | None

    KIND: ClassVar = "bytes"
    FIELDS: ClassVar = ("id", "size")

    def as_value(self) -> dict[str, Any]:
        """The message's fields."""
        return {"id": self.id, "size": self.size}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The message with these fields."""
        size = None if fields.null("size") else fields.integer("size", 0, limits.TRANSFER_BYTES)
        return cls(fields.integer("id", 0, ID_MAX), size)


Transfer: TypeAlias = Get | Bytes

_KINDS: Final[dict[str, type[Transfer]]] = {kind.KIND: kind for kind in (Get, Bytes)}


def encode_transfer(message: Transfer) -> bytes:
    """The payload of a frame."""
    return codec.encode({"m": message.KIND, **message.as_value()})


def decode_transfer(frame: bytes) -> Transfer:
    """The message in the payload of a frame.

    Raises ``too-large``, ``cbor-invalid``, ``message-unknown``, ``field-*`` or ``cid-*``.
    """
    value = codec.decode(frame, limits.TRANSFER_MESSAGE_BYTES)
    name = kind_of(value)
    kind = _KINDS.get(name)
    if kind is None:
        raise Rejected("message-unknown", f"a message {name[:64]!r}", at="message.m")
    return kind.read(Fields(value, "message", ("m", *kind.FIELDS)))


def answer(get: Get, data: bytes | None) -> Iterator[bytes]:
    """The frames that answer ``get``, where ``data`` is all that its CID names, or None where that is not held."""
    if data is None:
        yield encode_transfer(Bytes(get.id, None))
        return
    end = min(get.offset + get.length, len(data))
    size = max(0, end - get.offset)
    yield encode_transfer(Bytes(get.id, size))
    for start in range(get.offset, get.offset + size, _PIECE_BYTES):
        yield data[start : min(start + _PIECE_BYTES, end)]


class Fetch:
    """One object of at most ``limit_bytes``, asked for piece by piece over one link.

    Send :meth:`question`, give every frame that comes to :meth:`take` until :attr:`waiting` is no more, and so on until
    :attr:`data` is there.
    """

    def __init__(self, cid: Cid, limit_bytes: int, id: int = 0) -> None:
        self._cid = cid
        self._limit_bytes = limit_bytes
        self._id = id
        self._parts: list[bytes] = []
        self._have = 0
        self._asked: Get | None = None
        self._left: int | None = None
        self.data: bytes | None = None

    @property
    def waiting(self) -> bool:
        """Whether frames are still to come of what was asked."""
        return self._asked is not None

    def question(self) -> bytes:
        """The frame that asks for the next piece: one byte more than may come, so that too much shows."""
        assert not self.waiting
        assert self.data is None
        length = min(limits.TRANSFER_BYTES, self._limit_bytes - self._have + 1)
        self._asked = Get(self._id, self._cid, self._have, length)
        return encode_transfer(self._asked)

    def take(self, frame: bytes) -> None:
        """Take a frame that came.

        Raises ``not-found`` where the peer does not hold it, ``answer-invalid`` for another answer than to what was
        asked, ``too-large`` and ``cid-mismatch``: then what came is thrown away.
        """
        asked = self._asked
        if asked is None:
            raise Rejected("answer-invalid", "nothing was asked for")
        if self._left is None:
            self._begin(decode_transfer(frame), asked)
        elif not 0 < len(frame) <= self._left:
            raise Rejected("answer-invalid", f"{len(frame)} bytes where {self._left} are left")
        else:
            self._parts.append(frame)
            self._left -= len(frame)
            self._have += len(frame)
        if self._left == 0:
            self._end(asked)

    def _begin(self, message: Transfer, asked: Get) -> None:
        if not isinstance(message, Bytes) or message.id != asked.id:
            raise Rejected("answer-invalid", "another message than the answer to what was asked")
        if message.size is None:
            raise Missing("not-found", "the peer does not hold it", subject=str(self._cid))
        if message.size > asked.length:
            raise Rejected("answer-invalid", f"{message.size} bytes where {asked.length} were asked for")
        self._left = message.size

    def _end(self, asked: Get) -> None:
        self._asked = self._left = None
        if self._have > self._limit_bytes:
            raise Rejected("too-large", f"more than {self._limit_bytes} bytes", subject=str(self._cid))
        if self._have < asked.offset + asked.length:
            data = b"".join(self._parts)
            if not self._cid.matches(data):
                raise Rejected("cid-mismatch", f"the bytes are not those of {self._cid}", subject=str(self._cid))
            self.data = data
