"""A reader who counts no key that signed two truths: the same answer live, signed and verified offline."""

from __future__ import annotations

from pathlib import Path

from holo.core.bundle import merge_bundles, verify_bundle
from holo.core.bundle_contents import decode_contents, encode_contents
from holo.core.consumer import decode_consumer_policy, make_consumer_policy
from holo.core.decision import Query
from holo.core.evidence import Evidence, equivocation_of
from holo.core.head import Anchors
from holo.core.keys import SigningKey
from holo.core.names import Name
from holo.core.receipt import open_resolve_receipt
from holo.core.report import Report
from holo.http.plain_answers import PlainAnswers
from holo.http.signing import Signer, bundle_of, prove
from holo.store.evidence import EvidenceSubmission
from holo.store.fsck import check_store
from holo.store.store import Store
from tests.records import key, kid
from tests.signing_node import SigningNode
from tests.store.people import ALICE, BOB, ROOT, binding, commit, open_store, policy, submit

NAME = Name("acme", "app", "stable")
DENYING = decode_consumer_policy(make_consumer_policy(deny_exposed=True).bytes)
AGREEING = decode_consumer_policy(make_consumer_policy(deny_exposed=True, agreeing=2).bytes)


def evidence_against(signer: SigningKey, variant: int = 0) -> Evidence:
    """Two first heads by a key."""
    node = SigningNode(signer=signer)
    start, one = node.log, node.head(at_ms=variant)
    node.log = start
    found = equivocation_of(one, node.head(at_ms=variant + 1))
    assert found is not None
    return found


def filled(path: Path, node: str = "node") -> Store:
    store = Store(path, key(node), clock_ms=lambda: 0) if node != "node" else open_store(path)
    genesis = policy(ALICE, BOB)
    commit(store, submit(genesis, ROOT), submit(binding(genesis, "app", 1, b"one"), ALICE))
    store.make_head()
    return store


def answered(store: Store, pack: object = DENYING) -> bytes:
    """The bundle of a signed answer."""
    assert pack in (DENYING, AGREEING)
    consumer = DENYING if pack is DENYING else AGREEING
    with store.view() as view:
        signed = Signer(store.key, PlainAnswers()).sign(view, 0, Query(NAME, consumer.id), consumer)
        bundle = bundle_of(view, signed)
    assert bundle is not None
    return bundle


def outcomes(store: Store) -> tuple[str, str, str]:
    """Of the live state, of the signed answer, and as verified."""
    with store.view() as view:
        live = view.decide(Query(NAME, DENYING.id), DENYING).outcome
        signed = Signer(store.key, PlainAnswers()).sign(view, 0, Query(NAME, DENYING.id), DENYING)
        bundle = bundle_of(view, signed)
    assert bundle is not None
    report = verify_bundle(bundle, Anchors(nodes=frozenset({store.key.kid})))
    assert not [check for check in report.checks if check.verdict == "bad"], report.checks
    return live, open_resolve_receipt(signed.receipt).decision.outcome, report.result


def test_who_signed_two_truths_no_longer_counts_as_a_signer(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    assert outcomes(store) == ("resolved", "resolved", "ok")
    commit(store, EvidenceSubmission(evidence_against(BOB)))
    store.make_head()
    assert outcomes(store) == ("resolved", "resolved", "ok"), "another signer's lie is not this one's"
    commit(store, EvidenceSubmission(evidence_against(ALICE)))
    assert outcomes(store)[:2] == ("refused", "resolved"), "a head commits to what was known then"
    store.make_head()
    assert outcomes(store) == ("refused", "refused", "ok")
    with store.view() as view:
        lenient = decode_consumer_policy(make_consumer_policy().bytes)
        assert view.decide(Query(NAME, lenient.id), lenient).outcome == "resolved"
        assert not list(check_store(view.records, view.node))
    store.close()


def test_evidence_that_took_anothers_place_is_still_proved_by_the_head_before(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    pieces = sorted((evidence_against(ALICE, variant) for variant in range(4)), key=lambda item: item.id)
    commit(store, EvidenceSubmission(pieces[-1]))
    store.make_head()
    commit(store, EvidenceSubmission(pieces[0]))
    assert outcomes(store) == ("refused", "refused", "ok")
    store.make_head()
    assert outcomes(store) == ("refused", "refused", "ok")
    with store.view() as view:
        assert not list(check_store(view.records, view.node))
    store.close()


def test_with_many_exposed_each_is_found_and_nobody_else(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    strangers = [evidence_against(SigningKey(number.to_bytes(32, "big"))) for number in range(1000, 1100)]
    commit(store, *(EvidenceSubmission(item) for item in strangers))
    store.make_head()
    assert outcomes(store) == ("resolved", "resolved", "ok")
    commit(store, EvidenceSubmission(evidence_against(ALICE)))
    store.make_head()
    assert outcomes(store) == ("refused", "refused", "ok")
    store.close()


def test_evidence_left_out_of_a_bundle_or_put_into_one_is_noticed(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    evidence = evidence_against(ALICE)
    commit(store, EvidenceSubmission(evidence))
    store.make_head()
    trusting = Anchors(nodes=frozenset({store.key.kid}))
    bundle = answered(store)
    contents = decode_contents(bundle)
    del contents.objects[evidence.id]
    assert verify_bundle(encode_contents(contents), trusting).result == "bad"
    contents = decode_contents(bundle)
    more = evidence_against(BOB)
    contents.objects[more.id] = more.bytes
    assert verify_bundle(encode_contents(contents), trusting).result == "bad"
    store.close()


def verdicts(report: Report, code: str) -> list[str]:
    return [check.verdict for check in report.checks if check.code == code]


def test_an_exposed_node_is_no_node_that_agrees(tmp_path: Path) -> None:
    stores = [filled(tmp_path / name, name) for name in ("node", "second", "third")]
    nodes = frozenset(store.key.kid for store in stores)
    pair = merge_bundles([answered(store, AGREEING) for store in stores[:2]])
    assert verify_bundle(pair, Anchors(nodes=nodes)).result == "ok"
    known = Anchors(nodes=nodes, exposed=frozenset({kid("second")}))
    report = verify_bundle(pair, known)
    assert report.result == "inconclusive"
    assert "open" in verdicts(report, "nodes-agree")
    assert sorted(verdicts(report, "node-trusted")) == ["ok", "open"]
    three = merge_bundles([answered(store, AGREEING) for store in stores])
    assert "open" not in verdicts(verify_bundle(three, known), "nodes-agree")
    for store in stores:
        store.close()


async def test_over_http_it_is_proved_in_a_thread(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    commit(store, EvidenceSubmission(evidence_against(ALICE)))
    store.make_head()
    with store.view() as view:
        signed = Signer(store.key, PlainAnswers()).sign(view, 0, Query(NAME, DENYING.id), DENYING)
        assert bundle_of(view, signed, 1 << 20) is None
        assert b'"outcome":"refused"' in await prove(view, signed)
    store.close()
