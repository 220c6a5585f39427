"""Bundles: whatever is true verifies offline, as far as the reader trusts somebody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import codec
from holo.core.bundle import make_bundle, verify_bundle
from holo.core.bundle_contents import Contents, decode_contents, encode_contents
from holo.core.cid import DAG_CBOR, Cid
from holo.core.consumer import make_consumer_policy
from holo.core.errors import Rejected
from holo.core.head import Anchors
from holo.core.keys import KID_PREFIX, Kid
from holo.core.receipt import ResolveReceipt
from holo.core.report import CHECKS
from tests.core.bundles import (
    OUTCOMES,
    A,
    B,
    acme,
    failures,
    merged,
    sealed_world,
    stated,
    trusting,
    verified,
)
from tests.world import EVERYTHING, Node, kid


def test_a_resolved_name_is_derived_again_offline() -> None:
    node = sealed_world()
    report = verified(node, node.resolve("acme/app:stable"))
    assert report.result == "ok"
    assert [check.code for check in report.checks] == [
        "bundle-decoded",
        "receipt-signed",
        "head-signed",
        "head-cited",
        "head-newest",
        "namespace-proved",
        "policies-proved",
        "chain-decided",
        "seal-held",
        "name-proved",
        "decision-same",
        "nothing-unused",
        "node-trusted",
    ]
    assert stated(report) == {"head-newest", "seal-held"}
    (receipt,) = report.receipts
    assert isinstance(receipt, ResolveReceipt)
    assert receipt.decision == node.decide("acme/app:stable")
    assert report.heads == (node.newest,)


@pytest.mark.parametrize("case", OUTCOMES)
def test_every_outcome_is_proved(case: str) -> None:
    node, receipt = OUTCOMES[case]
    bundle = make_bundle([receipt], node)
    report = verify_bundle(bundle, trusting(node))
    assert (report.result, failures(report)) == ("ok", [])
    (opened,) = report.receipts
    assert isinstance(opened, ResolveReceipt)
    assert case.startswith(opened.decision.outcome)
    assert ("policy-ref-absent" in stated(report)) == (case == "policy-unknown")
    assert ("seal-held" in stated(report)) == (case == "held seal")
    assert {check.code for check in report.checks} <= CHECKS.keys()
    assert make_bundle([receipt], node) == bundle == encode_contents(decode_contents(bundle))


def test_many_answers_share_their_proofs() -> None:
    node, _ = OUTCOMES["resolved"]
    receipts = [receipt for other, receipt in OUTCOMES.values() if other is node]
    bundle = make_bundle(receipts, node)
    assert verify_bundle(bundle, trusting(node)).result == "ok"
    assert len(bundle) < sum(len(make_bundle([receipt], node)) for receipt in receipts) / 3
    assert make_bundle([*receipts[::-1], receipts[0]], node) == bundle


def test_a_large_namespace_is_proved_by_a_path() -> None:
    namespace = acme(signers={"alice": EVERYTHING})
    for number in range(300):
        namespace.bind(f"app{number}:v1", A)
    node = Node([namespace])
    node.take_head()
    for name in ("acme/app77:v1", "acme/app77:v2", "acme/zebra"):
        assert verified(node, node.resolve(name)).result == "ok"
        contents = decode_contents(make_bundle([node.resolve(name)], node))
        assert len(contents.objects) <= 7
        assert len(contents.payloads) == 1 + (name == "acme/app77:v1")


def test_logged_receipts_are_proved_with_their_log_and_their_policies() -> None:
    node = sealed_world()
    report = verified(node, *node.receipts)
    assert (report.result, failures(report)) == ("ok", [])
    codes = [check.code for check in report.checks]
    for code in ("receipt-logged", "subject-matches", "endorsers-proved"):
        assert codes.count(code) == len(node.receipts)
    assert codes.count("ancestry-proved") == 3
    assert stated(report) == {"receipt-state"}


def test_a_denial_is_proved_to_be_logged_and_nothing_more() -> None:
    node = sealed_world()
    denial = node.log_denial(node.namespaces[0].records[1], "binding-stale")
    node.take_head()
    report = verified(node, denial)
    assert (report.result, stated(report)) == ("ok", {"receipt-state"})


def test_a_pending_receipt_needs_no_threshold() -> None:
    namespace = acme()
    namespace.bind("app:stable", A)
    node = Node([namespace])
    pending, current = (node.log_binding(namespace.records[-1], state) for state in ("pending", "current"))
    node.take_head()
    assert verified(node, pending).result == "ok"
    with pytest.raises(Rejected) as error:
        make_bundle([current], node)
    assert error.value.code == "receipt-invalid"


# --- whom the reader trusts


def test_without_an_anchor_nothing_is_ok() -> None:
    for node, receipt in OUTCOMES.values():
        report = verify_bundle(make_bundle([receipt], node), Anchors(nodes=frozenset({kid("stranger")})))
        assert report.result == "inconclusive"
        assert [check.code for check in report.checks if check.verdict == "open"] == ["node-trusted"]


def test_a_genesis_carries_what_its_signers_said_and_no_more() -> None:
    for case, (node, receipt) in OUTCOMES.items():
        anchors = Anchors(genesis=frozenset({node.namespaces[0].genesis.id}))
        report = verify_bundle(make_bundle([receipt], node), anchors)
        assert report.result == ("ok" if case.startswith(("resolved", "yanked")) else "inconclusive")
        assert ("node-trusted" in stated(report)) == (report.result == "ok")


def test_a_genesis_carries_no_logged_receipt() -> None:
    node = sealed_world()
    anchors = Anchors(genesis=frozenset({node.namespaces[0].genesis.id}))
    assert verify_bundle(make_bundle(node.receipts[:1], node), anchors).result == "inconclusive"


def test_nodes_with_one_state_give_the_same_bytes_and_agree() -> None:
    nodes = [Node([acme()], name=name) for name in ("n1", "n2", "n3")]
    demanding = make_consumer_policy(agreeing=2)
    contents = []
    for node in nodes:
        node.namespaces[0].bind("app", B if node.name == "n3" else A)
        pack = node.keep_consumer_policy(demanding)
        node.take_head()
        contents.append(decode_contents(make_bundle([node.resolve("acme/app", pack.id)], node)))
    first, second, third = nodes
    assert first.decide("acme/app").as_statement().bytes == second.decide("acme/app").as_statement().bytes
    everyone = Anchors(nodes=frozenset(node.kid for node in nodes))
    alone = verify_bundle(encode_contents(contents[0]), everyone)
    assert (alone.result, alone.checks[-1].code, alone.checks[-1].verdict) == ("inconclusive", "nodes-agree", "open")
    together = encode_contents(merged(contents[0], contents[1]))
    assert verify_bundle(together, everyone).result == "ok"
    assert (
        verify_bundle(together, trusting(first)).result == "inconclusive"
    )  # a stranger's agreement counts for nothing
    assert verify_bundle(encode_contents(merged(contents[0], contents[2])), everyone).result == "inconclusive"
    assert third.decide("acme/app").as_statement().id != first.decide("acme/app").as_statement().id


CIDS = st.binary(max_size=3).map(lambda data: Cid.of(DAG_CBOR, data))
KIDS = st.binary(min_size=32, max_size=32).map(lambda data: Kid(KID_PREFIX + data))
DATA = st.binary(max_size=300)
PARTS = st.dictionaries(CIDS, DATA, max_size=30)


@given(
    st.builds(
        Contents,
        receipts=PARTS,
        heads=PARTS,
        logs=PARTS,
        payloads=PARTS,
        signatures=st.dictionaries(CIDS, st.dictionaries(KIDS, st.binary(min_size=64, max_size=64), max_size=30)),
        objects=PARTS,
        inclusions=st.dictionaries(CIDS, st.tuples(CIDS, st.lists(st.binary(min_size=32, max_size=32)).map(tuple))),
    )
)
def test_its_bytes_are_those_of_the_map_it_is(contents: Contents) -> None:
    records = [
        [payload, [[bytes(kid), data] for kid, data in sorted(contents.signatures.get(cid, {}).items())]]
        for cid, payload in sorted(contents.payloads.items())
    ]
    inclusions = [[cid, head, list(hashes)] for cid, (head, hashes) in sorted(contents.inclusions.items())]
    lists = {
        name: [data for _, data in sorted(getattr(contents, name).items())]
        for name in ("receipts", "heads", "logs", "objects")
    }
    said = {"v": 1, "type": "bundle", "records": records, "inclusions": inclusions, **lists}
    assert encode_contents(contents) == codec.encode(said)
