"""Strict DAG-CBOR (spec section 1; RFC 8949 section 4.2.3 length-first key order; tag 42 only).

cbor2 parses, this module judges and writes. Its options refuse indefinite lengths, duplicate keys and depth; every tag
but 42 is refused before anything is built from it; and what was decoded is encoded again and compared, which catches
whatever else was not canonical. There is exactly one encoding of a value.

The writing is done here because it is most of what a record costs beyond its signature: cbor2 would have to be given a
copy of every value, sorted and with its links wrapped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, NoReturn, TypeAlias

import cbor2

from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Rejected
from holo.core.limits import DEPTH_MAX, INT_MAX, ITEMS_MAX

Value: TypeAlias = "bool | int | str | bytes | Cid | list[Value] | dict[str, Value] | None"

_LINK_TAG: Final = 42
LINK_HEAD: Final = bytes.fromhex("d82a582500")  # tag 42, a byte string of 37, the 0x00 before a binary CID
NULL: Final = b"\xf6"
_FALSE: Final = b"\xf4"
_TRUE: Final = b"\xf5"
INT: Final = 0x00
_NEGATIVE: Final = 0x20
BYTE_STRING: Final = 0x40
TEXT: Final = 0x60
ARRAY: Final = 0x80
_MAP: Final = 0xA0

_SHAPES: Final = 256
_SHAPE_KEYS: Final = 16
_SHAPE_BYTES: Final = 256
_shapes: dict[tuple[Any, ...], Sequence[tuple[str, bytes]]] = {}
"""keys of a small map → the same in order with their encodings; at most _SHAPES of them."""


def encode(value: Any) -> bytes:
    """The one DAG-CBOR encoding of ``value``. Raises ``cbor-invalid`` for what has none (floats, big integers…)."""
    out = bytearray()
    try:
        _write(out, value, 0)
    except UnicodeEncodeError as error:
        raise Rejected("cbor-invalid", f"text is not valid UTF-8: {error.reason}") from None
    return bytes(out)


def decode(data: bytes, limit_bytes: int, limit_items: int = ITEMS_MAX) -> Any:
    """The value that ``data`` encodes: None, bool, int, str, bytes, Cid, list and dict with text keys.

    Raises ``too-large`` above ``limit_bytes`` or ``limit_items``, ``cid-invalid`` or ``cid-unsupported`` for a link of
    another kind, and ``cbor-invalid`` for anything else but the one canonical encoding.
    """
    if len(data) > limit_bytes:
        raise Rejected("too-large", f"{len(data)} bytes where at most {limit_bytes} are allowed")
    if len(data) > limit_items:  # an item takes a byte, so less cannot hold too many
        _check_items(data, limit_items)
    try:
        value = cbor2.loads(
            data,
            semantic_decoders=_TAGS,
            max_depth=DEPTH_MAX + 1,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except Exception as error:  # cbor2 leaks several kinds; all of them are the input's fault
        raise _own_refusal(error) or Rejected("cbor-invalid", str(error) or type(error).__name__) from None
    if encode(value) != data:
        raise Rejected("cbor-invalid", "not the canonical encoding of its value")
    return value


def cid_of(value: Any) -> Cid:
    """The dag-cbor CID of ``value``."""
    return Cid.of(DAG_CBOR, encode(value))


def _check_items(data: bytes, limit: int) -> None:
    """Raises ``too-large`` where ``data`` holds more than ``limit`` items; whatever else is wrong is left to cbor2.

    One item is one head (RFC 8949 section 3), so this steps from head to head and over the content of strings.
    """
    position = items = 0
    while position < len(data):
        items += 1
        if items > limit:
            raise Rejected("too-large", f"more than {limit} items")
        major, argument = data[position] >> 5, data[position] & 31
        position += 1
        if argument > 27:  # reserved or indefinite: cbor2 stops here as well
            return
        if argument > 23:
            width = 1 << argument - 24
            argument = int.from_bytes(data[position : position + width], "big")
            position += width
        if major in (2, 3):
            position += argument


def head(major: int, number: int) -> bytes:
    """The shortest head (RFC 8949 section 3): the three bits of the major type in place, and an argument of 64 bits."""
    if number < 24:
        return bytes((major | number,))
    if number < 0x100:
        return bytes((major | 24, number))
    if number < 0x10000:
        return struct.pack(">BH", major | 25, number)
    if number < 0x100000000:
        return struct.pack(">BI", major | 26, number)
    return struct.pack(">BQ", major | 27, number)


def _write(out: bytearray, value: Any, depth: int) -> None:
    """Append the encoding of ``value``, which lies ``depth`` deep; refuses what DAG-CBOR cannot say."""
    kind = type(value)
    if kind is str:
        data = value.encode()
        out += _TEXTS[len(data)] if len(data) < 256 else head(TEXT, len(data))
        out += data
    elif kind is Cid:
        out += LINK_HEAD
        out += value
    elif kind is int:
        if 0 <= value < 256:
            out += _INTS[value]
        elif not -INT_MAX <= value <= INT_MAX:
            raise Rejected("cbor-invalid", f"integer of {value.bit_length()} bits is beyond ±(2^53-1)")
        else:
            out += head(INT, value) if value > 0 else head(_NEGATIVE, -1 - value)
    elif kind is bytes:
        out += _BYTES[len(value)] if len(value) < 256 else head(BYTE_STRING, len(value))
        out += value
    elif value is None:
        out += NULL
    elif kind is bool:
        out += _TRUE if value else _FALSE
    elif kind is list or kind is tuple:
        _check_depth(depth)
        out += head(ARRAY, len(value))
        for item in value:
            _write(out, item, depth + 1)
    elif kind is dict:
        _check_depth(depth)
        out += head(_MAP, len(value))
        for key, encoded in _ordered(value):
            out += encoded
            _write(out, value[key], depth + 1)
    else:
        _check_depth(depth)
        raise Rejected("cbor-invalid", f"{kind.__name__} has no DAG-CBOR form")


def _check_depth(depth: int) -> None:
    if depth >= DEPTH_MAX:
        raise Rejected("cbor-invalid", f"nested deeper than {DEPTH_MAX}")


def _ordered(value: dict[Any, Any]) -> Sequence[tuple[str, bytes]]:
    """The keys of a map in canonical order, each with its encoding. Small maps come in few shapes: those are kept."""
    if len(value) > _SHAPE_KEYS:
        return _sorted_keys(value)
    keys = tuple(value)
    found = _shapes.get(keys)
    if found is None:
        found = _sorted_keys(keys)
        if sum(len(encoded) for _, encoded in found) <= _SHAPE_BYTES:
            if len(_shapes) >= _SHAPES:
                _shapes.clear()
            _shapes[keys] = found
    return found


def _sorted_keys(keys: Iterable[Any]) -> Sequence[tuple[str, bytes]]:
    encoded = []
    for key in keys:
        if type(key) is not str:
            raise Rejected("cbor-invalid", f"map key of type {type(key).__name__}")
        try:
            data = key.encode()
        except UnicodeEncodeError as error:
            raise Rejected("cbor-invalid", f"map key is not valid UTF-8: {error.reason}") from None
        encoded.append((key, head(TEXT, len(data)) + data))
    # A longer text never has a smaller head, so the order of the encodings is the one wanted: length first, then bytes.
    encoded.sort(key=itemgetter(1))
    return encoded


def _link(content: Any, immutable: bool) -> Cid:
    if type(content) is not bytes or content[:1] != b"\0":
        raise Rejected("cbor-invalid", "tag 42 without a 0x00-prefixed byte string")
    return Cid.from_bytes(content[1:])


class _OnlyLinks(dict[int, Any]):
    """Tag number → decoder. cbor2 asks it before its own list of tags, and before it reads what is tagged."""

    def __missing__(self, number: int) -> NoReturn:
        raise Rejected("cbor-invalid", f"tag {number}; only {_LINK_TAG} is allowed")


_TAGS: Final = _OnlyLinks({_LINK_TAG: _link})


def _own_refusal(error: BaseException | None) -> Rejected | None:
    """The refusal a hook of ours raised, which cbor2 wraps once per level of nesting."""
    while error is not None:
        if isinstance(error, Rejected):
            return error
        error = error.__cause__
    return None


_INTS: Final = [head(INT, number) for number in range(256)]
_BYTES: Final = [head(BYTE_STRING, length) for length in range(256)]
_TEXTS: Final = [head(TEXT, length) for length in range(256)]
