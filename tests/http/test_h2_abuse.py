"""HTTP/2 clients that flood, on a real node: each is cut, with a GOAWAY if it still reads, and nobody else notices."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from tests.faults.process import NodeProcess
from tests.http.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    PUSH_PROMISE,
    SETTINGS,
    FrameClient,
    block,
    frame,
    headers,
    literal,
    reset,
    settings,
    window,
)

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED = 0, 1, 2, 3, 5
FRAME_SIZE_ERROR, COMPRESSION_ERROR, CALM = 6, 9, 11
_FLOOD_BYTES = 8 * 1024 * 1024
NODE = b"/v1/node"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """Return a node in a process of its own; all floods come over this one."""
    quick = ("http.idle_timeout_ms=2000", "http.header_timeout_ms=2000")
    with NodeProcess(tmp_path_factory.mktemp("abuse") / "home", settings=quick) as process:
        yield process


@dataclass(frozen=True)
class Flood:
    """``make(n)`` is the n-th piece of what is sent; ``codes`` are the ones a GOAWAY may give."""

    name: str
    make: Callable[[int], bytes]
    codes: tuple[int, ...] = (CALM,)


def _stream(number: int) -> int:
    return 2 * number + 1


_get = block(NODE)
_long = _get + literal([(b"x-%d" % number, b"y" * 1000) for number in range(20)])

FLOODS = [
    Flood("ping", lambda n: frame(PING, 0, 0, struct.pack(">Q", n))),
    Flood("ping-ack", lambda n: frame(PING, 1, 0, bytes(8))),
    Flood("settings-empty", lambda n: frame(SETTINGS)),
    Flood("settings", lambda n: settings(window=65_535 + n % 2, header_table=n % 4096)),
    Flood("settings-ack", lambda n: frame(SETTINGS, 1), (PROTOCOL_ERROR, CALM)),
    Flood("window", lambda n: window(0, 1)),
    Flood("priority", lambda n: frame(PRIORITY, 0, _stream(n), struct.pack(">LB", 0, 16))),
    Flood("priority-update", lambda n: frame(PRIORITY_UPDATE, 0, 0, struct.pack(">L", 1) + b"u=1")),
    Flood("unknown-frames", lambda n: frame(0xFA, 0, 0, bytes(100))),
    Flood("altsvc", lambda n: frame(10, 0, 0, bytes(20))),
    Flood("rapid-reset", lambda n: headers(_stream(n), _get) + reset(_stream(n)), (INTERNAL_ERROR, CALM)),
    Flood("self-dependence", lambda n: headers(_stream(n), _get)
          + frame(PRIORITY, 0, _stream(n), struct.pack(">LB", _stream(n), 16)), (PROTOCOL_ERROR, CALM)),
    Flood("made-you-reset", lambda n: headers(_stream(n), block(b"/v1/events")) + window(_stream(n), 2**31 - 1),
          (FLOW_CONTROL_ERROR,)),
    Flood("malformed-requests", lambda n: headers(_stream(n), literal([(b":method", b"GET"), (b"x", b"y")]))),
    Flood("unservable-requests", lambda n: headers(_stream(n), block(b"no-path")), (PROTOCOL_ERROR, CALM)),
    Flood("length-mismatch", lambda n: headers(_stream(n), block(NODE, (b"content-length", b"5")))),
    Flood("too-many-streams", lambda n: headers(_stream(n), block(NODE), end=False), (PROTOCOL_ERROR, CALM)),
    Flood("empty-data", lambda n: (b"" if n else headers(1, _get, end=False)) + frame(DATA, 0, 1)),
    Flood("padding", lambda n: (b"" if n else headers(1, _get, end=False)) + frame(DATA, 8, 1, b"\xff" + bytes(255))),
    Flood("data-of-closed", lambda n: (b"" if n else headers(1, _get)) + frame(DATA, 0, 1, b"x"),
          (STREAM_CLOSED, PROTOCOL_ERROR, CALM)),
    Flood("data-of-idle", lambda n: frame(DATA, 0, 99, b"x"), (PROTOCOL_ERROR,)),
    Flood("data-beyond-window", lambda n: (b"" if n else headers(1, _get, end=False))
          + frame(DATA, 0, 1, bytes(16_384)), (FLOW_CONTROL_ERROR, CALM)),
    Flood("window-overflow", lambda n: window(0, 2**31 - 1), (FLOW_CONTROL_ERROR,)),
    Flood("window-nothing", lambda n: window(0, 0), (PROTOCOL_ERROR,)),
    Flood("continuation", lambda n: frame(CONTINUATION if n else HEADERS, 0, 1, literal([(b"x", b"y")]))),
    Flood("continuation-empty", lambda n: frame(CONTINUATION if n else HEADERS, 0, 1)),
    Flood("continuation-of-nothing", lambda n: frame(CONTINUATION, 0, 1, b""), (PROTOCOL_ERROR,)),
    Flood("something-between", lambda n: frame(PING if n else HEADERS, 0, 0 if n else 1, bytes(8) if n else _get),
          (PROTOCOL_ERROR,)),
    Flood("long-header-list", lambda n: frame(HEADERS, END_STREAM, _stream(n), _long[:16_000])
          + frame(CONTINUATION, END_HEADERS, _stream(n), _long[16_000:])),
    # A field of 4 kB goes into the table once, and is named by one byte three thousand times.
    Flood("compression-bomb", lambda n: headers(_stream(n), _get + (b"\x40\x01x" + b"\x7f\xa1\x1e" + b"y" * 4000
                                                                    if n == 0 else b"") + b"\xbe" * 3000)),
    Flood("compression-table", lambda n: headers(_stream(n), b"\x3f\xe1\xff\xff\x07" + _get), (COMPRESSION_ERROR,)),
    Flood("compression-nonsense", lambda n: headers(_stream(n), b"\xff" * 50), (COMPRESSION_ERROR,)),
    Flood("large-frame", lambda n: frame(DATA, 0, 1, bytes(20_000)), (FRAME_SIZE_ERROR,)),
    Flood("short-ping", lambda n: frame(PING, 0, 0, bytes(7)), (FRAME_SIZE_ERROR,)),
    Flood("push", lambda n: frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + _get), (PROTOCOL_ERROR,)),
    Flood("even-streams", lambda n: headers(2, _get), (PROTOCOL_ERROR,)),
    Flood("streams-backwards", lambda n: headers(9 - 2 * n if n < 4 else 1, _get),
          (PROTOCOL_ERROR, STREAM_CLOSED, CALM)),
    Flood("trailers-twice", lambda n: headers(1, _get, end=False) if n == 0 else headers(1, literal([(b"x", b"y")])),
          (PROTOCOL_ERROR, STREAM_CLOSED, CALM)),
    Flood("bad-settings", lambda n: settings(push=2), (PROTOCOL_ERROR,)),
    Flood("window-setting-overflow", lambda n: settings(window=2**31), (FLOW_CONTROL_ERROR,)),
    Flood("frame-setting-small", lambda n: settings(frame=100), (PROTOCOL_ERROR,)),
]  # fmt: skip
EACH = pytest.mark.parametrize("flood", FLOODS, ids=[flood.name for flood in FLOODS])


async def flooding(node: NodeProcess, flood: Flood, *, reads: bool) -> tuple[FrameClient, int]:
    """Flood until cut. Returns the client, and how many bytes it got rid of, at most _FLOOD_BYTES."""
    sent = 0
    async with await trio.open_tcp_stream("127.0.0.1", int(node.url.rpartition(":")[2])) as stream:
        client = FrameClient(stream, polite=False)
        await client.begin()
        async with trio.open_nursery() as nursery:
            if reads:
                nursery.start_soon(_read, client, nursery.cancel_scope)
            try:
                with trio.fail_after(60):
                    n = 0
                    while sent < _FLOOD_BYTES:
                        some = b"".join(flood.make(number) for number in range(n, n + 50))
                        n += 50
                        await client.send(some)
                        sent += len(some)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                nursery.cancel_scope.cancel()
            nursery.cancel_scope.deadline = trio.current_time() + 10
        if reads:
            await client.ending()
    return client, sent


async def _read(client: FrameClient, scope: trio.CancelScope) -> None:
    try:
        while await client.next() is not None:
            pass
    except trio.BrokenResourceError:
        pass
    scope.cancel()


async def served(node: NodeProcess) -> None:
    """Another client is answered."""
    async with await trio.open_tcp_stream("127.0.0.1", int(node.url.rpartition(":")[2])) as stream:
        client = FrameClient(stream)
        await client.begin()
        await client.send(headers(1, block(NODE)))
        assert (await client.answer(1))[0][0] == (b":status", b"200")


def anonymous_bytes(node: NodeProcess) -> int:
    """The memory of the node's own that is in use."""
    text = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", text)[1]) * 1024  # type: ignore[index]


@EACH
async def test_a_flood_ends_its_connection(node: NodeProcess, flood: Flood) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served, node)
        client, sent = await flooding(node, flood, reads=True)
    assert sent < _FLOOD_BYTES, "nobody stopped it"
    goodbyes = [part for part in client.frames if part.kind == GOAWAY]
    # Where bytes of ours were under way when it closed, the reset may have overtaken its last words.
    assert not goodbyes or goodbyes[-1].code in flood.codes, goodbyes
    await served(node)


@EACH
async def test_one_piece_at_a_time_it_is_told_why(node: NodeProcess, flood: Flood) -> None:
    """Written in pieces as small as one read, so that the GOAWAY arrives."""
    async with await trio.open_tcp_stream("127.0.0.1", int(node.url.rpartition(":")[2])) as stream:
        client = FrameClient(stream, polite=False)
        await client.begin()
        told: list[int] = []

        async def listen() -> None:
            try:
                while (part := await client.next()) is not None:
                    if part.kind == GOAWAY:
                        told.append(part.code)
            except trio.BrokenResourceError:
                pass
            nursery.cancel_scope.cancel()

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                for number in range(200_000):
                    try:
                        await client.send(flood.make(number))
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        break
                    await trio.lowlevel.checkpoint()
                    if told:
                        break
    assert told, "no GOAWAY"
    # Slow enough, they are only a connection without a request, whose time is over.
    assert told[-1] in (*flood.codes, NO_ERROR), told


@EACH
async def test_a_flood_that_reads_nothing_is_cut_or_stalls(node: NodeProcess, flood: Flood) -> None:
    with trio.move_on_after(5):  # longer than a client may take no bytes
        await flooding(node, flood, reads=False)
    await served(node)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_memory_stays_flat(node: NodeProcess) -> None:
    for flood in FLOODS:  # the first round takes what any load takes
        await flooding(node, flood, reads=True)
    before = anonymous_bytes(node)
    for flood in FLOODS:
        for _ in range(3):
            await flooding(node, flood, reads=True)
    assert anonymous_bytes(node) - before < 8 * 1024 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_crowd_of_connections_with_everything_open_and_nothing_taken(node: NodeProcess) -> None:
    """100 streams on each of 12 connections, no window, nothing read: bounded, cut in the end, all given back."""
    port = int(node.url.rpartition(":")[2])

    async def crowd() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(hold)

    async def hold() -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(PREFACE + settings(window=0))
            await stream.send_all(b"".join(headers(_stream(n), block(b"/openapi.json")) for n in range(100)))
            with trio.move_on_after(30) as patience:
                try:
                    while await stream.receive_some():
                        pass
                except trio.BrokenResourceError:
                    pass
            assert not patience.cancelled_caught, "held for ever"

    await crowd()
    before = anonymous_bytes(node)
    await crowd()
    await served(node)
    assert anonymous_bytes(node) - before < 16 * 1024 * 1024
