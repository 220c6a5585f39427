"""Consumer policy packs: read strictly, and never turned from yes to no by more endorsements."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import limits
from holo.core.cid import Cid
from holo.core.consumer import decode_consumer_policy, make_consumer_policy, parse_consumer_policy
from holo.core.envelope import make_statement
from holo.core.errors import Rejected
from holo.core.keys import Kid
from tests.records import content, kid

NAMES = ("alice", "bob", "carol", "dave")
KIDS = [kid(name) for name in NAMES]
kids = st.frozensets(st.sampled_from(KIDS))


def altered(**changes: Any) -> dict[str, Any]:
    return {**make_consumer_policy().value, **changes}


def test_an_empty_pack_demands_what_the_namespace_does() -> None:
    pack = parse_consumer_policy(make_consumer_policy())
    assert pack.accepts_genesis("acme", content("a"))
    assert pack.accepts_content(content("a"))
    assert (pack.min_signers, pack.agreeing, pack.allow_forks) == (1, 1, False)
    assert pack.counted(KIDS) == len(KIDS)


def test_a_pack_survives_its_bytes() -> None:
    made = make_consumer_policy(
        min_signers=2,
        allow_cids=[content("a"), content("b")],
        deny_cids=[content("c")],
        allow_signers=KIDS[:2],
        deny_signers=KIDS[3:],
        allow_forks=True,
        genesis={"acme": content("genesis")},
        agreeing=3,
    )
    pack = decode_consumer_policy(made.bytes)
    assert pack.id == made.id
    assert pack.allow_cids == {content("a"), content("b")}
    assert pack.deny_cids == {content("c")}
    assert (pack.allow_signers, pack.deny_signers) == (frozenset(KIDS[:2]), frozenset(KIDS[3:]))
    assert (pack.min_signers, pack.agreeing, pack.allow_forks) == (2, 3, True)
    assert pack.genesis == {"acme": content("genesis")}


def test_the_same_demands_have_the_same_id() -> None:
    one = make_consumer_policy(allow_cids=[content("a"), content("b")], deny_signers=KIDS)
    other = make_consumer_policy(allow_cids=[content("b"), content("a"), content("b")], deny_signers=KIDS[::-1])
    assert one.id == other.id


def test_denied_content_is_refused_even_where_it_is_allowed() -> None:
    pack = parse_consumer_policy(make_consumer_policy(allow_cids=[content("a")], deny_cids=[content("a")]))
    assert not pack.accepts_content(content("a"))
    assert not pack.accepts_content(content("b"))


def test_a_pin_concerns_its_own_namespace_only() -> None:
    pack = parse_consumer_policy(make_consumer_policy(genesis={"acme": content("genesis")}))
    assert pack.accepts_genesis("acme", content("genesis"))
    assert not pack.accepts_genesis("acme", content("other"))
    assert pack.accepts_genesis("globex", content("other"))


@given(allow=kids, deny=kids, endorsers=kids, more=kids)
def test_counting_signers(
    allow: frozenset[Kid], deny: frozenset[Kid], endorsers: frozenset[Kid], more: frozenset[Kid]
) -> None:
    pack = parse_consumer_policy(make_consumer_policy(allow_signers=allow, deny_signers=deny))
    expected = [who for who in endorsers if who not in deny and (not allow or who in allow)]
    assert pack.counted(endorsers) == len(expected)
    assert pack.counted(endorsers | more) >= pack.counted(endorsers)


@pytest.mark.parametrize(
    ("value", "code", "at"),
    [
        (altered(min_signers=0), "field-invalid", "payload.min_signers"),
        (altered(min_signers=True), "field-invalid", "payload.min_signers"),
        (altered(min_signers=limits.SIGNERS + 1), "field-invalid", "payload.min_signers"),
        (altered(agreeing=0), "field-invalid", "payload.agreeing"),
        (altered(agreeing=limits.AGREEING_NODES + 1), "field-invalid", "payload.agreeing"),
        (altered(allow_forks=0), "field-invalid", "payload.allow_forks"),
        (altered(allow_cids=[content("a"), content("a")]), "field-invalid", "payload.allow_cids"),
        (altered(deny_cids=["a"]), "field-invalid", "payload.deny_cids"),
        (altered(deny_cids=[content(str(n)) for n in range(limits.CONSUMER_CIDS + 1)]), "field-invalid", None),
        (altered(allow_signers=[b"short"]), "key-invalid", "payload.allow_signers[0]"),
        (altered(genesis={"acme": None}), "field-invalid", "payload.genesis.acme"),
        (altered(genesis={"ACME": content("a")}), "name-invalid", None),
        (altered(genesis={f"n{n}": content("a") for n in range(limits.CONSUMER_PINS + 1)}), "field-invalid", None),
        (altered(extra=1), "field-unknown", "payload.extra"),
        ({k: v for k, v in altered().items() if k != "agreeing"}, "field-missing", "payload.agreeing"),
        (altered(type="policy"), "type-mismatch", "payload.type"),
        (altered(v=2), "version-unsupported", "payload.v"),
    ],
)
def test_what_is_no_pack(value: dict[str, Any], code: str, at: str | None) -> None:
    with pytest.raises(Rejected) as error:
        decode_consumer_policy(make_statement(value).bytes)
    assert error.value.code == code
    assert at is None or error.value.at == at


def test_a_pack_is_bounded_before_it_is_read() -> None:
    with pytest.raises(Rejected) as error:
        decode_consumer_policy(bytes(limits.CONSUMER_POLICY_BYTES + 1))
    assert error.value.code == "too-large"


def test_the_largest_lists_fit() -> None:
    cids: list[Cid] = [content(str(n)) for n in range(limits.CONSUMER_CIDS)]
    assert len(decode_consumer_policy(make_consumer_policy(allow_cids=cids, deny_cids=cids).bytes).allow_cids) == 512
