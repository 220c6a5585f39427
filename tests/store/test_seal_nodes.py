"""The nodes a seal needs: which are looked for, which are kept, and that a satisfied seal asks for none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from holo.core.cid import Cid
from holo.core.envelope import Statement
from holo.core.policy import decode_policy
from holo.core.state import decode_namespace_state
from holo.store.fsck import check_store
from holo.store.policies import own_nodes
from holo.store.store import Store
from tests.store.people import ALICE, BOB, NODE, ROOT, admitted, binding, open_store, policy, submit

GENESIS = policy(ALICE)
NAMES = 100  # more than a leaf holds


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path / "records")) as store:
        admitted(store, submit(GENESIS, ROOT))
        admitted(store, *[submit(binding(GENESIS, f"app{number}", 1, b"one"), ALICE) for number in range(NAMES)])
        store.make_head()
        yield store


def root(store: Store) -> Cid:
    with store.view() as view:
        state = view.namespace("acme").state
        assert state is not None
        return decode_namespace_state(view.records.node(state)).bindings


def found(store: Store, sealing: Statement, *given: bytes) -> tuple[list[bytes], bool]:
    with store.view() as view:
        return own_nodes(view.records, decode_policy(sealing.bytes), given)


def test_this_nodes_own_trees_are_looked_through_once(store: Store) -> None:
    sealing = policy(ALICE, seq=1, prev=GENESIS.id, seal=root(store))
    nodes, whole = found(store, sealing)
    assert whole
    assert len(nodes) == len(set(nodes)) > 2
    assert found(store, sealing, *nodes) == ([], True)  # what was brought along is not brought again
    admitted(store, submit(sealing, ROOT, nodes=nodes))
    with store.view() as view:
        assert view.namespace("acme").policy == sealing.id
        assert list(check_store(view.records, NODE.kid)) == []
    assert found(store, sealing) == ([], True)  # satisfied once and for all


def test_a_replay_with_nodes_changes_nothing(store: Store) -> None:
    sealing = policy(ALICE, seq=1, prev=GENESIS.id, seal=root(store))
    nodes, _ = found(store, sealing)
    (first,) = admitted(store, submit(sealing, ROOT, nodes=nodes))
    store.make_head()
    (again,) = admitted(store, submit(sealing, ROOT, nodes=nodes))
    assert (again.new, again.receipt) == (False, first.receipt)
    with store.view() as view:
        assert list(view.records.dirty()) == []


def test_a_seal_of_what_is_no_tree_is_looked_through_no_further(store: Store) -> None:
    with store.view() as view:
        state, catalog = view.namespace("acme").state, view.log.catalog
    for object in (state, catalog):
        sealing = policy(ALICE, BOB, seq=1, prev=GENESIS.id, seal=object)
        nodes, _ = found(store, sealing)
        assert nodes == []
        (outcome,) = admitted(store, submit(sealing, ROOT, nodes=nodes))
        assert outcome.state == "held"
        with store.view() as view:
            assert list(check_store(view.records, NODE.kid)) == []
