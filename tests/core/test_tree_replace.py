"""Replacing values in the bytes of a tree's nodes beside updating the tree: the same change, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import tree
from holo.core.tree_replace import replace
from tests.core.tree_models import shelf_of, statement_id

NAMES: Final = st.from_regex(r"[a-c]{1,3}([a-z0-9._-]{0,30}[a-z0-9])?(/[a-z0-9]{1,8})?", fullmatch=True).map(str.encode)


def statement(key: bytes, rev: int, *positions: int) -> tree.Value:
    return [[statement_id(b"%b %d" % (key, rev)), list(positions or (0,))]]


def value(key: bytes, rev: int) -> tree.Value:
    """Mostly one statement; now and then two of them, many endorsers, far endorsers, the link to a state, or else."""
    one = statement_id(b"%b %d" % (key, rev))
    kinds: list[tree.Value] = [
        [one],
        [[one, list(range(24))]],
        [[one, [23, 24, 255]]],
        [[one, [1]], [statement_id(b"other" + key), [0, 2]]],
        [one, one],
        [b"bytes"],
        [[one, list(range(60))]],
    ]
    return statement(key, rev) if one[-1] % 16 >= len(kinds) else kinds[one[-1] % 16]


def check(contents: Mapping[bytes, tree.Value], changes: Mapping[bytes, tree.Value | None]) -> bool:
    """Whether it was plain; then it has to be the change that an update is."""
    shelf, root = shelf_of(contents.items())
    found = replace(shelf.read, root, changes)
    if found is None:
        return False
    assert found == tree.update(shelf.read, root, changes)
    return True


@given(st.sets(NAMES, min_size=1, max_size=300), st.sets(st.integers(0, 299), min_size=1, max_size=20), st.data())
def test_it_is_the_update_or_nothing(names: set[bytes], chosen: set[int], data: st.DataObject) -> None:
    ordered = sorted(names)
    contents = {key: value(key, 1) for key in ordered}
    changes: dict[bytes, tree.Value | None] = {ordered[at % len(ordered)]: None for at in chosen}
    changes = {key: value(key, data.draw(st.integers(1, 3))) for key in changes}
    if data.draw(st.integers(0, 4)) == 0:
        changes[data.draw(NAMES)] = data.draw(st.sampled_from([None, value(b"new", 1)]))
    check(contents, changes)


@given(st.sets(NAMES, min_size=1, max_size=300), st.sets(st.integers(0, 299), min_size=1, max_size=12))
def test_statements_and_states_are_replaced_whatever_the_shape(names: set[bytes], chosen: set[int]) -> None:
    ordered = sorted(names)
    own = {key for key in names if any(other != key and other.startswith(key) for other in names)}
    changed = {ordered[at % len(ordered)] for at in chosen} - own
    if changed:
        assert check({key: statement(key, 1) for key in names}, {key: statement(key, 2, 0, 3) for key in changed})
        assert check({key: [statement_id(key)] for key in names}, {key: [statement_id(key + b"2")] for key in changed})


@pytest.mark.parametrize(
    "changes",
    [
        {b"new": statement(b"new", 1)},
        {b"name-001": None},
        {b"name-001": [statement_id(b"one"), statement_id(b"two")]},
        {b"name-": statement(b"name-", 2)},
    ],
)
def test_what_takes_an_update_is_left_alone(changes: dict[bytes, tree.Value | None]) -> None:
    contents = {b"name-%03d" % number: statement(b"", number) for number in range(100)}
    contents[b"name-"] = statement(b"name-", 1)
    shelf, root = shelf_of(contents.items())
    assert replace(shelf.read, root, changes) is None
    assert replace(shelf.read, tree.EMPTY, changes) is None


def test_a_leaf_of_which_much_changes_is_left_alone() -> None:
    shelf, root = shelf_of((b"name-%03d" % number, statement(b"", number)) for number in range(64))
    changes: dict[bytes, tree.Value | None] = {b"name-%03d" % number: statement(b"", 99) for number in range(12)}
    assert replace(shelf.read, root, changes) is not None
    changes[b"name-012"] = statement(b"", 99)
    assert replace(shelf.read, root, changes) is None
