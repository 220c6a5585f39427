"""Parts of a state read out of its bytes beside the same state decoded."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from holo.core import state_bytes
from holo.core.chain import HeldCode
from holo.core.cid import DAG_CBOR, Cid
from holo.core.limits import INT_MAX
from holo.core.state import NamespaceState

LINKS = st.binary(max_size=4).map(lambda data: Cid.of(DAG_CBOR, data))
COUNTS = st.integers(0, 300) | st.integers(0, 1 << 33) | st.just(INT_MAX)
HELD: st.SearchStrategy[tuple[HeldCode, Cid] | None] = st.none() | st.tuples(st.sampled_from(["rivals", "seal"]), LINKS)
NAMES = st.sampled_from(["a", "acme", "ecount", "dheld", "fpolicy.x", "a" * 64])
STATES = st.builds(NamespaceState, NAMES, LINKS, LINKS, HELD, LINKS, LINKS, LINKS, COUNTS)


@given(STATES, LINKS, COUNTS)
def test_parts_are_those_of_the_decoded_state(state: NamespaceState, root: Cid, count: int) -> None:
    data = state.as_statement().bytes
    links = state_bytes.links_of(data)
    assert links == (state.policy, state.genesis, state.pending, state.bindings, state.policies)
    assert all(type(link) is Cid for link in links)
    assert state_bytes.bindings_of(data) == state.bindings
    assert state_bytes.count_of(data) == state.count
    assert state_bytes.is_held(data) == (state.held is not None)
    after = replace(state, bindings=root, count=count)
    assert state_bytes.replace_bindings(data, root, count) == after.as_statement().bytes
