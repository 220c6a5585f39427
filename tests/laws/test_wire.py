"""The second law by messages: nodes that know different parts end with one state, whatever is cut or lost."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.effort import effort, keep_trying
from tests.laws.model import Model
from tests.laws.stores import Node, permitted
from tests.laws.wire import Wire
from tests.laws.world import World, crowded_worlds, worlds


@effort(0.15)
@given(world=worlds(), data=st.data())
def test_nodes_with_different_parts_converge(tmp_path: Path, world: World, data: st.DataObject) -> None:
    converge_at_random(tmp_path, world, data)


@effort(0.05)
@given(world=crowded_worlds(), data=st.data())
def test_nodes_converge_where_mailboxes_overflow(tmp_path: Path, world: World, data: st.DataObject) -> None:
    converge_at_random(tmp_path, world, data)


@pytest.mark.soak
def test_nodes_converge_for_as_long_as_asked(tmp_path: Path, soak_seconds: float) -> None:
    keep_trying(partial(converge_at_random, tmp_path), soak_seconds)


def converge_at_random(folder: Path, world: World, data: st.DataObject) -> None:
    """Give two or three nodes parts of a world, let them pull, and compare each with the model of everything."""
    with ExitStack() as stack:
        count = data.draw(st.integers(2, 3), label="nodes")
        nodes = [stack.enter_context(Node(folder, world.hosted, f"node{at}")) for at in range(count)]
        everybody = st.sets(st.sampled_from(range(count)), min_size=1)
        parts = [data.draw(everybody, label=str(item)) for item in world.items]
        for at, node in enumerate(nodes):
            part = [item for item, to in zip(world.items, parts, strict=True) if at in to]
            node.deliver(*permitted(data.draw(st.permutations(part), label="order"), node.model))
        everything = Model(world.hosted)
        everything.items = [item for node in nodes for item in node.model.items]
        Wire(data.draw(st.integers(0, 2**32), label="line")).converge(nodes)
        for node in nodes:
            assert node.catalog() == everything.catalog()
            node.check(world)
