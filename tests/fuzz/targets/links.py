"""Section 8: frames as they come, tickets, leaves, and what a joiner or an acceptor says."""

from __future__ import annotations

import functools

from holo.core.address import join_address, split_address
from holo.core.errors import Rejected
from holo.core.keys import did_of
from holo.core.pairing import (
    REQUEST_BYTES,
    TICKET_PREFIX,
    open_request,
    parse_answer,
    parse_ticket,
    write_answer,
    write_ticket,
)
from holo.net.certificate import open_leaf
from holo.net.framing import LENGTH_BYTES, FrameBuffer, frame_head
from tests.fuzz.seeds import hexes, of_vectors, texts
from tests.fuzz.target import Target
from tests.records import kid
from tests.vectors.links import AT_MS

_SMALL_BYTES = 300


def _frames(data: bytes) -> None:
    """However the bytes are cut, the same frames come out, up to the same fault; no more is held than came."""
    whole, fault = _taken(data, len(data) or 1)
    for step in (1, 3, 7):
        assert _taken(data, step) == (whole, fault)
    sent = b"".join(frame_head(frame) + frame for frame in whole)
    assert data.startswith(sent)
    if fault is not None:
        raise Rejected(fault)
    if len(data) != len(sent):
        raise Rejected("frame-invalid", "half a frame at the end")


def _taken(data: bytes, step: int) -> tuple[list[bytes], str | None]:
    buffer, found = FrameBuffer(), []
    try:
        for at in range(0, len(data), step):
            buffer.add(data[at : at + step])
            while (frame := buffer.take(_SMALL_BYTES)) is not None:
                found.append(frame)
            assert len(buffer) < LENGTH_BYTES + _SMALL_BYTES
    except Rejected as error:
        return found, error.code
    return found, None


def _ticket(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    assert write_ticket(parse_ticket(text)) == text


def _address(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    host, port = split_address(text)
    assert join_address(host, port) == text or text.startswith("[")


def _request(data: bytes) -> None:
    join = open_request(data, kid("node"))
    assert join.joiner != join.issuer == kid("node")


def _answer(data: bytes) -> None:
    answer = parse_answer(data)
    assert write_answer(answer) == data


def _leaf(data: bytes) -> None:
    """What is taken for a leaf is signed by the node it names, and changed in no place."""
    node = open_leaf(data, AT_MS)
    assert did_of(node).encode() in data


@functools.cache
def _frame_seeds() -> list[bytes]:
    frames = [b"x", b"abc" * 9, bytes(_SMALL_BYTES)]
    whole = b"".join(frame_head(frame) + frame for frame in frames)
    return [b"", whole, whole[:-1], whole + b"\0\0\0\0", b"\0\0\1\x2d", b"\xff" * 9, whole[:6]]


TARGETS = (
    Target("frames", _frames, _frame_seeds, 1024),
    Target("ticket", _ticket, lambda: of_vectors("parse-ticket", texts("text")), known=(TICKET_PREFIX.encode(),)),
    Target("address", _address, lambda: of_vectors("parse-address", texts("text")), 300, known=(b"[::1]:", b":8421")),
    Target("join-request", _request, lambda: of_vectors("open-join", hexes("frame")), REQUEST_BYTES, structured=True),
    Target("link-answer", _answer, lambda: of_vectors("decode-answer", hexes("frame")), 512, structured=True),
    Target("leaf", _leaf, lambda: of_vectors("open-leaf", hexes("certificate")), 4096),
)
