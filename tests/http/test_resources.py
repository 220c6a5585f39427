"""Each resource over a real socket: what it says, and that it says so in the documented shape."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from holo.core import limits, tree
from holo.core import log as rfc9162
from holo.core.bundle import verify_bundle
from holo.core.bundle_contents import decode_contents
from holo.core.cid import DAG_CBOR, Cid
from holo.core.consumer import make_consumer_policy
from holo.core.envelope import make_statement
from holo.core.errors import Rejected
from holo.core.head import Anchors, open_head
from holo.core.keys import did_of, parse_did
from holo.core.receipt import BindingReceipt, PolicyReceipt, ResolveReceipt, open_receipt
from holo.core.state import decode_catalog, decode_namespace_state, parse_current, parse_state_value
from holo.http.base64url import decode_base64url, encode_base64url
from holo.http.catalog_reading import count_names, count_names_since
from holo.roles.registry import Incoming
from tests.http.scene import Scene, acme, wire
from tests.records import binding_record, content, kid, policy_record


def raw(text: str) -> bytes:
    return decode_base64url(text, 1 << 20, at="test")


def altered_pack(**changes: Any) -> bytes:
    return make_statement({**make_consumer_policy().value, **changes}).bytes


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


class TestResolve:
    async def test_every_outcome_is_an_answer(self, scene: Scene) -> None:
        statement = await scene.publish()
        found = await scene.client.get("/v1/resolve?handle=acme/holo:beta")
        body = found.json()
        assert (body["outcome"], body["cid"], body["rev"]) == ("resolved", str(content("one")), 1)
        assert body["statement"] == str(statement)
        assert found.headers["etag"] == f'"{body["decision"]}"'
        head = await scene.get("/v1/catalogs/current")
        assert (found.headers["holo-catalog"], found.headers["holo-head"]) == (head["catalog"], head["head"])
        for name, outcome in [
            ("acme/holo:other", "not-found"),
            ("nowhere/holo", "not-found"),
            (f"acme/holo:beta@{content('two')}", "refused"),
            (f"acme/holo:beta@{content('one')}", "resolved"),
        ]:
            assert (await scene.get(f"/v1/resolve?handle={name}"))["outcome"] == outcome
        pinned = await scene.get(f"/v1/resolve?handle=acme/holo:beta&policyRef={scene.genesis.id}")
        assert pinned["outcome"] == "resolved"
        unknown = await scene.get(f"/v1/resolve?handle=acme/holo:beta&policyRef={content('x')}")
        assert unknown["outcome"] == "policy-unknown"

    async def test_with_a_receipt_a_stranger_can_redo_it(self, scene: Scene) -> None:
        await scene.publish()
        await scene.catalog()
        anchors = Anchors(nodes=frozenset({scene.running.node.kid}))
        for name, outcome in [("acme/holo:beta", "resolved"), ("acme/nothing", "not-found"), ("no/where", "not-found")]:
            response = await scene.client.get(f"/v1/resolve?handle={name}&receipt=1")
            assert response.headers["cache-control"] == "no-store"
            found = response.json()
            assert found["outcome"] == outcome
            receipt = open_receipt(raw(found["receipt_cose"]))
            assert isinstance(receipt, ResolveReceipt)
            assert str(receipt.decision.as_statement().id) == found["decision"]
            report = verify_bundle(raw(found["bundle"]), anchors)
            assert {check.verdict for check in report.checks} <= {"ok", "stated"}, report
        cose = await scene.client.get(
            "/v1/resolve?handle=acme/holo:beta&receipt=1", headers={"accept": "application/cose"}
        )
        assert isinstance(open_receipt(cose.content), ResolveReceipt)
        unsigned = await scene.client.get("/v1/resolve?handle=acme/holo:beta", headers={"accept": "application/cose"})
        assert (unsigned.status_code, unsigned.json()["code"]) == (406, "not-acceptable")

    async def test_many(self, scene: Scene) -> None:
        await scene.publish()
        catalog = await scene.catalog()
        queries = [{"handle": "acme/holo:beta"}, {"handle": "acme/no", "policyRef": str(scene.genesis.id)}]
        found = {}
        for receipt in (False, True):
            response = await scene.client.post("/v1/resolve", json={"queries": queries, "receipt": receipt})
            found = response.json()
            assert [item["outcome"] for item in found["items"]] == ["resolved", "not-found"]
            assert all(("bundle" in item) == receipt for item in found["items"])
            assert found["catalog"] == catalog
        one = await scene.get("/v1/resolve?handle=acme/holo:beta")
        assert {key: found["items"][0][key] for key in one} == one

    @pytest.mark.parametrize(
        ("body", "at"),
        [
            ({"queries": []}, "body"),
            ({"queries": [{"handle": "acme/a"}] * 1001}, "body"),
            ({"queries": [{"handle": "acme"}]}, "queries[0]"),
            ({"queries": [{"handle": "acme/a", "policyRef": "x"}]}, "queries[0]"),
            ({"queries": [{"handle": "acme/a", "x": 1}]}, "body"),
            ({"queries": "acme/a"}, "body"),
            ([], "body"),
        ],
    )
    async def test_many_refused(self, scene: Scene, body: object, at: str) -> None:
        response = await scene.client.post("/v1/resolve", json=body)
        assert (response.status_code, response.json()["at"]) == (400, at)

    async def test_a_readers_own_policy_comes_with_the_question(self, scene: Scene) -> None:
        await scene.publish()
        await scene.catalog()
        lenient, strict = make_consumer_policy(), make_consumer_policy(min_signers=2)
        denying = make_consumer_policy(deny_cids=[content("one")])
        packs = [encode_base64url(item.bytes) for item in (lenient, strict, denying)]
        asked = [
            (lenient, "resolved"),
            (strict, "refused"),
            (denying, "refused"),
            (make_consumer_policy(agreeing=9), "policy-unknown"),
        ]
        queries: list[dict[str, str]] = [{"handle": "acme/holo:beta", "policyRef": str(item.id)} for item, _ in asked]
        queries += [{"handle": "acme/holo:beta"}, {"handle": "no/where", "policyRef": str(strict.id)}]
        expected = [*(outcome for _, outcome in asked), "resolved", "not-found"]
        anchors = Anchors(nodes=frozenset({scene.running.node.kid}))
        items: list[Any] = []
        for receipt in (False, True):
            body = {"queries": queries, "packs": packs, "receipt": receipt}
            response = await scene.client.post("/v1/resolve", json=body)
            assert response.status_code == 200, response.text
            items = response.json()["items"]
            assert [item["outcome"] for item in items] == expected
            assert [item["consumer_policy"] for item in items[:4]] == [*(str(item.id) for item, _ in asked[:3]), None]
            assert items[1]["steps"][-1]["code"] == "consumer-signers"
            for item in items if receipt else []:
                report = verify_bundle(raw(item["bundle"]), anchors)
                assert {check.verdict for check in report.checks} <= {"ok", "stated"}, report
        contents = decode_contents(raw(items[1]["bundle"]))
        assert contents.objects[strict.id] == strict.bytes
        assert lenient.id not in contents.objects
        # Nothing of it is kept: neither as an object nor for the next who asks by the same id.
        assert (await scene.client.get(f"/v1/objects/{strict.id}")).status_code == 404
        later = await scene.get(f"/v1/resolve?handle=acme/holo:beta&policyRef={strict.id}")
        assert later["outcome"] == "policy-unknown"

    async def test_a_forked_name_is_refused_to_who_forbids_it(self, scene: Scene) -> None:
        await scene.publish(text="by alice")
        other = scene.binding(text="by bob", by=("bob",))
        (outcome,) = await scene.running.node.registry.admit([Incoming("binding", other.envelopes())])
        assert getattr(outcome, "state", outcome) == "forked"
        forbids, allows = make_consumer_policy(), make_consumer_policy(allow_forks=True)
        body = {
            "queries": [{"handle": "acme/holo:beta", "policyRef": str(item.id)} for item in (forbids, allows)],
            "packs": [encode_base64url(item.bytes) for item in (forbids, allows)],
        }
        items = (await scene.client.post("/v1/resolve", json=body)).json()["items"]
        assert [(item["outcome"], item["flags"]) for item in items] == [
            ("refused", ["forked"]),
            ("resolved", ["forked"]),
        ]
        assert items[0]["steps"][-1]["code"] == "consumer-forks"

    @pytest.mark.parametrize(
        ("pack", "status", "code", "at"),
        [
            (b"", 400, "cbor-invalid", "packs[1]"),
            (make_consumer_policy().bytes + b"\0", 400, "cbor-invalid", "packs[1]"),
            (altered_pack(min_signers=0), 422, "field-invalid", "packs[1].min_signers"),
            (altered_pack(extra=0), 422, "field-unknown", "packs[1].extra"),
            (altered_pack(v=2), 422, "version-unsupported", "packs[1].v"),
            (acme().statement.bytes, 422, "type-mismatch", "packs[1].type"),
            (bytes(limits.CONSUMER_POLICY_BYTES + 1), 413, "too-large", "packs[1]"),
        ],
        ids=["empty", "trailing", "value", "field", "version", "policy", "large"],
    )  # fmt: skip
    async def test_a_bad_pack_is_refused_with_its_place(
        self, scene: Scene, pack: bytes, status: int, code: str, at: str
    ) -> None:
        packs = [encode_base64url(item) for item in (make_consumer_policy().bytes, pack)]
        response = await scene.client.post("/v1/resolve", json={"queries": [{"handle": "acme/a"}], "packs": packs})
        problem = response.json()
        assert (response.status_code, problem["code"], problem["at"]) == (status, code, at)

    async def test_packs_are_counted_and_written_in_one_way(self, scene: Scene) -> None:
        text = encode_base64url(make_consumer_policy().bytes)
        assert len(text) % 4
        for packs, at in (([text] * 9, "body"), ([text, text + "="], "packs[1]")):
            body = {"queries": [{"handle": "acme/a"}], "packs": packs}
            response = await scene.client.post("/v1/resolve", json=body)
            assert (response.status_code, response.json()["at"]) == (400, at)
        body = {"queries": [{"handle": "acme/a"}], "packs": [text] * 8}
        assert (await scene.client.post("/v1/resolve", json=body)).status_code == 200


class TestCatalogs:
    async def test_current_and_snapshot(self, scene: Scene) -> None:
        await scene.publish()
        cid = await scene.catalog()
        current = await scene.get("/v1/catalogs/current")
        head = open_head(raw(current["head_cose"]))
        assert (str(head.id), str(head.catalog), head.log_size) == (current["head"], cid, current["log_size"])
        assert current["count"] == 1
        snapshot = await scene.get(f"/v1/catalogs/{cid}")
        assert Cid.parse(cid).matches(raw(snapshot["data"]))
        assert snapshot["count"] == 1
        cose = await scene.client.get("/v1/catalogs/current", headers={"accept": "application/cose"})
        assert open_head(cose.content).id == head.id

    async def test_names_are_counted_from_any_catalog_counted_before(self, scene: Scene) -> None:
        catalogs, expected = [], []
        for number in range(6):
            ns = f"extra{number}"
            if number % 2:
                await scene.client.post("/v1/namespaces", json={"policy_cose": wire(acme(ns))})
            else:
                await scene.publish(f"acme/n{number}:beta")
                await scene.publish(f"acme/m{number}:beta")
            catalogs.append(await scene.catalog())
            expected.append(len((await scene.get(f"/v1/catalogs/{catalogs[-1]}/entries"))["items"]))
        assert [(await scene.get(f"/v1/catalogs/{catalog}"))["count"] for catalog in catalogs] == expected
        with scene.running.node.registry.view() as view:
            kept = [view.catalog(Cid.parse(catalog)) for catalog in catalogs]
            for one, count in zip(kept, expected, strict=True):
                for other, other_count in zip(kept, expected, strict=True):
                    assert count_names_since(view, one, count, other) == other_count == count_names(view, other)

    async def test_entries_across_namespaces(self, scene: Scene) -> None:
        names = [f"acme/h{number:03}:beta" for number in range(70)]
        for name in names:
            await scene.publish(name)
        await scene.client.post("/v1/namespaces", json={"policy_cose": wire(acme("alpha"))})
        cid = await scene.catalog()
        found: list[str] = []
        url = f"/v1/catalogs/{cid}/entries?limit=30"
        while True:
            page = await scene.get(url)
            found += [item["name"] for item in page["items"]]
            if page["next"] is None:
                break
            url = f"/v1/catalogs/{cid}/entries?limit=30&cursor={page['next']}"
        assert found == names
        some = await scene.get(f"/v1/catalogs/{cid}/entries?prefix=acme/h00")
        assert [item["name"] for item in some["items"]] == names[:10]
        assert (await scene.get(f"/v1/catalogs/{cid}/entries?prefix=al"))["items"] == []

    async def test_proofs_of_presence_and_absence(self, scene: Scene) -> None:
        for number in range(100):
            await scene.publish(f"acme/h{number:03}:beta")
        cid = await scene.catalog()
        for name, statements in [("acme/h050:beta", 1), ("acme/h050:gone", 0), ("nowhere/a:latest", 0)]:
            found = await scene.get(f"/v1/catalogs/{cid}/proof?name={name}")
            assert len(found["statements"]) == statements
            assert _proved(cid, name, [raw(node) for node in found["nodes"]]) == found["statements"]

    async def test_what_else_a_catalog_is_made_of_is_no_catalog(self, scene: Scene) -> None:
        await scene.publish()
        cid = await scene.catalog()
        itself, *others = (await scene.get(f"/v1/catalogs/{cid}/proof?name=acme/holo:beta"))["nodes"]
        assert str(Cid.of(DAG_CBOR, raw(itself))) == cid
        assert len(others) == 3, "a leaf of namespaces, a state and a leaf of names"
        for other in (Cid.of(DAG_CBOR, raw(node)) for node in others):
            for path in (f"{other}", f"{other}/entries", f"{other}/proof?name=acme/a", f"{cid}/diff?from={other}"):
                refused = await scene.client.get(f"/v1/catalogs/{path}")
                assert (refused.status_code, refused.json()["code"]) == (404, "not-found"), path

    async def test_diffs(self, scene: Scene) -> None:
        kept = await scene.publish("acme/kept:beta")
        changed = await scene.publish("acme/changed:beta")
        before = await scene.catalog()
        again = await scene.publish("acme/changed:beta", "two", rev=2, prev=[changed])
        added = await scene.publish("acme/added:beta")
        after = await scene.catalog()
        found = await scene.get(f"/v1/catalogs/{after}/diff?from={before}")
        assert found["items"] == [
            {"name": "acme/added:beta", "before": [], "after": [str(added)]},
            {"name": "acme/changed:beta", "before": [str(changed)], "after": [str(again)]},
        ]
        assert str(kept) not in str(found)
        first = await scene.get(f"/v1/catalogs/{after}/diff?from={before}&limit=1")
        rest = await scene.get(f"/v1/catalogs/{after}/diff?from={before}&limit=1&cursor={first['next']}")
        assert first["items"] + rest["items"] == found["items"]
        assert (await scene.get(f"/v1/catalogs/{after}/diff?from={after}"))["items"] == []

    async def test_unknown(self, scene: Scene) -> None:
        for path in ("", "/entries", "/proof?name=a/b", f"/diff?from={content('x')}"):
            response = await scene.client.get(f"/v1/catalogs/{scene.genesis.id}{path}")
            assert (response.status_code, response.json()["code"]) == (404, "not-found"), path
        response = await scene.client.get(f"/v1/catalogs/{content('x')}")
        assert response.status_code == 404
        response = await scene.client.get("/v1/catalogs/x")
        assert (response.status_code, response.json()["code"]) == (400, "cid-invalid")


class TestObjects:
    async def test_statements_nodes_and_receipts(self, scene: Scene) -> None:
        record = scene.binding()
        posted = (await scene.post(record)).json()
        catalog = await scene.catalog()
        for cid, kind in [
            (record.statement.id, "binding"),
            (scene.genesis.id, "policy"),
            (posted["receipt"], "binding-receipt"),
            (catalog, "catalog"),
            ((await scene.get(f"/v1/catalogs/{catalog}"))["namespaces"], None),
        ]:
            found = await scene.get(f"/v1/objects/{cid}")
            assert (found["cid"], found["type"]) == (str(cid), kind)
            assert Cid.parse(str(cid)).matches(raw(found["data"]))
            bytes_alone = await scene.client.get(
                f"/v1/objects/{cid}", headers={"accept": "application/vnd.ipld.dag-cbor"}
            )
            assert bytes_alone.content == raw(found["data"])
        cose = await scene.client.get(f"/v1/objects/{record.statement.id}", headers={"accept": "application/cose"})
        assert cose.content == record.envelopes()[0]

    async def test_several_signatures_are_not_one_cose(self, scene: Scene) -> None:
        record = scene.binding("acme/holo:stable", by=("alice", "bob"))
        await scene.post(record)
        response = await scene.client.get(f"/v1/objects/{record.statement.id}", headers={"accept": "application/cose"})
        assert (response.status_code, response.json()["code"]) == (406, "not-acceptable")

    async def test_unknown(self, scene: Scene) -> None:
        response = await scene.client.get(f"/v1/objects/{content('nothing')}")
        assert (response.status_code, response.json()["code"]) == (404, "not-found")


class TestReceipts:
    async def test_listed_and_filtered(self, scene: Scene) -> None:
        statement = await scene.publish()
        await scene.publish("acme/other:beta")
        await scene.post(scene.binding("acme/holo:beta", "rival", prev=[]))
        items = (await scene.get("/v1/receipts"))["items"]
        assert [(item["seq"], item["type"]) for item in items] == [
            (0, "policy-receipt"),
            (1, "binding-receipt"),
            (2, "binding-receipt"),
            (3, "denial-receipt"),
        ]
        for query, seqs in [
            ("type=binding-receipt", [1, 2]),
            ("since=2", [2, 3]),
            ("type=denial-receipt&since=1", [3]),
            (f"subject={statement}", [1]),
            ("subject=acme/holo:beta", [1]),
            ("subject=acme", [0]),
            ("subject=acme/holo:beta&type=policy-receipt", []),
            (f"subject=b{'b' * 58}", []),
            (f"subject=b/{'b' * 57}", []),
        ]:
            found = (await scene.get(f"/v1/receipts?{query}"))["items"]
            assert [item["seq"] for item in found] == seqs, query
        first = await scene.get("/v1/receipts?limit=3")
        rest = await scene.get(f"/v1/receipts?limit=3&cursor={first['next']}")
        assert first["items"] + rest["items"] == items

    async def test_one_and_its_proof(self, scene: Scene) -> None:
        posted = (await scene.post(scene.binding())).json()
        uncovered = await scene.client.get(f"/v1/receipts/{posted['receipt']}/proof")
        if uncovered.status_code != 200:
            assert uncovered.json()["at"] == "query.size"
        await scene.publish("acme/other:beta")
        await scene.catalog()
        found = await scene.get(f"/v1/receipts/{posted['receipt']}")
        assert found["receipt_cose"] == posted["receipt_cose"]
        receipt = open_receipt(raw(found["receipt_cose"]))
        assert isinstance(receipt, BindingReceipt)
        head = await scene.get("/v1/catalogs/current")
        proof = await scene.get(f"/v1/receipts/{posted['receipt']}/proof")
        assert (proof["size"], proof["root"]) == (head["log_size"], head["log_root"])
        rfc9162.check_inclusion(
            rfc9162.leaf_hash(receipt.id),
            proof["index"],
            proof["size"],
            [raw(item) for item in proof["hashes"]],
            raw(proof["root"]),
        )
        sized = await scene.client.get(f"/v1/receipts/{posted['receipt']}/proof?size=2")
        assert sized.json()["size"] == 2
        assert "immutable" in sized.headers["cache-control"]
        for size in (1, 99):
            refused = await scene.client.get(f"/v1/receipts/{posted['receipt']}/proof?size={size}")
            assert (refused.status_code, refused.json()["code"]) == (400, "request-invalid")
            assert refused.json()["at"] == "query.size"
        missing = await scene.client.get(f"/v1/receipts/{scene.genesis.id}")
        assert (missing.status_code, missing.json()["code"]) == (404, "not-found")

    async def test_heads(self, scene: Scene) -> None:
        await scene.publish()
        await scene.catalog()
        items = (await scene.get("/v1/heads"))["items"]
        heads = [open_head(raw(item["head_cose"])) for item in items]
        assert [head.seq for head in heads] == list(range(len(items)))
        assert all(later.prev == head.id for head, later in pairwise(heads))
        assert (await scene.get("/v1/heads?since=1"))["items"] == items[1:]


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


def _proved(catalog: str, name: str, nodes: list[bytes]) -> list[str]:
    """What the nodes prove, found from the catalog's CID alone."""
    ns, _, rest = name.partition("/")
    handle, _, tag = rest.partition(":")
    assert Cid.parse(catalog).matches(nodes[0])
    root = decode_catalog(nodes[0])
    for split in range(2, len(nodes) + 1):
        try:
            value = tree.check_proof(root.namespaces, ns.encode(), nodes[1:split])
        except Rejected:
            continue  # the path of the first tree goes on
        break
    else:
        raise AssertionError("no proof")
    if value is None:
        assert split == len(nodes)
        return []
    state_cid = parse_state_value(value)
    assert state_cid.matches(nodes[split])
    state = decode_namespace_state(nodes[split])
    found = tree.check_proof(state.bindings, f"{handle}/{tag}".encode(), nodes[split + 1 :])
    return [] if found is None else [str(cited.statement) for cited in parse_current(found)]


def test_dids_read_back() -> None:
    assert parse_did(did_of(kid("alice"))) == kid("alice")
