"""The registry role: group commit, heads on time, refusals with and without receipts, overload, and a clean stop."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
import trio
import trio.lowlevel
import trio.testing

from holo.core import limits
from holo.core.envelope import Statement, encode_envelope, make_record
from holo.core.errors import HoloError, Overloaded
from holo.core.keys import SigningKey
from holo.core.receipt import BindingReceipt, DenialReceipt, PolicyReceipt, open_binding_receipt, open_receipt
from holo.profile import Anonymous
from holo.profile import Registry as Settings
from holo.roles.registry import Incoming, Registry
from holo.roles.registry.opening import RunSync, portions
from holo.store.ledger import Outcome
from holo.store.store import Store
from tests.store.people import ALICE, BOB, CAROL, ROOT, binding, open_store, policy

GENESIS = policy(ALICE, BOB, two_for=["stable"])


def incoming(statement: object, *keys: SigningKey) -> Incoming:
    record = make_record(statement, *keys)  # type: ignore[arg-type]
    kind: Literal["policy", "binding"] = "policy" if record.statement.type == "policy" else "binding"
    return Incoming(kind, record.envelopes(), compare_and_swap=True)


@asynccontextmanager
async def running(
    path: Path,
    *,
    denials: int = 10,
    clock_ms: Callable[[], int] = lambda: 1_000,
    run_sync: RunSync = trio.to_thread.run_sync,
    **settings: int,
) -> AsyncIterator[tuple[Registry, Store]]:
    store = open_store(path, clock_ms=clock_ms)
    anonymous = Anonymous(denials_per_minute=denials)
    registry = Registry(store, Settings(**settings), anonymous, lambda: 0, run_sync=run_sync)  # type: ignore[arg-type]
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(registry.run)
            yield registry, store
            nursery.cancel_scope.cancel()
    finally:
        store.close()


async def test_what_is_admitted_together_is_committed_together(tmp_path: Path) -> None:
    ticks = itertools.count(1)  # a transaction reads the clock once, and stamps all its receipts with it
    async with running(tmp_path / "r", clock_ms=lambda: next(ticks)) as (registry, _):
        await registry.admit([incoming(GENESIS, ROOT)])
        results: dict[int, list[object]] = {}

        async def publish(number: int) -> None:
            statement = binding(GENESIS, f"n{number}", 1, b"x")
            results[number] = list(await registry.admit([incoming(statement, ALICE, BOB)]))

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(publish, number)
        outcomes = [item for items in results.values() for item in items]
        assert all(isinstance(item, Outcome) and item.state == "current" for item in outcomes)
        seqs = sorted(item.receipt.seq for item in outcomes if isinstance(item, Outcome))
        assert seqs == list(range(1, 51)), "receipts are without gaps"
        stamps = {open_binding_receipt(item.receipt.envelope).at_ms for item in outcomes if isinstance(item, Outcome)}
        assert len(stamps) <= 2, "the first may go alone; what queued meanwhile goes together"
        with registry.view() as view:
            assert view.log.size == 51


async def test_a_head_follows_a_change_within_the_interval_and_a_burst_at_once(tmp_path: Path) -> None:
    async with running(tmp_path / "r", head_interval_ms=60_000, head_changes=3) as (registry, _):
        assert registry.mark.heads == 1, "a node starts with a head"
        await registry.admit([incoming(GENESIS, ROOT)])
        await registry.admit([incoming(binding(GENESIS, "a", 1, b"x"), ALICE, BOB)])
        assert not await registry.head_covering(1, 0, timeout_s=0.05)
        await registry.admit([incoming(binding(GENESIS, "b", 1, b"x"), ALICE, BOB)])
        assert await registry.head_covering(2, 0, timeout_s=5)
    async with running(tmp_path / "s", head_interval_ms=20) as (registry, _):
        await registry.admit([incoming(GENESIS, ROOT)])
        assert await registry.head_covering(0, 0, timeout_s=5)


async def test_while_writes_wait_a_head_does_not_follow_every_few_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRITE_BATCH", 1)
    store = open_store(tmp_path / "r")
    registry = Registry(store, Settings(head_interval_ms=600_000, head_changes=2), Anonymous(), lambda: 0)
    async with trio.open_nursery() as nursery:
        for number in range(20):  # nobody drains the queue yet
            nursery.start_soon(registry.admit, [incoming(policy(ALICE, ns=f"n{number}"), ROOT)])
        await trio.testing.wait_all_tasks_blocked()
        await nursery.start(registry.run)
        assert await registry.head_covering(19, 0, timeout_s=60), "the last of them is followed by one at once"
        assert registry.mark.heads == 2, "the first was signed before anything was committed"
        nursery.cancel_scope.cancel()
    store.close()


async def test_proven_keys_get_denials_up_to_the_allowance_and_strangers_get_none(tmp_path: Path) -> None:
    async with running(tmp_path / "r", denials=8) as (registry, _):
        await registry.admit([incoming(GENESIS, ROOT)])
        receipts = []
        for number in range(4):
            (refused,) = await registry.admit([incoming(binding(GENESIS, f"n{number}", 1, b"x"), CAROL)])
            assert isinstance(refused, HoloError)
            assert refused.code == "signer-not-allowed"
            receipts.append(refused.denial)
        assert [item is not None for item in receipts] == [True, True, False, False]
        assert receipts[0] is not None
        denial = open_receipt(receipts[0][1])
        assert isinstance(denial, DenialReceipt)
        assert (denial.code, denial.requester) == ("signer-not-allowed", CAROL.kid)
        assert registry.refused["signer-not-allowed"] == 4


async def test_strangers_and_another_namespace_do_not_use_up_a_signers_denials(tmp_path: Path) -> None:
    async def refusals(registry: Registry, genesis: Statement, key: SigningKey, count: int) -> int:
        """How many of so many refusals of ``key`` were logged."""
        records = [incoming(binding(genesis, f"n{number}", 1, b"x", prev=[GENESIS.id]), key) for number in range(count)]
        results = await registry.admit(records)
        assert all(isinstance(item, HoloError) for item in results)
        return sum(isinstance(item, HoloError) and item.denial is not None for item in results)

    other = policy(CAROL, ns="other")
    async with running(tmp_path / "r", denials=12) as (registry, _):
        await registry.admit([incoming(GENESIS, ROOT), incoming(other, ROOT)])
        unknown = policy(CAROL, ns="unknown")
        for number in range(20):
            stranger = SigningKey(bytes([100 + number]) * 32)
            await refusals(registry, GENESIS, stranger, 1)
            await refusals(registry, unknown, stranger, 1)
        assert await refusals(registry, GENESIS, CAROL, 3) == 0, "strangers have had their part, whatever their keys"
        assert await refusals(registry, other, CAROL, 9) == 3
        assert await refusals(registry, GENESIS, ALICE, 2) == 2
        assert await refusals(registry, GENESIS, BOB, 2) == 1, "the signers of a namespace share what is theirs"


async def test_a_broken_signature_beside_a_proven_one_earns_the_proven_key_a_denial(tmp_path: Path) -> None:
    async with running(tmp_path / "r") as (registry, _):
        await registry.admit([incoming(GENESIS, ROOT)])
        record = make_record(binding(GENESIS, "app", 1, b"x"), ALICE, BOB)
        good = {kid: signature for kid, signature in record.endorsements.items() if kid == min(record.endorsements)}
        kid = max(record.endorsements)
        broken = bytes(64)
        envelopes = [
            encode_envelope("binding", *pair)
            for pair in ((min(good), record.statement.bytes, good[min(good)]), (kid, record.statement.bytes, broken))
        ]
        (refused,) = await registry.admit([Incoming("binding", envelopes)])
        assert isinstance(refused, HoloError)
        assert (refused.code, refused.denial is not None) == ("signature-invalid", True)
        (refused,) = await registry.admit([Incoming("binding", envelopes[1:])])
        assert isinstance(refused, HoloError)
        assert (refused.code, refused.denial) == ("signature-invalid", None)


async def test_a_full_queue_refuses_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WRITE_QUEUE", 4)
    store = open_store(tmp_path / "r")
    registry = Registry(store, Settings(), Anonymous(), lambda: 0)
    taken: list[object] = []
    refused: list[str] = []

    async def publish(number: int) -> None:
        try:
            taken.extend(await registry.admit([incoming(policy(ALICE, ns=f"n{number}"), ROOT)]))
        except Overloaded as error:
            refused.append(error.code)

    async with trio.open_nursery() as nursery:
        for number in range(7):  # nobody drains the queue yet
            nursery.start_soon(publish, number)
        await trio.testing.wait_all_tasks_blocked()
        assert refused == ["overloaded"] * 3
        await nursery.start(registry.run)
        while len(taken) < 4:
            await registry.changed_from(registry.mark)
        nursery.cancel_scope.cancel()
    assert all(isinstance(item, Outcome) for item in taken)
    store.close()


async def test_a_queue_of_too_many_bytes_refuses_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = incoming(policy(ALICE, ns="n0"), ROOT)
    monkeypatch.setattr(limits, "WRITE_QUEUE_BYTES", 3 * len(record.envelopes[0]))
    store = open_store(tmp_path / "r")
    registry = Registry(store, Settings(), Anonymous(), lambda: 0)
    taken: list[object] = []
    refused: list[Overloaded] = []

    async def publish(number: int) -> None:
        try:
            taken.extend(await registry.admit([incoming(policy(ALICE, ns=f"n{number}"), ROOT)]))
        except Overloaded as error:
            refused.append(error)

    async with trio.open_nursery() as nursery:
        for number in range(6):  # nobody drains the queue yet
            nursery.start_soon(publish, number)
        await trio.testing.wait_all_tasks_blocked()
        assert [(item.code, item.retry_after_s) for item in refused] == [("overloaded", 1)] * 3
        await nursery.start(registry.run)
        while len(taken) < 3:
            await registry.changed_from(registry.mark)
        refused.clear()
        for number in range(6, 9):  # there is room again for as many
            await publish(number)
        assert (len(taken), refused) == (6, [])
        nursery.cancel_scope.cancel()
    store.close()


async def test_a_transaction_takes_so_much_and_divides_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRITE_BATCH", 8)
    ticks = itertools.count(1)  # a transaction reads the clock once, and stamps all its receipts with it
    store = open_store(tmp_path / "r", clock_ms=lambda: next(ticks))
    registry = Registry(store, Settings(), Anonymous(), lambda: 0)
    stamps: dict[int, set[int]] = {}

    requests = [await registry.open([incoming(GENESIS, ROOT)])]
    for number, size in enumerate([1, 3, 20, 2, 6, 5, 1, 1]):
        statements = [binding(GENESIS, f"r{number}n{at}", 1, b"x") for at in range(size)]
        requests.append(await registry.open([incoming(item, ALICE, BOB) for item in statements]))

    async def submit(number: int) -> None:
        results = await registry.submit(requests[number])
        stamps[number] = {_at_ms(item) for item in results}

    async with trio.open_nursery() as nursery:
        for number in range(9):  # nobody drains the queue yet
            nursery.start_soon(submit, number)
            await trio.testing.wait_all_tasks_blocked()
        await nursery.start(registry.run)
        while len(stamps) < 9:
            await registry.changed_from(registry.mark)
        nursery.cancel_scope.cancel()
    store.close()
    assert all(len(item) == 1 for item in stamps.values()), "a request is in one transaction"
    by_stamp = sorted(range(9), key=lambda number: (min(stamps[number]), number))
    groups = [list(group) for _, group in itertools.groupby(by_stamp, key=lambda number: stamps[number])]
    assert groups == [[0, 1, 2, 3], [4, 5], [6, 7, 8]]


def _at_ms(result: object) -> int:
    assert isinstance(result, Outcome)
    receipt = open_receipt(result.receipt.envelope)
    assert isinstance(receipt, BindingReceipt | PolicyReceipt)
    return receipt.at_ms


async def test_many_are_opened_in_their_order_and_answered_in_it(tmp_path: Path) -> None:
    async with running(tmp_path / "r") as (registry, _):
        await registry.admit([incoming(GENESIS, ROOT)])
        records = [incoming(binding(GENESIS, f"n{number}", 1, b"x"), ALICE, BOB) for number in range(200)]
        for number in range(0, 200, 7):
            records[number] = Incoming("binding", [records[number].envelopes[0][:-1] + b"x"])
        results = await registry.admit(records)
        for number, result in enumerate(results):
            if number % 7 == 0:
                assert isinstance(result, HoloError)
                assert result.code == "signature-invalid"
            else:
                assert isinstance(result, Outcome)
                assert result.path == f"n{number}/stable"


def test_no_more_is_opened_at_a_time_than_there_is_room_for() -> None:
    sizes = [1, 96, 30, 30, 4, 1, 63, 64, 65, 1]
    records = [Incoming("binding", [b""] * size) for size in sizes]
    found = [[len(record.envelopes) for record in portion] for portion in portions(records)]
    assert found == [[1], [96], [30, 30, 4], [1, 63], [64], [65], [1]]
    assert list(portions([])) == []


async def test_who_leaves_while_records_are_opened_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running(tmp_path / "r") as (registry, _):
        await registry.admit([incoming(GENESIS, ROOT)])
        records = [incoming(binding(GENESIS, f"n{number}", 1, b"x"), ALICE, BOB) for number in range(200)]
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(registry.admit, records)
                await trio.lowlevel.checkpoint()
                scope.cancel()
        await registry.admit([incoming(binding(GENESIS, "after", 1, b"x"), ALICE, BOB)])
        with registry.view() as view:
            assert view.log.size == 2


async def test_what_was_queued_is_committed_though_nobody_waits_for_it(tmp_path: Path) -> None:
    async with running(tmp_path / "r") as (registry, _):
        await registry.admit([incoming(GENESIS, ROOT)])
        records = [incoming(binding(GENESIS, f"n{number}", 1, b"x"), ALICE, BOB) for number in range(20)]
        opened = await registry.open(records)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(registry.submit, opened)
                await trio.lowlevel.checkpoint()
                scope.cancel()
        again = await registry.admit(records)
        assert [isinstance(item, Outcome) and not item.new for item in again] == [True] * 20
        with registry.view() as view:
            assert view.log.size == 21


async def test_a_failed_store_answers_everybody_and_ends_the_role(tmp_path: Path) -> None:
    store = open_store(tmp_path / "r")
    registry = Registry(store, Settings(), Anonymous(), lambda: 0)
    failures: list[BaseException] = []

    async def publish() -> None:
        with trio.CancelScope(shield=True), pytest.raises(HoloError) as caught:
            await registry.admit([incoming(GENESIS, ROOT)])
        failures.append(caught.value)

    with pytest.raises(BaseExceptionGroup):  # noqa: PT012
        async with trio.open_nursery() as nursery:
            await nursery.start(registry.run)
            store.close()  # what a lost disk looks like from here: every later transaction fails
            async with trio.open_nursery() as clients:
                for _ in range(3):
                    clients.start_soon(publish)
            await publish()
    codes = [item.code for item in failures if isinstance(item, HoloError)]
    assert codes == ["store-failed"] * 3 + ["stopping"], "whoever asks later is not left waiting"


async def test_finish_covers_everything_admitted(tmp_path: Path) -> None:
    async with running(tmp_path / "r", head_interval_ms=60_000) as (registry, store):
        await registry.admit([incoming(GENESIS, ROOT)])
        await registry.finish()
        with store.view() as view:
            assert view.log.head_size == view.log.size == 1


async def test_a_full_disk_delays_heads_and_does_not_stop_the_node(tmp_path: Path) -> None:
    """Whoever fills the disk must not be able to end the reading of what is there."""
    async with running(tmp_path / "r", head_interval_ms=10) as (registry, store):
        await registry.admit([incoming(GENESIS, ROOT)])
        assert await registry.head_covering(0, 0, timeout_s=5)
        room = store._env._free_reserve_bytes
        await registry.admit([incoming(binding(GENESIS, "a", 1, b"x"), ALICE, BOB)])
        store._env._free_reserve_bytes = 1 << 60
        assert not await registry.head_covering(1, 0, timeout_s=0.2)
        with pytest.raises(Overloaded):
            await registry.admit([incoming(binding(GENESIS, "b", 1, b"x"), ALICE, BOB)])
        with registry.view() as view:
            assert view.namespace("acme").genesis == GENESIS.id
        store._env._free_reserve_bytes = room
        assert await registry.head_covering(1, 0, timeout_s=5), "heads go on once there is room again"
