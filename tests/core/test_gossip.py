"""Pushing: what is told once, what is dropped, who is chosen, when to knock again, and what nobody can get more of."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holo.core.carried import Carried
from holo.core.gossip import Backoff, Budgets, Outbox, choose, record_id
from tests.records import kid


def carried(number: int, size: int = 10, *by: str) -> Carried:
    """Some record."""
    payload = number.to_bytes(4, "big") + bytes(size - 4)
    return Carried("binding", payload, tuple((kid(name), bytes(64)) for name in by or ("alice",)))


def test_an_id_tells_payloads_and_endorsers_apart_and_not_kinds() -> None:
    one = carried(1)
    assert record_id(one) == record_id(Carried("pending", one.payload, one.endorsements))
    assert len({record_id(item) for item in (one, carried(2), carried(1, 10, "bob"), carried(1, 10, "a", "b"))}) == 4


def test_nothing_is_told_twice_or_to_whom_it_came_from() -> None:
    outbox = Outbox(10)
    assert outbox.put(b"1", carried(1))
    assert not outbox.put(b"1", carried(1))
    outbox.note(b"2")
    assert not outbox.put(b"2", carried(2))
    outbox.put(b"3", carried(3))
    outbox.note(b"3")  # the peer was faster
    assert outbox.take() == [carried(1)]
    assert not outbox.put(b"1", carried(1))
    assert outbox.take() == []
    assert outbox.dropped == 0


def test_the_oldest_is_dropped_and_can_be_told_again() -> None:
    outbox = Outbox(2)
    for number in range(3):
        outbox.put(bytes([number]), carried(number))
    assert (len(outbox), outbox.dropped) == (2, 1)
    assert outbox.put(b"\0", carried(0))
    assert outbox.take() == [carried(2), carried(0)]


def test_what_a_peer_has_is_forgotten_in_the_end() -> None:
    outbox = Outbox(10, most_known=2)
    for number in range(3):
        outbox.note(bytes([number]))
    assert outbox.put(b"\0", carried(0))
    assert not outbox.put(b"\2", carried(2))


def test_a_push_is_bounded_and_never_empty_while_something_waits() -> None:
    outbox = Outbox(100)
    for number in range(9):
        outbox.put(bytes([number]), carried(number, 1000))
    assert len(outbox.take(most_records=2)) == 2
    assert len(outbox.take(most_bytes=4000)) == 3
    assert len(outbox.take(most_bytes=1)) == 1
    assert len(outbox.take()) == 3


@given(st.integers(0, 2**32), st.integers(0, 20), st.integers(1, 25))
def test_as_many_peers_are_chosen_as_are_wanted(seed: int, count: int, fanout: int) -> None:
    peers = list(range(count))
    chosen = choose(random.Random(seed), peers, fanout)
    assert len(chosen) == min(count, fanout)
    assert chosen == sorted(set(chosen))
    assert chosen == choose(random.Random(seed), peers, fanout)


def test_every_peer_is_chosen_sometimes() -> None:
    rng = random.Random(1)
    assert {peer for _ in range(100) for peer in choose(rng, range(10), 2)} == set(range(10))


@given(st.integers(0, 2**32))
def test_knocking_gets_rarer_within_bounds_and_begins_anew(seed: int) -> None:
    rng, backoff = random.Random(seed), Backoff(0.5, 30.0)
    waits = [backoff.next_s(rng) for _ in range(50)]
    assert all(0.5 <= wait <= 30.0 for wait in waits)
    assert all(after <= max(1.5, 3 * before) for before, after in pairwise(waits))
    backoff.reset()
    assert backoff.next_s(rng) <= 1.5


def test_those_cut_off_together_do_not_come_back_together() -> None:
    rng = random.Random(2)
    waits = sorted(backoff.next_s(rng) for backoff in [Backoff(1.0, 60.0) for _ in range(100)])
    assert waits[-1] - waits[0] > 1.0


def spent(budgets: Budgets, keys: Iterator[object], until_s: float) -> float:
    """What whoever uses these keys gets by asking for as much as there is, ten times a second."""
    total = 0.0
    for step in range(int(until_s * 10)):
        key, now_s = next(keys), step / 10
        cost = budgets.left(key, now_s)
        assert budgets.spend(key, cost, now_s)
        total += cost
    return total


def test_a_bucket_gives_its_burst_and_what_flows_in() -> None:
    budgets = Budgets(per_second=10, burst=50)
    assert budgets.spend("a", 50, 0.0)
    assert not budgets.spend("a", 1, 0.0)
    assert budgets.wait_s("a", 5, 0.0) == 0.5
    assert budgets.spend("a", 5, 0.5)
    assert budgets.spend("b", 50, 0.5)
    assert not budgets.spend("c", 51, 0.5)
    assert budgets.wait_s("c", 51, 0.5) == 0.0


def test_new_keys_bring_nothing_once_there_are_many() -> None:
    budgets = Budgets(per_second=10, burst=50, most_keys=4)
    total = spent(budgets, iter(range(10_000)), 100.0)
    assert len(budgets) <= 4
    assert total <= 5 * (50 + 10 * 100)


def test_forgetting_gives_nobody_more() -> None:
    budgets = Budgets(per_second=10, burst=50, most_keys=2)
    assert budgets.spend("a", 50, 0.0)
    assert budgets.spend("b", 50, 0.0)
    assert budgets.spend("other", 50, 1.0)
    assert budgets.left("a", 1.0) == 10
    assert not budgets.spend("another", 50, 2.0)
    assert budgets.left("a", 100.0) == 50
    assert budgets.spend("another", 50, 100.0)
