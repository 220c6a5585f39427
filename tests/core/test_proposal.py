"""Proposals: what is missing is counted, and what is wrong is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest

from holo.core import codec, limits
from holo.core.errors import Rejected
from holo.core.policy import Policy, parse_policy
from holo.core.proposal import Proposal, carried_nodes, decode_proposal, encode_proposal
from tests.records import EVERYTHING, kid, policy_record

THREE: dict[str, Any] = {"roots": ("a", "b", "c"), "root_threshold": 2}
GENESIS = parse_policy(policy_record("acme", **THREE).statement)


def proposed(by: tuple[str, ...], parent: Policy | None = GENESIS, **fields: Any) -> Proposal:
    record = policy_record("acme", parent, **{**THREE, **fields}, by=by)
    return Proposal(parse_policy(record.statement), parent, record.endorsements)


def altered(**changes: Any) -> bytes:
    data = encode_proposal(proposed(("a",)))
    return codec.encode({**codec.decode(data, limits.PROPOSAL_BYTES), **changes})


def test_what_is_missing_is_counted() -> None:
    needs = [(item.whose, item.have, item.keys.threshold) for item in proposed(("a",)).needs()]
    assert needs == [("roots", 1, 2)]
    assert proposed(("a",)).awaited() == [kid("b"), kid("c")]
    assert not proposed(("a",)).complete
    assert proposed(("a", "c")).complete
    assert proposed(("a", "c")).awaited() == []
    assert [item.whose for item in proposed((), None).needs()] == ["roots"]
    changed = proposed(("a", "b"), roots=("a", "d"))
    assert [(item.whose, item.have, item.met) for item in changed.needs()] == [
        ("roots", 2, True),
        ("new roots", 1, False),
        ("recovery", 0, False),
    ]
    assert changed.awaited() == [kid("d"), kid("recovery")]


@pytest.mark.parametrize("by", [(), ("a",), ("a", "b", "c")])
@pytest.mark.parametrize("parent", [None, GENESIS])
def test_a_proposal_survives_its_bytes(by: tuple[str, ...], parent: Policy | None) -> None:
    proposal = proposed(by, parent)
    assert decode_proposal(encode_proposal(proposal)) == proposal


OTHER = policy_record("acme", signers={"bob": EVERYTHING}).statement.bytes
WRONG = policy_record("acme", GENESIS, signers={}, by=("a",), **THREE)


@pytest.mark.parametrize(
    ("changes", "code", "at"),
    [
        ({"type": "policy"}, "type-mismatch", "payload.type"),
        ({"extra": 1}, "field-unknown", "proposal.extra"),
        ({"policy": None}, "field-invalid", "proposal.policy"),
        ({"parent": None}, "policy-parent-unknown", "proposal.parent"),
        ({"parent": OTHER}, "policy-parent-unknown", "proposal.parent"),
        ({"policy": WRONG.statement.bytes, "endorsements": []}, "policy-seal-required", "payload.signers"),
        ({"endorsements": [[bytes(kid("a")), bytes(64)]]}, "signature-invalid", "proposal.endorsements[0]"),
        ({"endorsements": [[bytes(kid("a")), b""]]}, "field-invalid", "proposal.endorsements[0]"),
        ({"endorsements": [[b"", bytes(64)]]}, "key-invalid", None),
        ({"endorsements": [1] * 97}, "field-invalid", "proposal.endorsements"),
        ({"nodes": [bytes(limits.NODE_BYTES + 1)]}, "field-invalid", "proposal.nodes"),
    ],
)
def test_what_is_wrong_is_refused(changes: dict[str, Any], code: str, at: str | None) -> None:
    assert decode_proposal(altered()).awaited()  # noqa: PGH005 no mock
    with pytest.raises(Rejected) as caught:
        decode_proposal(altered(**changes))
    assert (caught.value.code, caught.value.at) == (code, at)


@pytest.mark.parametrize("order", [(1, 0), (0, 0, 1), (0, 1, 1)])
def test_endorsements_are_in_order_of_kid_each_once(order: tuple[int, ...]) -> None:
    value = codec.decode(encode_proposal(proposed(("a", "b"))), limits.PROPOSAL_BYTES)
    pairs = value["endorsements"]
    assert len(pairs) == 2
    with pytest.raises(Rejected) as caught:
        decode_proposal(codec.encode({**value, "endorsements": [pairs[at] for at in order]}))
    assert caught.value.code == "field-invalid"
    assert (caught.value.at or "").startswith("proposal.endorsements[")


def test_it_stays_small_enough_to_send() -> None:
    small, large = [bytes(9)], [bytes(1 << 20)] * 5
    assert carried_nodes(small, []) == tuple(small)
    assert carried_nodes(large, small) == tuple(small)
    with pytest.raises(Rejected, match="too-large"):
        encode_proposal(Proposal(GENESIS, None, {}, tuple(large)))
