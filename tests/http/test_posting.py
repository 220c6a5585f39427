"""Writing names over the API: compare-and-swap, many at once, all or none, the same again, waiting for a head."""

from __future__ import annotations

from pathlib import Path

import httpx
import trio

from holo.core.keys import did_of
from holo.core.receipt import BindingReceipt, DenialReceipt, open_receipt
from holo.roles.registry import Incoming
from tests.http.scene import QUICK_HEADS, Scene, open_scene, raw, wire
from tests.records import binding_record, content, kid


async def test_accepted(scene: Scene) -> None:
    record = scene.binding()
    response = await scene.post(record)
    found = response.json()
    assert response.status_code == 201
    assert (found["name"], found["cid"], found["rev"]) == ("acme/holo:beta", str(content("one")), 1)
    assert (found["state"], found["have"], found["need"]) == ("current", 1, 1)
    assert found["statement"] == str(record.statement.id)
    receipt = open_receipt(raw(found["receipt_cose"]))
    assert isinstance(receipt, BindingReceipt)
    assert (str(receipt.id), receipt.signer, receipt.subject) == (
        found["receipt"],
        scene.running.node.kid,
        record.statement.id,
    )


async def test_as_one_cose(scene: Scene) -> None:
    (envelope,) = scene.binding().envelopes()
    headers = {"content-type": "application/cose"}
    response = await scene.client.post("/v1/namespaces/acme/bindings", content=envelope, headers=headers)
    assert (response.status_code, response.json()["state"]) == (201, "current")


async def test_a_receipt_as_cose(scene: Scene) -> None:
    (envelope,) = scene.binding().envelopes()
    headers = {"content-type": "application/cose", "accept": "application/cose"}
    response = await scene.client.post("/v1/namespaces/acme/bindings", content=envelope, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (201, "application/cose")
    assert isinstance(open_receipt(response.content), BindingReceipt)
    refused = await scene.client.post(
        "/v1/namespaces/acme/bindings", content=scene.binding(text="x").envelopes()[0], headers=headers
    )
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    two = {"records": [wire(scene.binding("acme/a:beta")), wire(scene.binding("acme/b:beta"))]}
    several = await scene.client.post("/v1/namespaces/acme/bindings", json=two, headers={"accept": "application/cose"})
    assert several.status_code == 406
    assert len((await scene.get("/v1/namespaces/acme/bindings"))["items"]) == 1, "refused before anything was taken in"


async def test_the_same_bytes_again_get_the_first_receipt(scene: Scene) -> None:
    record = scene.binding()
    first = (await scene.post(record)).json()
    later = scene.binding(text="two", rev=2, prev=[record.statement.id])
    await scene.post(later)
    again = await scene.post(record)
    assert (again.status_code, again.json()["receipt"]) == (200, first["receipt"])
    assert again.json()["receipt_cose"] == first["receipt_cose"]


async def test_prev_has_to_name_what_is_current(scene: Scene) -> None:
    first = await scene.publish()
    for prev, rev in (([], 1), ([first], 1), ([scene.genesis.id], 2)):
        response = await scene.post(scene.binding(text="other", prev=prev, rev=rev))
        problem = response.json()
        assert (response.status_code, problem["code"] in ("binding-conflict", "binding-stale")) == (409, True)
        (current,) = problem["current"]
        assert (current["statement"], current["rev"], current["cid"]) == (str(first), 1, str(content("one")))
        denial = open_receipt(raw(problem["denial_cose"]))
        assert isinstance(denial, DenialReceipt)
        assert (str(denial.id), denial.code, denial.requester) == (problem["denial"], problem["code"], kid("alice"))
    assert (await scene.post(scene.binding(text="two", rev=5, prev=[first]))).status_code == 201


async def test_of_two_that_race_one_wins(scene: Scene) -> None:
    first = await scene.publish()
    rivals = [scene.binding(text=f"rival {number}", rev=2, prev=[first]) for number in range(12)]
    statuses: list[int] = []

    async def post(number: int) -> None:
        async with httpx.AsyncClient(base_url=scene.running.url, verify=False) as client:
            body = {"records": [wire(rivals[number])]}
            statuses.append((await client.post("/v1/namespaces/acme/bindings", json=body)).status_code)

    async with trio.open_nursery() as nursery:
        for number in range(len(rivals)):
            nursery.start_soon(post, number)
    assert sorted(statuses) == [201] + [409] * 11
    (item,) = (await scene.get("/v1/namespaces/acme/bindings"))["items"]
    assert (item["rev"], item["state"]) == (2, "current")


async def test_many_each_with_its_status(scene: Scene) -> None:
    taken = await scene.publish("acme/taken:beta")
    records = [
        scene.binding("acme/a:beta"),
        scene.binding("acme/taken:beta", "other"),
        scene.binding("acme/b:stable"),
        scene.binding("acme/c:beta", by=("mallory",)),
        binding_record(scene.genesis.id, scene.genesis.id, "other/d:beta", content("x")),
    ]
    response = await scene.post(*records)
    items = response.json()["items"]
    assert response.status_code == 200
    assert [item["status"] for item in items] == [201, 409, 202, 403, 422]
    assert [item["problem"] and item["problem"]["code"] for item in items] == [
        None,
        "binding-conflict",
        None,
        "signer-not-allowed",
        "field-invalid",
    ]
    assert items[1]["problem"]["current"][0]["statement"] == str(taken)
    assert items[2]["binding"]["state"] == "pending"


async def test_all_or_none(scene: Scene) -> None:
    good, other = scene.binding("acme/a:beta"), scene.binding("acme/b:beta")
    before = await scene.catalog()
    for bad, status, code in [
        (scene.binding("acme/c:beta", by=("mallory",)), 403, "signer-not-allowed"),
        (binding_record(scene.genesis.id, scene.genesis.id, "other/d:beta", content("x")), 422, "field-invalid"),
        (scene.binding("acme/a:beta", "two"), 409, "binding-conflict"),
    ]:
        response = await scene.post(good, other, bad, atomic=True)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.json()["at"].startswith("records[2]")
    assert await scene.catalog() == before
    response = await scene.post(good, other, atomic=True)
    assert [item["status"] for item in response.json()["items"]] == [201, 201]


async def test_waiting_for_a_head(tmp_path: Path) -> None:
    async with open_scene(tmp_path, QUICK_HEADS) as scene:
        response = await scene.post(scene.binding(), wait_s=10)
        found = response.json()
        assert response.headers["preference-applied"] == "wait=10"
        current = await scene.get("/v1/catalogs/current")
        assert current["log_size"] >= 2
        assert (await scene.get(f"/v1/catalogs/{found['catalog']}/entries"))["items"][0]["name"] == "acme/holo:beta"


async def test_not_waiting_means_no_head_is_promised(tmp_path: Path) -> None:
    async with open_scene(tmp_path, ["roles.registry.head_interval_ms=60000"]) as scene:
        found = (await scene.post(scene.binding())).json()
        assert (found["head"], found["catalog"]) == (None, None)


async def test_a_fork_is_told_and_a_higher_rev_settles_it(scene: Scene) -> None:
    """Two signers at one rev: what gossip would bring, brought here through the registry without compare-and-swap."""
    one = scene.binding(text="by alice")
    other = scene.binding(text="by bob", by=("bob",))
    await scene.post(one)
    (outcome,) = await scene.running.node.registry.admit([Incoming("binding", other.envelopes())])
    assert getattr(outcome, "state", outcome) == "forked"
    found = await scene.get("/v1/resolve?handle=acme/holo:beta")
    assert (found["outcome"], found["flags"]) == ("resolved", ["forked"])
    items = (await scene.get("/v1/namespaces/acme/bindings?state=forked"))["items"]
    assert [(item["state"], item["signers"]) for item in items] == [
        ("forked", [did_of(kid("alice"))]),
        ("forked", [did_of(kid("bob"))]),
    ]
    both = [one.statement.id, other.statement.id]
    refused = await scene.post(scene.binding(text="merged", rev=2, prev=both[:1]))
    assert refused.status_code == 409
    assert {item["statement"] for item in refused.json()["current"]} == set(map(str, both))
    settled = await scene.post(scene.binding(text="merged", rev=2, prev=both))
    assert (settled.status_code, settled.json()["state"]) == (201, "current")
    assert (await scene.get("/v1/resolve?handle=acme/holo:beta"))["flags"] == []
