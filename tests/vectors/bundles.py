"""Vectors of sections 4.4 and 4.5: bundles, whole, damaged and lying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from holo.core.bundle import make_bundle, verify_bundle
from holo.core.bundle_contents import Contents, decode_contents, encode_contents
from holo.core.cid import Cid
from holo.core.consumer import make_consumer_policy
from holo.core.head import Anchors
from holo.core.keys import Kid, did_of
from holo.core.receipt import ResolveReceipt, make_resolve_receipt, open_receipt
from tests.records import EVERYTHING, content, kid
from tests.reference import Namespace, cited_of
from tests.vectors.form import Group, Json, flipped
from tests.world import Node

ONE, TWO = content("one"), content("two")


def _namespace() -> Namespace:
    namespace = Namespace("acme", signers={"alice": EVERYTHING, "bob": EVERYTHING}, thresholds=[(["stable"], 2)])
    namespace.bind("app:stable", ONE, by=("alice", "bob"))
    namespace.bind("lib", TWO)
    namespace.bind("wait:stable", ONE)
    return namespace


def _plain() -> Node:
    node = Node([_namespace()])
    node.take_head()
    return node


def _sealed() -> Node:
    """A namespace whose second policy seals one of its names, with everything in the log."""
    namespace = _namespace()
    kept = {"app/stable": cited_of(namespace.derive().current["app/stable"])}
    namespace.amend(signers={"bob": EVERYTHING}, seal=namespace.seal_tree(kept))
    namespace.bind("app", TWO, by=("bob",))
    node = Node([namespace])
    for record in namespace.records:
        if record.statement.type == "policy":
            node.log_policy(record, namespace.genesis.id)
        elif len(record.endorsements) < 2 and record.statement.value["tag"] == "stable":
            node.log_binding(record, "pending")
        else:
            node.log_binding(record)
    node.log_denial(namespace.records[1], "binding-conflict")
    node.take_head()
    return node


def bundles() -> Group:
    """The group."""
    group = Group(
        "bundles",
        "Bundles (4.4, 4.5): what verifying one gives, with these anchors. `checks` are those of 4.5 that are not ok, "
        "each with its verdict, in the order of their codes.",
    )
    node = _plain()
    trusted: dict[str, Any] = {"nodes": [node.kid]}
    for name, receipt in (
        ("resolved", node.resolve("acme/app:stable")),
        ("not-found", node.resolve("acme/absent")),
        ("not-hosted", node.resolve("globex/app")),
        ("pending", node.resolve("acme/wait:stable")),
        ("policy-unknown", node.resolve("acme/app:stable", TWO)),
    ):
        _add(group, name, make_bundle([receipt], node), **trusted)
    strict = node.keep_consumer_policy(make_consumer_policy(min_signers=2, agreeing=2))
    _add(group, "agreement-missing", make_bundle([node.resolve("acme/app:stable", strict.id)], node), **trusted)
    plain = make_bundle([node.resolve("acme/app:stable")], node)
    _add(group, "no-anchor", plain)
    _add(group, "another-node-trusted", plain, nodes=[kid("stranger")])
    _add(group, "genesis-trusted", plain, genesis=[node.namespaces[0].genesis.id])
    absent = make_bundle([node.resolve("acme/absent")], node)
    _add(group, "absence-takes-a-node", absent, genesis=[node.namespaces[0].genesis.id])
    sealed = _sealed()
    _add(group, "after-a-seal", make_bundle([sealed.resolve("acme/app:stable")], sealed), nodes=[sealed.kid])
    _add(group, "sealed-out", make_bundle([sealed.resolve("acme/lib")], sealed), nodes=[sealed.kid])
    _add(group, "logged-receipts", make_bundle(sealed.receipts, sealed), nodes=[sealed.kid])
    _damaged(group, plain, node)
    _lying(group, plain, node)
    return group


def _add(
    group: Group, name: str, data: bytes, nodes: list[Kid] | None = None, genesis: list[Cid] | None = None
) -> None:
    result = verdict(data, nodes or [], genesis or [])
    assert result["result"] != "bad", (name, result)
    group.valid(name, "verify-bundle", result, **_input(data, nodes or [], genesis or []))


def _input(data: bytes, nodes: list[Kid], genesis: list[Cid]) -> dict[str, Json]:
    return {"bundle": data.hex(), "nodes": [did_of(who) for who in nodes], "genesis": [str(cid) for cid in genesis]}


def verdict(data: bytes, nodes: list[Kid], genesis: list[Cid]) -> dict[str, Any]:
    """The result of verifying, as vectors give it."""
    report = verify_bundle(data, Anchors(frozenset(nodes), frozenset(genesis)))
    checks = sorted({(check.code, check.verdict) for check in report.checks if check.verdict != "ok"})
    return {"result": report.result, "checks": [list(check) for check in checks]}


def _damaged(group: Group, good: bytes, node: Node) -> None:
    def damaged(name: str, code: str, change: str, alter: Callable[[Contents], None]) -> None:
        contents = decode_contents(good)
        alter(contents)
        _bad(group, name, code, change, encode_contents(contents), node)

    contents = decode_contents(good)
    for part in ("heads", "logs", "objects"):
        first = sorted(getattr(contents, part))[0]
        change = f"the first of {part} is missing"
        damaged(f"without-one-of-{part}", "bundle-invalid", change, lambda c, p=part, f=first: getattr(c, p).pop(f))  # type: ignore[misc]
    statement = sorted(contents.payloads)[0]

    def without_record(contents: Contents) -> None:
        del contents.payloads[statement], contents.signatures[statement]

    damaged("without-one-of-records", "bundle-invalid", "the first record is missing", without_record)

    def without_signature(contents: Contents) -> None:
        signatures = next(pairs for pairs in contents.signatures.values() if len(pairs) == 2)
        signatures.pop(sorted(signatures)[0])

    damaged("without-a-signature", "not-found", "one signature is missing", without_signature)

    def spoiled_signature(contents: Contents) -> None:
        signatures = next(pairs for pairs in contents.signatures.values() if len(pairs) == 2)
        who = sorted(signatures)[0]
        signatures[who] = flipped(signatures[who], -1)

    damaged("spoiled-signature", "signature-invalid", "one bit of a signature", spoiled_signature)

    def spoiled_receipt(contents: Contents) -> None:
        (receipt,) = contents.receipts
        contents.receipts[receipt] = flipped(contents.receipts[receipt], -1)

    damaged("spoiled-receipt", "signature-invalid", "one bit of the receipt's signature", spoiled_receipt)

    def added(contents: Contents) -> None:
        data = make_consumer_policy().bytes
        contents.objects[make_consumer_policy().id] = data

    damaged("something-more", "bundle-invalid", "an object that proves nothing here", added)

    def more_signatures(contents: Contents) -> None:
        pairs = next(pairs for pairs in contents.signatures.values() if len(pairs) == 2)
        pairs[kid("mallory")] = bytes(64)

    damaged("one-signature-more", "bundle-invalid", "a signature that nobody reads", more_signatures)
    _bad(group, "trailing-byte", "cbor-invalid", "a byte more", good + b"\0", node)
    _bad(group, "cut", "cbor-invalid", "without its last byte", good[:-1], node)


def _lying(group: Group, good: bytes, node: Node) -> None:
    """Bundles in which every signature is good and what the receipt says does not follow."""

    def told(name: str, change: str, **changes: Any) -> None:
        contents = decode_contents(good)
        (receipt,) = (open_receipt(envelope) for envelope in contents.receipts.values())
        assert isinstance(receipt, ResolveReceipt)
        statement = make_resolve_receipt(
            node=node.kid, at_ms=receipt.at_ms, catalog=receipt.catalog, head=receipt.head,
            decision=replace(receipt.decision, **changes),
        )  # fmt: skip
        contents.receipts = {statement.id: node.sign(statement)}
        _bad(group, name, "bundle-invalid", change, encode_contents(contents), node)

    told("another-content", "the decision names another content", cid=TWO)
    told("another-outcome", "the decision says not-found", outcome="not-found")
    told("a-flag-more", "the decision is flagged as forked", flags=("forked",))
    told("another-policy", "the decision names another policy", policy=TWO)
    told("no-steps-but-one", "all steps but the first are missing", steps=_first_step(good))


def _first_step(good: bytes) -> Any:
    (envelope,) = decode_contents(good).receipts.values()
    receipt = open_receipt(envelope)
    assert isinstance(receipt, ResolveReceipt)
    return receipt.decision.steps[:1]


def _bad(group: Group, name: str, code: str, change: str, data: bytes, node: Node) -> None:
    assert verdict(data, [node.kid], [])["result"] == "bad", name
    group.invalid(name, "verify-bundle", code, "resolved", change, **_input(data, [node.kid], []))
