"""Namespaces, bindings and the node itself, over a real socket, in the documented shape."""

from __future__ import annotations

import pytest

from holo.core.keys import did_of, parse_did
from holo.core.receipt import PolicyReceipt, open_receipt
from tests.http.scene import Scene, acme, raw, wire
from tests.records import binding_record, content, kid, policy_record


async def test_node(scene: Scene) -> None:
    found = await scene.get("/v1/node")
    assert found["node"] == did_of(scene.running.node.kid)
    assert (found["roles"], found["profile"], found["log_size"]) == (["registry", "gossip"], "minimal-peer", 1)
    assert found["limits"]["body_bytes"] == 8 << 20
    assert await scene.get("/v1/peers") == {"items": [], "next": None}


class TestNamespaces:
    async def test_listed(self, scene: Scene) -> None:
        for ns in ("beta", "alpha"):
            await scene.client.post("/v1/namespaces", json={"policy_cose": wire(acme(ns))})
        await scene.publish()
        await scene.catalog()
        items = (await scene.get("/v1/namespaces"))["items"]
        assert [(item["ns"], item["names"], item["policy_seq"]) for item in items] == [
            ("acme", 1, 0),
            ("alpha", 0, 0),
            ("beta", 0, 0),
        ]
        assert items[0]["genesis"] == items[0]["policy"] == str(scene.genesis.id)
        only = (await scene.get("/v1/namespaces?prefix=al"))["items"]
        assert [item["ns"] for item in only] == ["alpha"]

    async def test_paged(self, scene: Scene) -> None:
        for ns in ("alpha", "beta"):
            await scene.client.post("/v1/namespaces", json={"policy_cose": wire(acme(ns))})
        response = await scene.client.get("/v1/namespaces?limit=2")
        assert [item["ns"] for item in response.json()["items"]] == ["acme", "alpha"]
        rest = await scene.client.get(response.links["next"]["url"])
        assert [item["ns"] for item in rest.json()["items"]] == ["beta"]
        assert rest.json()["next"] is None
        assert "next" not in rest.links

    async def test_the_same_genesis_again(self, scene: Scene) -> None:
        first, again = [
            await scene.client.post("/v1/namespaces", json={"policy_cose": wire(acme("again"))}) for _ in range(2)
        ]
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        receipt = open_receipt(raw(first.json()["receipt_cose"]))
        assert isinstance(receipt, PolicyReceipt)
        assert str(receipt.id) == first.json()["receipt"]

    async def test_a_genesis_as_cose(self, scene: Scene) -> None:
        (envelope,) = acme("alpha").envelopes()
        response = await scene.client.post(
            "/v1/namespaces", content=envelope, headers={"content-type": "application/cose"}
        )
        assert response.status_code == 201

    async def test_a_rival_genesis(self, scene: Scene) -> None:
        rival = acme(signers={})
        response = await scene.client.post("/v1/namespaces", json={"policy_cose": wire(rival)})
        assert (response.status_code, response.json()["code"]) == (403, "genesis-foreign")
        (item,) = (await scene.get("/v1/namespaces"))["items"]
        assert item["genesis"] == str(scene.genesis.id)

    async def test_policies(self, scene: Scene) -> None:
        more = {"alice": (("*",), ("*",)), "bob": (("*",), ("*",)), "carol": (("*",), ("*",))}
        child = policy_record("acme", scene.genesis, signers=more, thresholds=[(["stable"], 2)])
        posted = await scene.client.post("/v1/namespaces/acme/policy", json={"policy_cose": wire(child)})
        assert (posted.status_code, posted.json()["state"], posted.json()["seq"]) == (201, "effective", 1)
        now, then = await scene.get("/v1/namespaces/acme/policy"), await scene.get("/v1/namespaces/acme/policy?seq=0")
        assert (now["policy"], now["prev"]) == (str(child.statement.id), str(scene.genesis.id))
        assert (then["policy"], then["prev"], then["seq"]) == (str(scene.genesis.id), None, 0)
        assert now["view"]["signers"][2]["key"] == did_of(kid("carol"))
        assert now["policy_cose"] == wire(child)
        beyond = await scene.client.get("/v1/namespaces/acme/policy?seq=2")
        assert (beyond.status_code, beyond.json()["code"]) == (404, "not-found")
        for policy in (scene.genesis.id, child.statement.id):
            known = await scene.get(f"/v1/namespaces/acme/policy?policy={policy}")
            assert known["policy"] == str(policy)
        for query, status, code in (
            (f"policy={content('x')}", 404, "not-found"),
            (f"policy={scene.genesis.id}&seq=0", 400, "parameter-repeated"),
        ):
            refused = await scene.client.get(f"/v1/namespaces/acme/policy?{query}")
            assert (refused.status_code, refused.json()["code"]) == (status, code)
        cose = await scene.client.get("/v1/namespaces/acme/policy", headers={"accept": "application/cose"})
        assert cose.content == child.envelopes()[0]

    async def test_an_incomplete_policy(self, scene: Scene) -> None:
        child = policy_record("acme", scene.genesis, roots=("root", "other"), by=("root",))
        response = await scene.client.post("/v1/namespaces/acme/policy", json={"policy_cose": wire(child)})
        assert response.status_code in (403, 422)
        assert response.json()["denial_cose"]

    @pytest.mark.parametrize(("path", "code"), [("/v1/namespaces/beta/policy", "policy-foreign")])
    async def test_a_policy_of_another_namespace(self, scene: Scene, path: str, code: str) -> None:
        child = policy_record("acme", scene.genesis)
        response = await scene.client.post(path, json={"policy_cose": wire(child)})
        assert response.json()["code"] == code
        late = await scene.client.post("/v1/namespaces", json={"policy_cose": wire(child)})
        assert late.json()["code"] == "policy-seq-invalid"


class TestBindings:
    async def test_current(self, scene: Scene) -> None:
        record = scene.binding(meta={"size": 3, "summary": "first"})
        await scene.post(record)
        page = await scene.get("/v1/namespaces/acme/bindings")
        (item,) = page["items"]
        assert item == {
            "name": "acme/holo:beta",
            "statement": str(record.statement.id),
            "cid": str(content("one")),
            "rev": 1,
            "prev": [],
            "policy": str(scene.genesis.id),
            "at_ms": record.statement.value["at_ms"],
            "signers": [did_of(kid("alice"))],
            "state": "current",
            "have": 1,
            "need": 1,
            "meta": {"size": 3, "summary": "first"},
            "reason": None,
            "source": None,
            "record_cose": wire(record),
        }
        assert page["log_size"] == 2

    async def test_filters(self, scene: Scene) -> None:
        names = ["acme/a:beta", "acme/a:nightly", "acme/a/b:beta", "acme/c:beta"]
        for name in names:
            await scene.publish(name)

        async def listed(query: str) -> list[str]:
            return [item["name"] for item in (await scene.get(f"/v1/namespaces/acme/bindings?{query}"))["items"]]

        assert await listed("") == ["acme/a/b:beta", "acme/a:beta", "acme/a:nightly", "acme/c:beta"]
        assert await listed("handle=acme/a") == ["acme/a:beta", "acme/a:nightly"]
        assert await listed("handle=acme/a:beta") == ["acme/a:beta"]
        assert await listed("tag=nightly") == ["acme/a:nightly"]
        assert await listed("handle=acme/a/b&tag=beta") == ["acme/a/b:beta"]
        assert await listed("state=forked") == []
        first = await scene.get("/v1/namespaces/acme/bindings?limit=3")
        assert len(first["items"]) == 3
        assert await listed(f"limit=3&cursor={first['next']}") == ["acme/c:beta"]

    async def test_a_plus_in_a_tag(self, scene: Scene) -> None:
        await scene.publish("acme/holo:1.0+7")
        for written in ("1.0+7", "1.0%2B7"):
            found = await scene.get(f"/v1/resolve?handle=acme/holo:{written}")
            assert (found["outcome"], found["name"]) == ("resolved", "acme/holo:1.0+7")

    async def test_pending(self, scene: Scene) -> None:
        record = scene.binding("acme/holo:stable")
        posted = await scene.post(record)
        assert (posted.status_code, posted.json()["state"]) == (202, "pending")
        assert (posted.json()["have"], posted.json()["need"]) == (1, 2)
        assert (await scene.get("/v1/namespaces/acme/bindings"))["items"] == []
        (item,) = (await scene.get("/v1/namespaces/acme/bindings?state=pending"))["items"]
        assert (item["state"], item["have"], item["need"], item["record_cose"]) == ("pending", 1, 2, wire(record))
        assert (await scene.get("/v1/resolve?handle=acme/holo:stable"))["outcome"] == "pending"
        both = scene.binding("acme/holo:stable", by=("alice", "bob"))
        assert (await scene.post(both)).status_code == 201
        assert (await scene.get("/v1/resolve?handle=acme/holo:stable"))["outcome"] == "resolved"

    async def test_a_page_of_pending_statements_ends_by_their_number_not_by_that_of_names(self, scene: Scene) -> None:
        for name in ("acme/a:stable", "acme/b:stable", "acme/c:stable"):
            assert (await scene.post(*(scene.binding(name, str(n), rev=n) for n in (1, 2, 3)))).status_code == 200
        sizes, query = [], "state=pending&limit=3"
        while query:
            page = await scene.get(f"/v1/namespaces/acme/bindings?{query}")
            sizes.append(len(page["items"]))
            query = f"state=pending&limit=3&cursor={page['next']}" if page["next"] else ""
        assert sizes == [3, 3, 3]

    async def test_since(self, scene: Scene) -> None:
        first = await scene.publish("acme/a:beta")
        mark = (await scene.get("/v1/namespaces/acme/bindings"))["log_size"]
        await scene.publish("acme/b:beta")
        await scene.publish("acme/b:beta", "two", rev=2, prev=[scene.binding("acme/b:beta").statement.id])
        yank = binding_record(scene.genesis.id, scene.genesis.id, "acme/a:beta", None, rev=2, prev=[first])
        assert (await scene.post(yank)).status_code == 201
        page = await scene.get(f"/v1/namespaces/acme/bindings?since={mark}")
        assert [(item["name"], item["rev"], item["cid"]) for item in page["items"]] == [
            ("acme/b:beta", 2, str(content("two"))),
            ("acme/a:beta", 2, None),
        ]
        assert (await scene.get(f"/v1/namespaces/acme/bindings?since={page['log_size']}"))["items"] == []

    async def test_history(self, scene: Scene) -> None:
        before = await scene.publish()
        for rev in (2, 3):
            before = await scene.publish(text=str(rev), rev=rev, prev=[before])
        page = await scene.get("/v1/namespaces/acme/history?handle=acme/holo:beta")
        assert [(item["rev"], item["state"]) for item in page["items"]] == [
            (3, "current"),
            (2, "superseded"),
            (1, "superseded"),
        ]
        first = await scene.get("/v1/namespaces/acme/history?handle=acme/holo&tag=beta&limit=2")
        rest = await scene.get(f"/v1/namespaces/acme/history?handle=acme/holo&tag=beta&cursor={first['next']}")
        assert [item["rev"] for item in first["items"] + rest["items"]] == [3, 2, 1]

    async def test_an_unknown_namespace(self, scene: Scene) -> None:
        for path in ("bindings", "history?handle=nowhere/a", "policy"):
            response = await scene.client.get(f"/v1/namespaces/nowhere/{path}")
            assert (response.status_code, response.json()["code"]) == (404, "genesis-unknown")
        response = await scene.client.get("/v1/namespaces/No-where/bindings")
        assert (response.status_code, response.json()["code"]) == (400, "name-invalid")


async def test_probes_and_metrics(scene: Scene) -> None:
    await scene.publish()
    await scene.post(scene.binding(by=("mallory",), text="x"))
    assert (await scene.client.get("/healthz")).text == "ok\n"
    assert (await scene.client.get("/readyz")).text == "ready\n"
    text = (await scene.client.get("/metrics")).text
    assert "holo_log_receipts 3" in text
    assert 'holo_records_total{result="refused",why="signer-not-allowed"} 1' in text
    assert 'holo_http_requests_total{route="/v1/namespaces/{ns}/bindings",method="POST",status="201"} 1' in text
    assert 'holo_http_problems_total{code="signer-not-allowed"} 1' in text


def test_dids_read_back() -> None:
    assert parse_did(did_of(kid("alice"))) == kid("alice")
