"""Pairing by a ticket, over TLS: the issuer is the one named, the joiner proves its key, and the ticket counts once."""

from __future__ import annotations

from pathlib import Path

import pytest

from holo.core import codec
from holo.core.limits import ADDRESS_BYTES
from holo.core.pairing import ANSWER_FRAME_BYTES, Ticket, make_join, make_request, parse_answer
from holo.net.dialing import dial
from holo.net.identity import CONTROL, PAIRING
from holo.net.joining import join
from holo.net.tls_link import Frames
from tests.net.scene import Peer, make_peer, raw_tls, refused, serving, wall_ms

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


def ticket_of(peer: Peer, *addresses: str, expires_ms: int = HOUR_MS) -> Ticket:
    made = Ticket(peer.kid, addresses or peer.network.addresses, b"0123456789abcdef", wall_ms() + expires_ms)
    peer.file.open_ticket(made.id, made.expires_ms)
    return made


async def asked(peer: Peer, server: Peer, frame: bytes) -> str | None:
    """What the node answers to a frame on a connection for pairing."""
    frames = Frames(await dial(peer.identity, server.kid, server.address, PAIRING))
    try:
        await frames.send(frame)
        return parse_answer(await frames.receive(ANSWER_FRAME_BYTES)).code
    finally:
        frames.stream.close()


async def test_a_stranger_with_a_ticket_is_pinned_and_links_from_then_on(a: Peer, b: Peer) -> None:
    async with serving(a):
        ticket = ticket_of(a)
        b.pins.add(a.kid, a.network.addresses)
        assert (await refused(b.network.connect, a.kid, a.address)).code == "peer-unpinned"
        assert await join(b.identity, b.key, ticket, ["b.example:1"]) == a.address
        assert a.pins.peers() == {b.kid: ("b.example:1",)}
        link = await b.network.connect(a.kid, a.address)
        await link.send(b"hello")
        assert await link.receive() == b"hello"


async def test_a_ticket_pairs_one_node_which_may_ask_again(a: Peer, b: Peer, c: Peer) -> None:
    async with serving(a):
        ticket = ticket_of(a)
        for _ in range(2):
            await join(b.identity, b.key, ticket, [])
        assert (await refused(join, c.identity, c.key, ticket, [])).code == "ticket-spent"
        assert a.pins.peers().keys() == {b.kid}


async def test_an_expired_an_unknown_and_a_forged_ticket(a: Peer, b: Peer) -> None:
    async with serving(a):
        late = ticket_of(a, expires_ms=-1)
        assert (await refused(join, b.identity, b.key, late, [])).code == "ticket-expired"
        forged = Ticket(a.kid, a.network.addresses, b"fedcba9876543210", wall_ms() + HOUR_MS)
        assert (await refused(join, b.identity, b.key, forged, [])).code == "ticket-unknown"
        assert a.pins.peers() == {}


async def test_what_was_said_to_one_node_is_worth_nothing_at_another(a: Peer, b: Peer, c: Peer) -> None:
    """C has got hold of all that B sent to A, secret included, and C's own node has the very ticket open, too."""
    async with serving(a), serving(c):
        ticket = ticket_of(a)
        c.file.open_ticket(ticket.id, ticket.expires_ms)
        said = make_request(b.key, ticket, [])
        assert await asked(b, c, said) == "join-foreign"
        stolen = codec.encode(
            {"v": 1, "type": "join-request", "secret": bytes(16), "join": make_join(b.key, ticket, [])}
        )
        assert await asked(c, a, stolen) == "join-foreign"
        assert (a.pins.peers(), c.pins.peers()) == ({}, {})
        assert await asked(c, a, said) is None  # brought by whomever, it pins the one who signed it
        assert a.pins.peers().keys() == {b.kid}


async def test_the_secret_goes_to_nobody_but_the_issuer(a: Peer, b: Peer, c: Peer) -> None:
    """C answers where A was; the joiner does not get as far as saying anything, and finds A at the next address."""
    async with serving(c), serving(a):
        assert (await refused(join, b.identity, b.key, ticket_of(a, c.address), [])).code == "peer-wrong-key"
        both = Ticket(a.kid, (c.address, "127.0.0.1:1", a.address), b"0123456789abcdef", wall_ms() + HOUR_MS)
        assert await join(b.identity, b.key, both, []) == a.address


@pytest.mark.parametrize("frame", [b"\xff", b"\xa0", codec.encode({"v": 1, "type": "join-request"}), b"x" * 4000])
async def test_rubbish_is_answered_and_pins_nobody(a: Peer, b: Peer, frame: bytes) -> None:
    async with serving(a):
        ticket_of(a)
        assert await asked(b, a, frame) is not None
        assert a.pins.peers() == {}


async def test_a_request_beyond_its_bound_is_not_read(a: Peer, b: Peer) -> None:
    async with serving(a):
        frames = Frames(await dial(b.identity, a.kid, a.address, PAIRING))
        await frames.send(bytes(100 * ADDRESS_BYTES))
        assert (await refused(frames.receive)).code == "closed"
        frames.stream.close()


async def test_a_connection_for_pairing_is_no_link(a: Peer, b: Peer) -> None:
    """Whoever speaks without a certificate is heard on that protocol alone."""
    async with serving(a):
        a.pin(b)
        context = b.identity.client_context(a.kid, PAIRING)
        context.set_alpn_protocols([CONTROL])
        async with raw_tls(a.address, context) as tls:
            await tls.do_handshake()
            answer = parse_answer(bytes(await tls.receive_some())[4:])
            assert answer.code == "peer-unpinned"
