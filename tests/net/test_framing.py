"""Frames: the same however their bytes come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core.errors import Rejected
from holo.core.limits import FRAME_BYTES
from holo.net.framing import FrameBuffer, frame_head


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20), st.lists(st.integers(1, 30)))
def test_frames_come_out_as_they_went_in_however_they_are_cut(frames: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frame_head(frame) + frame for frame in frames)
    buffer, found = FrameBuffer(), []
    sizes = iter(cuts)
    while data:
        size = next(sizes, len(data))
        buffer.add(data[:size])
        data = data[size:]
        while (frame := buffer.take()) is not None:
            found.append(frame)
    assert found == frames
    assert len(buffer) == 0


def test_a_length_is_refused_before_its_bytes_come() -> None:
    for head, code in ((b"\0\0\0\0", "frame-invalid"), ((FRAME_BYTES + 1).to_bytes(4, "big"), "too-large")):
        buffer = FrameBuffer()
        buffer.add(head[:3])
        assert buffer.take() is None
        buffer.add(head[3:])
        with pytest.raises(Rejected) as caught:
            buffer.take()
        assert caught.value.code == code
    buffer = FrameBuffer()
    buffer.add(frame_head(b"abc") + b"abc")
    with pytest.raises(Rejected):
        buffer.take(2)
    assert buffer.take(3) == b"abc"
