"""The event stream over a real socket: order, resuming, filters, the end of the past, slow readers, a stop."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import trio
import trio.testing

from holo.core import limits
from holo.core.evidence import equivocation_of
from holo.core.keys import did_of
from holo.core.policy import parse_policy
from holo.roles.registry import Incoming
from tests.http.events_client import reading
from tests.http.scene import Scene, acme, open_scene, wire
from tests.records import binding_record, content
from tests.signing_node import SigningNode


async def test_told_in_the_order_of_the_log(scene: Scene) -> None:
    async with reading(scene.running.url, "?type=binding,policy") as reader:
        names = [f"acme/h{number}:beta" for number in range(5)]
        for name in names:
            await scene.publish(name)
        events = await reader.take(5)
    assert [event.data["name"] for event in events] == names
    assert {event.type for event in events} == {"binding"}
    log = (await scene.get("/v1/node"))["log"]
    assert [event.id for event in events] == [f"{log}.{seq}" for seq in range(1, 6)]
    receipts = (await scene.get("/v1/receipts?type=binding-receipt"))["items"]
    assert [event.data["receipt"] for event in events] == [item["receipt"] for item in receipts]


async def test_a_head_comes_after_what_it_covers(scene: Scene) -> None:
    async with reading(scene.running.url) as reader:
        await scene.publish()
        catalog = await scene.catalog()
        binding, head = await reader.take(2)
    assert (binding.type, head.type) == ("binding", "head")
    assert (head.data["catalog"], head.data["log_size"], head.id) == (catalog, 2, binding.id)


async def test_a_key_that_signed_two_truths_is_told_of_once(scene: Scene) -> None:
    node = SigningNode("mallory")
    start, heads = node.log, []
    for at in range(3):
        node.log = start
        heads.append(node.head(at_ms=at))
    pieces = [equivocation_of(one, other) for one, other in itertools.combinations(heads, 2)]
    async with reading(scene.running.url, "?type=equivocation,binding") as reader:
        for piece in pieces:
            assert piece is not None
            await scene.running.node.registry.admit([Incoming("evidence", [piece.bytes])])
        await scene.publish()
        told, last = await reader.take(2)
    assert (told.type, last.type) == ("equivocation", "binding")
    assert pieces[0] is not None
    assert told.data["subject"] == did_of(node.key.kid)
    assert (told.data["kind"], told.data["evidence"]) == ("heads", str(pieces[0].id))
    (item,) = (await scene.get("/v1/receipts?type=evidence-receipt"))["items"]
    assert item["receipt"] == told.data["receipt"]
    standing = min(piece.id for piece in pieces if piece is not None)
    assert (await scene.get(f"/v1/objects/{standing}"))["type"] == "equivocation"


async def test_resuming_misses_nothing_and_repeats_no_record(tmp_path: Path) -> None:
    async with open_scene(tmp_path, ["roles.registry.head_interval_ms=60000"]) as scene:
        url = scene.running.url
        async with reading(url) as reader:
            await scene.publish("acme/a:beta")
            await reader.next()
            place = reader.last_id
        await scene.publish("acme/b:beta")
        await scene.catalog()
        await scene.publish("acme/c:beta")
        async with reading(url, last_id=place) as reader:
            first = await reader.take(3)
            assert [event.data.get("name", event.type) for event in first] == ["acme/b:beta", "head", "acme/c:beta"]
        await scene.catalog()
        async with reading(url, last_id=first[0].id) as reader:  # cut between the record and the head over it
            again = await reader.take(3)
            assert [event.type for event in again] == ["head", "binding", "head"]
            assert again[0].data["log_size"] == 3
        async with reading(url, last_id=again[-1].id) as reader:
            repeated = await reader.next()
            assert (repeated.type, repeated.data) == ("head", again[-1].data)


async def test_filters(scene: Scene) -> None:
    async with reading(scene.running.url, "?type=binding&namespace=beta") as other:
        async with reading(scene.running.url, "?type=policy") as policies:
            await scene.publish()
            await scene.client.post("/v1/namespaces", json={"policy_cose": wire(acme("beta"))})
            policy = await policies.next()
        assert (policy.type, policy.data["ns"], policy.data["state"]) == ("policy", "beta", "effective")
        genesis = parse_policy(acme("beta").statement).id
        await scene.post(binding_record(genesis, genesis, "beta/x:beta", content("x")), ns="beta")
        assert (await other.next()).data["name"] == "beta/x:beta"


async def test_a_fork_is_an_event_of_its_own(scene: Scene) -> None:
    async with reading(scene.running.url, "?type=fork,binding") as reader:
        await scene.post(scene.binding(text="by bob", by=("bob",)))
        rival = Incoming("binding", scene.binding(text="by alice").envelopes())
        await scene.running.node.registry.admit([rival])
        events = await reader.take(3)
    assert [event.type for event in events] == ["binding", "fork", "binding"]
    assert events[1].data == events[2].data


@pytest.mark.parametrize("last_id", ["rubbish", "bafyx.1", "{log}.99", "{log}.x", "{log}", "{log}.-1", "." * 3000])
async def test_a_place_that_is_not_in_this_log(scene: Scene, last_id: str) -> None:
    log = (await scene.get("/v1/node"))["log"]
    async with reading(scene.running.url, last_id=last_id.replace("{log}", log)) as reader:
        event = await reader.next()
        assert (event.type, event.data) == ("reset", {"log": log, "log_size": 1})
        await scene.publish()
        assert (await reader.next()).type == "binding"


async def test_a_restored_node_says_that_the_past_is_gone(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene, reading(scene.running.url, "?type=binding") as reader:
        await scene.publish()
        await reader.next()
        await trio.to_thread.run_sync(scene.running.node.store.open_new_log)
        await scene.publish("acme/after:beta")
        assert (await reader.next()).type == "reset"


async def test_no_more_streams_than_the_bound(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EVENT_STREAMS", 2)
    async with reading(scene.running.url), reading(scene.running.url):
        response = await scene.client.get("/v1/events")
        assert (response.status_code, response.json()["code"]) == (503, "overloaded")
        assert int(response.headers["retry-after"]) > 0
    await trio.testing.wait_all_tasks_blocked()
    async with reading(scene.running.url), reading(scene.running.url):
        pass


async def test_a_comment_keeps_a_quiet_stream_open(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holo.http.event_stream.COMMENT_S", 0.05)
    async with reading(scene.running.url, "?type=provide") as reader:
        with trio.fail_after(10):
            while reader.comments < 4:
                await reader.read_some()
                reader.skim()


async def test_a_stop_ends_streams_at_once(tmp_path: Path) -> None:
    ended = trio.Event()

    async def read(url: str, opened: trio.Event) -> None:
        async with reading(url, "?type=provide") as reader:
            opened.set()
            with pytest.raises(EOFError):
                await reader.next()
        ended.set()

    with trio.fail_after(8):  # the grace is ten seconds
        async with trio.open_nursery() as nursery, open_scene(tmp_path) as scene:
            opened = trio.Event()
            nursery.start_soon(read, scene.running.url, opened)
            await opened.wait()
        assert ended.is_set()
