"""Peers as HTTP tells of them, and policies that only a peer holds: two real nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import trio

from holo.core.bundle import verify_bundle
from holo.core.cid import DAG_CBOR, Cid
from holo.core.consumer import make_consumer_policy, parse_consumer_policy
from holo.core.head import Anchors
from holo.core.keys import did_of
from holo.http.base64url import decode_base64url
from holo.store.home import Home
from holo.store.packs import Packs
from tests.http.paired import paired, until
from tests.http.scene import acme, wire
from tests.records import binding_record, content

TWO = make_consumer_policy(min_signers=2)
ONE = make_consumer_policy(min_signers=1)
NOBODYS = Cid.of(DAG_CBOR, b"nobody has this")


async def fill(client: httpx.AsyncClient) -> None:
    """Put acme/app:dev, by alice, into a node and into a head of it."""
    genesis = acme()
    assert (await client.post("/v1/namespaces", json={"policy_cose": wire(genesis)})).status_code == 201
    record = binding_record(genesis.statement.id, genesis.statement.id, "acme/app:dev", content("x"))
    posted = await client.post(
        "/v1/namespaces/acme/bindings", json={"records": [wire(record)]}, headers={"prefer": "wait=20"}
    )
    assert posted.status_code == 201, posted.text


async def resolve(client: httpx.AsyncClient, **asked: Any) -> Any:
    """The decision about acme/app:dev."""
    reply = await client.get("/v1/resolve", params={"handle": "acme/app:dev", **asked})
    assert reply.status_code == 200, reply.text
    return reply.json()


async def arrived(client: httpx.AsyncClient) -> None:
    """Wait until a node resolves acme/app:dev, on its newest head too."""
    with trio.fail_after(30):
        while (await resolve(client))["outcome"] != "resolved":  # noqa: ASYNC110
            await trio.sleep(0.02)
        while (await resolve(client, receipt="1"))["outcome"] != "resolved":  # noqa: ASYNC110
            await trio.sleep(0.02)


async def test_a_peer_its_head_and_what_went_over_the_link(tmp_path: Path) -> None:
    async with paired(tmp_path) as (one, two, first, second):
        await fill(first)
        await arrived(second)
        assert two.node.gossip is not None
        await until(lambda: two.node.gossip.peers()[0].converged_at_ms is not None)  # type: ignore[union-attr]
        page = (await second.get("/v1/peers")).json()
        (peer,) = page["items"]
        assert page["next"] is None
        assert peer["node"] == did_of(one.node.kid)
        assert peer["cp"] == peer["tp"] == one.peer_address
        assert (peer["connected"], peer["roles"], peer["problem"]) == (True, ["gossip"], None)
        assert isinstance(peer["outgoing"], bool)
        assert peer["seq"] >= 0
        assert peer["received_records"] >= 2
        assert peer["received_bytes"] > 0
        assert (peer["refused"], peer["equivocations"]) == (0, [])
        about = (await first.get("/v1/node")).json()
        assert about["peer_addresses"] == [one.peer_address]
        assert about["log"] == peer["log"]
        assert (await second.get("/v1/peers", params={"limit": 1})).json()["items"][0]["node"] == peer["node"]


async def test_metrics_tell_of_links_and_messages(tmp_path: Path) -> None:
    async with paired(tmp_path) as (one, _, first, second):
        await fill(first)
        await arrived(second)
        text = (await second.get("/metrics")).text
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert (lines["holo_gossip_links"], lines["holo_gossip_peers"]) == ("1.0", "1.0")
        assert float(lines['holo_gossip_bytes_total{direction="in"}']) > 0
        assert float(lines['holo_gossip_messages_total{direction="in",kind="heads"}']) >= 1
        assert f'holo_gossip_equivocations{{peer="{did_of(one.node.kid)}"}}' in lines


async def test_a_policy_that_only_a_peer_holds_decides(tmp_path: Path) -> None:
    async with paired(tmp_path) as (one, two, first, second):
        await fill(first)
        await arrived(second)
        Packs(Home(one.node.home.path)).keep(parse_consumer_policy(TWO))
        refused = await resolve(second, policyRef=str(TWO.id))
        assert (refused["outcome"], refused["consumer_policy"]) == ("refused", str(TWO.id))
        assert refused == await resolve(first, policyRef=str(TWO.id)), "both decide the same, to the byte"
        signed = await resolve(second, policyRef=str(TWO.id), receipt="1")
        bundle = decode_base64url(signed["bundle"], 1 << 24, at="bundle")
        report = verify_bundle(bundle, Anchors(nodes=frozenset({two.node.kid})))
        assert {check.verdict for check in report.checks} <= {"ok", "stated"}
        many = await second.post(
            "/v1/resolve",
            json={"queries": [{"handle": "acme/app:dev", "policyRef": str(ref)} for ref in (TWO.id, ONE.id)]},
        )
        assert [item["outcome"] for item in many.json()["items"]] == ["refused", "policy-unknown"]


async def test_one_that_nobody_holds_is_unknown_and_is_not_asked_for_again(tmp_path: Path) -> None:
    async with paired(tmp_path) as (_, __, first, second):
        await fill(first)
        await arrived(second)
        for _ in range(3):
            assert (await resolve(second, policyRef=str(NOBODYS)))["outcome"] == "policy-unknown"
        lines = (await second.get("/metrics")).text.splitlines()
        assert 'holo_policies_fetched_total{result="absent"} 1.0' in lines


async def test_a_file_that_is_not_what_it_is_named_by_is_not_kept(tmp_path: Path) -> None:
    packs = Packs(Home(tmp_path / "home"))
    packs.keep(parse_consumer_policy(TWO))
    assert packs.find(TWO.id) == TWO.bytes
    (file,) = (tmp_path / "home" / "policies").iterdir()
    file.write_bytes(ONE.bytes)
    assert packs.find(TWO.id) is None
    assert packs.find(NOBODYS) is None
