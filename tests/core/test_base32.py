"""Ids as text, beside the library's base32."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from holo.core.base32 import DIGEST_CHARS, ID_BYTES, ID_CHARS, decode_id, encode_digests, encode_id
from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid

DIGESTS = st.binary(min_size=32, max_size=32)


@given(st.binary(min_size=ID_BYTES, max_size=ID_BYTES))
def test_an_id_is_written_as_the_library_writes_it(data: bytes) -> None:
    """One id, whatever its bytes."""
    assert encode_id(data) == base64.b32encode(data).rstrip(b"=").lower()


@given(DIGESTS, DIGESTS, DIGESTS)
def test_three_digests_are_written_as_the_end_of_their_ids(one: bytes, two: bytes, three: bytes) -> None:
    """None of them touches its neighbour."""
    assert encode_digests(one, two, three) == (_end(one), _end(two), _end(three))


@given(st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=ID_CHARS, max_size=ID_CHARS))
def test_text_is_read_where_it_would_be_written(text: str) -> None:
    """A last character that carries stray bits writes nothing."""
    data = decode_id(text)
    assert (data is None) == (text[-1] not in "aeimquy4")
    assert data is None or encode_id(data).decode() == text


def test_the_extremes() -> None:
    """All bits off, all bits on, side by side."""
    low, high = bytes(32), b"\xff" * 32
    assert encode_digests(low, high, low) == (_end(low), _end(high), _end(low))
    assert encode_digests(high, low, high) == (_end(high), _end(low), _end(high))


def _end(digest: bytes) -> bytes:
    texts = [str(Cid.from_digest(codec, digest)).encode() for codec in (RAW, DAG_CBOR, CBOR)]
    ends = {text[-DIGEST_CHARS:] for text in texts}
    assert len(ends) == 1  # what comes before is all that tells one kind of id from another
    return ends.pop()
