"""What searches found is run again with every suite; no atheris is needed for that. And the searchers do their work."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from holo.core.bundle import verify_bundle
from holo.core.errors import HoloError, Rejected, StoreFailed
from holo.core.head import Anchors
from tests.fuzz import corpus
from tests.fuzz.mutation import mutate
from tests.fuzz.onion import Layer, Sealed, opened, wrapped
from tests.fuzz.registry import TARGETS
from tests.fuzz.target import Target, accepts, check_refusal

MUTATIONS = 60


def inputs_of(target: Target) -> list[bytes]:
    kept = corpus.read(target.name)
    return [*target.seeds(), *kept.inputs, *kept.findings.values()]


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_every_input_is_accepted_and_holds_or_is_refused_in_good_form(target: Target) -> None:
    outcomes = {accepts(target, data) for data in inputs_of(target)}
    assert outcomes == {True, False}, "a target whose inputs all end the same way shows little"


STRUCTURED = [target for target in TARGETS.values() if target.structured]


@pytest.mark.parametrize("target", STRUCTURED, ids=[target.name for target in STRUCTURED])
def test_so_are_inputs_with_a_value_changed(target: Target) -> None:
    rng = random.Random(target.name)
    inputs = inputs_of(target)
    good = [data for data in inputs if accepts(target, data)]
    made = [mutate(rng.choice(good), target.limit_bytes, rng, inputs) for _ in range(MUTATIONS)]
    changed = [data for data in made if data is not None and data not in good]
    assert len(changed) > MUTATIONS / 4
    for data in changed:
        accepts(target, data)


def test_what_is_kept_belongs_to_a_target_and_is_small() -> None:
    files = sorted(corpus.FOLDER.glob("*"))
    assert {path.stem for path in files} <= TARGETS.keys()
    assert sum(path.stat().st_size for path in files) < 200 * 1024


def test_only_a_refusal_that_blames_the_input_is_in_good_form() -> None:
    def runs(fault: Exception) -> Target:
        def run(data: bytes) -> None:
            raise fault

        return Target("x", run, list)

    assert not accepts(runs(Rejected("too-large")), b"")
    for fault in (ValueError(), AssertionError(), RecursionError(), MemoryError()):
        with pytest.raises(type(fault)):
            accepts(runs(fault), b"")
    for refusal in (HoloError("internal"), StoreFailed("store-failed")):
        with pytest.raises(AssertionError):
            check_refusal(refusal)


def layers(value: object) -> Iterable[Layer]:
    below = (
        value
        if isinstance(value, list)
        else list(value.values())
        if isinstance(value, dict)
        else [value.value]
        if isinstance(value, Layer)
        else [value.payload]
        if isinstance(value, Sealed)
        else []
    )
    for item in below:
        yield from layers(item)
    if isinstance(value, Layer):
        yield value


def bundles() -> list[bytes]:
    target = TARGETS["bundle"]
    return [data for data in target.seeds() if accepts(target, data)]


@pytest.mark.parametrize("data", bundles(), ids=lambda data: f"{len(data)}-bytes")
def test_a_bundle_taken_apart_and_put_together_is_the_same(data: bytes) -> None:
    assert wrapped(opened(data)) == data


def test_what_is_changed_deep_in_a_bundle_is_named_and_signed_anew() -> None:
    """A genesis with another ceiling: all that follows names it, and only the answer is still about the old one."""
    data = max(bundles(), key=len)
    value = opened(data)
    (genesis,) = {
        layer.id: layer
        for layer in layers(value)
        if isinstance(layer.value, dict) and layer.value.get("seq") == 0 and layer.value["type"] == "policy"
    }.values()
    genesis.value["ceilings"] = {"more": 1}
    changed = wrapped(value)
    assert changed != data
    report = verify_bundle(changed, Anchors())
    assert [check for check in report.checks if check.verdict == "bad" and "signature" in check.detail] == []
    assert {"head-signed", "policies-proved", "receipt-logged"} & {check.code for check in report.checks if check.ok}
