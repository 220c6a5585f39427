"""Both laws as a machine: two nodes, anything in any order, restarts, heads, pulls; each step is as modelled."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.laws.effort import effort
from tests.laws.model import Item, Model
from tests.laws.pull import converge, pull
from tests.laws.stores import Node
from tests.laws.world import Drawing

WHICH = st.integers(0, 1)


class Laws(RuleBasedStateMachine):
    """``drawing`` makes records; the rules say what becomes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="holo-laws-", dir=FOLDER)
        self.nodes: list[Node] = []

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.drawing = Drawing(data.draw)
        self.world = self.drawing.world
        for at in range(2):
            node = Node(Path(self.folder.name), self.world.hosted, f"node{at}")
            node.deliver(self.world.items[0])
            self.nodes.append(node)
        self.make(data, 10)

    @rule(data=st.data(), steps=st.integers(2, 8))
    def make(self, data: st.DataObject, steps: int) -> None:
        """Some new things come, each to one node or both."""
        before = len(self.world.items)
        self.drawing.draw = data.draw
        for _ in range(steps):
            self.drawing.step()
        for item in self.world.items[before:]:
            for at in data.draw(st.sampled_from([{0}, {1}, {0, 1}])):
                self.nodes[at].deliver(item)
        for node in self.nodes:
            node.check_catalog()

    @rule(data=st.data(), at=WHICH, together=st.booleans())
    def offer(self, data: st.DataObject, at: int, together: bool) -> None:
        """Some of what there is comes, known or not, as a batch or as all or none."""
        items = data.draw(st.lists(st.sampled_from(self.world.items), min_size=1, max_size=6))
        if together:
            self.nodes[at].deliver_together(*items)
            self.nodes[at].check_catalog()
        else:
            self._deliver(at, items)

    @rule(at=WHICH)
    def sign_a_head(self, at: int) -> None:
        self.nodes[at].catalog()

    @rule(at=WHICH)
    def restart(self, at: int) -> None:
        self.nodes[at].reopen()

    @rule(at=WHICH)
    def pull_once(self, at: int) -> None:
        pull(self.nodes[at], self.nodes[1 - at])
        self.nodes[at].check_catalog()

    @precondition(lambda self: self.nodes)
    @rule(at=WHICH)
    def ask_everything(self, at: int) -> None:
        self.nodes[at].check(self.world)

    def teardown(self) -> None:
        try:
            if self.nodes:
                self._end()
        finally:
            for node in self.nodes:
                node.close()
            self.folder.cleanup()

    def _deliver(self, at: int, items: list[Item]) -> None:
        self.nodes[at].deliver(*items, apart=True)
        self.nodes[at].check_catalog()

    def _end(self) -> None:
        """Let them converge: then both are as the model of all that either was given."""
        everything = Model(self.world.hosted)
        everything.items = [item for node in self.nodes for item in node.model.items]
        converge(self.nodes)
        for node in self.nodes:
            assert node.catalog() == everything.catalog()
            node.check(self.world)


FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None

TestLaws = Laws.TestCase
TestLaws.settings = settings(effort(1 / 6), stateful_step_count=25)
