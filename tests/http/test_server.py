"""The listener with clients that misbehave: they vanish, stall, flood and lie; and a stop that loses no answer."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
import trio
import trio.testing
import trustme

from holo.core.errors import Rejected
from holo.http.server import open_server
from holo.profile import Http
from holo.testing import running_node
from tests.http.h2_client import ended, h2_client
from tests.http.listener import Toy, connect, read_all, serving, still_serves
from tests.http.scene import acme, wire


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
