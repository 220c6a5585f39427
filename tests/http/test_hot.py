"""The hot reads beside the resource they stand for: the same bytes, or nothing, whatever is asked of whatever state."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.consumer import make_consumer_policy
from holo.core.errors import HoloError
from holo.http import types
from holo.http.authority import authorise
from holo.http.base64url import encode_base64url
from holo.http.edge import Edge
from holo.http.hot import Found, Hot
from holo.http.negotiation import JSON
from holo.http.parameters import NAME, RECEIPT, TAG, selected_name
from holo.http.plain_answers import Decided, PlainAnswers
from holo.http.query import decode_query, encode_query
from holo.http.resources.resolve import POLICY_REF, get_resolve, post_resolve
from holo.http.route import Call
from holo.http.types import Resolved, encode_json
from holo.profile import load_profile
from holo.roles.registry import Registry
from holo.store.store import Store
from tests.laws.effort import effort
from tests.laws.stores import Node
from tests.laws.world import CONTENTS, PATHS, World, crowded_worlds, everywhere, worlds
from tests.records import content

FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None
ADDRESS = "203.0.113.7"


def edge_of(store: Store, *more: str) -> Edge:
    """The HTTP edge of a store that nobody writes to through it."""
    profile = load_profile("minimal-peer", [*more])
    assert profile.roles.registry is not None
    registry = Registry(store, profile.roles.registry, profile.limits.anonymous, lambda: 1)
    return Edge(profile, registry, store, lambda: 1)


Sent: TypeAlias = tuple[bytes, bytes]
"""The validator of an answer, and its body."""


def sent(found: Found | None) -> Sent | None:
    """What is sent of an answer, whose own bytes, where they are there, have to be those that its id names."""
    if found is None:
        return None
    if isinstance(found, Decided):
        assert str(Cid.of(DAG_CBOR, found.payload)).encode() == found.decision
    return found.decision, found.body


async def resource(edge: Edge, raw: bytes) -> Sent | None:
    """What the resource answers to a raw query, as the bytes that would be sent; None where it refuses."""
    try:
        answer = await get_resolve(edge, call_of(edge, raw))
    except HoloError:
        return None
    assert isinstance(answer.body, Resolved)
    assert answer.etag is not None
    return answer.etag.encode(), encode_json(answer.body)


def call_of(edge: Edge, raw: bytes, body: bytes = b"", accepts: str = JSON) -> Call:
    """A request with this query, or with this body."""
    return Call(
        path={},
        query=decode_query(raw, () if body else (NAME, TAG, POLICY_REF, RECEIPT)),
        accepts=accepts,
        content_type=JSON if body else "",
        body=body,
        wait_s=0,
        last_event_id=None,
        list_name="",
        authority=authorise(edge.profile.http.require, ADDRESS, writes=False),
    )


def ask(hot: Hot, raw: bytes, address: str = ADDRESS) -> Found | None:
    """What is hot about a raw query, asked on a snapshot of its own."""
    with begun(hot):
        return hot.resolve(raw, address)


@contextmanager
def begun(hot: Hot) -> Iterator[Hot]:
    """A batch of hot reads."""
    hot.begin()
    try:
        yield hot
    finally:
        hot.end()


async def check(edge: Edge, hot: Hot, queries: list[bytes]) -> None:
    """Each query is answered as by the resource."""
    for raw in queries:
        assert sent(ask(hot, raw)) == await resource(edge, raw), raw


def queries_about(world: World) -> list[bytes]:
    """Questions about every name of a world and some that nobody has, by every policy there is and some others."""
    policies = [item.record.statement.id for item in world.items if item.kind == "policy"]
    strangers = [Cid.of(RAW, b"a stranger"), Cid.from_digest(CBOR, world.genesis.id.digest)]
    refs = [None, *dict.fromkeys(policies), *strangers]
    pins = [None, *(content(text) for text in CONTENTS if text is not None), strangers[0]]
    found = []
    for path, ns in itertools.product([*PATHS, "app/none", "app/dev/dev"], [world.ns, "nobody"]):
        handle, _, tag = path.rpartition("/")
        name = f"{ns}/{handle}:{tag}"
        found.append(f"handle={ns}/{handle}&tag={tag}".encode())
        found.append(f"tag={tag}&handle={quote(name, safe='')}".encode())
        found += [encode_query({"handle": name, "policyRef": str(ref)}).encode() for ref in refs if ref]
        found += [f"handle={name}@{pin}".encode() if pin else f"handle={name}".encode() for pin in pins]
        found.append(f"handle={name}@{pins[1]}&policyRef={policies[0]}".encode())
    return found


@contextmanager
def node_of(world: World) -> Iterator[Node]:
    with (
        tempfile.TemporaryDirectory(prefix="holo-hot-", dir=FOLDER) as folder,
        Node(Path(folder), world.hosted) as node,
    ):
        yield node


@pytest.mark.slow
@settings(effort(1 / 12))
@given(world=st.one_of(worlds(), crowded_worlds()), heads=st.integers(1, 5))
async def test_every_question_after_every_change_is_answered_as_by_the_resource(world: World, heads: int) -> None:
    """Rivals, holds, seals, forks, yanks, pending statements, thresholds by tag, pins and policies of every kind."""
    queries = queries_about(world)
    with node_of(world) as node:
        edge = edge_of(node.store)
        hot = Hot(edge)
        for index, item in enumerate(world.items):
            node.deliver(item)
            if index % heads == 0:
                node.store.make_head()
            await check(edge, hot, queries[index % 4 :: 4])
        await check(edge, hot, queries)


@pytest.mark.slow
@settings(effort(1 / 12))
@given(world=worlds())
async def test_many_questions_at_once_are_answered_as_one_by_one(world: World) -> None:
    """Plain ones and others in any order, a reader's pack among them, which nobody gets who asks by GET."""
    pack = make_consumer_policy(min_signers=2)
    asked = [(raw, decode_query(raw, (NAME, TAG, POLICY_REF, RECEIPT))) for raw in queries_about(world)]
    queries = [
        types.ResolveQuery(handle=str(selected_name(query)), policy_ref=_text(query.get(POLICY_REF)))
        for _, query in asked
    ]
    queries.append(types.ResolveQuery(handle="acme/app:dev", policy_ref=str(pack.id)))
    body = types.ResolvePost(queries=queries, packs=[encode_base64url(pack.bytes)])
    with node_of(world) as node:
        node.deliver(*world.items)
        node.store.make_head()
        edge = edge_of(node.store)
        answer = await post_resolve(edge, call_of(edge, b"", encode_json(body)))
        with node.store.view() as view:
            newest = view.head()
        assert newest is not None
        assert isinstance(answer.body, bytes)
        items = [msgspec.Raw(found[1]) for raw, _ in asked if (found := await resource(edge, raw))]
        many = msgspec.json.decode(answer.body, type=types.ResolvedMany)
        assert (many.catalog, many.head) == (str(newest[0].catalog), str(newest[0].id))
        last = many.items.pop()
        assert last.consumer_policy in (str(pack.id), None)
        assert (last.consumer_policy is None) == (last.steps[0].ok is False)
        assert encode_json(many.items) == encode_json(items)


async def test_many_names_alone_are_answered_as_by_the_resource() -> None:
    """Without a policy that is asked by: bound, yanked, unknown and pinned names, whatever was asked before them."""
    world = World()
    world.bind("app/dev", "one")
    world.bind("lib/dev", None)
    raws = [
        b"acme/app:dev",
        b"acme/lib:dev",
        b"acme/none",
        b"other/app:dev",
        b"acme/app:dev@" + str(content("two")).encode(),
    ]
    raws += [*reversed(raws), *raws[:2] * 60]
    body = types.ResolvePost(queries=[types.ResolveQuery(handle=raw.decode()) for raw in raws])
    wrong = types.ResolvePost(queries=[*body.queries, types.ResolveQuery(handle="acme/APP")])
    with node_of(world) as node:
        node.deliver(*world.items)
        node.store.make_head()
        for settings in ((), ("limits.anonymous.resolve_per_second=1000",)):
            edge = edge_of(node.store, *settings)
            answer = await post_resolve(edge, call_of(edge, b"", encode_json(body)))
            assert isinstance(answer.body, bytes)
            many = msgspec.json.decode(answer.body, type=types.ResolvedMany)
            expected = [await resource(edge, b"handle=" + raw) for raw in raws]
            assert encode_json(many.items) == encode_json([msgspec.Raw(found[1]) for found in expected if found])
            with pytest.raises(HoloError) as refused:
                await post_resolve(edge, call_of(edge, b"", encode_json(wrong)))
            assert refused.value.at == f"queries[{len(raws)}]"


def _text(cid: Cid | None) -> str | None:
    return None if cid is None else str(cid)


LONGEST = f"{'a' * 62}.b", f"{'c' * 63}/{'d' * 64}/{'e' * 64}", "T" * 61


@pytest.mark.parametrize("seq", [0, 1])
async def test_what_makes_numbers_and_texts_longer(seq: int) -> None:
    """The longest names, revisions of each length in CBOR, the last signer of many, contents of each kind."""
    ns, handle, tag = LONGEST
    people = [f"person {at}" for at in range(256)]
    world = World(ns=ns, signers=everywhere(*people[:200]))
    policy = world.amend(world.genesis, signers=everywhere(*people)) if seq else world.genesis
    names = []
    for at, rev in enumerate((1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**53 - 1)):
        path = f"{handle}/{tag[at:]}"
        names.append(f"{ns}/{handle}:{tag[at:]}")
        world.bind(
            path, "one", rev, policy=policy, by=people[at * 20 : 200] if at % 2 else people[at * 22 : at * 22 + 1]
        )
    for name, codec in (("raw", RAW), ("cbor", CBOR)):
        world.bind(f"{name}/latest", None, 7, policy=policy, by=people[-1:] if seq else people[199:200])
        names.append(f"{ns}/{name}:latest")
        assert Cid.of(codec, b"") != content("one")
    with node_of(world) as node:
        node.deliver(*world.items)
        edge = edge_of(node.store)
        queries = [f"handle={name}".encode() for name in names]
        await check(edge, Hot(edge), queries + [query.removesuffix(b":latest") for query in queries])


async def test_a_statement_under_an_earlier_policy_keeps_its_thresholds() -> None:
    """What a tag needs is said by the policy the statement cites, not by the one in effect."""
    world = World(thresholds=(("st*", 2),))
    world.bind("app/dev", "one")
    world.bind("app/stable", "one", by=("alice", "bob"))
    later = world.amend(world.genesis, thresholds=(("*", 2),))
    world.bind("lib/dev", "two", policy=later, by=("alice", "bob"))
    with node_of(world) as node:
        edge = edge_of(node.store)
        hot = Hot(edge)
        for item in world.items:
            node.deliver(item)
            await check(edge, hot, queries_about(world))


async def test_text_that_is_no_name_leads_to_none() -> None:
    """However it is cut into parts: there are more ways to write the key of a name than to write the name."""
    world = World()
    world.bind("app/x/dev", "one")
    world.bind("app/x/latest", "two")
    with node_of(world) as node:
        node.deliver(*world.items)
        edge = edge_of(node.store)
        hot = Hot(edge)
        assert ask(hot, b"handle=acme/app/x:dev") is not None  # from here on something is kept of acme
        bound = [b"app/x:dev", b"app/x:latest", b"app/x"]
        others = [
            b"app/x/dev", b"app/x:", b"app:x/dev", b"app:x:dev", b"app/x:dev:", b"app/x:dev/", b"/app/x:dev",
            b"app//x:dev", b"app/x:dev%20", b"app\0x:dev", b"app/x:dev\r", b"app/x:" + b"d" * 600, b"", b":", b"/",
            b"app/x:dev@x", b"app/x%3adev", b"app/x:dev&tag=dev",
        ]  # fmt: skip
        with begun(hot), node.store.view() as view:
            for text in (*bound, *others):
                found = edge.plain.find_bound(view, b"acme/" + text)
                assert (found is not None) == (text in bound), text
        await check(edge, hot, [b"handle=acme/" + text for text in (*bound, *others) if text.decode().isprintable()])


async def test_what_is_kept_is_bounded_and_forgotten_without_harm() -> None:
    """With room for the forms of two or three namespaces, twenty are answered, again and again."""
    many = [World(ns=f"ns{at}") for at in range(20)]
    hosted: dict[str, Cid] = {}
    for world in many:
        world.bind("app/dev", "one")
        world.bind("lib/dev", None)
        hosted |= world.hosted
    plain = PlainAnswers(12_000)
    with tempfile.TemporaryDirectory(prefix="holo-hot-", dir=FOLDER) as folder, Node(Path(folder), hosted) as node:
        node.deliver(*(item for world in many for item in world.items))
        edge = edge_of(node.store)
        for world in many * 2:
            for handle, tag in (b"app", b"dev"), (b"lib", b"dev"), (b"app", b"none"):
                with node.store.view() as view:
                    found = plain.find(view, world.ns.encode(), handle, tag)
                assert sent(found) == await resource(edge, b"handle=%b/%b:%b" % (world.ns.encode(), handle, tag))
                assert 0 <= plain.kept_bytes <= 12_000


async def test_an_allowance_is_used_up_as_by_the_resource(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever has used up what it may ask is sent on to be refused; what is refused anyway costs nothing."""
    world = World()
    world.bind("app/dev", "one")
    with node_of(world) as node:
        node.deliver(*world.items)
        hot = Hot(edge_of(node.store, "limits.anonymous.resolve_per_second=3"))
        asked = [b"handle=acme/app:dev", b"handle=acme/app&tag=dev", b"handle=acme/none"]
        for raw in (b"handle=ACME/app", b"handle=acme/app&tag=", b"handle=acme/app&receipt=1", b"") * 3:
            assert ask(hot, raw) is None
        assert all(ask(hot, raw) for raw in asked)
        assert ask(hot, asked[0]) is None
        assert ask(hot, asked[1]) is None
        assert ask(hot, asked[0], "203.0.113.8") is not None
        await trio.sleep(1)
        assert all(ask(hot, raw) for raw in asked)
