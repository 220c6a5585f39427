"""What a registry tells others of its commits, and what it does not hold against whoever signed what was relayed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holo.core.receipt import DENIAL_RECEIPT
from holo.store.ledger import Outcome, Submission
from tests.roles.test_registry import GENESIS, incoming, running
from tests.store.people import ALICE, BOB, CAROL, ROOT, binding


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
        assert [sorted(item.record.endorsements) for item, _ in told] == [[ROOT.kid], sorted([ALICE.kid, BOB.kid])]


async def test_a_refusal_of_what_was_relayed_is_not_logged_as_its_signers(tmp_path: Path) -> None:
    async with running(tmp_path / "r") as (registry, _):
        await registry.admit([incoming(GENESIS, ROOT)])
        strange = incoming(binding(GENESIS, "b", 1, b"x"), CAROL)
        await registry.admit([strange], relayed=True)
        assert _denials(registry) == 0
        await registry.admit([strange])
        assert _denials(registry) == 1
        assert registry.refused["signer-not-allowed"] == 2


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
