"""The store as a whole: receipts, heads, collection, restore from a backup, and fsck that finds what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from holo.core import tree
from holo.core.decision import Query
from holo.core.errors import Conflict, HoloError, Missing, StoreFailed
from holo.core.head import open_log_genesis
from holo.core.names import Name
from holo.core.receipt import BindingReceipt, open_receipt
from holo.store.environment import Environment
from holo.store.fsck import Fault, check_store
from holo.store.layout import DATABASES
from holo.store.records import RecordsReader
from holo.store.store import SCHEMA, Request, Store
from holo.store.upgrade import Write
from tests.store.people import ALICE, BOB, CAROL, NODE, ROOT, admitted, binding, commit, open_store, policy, submit

GENESIS = policy(ALICE, BOB, two_for=["stable"])
NAME = Name.parse("acme/app:stable")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path / "records")) as store:
        admitted(store, submit(GENESIS, ROOT))
        yield store


def faults(store: Store) -> list[Fault]:
    with store.view() as view:
        return list(check_store(view.records, NODE.kid))


def test_a_name_goes_from_pending_to_current_and_each_step_has_its_receipt(store: Store) -> None:
    first = binding(GENESIS, "app", 1, b"one")
    (pending,) = admitted(store, submit(first, ALICE, cas=True))
    (current,) = admitted(store, submit(first, ALICE, BOB, cas=True))
    (again,) = admitted(store, submit(first, ALICE, BOB, cas=True))
    assert (pending.state, pending.have, pending.need) == ("pending", 1, 2)
    assert (current.state, current.have, current.need) == ("current", 2, 2)
    assert (again.new, again.receipt) == (False, current.receipt)
    assert [pending.receipt.seq, current.receipt.seq] == [1, 2]
    receipt = open_receipt(current.receipt.envelope)
    assert isinstance(receipt, BindingReceipt)
    assert (receipt.subject, receipt.endorsers) == (first.id, tuple(sorted((ALICE.kid, BOB.kid))))
    with store.view() as view:
        assert view.decide(Query(NAME)).outcome == "resolved"
        assert view.pending(NAME) == []
    assert faults(store) == []


def test_compare_and_swap_names_what_is_current_and_changes_nothing(store: Store) -> None:
    first = binding(GENESIS, "app", 1, b"one")
    admitted(store, submit(first, ALICE, BOB))
    blind = binding(GENESIS, "app", 2, b"two")
    low = binding(GENESIS, "app", 1, b"two", prev=[first.id])
    for statement, code in ((blind, "binding-conflict"), (low, "binding-stale")):
        (refused,) = commit(store, submit(statement, ALICE, BOB, cas=True))
        assert isinstance(refused, Conflict)
        assert (refused.code, refused.current) == (code, (str(first.id),))
    with store.view() as view:
        assert view.log.size == 2
    (taken,) = admitted(store, submit(binding(GENESIS, "app", 2, b"two", prev=[first.id]), ALICE, BOB, cas=True))
    assert (taken.state, taken.displaced) == ("current", (first.id,))


def test_atomic_requests_are_all_or_nothing(store: Store) -> None:
    good = submit(binding(GENESIS, "app", 1, b"one"), ALICE, BOB)
    bad = submit(binding(GENESIS, "lib", 1, b"one"), CAROL)
    (results,) = store.commit([Request([good, bad], atomic=True)])
    assert [item.code for item in results if isinstance(item, HoloError)] == ["atomic-failed", "signer-not-allowed"]
    with store.view() as view:
        assert view.log.size == 1
        assert view.current(NAME) == []
    (results,) = store.commit([Request([good, submit(binding(GENESIS, "lib", 1, b"one"), ALICE, BOB)], atomic=True)])
    assert not any(isinstance(item, HoloError) for item in results)


def test_heads_commit_to_the_records_and_kept_catalogs_stay_readable(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "records", keep_heads=2)) as store:
        admitted(store, submit(GENESIS, ROOT))
        catalogs = []
        for rev in range(1, 6):
            admitted(store, submit(binding(GENESIS, "app", rev, b"%d" % rev), ALICE, BOB))
            catalogs.append(store.make_head().statement.value["catalog"])
        assert faults(store) == []
        with store.view() as view:
            for catalog in catalogs[-2:]:
                state = view.namespace_state(view.catalog(catalog), "acme")
                assert state is not None
                assert tree.check_tree(view.records.node, state.bindings) == 1
            for catalog in catalogs[:-2]:
                with pytest.raises(Missing, match="gone"):
                    view.catalog(catalog)


def test_a_catalog_that_comes_back_is_not_collected(tmp_path: Path) -> None:
    """The same state twice: nodes that died and were born again must survive the purge of their first death."""
    with closing(open_store(tmp_path / "records", keep_heads=2)) as store:
        single = policy(ALICE, BOB)
        admitted(store, submit(single, ROOT))
        box = binding(single, "app", 5, b"x", tag="stable")
        admitted(store, submit(box, ALICE))
        seen = {store.make_head().statement.value["catalog"]}
        for _ in range(6):
            seen.add(store.make_head().statement.value["catalog"])
        assert len(seen) == 1
        assert faults(store) == []


def test_a_node_that_moves_from_one_tree_to_another_is_not_collected(tmp_path: Path) -> None:
    """Two partial records make the same tree node under pending that the complete one makes under bindings."""
    with closing(open_store(tmp_path / "records", keep_heads=1)) as store:
        admitted(store, submit(GENESIS, ROOT))
        first = binding(GENESIS, "app", 1, b"one")
        admitted(store, submit(first, ALICE))
        admitted(store, submit(first, BOB))
        store.make_head()
        admitted(store, submit(first, ALICE, BOB))
        for _ in range(4):
            store.make_head()
        assert faults(store) == []


def test_a_store_put_back_from_a_backup_opens_a_new_log(tmp_path: Path) -> None:
    home, backup = tmp_path / "records", tmp_path / "backup"
    with closing(open_store(home)) as store:
        admitted(store, submit(GENESIS, ROOT))
        store.make_head()
        with store.view() as view:
            old = view.log
    shutil.copytree(home, backup)
    with closing(open_store(home)) as store:
        with store.view() as view:
            assert view.log == old, "opened again where it lies, the log goes on"
        store.make_head()
    shutil.rmtree(home)
    shutil.copytree(backup, home)
    with closing(open_store(home)) as store:
        with store.view() as view:
            new = view.log
        assert (new.number, new.size, new.head_seq) == (1, 0, 0)
        assert new.id != old.id
        admitted(store, submit(binding(GENESIS, "app", 1, b"one"), ALICE, BOB))
        store.make_head()
        assert faults(store) == []


@pytest.mark.parametrize("more", ["head", "receipt"])
def test_a_store_whose_witness_saw_more_opens_a_new_log(tmp_path: Path, more: str) -> None:
    """The data file overwritten in place keeps its identity; the witness beside it still knows better."""
    home, backup = tmp_path / "records", tmp_path / "old.mdb"
    with closing(open_store(home)) as store:
        admitted(store, submit(GENESIS, ROOT))
        store.make_head()
    backup.write_bytes((home / "data.mdb").read_bytes())
    with closing(open_store(home)) as store:
        if more == "head":
            store.make_head()
        else:
            admitted(store, submit(binding(GENESIS, "app", 1, b"one"), ALICE, BOB))
    (home / "data.mdb").write_bytes(backup.read_bytes())
    with closing(open_store(home)) as store, store.view() as view:
        assert view.log.number == 1


@pytest.mark.parametrize("how", ["written over", "copied over"])
def test_a_store_put_back_in_place_with_its_witness_opens_a_new_log(tmp_path: Path, how: str) -> None:
    home, backup = tmp_path / "records", tmp_path / "backup"
    with closing(open_store(home)) as store:
        admitted(store, submit(GENESIS, ROOT))
        store.make_head()
    shutil.copytree(home, backup)
    with closing(open_store(home)) as store:
        admitted(store, submit(binding(GENESIS, "app", 1, b"one"), ALICE, BOB))
        store.make_head()
    for name in ("data.mdb", "witness.json"):
        if how == "written over":
            (home / name).write_bytes((backup / name).read_bytes())
        else:
            shutil.copy2(backup / name, home / name)  # with its times, as far as they can be set
    with closing(open_store(home)) as store, store.view() as view:
        assert view.log.number == 1


def test_a_store_that_is_opened_again_and_again_goes_on_in_its_log(tmp_path: Path) -> None:
    home = tmp_path / "records"
    with closing(open_store(home)) as store:
        admitted(store, submit(GENESIS, ROOT))
    for _ in range(3):
        with closing(open_store(home)) as store, store.view() as view:
            assert view.log.number == 0
        with closing(open_store(home, readonly=True)):
            pass
    with closing(open_store(home)) as store:
        store.make_head()
        with pytest.raises(RuntimeError):
            store.write(_failing)
    with closing(open_store(home)) as store, store.view() as view:
        assert view.log.number == 0


def _failing(records: object, journal: object) -> None:
    raise RuntimeError


@pytest.mark.parametrize("text", ["", "{", '{"log": 1}', " " * 256])
def test_a_witness_torn_by_a_crash_says_nothing(tmp_path: Path, text: str) -> None:
    with closing(open_store(tmp_path / "records")) as store:
        admitted(store, submit(GENESIS, ROOT))
    (tmp_path / "records" / "witness.json").write_text(text)
    with closing(open_store(tmp_path / "records")) as store, store.view() as view:
        assert (view.log.number, view.log.size) == (0, 1)
    witness = json.loads((tmp_path / "records" / "witness.json").read_text())
    assert witness["size"] == 1


def test_a_witness_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "records")) as store:
        (tmp_path / "records" / "witness.json").unlink()
        (tmp_path / "records" / "witness.json").mkdir()
        admitted(store, submit(GENESIS, ROOT))
        store.make_head()


def test_a_node_told_of_a_later_head_of_its_own_opens_a_new_log(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "records")) as store:
        admitted(store, submit(GENESIS, ROOT))
        head = store.make_head()
        store.open_new_log()
        with store.view() as view:
            genesis = open_log_genesis(view.records.log_genesis(1) or b"")
        assert genesis.prev_head == head.statement.id
        admitted(store, submit(binding(GENESIS, "app", 1, b"one"), ALICE, BOB))
        store.make_head()
        assert faults(store) == []
    with closing(open_store(tmp_path / "records")) as store, store.view() as view:
        assert view.log.number == 1


def test_another_nodes_key_or_another_schema_is_refused(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "records")):
        pass
    with pytest.raises(StoreFailed, match=r"node-key-lost: .* belongs to another node key, did:key:"):
        Store(tmp_path / "records", ALICE, clock_ms=lambda: 0, map_bytes=1 << 28)
    env = Environment(tmp_path / "records", DATABASES, map_bytes=1 << 28, free_reserve_bytes=0)
    with env.write() as writer:
        writer.put("meta", b"schema", b"\x18\x63")
    env.close()
    with pytest.raises(StoreFailed, match="schema 99"):
        open_store(tmp_path / "records")


def test_an_older_schema_is_upgraded_and_not_used_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_store(tmp_path / "records")) as store:
        admitted(store, submit(GENESIS, ROOT))

    def change(write: Write) -> None:
        with write() as records:
            records.put_meta("half", 1)
        if broken:
            raise RuntimeError("half way")
        with write() as records:
            records.put_meta("whole", 2)

    broken = True
    monkeypatch.setattr("holo.store.store.SCHEMA", SCHEMA + 1)
    with pytest.raises(StoreFailed, match=f"schema {SCHEMA}"):
        open_store(tmp_path / "records")
    monkeypatch.setattr("holo.store.store.UPGRADES", {SCHEMA: change})
    with pytest.raises(RuntimeError, match="half way"):
        open_store(tmp_path / "records")
    with pytest.raises(StoreFailed, match=f"schema -{SCHEMA}"):
        open_store(tmp_path / "records", readonly=True)
    with monkeypatch.context() as before:
        before.setattr("holo.store.store.SCHEMA", SCHEMA)
        before.setattr("holo.store.store.UPGRADES", {})
        with pytest.raises(StoreFailed, match=f"schema -{SCHEMA}"):
            open_store(tmp_path / "records")
    broken = False
    with closing(open_store(tmp_path / "records")) as store, store.view() as view:
        assert [view.records.meta(key) for key in ("schema", "half", "whole")] == [SCHEMA + 1, 1, 2]
        assert list(check_store(view.records, NODE.kid)) == []


TAMPERED = ["payloads", "endorsements", "receipts about", "boxes", "policies", "current", "history", "receipts",
            "receipt_ids", "receipt_subjects", "hashes", "heads", "nodes"]  # fmt: skip


@pytest.mark.parametrize("table", TAMPERED)
@pytest.mark.parametrize("how", ["flip", "drop"])
def test_fsck_finds_every_table_tampered_with(tmp_path: Path, table: str, how: str) -> None:
    with closing(open_store(tmp_path / "records")) as store:
        admitted(store, submit(GENESIS, ROOT))
        admitted(store, submit(binding(GENESIS, "app", 1, b"one"), ALICE, BOB))
        admitted(store, submit(binding(GENESIS, "app", 2, b"two"), ALICE, BOB))
        admitted(store, submit(binding(GENESIS, "app", 3, b"three"), ALICE))
        store.make_head()
        store.make_head()
        assert faults(store) == []
    env = Environment(tmp_path / "records", DATABASES, map_bytes=1 << 28, free_reserve_bytes=0)
    of_a_statement = {"payloads": 36, "receipts about": 36 + 12, "endorsements": 36 + 34}  # bytes of their keys
    length = of_a_statement.get(table)
    table = table if length is None else "statements"
    with env.read() as reader:
        rows = [item for item in reader.range(table, b"") if length in (None, len(item[0]))]
        key, value = rows[1 if table == "nodes" else -1]  # the first node is the empty one, which needs no storing
    with env.write() as writer:
        if how == "drop" or not value:
            writer.delete(table, key)
        else:
            writer.put(table, key, value[:-1] + bytes((value[-1] ^ 1,)))
    with env.read() as reader:
        found = []
        try:
            found = list(check_store(RecordsReader(reader), NODE.kid))
        except Exception as error:
            pytest.fail(f"fsck stopped at {error!r} instead of reporting it")
    env.close()
    assert found


@pytest.mark.parametrize(
    ("table", "how", "detail"),
    [
        ("receipts", "drop", "where receipt 1 is expected: a gap"),
        ("heads", "drop", "does not follow the head before"),
        ("heads", "repeat", "does not follow the head before"),
    ],
)
def test_fsck_finds_gaps_and_a_seq_that_was_used_before(tmp_path: Path, table: str, how: str, detail: str) -> None:
    with closing(open_store(tmp_path / "records")) as store:
        admitted(store, submit(GENESIS, ROOT))
        for rev in (1, 2):
            admitted(store, submit(binding(GENESIS, "app", rev, b"x"), ALICE, BOB))
            store.make_head()
        store.make_head()
    with closing(Environment(tmp_path / "records", DATABASES, map_bytes=1 << 28, free_reserve_bytes=0)) as env:
        with env.read() as reader:
            (_, first), (second, _), _ = list(reader.range(table, b""))
        with env.write() as writer:
            if how == "drop":
                writer.delete(table, second)
            else:  # a head that is signed as it should be, and not the one for this place
                writer.put(table, second, first)
        with env.read() as reader:
            found = [fault.detail for fault in check_store(RecordsReader(reader), NODE.kid) if fault.table == table]
    assert detail in found
