"""Bundles of nodes that lie: each signature is good, and still what is said does not follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from holo.core import limits, tree
from holo.core.binding import parse_binding, standing
from holo.core.bundle import make_bundle, verify_bundle
from holo.core.bundle_contents import Contents, decode_contents, encode_contents
from holo.core.chain import Chain, Known
from holo.core.cid import Cid
from holo.core.consumer import make_consumer_policy
from holo.core.decision import Query, Step
from holo.core.errors import HoloError, Rejected
from holo.core.keys import Kid
from holo.core.names import Name
from holo.core.receipt import ResolveReceipt, make_resolve_receipt, open_receipt
from holo.core.report import Check
from holo.core.resolve import Candidate
from holo.core.state import Cited
from tests.core.bundles import (
    SIGNERS,
    STABLE,
    A,
    B,
    acme,
    failures,
    sealed_world,
    trusting,
    with_head,
)
from tests.reference import Derived, committed
from tests.world import EVERYTHING, Namespace, Node, binding_record, kid


def content_tree(cid: Cid) -> Cid:
    """The root of a tree nobody has."""
    return tree.build([(b"app/latest", [[cid, [0]]])]).root


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


def bound() -> Namespace:
    namespace = acme()
    namespace.bind("app", A)
    return namespace


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


def test_a_signer_the_policy_does_not_have_is_found() -> None:
    namespace = bound()

    def beyond(derived: Derived) -> dict[str, tuple[Candidate, ...]]:
        (candidate,) = derived.current["app/latest"]
        return {"app/latest": (replace(candidate, standing=replace(candidate.standing, positions=(0, 7))),)}

    node = with_head(Node([namespace]))
    decision = node.decide("acme/app")
    node.take_head(Liar(current=beyond).alter)
    statement = make_resolve_receipt(
        node=node.kid, at_ms=0, decision=decision, catalog=node.newest.catalog, head=node.newest.id
    )
    (failure,) = failures(verify_bundle(make_careless_bundle(node.sign(statement), node), trusting(node)))
    assert failure.code == "name-proved"


def test_a_statement_of_another_genesis_is_found() -> None:
    namespace = acme()
    binding = parse_binding(namespace.learn(binding_record(A, namespace.genesis.id, "acme/app:latest", A)).statement)
    foreign = Candidate(standing(binding, namespace.genesis, (0,)), namespace.genesis)
    assert told(namespace, Liar(current=lambda derived: {"app/latest": (foreign,)}), "acme/app") == "name-proved"


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


# --- what only a state with a forged object can say


def forged_state(namespace: Namespace, **changes: Any) -> tuple[Node, Check]:
    """A node whose namespace-state has these fields, and the check that finds it."""

    def alter(derived: Derived) -> Derived:
        state = replace(derived.state, **changes)
        return replace(
            derived, state=state, objects={**derived.objects, state.as_statement().id: state.as_statement().bytes}
        )

    node = Node([namespace])
    node.take_head(alter)
    (failure,) = failures(verify_bundle(make_careless_bundle(node.resolve("acme/app"), node), trusting(node)))
    return node, failure


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ns": "evil"}, "namespace-proved"),
        ({"policy": A}, "chain-decided"),
        ({"policies": tree.EMPTY}, "policies-proved"),
        ({"genesis": A}, "policies-proved"),
        ({"count": 7}, "name-proved"),
        ({"bindings": content_tree(A)}, "name-proved"),
    ],
    ids=str,
)
def test_a_forged_state_is_found(changes: dict[str, Any], code: str) -> None:
    _, failure = forged_state(bound(), **changes)
    assert failure.code == code
    assert failure.at


def test_more_policies_than_a_bundle_may_hold_are_refused_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = sealed_world()
    receipts = node.resolve("acme/app:stable"), node.receipts[-1]
    bundles = [make_bundle([receipt], node) for receipt in receipts]
    monkeypatch.setattr(limits, "BUNDLE_POLICIES", 1)
    for bundle, code in zip(bundles, ("policies-proved", "ancestry-proved"), strict=True):
        (failure,) = failures(verify_bundle(bundle, trusting(node)))
        assert failure.code == code


def test_a_policy_whose_parent_is_left_out_is_found() -> None:
    namespace = bound()
    namespace.amend(signers={**SIGNERS, "carol": EVERYTHING}, thresholds=STABLE)
    namespace.amend(signers={**SIGNERS, "carol": EVERYTHING, "dave": EVERYTHING}, thresholds=STABLE)
    hidden = namespace.latest.prev
    liar = Liar(known=lambda known: {cid: item for cid, item in known.items() if cid != hidden})
    assert told(namespace, liar, "acme/app") == "policies-proved"


def test_what_waited_before_the_seal_waits_no_more() -> None:
    namespace = acme()
    namespace.bind("app:stable", A)
    before = namespace.derive().pending
    namespace.amend(signers=SIGNERS, thresholds=STABLE, seal=namespace.seal_tree())
    assert told(namespace, Liar(pending=lambda derived: before), "acme/app:stable") == "pending-proved"


def test_a_signer_of_other_names_is_found() -> None:
    namespace = acme(signers={"alice": EVERYTHING, "bob": (("lib",), ("*",))}, thresholds=[])
    namespace.bind("app", A, by=("alice", "bob"))

    def both(derived: Derived) -> dict[str, tuple[Candidate, ...]]:
        return {
            path: tuple(replace(item, standing=replace(item.standing, positions=(0, 1))) for item in found)
            for path, found in derived.current.items()
        }

    assert told(namespace, Liar(current=both), "acme/app") == "name-proved"


def test_a_consumer_policy_nobody_asked_for_is_found() -> None:
    node = sealed_world()
    pack = make_consumer_policy()
    contents = decode_contents(make_bundle([node.resolve("acme/app:stable")], node))
    contents.objects[pack.id] = pack.bytes
    (failure,) = failures(verify_bundle(resigned(node, contents, consumer_policy=pack.id), trusting(node)))
    assert failure.code == "consumer-policy-read"
