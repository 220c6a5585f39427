"""Bundles of receipts and heads that misreport, and of sources that do not give what they should."""

from __future__ import annotations

from typing import Any

import pytest

from holo.core.bundle import make_bundle, verify_bundle
from holo.core.bundle_contents import decode_contents, encode_contents
from holo.core.decision import Decision
from holo.core.envelope import make_statement
from holo.core.errors import HoloError, Missing
from holo.core.receipt import make_resolve_receipt, open_receipt
from tests.core.bundles import (
    A,
    B,
    acme,
    failures,
    merged,
    renamed,
    sealed_world,
    trusting,
)
from tests.world import Namespace, Node, kid


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
    with pytest.raises(HoloError) as error:
        make_bundle([mine.sign(statement)], theirs)
    assert error.value.code == "receipt-invalid"


def test_a_receipt_that_cites_another_catalog_is_found() -> None:
    node = sealed_world()
    decision: Decision = node.decide("acme/app:stable")
    statement = make_resolve_receipt(node=node.kid, at_ms=0, decision=decision, catalog=A, head=node.newest.id)
    with pytest.raises(HoloError) as error:
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
    with pytest.raises(HoloError) as error:
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
    with pytest.raises(HoloError) as error:
        make_bundle([forged], node)
    assert error.value.code in ("receipt-invalid", "not-found")
    assert error.value.at is not None


def test_a_head_is_no_receipt_to_bundle() -> None:
    node = sealed_world()
    with pytest.raises(HoloError) as error:
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
    with pytest.raises(HoloError) as error:
        make_bundle([receipt], node)
    assert error.value.code == "cid-mismatch"


def misreported(node: Node, envelope: bytes, **changes: Any) -> HoloError:
    """The refusal of a receipt that is logged like `envelope` but says something else."""
    value = {**open_receipt(envelope).statement.value, "seq": len(node.receipts), **changes}
    forged = node.append(make_statement(value))
    node.take_head()
    with pytest.raises(HoloError) as error:
        make_bundle([forged], node)
    assert error.value.at
    return error.value


def test_a_receipt_of_another_log_is_found() -> None:
    node = sealed_world()
    assert misreported(node, node.receipts[1], log=A).code == "log-invalid"


def test_a_receipt_with_another_seq_is_found() -> None:
    node = sealed_world()
    assert misreported(node, node.receipts[1], seq=0).code == "log-invalid"


@pytest.mark.parametrize("changes", [{"policy_seq": 5}, {"ns": "evil"}, {"genesis": A}], ids=str)
def test_a_policy_receipt_that_misreports_its_policy_is_found(changes: dict[str, Any]) -> None:
    node = sealed_world()
    assert misreported(node, node.receipts[0], **changes).code == "receipt-invalid"


def test_a_policy_receipt_that_invents_an_endorser_is_found() -> None:
    node = sealed_world()
    kids = sorted(bytes(kid(name)) for name in ("root", "recovery"))
    assert misreported(node, node.receipts[0], endorsers=kids).code == "not-found"


def test_an_endorser_who_may_not_write_counts_for_nothing() -> None:
    namespace = acme()
    namespace.bind("app", A, by=("alice", "mallory"))
    node = Node([namespace])
    envelope = node.log_binding(namespace.records[-1])
    node.take_head()
    with pytest.raises(HoloError) as error:
        make_bundle([envelope], node)
    assert error.value.code == "receipt-invalid"


def test_a_binding_under_another_namespaces_policy_is_found() -> None:
    namespace, other = acme(), Namespace("beta")
    namespace.bind("app", A, policy=other.genesis)
    node = Node([namespace, other])
    envelope = node.log_binding(namespace.records[-1])
    node.take_head()
    with pytest.raises(HoloError) as error:
        make_bundle([envelope], node)
    assert error.value.code == "policy-foreign"


def test_a_source_that_gives_another_head_is_caught() -> None:
    node = sealed_world()
    receipt, cited = node.resolve("acme/app:stable"), node.newest.id
    node.at_ms += 1
    node.take_head()
    node.heads[cited] = node.heads[node.newest.id]
    with pytest.raises(HoloError) as error:
        make_bundle([receipt], node)
    assert (error.value.code, error.value.at) == ("bundle-invalid", f"head {cited}")
