"""A store that an earlier version wrote is opened by this one with all it held.

``schema-1.mdb.xz`` is the data file of a store of schema 1, as that version left it: a namespace whose policies rival,
names that are settled, forked, half endorsed and waiting for either rival, a refusal, two heads, and a name no head
covers. ``schema-2.mdb.xz`` is what the version after it made of that, with a name yanked since.
"""

from __future__ import annotations

import itertools
import lzma
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from holo.core.cid import Cid
from holo.core.errors import StoreFailed
from holo.core.names import Name
from holo.core.receipt import BindingReceipt, DenialReceipt, open_receipt
from holo.store import upgrade
from holo.store.environment import Environment
from holo.store.fsck import check_store
from holo.store.layout import ANY_PATH, DATABASES
from holo.store.store import SCHEMA, Store
from holo.store.view import View
from tests.store.people import ALICE, BOB, CAROL, NODE, RECOVERY, ROOT, admitted, binding, open_store, policy, submit

GENESIS = policy(ALICE, BOB, two_for=["stable"])
LEFT = policy(ALICE, BOB, CAROL, two_for=["stable"], seq=1, prev=GENESIS.id)
RIGHT = policy(ALICE, BOB, NODE, two_for=["stable"], seq=1, prev=GENESIS.id)
ONE = binding(GENESIS, "app", 1, b"one")
TWO = binding(GENESIS, "app", 2, b"two", prev=[ONE.id])
WAITS = binding(GENESIS, "waits", 1, b"left", policy=LEFT.id)
NEVER = binding(GENESIS, "never", 1, b"right", policy=RIGHT.id)


@pytest.fixture(params=[1, 2])
def old(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "records"
    folder.mkdir()
    data = lzma.decompress((Path(__file__).parent / f"schema-{request.param}.mdb.xz").read_bytes())
    (folder / "data.mdb").write_bytes(data)
    return folder


def currents(view: View) -> dict[str, list[Cid]]:
    return {path: [item.id for item in standings] for path, standings in view.records.currents("acme")}


def sound(store: Store) -> bool:
    with store.view() as view:
        return list(check_store(view.records, NODE.kid)) == []


def test_everything_is_still_there(old: Path) -> None:
    with closing(open_store(old)) as store:
        with store.view() as view:
            assert view.records.meta("schema") == SCHEMA
            found = currents(view)
            assert sorted(found.keys() - {"gone/stable"}) == ["after/stable", "app/stable", "forked/stable"]
            assert found["app/stable"] == [TWO.id]
            assert len(found["forked/stable"]) == 2
            assert set(view.records.endorsements(ONE.id)) == {ALICE.kid, BOB.kid}
            about = [open_receipt(envelope) for _, _, envelope in view.records.receipts_about(ONE.id)]
            assert [type(item) for item in about] == [BindingReceipt, DenialReceipt]
            assert len(list(view.records.receipts_about(b"acme/app/stable"))) == 2
            assert len(list(view.records.receipts_about(b"acme"))) == 3
            assert len(view.pending(Name("acme", "half", "stable"))) == 1
        assert sound(store)
        store.make_head()
        assert sound(store)


def test_names_are_worded(old: Path) -> None:
    with closing(open_store(old)) as store, store.view() as view:
        found = {path: len(view.records.wording("acme", path)) for path in currents(view)}
        assert found.pop("gone/stable", 2 * 52) == 2 * 52
        assert found == {"after/stable": 3 * 52, "app/stable": 3 * 52, "forked/stable": 0}


def test_what_waited_still_waits_and_comes_into_effect(old: Path) -> None:
    with closing(open_store(old)) as store:
        admitted(store, submit(LEFT, ROOT, RECOVERY))
        with store.view() as view:
            found = currents(view)
            assert found["waits/stable"] == [WAITS.id]
            assert "never/stable" not in found
            assert list(view.records.waiting("acme", LEFT.id)) == []
            assert list(view.records.waiting("acme", RIGHT.id)) == [ANY_PATH]
            assert len(view.pending(Name("acme", "boxed", "stable"))) == 1
        assert sound(store)


def test_it_goes_on_wherever_it_broke_off(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade, "_ROWS_AT_ONCE", 3)
    whole = tmp_path / "whole"
    shutil.copytree(old, whole)
    with closing(open_store(whole)):
        pass
    commit = Environment.commit
    for room in itertools.count():
        broken = tmp_path / str(room)
        shutil.copytree(old, broken)
        commits = itertools.count()

        def commit_or_fail(self: Environment, txn: Any, room: int = room, at: Iterator[int] = commits) -> None:
            if next(at) == room:
                txn.abort()
                raise RuntimeError("broke off")
            commit(self, txn)

        with monkeypatch.context() as failing:
            failing.setattr(Environment, "commit", commit_or_fail)
            try:
                open_store(broken).close()
            except RuntimeError:
                pass
            else:
                break
        open_store(broken).close()
        assert rows(broken) == rows(whole), f"after {room} transactions"
        with closing(open_store(broken)) as store:
            assert sound(store)
    assert room > 3


def rows(folder: Path) -> dict[str, list[tuple[bytes, bytes]]]:
    """All rows but those of the node itself and of the log that each copy begins."""
    env = Environment(folder, DATABASES, map_bytes=1 << 28, free_reserve_bytes=0, readonly=True)
    with closing(env), env.read() as reader:
        return {
            name: [(key, value) for key, value in reader.range(name, b"") if b"log-genesis" not in value]
            for name in DATABASES
            if name not in ("meta", "logs")
        }


def test_it_is_not_read_before_it_is_upgraded(old: Path) -> None:
    with pytest.raises(StoreFailed, match="store-version"):
        open_store(old, readonly=True)
    with closing(open_store(old)):
        pass
    with closing(open_store(old, readonly=True)) as store:
        assert sound(store)
