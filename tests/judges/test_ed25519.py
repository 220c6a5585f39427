"""Our verification, judged by Project Wycheproof: what must verify does, what must not does not."""

from __future__ import annotations

from typing import Any

import pytest

from holo.core.keys import Kid, verify
from tests.judges.vectors import each, read_vectors

pytestmark = pytest.mark.oracle("ed25519")

CASES = {
    f"{test['tcId']} {test['comment']}": (group["publicKey"]["pk"], test)
    for file in read_vectors("ed25519").values()
    for group in file["testGroups"]
    for test in group["tests"]
}


@each(CASES)
def test_every_result_is_ours(case: tuple[str, dict[str, Any]]) -> None:
    public, test = case
    assert test["result"] in {"valid", "invalid"}, "a verdict that leaves the answer open needs one of ours"
    kid = Kid(b"\xed\x01" + bytes.fromhex(public))
    verified = verify(kid, bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]))
    assert verified == (test["result"] == "valid")


def test_no_case_was_lost() -> None:
    assert len(CASES) == sum(file["numberOfTests"] for file in read_vectors("ed25519").values())
