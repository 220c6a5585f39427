"""The registry role: group commit, heads on time, refusals with and without receipts, overload, and a clean stop."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
import trio
import trio.testing

from holo.core import limits
from holo.core.envelope import encode_envelope, make_record
from holo.core.errors import HoloError, Overloaded
from holo.core.keys import SigningKey
from holo.core.receipt import DenialReceipt, open_binding_receipt, open_receipt
from holo.profile import Anonymous
from holo.profile import Registry as Settings
from holo.roles.registry import Incoming, Registry
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
    path: Path, *, denials: int = 10, clock_ms: Callable[[], int] = lambda: 1_000, **settings: int
) -> AsyncIterator[tuple[Registry, Store]]:
    store = open_store(path, clock_ms=clock_ms)
    registry = Registry(store, Settings(**settings), Anonymous(denials_per_minute=denials), lambda: 0)  # type: ignore[arg-type]
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


async def test_proven_keys_get_denials_up_to_the_allowance_and_strangers_get_none(tmp_path: Path) -> None:
    async with running(tmp_path / "r", denials=2) as (registry, _):
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
