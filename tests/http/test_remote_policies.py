"""Consumer policies fetched from peers: found, absent, late, wrong; and what a stranger can make a node fetch."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.consumer import make_consumer_policy
from holo.core.limits import CONSUMER_CIDS
from holo.http import remote_policies
from holo.http.remote_policies import RemotePolicies

MINE = make_consumer_policy(min_signers=2)
NOBODYS = Cid.of(DAG_CBOR, b"nobody has this")


class Peers:
    """What all peers together hold, and what they were asked for; an answer takes ``seconds``."""

    def __init__(self, *held: bytes, seconds: float = 0.0) -> None:
        self.held = {Cid.of(DAG_CBOR, data): data for data in held}
        self.seconds = seconds
        self.asked: list[Cid] = []

    async def fetch(self, cid: Cid) -> bytes | None:
        self.asked.append(cid)
        await trio.sleep(self.seconds)
        return self.held.get(cid)


async def test_what_a_peer_holds_is_fetched_once_and_kept(autojump_clock: MockClock) -> None:
    peers = Peers(MINE.bytes, seconds=0.1)
    policies = RemotePolicies(peers.fetch)
    for _ in range(3):
        found = await policies.find(MINE.id, "192.0.2.1")
        assert found is not None
        assert (found.id, found.min_signers) == (MINE.id, 2)
    assert peers.asked == [MINE.id]
    assert policies.fetched["found"] == 1


async def test_those_who_ask_at_the_same_time_share_one_fetch(autojump_clock: MockClock) -> None:
    peers = Peers(MINE.bytes, seconds=1)
    policies = RemotePolicies(peers.fetch)
    found = []

    async def ask(address: str) -> None:
        found.append(await policies.find(MINE.id, address))

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(ask, f"192.0.2.{number}")
    assert peers.asked == [MINE.id]
    assert [item is not None and item.id == MINE.id for item in found] == [True] * 50


async def test_one_who_leaves_takes_the_answer_from_nobody(autojump_clock: MockClock) -> None:
    peers = Peers(MINE.bytes, seconds=1)
    policies = RemotePolicies(peers.fetch)
    found = []

    async def leave() -> None:
        with trio.move_on_after(0.5):
            await policies.find(MINE.id, "192.0.2.1")

    async def stay() -> None:
        await trio.sleep(0.1)
        found.append(await policies.find(MINE.id, "192.0.2.2"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        nursery.start_soon(stay)
    assert found[0] is not None
    assert peers.asked == [MINE.id, MINE.id]


async def test_that_nobody_has_it_is_remembered_for_a_while(autojump_clock: MockClock) -> None:
    peers = Peers()
    policies = RemotePolicies(peers.fetch)
    for _ in range(3):
        assert await policies.find(NOBODYS, "192.0.2.1") is None
    assert len(peers.asked) == 1
    await trio.sleep(remote_policies.ABSENT_S + 1)
    peers.held[MINE.id] = MINE.bytes
    assert await policies.find(NOBODYS, "192.0.2.1") is None
    assert len(peers.asked) == 2


async def test_what_is_remembered_as_absent_is_bounded(autojump_clock: MockClock) -> None:
    peers = Peers()
    policies = RemotePolicies(peers.fetch)
    for number in range(remote_policies.ABSENT_KEPT + 10):
        assert await policies.find(Cid.of(DAG_CBOR, b"%d" % number), f"10.{number >> 8}.{number & 255}.1") is None
    first, last = Cid.of(DAG_CBOR, b"0"), Cid.of(DAG_CBOR, b"%d" % (remote_policies.ABSENT_KEPT + 9))
    before = len(peers.asked)
    assert await policies.find(last, "192.0.2.1") is None
    assert len(peers.asked) == before
    assert await policies.find(first, "192.0.2.1") is None
    assert len(peers.asked) == before + 1


async def test_an_address_has_so_many_fetches_a_second(autojump_clock: MockClock) -> None:
    peers = Peers(MINE.bytes)
    policies = RemotePolicies(peers.fetch)
    for number in range(1000):
        assert await policies.find(Cid.of(DAG_CBOR, b"%d" % number), "192.0.2.1") is None
    assert len(peers.asked) == remote_policies.FETCHES_PER_SECOND
    assert policies.fetched["refused"] == 1000 - remote_policies.FETCHES_PER_SECOND
    assert await policies.find(MINE.id, "192.0.2.2") is not None, "others have their own"
    assert await policies.find(MINE.id, "192.0.2.1") is not None, "and what is kept is for everybody"


async def test_so_many_are_fetched_at_a_time(autojump_clock: MockClock) -> None:
    peers = Peers(seconds=1)
    policies = RemotePolicies(peers.fetch)
    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(policies.find, Cid.of(DAG_CBOR, b"%d" % number), f"192.0.2.{number}")
    assert len(peers.asked) == remote_policies.FETCHES_AT_ONCE


async def test_a_peer_that_says_nothing_is_not_waited_for(autojump_clock: MockClock) -> None:
    policies = RemotePolicies(Peers(MINE.bytes, seconds=3600).fetch)
    began = trio.current_time()
    assert await policies.find(MINE.id, "192.0.2.1") is None
    assert trio.current_time() - began == remote_policies.FETCH_S
    assert policies.fetched["late"] == 1


async def test_other_bytes_than_those_named_and_other_things_are_refused(autojump_clock: MockClock) -> None:
    peers = Peers()
    peers.held[NOBODYS] = MINE.bytes
    other = Cid.of(DAG_CBOR, b"\xa0")
    peers.held[other] = b"\xa0"
    policies = RemotePolicies(peers.fetch)
    assert await policies.find(NOBODYS, "192.0.2.1") is None
    assert await policies.find(other, "192.0.2.1") is None
    assert policies.fetched["invalid"] == 2
    assert await policies.find(Cid.of(RAW, MINE.bytes), "192.0.2.1") is None
    assert peers.asked == [NOBODYS, other]


async def test_what_is_kept_is_bounded(autojump_clock: MockClock) -> None:
    many = [
        make_consumer_policy(allow_cids=[Cid.of(RAW, b"%d" % i) for i in range(n, n + CONSUMER_CIDS)])
        for n in range(60)
    ]
    peers = Peers(*(item.bytes for item in many))
    policies = RemotePolicies(peers.fetch)
    for item in many:
        assert await policies.find(item.id, "") is not None
    assert await policies.find(many[-1].id, "") is not None
    assert len(peers.asked) == len(many)
    assert await policies.find(many[0].id, "") is not None
    assert len(peers.asked) == len(many) + 1


async def test_without_peers_nothing_is_fetched() -> None:
    policies = RemotePolicies()
    assert not policies.on
    assert await policies.find(MINE.id, "192.0.2.1") is None
