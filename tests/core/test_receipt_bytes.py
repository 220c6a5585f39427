"""A binding's receipt written as bytes beside the same receipt made as a statement."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from holo.core.binding import Binding
from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.envelope import Statement
from holo.core.keys import KID_PREFIX, Kid
from holo.core.limits import INT_MAX
from holo.core.names import Name
from holo.core.receipt import BindingState, make_binding_receipt
from holo.core.receipt_bytes import encode_binding_receipt

INTS = st.integers(0, 30) | st.integers(0, INT_MAX)
LINKS = st.builds(Cid.of, st.sampled_from([RAW, DAG_CBOR, CBOR]), st.binary(max_size=4))
KIDS = st.binary(min_size=32, max_size=32).map(lambda data: Kid(KID_PREFIX + data))
TEXTS = st.text("abcz-9%", min_size=1, max_size=60)


@given(
    st.builds(Name, TEXTS, TEXTS, TEXTS, st.none() | LINKS),
    st.none() | LINKS,
    st.tuples(LINKS, INTS, INTS, INTS),
    st.sampled_from(get_args(BindingState)),
    st.lists(KIDS, max_size=30, unique=True),
    st.lists(LINKS, max_size=3),
)
def test_it_is_the_statement(
    name: Name,
    cid: Cid | None,
    place: tuple[Cid, int, int, int],
    state: BindingState,
    endorsers: list[Kid],
    displaced: list[Cid],
) -> None:
    log, seq, at_ms, rev = place
    binding = Binding(log, name, log, rev, (), cid, log, 0, Statement("binding", {}, b"", log))
    says: dict[str, Any] = {
        "log": log,
        "seq": seq,
        "at_ms": at_ms,
        "state": state,
        "endorsers": endorsers,
        "displaced": displaced,
    }
    made = make_binding_receipt(binding, **says)
    assert encode_binding_receipt(binding, **says) == (made.type, made.bytes, made.id)
