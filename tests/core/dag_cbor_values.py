"""Hypothesis strategies for what strict DAG-CBOR can say."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.limits import INT_MAX

links = st.builds(Cid.from_digest, st.sampled_from([RAW, DAG_CBOR, CBOR]), st.binary(min_size=32, max_size=32))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-INT_MAX, INT_MAX),
    st.integers(-300, 300),
    texts,
    st.binary(max_size=300),
    links,
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(texts, inner, max_size=30),
    max_leaves=40,
)
