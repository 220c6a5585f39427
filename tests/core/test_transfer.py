"""Bytes by CID from a peer: whatever it sends, what is kept is what was asked for or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import limits, transfer
from holo.core.cid import RAW, Cid
from holo.core.errors import HoloError, Missing, Rejected
from holo.core.transfer import Bytes, Fetch, Get, decode_transfer, encode_transfer


def serve(fetch: Fetch, data: bytes | None) -> bytes:
    """Let ``fetch`` run against an honest peer that holds ``data``."""
    while fetch.data is None:
        get = decode_transfer(fetch.question())
        assert isinstance(get, Get)
        for frame in transfer.answer(get, data):
            fetch.take(frame)
        assert not fetch.waiting
    return fetch.data


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, limits.TRANSFER_BYTES, 3 * limits.TRANSFER_BYTES + 5])
def test_an_object_of_any_size_comes_whole(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert serve(Fetch(Cid.of(RAW, data), size), data) == data
    assert serve(Fetch(Cid.of(RAW, data), size + 1), data) == data
    if size:
        with pytest.raises(Rejected) as refused:
            serve(Fetch(Cid.of(RAW, data), size - 1), data)
        assert refused.value.code == "too-large"


def test_what_a_peer_does_not_hold_is_missing_and_what_it_forges_is_refused() -> None:
    cid = Cid.of(RAW, b"wanted")
    with pytest.raises(Missing) as missing:
        serve(Fetch(cid, 100), None)
    assert missing.value.code == "not-found"
    with pytest.raises(Rejected) as refused:
        serve(Fetch(cid, 100), b"forged")
    assert refused.value.code == "cid-mismatch"


def test_endless_data_is_stopped_at_what_was_asked_for() -> None:
    fetch = Fetch(Cid.of(RAW, b"x"), 100)
    fetch.question()
    with pytest.raises(Rejected) as refused:
        fetch.take(encode_transfer(Bytes(0, 102)))
    assert refused.value.code == "answer-invalid"
    fetch = Fetch(Cid.of(RAW, b"x"), 100)
    fetch.question()
    fetch.take(encode_transfer(Bytes(0, 10)))
    for frame in (b"", bytes(11)):
        with pytest.raises(Rejected) as refused:
            fetch.take(frame)
        assert refused.value.code == "answer-invalid"


def test_another_answer_is_refused() -> None:
    fetch = Fetch(Cid.of(RAW, b"x"), 100, 7)
    with pytest.raises(Rejected):
        fetch.take(encode_transfer(Bytes(7, 1)))
    get = decode_transfer(fetch.question())
    for frame in (encode_transfer(Bytes(8, 1)), encode_transfer(get)):
        with pytest.raises(Rejected) as refused:
            fetch.take(frame)
        assert refused.value.code == "answer-invalid"


frames = st.one_of(
    st.binary(max_size=300),
    st.builds(Bytes, st.integers(0, 1), st.none() | st.integers(0, 120)).map(encode_transfer),
)


@given(st.lists(frames, max_size=12), st.binary(max_size=60))
def test_whatever_comes_ends_in_the_object_or_a_code(sent: list[bytes], data: bytes) -> None:
    fetch = Fetch(Cid.of(RAW, data), 50)
    fetch.question()
    kept = 0
    for frame in sent:
        try:
            fetch.take(frame)
        except HoloError:
            return
        kept += len(frame)
        assert kept <= 51 + limits.TRANSFER_MESSAGE_BYTES
        if fetch.data is not None:
            assert fetch.data == data
            return
