"""Bundles of nodes that lie: each signature is good, and still what is said does not follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from holo.core.bundle import make_bundle, verify_bundle
from holo.core.bundle_contents import Contents, decode_contents, encode_contents
from holo.core.chain import Chain, Known
from holo.core.cid import Cid
from holo.core.decision import Decision, Query, Step
from holo.core.envelope import make_statement
from holo.core.errors import HoloError, Missing, Rejected
from holo.core.keys import Kid
from holo.core.names import Name
from holo.core.receipt import ResolveReceipt, make_resolve_receipt, open_receipt
from holo.core.resolve import Candidate
from holo.core.state import Cited
from tests.core.bundles import (
    SIGNERS,
    STABLE,
    A,
    B,
    acme,
    failures,
    merged,
    renamed,
    sealed_world,
    trusting,
)
from tests.reference import Derived, committed
from tests.world import EVERYTHING, Namespace, Node, kid


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
    theirs = renamed(theirs, "stranger")
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
