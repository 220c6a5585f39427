"""Hostile records through the real port: each refused by its code, changing nothing, counted or receipted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import trio

from holo.core import tree
from holo.core.errors import CODES
from holo.core.policy import Policy, parse_policy
from holo.core.receipt import DenialReceipt, open_receipt
from holo.embedded import in_thread
from holo.http.base64url import decode_base64url, encode_base64url
from holo.testing import running_node
from tests.http.hostile import CASES, Case, Target
from tests.http.scene import MANY_DENIALS, acme, wire
from tests.records import EVERYTHING, binding_record, content, policy_record


@dataclass
class Besieged:
    """A node in the background, the namespace under attack, and a way to look at all of its state."""

    client: httpx.Client
    target: Target
    running: Any
    token: trio.lowlevel.TrioToken
    state_before: object = None

    def catalog(self) -> str:
        """Sign a head over everything that was admitted and return its catalog."""
        trio.from_thread.run(self.running.node.registry.sign_head, trio_token=self.token)
        return str(self.client.get("/v1/catalogs/current").json()["catalog"])

    def state(self) -> object:
        """Everything that decides, named by one CID, and what is hosted."""
        catalog = self.catalog()
        hosted = self.client.get("/v1/namespaces").json()["items"]
        # A rival genesis is noted among the conflicts; that is no state.
        return catalog, [{**item, "conflicts": None} for item in hosted]

    def metrics(self, *names: str) -> tuple[int, ...]:
        """The values of counters and gauges; 0 for one that is not there yet."""
        text = self.client.get("/metrics").text
        found = [re.search(rf"^{re.escape(name)} (\d+)$", text, re.MULTILINE) for name in names]
        return tuple(int(item[1]) if item else 0 for item in found)


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    """Return a node with acme, other and a sealed namespace on it; all cases attack this one."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    with (
        in_thread(lambda: running_node(home, MANY_DENIALS)) as (running, token),
        httpx.Client(base_url=running.url, verify=False) as client,
    ):
        genesis, other, sealed = (_host(client, ns) for ns in ("acme", "other", "sealed"))
        more = {"alice": EVERYTHING, "bob": EVERYTHING, "carol": EVERYTHING}
        child = policy_record(
            "sealed", sealed, signers=more, thresholds=[(["stable"], 2)], seal=tree.EMPTY, by=("root", "recovery")
        )
        body = {"policy_cose": wire(child), "nodes": [encode_base64url(tree.EMPTY_NODE)]}
        posted = client.post("/v1/namespaces/sealed/policy", json=body)
        assert (posted.status_code, posted.json()["state"]) == (201, "effective"), posted.text
        record = binding_record(genesis.id, genesis.id, "acme/holo:beta", content("one"))
        assert client.post("/v1/namespaces/acme/bindings", json={"records": [wire(record)]}).status_code == 201
        target = Target(genesis, record.statement.id, other, sealed, parse_policy(child.statement))
        node = Besieged(client, target, running, token)
        node.state_before = node.state()
        yield node


def _host(client: httpx.Client, ns: str) -> Policy:
    record = acme(ns)
    assert client.post("/v1/namespaces", json={"policy_cose": wire(record)}).status_code == 201
    return parse_policy(record.statement)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_refused(besieged: Besieged, case: Case) -> None:
    envelopes = case.make(besieged.target)
    forms = ["json", "cose"] if len(envelopes) == 1 else ["json"]
    counter = f'holo_http_problems_total{{code="{case.code}"}}'
    counted, receipts = besieged.metrics(counter, "holo_log_receipts")
    for form in forms:
        response = _send(besieged.client, case, envelopes, form)
        problem = response.json()
        assert (problem["code"], response.status_code) == (case.code, CODES[case.code][0]), problem
        assert response.headers["content-type"] == "application/problem+json"
        if not case.proven:
            assert problem["denial"] is None
            continue
        assert problem["denial_cose"], problem
        receipt = open_receipt(decode_base64url(problem["denial_cose"], 16384, at="denial_cose"))
        assert isinstance(receipt, DenialReceipt)
        assert (receipt.code, str(receipt.id)) == (case.code, problem["denial"])
        receipts += 1
    # Where nobody proved a key nothing is written, so that no stranger fills a disk; it is counted all the same.
    assert besieged.metrics(counter, "holo_log_receipts") == (counted + len(forms), receipts)
    assert besieged.state() == besieged.state_before


def _send(client: httpx.Client, case: Case, envelopes: list[bytes], form: str) -> httpx.Response:
    if form == "cose":
        return client.post(case.path, content=envelopes[0], headers={"content-type": "application/cose"})
    written = [encode_base64url(item) for item in envelopes]
    body = {"records": [written]} if case.path.endswith("/bindings") else {"policy_cose": written}
    return client.post(case.path, json=body)


def test_one_signature_many_times_is_one_signature(besieged: Besieged) -> None:
    genesis = besieged.target.genesis
    (envelope,) = binding_record(genesis.id, genesis.id, "acme/twice:stable", content("x")).envelopes()
    body = {"records": [[encode_base64url(envelope)] * 64]}
    response = besieged.client.post("/v1/namespaces/acme/bindings", json=body)
    assert (response.status_code, response.json()["state"], response.json()["have"]) == (202, "pending", 1)


def test_after_the_siege_the_name_is_what_it_was(besieged: Besieged) -> None:
    found = besieged.client.get("/v1/resolve?handle=acme/holo:beta").json()
    assert (found["outcome"], found["statement"]) == ("resolved", str(besieged.target.current))
    history = besieged.client.get("/v1/namespaces/acme/history?handle=acme/holo:beta").json()
    assert len(history["items"]) == 1
