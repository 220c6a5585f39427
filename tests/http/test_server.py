"""The listener with clients that misbehave: they vanish, stall, flood and lie; and a stop that loses no answer."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
import trio
import trio.testing
import trustme

from holo.core.errors import Rejected
from holo.http.server import Server, open_server
from holo.profile import Http
from holo.testing import running_node
from tests.http.listener import QUICK, Toy, connect, read_all, serving, still_serves, until
from tests.http.scene import acme, wire


class H2Client:
    """A client that speaks HTTP/2 as badly as a test wants."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.http = h2.connection.H2Connection(
            h2.config.H2Configuration(header_encoding=None, validate_outbound_headers=False)
        )
        self.http.initiate_connection()

    async def flush(self) -> None:
        await self.stream.send_all(self.http.data_to_send())

    async def get(self, path: bytes, *, method: bytes = b"GET", end: bool = True) -> int:
        stream_id = self.http.get_next_available_stream_id()
        headers = [(b":method", method), (b":scheme", b"http"), (b":authority", b"localhost"), (b":path", path)]
        if method == b"CONNECT":
            headers.append((b":protocol", b"websocket"))
        self.http.send_headers(stream_id, headers, end_stream=end)
        await self.flush()
        return stream_id

    async def until(self, wanted: Callable[[Any], bool]) -> list[Any]:
        """Every event up to the first that is wanted."""
        seen: list[Any] = []
        with trio.fail_after(10):
            while True:
                data = await self.stream.receive_some()
                if not data:
                    raise EOFError(seen)
                for event in self.http.receive_data(bytes(data)):
                    seen.append(event)
                    if isinstance(event, h2.events.DataReceived):
                        self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    if wanted(event):
                        await self.flush()
                        return seen
                await self.flush()


@asynccontextmanager
async def h2_client(server: Server) -> AsyncIterator[H2Client]:
    async with await connect(server) as stream:
        client = H2Client(stream)
        await client.flush()
        yield client


def ended(stream_id: int) -> Callable[[Any], bool]:
    return lambda event: (
        isinstance(event, h2.events.StreamEnded | h2.events.StreamReset) and event.stream_id == stream_id
    )


class TestProtocols:
    async def test_http1_and_http2_on_one_port(self, tmp_path: Path) -> None:
        async with running_node(tmp_path / "home") as running:
            for http2, version in ((False, "HTTP/1.1"), (True, "HTTP/2")):
                async with httpx.AsyncClient(
                    base_url=running.url, http1=not http2, http2=http2, verify=False
                ) as client:
                    for _ in range(3):
                        response = await client.get("/v1/node")
                        assert (response.http_version, response.status_code) == (version, 200)
                    posted = await client.post(
                        "/v1/namespaces", json={"policy_cose": wire(acme("h2" if http2 else "h1"))}
                    )
                    assert posted.status_code == 201

    async def test_tls_speaks_both_and_only_tls(self, tmp_path: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost")
        cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        issued.private_key_pem.write_to_path(key)
        for part in issued.cert_chain_pems:
            part.write_to_path(cert, append=True)
        trusted = ssl.create_default_context()
        authority.configure_trust(trusted)
        settings = [f"http.tls_cert={json.dumps(str(cert))}", f"http.tls_key={json.dumps(str(key))}"]
        async with running_node(tmp_path / "home", settings) as running:
            url = running.url.replace("127.0.0.1", "localhost")
            assert url.startswith("https://")
            for http2, version in ((False, "HTTP/1.1"), (True, "HTTP/2")):
                async with httpx.AsyncClient(base_url=url, http2=http2, verify=trusted) as client:
                    response = await client.get("/v1/node")
                    assert (response.http_version, response.status_code) == (version, 200)
                    posted = await client.post(
                        "/v1/namespaces", json={"policy_cose": wire(acme("h2" if http2 else "h1"))}
                    )
                    assert posted.status_code == 201
            async with httpx.AsyncClient(verify=False) as client:
                with pytest.raises(httpx.HTTPError):
                    await client.get(running.url.replace("https", "http") + "/v1/node")
            async with httpx.AsyncClient(base_url=url, verify=trusted) as client:
                assert (await client.get("/v1/node")).status_code == 200
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            old.set_ciphers("AES128-GCM-SHA256")  # no forward secrecy
            async with httpx.AsyncClient(base_url=url, verify=old) as client:
                with pytest.raises(httpx.ConnectError):
                    await client.get("/v1/node")

    @pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"TLS/1.3"])
    async def test_offers_to_upgrade_are_ignored(self, upgrade: bytes) -> None:
        async with serving() as (server, _), await connect(server) as stream:
            await stream.send_all(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\n"
                b"HTTP2-Settings: AAMAAABkAAQAAP__\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                b"Sec-WebSocket-Version: 13\r\nUpgrade: " + upgrade + b"\r\n\r\n"
            )
            answer = await read_all(stream)
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(b"hello")

    async def test_pipelined_requests_are_answered_in_order(self) -> None:
        async with serving() as (server, toy), await connect(server) as stream:
            one = b"GET /%d HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
            await stream.send_all(b"".join(one % (n, b"Connection: close\r\n" if n == 4 else b"") for n in range(5)))
            assert (await read_all(stream)).count(b"hello") == 5
            assert toy.ended == 5


class TestListening:
    async def test_an_address_in_use(self) -> None:
        async with serving() as (server, _):
            taken = server.url.removeprefix("http://")
            with pytest.raises(Rejected) as caught:
                await open_server(Toy(), Http(listen=taken), grace_s=1)
            assert caught.value.code == "listen-failed"

    async def test_a_name_with_several_addresses_gets_one_port(self) -> None:
        async with serving(Http(listen="localhost:0")) as (server, _):
            await still_serves_at("localhost", int(server.url.rpartition(":")[2]))

    @pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
    async def test_beyond_loopback_it_needs_tls_and_closed_writes(self, listen: str) -> None:
        for http in (
            Http(listen=listen),
            Http(listen=listen, require="capability"),
            Http(listen=listen, tls_cert="cert.pem", tls_key="key.pem"),
        ):
            with pytest.raises(Rejected) as caught:
                await open_server(Toy(), http, grace_s=1)
            assert caught.value.code == "unsafe-listen"

    async def test_keys_that_are_none(self, tmp_path: Path) -> None:
        (tmp_path / "x.pem").write_text("x")
        for cert in (str(tmp_path / "x.pem"), str(tmp_path / "absent.pem")):
            with pytest.raises(Rejected) as caught:
                await open_server(Toy(), Http(listen="127.0.0.1:0", tls_cert=cert, tls_key=cert), grace_s=1)
            assert caught.value.code == "profile-invalid"


async def still_serves_at(host: str, port: int) -> None:
    async with await trio.open_tcp_stream(host, port) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await read_all(stream)).endswith(b"hello")


class TestBadBytes:
    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (b"\x00\x01\x02\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", 431),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n: x\r\n\r\n", 400),
        ],
    )
    async def test_what_is_not_http(self, sent: bytes, status: int) -> None:
        async with serving() as (server, _):
            async with await connect(server) as stream:
                await stream.send_all(sent)
                head, _, body = (await read_all(stream)).partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 %d" % status)
                assert b"application/problem+json" in head
                assert json.loads(body)["status"] == status
            await still_serves(server)

    async def test_tls_hello_to_a_plain_port(self) -> None:
        async with serving() as (server, _):
            async with await connect(server) as stream:
                await stream.send_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(509))
                await read_all(stream)
            await still_serves(server)

    async def test_http2_garbage_ends_that_connection_only(self) -> None:
        async with serving() as (server, _):
            for garbage in (
                b"\xff" * 100,
                b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
                b"\x00\xff\xff\x04" + bytes(5),
            ):
                async with h2_client(server) as client:
                    await client.stream.send_all(garbage)
                    with pytest.raises((EOFError, trio.BrokenResourceError)):
                        await client.until(lambda event: False)
            await still_serves(server)

    @pytest.mark.parametrize(
        ("method", "path"), [(b"GET", b"/\xff"), (b"GET", b"x"), (b"CONNECT", b"/"), (b"G\xc3", b"/")]
    )
    async def test_http2_requests_nobody_can_serve_lose_their_stream(self, method: bytes, path: bytes) -> None:
        async with serving() as (server, toy), h2_client(server) as client:
            bad = await client.get(path, method=method)
            seen = await client.until(ended(bad))
            assert isinstance(seen[-1], h2.events.StreamReset)
            good = await client.get(b"/")
            assert isinstance((await client.until(ended(good)))[-1], h2.events.StreamEnded)
            assert toy.started == 1

    async def test_http2_bodies_beyond_the_answer(self) -> None:
        async with serving() as (server, _), h2_client(server) as client:
            upload = await client.get(b"/", method=b"POST", end=False)
            await client.until(lambda event: isinstance(event, h2.events.StreamEnded))
            client.http.send_data(upload, bytes(10_000))
            await client.flush()
            seen = await client.until(ended(upload))
            assert seen[-1].error_code == 0
            good = await client.get(b"/")
            assert isinstance((await client.until(ended(good)))[-1], h2.events.StreamEnded)

    async def test_http2_streams_opened_only_to_be_reset(self) -> None:
        async with serving() as (server, toy), h2_client(server) as client:

            async def reset_many() -> None:
                for _ in range(1000):
                    client.http.reset_stream(await client.get(b"/slow"))
                    await client.flush()
                await client.until(lambda event: False)

            with pytest.raises((EOFError, trio.BrokenResourceError)):
                await reset_many()
            await still_serves(server)
            assert toy.started < 500

    async def test_a_fault_of_the_application_costs_one_answer(self) -> None:
        async with serving() as (server, _):
            async with await connect(server) as stream:
                await stream.send_all(b"GET /fault HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert (await read_all(stream)).startswith(b"HTTP/1.1 500")
            await still_serves(server)


class TestTime:
    @pytest.mark.parametrize("sent", [b"", b"GET / HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
    async def test_a_head_that_does_not_come(self, sent: bytes) -> None:
        async with serving() as (server, _), await connect(server) as stream:
            began = trio.current_time()
            if sent:
                await stream.send_all(sent)
            await read_all(stream)
            assert trio.current_time() - began < 3

    async def test_a_head_that_comes_byte_by_byte(self) -> None:
        async with serving() as (server, _), await connect(server) as stream:
            began = trio.current_time()

            async def drip() -> None:
                for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 1000:
                    await stream.send_all(bytes((byte,)))
                    await trio.sleep(0.02)

            with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
                await drip()
            assert trio.current_time() - began < 3

    async def test_silence_between_requests(self) -> None:
        async with serving() as (server, _), await connect(server) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            began = trio.current_time()
            assert (await read_all(stream)).endswith(b"hello")
            assert 0.5 < trio.current_time() - began < 4

    async def test_a_slow_answer_is_no_silence(self) -> None:
        async with serving() as (server, toy), await connect(server) as stream:
            await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            await trio.sleep(1.2)  # longer than both timeouts
            toy.release.set()
            assert (await read_all(stream)).endswith(b"hello")

    async def test_a_client_that_takes_no_bytes_is_cut(self) -> None:
        async with serving() as (server, toy), await connect(server) as stream:
            await stream.send_all(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.fail_after(10):
                await until(lambda: toy.ended == 1 and server.connections == 0)

    async def test_an_http2_stream_that_is_not_read_is_cut_and_the_connection_goes_on(self) -> None:
        async with serving() as (server, toy), h2_client(server) as client:
            flood = await client.get(b"/flood")
            with trio.fail_after(10):
                await until(lambda: toy.ended == 1)
            good = await client.get(b"/")
            seen = await client.until(ended(good))
            assert isinstance(seen[-1], h2.events.StreamEnded)
            resets = [event for event in seen if isinstance(event, h2.events.StreamReset)]
            if not resets:
                resets = [
                    event for event in await client.until(ended(flood)) if isinstance(event, h2.events.StreamReset)
                ]
            assert resets[0].stream_id == flood


class TestCrowds:
    async def test_the_longest_idle_makes_room(self) -> None:
        http = Http(listen="127.0.0.1:0", max_connections=3, header_timeout_ms=60_000)
        async with serving(http) as (server, _):
            streams = [await connect(server) for _ in range(3)]
            for stream in streams:
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await trio.testing.wait_all_tasks_blocked(0.01)
            await still_serves(server)
            assert (await read_all(streams[0])).endswith(b"hello")
            for stream in streams:
                await stream.aclose()

    async def test_a_crowd_at_once_gets_no_more_than_the_bound(self) -> None:
        http = Http(listen="127.0.0.1:0", max_connections=4, header_timeout_ms=60_000)
        async with serving(http) as (server, _):
            streams = []
            async with trio.open_nursery() as nursery:

                async def come() -> None:
                    streams.append(await connect(server))

                for _ in range(60):
                    nursery.start_soon(come)
            with trio.fail_after(5):
                await until(lambda: server.connections <= 4)
            await still_serves(server)
            for stream in streams:
                await stream.aclose()

    async def test_busy_connections_are_not_pushed_out(self) -> None:
        http = Http(listen="127.0.0.1:0", max_connections=2)
        async with serving(http) as (server, toy):
            busy = [await connect(server) for _ in range(2)]
            for stream in busy:
                await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            with trio.fail_after(5):
                await until(lambda: toy.started == 2)
            async with await connect(server) as one_more:
                assert await read_all_or_reset(one_more) == b""
            toy.release.set()
            for stream in busy:
                assert (await read_all(stream)).endswith(b"hello")
                await stream.aclose()

    @pytest.mark.parametrize("tls", [False, True])
    async def test_http2_clients_that_vanish_under_load(self, tmp_path: Path, tls: bool) -> None:
        """What ends hypercorn's own server: connections cut while many streams are being answered."""
        http, context = QUICK, None
        if tls:
            authority = trustme.CA()
            issued = authority.issue_cert("localhost")
            cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
            issued.private_key_pem.write_to_path(key)
            issued.cert_chain_pems[0].write_to_path(cert)
            http = Http(listen="127.0.0.1:0", tls_cert=str(cert), tls_key=str(key))
            context = ssl.create_default_context()
            authority.configure_trust(context)
            context.set_alpn_protocols(["h2"])
        async with serving(http) as (server, toy):
            for _ in range(4):
                async with trio.open_nursery() as nursery:
                    for number in range(12):
                        nursery.start_soon(_vanish, server, context, number)
            with trio.fail_after(10):
                await until(lambda: toy.started == toy.ended and server.connections == 0)
            if context is None:
                await still_serves(server)
            else:
                async with httpx.AsyncClient(verify=context, http2=True) as client:
                    url = server.url.replace("127.0.0.1", "localhost")
                    assert (await client.get(url)).text == "hello"


async def _vanish(server: Server, context: ssl.SSLContext | None, number: int) -> None:
    host, port = server.url.partition("://")[2].split(":")
    socket = await trio.open_tcp_stream(host, int(port))
    stream: Any = socket
    if context is not None:
        stream = trio.SSLStream(socket, context, server_hostname="localhost", https_compatible=True)
    client = H2Client(stream)
    for path in (b"/flood", b"/read", b"/", b"/slow") * 10:
        await client.get(path, method=b"POST", end=False)
    if number % 2:
        with trio.move_on_after(0.05):
            await client.until(lambda event: False)
    # Linger with nothing: the kernel answers what is still sent with a reset.
    socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await trio.aclose_forcefully(socket)


async def read_all_or_reset(stream: trio.SocketStream) -> bytes:
    try:
        return await read_all(stream)
    except trio.BrokenResourceError:
        return b""


class TestStopping:
    async def test_answers_under_way_arrive_and_idle_connections_end_at_once(self) -> None:
        answers: list[bytes] = []

        async def take(stream: trio.SocketStream) -> None:
            answers.append(await read_all(stream))
            await stream.aclose()

        toy = Toy()
        server = await open_server(toy, QUICK, grace_s=5)
        async with trio.open_nursery() as clients:
            async with trio.open_nursery() as nursery:
                await nursery.start(server.run)
                idle, busy = await connect(server), await connect(server)
                await busy.send_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
                with trio.fail_after(5):
                    await until(lambda: toy.started == 1 and server.connections == 2)
                clients.start_soon(take, busy)
                clients.start_soon(_release_once_stopping, toy)
                began = trio.current_time()
                nursery.cancel_scope.cancel()
            assert trio.current_time() - began < 3
            assert await read_all(idle) == b""
            await idle.aclose()
        assert answers[0].endswith(b"hello")
        with pytest.raises(OSError):
            await connect(server)

    async def test_the_grace_ends(self) -> None:
        toy = Toy()
        server = await open_server(toy, Http(listen="127.0.0.1:0"), grace_s=0.3)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            slow, flooded = await connect(server), await connect(server)
            await slow.send_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await flooded.send_all(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.fail_after(5):
                await until(lambda: toy.started == 2)
            began = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < 3
        assert toy.ended == 2
        await slow.aclose()
        await flooded.aclose()

    async def test_http2_is_told_to_go_away(self) -> None:
        async with serving() as (server, _), h2_client(server) as client:
            await client.until(ended(await client.get(b"/")))
            server_stops = client.until(lambda event: isinstance(event, h2.events.ConnectionTerminated))
            for connection in list(server._connections):
                connection.stop()
            await server_stops


async def _release_once_stopping(toy: Toy) -> None:
    await toy.stopping.wait()
    toy.release.set()
