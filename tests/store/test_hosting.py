"""Which namespaces a node hosts: pinned ones under their genesis alone, others first come, first served, to a bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from holo.core.cid import Cid
from holo.core.errors import HoloError
from holo.store.ledger import Hosting
from holo.store.store import Result, Store
from tests.store.people import ALICE, BOB, ROOT, commit, open_store, policy, submit

OURS, RIVAL, OTHER = policy(ALICE), policy(BOB), policy(ALICE, ns="other")


def code(result: Result) -> str:
    """Why it was refused, or what state it is in."""
    return result.code if isinstance(result, HoloError) else result.state


def hosted(store: Store) -> dict[str, Cid]:
    with store.view() as view:
        return {row.ns: row.genesis for row in view.records.namespaces()}


def test_the_first_genesis_that_is_seen_has_the_name(tmp_path: Path) -> None:
    store = open_store(tmp_path / "s")
    results = commit(store, submit(OURS, ROOT), submit(RIVAL, ROOT), submit(OURS, ROOT))
    assert [code(item) for item in results] == ["effective", "genesis-foreign", "effective"]
    assert hosted(store) == {"acme": OURS.id}
    store.close()


def test_a_name_that_is_pinned_takes_its_genesis_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "s", hosting=Hosting(pinned={"acme": RIVAL.id}))
    results = commit(store, submit(OURS, ROOT), submit(RIVAL, ROOT), submit(OTHER, ROOT))
    assert [code(item) for item in results] == ["genesis-foreign", "effective", "effective"]
    assert hosted(store) == {"acme": RIVAL.id, "other": OTHER.id}
    store.close()


def test_a_node_that_is_closed_takes_what_is_pinned_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "s", hosting=Hosting(open=False, pinned={"acme": OURS.id}))
    results = commit(store, submit(OTHER, ROOT), submit(OURS, ROOT))
    assert [code(item) for item in results] == ["genesis-not-pinned", "effective"]
    assert hosted(store) == {"acme": OURS.id}
    store.close()


@pytest.mark.parametrize("pinned", [False, True])
def test_strangers_cannot_fill_a_node_with_namespaces(tmp_path: Path, pinned: bool) -> None:
    third = policy(ALICE, ns="third")
    store = open_store(tmp_path / "s", hosting=Hosting(pinned={"third": third.id} if pinned else {}, quota=1))
    results = commit(store, submit(OURS, ROOT), submit(OTHER, ROOT), submit(third, ROOT), submit(OURS, ROOT))
    last = "effective" if pinned else "namespace-quota"  # what the operator pins has its room
    assert [code(item) for item in results] == ["effective", "namespace-quota", last, "effective"]
    assert hosted(store) == {"acme": OURS.id, **({"third": third.id} if pinned else {})}
    store.close()
