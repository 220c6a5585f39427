"""A registry over a store that was put back from a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import trio

from holo.profile import Anonymous
from holo.profile import Registry as Settings
from holo.roles.registry import Registry
from tests.store.people import ALICE, ROOT, commit, open_store, policy, submit


async def test_a_new_log_has_a_head_as_soon_as_the_node_is_ready(tmp_path: Path) -> None:
    before = open_store(tmp_path / "before")
    commit(before, submit(policy(ALICE), ROOT))
    old = before.make_head()
    before.close()
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    store = open_store(tmp_path / "after")
    registry = Registry(store, Settings(), Anonymous(), lambda: 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(registry.run)
        with registry.view() as view:
            found = view.head()
            assert found is not None
            head, _ = found
            assert (head.seq, head.prev, head.log) == (0, None, view.log.id)
            assert head.log != old.statement.value["log"]
            assert head.catalog == old.statement.value["catalog"]
        nursery.cancel_scope.cancel()
    store.close()
