"""The poller with clients that misbehave: whatever one of them does, the others are answered and nothing is kept."""

from __future__ import annotations

import os
import re
import socket as sockets
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from holo.core import limits
from holo.http.server import Server, open_server
from holo.http.stream import Stream
from holo.node import Node
from tests.http.listener import QUICK, Toy, connect, read_all, serving, still_serves, until
from tests.http.polling import (
    HOT,
    NODE,
    PATIENT,
    Authority,
    read_all_or_reset,
    read_answers,
    read_hello,
    secured,
    serving_node,
    still_hot,
)
from tests.http.two_listeners import quiet


class TestAnswers:
    async def test_hot_reads_do_not_reach_the_application(self, node: Node) -> None:
        async with serving(PATIENT, answers=node.app.answers) as (server, toy), await connect(server) as stream:
            for _ in range(3):
                await stream.send_all(HOT)
                await read_answers(stream, 1)
            assert (toy.started, server.connections) == (0, 1)

    async def test_a_store_that_cannot_be_read_is_the_applications_to_tell(
        self, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with serving(PATIENT, answers=node.app.answers) as (server, toy), await connect(server) as stream:
            await stream.send_all(HOT)
            await read_answers(stream, 1)
            hot = node.app.answers.hot
            with monkeypatch.context() as fault:
                fault.setattr(hot, "_view", _Unreadable(begins=True))
                await stream.send_all(HOT)
                await read_hello(stream)
                fault.setattr(hot, "_view", _Unreadable(begins=False))
                await stream.send_all(HOT)
                await read_hello(stream)
                await still_serves(server)
            assert toy.started == 3
            await still_hot(server)


class _Unreadable:
    commit = 0

    def __init__(self, *, begins: bool) -> None:
        self._begins = begins

    def __enter__(self) -> None:
        if not self._begins:
            raise RuntimeError("a store that gives no snapshot")

    def __exit__(self, *exc: object) -> None:
        pass

    @property
    def records(self) -> Any:
        raise RuntimeError("a store that cannot be read")


class TestTime:
    async def test_silence(self, node: Node) -> None:
        async with serving(QUICK, answers=node.app.answers) as (server, _), await connect(server) as stream:
            await stream.send_all(HOT)
            began = trio.current_time()
            assert (await read_all(stream)).startswith(b"HTTP/1.1 200")
            assert 0.5 < trio.current_time() - began < 4
            assert server.connections == 0

    @pytest.mark.parametrize("before", [b"", HOT])
    @pytest.mark.parametrize("sent", [b"G", HOT[:30], HOT[:-1]])
    async def test_a_head_that_does_not_come(self, node: Node, before: bytes, sent: bytes) -> None:
        async with serving(QUICK, answers=node.app.answers) as (server, toy), await connect(server) as stream:
            began = trio.current_time()
            await stream.send_all(before + sent)
            assert (await read_all(stream)).count(b"HTTP/1.1") == (1 if before else 0)
            assert trio.current_time() - began < 3
            assert (toy.started, server.connections) == (0, 0)

    async def test_a_head_that_comes_byte_by_byte(self, node: Node) -> None:
        async with serving(QUICK, answers=node.app.answers) as (server, toy), await connect(server) as stream:

            async def drip() -> None:
                for byte in HOT[:-2] + b"User-Agent: x\r\n" * 1000:
                    await stream.send_all(bytes((byte,)))
                    await trio.sleep(0.01)

            with trio.fail_after(5), pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
                await drip()
            assert toy.started == 0

    async def test_a_client_that_does_not_read_is_cut_and_takes_no_room_meanwhile(self, node: Node) -> None:
        async with serving(QUICK, answers=node.app.answers) as (server, toy), await connect(server) as stream:
            await _fill(server, stream)
            (client,) = server._poller._blocked
            assert len(client.out) < 16 * 4096
            assert len(client.data) <= 2 * limits.REQUEST_HEAD_BYTES
            with trio.fail_after(5):
                await until(lambda: server.connections == 0)
            assert toy.started == 0

    async def test_a_client_that_reads_late_gets_every_answer(self, node: Node) -> None:
        async with serving(PATIENT, answers=node.app.answers) as (server, toy), await connect(server) as stream:
            sent = await _fill(server, stream)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_answers, stream, -(-sent // len(HOT)))
                await stream.send_all(HOT[sent % len(HOT) :] if sent % len(HOT) else b"")
            assert (toy.started, server.connections) == (0, 1)

    async def test_an_answer_cut_in_the_middle_does_not_bring_its_connection_back(self) -> None:
        async with serving(QUICK) as (server, toy), await connect(server) as stream:
            stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
            await stream.send_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.fail_after(5):
                await until(lambda: toy.ended == 1 and server.connections == 0)
            await still_serves(server)


async def _fill(server: Server, stream: trio.SocketStream) -> int:
    """Send hot reads and read nothing until the listener reads no more; how many bytes were sent."""
    stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 65536)
    sent, data = 0, b""
    while True:
        with trio.move_on_after(0.2) as waiting:
            while True:
                data = data or HOT * 100
                count = await stream.socket.send(data)
                sent, data = sent + count, data[count:]
        if waiting.cancelled_caught and server._poller._blocked:
            return sent


class TestHandingOver:
    @pytest.mark.parametrize("tls", [False, True])
    async def test_there_and_back_leaves_nothing(self, authority: Authority, node: Node, tls: bool) -> None:
        http = authority.http if tls else PATIENT
        async with serving_node(node, http, node.app.answers) as server:
            stream: Any = await secured(server, authority) if tls else await connect(server)
            await stream.send_all(NODE + HOT)
            await read_answers(stream, 2)
            await quiet()
            before = _held(server)
            for _ in range(200):
                await stream.send_all(NODE)
                await read_answers(stream, 1)
                await stream.send_all(HOT)
                await read_answers(stream, 1)
            await quiet()
            assert all(now <= then for now, then in zip(_held(server), before, strict=True))
            await trio.aclose_forcefully(stream)
            await quiet()
            assert (server.connections, len(server._poller._selector.get_map())) == (0, 1)

    async def test_a_mix_in_one_packet(self, node: Node) -> None:
        async with serving_node(node, PATIENT, node.app.answers) as server, await connect(server) as stream:
            await stream.send_all(b"".join(HOT * (number % 40) + NODE for number in range(0, 60, 7)))
            count = sum(number % 40 + 1 for number in range(0, 60, 7))
            bodies = re.split(rb"\}HTTP/1\.1", await read_answers(stream, count))
            kinds = [b'"outcome":' in body for body in bodies]
            assert kinds == [kind for number in range(0, 60, 7) for kind in [True] * (number % 40) + [False]]

    async def test_a_connection_that_is_gone_is_not_taken_back(self, node: Node) -> None:
        async with serving(PATIENT, answers=node.app.answers) as (server, _):
            one, other = sockets.socketpair()
            one.setblocking(False)
            stream = Stream(one, None, None)
            stream.close()
            server._poller.take(stream)
            other.close()
            assert server.connections == 0
            await still_hot(server)


def _held(server: Server) -> Sequence[int]:
    """What is open or under way: connections, watched sockets, descriptors, tasks."""
    return (
        server.connections,
        len(server._poller._selector.get_map()),
        len(os.listdir("/dev/fd")),
        trio.lowlevel.current_statistics().tasks_living,
    )


class TestStopping:
    async def test_the_idle_end_at_once_and_the_blocked_get_their_answers(self, node: Node) -> None:
        server = await open_server(Toy(), PATIENT, grace_s=20, answers=node.app.answers)
        async with trio.open_nursery() as clients:
            async with trio.open_nursery() as nursery:
                await nursery.start(server.run)
                idle, half, blocked = [await connect(server) for _ in range(3)]
                await half.send_all(HOT[:20])
                await _fill(server, blocked)
                nursery.cancel_scope.cancel()
                clients.start_soon(_drain, blocked)
            assert await read_all(idle) == b""
            assert await read_all_or_reset(half) == b""
            assert server.connections == 0
            await idle.aclose()
            await half.aclose()

    async def test_the_blocked_do_not_outlast_the_grace(self, node: Node) -> None:
        server = await open_server(Toy(), PATIENT, grace_s=0.3, answers=node.app.answers)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            blocked = await connect(server)
            await _fill(server, blocked)
            began = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < 5
        assert server.connections == 0
        await blocked.aclose()


async def _drain(stream: trio.SocketStream) -> None:
    """Read to the end, which has to be the end of an answer."""
    data = await read_all_or_reset(stream)
    assert data == b"" or data.endswith(b"}")
    await stream.aclose()
