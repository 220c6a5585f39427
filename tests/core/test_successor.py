"""Successors: both keys sign, no two are followed at once, and the order in which they are known is nothing."""

from __future__ import annotations

import itertools

import pytest

from holo.core.envelope import Statement, make_record, make_statement
from holo.core.errors import Rejected
from holo.core.keys import SigningKey
from holo.core.limits import SUCCESSORS
from holo.core.successor import Successor, follow, make_successor, open_successor

KEYS = [SigningKey(bytes([number]) * 32) for number in range(SUCCESSORS + 3)]
A, B, C, D, *_ = KEYS


def handover(old: SigningKey, new: SigningKey) -> Successor:
    return open_successor(make_record(make_successor(old.kid, new.kid, 7), old, new).envelopes())


def refused(statement: Statement, *signers: SigningKey) -> str:
    with pytest.raises(Rejected) as caught:
        open_successor(make_record(statement, *signers).envelopes())
    return caught.value.code


def test_both_keys_sign_and_nobody_else() -> None:
    statement = make_successor(A.kid, B.kid, 7)
    found = open_successor(make_record(statement, A, B).envelopes())
    assert (found.id, found.node, found.successor, found.at_ms) == (statement.id, A.kid, B.kid, 7)
    for signers in ((A,), (B,), (A, C), (C,), (A, B, C)):
        assert refused(statement, *signers) == "successor-invalid"
    assert refused(make_successor(A.kid, A.kid, 7), A) == "successor-invalid"
    assert refused(make_statement({**statement.value, "more": 1}), A, B) == "field-unknown"
    envelopes = make_record(statement, A, B).envelopes()
    with pytest.raises(Rejected) as caught:
        open_successor([envelopes[0], envelopes[1][:-1] + b"\0"])
    assert caught.value.code == "signature-invalid"


def test_the_way_is_the_same_in_whatever_order_it_is_known() -> None:
    known = [handover(A, B), handover(B, C), handover(D, A)]
    for order in itertools.permutations(known):
        assert [follow(key.kid, order) for key in (A, B, C, D)] == [C.kid] * 4


def test_of_two_that_contradict_neither_is_followed() -> None:
    known = [handover(A, B), handover(B, C), handover(B, D)]
    for order in itertools.permutations(known):
        assert follow(A.kid, order) == B.kid
    assert follow(A.kid, [handover(A, B), handover(A, B)]) == B.kid


def test_a_way_without_end() -> None:
    with pytest.raises(Rejected):
        follow(A.kid, [handover(A, B), handover(B, A)])
    chain = [handover(old, new) for old, new in itertools.pairwise(KEYS)]
    assert follow(KEYS[0].kid, chain[:SUCCESSORS]) == KEYS[SUCCESSORS].kid
    with pytest.raises(Rejected) as caught:
        follow(KEYS[0].kid, chain)
    assert caught.value.code == "successor-invalid"
