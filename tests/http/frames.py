"""HTTP/2 frame by frame (RFC 9113 section 6), for clients that no library would let one write."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import hpack
import trio

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Header = tuple[bytes, bytes]


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    """One frame, right or wrong."""
    return struct.pack(">BHBBL", len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream_id) + payload


def settings(**values: int) -> bytes:
    """SETTINGS by name: header_table, push, streams, window, frame, headers."""
    ids = {"header_table": 1, "push": 2, "streams": 3, "window": 4, "frame": 5, "headers": 6}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HL", ids[name], value) for name, value in values.items()))


def window(stream_id: int, more_bytes: int) -> bytes:
    """WINDOW_UPDATE."""
    return frame(WINDOW_UPDATE, 0, stream_id, struct.pack(">L", more_bytes))


def reset(stream_id: int, code: int = 8) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream_id, struct.pack(">L", code))


def fields(path: bytes = b"/", *more: Header, method: bytes = b"GET") -> list[Header]:
    """The fields of a request."""
    return [(b":method", method), (b":scheme", b"http"), (b":authority", b"localhost"), (b":path", path), *more]


def headers(stream_id: int, block: bytes, *, end: bool = True) -> bytes:
    """HEADERS, whole."""
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream_id, block)


def block(*args: object, **kwargs: bytes) -> bytes:
    """The fields of a request (see :func:`fields`), compressed without the help of any state."""
    return literal(fields(*args, **kwargs))  # type: ignore[arg-type]


def literal(what: list[Header]) -> bytes:
    """Header fields that leave no trace in the receiver's table (RFC 7541 section 6.2.2)."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in what)


def _string(text: bytes) -> bytes:
    return bytes(hpack.hpack.encode_integer(len(text), 7)) + text


@dataclass(frozen=True)
class Frame:
    """One frame as it was received."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def code(self) -> int:
        """Why a stream was reset, or a connection ended."""
        return int(struct.unpack(">L", self.payload[4:8] if self.kind == GOAWAY else self.payload[:4])[0])


class FrameClient:
    """One connection. ``frames`` is all that has come. A polite one says that it has read settings."""

    def __init__(self, stream: trio.abc.Stream, *, polite: bool = True) -> None:
        self.stream = stream
        self.polite = polite
        self.frames: list[Frame] = []
        self._data = b""
        self._decoder = hpack.Decoder()
        self._fields: dict[int, list[Header]] = {}
        self._bodies: dict[int, bytes] = {}
        self._whole: set[int] = set()

    async def begin(self, **values: int) -> None:
        """Say hello."""
        await self.stream.send_all(PREFACE + settings(**values))

    async def send(self, *frames: bytes) -> None:
        """Send frames."""
        await self.stream.send_all(b"".join(frames))

    async def until(self, kind: int, stream_id: int | None = None, flags: int = 0) -> Frame:
        """The next frame of a kind, of a stream, with flags."""
        with trio.fail_after(20):
            while True:
                found = await self.next()
                if found is None:
                    raise EOFError(self.frames[-5:])
                if found.kind == kind and stream_id in (None, found.stream_id) and found.flags & flags == flags:
                    return found

    async def next(self) -> Frame | None:
        """The next frame, None at the end."""
        while True:
            if len(self._data) >= 9:
                high, low, kind, flags, stream_id = struct.unpack(">BHBBL", self._data[:9])
                end = 9 + (high << 16) + low
                if len(self._data) >= end:
                    found = Frame(kind, flags, stream_id, self._data[9:end])
                    self._data = self._data[end:]
                    self.frames.append(found)
                    self._note(found)
                    if self.polite and found.kind == SETTINGS and not found.flags & ACK:
                        await self.send(frame(SETTINGS, ACK))
                    return found
            data = await self.stream.receive_some()
            if not data:
                return None
            self._data += data

    async def ending(self) -> list[Frame]:
        """Every frame up to the end, which must come soon."""
        with trio.fail_after(20):
            try:
                while await self.next() is not None:
                    pass
            except trio.BrokenResourceError:
                pass  # cut with bytes of ours unread
        return self.frames

    async def answer(self, stream_id: int) -> tuple[list[Header], bytes]:
        """(header fields, body) of the answer on a stream, which must be whole."""
        while stream_id not in self._whole:
            with trio.fail_after(20):
                part = await self.next()
            assert part is not None, self.frames[-5:]
            assert part.kind not in (RST_STREAM, GOAWAY), part
        return self._fields[stream_id], self._bodies.get(stream_id, b"")

    def _note(self, part: Frame) -> None:
        if part.kind == HEADERS:  # each has to be decoded, wanted or not: the table is the connection's
            decoded = self._decoder.decode(part.payload, raw=True)
            self._fields[part.stream_id] = [(bytes(name), bytes(value)) for name, value in decoded]
        elif part.kind == DATA:
            self._bodies[part.stream_id] = self._bodies.get(part.stream_id, b"") + part.payload
        if part.kind in (HEADERS, DATA) and part.flags & END_STREAM:
            self._whole.add(part.stream_id)
