"""Bounds that keep whatever is committed within what a tree value may hold, and what is demanded within reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from holo.core.binding import parse_binding
from holo.core.cid import CBOR, RAW, Cid
from holo.core.envelope import make_statement
from holo.core.errors import Rejected
from holo.core.limits import (
    ENDORSEMENTS_PER_RECORD,
    OIDC_CLAIM_BYTES,
    POLICY_ENDORSERS,
    ROOT_KEYS,
    SIGNERS,
    SOURCE_BYTES,
)
from holo.core.limits import TREE_VALUE_BYTES as VALUE_BYTES
from holo.core.policy import Policy, counted_keys, parse_policy
from holo.core.state import Cited, cited_value, endorsers_value, shown_pending
from holo.core.tree_node import encode_value
from tests.records import binding_record, content, kid, policy_record


def many(prefix: str, number: int = ROOT_KEYS) -> tuple[str, ...]:
    return tuple(f"{prefix}{index}" for index in range(number))


def chain_of_recoveries(length: int) -> list[Policy]:
    """Policies, the latest first, each with 32 recovery keys and 32 roots of its own."""
    policies: list[Policy] = []
    for seq in range(length):
        made = policy_record(
            "acme",
            policies[0] if policies else None,
            roots=many(f"root{seq}."),
            recovery=many(f"recovery{seq}."),
        )
        policies.insert(0, parse_policy(made.statement))
    return policies


def test_the_keys_a_policy_needs_always_count() -> None:
    child, parent, *older = chain_of_recoveries(5)
    counted = counted_keys(child, [parent, *older])
    assert counted == {*child.roots.keys, *parent.roots.keys, *parent.recovery.keys}
    assert len(counted) == POLICY_ENDORSERS == ENDORSEMENTS_PER_RECORD


def test_recovery_keys_of_nearer_ancestors_count_first() -> None:
    policies: list[Policy] = []
    for seq in range(6):
        made = policy_record("acme", policies[0] if policies else None, recovery=many(f"recovery{seq}.", 20))
        policies.insert(0, parse_policy(made.statement))
    child, *ancestors = policies
    counted = counted_keys(child, ancestors)
    assert len(counted) == POLICY_ENDORSERS  # 1 root, 4 x 20 recovery keys, 15 of the last
    whole = [key for ancestor in ancestors[:4] for key in ancestor.recovery.keys]
    assert counted == {*child.roots.keys, *whole, *ancestors[4].recovery.keys[:15]}


def test_the_endorsers_of_a_policy_fit_a_tree_value() -> None:
    kids = [kid(name) for name in many("k", POLICY_ENDORSERS)]
    assert len(encode_value(endorsers_value(kids))) <= VALUE_BYTES


@pytest.mark.parametrize("signers", [1, 2, 23, 24, 100, SIGNERS])
def test_all_that_is_shown_as_pending_fits_a_tree_value_and_the_rest_waits_behind(signers: int) -> None:
    waiting = [(Cited(content(str(number)), tuple(range(signers))), signers) for number in range(200)]
    shown = shown_pending(waiting)
    assert shown == [cited for cited, _ in waiting[: len(shown)]]
    assert len(encode_value(cited_value(shown))) <= VALUE_BYTES
    assert len(encode_value(cited_value(cited for cited, _ in waiting[: len(shown) + 1]))) > VALUE_BYTES
    assert shown_pending(waiting[:5]) == shown[:5]


def test_where_pending_is_cut_does_not_depend_on_how_many_signed() -> None:
    few = [(Cited(content(str(number)), (number % 20,)), 30) for number in range(200)]
    many = [(Cited(cited.statement, tuple(range(30))), 30) for cited, _ in few]
    assert [item.statement for item in shown_pending(few)] == [item.statement for item in shown_pending(many)]


def policy_value(**fields: Any) -> Mapping[str, Any]:
    return {**policy_record("acme").statement.value, **fields}


def refused(value: Mapping[str, Any]) -> str | None:
    with pytest.raises(Rejected) as caught:
        parse_policy(make_statement(value))
    assert caught.value.code == "field-invalid"
    return caught.value.at


def test_a_threshold_beyond_what_a_record_can_carry_is_refused() -> None:
    most = {"tags": ["*"], "count": ENDORSEMENTS_PER_RECORD}
    assert parse_policy(make_statement(policy_value(thresholds=[most]))).threshold_for("x") == ENDORSEMENTS_PER_RECORD
    more = {"tags": ["*"], "count": ENDORSEMENTS_PER_RECORD + 1}
    assert refused(policy_value(thresholds=[more])) == "payload.thresholds[0].count"


@pytest.mark.parametrize("codec", [RAW, CBOR])
def test_a_seal_is_a_link_to_a_tree(codec: int) -> None:
    prev = policy_record("acme").statement.id
    assert refused(policy_value(seq=1, prev=prev, seal=Cid.of(codec, b""))) == "payload.seal"


def test_the_bound_on_a_claim_counts_bytes_not_characters() -> None:
    def rule(value: str) -> dict[str, Any]:
        return {"issuer": "i", "audience": "a", "key": bytes(kid("ci")), "claims": {"sub": value}}

    parse_policy(make_statement(policy_value(oidc=[rule("x" * (OIDC_CLAIM_BYTES - 3))])))
    assert refused(policy_value(oidc=[rule("ü" * (OIDC_CLAIM_BYTES - 3))])) == "payload.oidc[0].claims"


def test_the_bound_on_a_source_counts_bytes_not_characters() -> None:
    value = dict(binding_record(content("genesis"), content("policy"), "acme/app:dev", content("x")).statement.value)
    parse_binding(make_statement({**value, "source": {"ref": "x" * (SOURCE_BYTES - 3)}}))
    with pytest.raises(Rejected) as caught:
        parse_binding(make_statement({**value, "source": {"ref": "ü" * (SOURCE_BYTES // 2)}}))
    assert (caught.value.code, caught.value.at) == ("field-invalid", "payload.source")
