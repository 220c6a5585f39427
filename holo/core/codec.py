"""Strict DAG-CBOR (spec section 1; RFC 8949 section 4.2.3 length-first key order; tag 42 only).

cbor2 parses, this module judges. Its options refuse indefinite lengths, duplicate keys and depth; every tag but
42 is refused before anything is built from it; and what was decoded is encoded again and compared, which
catches whatever else was not canonical. There is exactly one encoding of a value.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn, TypeAlias

import cbor2

from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Rejected
from holo.core.limits import DEPTH_MAX, INT_MAX, ITEMS_MAX

Value: TypeAlias = "bool | int | str | bytes | Cid | list[Value] | dict[str, Value] | None"

_LINK_TAG: Final = 42


def encode(value: Any) -> bytes:
    """The one DAG-CBOR encoding of ``value``. Raises ``cbor-invalid`` for what has none (floats, big integers…)."""
    prepared = _prepared(value, 0)
    try:
        return cbor2.dumps(prepared)
    except UnicodeEncodeError as error:
        raise Rejected("cbor-invalid", f"text is not valid UTF-8: {error.reason}") from None


def decode(data: bytes, limit_bytes: int) -> Any:
    """The value that ``data`` encodes: None, bool, int, str, bytes, Cid, list and dict with text keys.

    Raises ``too-large`` above ``limit_bytes``, ``cid-invalid`` or ``cid-unsupported`` for a link of another kind,
    and ``cbor-invalid`` for anything else but the one canonical encoding.
    """
    if len(data) > limit_bytes:
        raise Rejected("too-large", f"{len(data)} bytes where at most {limit_bytes} are allowed")
    if len(data) > ITEMS_MAX:  # an item takes a byte, so less cannot hold too many
        _check_items(data)
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
    if cbor2.dumps(_prepared(value, 0)) != data:
        raise Rejected("cbor-invalid", "not the canonical encoding of its value")
    return value


def cid_of(value: Any) -> Cid:
    """The dag-cbor CID of ``value``."""
    return Cid.of(DAG_CBOR, encode(value))


def _check_items(data: bytes) -> None:
    """Raises ``too-large`` where ``data`` holds more than ITEMS_MAX items; whatever else is wrong is left to cbor2.

    One item is one head (RFC 8949 section 3), so this steps from head to head and over the content of strings.
    """
    position = items = 0
    while position < len(data):
        items += 1
        if items > ITEMS_MAX:
            raise Rejected("too-large", f"more than {ITEMS_MAX} items")
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


def _prepared(value: Any, depth: int) -> Any:
    """``value`` with maps in canonical order and links as tags; refuses what DAG-CBOR cannot say."""
    kind = type(value)
    if kind is str or kind is bytes or kind is bool or value is None:
        return value
    if kind is int:
        if not -INT_MAX <= value <= INT_MAX:
            raise Rejected("cbor-invalid", f"integer of {value.bit_length()} bits is beyond ±(2^53-1)")
        return value
    if kind is Cid:
        return cbor2.CBORTag(_LINK_TAG, b"\0" + value)
    if depth >= DEPTH_MAX:
        raise Rejected("cbor-invalid", f"nested deeper than {DEPTH_MAX}")
    if kind is list or kind is tuple:
        return [_prepared(item, depth + 1) for item in value]
    if kind is dict:
        return {key: _prepared(value[key], depth + 1) for key in sorted(value, key=_key_order)}
    raise Rejected("cbor-invalid", f"{kind.__name__} has no DAG-CBOR form")


def _key_order(key: Any) -> tuple[int, bytes]:
    if type(key) is not str:
        raise Rejected("cbor-invalid", f"map key of type {type(key).__name__}")
    try:
        encoded = key.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Rejected("cbor-invalid", f"map key is not valid UTF-8: {error.reason}") from None
    return len(encoded), encoded


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
