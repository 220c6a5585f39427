"""The first law: any permitted order, any batching, duplicates and rubbish between, give one state."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core.errors import HoloError
from tests.laws.effort import effort, keep_trying
from tests.laws.stores import Node, permitted
from tests.laws.world import World, crowded_worlds, worlds


@effort(0.7)
@given(world=worlds(), data=st.data())
def test_any_order_gives_one_state(tmp_path: Path, world: World, data: st.DataObject) -> None:
    deliver_at_random(tmp_path, world, data)


@effort(0.15)
@given(world=crowded_worlds(), data=st.data())
def test_any_order_gives_one_state_where_mailboxes_overflow(tmp_path: Path, world: World, data: st.DataObject) -> None:
    deliver_at_random(tmp_path, world, data)


@pytest.mark.soak
def test_any_order_gives_one_state_for_as_long_as_asked(tmp_path: Path, soak_seconds: float) -> None:
    keep_trying(partial(deliver_at_random, tmp_path), soak_seconds)


def deliver_at_random(folder: Path, world: World, data: st.DataObject) -> None:
    """Deliver a world in a drawn order and batching, with restarts and heads between; the end is the model's."""
    with Node(folder, world.hosted) as node:
        order = permitted(data.draw(st.permutations(world.items), label="order"), node.model)
        order += data.draw(st.lists(st.sampled_from(order), max_size=5), label="again")
        while order:
            count = data.draw(st.integers(1, 8), label="batch")
            batch, order = order[:count], order[count:]
            last = node.deliver(*batch, apart=data.draw(st.booleans()))[-1]
            assert isinstance(last, HoloError) or last.state == node.model.stands(batch[-1])
            between = data.draw(st.sampled_from(["nothing", "nothing", "head", "restart", "check"]), label="between")
            if between == "head":
                node.store.make_head()
            elif between == "restart":
                node.reopen()
            elif between == "check":
                node.check(world)
        node.check(world)
        node.check_soundness()
