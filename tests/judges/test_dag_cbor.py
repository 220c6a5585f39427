"""Our codec, judged by the DASL test suite, which compares DAG-CBOR libraries of many languages.

``roundtrip`` bytes are decoded and encoded again, ``invalid_in`` bytes refused, and what ``invalid_out`` bytes stand
for must not be encoded. holo's profile is narrower than DAG-CBOR: what it refuses beyond that is listed, and refused.
"""

from __future__ import annotations

from typing import Any

import cbor2
import pytest

from holo.core import codec
from holo.core.errors import Rejected
from tests.judges.vectors import each, read_vectors

pytestmark = pytest.mark.oracle("dag-cbor")

FLOAT = "holo has no floats"
RANGE = "holo's integers end at ±(2^53 - 1)"
BIGNUM = "DAG-CBOR has no big integers; the case describes CBOR::Core"
NOT_BLAKE3 = "holo's links are blake3-256"
# Round trips of a wider profile: each must be refused, with this code.
NARROWER = {
    "cid roundtrip valid CID with short tag": ("cid-unsupported", NOT_BLAKE3),
    "floats roundtrip float reduction": ("cbor-invalid", FLOAT),
    "floats roundtrip 64-bit floats only": ("cbor-invalid", FLOAT),
    "floats roundtrip short NaN": ("cbor-invalid", FLOAT),
    "floats roundtrip zero float64": ("cbor-invalid", FLOAT),
    "floats roundtrip zero float16": ("cbor-invalid", FLOAT),
    "floats roundtrip 64-bit subnormal number": ("cbor-invalid", FLOAT),
    "integer_range roundtrip largest CBOR integer, 2^64-1": ("cbor-invalid", RANGE),
    "integer_range roundtrip smallest CBOR integer, -(2^64)": ("cbor-invalid", RANGE),
    "integer_range roundtrip 2^53+1, unrepresentable in JS": ("cbor-invalid", RANGE),
    "integer_range roundtrip -(2^53+1), unrepresentable in JS": ("cbor-invalid", RANGE),
    "integer_range roundtrip smallest unsigned bigint": ("cbor-invalid", BIGNUM),
    "integer_range roundtrip highest negative bigint": ("cbor-invalid", BIGNUM),
    "numeric_reduction roundtrip map with equal int and float keys": ("cbor-invalid", FLOAT),
    "numeric_reduction roundtrip too small for int reduction, <-(2^63)": ("cbor-invalid", FLOAT),
}
# Cases that do not apply.
NOT_OURS = {
    "utf8 invalid_in text not in Unicode Normalization Form C": "dCBOR only; a round trip of DAG-CBOR",
}

CASES = {
    f"{file} {case['type']} {case['name']}": case for file, cases in read_vectors("dag-cbor").items() for case in cases
}


def of(type: str) -> dict[str, Any]:
    return {
        name: pytest.param(case, marks=pytest.mark.skip(reason=NOT_OURS[name])) if name in NOT_OURS else case
        for name, case in CASES.items()
        if case["type"] == type and name not in NARROWER
    }


@each(of("roundtrip"))
def test_round_trips(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["data"])
    assert codec.encode(codec.decode(data, len(data))) == data


@each({name: (case["data"], NARROWER[name]) for name, case in CASES.items() if name in NARROWER})
def test_what_a_wider_profile_allows_is_refused(case: tuple[str, tuple[str, str]]) -> None:
    data, (code, _) = case
    with pytest.raises(Rejected) as caught:
        codec.decode(bytes.fromhex(data), 1000)
    assert caught.value.code == code


@each(of("invalid_in"))
def test_invalid_input_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        codec.decode(bytes.fromhex(case["data"]), 1000)
    assert caught.value.code in {"cbor-invalid", "cid-invalid", "cid-unsupported"}


@each(of("invalid_out"))
def test_what_must_not_be_written_is_refused(case: dict[str, Any]) -> None:
    value = cbor2.loads(bytes.fromhex(case["data"]))  # a lenient decoder makes the object; it becomes a float, a date…
    with pytest.raises(Rejected) as caught:
        codec.encode(value)
    assert caught.value.code == "cbor-invalid"


def test_every_case_is_run_once_and_every_exception_has_its_case() -> None:
    assert len(CASES) == sum(len(cases) for cases in read_vectors("dag-cbor").values())
    assert {case["type"] for case in CASES.values()} == {"roundtrip", "invalid_in", "invalid_out"}
    assert not set(NARROWER) - set(CASES)
    assert not set(NOT_OURS) - set(CASES)
    assert {CASES[name]["type"] for name in NARROWER} == {"roundtrip"}
    assert not set(NARROWER) & set(NOT_OURS)
