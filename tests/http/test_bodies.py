"""What request bodies take up: bounded over all connections, and whoever stalls goes first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from holo.core import limits
from holo.core.errors import Overloaded
from holo.http.bodies import Bodies, Body
from tests.http.scene import Scene, open_scene, wire

PATH = "/v1/namespaces/acme/bindings"


def part(size: int, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


def test_the_oldest_that_still_arrives_is_given_up_first() -> None:
    bodies = Bodies(100)
    with bodies.body() as whole, bodies.body() as oldest, bodies.body() as younger, bodies.body() as newest:
        assert bodies.take(whole, part(40, more=False))["body"] == b"x" * 40
        for body in (oldest, younger):
            assert bodies.take(body, part(25))["body"] == b"x" * 25
        assert bodies.take(newest, part(20))["body"] == b"x" * 20
        assert [body.refused for body in (whole, oldest, younger, newest)] == [False, True, False, False]
        assert bodies.held_bytes == 85
        assert bodies.take(oldest, part(1))["body"] == b"", "nothing more of it is kept"
        assert bodies.take(newest, part(41, more=False))["body"] == b"", "with nobody else to give up it goes itself"
        assert [body.refused for body in (whole, younger, newest)] == [False, True, True]
        assert bodies.held_bytes == 40
    assert bodies.held_bytes == 0


async def test_who_waits_for_a_body_that_is_given_up_is_told() -> None:
    async def read(body: Body) -> None:
        with pytest.raises(Overloaded) as caught, body.reading():
            await trio.sleep_forever()
        assert (caught.value.code, caught.value.retry_after_s) == ("overloaded", 5)

    async with trio.open_nursery() as nursery:
        early, late = Body(), Body()
        nursery.start_soon(read, early)
        await trio.lowlevel.checkpoint()
        early.give_up()
        late.give_up()
        nursery.start_soon(read, late)


async def _upload(scene: Scene, body: bytes, first: int) -> trio.SocketStream:
    """A connection on which the first part of a request was sent."""
    host, port = scene.running.url.removeprefix("http://").split(":")
    stream = await trio.open_tcp_stream(host, int(port))
    head = f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    await stream.send_all(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[:first])
    return stream


async def _answer(stream: trio.SocketStream) -> bytes:
    received = b""
    with trio.fail_after(20):
        while b"\r\n\r\n{" not in received:
            part = await stream.receive_some()
            assert part, received
            received += part
    return received


async def test_stalled_uploads_make_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODIES_BYTES", 100_000)
    async with open_scene(tmp_path) as scene:
        bodies = scene.running.node.app._bodies
        record = json.dumps({"records": [wire(scene.binding())]}).encode()
        big = record + b" " * (60_000 - len(record))
        stalled = []
        for number in range(3):
            stalled.append(await _upload(scene, big, 30_000))
            while bodies.held_bytes < (number + 1) * 30_000:
                await trio.lowlevel.checkpoint()
        finishing = await _upload(scene, big, 60_000)
        answer = await _answer(finishing)
        assert answer.startswith(b"HTTP/1.1 201"), answer
        for stream in stalled[:2]:  # the two oldest made room
            answer = await _answer(stream)
            assert answer.startswith(b"HTTP/1.1 503"), answer
            assert b"\r\nretry-after: 5\r\n" in answer
            assert b'"overloaded"' in answer
        await stalled[2].send_all(big[30_000:])
        assert (await _answer(stalled[2])).startswith(b"HTTP/1.1 200")
        for stream in (*stalled, finishing):
            await stream.aclose()
        while bodies.held_bytes:
            await trio.lowlevel.checkpoint()


async def test_a_body_that_nothing_reads_is_not_kept(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        response = await scene.client.request("GET", "/v1/node", content=b"x" * 1_000_000)
        assert response.status_code == 200
        assert scene.running.node.app._bodies.held_bytes == 0
