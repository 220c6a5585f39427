"""A link over TLS: frames of a peer whose key is proved, each within its time (spec 8.4)."""

from __future__ import annotations

import trio

from holo.core.errors import Rejected
from holo.core.keys import Kid
from holo.core.limits import FRAME_BYTES, FRAME_S
from holo.net.framing import FrameBuffer, frame_head
from holo.net.link import LinkClosed
from holo.net.stream import TlsStream

_JOINED_BYTES = 16 * 1024  # up to which a length and its frame go into one record


class Frames:
    """Frames over a stream, before and after it is known whose it is. One task may send while another receives."""

    def __init__(self, stream: TlsStream, frame_s: float = FRAME_S) -> None:
        self.stream = stream
        self._frame_s = frame_s
        self._buffer = FrameBuffer()
        self._since = 0.0

    async def send(self, frame: bytes, limit_bytes: int = FRAME_BYTES) -> None:
        """Send a whole frame. Raises ``timeout`` where the other end takes too long to read it."""
        head = frame_head(frame, limit_bytes)
        with trio.move_on_after(self._frame_s) as scope:
            await self.stream.send_all(*([head + frame] if len(frame) <= _JOINED_BYTES else [head, frame]))
        if scope.cancelled_caught:
            raise LinkClosed("timeout", f"the other end read nothing of a frame for {self._frame_s:g} s")

    async def receive(self, limit_bytes: int = FRAME_BYTES) -> bytes:
        """The next frame. Raises ``too-large``, ``frame-invalid``, ``timeout`` where one does not end in its time."""
        await trio.lowlevel.checkpoint()  # a frame that is here already is no reason to keep others waiting
        while True:
            try:
                frame = self._buffer.take(limit_bytes)
            except Rejected as error:
                raise self._closed(LinkClosed(error.code, error.detail)) from None
            if frame is not None:
                self._since = trio.current_time()
                return frame
            with trio.CancelScope() as scope:
                if self._buffer:
                    scope.deadline = self._since + self._frame_s
                data = await self.stream.receive_some()
            if scope.cancelled_caught:
                raise self._closed(LinkClosed("timeout", f"a frame did not end within {self._frame_s:g} s"))
            if not self._buffer:
                self._since = trio.current_time()
            self._buffer.add(data)

    def _closed(self, why: LinkClosed) -> LinkClosed:
        self.stream.close(why)
        return why


class TlsLink:
    """A :class:`~holo.net.link.Link` to ``peer`` over ``frames``."""

    def __init__(self, frames: Frames, peer: Kid, address: str, *, outgoing: bool) -> None:
        self._frames = frames
        self.peer = peer
        self.address = address
        self.outgoing = outgoing

    async def send(self, frame: bytes) -> None:
        """See :meth:`holo.net.link.Link.send`."""
        await self._frames.send(frame)

    async def receive(self) -> bytes:
        """See :meth:`holo.net.link.Link.receive`."""
        return await self._frames.receive()

    async def aclose(self) -> None:
        """See :meth:`holo.net.link.Link.aclose`."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self, why: LinkClosed | None = None) -> None:
        """End the link now; whoever waits for it gets ``why``."""
        self._frames.stream.close(why)
