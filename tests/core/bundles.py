"""Worlds to bundle, and tools to take bundles apart."""

from __future__ import annotations

from typing import Any

from holo.core.bundle import make_bundle, verify_bundle
from holo.core.bundle_contents import Contents
from holo.core.consumer import make_consumer_policy
from holo.core.head import Anchors
from holo.core.report import Check, Report
from tests.reference import cited_of
from tests.world import EVERYTHING, Namespace, Node, content

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
    """The node, after it signed a head."""
    node.take_head()
    return node


def renamed(node: Node, name: str) -> Node:
    """The same world behind another key."""
    return with_head(Node(node.namespaces, name=name))
