"""What a real node signs and logs, judged by other people's code alone: COSE, CIDs and the Merkle log.

Nothing of ``holo.core`` is asked here; everything is read from the node's answers as a stranger would.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cbor2
import httpx
import multiformats
import pymerkle  # type: ignore[import-untyped]
import pytest
from pycose.algorithms import EdDSA
from pycose.headers import KID, Algorithm
from pycose.keys.curves import Ed25519
from pycose.keys.okp import OKPKey
from pycose.messages.sign1message import Sign1Message

from holo.core.policy import parse_policy
from holo.testing import node_in_background
from tests.http.scene import MANY_DENIALS, acme, wire
from tests.records import binding_record, content

KINDS = {"policy-receipt", "binding-receipt", "denial-receipt"}
COSE = {"accept": "application/cose"}


@dataclass
class Told:
    """What a node said: its name, and the envelopes of its receipts in the order of the log."""

    client: httpx.Client
    did: str
    receipts: list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    """Return a node that took in a policy and some names, and refused one of a stranger."""
    with (
        node_in_background(settings=[*MANY_DENIALS, "roles.registry.head_interval_ms=20"]) as running,
        httpx.Client(base_url=running.url, timeout=20) as client,
    ):
        record = acme()
        assert client.post("/v1/namespaces", json={"policy_cose": wire(record)}).status_code == 201
        genesis = parse_policy(record.statement)
        for number in range(5):
            made = binding_record(genesis.id, genesis.id, f"acme/n{number}:beta", content("x"))
            assert client.post("/v1/namespaces/acme/bindings", json={"records": [wire(made)]}).status_code == 201
        foreign = binding_record(genesis.id, genesis.id, "acme/n0:beta", content("y"), by=("mallory",))
        refused = client.post("/v1/namespaces/acme/bindings", json={"records": [wire(foreign)]})
        assert refused.json()["denial"]
        last = binding_record(genesis.id, genesis.id, "acme/last:beta", content("x"))
        headers = {"prefer": "wait=5"}
        posted = client.post("/v1/namespaces/acme/bindings", json={"records": [wire(last)]}, headers=headers)
        assert posted.json()["head"]
        items = client.get("/v1/receipts").json()["items"]
        assert {item["type"] for item in items} == KINDS
        receipts = [
            (item["receipt"], client.get(f"/v1/receipts/{item['receipt']}", headers=COSE).content) for item in items
        ]
        yield Told(client, client.get("/v1/node").json()["node"], receipts)


def judged(envelope: bytes, did: str) -> bytes:
    """The payload of a COSE_Sign1 that pycose verifies as signed by ``did``, and whose every change it refuses."""
    protected, unprotected, payload, signature = cbor2.loads(envelope).value
    message = Sign1Message.from_cose_obj([protected, dict(unprotected), payload, signature], True)
    kid = message.get_attr(KID)
    assert isinstance(kid, bytes)
    assert "did:key:" + multiformats.multibase.encode(kid, "base58btc") == did
    codec, public = multiformats.multicodec.unwrap(kid)
    assert codec.name == "ed25519-pub"
    message.key = OKPKey(crv=Ed25519, x=bytes(public))
    assert message.get_attr(Algorithm) is EdDSA
    assert message.verify_signature()
    message.payload = payload[:-1] + bytes([payload[-1] ^ 1])
    assert not message.verify_signature()
    return bytes(payload)


def cid_of(payload: bytes) -> str:
    """The dag-cbor CID of some bytes, by the other library."""
    return str(multiformats.CID("base32", 1, "dag-cbor", multiformats.multihash.digest(payload, "blake3", size=32)))


def newest_head(told: Told) -> dict[Any, Any]:
    """The payload of the newest head, its signature and its name checked."""
    current = told.client.get("/v1/catalogs/current").json()
    envelope = told.client.get("/v1/catalogs/current", headers=COSE).content
    payload = judged(envelope, told.did)
    assert cid_of(payload) == current["head"]
    found: dict[Any, Any] = cbor2.loads(payload)
    return found


def test_receipts_verify_and_are_named_by_their_bytes(told: Told) -> None:
    kinds = set()
    for name, envelope in told.receipts:
        payload = judged(envelope, told.did)
        assert cid_of(payload) == name
        kinds.add(cbor2.loads(payload)["type"])
    assert kinds == KINDS


def test_the_signed_root_is_that_of_the_receipts(told: Told) -> None:
    head = newest_head(told)
    assert head["log_size"] == len(told.receipts)
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    tree.append_entries([bytes(multiformats.CID.decode(name)) for name, _ in told.receipts])
    assert tree.get_root() == head["log_root"]


def test_the_proof_of_each_receipt_leads_to_the_signed_root(told: Told) -> None:
    head = newest_head(told)
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    tree.append_entries([bytes(multiformats.CID.decode(name)) for name, _ in told.receipts])
    for index, (name, _) in enumerate(told.receipts):
        proof = told.client.get(f"/v1/receipts/{name}/proof?size={head['log_size']}").json()
        assert (proof["index"], proof["size"]) == (index, head["log_size"])
        theirs = tree.prove_inclusion(index + 1)  # it counts from one, and begins a path with the leaf itself
        assert [base64.urlsafe_b64decode(item + "=" * (-len(item) % 4)) for item in proof["hashes"]] == theirs.path[1:]
        pymerkle.verify_inclusion(theirs.path[0], head["log_root"], theirs)
