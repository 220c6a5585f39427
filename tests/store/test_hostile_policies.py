"""Namespaces whose owner means harm: policies without end, in a row and beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from holo.core import limits
from holo.core.cid import Cid
from holo.core.envelope import Statement, make_statement
from holo.core.errors import HoloError
from holo.store.store import Result, Store
from tests.store.people import ALICE, RECOVERY, ROOT, admitted, commit, open_store, policy, submit


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "records")


def successor(parent: Statement, number: int = 0) -> Statement:
    """A policy that changes nothing; those with other numbers are its rivals."""
    value = policy(ALICE, seq=parent.value["seq"] + 1, prev=parent.id).value
    return make_statement({**value, "ceilings": {"number": number}})


def code(result: Result) -> str:
    return result.code if isinstance(result, HoloError) else result.state


def known(store: Store) -> int:
    with store.view() as view:
        return sum(1 for _ in view.records.policy_rows("acme"))


def test_policies_of_a_namespace_end_and_recovery_keys_have_room_of_their_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "POLICIES_PER_NAMESPACE", 3)
    last = policy(ALICE)
    admitted(store, submit(last, ROOT))
    for _ in range(2):
        last = successor(last)
        admitted(store, submit(last, ROOT))
    size = store_size(store)
    (refused,) = commit(store, submit(successor(last), ROOT))
    assert code(refused) == "policies-full"
    assert store_size(store) == size, "a refusal changes nothing"
    admitted(store, submit(last, ROOT))
    for _ in range(3):
        last = successor(last)
        assert code(commit(store, submit(last, ROOT, RECOVERY))[0]) == "effective"
    assert code(commit(store, submit(successor(last), ROOT, RECOVERY))[0]) == "policies-full"


def test_policies_of_a_namespace_end_by_size_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    genesis = policy(ALICE)
    child = successor(genesis)
    monkeypatch.setattr(limits, "POLICIES_PER_NAMESPACE_BYTES", len(genesis.bytes) + len(child.bytes))
    admitted(store, submit(genesis, ROOT), submit(child, ROOT))
    assert code(commit(store, submit(successor(child), ROOT))[0]) == "policies-full"
    assert code(commit(store, submit(successor(child), ROOT, RECOVERY))[0]) == "effective"


def test_endorsing_what_is_there_makes_no_room_without_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy endorsed by recovery keys later on leaves the class it was counted in."""
    monkeypatch.setattr(limits, "RIVALS_PER_PARENT", 2)
    genesis = policy(ALICE)
    admitted(store, submit(genesis, ROOT))
    for number in range(20):
        rival = successor(genesis, number)
        commit(store, submit(rival, ROOT))
        commit(store, submit(rival, ROOT, RECOVERY))
    assert known(store) == 1 + 2 * limits.RIVALS_PER_PARENT


def test_the_policy_with_a_seq_is_the_one_in_effect(store: Store) -> None:
    genesis = policy(ALICE)
    lost, won = successor(genesis, 1), successor(genesis, 2)
    admitted(store, submit(genesis, ROOT), submit(lost, ROOT), submit(won, ROOT, RECOVERY))
    with store.view() as view:
        assert view.policy_at("acme", 1).id == won.id
        assert view.policy_at("acme", 0).id == view.namespace("acme").genesis == genesis.id
        with pytest.raises(HoloError) as missing:
            view.policy_at("acme", 2)
    assert missing.value.code == "not-found"


def store_size(store: Store) -> tuple[int, Cid, int]:
    with store.view() as view:
        return view.log.size, view.namespace("acme").policy, known(store)
