"""Signed answers beside what examining them as a stranger would gathers: the same decision, the same bundle."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holo.core.bundle import make_bundle, verify_bundle
from holo.core.consumer import ConsumerPolicy, decode_consumer_policy, make_consumer_policy
from holo.core.decision import Query
from holo.core.errors import Overloaded
from holo.core.head import Anchors
from holo.core.receipt import open_resolve_receipt
from holo.http import types
from holo.http.base64url import decode_base64url
from holo.http.edge import Edge
from holo.http.hot import Hot, SignedAnswer
from holo.http.negotiation import COSE, JSON
from holo.http.parameters import NAME, TAG, selected_name
from holo.http.proving import Proofs
from holo.http.query import decode_query
from holo.http.resources.resolve import POLICY_REF, get_resolve
from holo.http.shapes import resolved
from holo.http.signing import SMALL_BYTES, bundle_of, prove
from holo.store.view import View
from tests.http.test_hot import ADDRESS, ask, begun, call_of, edge_of, node_of, queries_about
from tests.laws.effort import effort
from tests.laws.world import World, crowded_worlds, everywhere, worlds
from tests.records import kid

AT_MS = 1_700_000_000_000
PACKS = [
    decode_consumer_policy(make_consumer_policy(**demands).bytes)
    for demands in ({"min_signers": 2}, {"allow_forks": True, "allow_signers": [kid("alice")]})
]


def questions_about(world: World) -> list[tuple[Query, ConsumerPolicy | None]]:
    """Every question of a world, and some that bring a reader's pack along."""
    asked = [decode_query(raw, (NAME, TAG, POLICY_REF)) for raw in queries_about(world)]
    plain = [Query(selected_name(query), query.get(POLICY_REF)) for query in asked]
    names = dict.fromkeys(question.name for question in plain)
    return [(question, None) for question in plain] + [(Query(name, pack.id), pack) for name in names for pack in PACKS]


async def check(edge: Edge, view: View, questions: Sequence[tuple[Query, ConsumerPolicy | None]]) -> None:
    """Each answer is the decision on the newest head, its bundle what an examination of the receipt reads."""
    newest = view.head()
    assert newest is not None
    anchors = Anchors(nodes=frozenset({view.node}))
    for number, (question, consumer) in enumerate(questions):
        signed = edge.signer.sign(view, AT_MS, question, consumer)
        receipt = open_resolve_receipt(signed.receipt)
        decision = view.decide_at(question, view.catalog(newest[0].catalog), consumer)
        assert receipt.decision == decision
        assert (receipt.head, receipt.catalog, receipt.at_ms) == (newest[0].id, newest[0].catalog, AT_MS)
        bundle = bundle_of(view, signed)
        assert bundle == make_bundle([signed.receipt], Proofs(view, consumer))
        reply = msgspec.json.decode(await prove(view, signed), type=types.ResolvedWithReceipt)
        assert decode_base64url(reply.receipt_cose, 1 << 20, at="receipt") == signed.receipt
        assert decode_base64url(reply.bundle, 1 << 24, at="bundle") == bundle
        rev = None if decision.statement is None else view.binding(decision.statement).rev
        assert types.encode_json(reply).startswith(types.encode_json(resolved(decision, rev))[:-1])
        if number % 16 == 0:
            assert not [check for check in verify_bundle(bundle, anchors).checks if check.verdict == "bad"]


@pytest.mark.slow
@settings(effort(1 / 24))
@given(world=st.one_of(worlds(), crowded_worlds()), data=st.data())
async def test_whatever_is_asked_is_signed_and_proved_as_by_an_examination(world: World, data: st.DataObject) -> None:
    """At heads along the way, and with a live state that has moved on since."""
    questions = questions_about(world)
    with node_of(world) as node:
        edge = edge_of(node.store)
        for index, item in enumerate(world.items):
            node.deliver(item)
            if index % 5 == 0:
                node.store.make_head()
            elif index % 5 == 2:
                with node.store.view() as view:
                    await check(edge, view, data.draw(st.lists(st.sampled_from(questions), max_size=8)))
        node.store.make_head()
        start = data.draw(st.integers(0, 2))
        with node.store.view() as view:
            await check(edge, view, questions[start::3])


def ask_signed(hot: Hot, raw: bytes, accept: bytes | None = None) -> SignedAnswer | None:
    """What is signed about a raw query, asked on a snapshot of its own."""
    with begun(hot):
        return hot.signed(raw, accept, ADDRESS)


async def test_the_hot_way_gives_what_the_resource_gives() -> None:
    """As JSON and as COSE, on the same head; and nothing where no receipt is asked for."""
    world = World()
    world.bind("app/dev", "one")
    with node_of(world) as node:
        node.deliver(*world.items)
        edge = edge_of(node.store)
        hot = Hot(edge)
        raw = b"handle=acme/app:dev&receipt=1"
        assert ask_signed(hot, raw) is None  # before the first head
        node.store.make_head()
        edge.registry._progress.advance()
        for accept, media_type in ((None, JSON), (b"*/*", JSON), (b"application/cose", COSE)):
            answer = await get_resolve(edge, call_of(edge, raw, accepts=media_type))
            found = ask_signed(hot, raw, accept)
            assert found is not None
            assert (found.media_type, found.body) == (answer.media_type, answer.body)
            standing = {"Holo-Catalog": found.standing.catalog.decode(), "Holo-Head": found.standing.head.decode()}
            assert standing == answer.headers
        for other in (
            b"handle=acme/app:dev",
            b"handle=acme/app:dev&receipt=0",
            b"receipt=1",
            b"handle=ACME/a&receipt=1",
        ):
            assert ask_signed(hot, other) is None
        assert ask_signed(hot, raw, b"text/html") is None
        assert ask(hot, raw) is None


async def test_an_allowance_is_used_up_once() -> None:
    """Whoever has used it up is sent on to be refused."""
    world = World()
    world.bind("app/dev", "one")
    with node_of(world) as node:
        node.deliver(*world.items)
        node.store.make_head()
        hot = Hot(edge_of(node.store, "limits.anonymous.resolve_per_second=2"))
        answers = [ask_signed(hot, b"handle=acme/app:dev&receipt=1") for _ in range(3)]
        assert [answer is None for answer in answers] == [False, False, True]


async def test_a_namespace_of_many_policies_is_left_to_a_thread() -> None:
    """Its bundle is not small: the hot way leaves it alone, and the resource makes the same bundle all the same."""
    world = World()
    world.bind("app/dev", "one")
    parent = world.genesis
    for at in range(1, 90):
        parent = world.amend(parent, signers=everywhere("alice", "bob", *(f"person {who}" for who in range(at))))
    world.bind("lib/dev", "two", policy=parent)
    with node_of(world) as node:
        node.deliver(*world.items)
        node.store.make_head()
        edge = edge_of(node.store)
        with node.store.view() as view:
            questions = questions_about(world)[:4]
            await check(edge, view, questions)
            signed = edge.signer.sign(view, AT_MS, questions[0][0])
            assert bundle_of(view, signed, SMALL_BYTES) is None
        assert ask_signed(Hot(edge), b"handle=acme/app:dev&receipt=1") is None


async def test_before_the_first_head_nothing_is_signed() -> None:
    """Whatever the node holds by then."""
    world = World()
    with node_of(world) as node:
        node.deliver(*world.items)
        with node.store.view() as view, pytest.raises(Overloaded):
            edge_of(node.store).signer.sign(view, AT_MS, questions_about(world)[0][0])
