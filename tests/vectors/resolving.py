"""Vectors of section 4: decisions, and bundles with what verifying them gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holo.core.cid import Cid
from holo.core.consumer import decode_consumer_policy, make_consumer_policy
from holo.core.decision import Query
from holo.core.envelope import Statement, make_statement
from holo.core.keys import did_of
from holo.core.names import Name
from holo.core.resolve import NamespaceView, decide
from tests.records import EVERYTHING, content, kid
from tests.reference import Namespace, cited_of
from tests.vectors import bundles
from tests.vectors.form import Group, Json, changed, dag_json

ONE, TWO, OTHER = content("one"), content("two"), content("other")


def groups() -> Iterator[Group]:
    """Every group of this section."""
    yield _decisions()
    yield bundles.bundles()


def acme(**genesis: Any) -> Namespace:
    """A namespace where alice and bob may sign, and stable needs both."""
    return Namespace("acme", signers={"alice": EVERYTHING, "bob": EVERYTHING}, thresholds=[(["stable"], 2)], **genesis)


def named() -> tuple[Namespace, dict[str, Cid]]:
    """A namespace with names in every state, and its earlier policy."""
    namespace = acme()
    namespace.bind("app", ONE, by=("alice", "bob"))
    namespace.bind("app:stable", ONE, by=("alice", "bob"))
    namespace.bind("gone", None)
    namespace.bind("fork", ONE)
    namespace.bind("fork", TWO, by=("bob",))
    namespace.bind("torn", ONE)
    namespace.bind("torn", TWO)
    namespace.bind("wait:stable", ONE)
    namespace.bind("wait:stable", TWO, by=("bob",))
    signers = {"alice": EVERYTHING, "bob": EVERYTHING, "carol": EVERYTHING}
    older = namespace.amend(signers=signers, thresholds=[(["stable"], 2)])
    namespace.amend(signers={**signers, "dave": EVERYTHING}, thresholds=[(["stable"], 2)])
    return namespace, {"genesis": namespace.genesis.id, "older": older.id, "current": namespace.latest.id}


class _Questions:
    """Adds vectors of one namespace."""

    def __init__(self, group: Group, namespace: Namespace) -> None:
        self._group = group
        self._derived = namespace.derive()

    def ask(
        self,
        case: str,
        outcome: str,
        text: str,
        *,
        ref: Cid | None = None,
        consumer: Statement | None = None,
        hosted: bool = True,
        last: str,
    ) -> None:
        """Add the vector of a question, after seeing that it comes out as expected and at the expected step."""
        name = Name.parse(text)
        view = self._derived.view(name.path) if hosted else None
        query = Query(name, consumer.id if consumer else ref)
        pack = None if consumer is None else decode_consumer_policy(consumer.bytes)
        decision = decide(query, view, pack)
        assert (decision.outcome, decision.steps[-1].code) == (outcome, last), (case, decision)
        statement = decision.as_statement()
        result = {"id": str(statement.id), "value": dag_json(statement.value)}
        self._group.valid(
            case, "decide", result,
            name=text, policy_ref=None if query.policy_ref is None else str(query.policy_ref),
            namespace=None if view is None else _view(view),
            consumer=None if consumer is None else consumer.bytes.hex(),
        )  # fmt: skip


def _view(view: NamespaceView) -> Json:
    return {
        "genesis": str(view.genesis),
        "policy": str(view.policy),
        "policy_seq": view.policy_seq,
        "policies": sorted(str(cid) for cid in view.policies),  # type: ignore[attr-defined]
        "held": None if view.held is None else [view.held[0], str(view.held[1])],
        "current": [
            {
                "id": str(one.standing.id),
                "rev": one.standing.rev,
                "cid": None if one.standing.cid is None else str(one.standing.cid),
                "positions": list(one.standing.positions),
                "policy": one.policy.statement.bytes.hex(),
            }
            for one in view.current
        ],
        "pending": view.pending,
    }


def _decisions() -> Group:
    group = Group(
        "decisions",
        "Decisions (4.2). `namespace` is the state a decision depends on, null where the namespace is not hosted; "
        "`consumer` is the payload of the consumer policy that the reader brought along, or null.",
    )
    namespace, ids = named()
    at = _Questions(group, namespace)
    at.ask("resolved", "resolved", "acme/app", last="content-bound")
    at.ask("resolved-by-two", "resolved", "acme/app:stable", last="content-bound")
    at.ask("pinned", "resolved", f"acme/app@{ONE}", last="pin-matched")
    at.ask("pinned-to-another", "refused", f"acme/app@{OTHER}", last="pin-matched")
    at.ask("by-genesis", "resolved", "acme/app", ref=ids["genesis"], last="content-bound")
    at.ask("by-current-policy", "resolved", "acme/app", ref=ids["current"], last="content-bound")
    at.ask("by-superseded-policy", "refused", "acme/app", ref=ids["older"], last="policy-superseded")
    at.ask("by-unknown-policy", "policy-unknown", "acme/app", ref=OTHER, last="policy-ref-known")
    at.ask("yanked", "yanked", "acme/gone", last="content-bound")
    at.ask("yanked-and-pinned", "yanked", f"acme/gone@{ONE}", last="content-bound")
    at.ask("forked", "resolved", "acme/fork", last="content-bound")
    at.ask("held-name", "held", "acme/torn", last="name-settled")
    at.ask("pending", "pending", "acme/wait:stable", last="name-bound")
    at.ask("not-found", "not-found", "acme/absent", last="name-bound")
    at.ask("not-hosted", "not-found", "acme/app", hosted=False, last="namespace-hosted")
    at.ask("not-hosted-by-policy", "not-found", "acme/app", ref=ids["genesis"], hosted=False, last="namespace-hosted")
    _consumers(at, ids)
    _held(group)
    _bad_decisions(group)
    return group


def _consumers(at: _Questions, ids: dict[str, Cid]) -> None:
    make = make_consumer_policy
    two, fussy = make(min_signers=2), make(min_signers=2, deny_signers=[kid("bob")])
    at.ask("reader-content", "resolved", "acme/app", consumer=make(), last="consumer-content")
    at.ask("reader-and-pin", "resolved", f"acme/app@{ONE}", consumer=make(), last="consumer-content")
    at.ask("reader-two-signers", "resolved", "acme/app", consumer=two, last="consumer-content")
    at.ask(
        "reader-two-signers-unmet",
        "refused",
        "acme/fork",
        consumer=make(min_signers=2, allow_forks=True),
        last="consumer-signers",
    )
    at.ask("reader-denied-signer-does-not-count", "refused", "acme/app", consumer=fussy, last="consumer-signers")
    denying = make(deny_signers=[kid("bob")])
    at.ask("reader-denied-signer-does-not-spoil", "resolved", "acme/app", consumer=denying, last="consumer-content")
    only_bob = make(min_signers=2, allow_signers=[kid("bob"), kid("carol")])
    at.ask("reader-allowed-signers", "refused", "acme/app", consumer=only_bob, last="consumer-signers")
    at.ask("reader-no-forks", "refused", "acme/fork", consumer=make(), last="consumer-forks")
    at.ask("reader-forks", "resolved", "acme/fork", consumer=make(allow_forks=True), last="consumer-content")
    at.ask("reader-denied-content", "refused", "acme/app", consumer=make(deny_cids=[ONE]), last="consumer-content")
    at.ask("reader-allowed-content", "resolved", "acme/app", consumer=make(allow_cids=[ONE]), last="consumer-content")
    both = make(allow_cids=[ONE], deny_cids=[ONE])
    at.ask("reader-denial-wins", "refused", "acme/app", consumer=both, last="consumer-content")
    other = make(allow_cids=[OTHER])
    at.ask("reader-content-not-allowed", "refused", "acme/app", consumer=other, last="consumer-content")
    right, wrong = make(genesis={"acme": ids["genesis"]}), make(genesis={"acme": ids["older"]})
    at.ask("reader-genesis", "resolved", "acme/app", consumer=right, last="consumer-content")
    at.ask("reader-another-genesis", "refused", "acme/app", consumer=wrong, last="consumer-genesis")
    elsewhere = make(genesis={"globex": ids["older"]})
    at.ask("reader-genesis-of-another-name", "resolved", "acme/app", consumer=elsewhere, last="consumer-content")
    at.ask("reader-not-hosted", "not-found", "acme/app", consumer=two, hosted=False, last="namespace-hosted")
    at.ask("reader-yanked", "yanked", "acme/gone", consumer=make(), last="content-bound")


def _held(group: Group) -> None:
    rivals = acme()
    rivals.bind("app", ONE)
    for name in ("carol", "dave"):
        signers = {"alice": EVERYTHING, "bob": EVERYTHING, name: EVERYTHING}
        rivals.amend(rivals.genesis, signers=signers, thresholds=[(["stable"], 2)])
    at = _Questions(group, rivals)
    at.ask("held-by-rivals", "held", "acme/app", last="policy-effective")
    at.ask("held-by-rivals-by-genesis", "held", "acme/app", ref=rivals.genesis.id, last="policy-effective")
    at.ask("held-by-rivals-by-rival", "held", "acme/app", ref=rivals.latest.id, last="policy-effective")
    pinning = make_consumer_policy(genesis={"acme": OTHER})
    at.ask("held-but-another-genesis", "refused", "acme/app", consumer=pinning, last="consumer-genesis")
    sealing = acme()
    sealing.bind("app", ONE)
    kept = {"app/latest": cited_of(sealing.derive().current["app/latest"])}
    sealing.amend(signers={"bob": EVERYTHING}, seal=sealing.seal_tree(kept, learn=False))
    _Questions(group, sealing).ask("held-by-a-seal", "held", "acme/app", last="policy-effective")


def _bad_decisions(group: Group) -> None:
    namespace, _ = named()
    value = dict(
        decide(Query(Name.parse("acme/app")), namespace.derive().view("app/latest"), None).as_statement().value
    )
    statement = make_statement(value)
    result = {"id": str(statement.id), "value": dag_json(value)}
    group.valid("read", "decode-decision", result, bytes=statement.bytes.hex())
    bad: list[tuple[str, str, list[str | int], Any]] = [
        ("step-unknown", "field-invalid", ["steps", 0, "code"], "weather"),
        ("step-without-ok", "field-invalid", ["steps", 0, "ok"], None),
        ("steps-empty", "field-invalid", ["steps"], []),
        ("outcome-unknown", "field-invalid", ["outcome"], "maybe"),
        ("flag-unknown", "field-invalid", ["flags"], ["old"]),
        ("flag-twice", "field-invalid", ["flags"], ["forked", "forked"]),
        ("n-negative", "field-invalid", ["steps", 2, "n"], -1),
        ("query-name-bad", "name-invalid", ["query", "handle"], "App"),
        ("query-field-unknown", "field-unknown", ["query", "more"], 1),
        ("genesis-as-text", "field-invalid", ["genesis"], did_of(kid("alice"))),
        ("version-2", "version-unsupported", ["v"], 2),
        ("other-type", "type-mismatch", ["type"], "binding"),
    ]
    for name, code, path, new in bad:
        data = make_statement(changed(value, path, new)).bytes.hex()
        group.invalid(name, "decode-decision", code, "read", f"{'.'.join(map(str, path))} is changed", bytes=data)
    for name in value:
        if name not in ("v", "type"):
            data = make_statement(changed(value, [name])).bytes.hex()
            group.invalid(f"no-{name}", "decode-decision", "field-missing", "read", f"without {name}", bytes=data)
