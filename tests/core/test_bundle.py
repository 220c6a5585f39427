"""Bundles: whole they verify, and with any part changed, missing, added or lied about they do not, and say where."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import limits
from holo.core.bundle import make_bundle, verify_bundle
from holo.core.bundle_contents import Contents, decode_contents, encode_contents
from holo.core.chain import Chain, Known
from holo.core.cid import Cid
from holo.core.consumer import make_consumer_policy
from holo.core.decision import Decision, Query, Step
from holo.core.envelope import make_statement
from holo.core.errors import HoloError, Missing, Rejected
from holo.core.head import Anchors
from holo.core.keys import Kid
from holo.core.names import Name
from holo.core.receipt import ResolveReceipt, make_resolve_receipt, open_receipt
from holo.core.report import CHECKS, Check, Report
from holo.core.resolve import Candidate
from holo.core.state import Cited
from tests.reference import Derived, cited_of, committed
from tests.world import EVERYTHING, Namespace, Node, content, kid

A, B = content("a"), content("b")
SIGNERS = {"alice": EVERYTHING, "bob": EVERYTHING}
STABLE = [(["stable"], 2)]


def acme(**genesis: Any) -> Namespace:
    return Namespace("acme", **{"signers": SIGNERS, "thresholds": STABLE, **genesis})


def trusting(node: Node) -> Anchors:
    return Anchors(nodes=frozenset({node.kid}))


def verified(node: Node, *receipts: bytes) -> Report:
    return verify_bundle(make_bundle(receipts, node), trusting(node))


def failures(report: Report) -> list[Check]:
    return [check for check in report.checks if check.verdict == "bad"]


def stated(report: Report) -> set[str]:
    return {check.code for check in report.checks if check.verdict == "stated"}


def sealed_world() -> Node:
    """A namespace with a chain of three policies, the second sealing one of two names; all of it in the log."""
    namespace = acme()
    kept = namespace.bind("app:stable", A, by=("alice", "bob"))
    namespace.bind("lib", A)
    root = namespace.seal_tree({"app/stable": cited_of(namespace.derive().current["app/stable"])})
    namespace.amend(signers={"bob": EVERYTHING}, seal=root)
    namespace.amend(signers={"bob": EVERYTHING, "carol": EVERYTHING})
    namespace.bind("app", B, by=("carol",))
    node = Node([namespace])
    for record in namespace.records:
        if record.statement.type == "binding":
            node.log_binding(record, "current" if record.statement.id == kept.id else "superseded")
        else:
            node.log_policy(record, namespace.genesis.id)
    node.take_head()
    return node


# --- what is true verifies


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


def every_outcome() -> dict[str, tuple[Node, bytes]]:
    """A node and a resolve-receipt for each way a resolve can end, and some ways to get there."""
    plain = acme()
    plain.bind("app", A, by=("alice", "bob"))
    plain.bind("gone", None)
    plain.bind("fork", A)
    plain.bind("fork", B, by=("bob",))
    plain.bind("torn", A)
    plain.bind("torn", B)
    plain.bind("wait:stable", A)
    plain.bind("wait:stable", B, by=("bob",))
    older = plain.amend(signers={**SIGNERS, "carol": EVERYTHING}, thresholds=STABLE)
    plain.amend(signers={**SIGNERS, "carol": EVERYTHING, "dave": EVERYTHING}, thresholds=STABLE)
    node = Node([plain, Namespace("beta"), Namespace("gamma")], name="peer")
    strict = node.keep_consumer_policy(make_consumer_policy(min_signers=2, genesis={"acme": plain.genesis.id}))
    node.take_head()
    rivals = acme()
    rivals.bind("app", A)
    for name in ("carol", "dave"):
        rivals.amend(rivals.genesis, signers={**SIGNERS, name: EVERYTHING}, thresholds=STABLE)
    torn = Node([rivals])
    torn.take_head()
    sealing = acme()
    sealing.bind("app", A)
    sealing.amend(signers={"bob": EVERYTHING}, seal=sealing.seal_tree(learn=False))
    waiting = Node([sealing])
    waiting.take_head()
    asked = {
        "resolved": node.resolve("acme/app"),
        "resolved pinned": node.resolve(f"acme/app@{A}"),
        "resolved by genesis": node.resolve("acme/app", plain.genesis.id),
        "resolved by policy": node.resolve("acme/app", plain.latest.id),
        "resolved by reader": node.resolve("acme/app", strict.id),
        "resolved forked": node.resolve("acme/fork"),
        "yanked": node.resolve("acme/gone"),
        "not-found name": node.resolve("acme/none"),
        "not-found namespace": node.resolve("globex/app"),
        "not-found empty": node.resolve("beta/app"),
        "pending": node.resolve("acme/wait:stable"),
        "held name": node.resolve("acme/torn"),
        "refused pin": node.resolve(f"acme/app@{B}"),
        "refused superseded": node.resolve("acme/app", older.id),
        "refused reader": node.resolve("acme/fork", strict.id),
        "policy-unknown": node.resolve("acme/app", B),
    }
    found = {name: (node, receipt) for name, receipt in asked.items()}
    found["held rivals"] = (torn, torn.resolve("acme/app"))
    found["held seal"] = (waiting, waiting.resolve("acme/app"))
    return found


OUTCOMES = every_outcome()


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


# --- whatever is changed


def small_bundle() -> tuple[Node, bytes]:
    """A bundle with something in each of its parts: both kinds of receipt, a seal, a reader's policy."""
    namespace = acme()
    namespace.bind("app:stable", A, by=("alice", "bob"))
    namespace.amend(signers={"bob": EVERYTHING}, seal=namespace.seal_tree())
    node = Node([namespace])
    for record in namespace.records:
        if record.statement.type == "binding":
            node.log_binding(record)
        else:
            node.log_policy(record, namespace.genesis.id)
    pack = node.keep_consumer_policy(make_consumer_policy(min_signers=2))
    node.take_head()
    return node, make_bundle([node.resolve("acme/app:stable", pack.id), node.receipts[1]], node)


NODE, BUNDLE = small_bundle()


def test_the_bundle_to_damage_has_something_in_every_part() -> None:
    contents = decode_contents(BUNDLE)
    assert verify_bundle(BUNDLE, trusting(NODE)).result == "ok"
    for part in ("receipts", "heads", "logs", "payloads", "signatures", "objects", "inclusions"):
        assert getattr(contents, part)


def refused_with_a_place(data: bytes) -> None:
    report = verify_bundle(data, trusting(NODE))
    assert report.result == "bad"
    assert all(check.at for check in failures(report))


@pytest.mark.slow
def test_one_flipped_bit_in_any_byte_is_noticed() -> None:
    rng = random.Random(1)
    for index in range(len(BUNDLE)):
        damaged = bytearray(BUNDLE)
        damaged[index] ^= 1 << rng.randrange(8)
        refused_with_a_place(bytes(damaged))


@given(index=st.integers(0, len(BUNDLE) - 1), change=st.integers(1, 255))
def test_a_changed_byte_is_noticed(index: int, change: int) -> None:
    damaged = bytearray(BUNDLE)
    damaged[index] ^= change
    refused_with_a_place(bytes(damaged))


@given(st.integers(0, len(BUNDLE) - 1))
def test_a_cut_bundle_is_noticed(length: int) -> None:
    refused_with_a_place(BUNDLE[:length])


@given(st.binary(max_size=64))
def test_rubbish_is_never_a_bundle(data: bytes) -> None:
    assert verify_bundle(data, trusting(NODE)).result == "bad"
    refused_with_a_place(BUNDLE + (data or b"\0"))


def test_a_bundle_is_bounded_before_it_is_read() -> None:
    report = verify_bundle(bytes(limits.BUNDLE_BYTES + 1), trusting(NODE))
    assert "too-large" in failures(report)[0].detail


PARTS = [
    (part, cid)
    for part in ("receipts", "heads", "logs", "payloads", "objects", "inclusions")
    for cid in getattr(decode_contents(BUNDLE), part)
]


@pytest.mark.parametrize(("part", "cid"), PARTS, ids=[part for part, _ in PARTS])
def test_nothing_can_be_left_out(part: str, cid: Cid) -> None:
    contents = decode_contents(BUNDLE)
    del getattr(contents, part)[cid]
    refused_with_a_place(encode_contents(contents))


def test_no_signature_can_be_left_out_or_swapped() -> None:
    for cid, signatures in decode_contents(BUNDLE).signatures.items():
        for who in signatures:
            contents = decode_contents(BUNDLE)
            del contents.signatures[cid][who]
            refused_with_a_place(encode_contents(contents))
            contents = decode_contents(BUNDLE)
            contents.signatures[cid][who] = bytes(64)
            refused_with_a_place(encode_contents(contents))


def test_nothing_can_be_added() -> None:
    other, receipt = OUTCOMES["resolved by reader"]
    more = decode_contents(
        make_bundle([receipt, other.log_denial(other.namespaces[0].records[1], "x")], with_head(other))
    )
    added = {
        part: merged(decode_contents(BUNDLE), more, only=part) for part in ("heads", "logs", "objects", "inclusions")
    }
    added["records"] = merged(decode_contents(BUNDLE), more, only="payloads")
    for place, contents in added.items():
        report = verify_bundle(encode_contents(contents), trusting(NODE))
        (failure,) = failures(report)
        assert (failure.code, report.result) == ("nothing-unused", "bad")
        assert failure.at is not None
        assert failure.at.startswith(place)


def test_not_even_a_true_signature_can_be_added() -> None:
    namespace = NODE.namespaces[0]
    record = namespace.records[0]
    contents = decode_contents(BUNDLE)
    spare = Namespace("acme", signers=SIGNERS, thresholds=STABLE, by=("root", "mallory"))
    contents.signatures[record.statement.id].update(spare.endorsements(record.statement.id))
    (failure,) = failures(verify_bundle(encode_contents(contents), trusting(NODE)))
    assert failure.code == "nothing-unused"
    assert failure.at is not None
    assert ".signatures[" in failure.at


# --- whoever lies


def resigned(node: Node, contents: Contents, **changes: Any) -> bytes:
    """The bundle with its resolve-receipt's decision changed and signed anew."""
    (receipt,) = (open_receipt(envelope) for envelope in contents.receipts.values())
    assert isinstance(receipt, ResolveReceipt)
    statement = make_resolve_receipt(
        node=node.kid,
        at_ms=receipt.at_ms,
        decision=replace(receipt.decision, **changes),
        catalog=receipt.catalog,
        head=receipt.head,
    )
    contents.receipts = {statement.id: node.sign(statement)}
    return encode_contents(contents)


@pytest.mark.parametrize(
    "changes",
    [
        {"cid": B},
        {"statement": B},
        {"outcome": "yanked", "cid": None},
        {"outcome": "not-found", "cid": None, "statement": None},
        {"flags": ("forked",)},
        {"steps": (Step("namespace-hosted", None, False),)},
        {"query": Query(Name("acme", "app", "latest"))},
        {"genesis": None},
        {"policy": A},
        {"consumer_policy": A},
    ],
    ids=str,
)
def test_a_decision_that_does_not_follow_is_found(changes: Mapping[str, Any]) -> None:
    node = sealed_world()
    contents = decode_contents(make_bundle([node.resolve("acme/app:stable")], node))
    report = verify_bundle(resigned(node, contents, **changes), trusting(node))
    assert report.result == "bad"
    assert failures(report)[0].code in ("decision-same", "name-proved", "consumer-policy-read")


@dataclass
class Liar:
    """What a lying node changes of a true state before it commits to it."""

    known: Callable[[dict[Cid, Known]], dict[Cid, Known]] = lambda known: known
    chain: Callable[[Chain], Chain] = lambda chain: chain
    current: Callable[[Derived], dict[str, tuple[Candidate, ...]]] = lambda derived: derived.current
    pending: Callable[[Derived], dict[str, list[Cited]]] = lambda derived: derived.pending

    def alter(self, derived: Derived) -> Derived:
        return committed(
            derived.state.ns,
            derived.state.genesis,
            self.known(derived.known),
            self.chain(derived.chain),
            self.current(derived),
            self.pending(derived),
        )


def told(namespace: Namespace, liar: Liar, name: str) -> str:
    """The code of the check by which a reader finds the lie; making the bundle with our own code fails too."""
    node = Node([namespace])
    node.take_head(liar.alter)
    receipt = node.resolve(name)
    with pytest.raises(HoloError):
        make_bundle([receipt], node)
    report = verify_bundle(make_careless_bundle(receipt, node), trusting(node))
    assert report.result == "bad"
    (failure,) = failures(report)
    assert failure.at
    return failure.code


def make_careless_bundle(receipt: bytes, node: Node) -> bytes:
    """A bundle of everything a node has: what a liar would hand out."""
    opened = open_receipt(receipt)
    contents = Contents(
        receipts={opened.id: receipt},
        heads={cid: envelope for cid, (_, envelope) in node.heads.items()},
        logs={node.log: node.log_genesis(node.log)},
        objects=dict(node.objects),
    )
    for record in (record for namespace in node.namespaces for record in namespace.records):
        contents.payloads[record.statement.id] = record.statement.bytes
        contents.signatures.setdefault(record.statement.id, {}).update(record.endorsements)
    return encode_contents(contents)


def position_moved(derived: Derived) -> dict[str, tuple[Candidate, ...]]:
    return {
        path: tuple(replace(item, standing=replace(item.standing, positions=(1,))) for item in found)
        for path, found in derived.current.items()
    }


def without_names(derived: Derived) -> dict[str, tuple[Candidate, ...]]:
    return {}


def test_a_signer_who_did_not_sign_is_found() -> None:
    namespace = acme()
    namespace.bind("app", A)
    assert told(namespace, Liar(current=position_moved), "acme/app") == "name-proved"


def test_too_few_signers_are_found() -> None:
    namespace = acme()
    namespace.bind("app:stable", A, by=("alice", "bob"))
    assert told(namespace, Liar(current=position_moved), "acme/app:stable") == "name-proved"


def test_a_pair_given_in_the_wrong_order_is_found() -> None:
    namespace = acme()
    namespace.bind("app", A)
    namespace.bind("app", B, by=("bob",))
    liar = Liar(current=lambda derived: {path: found[::-1] for path, found in derived.current.items()})
    assert told(namespace, liar, "acme/app") == "name-proved"


def test_a_statement_the_seal_leaves_out_is_found() -> None:
    namespace = acme()
    namespace.bind("app", A)
    before = namespace.derive().current
    namespace.amend(signers=SIGNERS, thresholds=STABLE, seal=namespace.seal_tree({}))
    assert told(namespace, Liar(current=lambda derived: before), "acme/app") == "name-proved"


def test_hiding_what_the_seal_keeps_is_found() -> None:
    namespace = acme()
    namespace.bind("app", A)
    namespace.amend(signers=SIGNERS, thresholds=STABLE, seal=namespace.seal_tree())
    assert told(namespace, Liar(current=without_names), "acme/app") == "name-proved"


def test_a_count_that_is_off_is_found() -> None:
    namespace = acme()
    namespace.bind("app", A)

    def alter(derived: Derived) -> Derived:
        state = replace(derived.state, count=7)
        objects = {**derived.objects, state.as_statement().id: state.as_statement().bytes}
        return replace(derived, state=state, objects=objects)

    node = Node([namespace])
    node.take_head(alter)
    with pytest.raises(Rejected):
        make_bundle([node.resolve("acme/app")], node)


def test_a_name_under_another_name_is_found() -> None:
    namespace = acme()
    namespace.bind("app", A)
    liar = Liar(current=lambda derived: {"lib/latest": derived.current["app/latest"]})
    assert told(namespace, liar, "acme/lib") == "name-proved"


def test_a_statement_under_a_losing_policy_is_found() -> None:
    namespace = acme()
    loser = namespace.amend(namespace.genesis, signers={**SIGNERS, "carol": EVERYTHING}, thresholds=STABLE)
    namespace.bind("app", A, policy=loser, by=("carol",))
    before = namespace.derive().current
    namespace.amend(namespace.genesis, signers=SIGNERS, thresholds=STABLE, by=("root", "recovery"))
    assert told(namespace, Liar(current=lambda derived: before), "acme/app") == "name-proved"


def test_pretending_that_something_waits_is_found() -> None:
    namespace = acme()
    namespace.bind("app:stable", A)
    forged = {"lib/stable": namespace.derive().pending["app/stable"]}
    assert told(namespace, Liar(pending=lambda derived: forged), "acme/lib:stable") == "pending-proved"
    extra = namespace.bind("app:stable", B, rev=2)
    unordered = {"app/stable": namespace.derive().pending["app/stable"][::-1]}
    assert told(namespace, Liar(pending=lambda derived: unordered), "acme/app:stable") == "pending-proved"
    unsigned = {"app/stable": [Cited(extra.id, (0, 1))]}
    assert told(namespace, Liar(pending=lambda derived: unsigned), "acme/app:stable") == "pending-proved"


def test_an_older_policy_passed_off_as_the_one_in_effect_is_found() -> None:
    namespace = acme()
    namespace.bind("app", A)
    namespace.amend(signers={**SIGNERS, "carol": EVERYTHING}, thresholds=STABLE)
    liar = Liar(chain=lambda chain: replace(chain, effective=0))
    assert told(namespace, liar, "acme/app") == "chain-decided"


def test_denying_that_rivals_hold_the_namespace_is_found() -> None:
    namespace = acme()
    namespace.bind("app", A)
    for name in ("carol", "dave"):
        namespace.amend(namespace.genesis, signers={**SIGNERS, name: EVERYTHING}, thresholds=STABLE)
    assert told(namespace, Liar(chain=lambda chain: replace(chain, held=None)), "acme/app") == "chain-decided"


def test_a_hold_out_of_nothing_is_found() -> None:
    namespace = acme()
    namespace.bind("app", A)
    liar = Liar(chain=lambda chain: replace(chain, held=("seal", chain.policy.id)))
    assert told(namespace, liar, "acme/app") == "chain-decided"


def test_a_policy_without_its_parents_roots_is_found() -> None:
    namespace = acme()
    namespace.bind("app", A)
    hostile = namespace.amend(signers={**SIGNERS, "mallory": EVERYTHING}, thresholds=STABLE, by=("mallory",))

    def known(before: dict[Cid, Known]) -> dict[Cid, Known]:
        return {**before, hostile.id: Known(hostile, frozenset({kid("mallory")}))}

    liar = Liar(known=known, chain=lambda chain: replace(chain, policies=(*chain.policies, hostile), effective=1))
    assert told(namespace, liar, "acme/app") == "policies-proved"


@pytest.mark.parametrize("listed", [("root", "mallory"), ("root", "recovery"), ()])
def test_endorsers_of_a_policy_that_are_not_its_endorsers_are_found(listed: tuple[str, ...]) -> None:
    namespace = acme(by=("root", "mallory"))
    namespace.bind("app", A)
    kids: frozenset[Kid] = frozenset(kid(name) for name in listed)
    liar = Liar(known=lambda known: {cid: Known(item.policy, kids) for cid, item in known.items()})
    if not kids:  # a tree value is at least one item, so this cannot even be written
        with pytest.raises(AssertionError):
            Node([namespace]).take_head(liar.alter)
        return
    assert told(namespace, liar, "acme/app") == "policies-proved"


def test_a_second_genesis_is_found() -> None:
    namespace = acme()
    namespace.bind("app", A)
    other = namespace.learn(Namespace("acme", signers={"mallory": EVERYTHING}).records[0])
    rogue = Namespace("acme", signers={"mallory": EVERYTHING}).genesis
    assert other.statement.id == rogue.id
    liar = Liar(known=lambda known: {**known, rogue.id: Known(rogue, frozenset({kid("root")}))})
    assert told(namespace, liar, "acme/app") == "policies-proved"


def test_a_namespace_under_another_name_is_found() -> None:
    namespace = acme()
    namespace.bind("app", A)
    node = Node([namespace])
    namespace.ns = "evil"
    node.take_head()
    namespace.ns = "acme"
    with pytest.raises(Rejected) as error:
        make_bundle([node.resolve("evil/app")], node)
    assert error.value.code == "policy-foreign"


def test_a_receipt_whose_node_is_not_the_heads_is_found() -> None:
    mine, theirs = sealed_world(), sealed_world()
    theirs = replace_name(theirs, "stranger")
    statement = make_resolve_receipt(
        node=mine.kid,
        at_ms=0,
        decision=theirs.decide("acme/app:stable"),
        catalog=theirs.newest.catalog,
        head=theirs.newest.id,
    )
    with pytest.raises(Rejected) as error:
        make_bundle([mine.sign(statement)], theirs)
    assert error.value.code == "receipt-invalid"


def test_a_receipt_that_cites_another_catalog_is_found() -> None:
    node = sealed_world()
    decision: Decision = node.decide("acme/app:stable")
    statement = make_resolve_receipt(node=node.kid, at_ms=0, decision=decision, catalog=A, head=node.newest.id)
    with pytest.raises(Rejected) as error:
        make_bundle([node.sign(statement)], node)
    assert (error.value.code, error.value.at) == ("receipt-invalid", f"receipt {statement.id}")


def test_two_heads_of_one_seq_are_found_even_where_each_is_right_by_itself() -> None:
    one, other = Node([acme()]), Node([acme()])
    other.namespaces[0].bind("app", A)
    one.take_head()
    other.take_head()
    bundles = [decode_contents(make_bundle([node.resolve("acme/app")], node)) for node in (one, other)]
    assert all(verify_bundle(encode_contents(item), trusting(one)).result == "ok" for item in bundles)
    report = verify_bundle(encode_contents(merged(bundles[0], bundles[1])), trusting(one))
    assert [check.code for check in failures(report)] == ["heads-agree"]
    assert "one seq, two heads" in failures(report)[0].detail


def test_a_receipt_that_is_not_in_the_log_is_found() -> None:
    node = sealed_world()
    forged = sealed_world()
    forged.at_ms += 1
    stray = forged.log_binding(forged.namespaces[0].records[1])
    node.log_policy(node.namespaces[0].records[0], node.namespaces[0].genesis.id)
    node.take_head()
    with pytest.raises(Rejected) as error:
        make_bundle([stray], node)
    assert error.value.code == "log-invalid"


@pytest.mark.parametrize(
    "changes",
    [{"rev": 9}, {"cid": B}, {"name": "acme/app:beta"}, {"endorsers": ["alice", "root"]}, {"endorsers": ["alice"]}],
)
def test_a_receipt_that_misreports_its_statement_is_found(changes: dict[str, Any]) -> None:
    node = sealed_world()
    genuine = open_receipt(node.receipts[1])
    kids = [bytes(kid(name)) for name in changes.get("endorsers", ())]
    altered = {**changes, "endorsers": sorted(kids)} if kids else changes
    value = {**genuine.statement.value, **altered, "seq": len(node.receipts)}
    forged = node.append(make_statement(value))
    node.take_head()
    with pytest.raises(Rejected) as error:
        make_bundle([forged], node)
    assert error.value.code in ("receipt-invalid", "bundle-invalid")
    assert error.value.at is not None


def test_a_head_is_no_receipt_to_bundle() -> None:
    node = sealed_world()
    with pytest.raises(Rejected) as error:
        make_bundle([node.head(node.newest.id)], node)
    assert error.value.code == "type-mismatch"


def test_what_the_source_lacks_is_named() -> None:
    node = sealed_world()
    receipt = node.resolve("acme/app:stable")
    del node.objects[node.newest.catalog]
    with pytest.raises(Missing) as error:
        make_bundle([receipt], node)
    assert str(node.newest.catalog) in error.value.detail


def test_a_source_that_returns_other_bytes_is_caught() -> None:
    node = sealed_world()
    receipt = node.resolve("acme/app:stable")
    node.objects[node.newest.catalog] = b"\xa0"
    with pytest.raises(Rejected) as error:
        make_bundle([receipt], node)
    assert error.value.code == "cid-mismatch"


# --- tools


def merged(one: Contents, other: Contents, only: str | None = None) -> Contents:
    """What two bundles hold together; with `only`, one part of the other is added."""
    for part in ("receipts", "heads", "logs", "payloads", "objects", "inclusions"):
        if only in (None, part):
            getattr(one, part).update(getattr(other, part))
    if only in (None, "payloads"):
        for cid, signatures in other.signatures.items():
            one.signatures.setdefault(cid, {}).update(signatures)
    return one


def with_head(node: Node) -> Node:
    node.take_head()
    return node


def replace_name(node: Node, name: str) -> Node:
    """The same world behind another key."""
    renamed = Node(node.namespaces, name=name)
    renamed.take_head()
    return renamed
