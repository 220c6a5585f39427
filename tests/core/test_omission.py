"""A promise to hold a state, and later heads: what takes something back is evidence, what goes on is not."""

from __future__ import annotations

import pytest

from holo.core.envelope import make_statement
from holo.core.errors import HoloError
from holo.core.evidence import find_omission, open_evidence
from tests.broken_promise import BROKEN, KEPT, promise


@pytest.mark.parametrize("case", BROKEN)
def test_what_was_taken_back_is_evidence(case: str) -> None:
    made = promise()
    found = made.find(BROKEN[case](made))
    assert found is not None
    assert (found.subject, found.kind) == (made.node.key.kid, "omission")
    assert found.detail == case.replace("a namespace", "the namespace")
    assert open_evidence(found.bytes) == found


@pytest.mark.parametrize("case", KEPT)
def test_what_goes_on_is_none(case: str) -> None:
    made = promise()
    assert made.find(KEPT[case](made)) is None


@pytest.mark.parametrize("case", BROKEN)
def test_a_restored_node_has_less_in_a_new_log(case: str) -> None:
    made = promise()
    made.node.restore(made.node.log)
    for _ in range(3):
        made.node.receipt("of the new log")
    assert made.find(BROKEN[case](made)) is None


def test_a_head_from_before_the_promise_is_none() -> None:
    made = promise()
    log = made.node.log
    made.node.log = type(log)(log.genesis, log.receipts[:1])
    assert made.find(None) is None


@pytest.mark.parametrize("case", BROKEN)
def test_nothing_of_it_can_be_left_out_added_or_moved(case: str) -> None:
    made = promise()
    found = made.find(BROKEN[case](made))
    assert found is not None
    value = found.statement.value
    others = [
        {**value, "objects": value["objects"][:at] + value["objects"][at + 1 :]} for at in range(len(value["objects"]))
    ]
    others += [{**value, "objects": value["objects"][::-1]}, {**value, "objects": [*value["objects"], b"\xff" * 9]}]
    others += [{**value, "place": place} for place in ("namespaces", "policies", "bindings") if place != value["place"]]
    others += [{**value, "key": b"other"}, {**value, "ns": "other"}]
    for other in others:
        if other != value:
            with pytest.raises(HoloError):
                open_evidence(make_statement(other).bytes)


def test_every_bit_counts() -> None:
    made = promise()
    found = made.find(BROKEN["a name is gone"](made))
    assert found is not None
    for at in range(len(found.bytes)):
        damaged = bytearray(found.bytes)
        damaged[at] ^= 1
        with pytest.raises(HoloError):
            open_evidence(bytes(damaged))


def test_what_the_promise_does_not_speak_of_is_none() -> None:
    made = promise()
    head = made.head_over(None)
    assert find_omission(made.receipt, head, "other", made.objects.__getitem__) is None
