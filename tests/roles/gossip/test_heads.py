"""What nodes promise each other, and how far heads get that others pass on."""

from __future__ import annotations

from pathlib import Path

from holo.core.peer_receipts import ConvergenceReceipt
from holo.core.receipt import open_receipt
from holo.store.ledger import Hosting
from tests.records import EVERYTHING, policy_record
from tests.roles.gossip.scene import GENESIS, Peer, bind, introduce, scene, until


def promised(peer: Peer) -> set[str]:
    """The namespaces that a node signed convergence-receipts about."""
    with peer.store.view() as view:
        rows = view.records.receipts(view.log.number, type="convergence-receipt")
        opened = [open_receipt(envelope) for _, envelope in rows]
    return {item.ns for receipt in opened if isinstance(receipt, ConvergenceReceipt) for item in receipt.states}


async def test_who_shares_some_namespaces_promises_those(tmp_path: Path, autojump_clock: object) -> None:
    other = policy_record("other", signers={"alice": EVERYTHING})
    async with scene(tmp_path) as world:
        one = await world.add("one", pinned=False)
        two = await world.add("two", pinned=False, hosting=Hosting(open=False, pinned={"other": other.statement.id}))
        await one.admit(GENESIS, bind("app/dev", "x"), other, bind("app/dev", "x", genesis=other))
        introduce(one, two)
        await until(lambda: promised(two) == {"other"} == promised(one), 120)
        await until(lambda: None not in (one.state_of(two).converged_at_ms, two.state_of(one).converged_at_ms))
        last = bind("app/next", "x", genesis=other)
        await two.admit(last)
        await until(lambda: one.has(last))
