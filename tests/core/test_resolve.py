"""Resolving: each outcome with its steps, the reader's demands, and the same bytes from the same state."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import limits
from holo.core.cid import Cid
from holo.core.consumer import make_consumer_policy, parse_consumer_policy
from holo.core.decision import OUTCOMES, SENTENCES, Decision, Query, Step, decode_decision, explain
from holo.core.names import Name
from holo.core.resolve import NamespaceView, decide
from tests.reference import cited_of
from tests.world import EVERYTHING, Namespace, content, kid

PLAIN = (
    "namespace-hosted",
    "policy-ref-known",
    "policy-effective",
    "name-bound",
    "name-settled",
    "threshold-met",
    "content-bound",
)
SIGNERS = {"alice": EVERYTHING, "bob": EVERYTHING, "carol": EVERYTHING}
A, B = content("a"), content("b")


def acme() -> Namespace:
    return Namespace("acme", signers=SIGNERS, thresholds=[(["stable"], 2)])


def ask(namespace: Namespace, name: str, policy_ref: Cid | None = None, /, **demands: object) -> Decision:
    """The decision about a name; with `demands` the query names the consumer policy that makes them."""
    consumer = parse_consumer_policy(make_consumer_policy(**demands)) if demands else None  # type: ignore[arg-type]
    parsed = Name.parse(name)
    query = Query(parsed, consumer.id if consumer else policy_ref)
    return decide(query, namespace.derive().view(parsed.path), consumer)


def failed(decision: Decision) -> Step:
    """The one step that does not hold, which is the last."""
    assert [step.ok for step in decision.steps] == [True] * (len(decision.steps) - 1) + [False]
    return decision.steps[-1]


def test_a_plain_name_resolves_by_seven_rules() -> None:
    namespace = acme()
    binding = namespace.bind("app:stable", A, by=("alice", "bob"))
    decision = ask(namespace, "acme/app:stable")
    assert (decision.outcome, decision.flags) == ("resolved", ())
    assert (decision.statement, decision.cid) == (binding.id, A)
    assert (decision.genesis, decision.policy, decision.consumer_policy) == (
        namespace.genesis.id, namespace.genesis.id, None,
    )  # fmt: skip
    assert decision.steps == (
        Step("namespace-hosted", namespace.genesis.id, True),
        Step("policy-ref-known", None, True),
        Step("policy-effective", namespace.genesis.id, True, 0),
        Step("name-bound", binding.id, True, 1),
        Step("name-settled", binding.id, True, 1),
        Step("threshold-met", namespace.genesis.id, True, 2),
        Step("content-bound", A, True),
    )


def test_the_payload_of_a_decision() -> None:
    namespace = acme()
    binding = namespace.bind("app", A)
    pack = make_consumer_policy()
    decision = ask(namespace, f"acme/app@{A}", min_signers=1)
    statement = decision.as_statement()
    value = statement.value
    assert value["query"] == {"ns": "acme", "handle": "app", "tag": "latest", "cid": A, "policy_ref": pack.id}
    assert {**value, "query": None, "steps": None} == {
        "v": 1,
        "type": "decision",
        "query": None,
        "genesis": namespace.genesis.id,
        "policy": namespace.genesis.id,
        "consumer_policy": pack.id,
        "steps": None,
        "outcome": "resolved",
        "flags": [],
        "statement": binding.id,
        "cid": A,
    }
    assert value["steps"][0] == {"code": "namespace-hosted", "subject": namespace.genesis.id, "ok": True}
    assert value["steps"][3] == {"code": "policy-effective", "subject": namespace.genesis.id, "ok": True, "n": 0}
    assert decode_decision(statement.bytes) == decision


def test_a_yank_is_a_visible_answer() -> None:
    namespace = acme()
    namespace.bind("app", A)
    yank = namespace.bind("app", None, rev=2)
    decision = ask(namespace, "acme/app")
    assert (decision.outcome, decision.statement, decision.cid) == ("yanked", yank.id, None)
    assert failed(decision) == Step("content-bound", None, False)
    assert ask(namespace, f"acme/app@{A}").outcome == "yanked"


def test_what_is_not_there() -> None:
    namespace = acme()
    decision = ask(namespace, "acme/app")
    assert (decision.outcome, decision.statement, decision.cid) == ("not-found", None, None)
    assert failed(decision) == Step("name-bound", None, False, 0)
    nowhere = decide(Query(Name.parse("globex/app")), None, None)
    assert (nowhere.outcome, nowhere.genesis, nowhere.policy) == ("not-found", None, None)
    assert nowhere.steps == (Step("namespace-hosted", None, False),)


def test_what_waits_for_signatures() -> None:
    namespace = acme()
    namespace.bind("app:stable", A)
    namespace.bind("app:stable", B, by=("carol",))
    decision = ask(namespace, "acme/app:stable")
    assert (decision.outcome, decision.statement) == ("pending", None)
    assert failed(decision) == Step("name-bound", None, False, 2)
    namespace.bind("app:stable", A, by=("bob", "alice"))
    assert ask(namespace, "acme/app:stable").outcome == "resolved"


def test_two_signers_fork_and_the_first_in_the_policy_leads() -> None:
    namespace = acme()
    namespace.bind("app", B, by=("bob",))
    first = namespace.bind("app", A, by=("alice",))
    decision = ask(namespace, "acme/app")
    assert (decision.outcome, decision.flags, decision.statement) == ("resolved", ("forked",), first.id)
    assert decision.steps[4] == Step("name-settled", first.id, True, 2)
    refused = ask(namespace, "acme/app", min_signers=1)
    assert (refused.outcome, refused.flags, failed(refused).code) == ("refused", ("forked",), "consumer-forks")
    assert ask(namespace, "acme/app", allow_forks=True).outcome == "resolved"
    namespace.bind("app", B, rev=2, by=("carol",))
    assert (ask(namespace, "acme/app").cid, ask(namespace, "acme/app").flags) == (B, ())


def test_one_signer_saying_two_things_holds_the_name() -> None:
    namespace = acme()
    namespace.bind("app", A)
    namespace.bind("app", B)
    decision = ask(namespace, "acme/app")
    assert (decision.outcome, decision.statement, decision.cid, decision.flags) == ("held", None, None, ())
    assert (failed(decision).code, failed(decision).n) == ("name-settled", 2)


def test_rival_policies_hold_the_namespace() -> None:
    namespace = acme()
    namespace.bind("app", A)
    for signer in ("alice", "bob"):
        namespace.amend(namespace.genesis, signers={**SIGNERS, f"more-{signer}": EVERYTHING})
    decision = ask(namespace, "acme/app")
    assert (decision.outcome, decision.statement, decision.policy) == ("held", None, namespace.genesis.id)
    assert failed(decision) == Step("policy-effective", namespace.genesis.id, False)


def test_an_incomplete_seal_holds_the_namespace() -> None:
    namespace = acme()
    namespace.bind("app", A)
    root = namespace.seal_tree(learn=False)
    sealing = namespace.amend(signers={"bob": EVERYTHING}, seal=root)
    decision = ask(namespace, "acme/app", sealing.id)
    assert (decision.outcome, decision.policy) == ("held", namespace.genesis.id)
    assert failed(decision) == Step("policy-effective", sealing.id, False)
    assert namespace.seal_tree() == root
    assert ask(namespace, "acme/app", sealing.id).outcome == "resolved"


def test_a_sealed_name_outlives_its_signer() -> None:
    namespace = acme()
    kept = namespace.bind("app", A)
    namespace.bind("lib", A)
    root = namespace.seal_tree({"app/latest": cited_of(namespace.derive().current["app/latest"])})
    namespace.amend(signers={"bob": EVERYTHING}, seal=root)
    assert ask(namespace, "acme/app").statement == kept.id
    assert ask(namespace, "acme/lib").outcome == "not-found"


@pytest.mark.parametrize("more", [{}, {"min_signers": 2}])
def test_a_pin_is_the_content_or_a_refusal(more: dict[str, int]) -> None:
    namespace = acme()
    namespace.bind("app", A, by=("alice", "bob"))
    assert ask(namespace, f"acme/app@{A}", **more).outcome == "resolved"
    decision = ask(namespace, f"acme/app@{B}", **more)
    assert (decision.outcome, decision.cid, decision.statement) == ("refused", None, None)
    assert failed(decision) == Step("pin-matched", B, False)


def test_which_policies_may_be_asked_for() -> None:
    namespace = acme()
    namespace.bind("app", A)
    second = namespace.amend(signers={**SIGNERS, "dave": EVERYTHING}, thresholds=[(["stable"], 2)])
    third = namespace.amend(signers={**SIGNERS, "dave": EVERYTHING, "eve": EVERYTHING}, thresholds=[(["stable"], 2)])
    for ref in (namespace.genesis.id, third.id):
        decision = ask(namespace, "acme/app", ref)
        assert (decision.outcome, decision.steps[1]) == ("resolved", Step("policy-ref-known", ref, True))
        assert tuple(step.code for step in decision.steps) == PLAIN
    superseded = ask(namespace, "acme/app", second.id)
    assert (superseded.outcome, failed(superseded)) == ("refused", Step("policy-superseded", second.id, False))
    unknown = ask(namespace, "acme/app", content("?"))
    assert (unknown.outcome, failed(unknown)) == ("policy-unknown", Step("policy-ref-known", content("?"), False))


def test_the_losing_rival_is_refused_like_a_superseded_policy() -> None:
    namespace = acme()
    loser = namespace.amend(namespace.genesis, signers={**SIGNERS, "dave": EVERYTHING}, thresholds=[(["stable"], 2)])
    winner = namespace.amend(
        namespace.genesis,
        signers={**SIGNERS, "eve": EVERYTHING},
        thresholds=[(["stable"], 2)],
        by=("root", "recovery"),
    )
    namespace.bind("app", A)
    assert ask(namespace, "acme/app", winner.id).outcome == "resolved"
    assert failed(ask(namespace, "acme/app", loser.id)).code == "policy-superseded"


@pytest.mark.parametrize(
    ("demands", "failing"),
    [
        ({"min_signers": 2}, None),
        ({"min_signers": 3}, "consumer-signers"),
        ({"min_signers": 2, "deny_signers": [kid("bob")]}, "consumer-signers"),
        ({"deny_signers": [kid("bob")]}, None),
        ({"allow_signers": [kid("alice"), kid("carol")], "min_signers": 1}, None),
        ({"allow_signers": [kid("carol")]}, "consumer-signers"),
        ({"allow_cids": [A]}, None),
        ({"allow_cids": [B]}, "consumer-content"),
        ({"deny_cids": [A]}, "consumer-content"),
        ({"genesis": {"acme": B}}, "consumer-genesis"),
        ({"genesis": {"globex": B}}, None),
        ({"agreeing": 5}, None),  # no node can judge that
    ],
)
def test_what_readers_demand(demands: dict[str, object], failing: str | None) -> None:
    namespace = acme()
    namespace.bind("app", A, by=("alice", "bob"))
    decision = ask(namespace, "acme/app", **demands)
    if failing is None:
        assert (decision.outcome, decision.cid) == ("resolved", A)
        assert [step.code for step in decision.steps] == [
            "namespace-hosted",
            "policy-ref-known",
            "consumer-genesis",
            *PLAIN[2:6],
            "consumer-forks",
            "consumer-signers",
            "content-bound",
            "consumer-content",
        ]
    else:
        assert (decision.outcome, decision.cid, decision.statement) == ("refused", None, None)
        assert failed(decision).code == failing


def test_a_tombstone_needs_the_demanded_signers_too() -> None:
    namespace = acme()
    namespace.bind("app", None)
    assert ask(namespace, "acme/app", min_signers=2).outcome == "refused"
    assert ask(namespace, "acme/app", deny_cids=[A]).outcome == "yanked"


def test_a_state_that_breaks_its_own_threshold_is_not_followed() -> None:
    namespace = acme()
    namespace.bind("app:stable", A, by=("alice", "bob"))
    view = namespace.derive().view("app/stable")
    (candidate,) = view.current
    forged = replace(candidate, standing=replace(candidate.standing, positions=(0,)))
    decision = decide(Query(Name.parse("acme/app:stable")), replace(view, current=(forged,)), None)
    assert (decision.outcome, failed(decision).code) == ("refused", "threshold-met")


@given(st.data())
def test_the_order_in_which_statements_are_given_does_not_matter(data: st.DataObject) -> None:
    namespace = acme()
    for rev in (1, 2):
        for by in (("alice",), ("bob",), ("carol", "bob")):
            namespace.bind("app", data.draw(st.sampled_from([A, B, None])), rev=rev, by=by)
    view = namespace.derive().view("app/latest")
    every = namespace.candidates("app/latest")
    shuffled = replace(view, current=tuple(data.draw(st.permutations(every))))
    query = Query(Name.parse("acme/app"))
    assert decide(query, shuffled, None).as_statement().bytes == decide(query, view, None).as_statement().bytes


def every_decision() -> list[Decision]:
    """Decisions that between them pass and fail every rule."""
    plain = acme()
    plain.bind("app", A, by=("alice", "bob"))
    forked = acme()
    forked.bind("app", A)
    forked.bind("app", B, by=("bob",))
    double = acme()
    double.bind("app", A)
    double.bind("app", B)
    amended = acme()
    second = amended.amend(signers={**SIGNERS, "dave": EVERYTHING}, thresholds=[(["stable"], 2)])
    amended.amend(signers={**SIGNERS, "dave": EVERYTHING, "eve": EVERYTHING}, thresholds=[(["stable"], 2)])
    rivals = acme()
    for name in ("dave", "eve"):
        rivals.amend(rivals.genesis, signers={**SIGNERS, name: EVERYTHING}, thresholds=[(["stable"], 2)])
    waiting = acme()
    waiting.bind("app:stable", A)
    yanked = acme()
    yanked.bind("app", None)
    plain.bind("app:stable", A, by=("alice", "bob"))
    view = plain.derive().view("app/stable")
    (candidate,) = view.current
    broken = replace(view, current=(replace(candidate, standing=replace(candidate.standing, positions=(0,))),))
    return [
        ask(plain, "acme/app"),
        ask(plain, f"acme/app@{A}", min_signers=1),
        ask(plain, f"acme/app@{B}"),
        ask(plain, "acme/app", min_signers=9),
        ask(plain, "acme/app", deny_cids=[A]),
        ask(plain, "acme/app", genesis={"acme": A}),
        ask(plain, "acme/app", A),
        decide(Query(Name.parse("acme/app:stable")), broken, None),
        decide(Query(Name.parse("globex/app")), None, None),
        ask(forked, "acme/app", min_signers=1),
        ask(double, "acme/app"),
        ask(amended, "acme/app", second.id),
        ask(rivals, "acme/app"),
        ask(waiting, "acme/app:stable"),
        ask(yanked, "acme/app"),
    ]


def test_every_rule_can_hold_and_fail_and_has_a_sentence_for_both() -> None:
    decisions = every_decision()
    seen = {(step.code, step.ok) for decision in decisions for step in decision.steps}
    assert seen == {(code, ok) for code in SENTENCES for ok in (True, False)} - {("policy-superseded", True)}
    assert {decision.outcome for decision in decisions} == set(OUTCOMES)
    for decision in decisions:
        for step in decision.steps:
            sentence = explain(step)
            assert "{" not in sentence
            assert step.subject is None or str(step.subject) in sentence or step.code.startswith(("name", "consumer"))


def test_rules_are_applied_in_the_listed_order() -> None:
    order = list(SENTENCES)
    for decision in every_decision():
        at = [order.index(step.code) for step in decision.steps]
        assert at == sorted(set(at))


def test_decisions_survive_their_bytes_and_stay_small() -> None:
    for decision in every_decision():
        data = decision.as_statement().bytes
        assert decode_decision(data) == decision
        assert len(data) < limits.DECISION_BYTES // 4


def test_only_content_that_was_decided_on_is_named() -> None:
    for decision in every_decision():
        assert (decision.cid is not None) == (decision.outcome == "resolved")
        assert (decision.statement is not None) == (decision.outcome in ("resolved", "yanked"))


def test_a_view_needs_no_more_than_membership_of_policies() -> None:
    class OnlyContains:
        def __contains__(self, item: object) -> bool:
            return item == B

    view = NamespaceView(A, A, 0, OnlyContains(), None, (), 0)
    assert failed(decide(Query(Name.parse("acme/app"), B), view, None)).code == "policy-superseded"
    assert failed(decide(Query(Name.parse("acme/app"), content("c")), view, None)).code == "policy-ref-known"
