"""Ids as text, beside the library's base32."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from holo.core.base32 import ID_BYTES, encode_id, encode_ids

IDS = st.binary(min_size=ID_BYTES, max_size=ID_BYTES)


@given(IDS)
def test_an_id_is_written_as_the_library_writes_it(data: bytes) -> None:
    """One id."""
    assert encode_id(data) == _slow(data)


@given(IDS, IDS, IDS)
def test_three_ids_are_written_as_one_by_one(one: bytes, two: bytes, three: bytes) -> None:
    """Three ids, none of which touches its neighbour."""
    assert encode_ids(one, two, three) == (_slow(one), _slow(two), _slow(three))


def test_the_extremes() -> None:
    """All bits off, all bits on, side by side."""
    low, high = bytes(ID_BYTES), b"\xff" * ID_BYTES
    assert encode_ids(low, high, low) == (_slow(low), _slow(high), _slow(low))
    assert encode_ids(high, low, high) == (_slow(high), _slow(low), _slow(high))


def _slow(data: bytes) -> bytes:
    return base64.b32encode(data).rstrip(b"=").lower()
