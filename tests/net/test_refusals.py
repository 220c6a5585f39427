"""Who gets no link, whatever OpenSSL says of them: each case with TLS of another make at the other end."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
from pathlib import Path

import pytest
import trio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from holo.core import limits
from holo.core.keys import did_of
from holo.core.pairing import parse_answer
from holo.net import identity as identities
from holo.net.certificate import anchor, make_leaf
from holo.net.identity import CONTROL, PAIRING, Identity, Leaf
from holo.net.link import Link
from tests.net.scene import LONG_S, Peer, context_of, make_peer, raw_tls, refused, serving, until, wall_ms

HOUR_MS = 3_600_000


@pytest.fixture
def a(tmp_path: Path) -> Peer:
    return make_peer(tmp_path, 1)


@pytest.fixture
def b(tmp_path: Path) -> Peer:
    return make_peer(tmp_path, 2)


@pytest.fixture
def c(tmp_path: Path) -> Peer:
    return make_peer(tmp_path, 3)


def leaf_of(signer: Peer, *, begins_ms: int = -HOUR_MS, ends_ms: int = HOUR_MS) -> Leaf:
    """A leaf that a node issued for itself."""
    key = Ed25519PrivateKey.generate()
    return Leaf(make_leaf(signer.key, key, 7, wall_ms() + begins_ms, wall_ms() + ends_ms), key, 0, 0)


def forged_leaf(signer: Peer, named: Peer) -> Leaf:
    """A leaf by ``signer``, chain and all, whose one URI names ``named``."""
    key = Ed25519PrivateKey.generate()
    now, hour = datetime.datetime.now(datetime.UTC), datetime.timedelta(hours=1)
    issuer = x509.load_der_x509_certificate(anchor(signer.kid)).subject
    uri = x509.UniformResourceIdentifier(did_of(named.kid))
    builder = (
        x509.CertificateBuilder(issuer, x509.Name([]), key.public_key(), 7, now - hour, now + hour)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=True)
    )
    root = Ed25519PrivateKey.from_private_bytes(signer.key.seed)
    return Leaf(builder.sign(root, None).public_bytes(Encoding.DER), key, 0, 0)


def context_with(leaf: Leaf | None, server: Peer, *protocols: str) -> ssl.SSLContext:
    context = identities._context(ssl.PROTOCOL_TLS_CLIENT, (server.kid,))
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(list(protocols or (CONTROL,)))
    if leaf is not None:
        identities._load(context, leaf)
    return context


async def said(a: Peer, context: ssl.SSLContext) -> str:
    """What the node says to a connection of this context: the code of its answer, or how TLS ended."""
    with trio.fail_after(LONG_S):
        async with raw_tls(a.address, context) as tls:
            try:
                await tls.do_handshake()
                data = bytes(await tls.receive_some())
            except trio.BrokenResourceError as error:
                return str(error.__cause__)
            if not data:
                return "closed"
            answer = parse_answer(data[4:])
            return answer.code or "welcome"


async def nobody(link: Link) -> None:
    raise AssertionError("a link that must not be")


async def test_a_pinned_node_is_welcome(a: Peer, b: Peer) -> None:
    """What the others differ from."""
    async with serving(a):
        a.pin(b)
        assert await said(a, context_of(b, a.kid)) == "welcome"
        assert await said(a, context_with(leaf_of(b), a)) == "welcome"


async def test_openssl_takes_any_pinned_root_for_any_name_and_a_link_does_not(a: Peer, b: Peer, c: Peer) -> None:
    """C, pinned, shows a leaf of its own that names B, pinned as well."""
    leaf = forged_leaf(c, b)
    client, server = context_with(leaf, a), a.identity.server_context([b.kid, c.kid])
    one, two = ssl.MemoryBIO(), ssl.MemoryBIO()
    dialling, taking = client.wrap_bio(one, two), server.wrap_bio(two, one, server_side=True)
    left = [dialling, taking]
    while left:
        try:
            left[0].do_handshake()
            left.pop(0)
        except ssl.SSLWantReadError:
            left.reverse()
    assert taking.getpeercert(binary_form=True) == leaf.der  # OpenSSL verified it
    async with serving(a, nobody):
        a.pin(b, c)
        assert await said(a, client) == "leaf-invalid"


async def test_a_pinned_node_cannot_be_dialled_for_another(a: Peer, b: Peer, c: Peer) -> None:
    async with serving(c):
        c.pin(a)
        a.pin(b, c)
        closed = await refused(a.network.connect, b.kid, c.address)
        assert closed.code == "peer-wrong-key"


async def test_a_node_that_is_not_pinned(a: Peer, b: Peer, c: Peer) -> None:
    async with serving(a, nobody):
        a.pin(c)
        b.pin(a)
        closed = await refused(b.network.connect, a.kid, a.address)
        assert (closed.code, "does not pin" in closed.detail) == ("peer-unpinned", True)
        assert "UNKNOWN_CA" in await said(a, context_of(b, a.kid))
        assert await said(a, context_with(None, a)) == "peer-unpinned"  # nor one that shows nothing


async def test_a_node_that_this_one_does_not_pin_is_not_dialled(a: Peer, b: Peer) -> None:
    async with serving(a, nobody):
        a.pin(b)
        assert (await refused(b.network.connect, a.kid, a.address)).code == "peer-unpinned"


@pytest.mark.parametrize(("begins_ms", "ends_ms"), [(-3 * HOUR_MS, -HOUR_MS), (HOUR_MS, 2 * HOUR_MS)])
async def test_a_leaf_that_does_not_count_now(a: Peer, b: Peer, begins_ms: int, ends_ms: int) -> None:
    async with serving(a, nobody):
        a.pin(b)
        assert "ALERT" in await said(a, context_with(leaf_of(b, begins_ms=begins_ms, ends_ms=ends_ms), a))


async def test_a_leaf_that_counts_for_too_long(a: Peer, b: Peer) -> None:
    async with serving(a, nobody):
        a.pin(b)
        leaf = leaf_of(b, ends_ms=limits.LEAF_S_MAX * 1000)
        assert await said(a, context_with(leaf, a)) == "leaf-invalid"


async def test_an_expired_leaf_of_the_node_that_is_dialled(a: Peer, b: Peer, tmp_path: Path) -> None:
    late = make_peer(tmp_path / "late", 1, clock_ms=lambda: wall_ms() - 48 * HOUR_MS)
    async with serving(late):
        late.pin(b)
        b.pins.add(late.kid, late.network.addresses)
        closed = await refused(b.network.connect, late.kid, late.address)
        assert (closed.code, "expired" in closed.detail) == ("leaf-invalid", True)


async def test_a_leaf_is_judged_by_the_clock_of_the_node_too(b: Peer, tmp_path: Path) -> None:
    """OpenSSL goes by the system's time; a node whose own clock is elsewhere goes by that."""
    ahead = make_peer(tmp_path / "ahead", 1, clock_ms=lambda: wall_ms() + 30 * HOUR_MS)
    ahead.network._identity._leaf = leaf = Identity(ahead.key, wall_ms, leaf_s=7 * 24 * 3600).leaf()
    assert leaf.not_after_ms > wall_ms()
    async with serving(ahead, nobody):
        ahead.network._identity._life_ms = 1
        ahead.pin(b)
        assert await said(ahead, context_of(b, ahead.kid)) == "leaf-invalid"


@pytest.mark.parametrize("protocols", [("h2",), ("holo-cp/2", "http/1.1")])
async def test_another_protocol(a: Peer, b: Peer, protocols: tuple[str, ...]) -> None:
    async with serving(a, nobody):
        a.pin(b)
        assert await said(a, context_with(leaf_of(b), a, *protocols)) == "closed"


async def test_no_protocol_at_all(a: Peer, b: Peer) -> None:
    context = identities._context(ssl.PROTOCOL_TLS_CLIENT, (a.kid,))
    identities._load(context, leaf_of(b))
    async with serving(a, nobody):
        a.pin(b)
        assert await said(a, context) == "closed"


async def test_tls_1_2(a: Peer, b: Peer) -> None:
    context = context_of(b, a.kid)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(a, nobody):
        a.pin(b)
        assert "PROTOCOL_VERSION" in await said(a, context)


async def test_no_session_is_resumed(a: Peer, b: Peer) -> None:
    """Every link proves both keys anew: a node that was removed cannot come back by what it kept."""
    context = context_of(b, a.kid)
    async with serving(a):
        a.pin(b)
        async with raw_tls(a.address, context) as tls:
            await tls.do_handshake()
            await tls.receive_some()
            session = tls._ssl_object.session
            assert session is None or not session.has_ticket


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" + bytes(9)])
async def test_what_is_no_tls(a: Peer, data: bytes) -> None:
    async with serving(a, nobody):
        host, port = a.address.split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(data)
        await stream.send_eof()
        with trio.fail_after(LONG_S):
            while await stream.receive_some():
                pass
        await stream.aclose()


async def test_a_handshake_without_end(a: Peer) -> None:
    """Handshake messages that are never whole, in as many records as one likes."""
    record = b"\x16\x03\x03\x40\x00" + b"\x01\x00\xff\xff" + bytes(0x3FFC)
    async with serving(a, nobody):
        host, port = a.address.split(":")
        stream = await trio.open_tcp_stream(host, int(port))

        async def send_on() -> None:
            while True:
                await stream.send_all(record)

        with trio.fail_after(LONG_S), pytest.raises(trio.BrokenResourceError):
            await send_on()
        await stream.aclose()


async def test_a_server_that_never_ends_its_handshake(a: Peer, tmp_path: Path) -> None:
    b = make_peer(tmp_path, 2, handshake_s=0.5)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
    b.pins.add(a.kid, [address])

    async def trickle(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            for byte in b"\x16\x03\x03\x40\x00" + bytes(1000):
                await stream.send_all(bytes([byte]))
                await trio.sleep(0.05)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, trickle, [listener])
        assert (await refused(b.network.connect, a.kid, address)).code == "timeout"
        nursery.cancel_scope.cancel()


async def test_a_server_that_is_no_node(a: Peer, b: Peer) -> None:
    """It has a certificate of its own making, and it is not by the key that was meant."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
    b.pins.add(a.kid, [address])

    async def talk(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await trio.SSLStream(stream, context, server_side=True).do_handshake()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, talk, [listener])
        closed = await refused(b.network.connect, a.kid, address)
        assert closed.code == "peer-wrong-key", closed
        nursery.cancel_scope.cancel()


async def test_a_connection_reset_in_the_middle(a: Peer) -> None:
    async with serving(a, nobody):
        host, port = a.address.split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.send_all(b"\x16\x03\x01\0\5")
        await stream.aclose()
        await until(lambda: not a.network._guests)


async def test_connections_that_are_gone_before_they_are_taken(a: Peer, b: Peer) -> None:
    async with serving(a):
        a.pin(b)
        host, port = a.address.split(":")
        for _ in range(20):  # without giving the node a turn in between
            with socket.create_connection((host, int(port))) as gone:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert await said(a, context_of(b, a.kid)) == "welcome"


async def test_for_pairing_no_certificate_is_shown(a: Peer, b: Peer) -> None:
    assert b.identity.client_context(a.kid, PAIRING).get_ca_certs() != []
    async with serving(a, nobody), raw_tls(a.address, context_of(b, a.kid, PAIRING)) as tls:
        await tls.do_handshake()
        assert tls.selected_alpn_protocol() == PAIRING
