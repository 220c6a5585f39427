"""Frames: a length of four bytes, big-endian, and so many bytes (spec 8.4). No frame is empty."""

from __future__ import annotations

from typing import Final

from holo.core.errors import Rejected
from holo.core.limits import FRAME_BYTES

LENGTH_BYTES: Final = 4


def frame_head(payload: bytes, limit_bytes: int = FRAME_BYTES) -> bytes:
    """What goes before ``payload``."""
    assert 0 < len(payload) <= limit_bytes, f"a frame of {len(payload)} bytes"
    return len(payload).to_bytes(LENGTH_BYTES, "big")


class FrameBuffer:
    """Bytes as they come, and the frames in them. It never holds more than it was given, nor asks for room ahead."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held = 0

    def __len__(self) -> int:
        """Bytes held that no frame has taken."""
        return self._held

    def add(self, data: bytes) -> None:
        """Take what came."""
        if data:
            self._parts.append(data)
            self._held += len(data)

    def take(self, limit_bytes: int = FRAME_BYTES) -> bytes | None:
        """The next frame, or None where a part of it is missing.

        Raises ``frame-invalid`` for a length of 0, ``too-large`` above ``limit_bytes``, before its bytes come.
        """
        if self._held < LENGTH_BYTES:
            return None
        if len(self._parts[0]) < LENGTH_BYTES:
            self._parts = [b"".join(self._parts)]
        length = int.from_bytes(self._parts[0][:LENGTH_BYTES], "big")
        if length == 0:
            raise Rejected("frame-invalid", "an empty frame")
        if length > limit_bytes:
            raise Rejected("too-large", f"a frame of {length} bytes where at most {limit_bytes} are allowed")
        end = LENGTH_BYTES + length
        if self._held < end:
            return None
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = [data[end:]] if len(data) > end else []
        self._held -= end
        return data[LENGTH_BYTES:end]
