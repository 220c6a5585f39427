"""Strict DAG-CBOR (spec section 1; RFC 8949 section 4.2.3 length-first key order; tag 42 only).

cbor2 parses, this module judges. Its options refuse indefinite lengths, duplicate keys and depth; every tag but
42 is refused before anything is built from it; and what was decoded is encoded again and compared, which
catches whatever else was not canonical. There is exactly one encoding of a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import cbor2

from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Rejected
from holo.core.limits import DEPTH_MAX, INT_MAX

Value: TypeAlias = "None | bool | int | str | bytes | Cid | list[Value] | dict[str, Value]"

_LINK_TAG: Final = 42


def encode(value: Any) -> bytes:
    """The one DAG-CBOR encoding of ``value``. Raises ``cbor-invalid`` for what has none (floats, big integers…)."""
    return cbor2.dumps(_prepared(value, 0))


def decode(data: bytes, limit_bytes: int) -> Any:
    """The value that ``data`` encodes: None, bool, int, str, bytes, Cid, list and dict with text keys.

    Raises ``too-large`` above ``limit_bytes`` and ``cbor-invalid`` for anything but the one canonical encoding.
    """
    if len(data) > limit_bytes:
        raise Rejected("too-large", f"{len(data)} bytes where at most {limit_bytes} are allowed")
    try:
        value = cbor2.loads(
            data,
            tag_hook=_link,
            semantic_decoders=_NO_TAGS,
            max_depth=DEPTH_MAX + 1,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except Exception as error:  # cbor2 leaks several kinds; all of them are the input's fault
        raise _own_refusal(error) or Rejected("cbor-invalid", str(error) or type(error).__name__) from None
    try:
        same = cbor2.dumps(_prepared(value, 0)) == data
    except (UnicodeError, cbor2.CBOREncodeError) as error:
        raise Rejected("cbor-invalid", str(error)) from None
    if not same:
        raise Rejected("cbor-invalid", "not the canonical encoding of its value")
    return value


def cid_of(value: Any) -> Cid:
    """The dag-cbor CID of ``value``."""
    return Cid.of(DAG_CBOR, encode(value))


def _prepared(value: Any, depth: int) -> Any:
    """``value`` with maps in canonical order and links as tags; refuses what DAG-CBOR cannot say."""
    kind = type(value)
    if kind is str or kind is bytes or kind is bool or value is None:
        return value
    if kind is int:
        if not -INT_MAX <= value <= INT_MAX:
            raise Rejected("cbor-invalid", f"integer {value} is beyond ±(2^53-1)")
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
        raise Rejected("cbor-invalid", f"map key is not valid UTF-8: {error}") from None
    return len(encoded), encoded


def _link(tag: Any, immutable: bool) -> Cid:
    if tag.tag != _LINK_TAG:
        raise Rejected("cbor-invalid", f"tag {tag.tag}; only 42 is allowed")
    data = tag.value
    if type(data) is not bytes or data[:1] != b"\0":
        raise Rejected("cbor-invalid", "tag 42 without a 0x00-prefixed byte string")
    return Cid.from_bytes(data[1:])


def _own_refusal(error: BaseException | None) -> Rejected | None:
    """The refusal a hook of ours raised, which cbor2 wraps once per level of nesting."""
    while error is not None:
        if isinstance(error, Rejected):
            return error
        error = error.__cause__
    return None


def _refuse(number: int) -> Callable[[Any], Any]:
    def refuse(decoder: Any) -> Any:
        raise Rejected("cbor-invalid", f"tag {number}; only 42 is allowed")

    return refuse


# Every tag cbor2 would turn into an object by itself, refused before its content is read.
_NO_TAGS: Final[Any] = {
    number: _refuse(number)
    for number in (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)
}
