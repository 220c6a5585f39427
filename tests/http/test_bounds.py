"""Bounds of the edge that are met in no other test: what there is too much of is refused, cut or forgotten."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio

from holo.core import limits
from holo.http.request_head import START, Heads
from tests.http.events_client import reading
from tests.http.listener import QUICK, connect, read_all, serving, until
from tests.http.scene import Scene, open_scene

NODE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _read(heads: Heads, fields: bytes) -> bool:
    data = START + b"handle=acme/a HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n"
    return heads.read(data, 0, len(data)) is not None


def test_so_many_heads_are_remembered_and_none_that_is_long() -> None:
    heads = Heads(lambda host: None)
    for number in range(limits.KNOWN_HEADS + 10):
        assert _read(heads, b"User-Agent: %d\r\n" % number)
        assert len(heads._known) <= limits.KNOWN_HEADS
    known = len(heads._known)
    assert _read(heads, b"User-Agent: " + b"x" * limits.KNOWN_HEAD_BYTES + b"\r\n")
    assert len(heads._known) == known


async def test_a_connection_ends_after_so_many_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUESTS_PER_CONNECTION", 3)
    async with serving() as (server, toy), await connect(server) as stream:
        await stream.send_all(NODE * 10)
        answers = await read_all(stream)
        assert answers.count(b"connection: close") == 1
        assert answers.count(b"hello") == toy.ended < 10


async def test_a_stream_of_events_that_reads_on_in_small_steps_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EVENTS_PER_READ", 2)
    async with open_scene(tmp_path, ["roles.registry.head_interval_ms=60000"]) as scene:
        async with reading(scene.running.url) as reader:
            await scene.publish("acme/first:beta")
            await reader.next()
            place = reader.last_id
        names = [f"acme/n{number}:beta" for number in range(9)]
        for name in names:
            await scene.publish(name)
        async with reading(scene.running.url, last_id=place) as reader:
            assert [event.data["name"] for event in await reader.take(9)] == names


async def test_a_cursor_too_long(scene: Scene) -> None:
    for length, code in ((limits.CURSOR_CHARS, "cursor-invalid"), (limits.CURSOR_CHARS + 1, "request-invalid")):
        response = await scene.client.get(f"/v1/namespaces?cursor={'x' * length}")
        assert (response.status_code, response.json()["code"]) == (400, code)


async def test_a_body_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SLOWEST_BODY_BYTES_PER_S", 100_000)
    settings = ["http.idle_timeout_ms=200", "http.max_body_bytes=20000"]
    async with open_scene(tmp_path, settings) as scene:
        host, port = scene.running.url.removeprefix("http://").split(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(
                b"POST /v1/resolve HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 20000\r\n\r\n{"
            )
            answer = await read_all(stream)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"code":"request-timeout"' in answer


async def test_the_rest_of_a_refused_upload_is_read_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINGER_S", 0.3)
    async with serving() as (server, _), await connect(server) as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        assert (await read_all(stream)).endswith(b"hello")  # the answer does not wait for the body, nor is it lost
        assert server.connections == 1
        with trio.fail_after(5):
            await until(lambda: server.connections == 0)


async def test_as_many_streams_as_are_allowed_are_answered_at_once() -> None:
    async with serving(QUICK) as (server, toy):
        client = httpx.AsyncClient(base_url=server.url, http1=False, http2=True, verify=False)
        async with client, trio.open_nursery() as nursery:
            for _ in range(limits.STREAMS_PER_CONNECTION + 20):
                nursery.start_soon(client.get, "/slow")
            with trio.fail_after(10):
                await until(lambda: toy.started == limits.STREAMS_PER_CONNECTION)
            assert server.connections == 1
            toy.release.set()
        assert toy.ended == limits.STREAMS_PER_CONNECTION + 20
