"""Names whose statements cite a policy that is not in effect: who is settled again when one comes into effect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from holo.core.envelope import Statement
from holo.store.fsck import check_store
from holo.store.layout import ANY_PATH
from holo.store.store import Store
from tests.store.people import ALICE, BOB, CAROL, NODE, RECOVERY, ROOT, admitted, binding, open_store, policy, submit

GENESIS = policy(ALICE)
LEFT = policy(ALICE, BOB, seq=1, prev=GENESIS.id)
RIGHT = policy(ALICE, CAROL, seq=1, prev=GENESIS.id)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path / "records")) as store:
        admitted(store, submit(GENESIS, ROOT))
        admitted(store, *[submit(binding(GENESIS, f"app{number}", 1, b"one"), ALICE) for number in range(5)])
        yield store


def of(handle: str, policy: Statement, rev: int = 1) -> Statement:
    return binding(GENESIS, handle, rev, b"another", policy=policy.id)


def signed_again(store: Store) -> set[str | None]:
    """The names that the next head has to look at, None for the namespace itself; no fault may be left behind."""
    with store.view() as view:
        names = {path for _, path in view.records.dirty()}
        assert list(check_store(view.records, NODE.kid)) == []
    store.make_head()
    with store.view() as view:
        assert list(check_store(view.records, NODE.kid)) == []
    return names


def held(store: Store) -> None:
    """Let LEFT and RIGHT rival, each with a name that cites it."""
    store.make_head()
    admitted(store, submit(LEFT, ROOT), submit(RIGHT, ROOT))
    admitted(
        store, submit(of("left", LEFT), BOB), submit(of("right", RIGHT), CAROL), submit(of("app1", RIGHT, 2), CAROL)
    )
    with store.view() as view:
        assert set(view.records.waiting("acme", RIGHT.id)) >= {"right/stable", "app1/stable"}
        assert view.records.current("acme", "left/stable") == ()


def test_only_the_names_that_waited_for_the_winner_are_settled_again(store: Store) -> None:
    held(store)
    assert signed_again(store) == {None}
    admitted(store, submit(RIGHT, ROOT, RECOVERY))
    assert signed_again(store) == {None, "right/stable", "app1/stable"}
    with store.view() as view:
        assert [item.id for item in view.records.current("acme", "app1/stable")] == [of("app1", RIGHT, 2).id]
        assert list(view.records.waiting("acme", RIGHT.id)) == []
        assert ANY_PATH in view.records.waiting("acme", LEFT.id)


def test_a_rival_that_lost_costs_later_policies_nothing(store: Store) -> None:
    held(store)
    admitted(store, submit(RIGHT, ROOT, RECOVERY))
    signed_again(store)
    before = RIGHT
    for seq in range(2, 5):
        after = policy(ALICE, CAROL, *[NODE, BOB][: seq - 2], seq=seq, prev=before.id)
        admitted(store, submit(after, ROOT))
        assert signed_again(store) == {None}
        before = after
    admitted(store, submit(of("right", before, 2), CAROL))
    assert signed_again(store) == {"right/stable"}


def test_what_a_policy_kept_in_effect_waits_once_it_is_rivalled(store: Store) -> None:
    admitted(store, submit(LEFT, ROOT))
    admitted(store, submit(of("left", LEFT), BOB))
    store.make_head()
    admitted(store, submit(RIGHT, ROOT))  # now neither is in effect, and what cites LEFT does not count
    with store.view() as view:
        assert view.records.current("acme", "left/stable") == ()
        assert list(view.records.waiting("acme", LEFT.id)) == [ANY_PATH]
    assert "left/stable" in signed_again(store)
    admitted(store, submit(LEFT, ROOT, RECOVERY))
    assert "left/stable" in signed_again(store)
    with store.view() as view:
        assert [item.id for item in view.records.current("acme", "left/stable")] == [of("left", LEFT).id]
        assert list(view.records.waiting("acme", LEFT.id)) == []
