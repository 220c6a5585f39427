"""``/v1/resolve`` over a real socket: one name, many, with a receipt, by a reader's own policy."""

from __future__ import annotations

from typing import Any

import pytest

from holo.core import limits
from holo.core.bundle import verify_bundle
from holo.core.bundle_contents import decode_contents
from holo.core.consumer import make_consumer_policy
from holo.core.envelope import make_statement
from holo.core.head import Anchors
from holo.core.receipt import ResolveReceipt, open_receipt
from holo.http.base64url import encode_base64url
from holo.roles.registry import Incoming
from tests.http.scene import Scene, acme, raw
from tests.records import content


def altered_pack(**changes: Any) -> bytes:
    return make_statement({**make_consumer_policy().value, **changes}).bytes


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
