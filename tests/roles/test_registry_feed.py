"""What a registry tells others of its commits, and what it does not hold against whoever signed what was relayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

from holo.core import tree
from holo.core.receipt import DENIAL_RECEIPT
from holo.store.ledger import BindingSubmission, Outcome, PolicySubmission, Submission
from tests.roles.test_registry import GENESIS, incoming, running
from tests.store.people import ALICE, BOB, CAROL, ROOT, binding, policy


async def test_a_commit_is_told_once_and_with_what_was_new_only(tmp_path: Path) -> None:
    told: list[tuple[Submission, Outcome]] = []

    def tell(new: Sequence[tuple[Submission, Outcome]]) -> None:
        told.extend(new)

    async with running(tmp_path / "r") as (registry, _):
        registry.on_commit = tell
        first = incoming(binding(GENESIS, "a", 1, b"x"), ALICE, BOB)
        refused = incoming(binding(GENESIS, "b", 1, b"x"), CAROL)
        await registry.admit([incoming(GENESIS, ROOT), first, refused])
        await registry.admit([first])
        assert [(outcome.path, outcome.new) for _, outcome in told] == [(None, True), ("a/stable", True)]
        records = [item.record for item, _ in told if isinstance(item, BindingSubmission | PolicySubmission)]
        assert [sorted(record.endorsements) for record in records] == [[ROOT.kid], sorted([ALICE.kid, BOB.kid])]


async def test_a_refusal_of_what_was_relayed_is_not_logged_as_its_signers(tmp_path: Path) -> None:
    async with running(tmp_path / "r") as (registry, _):
        await registry.admit([incoming(GENESIS, ROOT)])
        strange = incoming(binding(GENESIS, "b", 1, b"x"), CAROL)
        await registry.admit([strange], relayed=True)
        assert _denials(registry) == 0
        await registry.admit([strange])
        assert _denials(registry) == 1
        assert registry.refused["signer-not-allowed"] == 2


async def test_a_head_follows_a_seal_that_takes_effect_without_a_receipt(tmp_path: Path) -> None:
    older = binding(GENESIS, "a", 1, b"x")
    kept = tree.build([(b"a/stable", [[older.id, [0, 1]]])])
    sealing = policy(ALICE, BOB, two_for=["stable"], seq=1, prev=GENESIS.id, seal=kept.root)
    async with running(tmp_path / "r", head_idle_ms=3_600_000) as (registry, _):
        newer = incoming(binding(GENESIS, "a", 2, b"y", prev=[older.id]), ALICE, BOB)
        await registry.admit([incoming(GENESIS, ROOT), incoming(older, ALICE, BOB), newer])
        await registry.head_covering(2, registry.mark.log, 30)
        await registry.admit([incoming(sealing, ROOT)])
        await registry.head_covering(3, registry.mark.log, 30)
        with registry.view() as view:
            assert view.namespace("acme").held is not None
        mark = registry.mark
        whole = replace(incoming(sealing, ROOT), nodes=list(kept.added.values()))
        await registry.admit([whole])
        with trio.fail_after(30):
            assert (await registry.changed_from(mark)).heads > mark.heads
        with registry.view() as view:
            head = view.head()
            assert head is not None
            state = view.namespace_state(view.catalog(head[0].catalog), "acme")
            assert state is not None
            assert state.policy == sealing.id


async def test_a_registry_without_threads_commits_as_one_with(tmp_path: Path) -> None:
    async def at_once(call: Any, *arguments: Any, **_: Any) -> Any:
        return call(*arguments)

    async with running(tmp_path / "r", run_sync=at_once) as (registry, _):
        record = incoming(binding(GENESIS, "a", 1, b"x"), ALICE, BOB)
        results = await registry.admit([incoming(GENESIS, ROOT), *[record] * 70])
        assert [result.new for result in results if isinstance(result, Outcome)] == [True, True, *[False] * 69]


def _denials(registry: Any) -> int:
    with registry.view() as view:
        return len(list(view.records.receipts(view.log.number, type=DENIAL_RECEIPT)))
