"""The digest of a CID is BLAKE3's, judged by the vectors of its authors."""

from __future__ import annotations

from typing import Any

import pytest

from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from tests.judges.vectors import each, read_vectors

pytestmark = pytest.mark.oracle("blake3")

CASES = {f"{case['input_len']} bytes": case for file in read_vectors("blake3").values() for case in file["cases"]}


@each(CASES)
def test_the_digest_of_a_cid(case: dict[str, Any]) -> None:
    data = bytes(index % 251 for index in range(case["input_len"]))
    digest = bytes.fromhex(case["hash"])[:32]
    for codec in (RAW, DAG_CBOR, CBOR):
        cid = Cid.of(codec, data)
        assert cid.digest == digest
        assert cid.matches(data)
        assert cid == Cid.from_digest(codec, digest) == Cid.parse(str(cid))


def test_there_are_cases() -> None:
    assert len(CASES) > 30
