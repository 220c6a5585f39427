"""Peers that break the rules, by hand: shown out with a code, barred for a while, and named in a receipt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from holo.core.carried import Carried, carry, carry_pending
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Record
from holo.core.messages import (
    Bye,
    Heads,
    Hello,
    Message,
    Objects,
    Proof,
    Push,
    Range,
    Want,
    WantProof,
    WantRange,
    decode_message,
    encode_message,
)
from holo.core.questions import Span
from holo.core.receipt import DenialReceipt, open_receipt
from holo.net.link import Link, LinkClosed
from tests.records import EVERYTHING, key, policy_record
from tests.roles.gossip.scene import GENESIS, Peer, Scene, bind, scene, until

LOG = Cid.of(DAG_CBOR, b"some log")


class Stranger:
    """A pinned peer whose messages a test writes."""

    def __init__(self, link: Link) -> None:
        self.link = link

    async def say(self, *messages: Message) -> None:
        for message in messages:
            await self.link.send(encode_message(message))

    async def hear(self, kind: type[Message]) -> Message:
        """The next message of a kind; what comes before is passed over."""
        with trio.fail_after(60):
            while True:
                message = decode_message(await self.link.receive())
                if isinstance(message, kind):
                    return message

    async def farewell(self) -> str:
        """Read on until the node closes; the code it says."""
        found = await self.hear(Bye)
        assert isinstance(found, Bye)
        with pytest.raises(LinkClosed):
            await self.link.receive()
        return found.code


@asynccontextmanager
async def stranger(world: Scene, node: Peer, *, greets: bool = True) -> AsyncIterator[Stranger]:
    """A link to a node by a key that it has pinned."""
    kid = key("mallory").kid
    endpoint = world.wire.find("mallory:1") or world.wire.endpoint(kid, "mallory:1")
    if kid not in node.pins.pinned:
        node.pins.pin(kid)
        await trio.sleep(0.1)
    link = await endpoint.connect(node.kid, node.endpoint.addresses[0])
    if greets:
        await link.send(encode_message(Hello("mallory/1", (), LOG)))
        decode_message(await link.receive())
    try:
        yield Stranger(link)
    finally:
        await link.aclose()


def forged(record: Record) -> Carried:
    """A record with the signatures of another."""
    good = carry(record)
    return Carried(good.kind, good.payload, tuple((kid, bytes(64)) for kid, _ in good.endorsements))


async def push_forgeries(peer: Stranger) -> None:
    """Push records that verify nowhere, until the link is closed."""
    for number in range(1000):
        await peer.say(Push((forged(bind(f"app{number}/dev", "x")),)))
        await trio.sleep(0.2)


def denials(peer: Peer) -> list[DenialReceipt]:
    with peer.store.view() as view:
        opened = [open_receipt(item) for _, item in view.records.receipts(view.log.number, type="denial-receipt")]
    return [item for item in opened if isinstance(item, DenialReceipt)]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", "cbor-invalid"),
        (b"\xa1am\x65hello", "field-missing"),
        (b"\xa1amdnews", "message-unknown"),
        (encode_message(Hello("again/1", (), LOG)), "message-unexpected"),
        (encode_message(Objects(7, (None,))), "message-unexpected"),
        (encode_message(Proof(7, None)), "message-unexpected"),
        (encode_message(Range(0, (), None)), "message-unexpected"),
    ],
)
async def test_a_frame_that_must_not_come_ends_the_link_and_is_remembered(
    tmp_path: Path, autojump_clock: object, frame: bytes, code: str
) -> None:
    async with scene(tmp_path) as world:
        node = await world.add("node")
        async with stranger(world, node) as peer:
            await peer.link.send(frame)
            assert await peer.farewell() == code
        (receipt,) = denials(node)
        assert (receipt.action, receipt.code, receipt.requester) == ("gossip", code, key("mallory").kid)
        async with stranger(world, node, greets=False) as peer:
            assert await peer.farewell() == "rate-limited"
        await trio.sleep(10)
        async with stranger(world, node) as peer:
            assert isinstance(await peer.hear(Heads), Heads)
        assert len(denials(node)) == 1


async def test_who_does_not_say_hello_first_is_shown_out(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        node = await world.add("node")
        async with stranger(world, node, greets=False) as peer:
            await peer.say(Want(0, (LOG,)))
            assert await peer.farewell() == "message-unexpected"


async def test_who_says_nothing_is_let_go_and_not_blamed(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        node = await world.add("node")
        async with stranger(world, node) as peer:
            assert await peer.farewell() == "timeout"
        async with stranger(world, node, greets=False) as peer:
            assert await peer.farewell() == "timeout"
        assert denials(node) == []


async def test_forged_records_use_up_what_a_peer_may_do_wrong(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        node = await world.add("node")
        await node.admit(GENESIS)
        async with stranger(world, node) as peer:
            with pytest.raises(LinkClosed):
                await push_forgeries(peer)
        assert node.registry.refused["signature-invalid"] < 12
        (receipt,) = denials(node)
        assert (receipt.action, receipt.code) == ("gossip", "signature-invalid")
        assert node.gossip.peers()[0].refused == node.registry.refused["signature-invalid"] - 1


async def test_a_record_that_does_not_fit_is_nobody_s_fault_but_gets_no_more_than_its_share(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with scene(tmp_path) as world:
        node = await world.add("node")
        other = policy_record("other", signers={"alice": EVERYTHING})
        async with stranger(world, node) as peer:
            for number in range(8):
                records = [carry(bind(f"app{number}x{at}/dev", "x", genesis=other)) for at in range(200)]
                await peer.say(Push(tuple(records)))
            await trio.sleep(5)
            tally = node.gossip.tally
            assert tally.refused["genesis-unknown"] < 800
            assert tally.dropped["budget"] > 800
            record = bind("app/dev", "x")
            await peer.say(Push((carry(GENESIS), carry(record))))
            await until(lambda: node.has(record))
        assert denials(node) == []


async def test_what_is_sent_again_is_not_verified_again(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        node = await world.add("node")
        record, pending = bind("app/dev", "x"), bind("app/stable", "x")
        async with stranger(world, node) as peer:
            for _ in range(50):
                await peer.say(Push((carry(GENESIS), carry(record), carry_pending(pending))))
            await until(lambda: node.gossip.tally.dropped["duplicate"] == 147)
        assert node.registry.admitted.total() == 3


async def test_a_peer_that_never_reads_holds_up_nobody(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        node, friend = await world.add("node", queue_records=100), await world.add("friend")
        await until(lambda: node.state_of(friend).connected)
        await node.admit(GENESIS)
        async with stranger(world, node) as peer:
            for number in range(40):
                await node.admit(*(bind(f"app{number}x{at}/dev", "x" * 10) for at in range(50)))
            last = bind("last/dev", "x")
            await node.admit(last)
            await until(lambda: friend.has(last), 5)
            await trio.sleep(90)
            assert await peer.farewell() == "timeout"


async def test_more_questions_than_one_end_asks_are_refused(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        node = await world.add("node")
        await node.admit(GENESIS, *(bind(f"app{at}/dev", "x") for at in range(300)))
        async with stranger(world, node) as peer:
            spans = (Span("acme", GENESIS.statement.id),)
            with trio.move_on_after(30):
                for id in range(1000):
                    await peer.say(WantRange(id, spans))
            assert node.gossip.tally.messages_in["want-range"] < 100


async def test_questions_are_answered_with_what_is_held(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        node = await world.add("node")
        await node.admit(GENESIS, bind("app/dev", "x"))
        await trio.sleep(3)
        async with stranger(world, node) as peer:
            with node.store.view() as view:
                head, state = view.head(), view.log
            assert head is not None
            await peer.say(Want(3, (head[0].catalog, LOG)))
            answer = await peer.hear(Objects)
            assert isinstance(answer, Objects)
            assert (answer.id, answer.items[1]) == (3, None)
            assert answer.items[0] is not None
            assert head[0].catalog.matches(answer.items[0])
            await peer.say(WantProof(4, state.id, 1, 2), WantProof(5, LOG, 1, 2), WantProof(6, state.id, 1, 99))
            found = [await peer.hear(Proof) for _ in range(3)]
            assert [item.hashes is None for item in found if isinstance(item, Proof)] == [False, True, True]
