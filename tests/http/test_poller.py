"""The poller with clients that misbehave: whatever one of them does, the others are answered and nothing is kept."""

from __future__ import annotations

import contextlib
import os
import re
import socket as sockets
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import pytest
import trio
import trio.testing
import trustme

from holo.core import limits
from holo.http.hot_answer import HotAnswers
from holo.http.server import Server, open_server
from holo.http.stream import Stream
from holo.node import Node, open_node
from holo.profile import Http
from holo.store.home import Home
from holo.testing import small_profile
from tests.http.listener import QUICK, Toy, connect, read_all, serving, still_serves, until
from tests.http.two_listeners import HEADS_ON_DEMAND, quiet, settle

HOT = b"GET /v1/resolve?handle=acme/holo:beta HTTP/1.1\r\nHost: localhost\r\n\r\n"
_OK = b"HTTP/1.1 200 "
NODE = b"GET /v1/node HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATIENT = Http(listen="127.0.0.1:0", header_timeout_ms=60_000, idle_timeout_ms=60_000, max_connections=64)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """Return a node whose acme/holo:beta is settled and covered by a head, without a listener."""
    async with open_node(Home(tmp_path / "home"), small_profile(HEADS_ON_DEMAND)) as opened:
        async with serving_node(opened, PATIENT, None) as server:
            await settle(server.url)
        await opened.registry.sign_head()
        yield opened


@asynccontextmanager
async def serving_node(node: Node, http: Http, answers: HotAnswers | None) -> AsyncIterator[Server]:
    """A listener over a node's whole application, which the end of the block does not stop."""
    server = await open_server(_Lasting(node), http, grace_s=1, answers=answers)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        yield server
        nursery.cancel_scope.cancel()


class _Lasting:
    def __init__(self, node: Node) -> None:
        self.stopping = trio.Event()
        self._app = node.app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class Authority:
    """A listener's certificate, and who trusts it."""

    http: Http
    trusted: ssl.SSLContext


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return settings with TLS, and a client's context."""
    folder = tmp_path_factory.mktemp("tls")
    made = trustme.CA()
    issued = made.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    trusted = ssl.create_default_context()
    made.configure_trust(trusted)
    http = Http(
        listen="127.0.0.1:0",
        tls_cert=str(folder / "cert.pem"),
        tls_key=str(folder / "key.pem"),
        header_timeout_ms=400,
        idle_timeout_ms=800,
        max_connections=64,
    )
    return Authority(http, trusted)


async def secured(server: Server, authority: Authority) -> trio.SSLStream[trio.SocketStream]:
    """A TLS session with the listener."""
    stream = trio.SSLStream(await connect(server), authority.trusted, server_hostname="localhost")
    await stream.do_handshake()
    return stream


async def read_answers(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    """So many answers that are JSON; they must come soon."""
    data = bytearray()
    with trio.fail_after(30):
        while count or not data.endswith(b"}"):
            more = await stream.receive_some()
            assert more, "the connection ended"
            known = max(0, len(data) - len(_OK) + 1)
            data += more
            count -= data.count(_OK, known)
    assert count == 0
    return bytes(data)


async def read_hello(stream: trio.abc.ReceiveStream) -> None:
    """The application's answer; it must come soon."""
    data = b""
    with trio.fail_after(20):
        while not data.endswith(b"hello"):
            more = await stream.receive_some()
            assert more, "the connection ended"
            data += more


async def still_hot(server: Server) -> None:
    """A fresh client gets a hot answer."""
    with trio.fail_after(10):
        async with await connect(server) as stream:
            await stream.send_all(HOT)
            await read_answers(stream, 1)


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
                fault.setattr(hot, "_view", _Unreadable())
                await stream.send_all(HOT)
                await read_hello(stream)
                fault.setattr(node.registry, "view", _Unreadable)
                fault.setattr(hot, "_heads", -1)  # so that the newest head has to be read
                await stream.send_all(HOT)
                await read_hello(stream)
                await still_serves(server)
            assert toy.started == 3
            await still_hot(server)


class _Unreadable:
    def __enter__(self) -> Any:
        raise RuntimeError("a store that cannot be read")

    def __exit__(self, *exc: object) -> None:
        pass


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


class TestCrowds:
    async def test_the_idle_make_room_then_the_slow_and_never_the_busy(self, node: Node) -> None:
        http = Http(listen="127.0.0.1:0", header_timeout_ms=60_000, max_connections=5)
        async with serving(http, answers=node.app.answers) as (server, toy):
            busy, slow_here, slow_there, idle_long, idle_short = [await connect(server) for _ in range(5)]
            for stream, sent in (
                (busy, SLOW),
                (slow_there, b"GET /half"),
                (slow_here, HOT[:20]),
                (idle_long, HOT),
                (idle_short, HOT),
            ):
                await stream.send_all(sent)
                await quiet()
            assert (server.connections, toy.started) == (5, 1)
            more = []
            for leaves in (idle_long, idle_short, slow_here, slow_there):  # of the slow, the one that is so for longer
                more.append(await busy_client(server, toy))
                found = await read_all_or_reset(leaves)
                assert found.count(b"HTTP/1.1 200 ") == (leaves in (idle_long, idle_short))
                await leaves.aclose()
            async with await connect(server) as refused:
                assert await read_all_or_reset(refused) == b""
            toy.release.set()
            for stream in (busy, *more):
                await read_hello(stream)
                await stream.aclose()

    async def test_half_heads_keep_nobody_out(self, node: Node) -> None:
        http = Http(listen="127.0.0.1:0", header_timeout_ms=60_000, max_connections=32)
        async with serving(http, answers=node.app.answers) as (server, _):
            slow = []
            for number in range(64):
                slow.append(await connect(server))
                await slow[-1].send_all((b"", HOT[:30], b"POST / HT", b"\x16\x03")[number % 4])
            for _ in range(20):
                await still_hot(server)
                await still_serves(server)
            assert server.connections <= 32
            for stream in slow:
                await stream.aclose()

    @pytest.mark.parametrize("http2", [False, True])
    async def test_half_bodies_keep_nobody_out_for_longer_than_a_head(self, node: Node, http2: bool) -> None:
        http = Http(listen="127.0.0.1:0", header_timeout_ms=500, idle_timeout_ms=60_000, max_connections=4)
        async with serving(http, answers=node.app.answers) as (server, toy):
            busy = await busy_client(server, toy)
            slow = [await connect(server) for _ in range(3)]
            for stream in slow:
                await stream.send_all(_half_upload(http2))
            with trio.fail_after(5):
                await until(lambda: toy.started == 4)
            async with await connect(server) as early:
                assert await read_all_or_reset(early) == b""
            await trio.sleep(0.6)  # until they have taken longer than a head may
            late = await admitted_client(server, toy)
            with trio.fail_after(5):
                await until(lambda: server.connections == 2)
            toy.release.set()
            for stream in (busy, late):
                await read_hello(stream)
            for stream in (busy, late, *slow):
                await stream.aclose()

    @pytest.mark.parametrize("sent", [SLOW, HOT[:20], b"GET /half"])
    async def test_a_crowd_that_comes_at_once_is_counted_wherever_it_is(self, node: Node, sent: bytes) -> None:
        toy = Toy()
        http = Http(listen="127.0.0.1:0", header_timeout_ms=60_000, max_connections=4)
        server = await open_server(toy, http, grace_s=1, answers=node.app.answers)
        streams = [await connect(server) for _ in range(50)]
        for stream in streams:
            await stream.send_all(sent)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            await quiet()
            assert 1 <= server.connections <= 4
            assert toy.started <= 4
            nursery.cancel_scope.cancel()
        for stream in streams:
            await stream.aclose()

    async def test_who_asks_without_end_gets_a_turn_like_the_others(self, node: Node) -> None:
        longest = 0
        async with (
            serving(PATIENT, answers=node.app.answers) as (server, _),
            await connect(server) as stream,
            trio.open_nursery() as nursery,
        ):

            async def watch() -> None:
                nonlocal longest
                while True:
                    longest = max(longest, len(server._poller._more))
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(watch)
            nursery.start_soon(stream.send_all, HOT * 2000)
            await read_answers(stream, 2000)
            nursery.cancel_scope.cancel()
        assert longest == 1


def _half_upload(http2: bool) -> bytes:
    """A request whose body does not come."""
    if not http2:
        return b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12"
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    client.initiate_connection()
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"localhost"), (b":path", b"/read")]
    client.send_headers(1, fields)
    client.send_data(1, b"12")
    return client.data_to_send()


async def busy_client(server: Server, toy: Toy) -> trio.SocketStream:
    """A client whose request is under way."""
    started = toy.started
    stream = await connect(server)
    await stream.send_all(SLOW)
    with trio.fail_after(5):
        await until(lambda: toy.started > started)
    return stream


async def admitted_client(server: Server, toy: Toy) -> trio.SocketStream:
    """A client whose request is under way, and who comes again where it is turned away."""
    with trio.fail_after(10):
        while True:
            started = toy.started
            stream = await connect(server)
            with trio.move_on_after(1), contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(SLOW)
                await until(lambda before=started: toy.started > before)  # type: ignore[misc]
                return stream
            await stream.aclose()


async def read_all_or_reset(stream: trio.SocketStream) -> bytes:
    try:
        return await read_all(stream)
    except trio.BrokenResourceError:
        return b""


class TestTls:
    @pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16"])
    async def test_a_handshake_that_does_not_come(self, authority: Authority, sent: bytes) -> None:
        async with serving(authority.http) as (server, _), await connect(server) as stream:
            began = trio.current_time()
            await stream.send_all(sent)
            await read_all_or_reset(stream)
            assert trio.current_time() - began < 3
            assert server.connections == 0

    async def test_bytes_that_are_no_tls(self, authority: Authority) -> None:
        async with serving(authority.http) as (server, _), await connect(server) as stream:
            await stream.send_all(HOT)
            assert not (await read_all_or_reset(stream)).startswith(b"HTTP")
            assert server.connections == 0

    async def test_clients_that_vanish_in_the_handshake(self, authority: Authority, node: Node) -> None:
        async with serving(authority.http, answers=node.app.answers) as (server, _):
            hello = _client_hello(authority.trusted)
            for number in range(40):
                stream = await connect(server)
                await stream.send_all(hello[: len(hello) - number % 3 * 50])
                await quiet()
                if number % 2:
                    stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                await trio.aclose_forcefully(stream)
            with trio.fail_after(5):
                await until(lambda: server.connections == 0)
            await _secured_answers(server, authority)

    async def test_more_requests_in_one_record_than_are_answered_at_once(
        self, authority: Authority, node: Node
    ) -> None:
        async with serving(authority.http, answers=node.app.answers) as (server, toy):
            stream = await secured(server, authority)
            count = 16_000 // len(HOT)
            for _ in range(3):
                await stream.send_all(HOT * count)  # a record has 16 KiB
                await read_answers(stream, count)
            assert toy.started == 0
            await stream.send_all(HOT[:-1])
            await quiet()
            await stream.send_all(HOT[-1:])
            await read_answers(stream, 1)
            await trio.aclose_forcefully(stream)

    async def test_a_client_that_does_not_read_is_cut(self, authority: Authority, node: Node) -> None:
        async with serving(authority.http, answers=node.app.answers) as (server, _):
            stream = await secured(server, authority)

            async def ask_on() -> None:
                while True:
                    await stream.send_all(HOT * 100)

            with trio.fail_after(10), pytest.raises(trio.BrokenResourceError):
                await ask_on()
            await trio.aclose_forcefully(stream)
            assert server.connections == 0

    @pytest.mark.parametrize("sent", [b"", HOT, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"])
    async def test_an_end_that_the_listener_decides_is_told(
        self, authority: Authority, node: Node, sent: bytes
    ) -> None:
        async with serving(authority.http, answers=node.app.answers) as (server, _):
            stream = await secured(server, authority)
            await stream.send_all(sent)
            await read_all(stream)  # raises where the end may be somebody else's
            await trio.aclose_forcefully(stream)


async def _secured_answers(server: Server, authority: Authority) -> None:
    stream = await secured(server, authority)
    await stream.send_all(HOT)
    await read_answers(stream, 1)
    await trio.aclose_forcefully(stream)


def _client_hello(context: ssl.SSLContext) -> bytes:
    """The first bytes of a client."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(into, out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return out.read()


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
