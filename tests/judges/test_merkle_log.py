"""Our checks of log proofs, judged by the cases of transparency-dev/merkle, which verifiers of several logs share."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from holo.core import log
from holo.core.errors import Rejected
from tests.judges.vectors import each, read_vectors

pytestmark = pytest.mark.oracle("merkle")

INCLUSION = {f"inclusion {name}": case for name, case in read_vectors("merkle/inclusion").items()}
CONSISTENCY = {f"consistency {name}": case for name, case in read_vectors("merkle/consistency").items()}


def hashes(encoded: list[str] | None) -> list[bytes]:
    return [base64.b64decode(one) for one in encoded or []]


# What the cases accept and holo refuses.
NARROWER = {
    "consistency additional/sizes-are-equal-one-and-proof-is-empty": "its equal roots are 12 bytes, no SHA-256 hashes",
}


def is_refused(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except Rejected as refused:
        return refused.code == "log-invalid"
    return False


NARROWER_CASES = [CONSISTENCY[name] for name in NARROWER if name in CONSISTENCY]


@each(INCLUSION)
def test_inclusion(case: dict[str, Any]) -> None:
    (leaf, root), proof = hashes([case["leafHash"], case["root"]]), hashes(case["proof"])
    assert is_refused(log.check_inclusion, leaf, case["leafIdx"], case["treeSize"], proof, root) == case["wantErr"]


@each(CONSISTENCY)
def test_consistency(case: dict[str, Any]) -> None:
    (old_root, new_root), proof = hashes([case["root1"], case["root2"]]), hashes(case["proof"])
    arguments = (case["size1"], old_root, case["size2"], new_root, proof)
    assert is_refused(log.check_consistency, *arguments) == (case["wantErr"] or case in NARROWER_CASES)


def test_every_exception_has_its_case() -> None:
    assert not any(CONSISTENCY[name]["wantErr"] for name in NARROWER)


def test_there_are_both_kinds_of_cases() -> None:
    for cases in (INCLUSION, CONSISTENCY):
        assert {case["wantErr"] for case in cases.values()} == {True, False}
