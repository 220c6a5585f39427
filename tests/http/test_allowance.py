"""How much one address may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import limits
from holo.core.errors import Overloaded
from holo.http.allowance import Allowance
from tests.http.scene import open_scene


def granted(bucket: Allowance, address: str, count: int, now_s: float) -> bool:
    refused = None
    try:
        bucket.take(address, count, now_s)
    except Overloaded as error:
        refused = error
    assert refused is None or (refused.code, refused.retry_after_s >= 1) == ("rate-limited", True)
    return refused is None


def test_a_second_s_worth_then_evenly() -> None:
    bucket = Allowance(5)
    assert [granted(bucket, "192.0.2.1", 1, 0.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert granted(bucket, "192.0.2.2", 1, 0.0), "others have their own"
    assert [granted(bucket, "192.0.2.1", 1, 0.41) for _ in range(3)] == [True, True, False]


def test_a_large_request_is_paid_for_afterwards() -> None:
    bucket = Allowance(10)
    assert granted(bucket, "192.0.2.1", 30, 0.0)
    assert not granted(bucket, "192.0.2.1", 1, 1.9)
    assert granted(bucket, "192.0.2.1", 1, 2.2)


def test_a_network_of_ipv6_counts_as_one() -> None:
    bucket = Allowance(1)
    assert granted(bucket, "2001:db8::1", 1, 0.0)
    assert not granted(bucket, "2001:db8::ffff", 1, 0.0)
    assert granted(bucket, "2001:db8:0:1::1", 1, 0.0)
    assert granted(bucket, "192.0.2.1", 1, 0.0)
    assert not granted(bucket, "::ffff:192.0.2.1", 1, 0.0)


def test_callers_in_the_same_process_and_no_bound() -> None:
    assert all(granted(Allowance(1), "", 1, 0.0) for _ in range(10))
    unlimited = Allowance(0)
    assert all(granted(unlimited, "192.0.2.1", 1000, 0.0) for _ in range(10))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ALLOWANCE_ADDRESSES", 3)
    bucket = Allowance(1)
    for number in range(10):
        assert granted(bucket, f"192.0.2.{number}", 1, 0.0)
    assert len(bucket._buckets) == 3


@given(st.lists(st.tuples(st.integers(1, 3), st.floats(0, 2)), max_size=60))
def test_never_more_than_the_rate(asked: list[tuple[int, float]]) -> None:
    """In any run of requests at most the saved second's worth and what the time gave is granted."""
    bucket, now_s, total = Allowance(5), 0.0, 0
    for count, pause_s in asked:
        now_s += pause_s
        total += count * granted(bucket, "192.0.2.1", count, now_s)
        assert total <= 5 + now_s * 5 + 1e-6


async def test_over_http(tmp_path: Path) -> None:
    async with open_scene(tmp_path, ["limits.anonymous.resolve_per_second=3"]) as scene:
        statuses = [(await scene.client.get("/v1/resolve?handle=acme/a")).status_code for _ in range(3)]
        assert statuses == [200] * 3
        refused = await scene.client.post("/v1/resolve", json={"queries": [{"handle": "acme/a"}] * 3})
        assert (refused.status_code, refused.json()["code"]) == (429, "rate-limited")
        assert int(refused.headers["retry-after"]) >= 1
        assert (await scene.client.get("/v1/node")).status_code == 200, "only resolving is counted"
