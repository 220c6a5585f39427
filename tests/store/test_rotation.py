"""The key of a home's node is rotated: the store goes on under the new one; a crash leaves one node or the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from holo.core import log as rfc9162
from holo.core.decision import Query
from holo.core.errors import HoloError, Missing
from holo.core.head import open_head, open_log_genesis
from holo.core.names import Name
from holo.core.receipt import open_receipt
from holo.core.successor import follow
from holo.store.fsck import Fault, check_store
from holo.store.home import Home
from holo.store.keyring import NODE, own_key, own_kid
from holo.store.rotation import handovers_file, own_handovers, rotate_node_key
from holo.store.store import Store
from tests.store.people import ALICE, BOB, ROOT, admitted, binding, policy, submit

GENESIS = policy(ALICE, BOB)
NAME = Name.parse("acme/app:stable")
DIED = 9


def clock_ms() -> int:
    return 1_000


@contextmanager
def opened(home: Home) -> Iterator[Store]:
    """The store as a node opens it."""
    key, handovers = own_key(home, NODE), own_handovers(home)
    with closing(Store(home.records, key, clock_ms=clock_ms, map_bytes=1 << 28, handovers=handovers)) as store:
        yield store


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home").create()
    with opened(home) as store:
        admitted(store, submit(GENESIS, ROOT))
        store.make_head()
        admitted(store, submit(binding(GENESIS, "app", 1, b"one"), ALICE))
    return home


def faults(store: Store) -> list[Fault]:
    with store.view() as view:
        return list(check_store(view.records, store.owner))


def test_the_store_goes_on_in_a_log_of_the_new_key(home: Home) -> None:
    with opened(home) as store, store.view() as view:
        before = view.log
    done = rotate_node_key(home, clock_ms)
    assert done.old == store.key.kid != done.new == own_kid(home, NODE)
    with opened(home) as store:
        assert (store.key.kid, store.owner) == (done.new, done.new)
        with store.view() as view:
            assert view.decide(Query(NAME)).outcome == "resolved"
            envelope = view.records.log_genesis(1)
            assert envelope is not None
            genesis = open_log_genesis(envelope)
            last = [data for _, data in view.records.heads(0)][-1]
            head = open_head(last)
            assert (genesis.node, genesis.prev_log, genesis.prev_head) == (done.new, before.id, head.id)
            assert (head.signer, head.log_size) == (done.old, before.size)
        (outcome,) = admitted(store, submit(binding(GENESIS, "app", 2, b"two"), BOB))
        assert outcome.receipt.seq == 0
        store.make_head()
        assert faults(store) == []


def test_old_receipts_are_proved_against_the_last_head_of_the_old_key(home: Home) -> None:
    done = rotate_node_key(home, clock_ms)
    with opened(home) as store, store.view() as view:
        head = open_head([data for _, data in view.records.heads(0)][-1])
        receipts = [open_receipt(envelope) for _, envelope in view.records.receipts(0)]
        assert len(receipts) == head.log_size == 2
        for receipt in receipts:
            seq, size, hashes = view.inclusion(receipt.id)
            rfc9162.check_inclusion(rfc9162.leaf_hash(receipt.id), seq, size, hashes, head.log_root)
        assert {head.signer, *(receipt.signer for receipt in receipts)} == {done.old}


def test_a_chain_of_rotations(home: Home) -> None:
    first = own_kid(home, NODE)
    done = [rotate_node_key(home, clock_ms) for _ in range(3)]
    assert first == done[0].old
    assert follow(done[0].old, [item.statement for item in own_handovers(home)]) == done[-1].new
    with opened(home) as store:
        assert faults(store) == []
        with store.view() as view:
            assert view.log.number == 3


def test_another_key_takes_no_store_over(home: Home) -> None:
    done = rotate_node_key(home, clock_ms)
    statement = handovers_file(home).read_bytes()
    handovers_file(home).unlink()
    with opened(home):
        pass  # the store has it
    key = home.identity / "node.key"
    key.unlink()
    other = Home(home.path / "other")
    own_key(other, NODE)
    key.write_bytes((other.identity / "node.key").read_bytes())
    key.chmod(0o600)
    handovers_file(home).write_bytes(statement)
    with pytest.raises(HoloError, match="node-key-lost"), opened(home):
        pass
    assert done.new != own_kid(home, NODE)


def test_a_log_of_a_stranger_is_found(home: Home) -> None:
    rotate_node_key(home, clock_ms)
    with opened(home) as store:
        store.write(lambda records, journal: records.put_meta("handovers", []))
        assert [fault.detail for fault in faults(store) if fault.table == "logs"] == ["its genesis is another node's"]


def test_a_home_without_a_node(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="key-unknown"):
        rotate_node_key(Home(tmp_path / "none"), clock_ms)
    assert not (tmp_path / "none").exists()


def test_a_process_that_dies_at_any_step_leaves_the_old_node_or_the_new_one(home: Home) -> None:
    first, seen, step, code = own_kid(home, NODE), set[str](), 0, DIED
    assert first is not None
    while code == DIED:
        before = own_kid(home, NODE)
        assert before is not None
        code = rotate_and_die(home, step)
        now = own_kid(home, NODE)
        seen.add("old" if now == before else "new")
        with opened(home) as store:
            assert store.owner == store.key.kid == now
            assert faults(store) == []
            with store.view() as view:
                assert view.decide(Query(NAME)).outcome == "resolved"
        if now != before:
            assert follow(before, [item.statement for item in own_handovers(home)]) == now
        step += 1
    assert (code, seen) == (0, {"old", "new"})
    assert step > 20


def rotate_and_die(home: Home, step: int) -> int:
    """The exit code of a process that rotates the key, and ends without a word before touching its ``step``-th file."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = step

    def count(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if event in ("open", "os.rename", "os.link", "os.remove", "os.mkdir"):
            if left == 0:
                os._exit(DIED)
            left -= 1

    try:
        sys.addaudithook(count)
        rotate_node_key(home, clock_ms)
        os._exit(0)
    finally:
        os._exit(1)
