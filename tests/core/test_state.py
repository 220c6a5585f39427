"""Namespace states, catalogs and the values of their trees: one form each, everything else refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import limits, tree
from holo.core.chain import HeldCode
from holo.core.cid import Cid
from holo.core.envelope import make_statement
from holo.core.errors import Rejected
from holo.core.state import (
    Catalog,
    Cited,
    NamespaceState,
    cited_value,
    decode_catalog,
    decode_namespace_state,
    endorsers_value,
    parse_current,
    parse_endorsers,
    parse_pending,
    parse_state_value,
    state_value,
)
from tests.records import content, kid

A, B = content("a"), content("b")
STATE = NamespaceState("acme", A, B, None, tree.EMPTY, tree.EMPTY, tree.EMPTY, 0)

cids = st.binary(max_size=4).map(lambda data: content(data.hex()))
positions = st.frozensets(st.integers(0, limits.SIGNERS - 1), min_size=1, max_size=5).map(lambda at: tuple(sorted(at)))
cited = st.builds(Cited, cids, positions)


@given(held=st.none() | st.tuples(st.sampled_from(["rivals", "seal"]), cids), count=st.integers(0, limits.INT_MAX))
def test_a_state_survives_its_bytes(held: tuple[HeldCode, Cid] | None, count: int) -> None:
    state = NamespaceState("acme", A, B, held, tree.EMPTY, tree.EMPTY, tree.EMPTY, count)
    assert decode_namespace_state(state.as_statement().bytes) == state


def test_a_catalog_survives_its_bytes() -> None:
    catalog = Catalog(tree.EMPTY, tree.build([(b"x", [A])]).root)
    assert decode_catalog(catalog.as_statement().bytes) == catalog


def state_with(**changes: Any) -> bytes:
    return make_statement({**STATE.as_statement().value, **changes}).bytes


@pytest.mark.parametrize(
    ("data", "code", "at"),
    [
        (state_with(ns="Acme"), "name-invalid", None),
        (state_with(genesis=None), "field-invalid", "payload.genesis"),
        (state_with(held=["rivals"]), "field-invalid", "payload.held"),
        (state_with(held=["rivals", "x"]), "field-invalid", "payload.held"),
        (state_with(held=["bored", A]), "field-invalid", "payload.held"),
        (state_with(held=[["rivals"], A]), "field-invalid", "payload.held"),
        (state_with(held=False), "field-invalid", "payload.held"),
        (state_with(bindings=A), "field-invalid", "payload.bindings"),  # raw bytes are no tree
        (state_with(pending=None), "field-invalid", "payload.pending"),
        (state_with(count=-1), "field-invalid", "payload.count"),
        (state_with(more=1), "field-unknown", "payload.more"),
        (state_with(type="catalog"), "type-mismatch", "payload.type"),
        (b"\xa0" + bytes(limits.STATE_BYTES), "too-large", None),
        (b"\x80", "cbor-invalid", "payload"),
    ],
)
def test_what_is_no_state(data: bytes, code: str, at: str | None) -> None:
    with pytest.raises(Rejected) as error:
        decode_namespace_state(data)
    assert error.value.code == code
    assert at is None or error.value.at == at


def test_what_is_no_catalog() -> None:
    for changes in ({"namespaces": A}, {"evidence": None}, {"extra": 1}):
        value: dict[str, Any] = {**Catalog(tree.EMPTY, tree.EMPTY).as_statement().value, **changes}
        with pytest.raises(Rejected):
            decode_catalog(make_statement(value).bytes)


@given(st.lists(cited, min_size=1, max_size=2, unique_by=lambda item: item.statement))
def test_current_statements_survive_a_tree(items: list[Cited]) -> None:
    made = tree.build([(b"app/latest", cited_value(items))])
    value = tree.get(lambda cid: made.added[cid], made.root, b"app/latest")
    assert value is not None
    assert parse_current(value) == tuple(items)


@given(st.lists(cited, min_size=1, max_size=9, unique_by=lambda item: item.statement))
def test_pending_statements_keep_their_order(items: list[Cited]) -> None:
    assert parse_pending(cited_value(items)) == tuple(items)


@pytest.mark.parametrize(
    "value",
    [
        [[A, [0]], [B, [0]], [content("c"), [0]]],
        [[A, [0]], [A, [1]]],
        [[A, []]],
        [[A, [1, 0]]],
        [[A, [0, 0]]],
        [[A, [-1]]],
        [[A, [limits.SIGNERS]]],
        [[A, [True]]],
        [[A, 0]],
        [[A]],
        [["a", [0]]],
        [A],
    ],
)
def test_what_no_name_maps_to(value: list[Any]) -> None:
    with pytest.raises(Rejected) as error:
        parse_current(value)
    assert error.value.code == "tree-invalid"


def test_endorsers_are_written_in_order_and_read_only_so() -> None:
    kids = [kid(name) for name in ("alice", "bob", "carol")]
    value = endorsers_value(kids)
    assert list(parse_endorsers(value)) == sorted(kids)
    wrong: list[list[Any]] = [value[::-1], [value[0], value[0]], [*value, 1], [*value[:2], b"short"]]
    for item in wrong:
        with pytest.raises(Rejected):
            parse_endorsers(item)


@pytest.mark.parametrize("value", [[], [A, B], [1]])
def test_a_namespace_maps_to_one_link(value: list[Any]) -> None:
    assert parse_state_value(state_value(A)) == A
    parse: Callable[[list[Any]], Cid] = parse_state_value
    with pytest.raises(Rejected) as error:
        parse(value)
    assert error.value.code == "tree-invalid"
