"""The kept query strings: what they ask or why they are refused, read by the resource and by the hot path alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holo.core.errors import Rejected
from holo.http.hot import Hot
from holo.http.parameters import NAME, RECEIPT, TAG, selected_name
from holo.http.query import decode_query
from holo.http.resources.resolve import POLICY_REF
from tests.http.test_hot import ADDRESS, begun, edge_of, node_of, resource, sent
from tests.laws.world import World

QUERIES = Path(__file__).resolve().parents[2] / "fixtures" / "http" / "queries.json"
GROUPS = json.loads(QUERIES.read_text())["groups"]
CASES = [pytest.param(case, id=case["name"]) for group in GROUPS for case in group["cases"]]


@pytest.mark.parametrize("case", CASES)
def test_what_it_asks(case: dict[str, Any]) -> None:
    """As decoding says, in whole names."""
    raw = case["query"].encode("latin-1")
    if "refused" in case:
        with pytest.raises(Rejected) as refused:
            _read(raw)
        assert {"code": refused.value.code, "at": refused.value.at} == case["refused"]
    else:
        assert _read(raw) == case["asks"]


def _read(raw: bytes) -> dict[str, Any]:
    query = decode_query(raw, (NAME, TAG, POLICY_REF, RECEIPT))
    ref, receipt = query.get(POLICY_REF), query.get(RECEIPT)
    return {
        "name": str(selected_name(query)),
        "policyRef": None if ref is None else str(ref),
        "receipt": receipt is True,
    }


async def test_the_hot_path_reads_it_alike() -> None:
    """What is asked is answered, by the one of its two ways that it takes; what is refused is left alone by both."""
    world = World()
    world.bind("holo/beta", "one")
    with node_of(world) as node:
        node.deliver(*world.items)
        node.store.make_head()
        edge = edge_of(node.store)
        hot = Hot(edge)
        for param in CASES:
            (case,) = param.values
            assert isinstance(case, dict)
            raw = case["query"].encode("latin-1")
            with begun(hot):
                plain, signed = hot.resolve(raw, ADDRESS), hot.signed(raw, None, ADDRESS)
            asks = case.get("asks")
            assert (plain is not None) == (asks is not None and not asks["receipt"]), case["name"]
            assert (signed is not None) == (asks is not None and asks["receipt"]), case["name"]
            body = plain.body if plain else signed.body if signed else b"{}"
            assert json.loads(body).get("name") == (asks["name"] if asks else None)
            if plain:
                assert sent(plain) == await resource(edge, raw)
