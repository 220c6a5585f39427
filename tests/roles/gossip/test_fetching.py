"""Fetching by CID over the transfer plane: from whoever has it, whole or not at all, and not for ever."""

from __future__ import annotations

from pathlib import Path

import trio

from holo.core.cid import DAG_CBOR, Cid
from tests.roles.gossip.scene import GENESIS, introduce, scene, until


async def test_what_one_of_many_peers_has_is_fetched(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        asker = await world.add("asker", pinned=False)
        others = [await world.add(f"other{number}", pinned=False) for number in range(6)]
        for other in others:
            introduce(asker, other)
        await until(lambda: all(asker.state_of(other).connected for other in others))
        await others[3].admit(GENESIS)
        assert await asker.gossip.fetch(GENESIS.statement.id) == GENESIS.statement.bytes
        assert await asker.gossip.fetch(Cid.of(DAG_CBOR, b"nobody has this")) is None


async def test_nobody_is_asked_where_nobody_is_linked(tmp_path: Path, autojump_clock: object) -> None:
    async with scene(tmp_path) as world:
        asker = await world.add("asker")
        assert await asker.gossip.fetch(GENESIS.statement.id) is None


async def test_a_peer_that_does_not_answer_does_not_keep_the_others_from_it(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with scene(tmp_path) as world:
        asker = await world.add("asker", pinned=False)
        silent, holder = await world.add("silent", pinned=False), await world.add("holder", pinned=False)
        introduce(asker, silent)
        introduce(asker, holder)
        await holder.admit(GENESIS)
        await until(lambda: asker.state_of(silent).connected and asker.state_of(holder).connected)
        world.wire.partition([silent.kid])
        began = trio.current_time()
        assert await asker.gossip.fetch(GENESIS.statement.id) == GENESIS.statement.bytes
        assert trio.current_time() - began < 1
        assert await asker.gossip.fetch(Cid.of(DAG_CBOR, b"nobody has this")) is None
        assert trio.current_time() - began < 10
