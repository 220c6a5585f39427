"""What hostile peers do to nodes: the attacks that update frameworks and transparency logs list, one test for each.

Nodes are whole, with stores, on virtual time; the attacker speaks the protocol by hand, with a key that is pinned.
"""

from __future__ import annotations

from pathlib import Path

import trio

from holo.core import codec, limits
from holo.core.announcements import Heads, Hello, Push, ShownHead
from holo.core.carried import Carried, carry
from holo.core.cid import DAG_CBOR, Cid
from holo.core.evidence import open_evidence
from holo.core.keys import Kid
from holo.core.log import HASH_BYTES
from holo.core.messages import encode_message
from holo.core.questions import Want
from tests.hostile.hand_peer import HandPeer, add_hand
from tests.records import binding_record, content, key, policy_record
from tests.roles.gossip.scene import GENESIS, Peer, bind, equal, scene, until


def against(peer: Peer, subject: Kid) -> Cid | None:
    """The evidence that stands against somebody at a node."""
    with peer.store.view() as view:
        return view.evidence(subject)


def log_size(peer: Peer) -> int:
    """How many receipts a node has signed."""
    with peer.store.view() as view:
        return view.log.size


def known_head(peer: Peer, hand: HandPeer) -> int | None:
    """The seq of the newest head of the attacker that a node has accepted."""
    (found,) = [item for item in peer.gossip.peers() if item.kid == hand.kid]
    return found.head_seq


async def test_rollback(tmp_path: Path, autojump_clock: object) -> None:
    """A peer that shows an older head than before is not followed back, on the same link or on another."""
    async with scene(tmp_path) as world:
        one = await world.add("one")
        await one.admit(GENESIS, bind("app/dev", "x"))
        hand = add_hand(world, "mallory", one)
        for _ in range(3):
            hand.signing.receipt()
            hand.signing.head()
        link = await hand.link(one)
        await hand.show(link, 2)
        await until(lambda: known_head(one, hand) == 2)
        await hand.show(link, 0)
        await trio.sleep(10)
        assert known_head(one, hand) == 2
        await link.aclose()
        await trio.sleep(30)
        link = await hand.link(one)
        await hand.show(link, 1)
        await trio.sleep(10)
        assert known_head(one, hand) == 2
        assert one.has(bind("app/dev", "x"))
        assert against(one, hand.kid) is None, "being behind is no lie"


async def test_freeze(tmp_path: Path, autojump_clock: object) -> None:
    """A peer that shows one head for ever hides nothing that another peer has, and its age can be seen."""
    async with scene(tmp_path) as world:
        one, honest = await world.add("one"), await world.add("honest")
        hand = add_hand(world, "mallory", one)
        hand.signing.receipt()
        hand.signing.head(at_ms=world.clock_ms())
        link = await hand.link(one)
        for _ in range(20):
            await hand.show(link, 0)
            await trio.sleep(15)
        await honest.admit(GENESIS, bind("app/dev", "x"))
        await until(lambda: equal(one, honest))
        (frozen,) = [item for item in one.gossip.peers() if item.kid == hand.kid]
        assert frozen.head_at_ms is not None
        assert world.clock_ms() - frozen.head_at_ms >= 300_000


async def test_fast_forward(tmp_path: Path, autojump_clock: object) -> None:
    """Numbers as large as they can be stop nothing: not a head's, and not a revision that nobody may sign."""
    async with scene(tmp_path) as world:
        one, honest = await world.add("one"), await world.add("honest")
        await one.admit(GENESIS, bind("app/dev", "x"))
        await until(lambda: equal(one, honest))
        hand = add_hand(world, "mallory", one)
        genesis = GENESIS.statement.id
        far = binding_record(genesis, genesis, "acme/app:dev", content("evil"), rev=limits.INT_MAX, by=("mallory",))
        link = await hand.link(one)
        await hand.say(link, Push((carry(far),)))
        await until(lambda: sum(one.gossip.tally.refused.values()) > 0 or hand.ended is not None)
        later = bind("app/dev", "y", rev=2)
        await honest.admit(later)
        await until(lambda: one.has(later) and equal(one, honest))
        with one.store.view() as view:
            ((_, (current,)),) = view.currents("acme")
            assert (current.binding.rev, current.binding.cid) == (2, content("y"))


async def test_mix_and_match(tmp_path: Path, autojump_clock: object) -> None:
    """Bytes that are not what was asked for, by their CID, end the link and change nothing."""
    async with scene(tmp_path) as world:
        one = await world.add("one")
        await one.admit(GENESIS, bind("app/dev", "x"))
        await until(lambda: equal(one))
        before = one.states()
        hand = add_hand(world, "mallory", one)
        with one.store.view() as view:
            head = view.head()
            assert head is not None
            true_catalog = view.object(head[0].catalog)
        other = codec.encode({"v": 1, "type": "catalog"})
        hand.signing.receipt()
        hand.signing.head(catalog=Cid.of(DAG_CBOR, other))
        hand.objects[Cid.of(DAG_CBOR, other)] = true_catalog
        link = await hand.link(one)
        await hand.show(link, 0)
        assert await hand.until_ended() == "cid-mismatch"
        assert any(isinstance(question, Want) for question in hand.asked)
        assert one.states() == before


async def test_mix_and_match_of_records(tmp_path: Path, autojump_clock: object) -> None:
    """One namespace's record with another's policy, or with a signature made for something else, is refused."""
    async with scene(tmp_path) as world:
        one = await world.add("one")
        other = policy_record("other", signers={"mallory": (("*",), ("*",))})
        await one.admit(GENESIS, other, bind("app/dev", "x"))
        crossed = binding_record(
            GENESIS.statement.id, other.statement.id, "acme/app:dev", content("evil"), rev=2, by=("mallory",)
        )
        true, evil = carry(bind("app/dev", "x")), carry(bind("app/dev", "evil", rev=2))
        moved = Carried("binding", evil.payload, true.endorsements)
        hand = add_hand(world, "mallory", one)
        link = await hand.link(one)
        await hand.say(link, Push((carry(crossed), moved)))
        await until(lambda: sum(one.gossip.tally.refused.values()) >= 2)
        with one.store.view() as view:
            ((_, (current,)),) = view.currents("acme")
            assert current.binding.cid == content("x")


async def test_endless_data(tmp_path: Path, autojump_clock: object) -> None:
    """Rubbish without end gets a peer shown out, with a receipt that says why; the log and the store stay small."""
    async with scene(tmp_path) as world:
        one, honest = await world.add("one"), await world.add("honest")
        await one.admit(GENESIS)
        await until(lambda: equal(one, honest))
        hand = add_hand(world, "mallory", one)
        sizes = log_size(one)
        link = await hand.link(one)
        signature = carry(bind("app/dev", "x")).endorsements[0][1]
        sent = 0
        for round in range(50):
            records = tuple(
                Carried("binding", carry(bind(f"app{round}-{at}/dev", "x")).payload, ((key("alice").kid, signature),))
                for at in range(40)
            )
            if hand.ended is not None:
                break
            await hand.say(link, Push(records))
            sent += len(records)
            await trio.sleep(0.1)
        assert await hand.until_ended() == "signature-invalid"
        assert sent < 2000, "it was shown out long before the end"
        assert log_size(one) - sizes <= 2
        with one.store.view() as view:
            (denial,) = [item for _, item in view.records.receipts(view.log.number, 0, type="denial-receipt")]
        assert b"gossip" in denial
        again = await hand.link(one)
        assert await hand.until_ended() == "rate-limited"
        await again.aclose()
        later = bind("app/dev", "x")
        await honest.admit(later)
        await until(lambda: one.has(later))


async def test_endless_data_that_was_taken_before_costs_no_signature(tmp_path: Path, autojump_clock: object) -> None:
    """A replay of what is held is told by its id."""
    async with scene(tmp_path) as world:
        one = await world.add("one")
        records = [bind(f"app{at}/dev", "x") for at in range(50)]
        await one.admit(GENESIS, *records)
        size = log_size(one)
        hand = add_hand(world, "mallory", one)
        link = await hand.link(one)
        replay = Push(tuple(carry(record) for record in records))
        for _ in range(100):
            await hand.say(link, replay)
            await trio.sleep(0.01)
        await until(lambda: one.gossip.tally.dropped["duplicate"] + one.gossip.tally.dropped["queue"] >= 5000)
        assert log_size(one) == size
        assert hand.ended is None, "a courier who brings what is known has done no wrong"


async def test_wrong_software(tmp_path: Path, autojump_clock: object) -> None:
    """Whoever speaks another version, or no message at all, is told why and let go."""
    async with scene(tmp_path) as world:
        one = await world.add("one")
        hand = add_hand(world, "mallory", one)
        hello = Hello("hand/2", (), hand.signing.log.genesis.id)
        newer = codec.encode({"m": "hello", **hello.as_value(), "v": 2})
        await hand.link(one, newer)
        assert await hand.until_ended() == "version-unsupported"
        for rubbish, code in (
            (b"\xff" * 100, "cbor-invalid"),
            (codec.encode({"m": "upgrade", "url": "http://evil.example/"}), "message-unknown"),
            (encode_message(hello), "message-unexpected"),
        ):
            await trio.sleep(3600)  # until a fault is forgiven
            link = await hand.link(one)
            await link.send(rubbish)
            assert await hand.until_ended() == code
        await one.admit(GENESIS)


async def test_key_compromise(tmp_path: Path, autojump_clock: object) -> None:
    """Two holders of one node's key sign two logs' ends: the key is exposed everywhere, and no name changes."""
    async with scene(tmp_path) as world:
        one, two = await world.add("one"), await world.add("two")
        await one.admit(GENESIS, bind("app/dev", "x"))
        await until(lambda: equal(one, two))
        owner, thief = add_hand(world, "mallory", one, two), add_hand(world, "mallory", one, two)
        owner.signing.receipt("mine")
        owner.signing.head()
        thief.signing.receipt("stolen")
        thief.signing.head()
        await owner.show(await owner.link(one), 0)
        await thief.show(await thief.link(two), 0)
        await until(lambda: against(one, owner.kid) is not None and against(two, owner.kid) is not None)
        assert equal(one, two)
        assert one.has(bind("app/dev", "x"))


async def test_split_view(tmp_path: Path, autojump_clock: object) -> None:
    """Two nodes that are shown two histories tell each other, and end with one proof that anybody can check."""
    async with scene(tmp_path) as world:
        one, two, three = [await world.add(name) for name in ("one", "two", "three")]
        hand = add_hand(world, "mallory", one, two)
        hand.signing.receipt()
        hand.signing.head()
        fork = hand.signing.log
        hand.signing.receipt("to one")
        hand.signing.head()
        link = await hand.link(one)
        await hand.show(link, 1)
        await until(lambda: known_head(one, hand) == 1)
        hand.signing.log = fork
        hand.signing.receipt("to two")
        hand.signing.head()
        await hand.show(await hand.link(two), 1)
        nodes = (one, two, three)
        await until(lambda: all(against(node, hand.kid) is not None for node in nodes), 300)
        (proof,) = {against(node, hand.kid) for node in nodes}
        assert proof is not None
        with three.store.view() as view:
            evidence = open_evidence(view.object(proof))
        assert (evidence.subject, evidence.kind) == (hand.kid, "heads")


async def test_withheld_entries(tmp_path: Path, autojump_clock: object) -> None:
    """A peer that commits to what it does not give holds nobody up: others give it."""
    async with scene(tmp_path) as world:
        one, honest = await world.add("one", pinned=False), await world.add("honest", pinned=False)
        records = [bind(f"app{at}/dev", "x") for at in range(20)]
        await honest.admit(GENESIS, *records)
        await until(lambda: equal(honest))
        with honest.store.view() as view:
            head = view.head()
        assert head is not None
        hand = add_hand(world, "mallory", one)
        hand.signing.receipt()
        hand.signing.head(catalog=head[0].catalog)
        link = await hand.link(one)
        await hand.show(link, 0)
        await until(lambda: bool(hand.asked))
        await trio.sleep(60)
        (lacking,) = one.gossip.peers()
        assert lacking.converged_at_ms is None
        assert lacking.lag_ms is not None
        assert lacking.lag_ms > 30_000, "that something is lacking shows"
        one.pins.pin(honest.kid, *honest.endpoint.addresses)
        honest.pins.pin(one.kid, *one.endpoint.addresses)
        await until(lambda: equal(one, honest))


async def test_withheld_entries_of_a_log_that_was_cut(tmp_path: Path, autojump_clock: object) -> None:
    """A log that shrinks from one head to the next is proof by itself."""
    async with scene(tmp_path) as world:
        one = await world.add("one")
        hand = add_hand(world, "mallory", one)
        hand.signing.receipt("kept")
        hand.signing.receipt("withheld")
        hand.signing.head()
        link = await hand.link(one)
        await hand.show(link, 0)
        await until(lambda: known_head(one, hand) == 0)
        longer = hand.signing.log
        hand.signing.log = type(longer)(longer.genesis, longer.receipts[:1], longer.heads, longer.envelopes)
        hand.signing.head()
        await hand.show(link, 1)
        await until(lambda: against(one, hand.kid) is not None)
        (exposed,) = one.gossip.peers()
        assert exposed.evidence == (against(one, hand.kid),)


async def test_forged_proofs(tmp_path: Path, autojump_clock: object) -> None:
    """A head with a proof that does not lead to it is not accepted; with the true one it is."""
    async with scene(tmp_path) as world:
        one = await world.add("one")
        hand = add_hand(world, "mallory", one)
        for number in range(5):
            hand.signing.receipt(str(number))
            hand.signing.head()
        link = await hand.link(one)
        await hand.show(link, 2)
        await until(lambda: known_head(one, hand) == 2)
        await hand.show(link, 4, since=3, proof=(bytes(HASH_BYTES),) * 2)
        assert await hand.until_ended() in ("log-invalid", "proof-invalid")
        assert known_head(one, hand) == 2
        await trio.sleep(60)
        link = await hand.link(one)
        await hand.show(link, 4, since=3)
        await until(lambda: known_head(one, hand) == 4)
        assert against(one, hand.kid) is None


async def test_forged_proofs_of_others_heads(tmp_path: Path, autojump_clock: object) -> None:
    """A head in another's name, signed by whoever shows it, is nobody's."""
    async with scene(tmp_path) as world:
        one, two = await world.add("one"), await world.add("two")
        await one.admit(GENESIS)
        await until(lambda: equal(one, two))
        hand = add_hand(world, "mallory", one)
        with two.store.view() as view:
            head = view.head()
            assert head is not None
            genesis = view.records.log_genesis(view.log.number)
        assert genesis is not None
        hand.signing.receipt()
        forged = hand.signing.head()
        link = await hand.link(one)
        await hand.say(link, Heads((ShownHead(forged, bytes(genesis), 0, ()),)))
        await trio.sleep(10)
        assert against(one, two.kid) is None
        assert one.state_of(two).log == head[0].log
        assert known_head(one, hand) is None
