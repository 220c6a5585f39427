"""Our Sig_structure and verification, judged by the COSE working group's EdDSA examples.

The examples put the kid into the unprotected header and have no typ, so holo must refuse all of them as envelopes;
their signatures are checked from their parts.
"""

from __future__ import annotations

from typing import Any

import cbor2
import pytest

from holo.core import envelope
from holo.core.errors import Rejected
from holo.core.keys import Kid, SigningKey, verify
from holo.core.limits import BINDING_BYTES
from tests.judges.vectors import each, read_vectors

pytestmark = pytest.mark.oracle("cose")

SIGN1_TAG = 18
CASES = read_vectors("cose")
# Examples of which a part does not apply, with the reason.
ED448 = {
    "eddsa-02": "signed with Ed448",
    "eddsa-sig-02": "signed with Ed448",
}
COSE_SIGN = {
    "eddsa-01": "COSE_Sign, which has another Sig_structure; holo uses COSE_Sign1",
    "eddsa-02": "COSE_Sign, which has another Sig_structure; holo uses COSE_Sign1",
}


def without(*tables: dict[str, str]) -> dict[str, Any]:
    left_out = {name: reason for table in tables for name, reason in table.items()}
    return {
        name: pytest.param(case, marks=pytest.mark.skip(reason=left_out[name])) if name in left_out else case
        for name, case in CASES.items()
    }


@each(without(ED448, COSE_SIGN))
def test_our_sig_structure_is_what_was_signed(case: dict[str, Any]) -> None:
    protected, _, payload, signature = cbor2.loads(bytes.fromhex(case["output"]["cbor"])).value
    signed = envelope._to_be_signed(protected, payload)
    assert signed == bytes.fromhex(case["intermediates"]["ToBeSign_hex"])
    key = SigningKey(bytes.fromhex(case["input"]["sign0"]["key"]["d_hex"]))
    assert key.kid == Kid(b"\xed\x01" + bytes.fromhex(case["input"]["sign0"]["key"]["x_hex"]))
    assert verify(key.kid, signed, signature)
    assert key.sign(signed) == signature


@each(without(ED448, {"eddsa-sig-01": "COSE_Sign1, checked above"}))
def test_signatures_of_cose_sign_verify(case: dict[str, Any]) -> None:
    ((_, _, signature),) = cbor2.loads(bytes.fromhex(case["output"]["cbor"])).value[3]
    ((signer,), (made,)) = case["input"]["sign"]["signers"], case["intermediates"]["signers"]
    kid = Kid(b"\xed\x01" + bytes.fromhex(signer["key"]["x_hex"]))
    assert verify(kid, bytes.fromhex(made["ToBeSign_hex"]), signature)


@each(CASES)
def test_no_example_is_an_envelope_of_ours(case: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        envelope.open_record([bytes.fromhex(case["output"]["cbor"])], "binding", BINDING_BYTES)
    assert caught.value.code == "envelope-invalid"


def test_every_exception_has_its_case() -> None:
    tags = {name: cbor2.loads(bytes.fromhex(case["output"]["cbor"])).tag for name, case in CASES.items()}
    assert {name for name, tag in tags.items() if tag != SIGN1_TAG} == set(COSE_SIGN)
    assert {name for name, case in CASES.items() if "'Ed448'" in str(case)} == set(ED448)
