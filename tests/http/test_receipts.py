"""Objects, receipts and heads over a real socket."""

from __future__ import annotations

from itertools import pairwise

from holo.core import log as rfc9162
from holo.core.cid import Cid
from holo.core.head import open_head
from holo.core.receipt import BindingReceipt, open_receipt
from tests.http.scene import Scene, raw
from tests.records import content


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
