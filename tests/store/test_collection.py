"""Nodes are kept while a kept head reaches them, and no longer, however often they come back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from holo.core.cid import DAG_CBOR, Cid
from holo.store.environment import Environment
from holo.store.layout import DATABASES
from holo.store.records_writer import RecordsWriter
from holo.store.snapshot import collect

NODES = {Cid.of(DAG_CBOR, data): data for data in (b"one", b"two", b"three", b"four")}


@given(st.lists(st.sets(st.sampled_from(sorted(NODES))), min_size=1, max_size=25), st.integers(1, 5))
def test_what_a_kept_head_reaches_is_there_and_nothing_else(reached: list[set[Cid]], keep: int) -> None:
    with TemporaryDirectory() as folder:
        env = Environment(Path(folder) / "records", DATABASES, map_bytes=1 << 28, free_reserve_bytes=0)
        with closing(env), env.write() as writer:
            records = RecordsWriter(writer)
            before: set[Cid] = set()
            for head, after in enumerate(reached):
                for cid in after - before:
                    records.put_node(cid, NODES[cid], head)
                for cid in before - after:
                    records.bury_node(cid, head)
                collect(records, head + 1 - keep)
                kept = set().union(*reached[max(0, head + 1 - keep) : head + 1])
                assert {cid for cid, _ in records.nodes()} == kept
                assert {cid for _, cid in records.buried(head + 1)} <= kept
                before = after
