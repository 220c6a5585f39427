"""Envelopes and records: one form, every bit of it signed or fixed."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycose.algorithms import EdDSA
from pycose.headers import KID, Algorithm
from pycose.keys.curves import Ed25519
from pycose.keys.okp import OKPKey
from pycose.messages.sign1message import Sign1Message

from holo.core import codec, envelope
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import (
    Statement,
    decode_envelope,
    encode_envelope,
    endorse,
    make_record,
    make_statement,
    open_envelope,
    open_record,
    open_statement,
    verify_endorsement,
)
from holo.core.errors import Rejected
from holo.core.keys import Kid, SigningKey
from holo.core.limits import BINDING_BYTES, ENDORSEMENTS_PER_RECORD, ENVELOPE_OVERHEAD_BYTES
from tests.core.dag_cbor_values import values

ALICE, BOB = SigningKey(b"a" * 32), SigningKey(b"b" * 32)
STATEMENT = make_statement({"v": 1, "type": "binding", "text": "hello"})
(SIGNED,) = make_record(STATEMENT, ALICE).envelopes()

seeds = st.binary(min_size=32, max_size=32)
statements = st.dictionaries(st.text("abcdefgh", max_size=3), values, max_size=2).map(
    lambda value: make_statement({**value, "v": 1, "type": "binding"})
)


def refusal(envelopes: list[bytes], type: str = "binding", limit_bytes: int = BINDING_BYTES) -> Rejected:
    with pytest.raises(Rejected) as caught:
        open_record(envelopes, type, limit_bytes)
    return caught.value


def sign1(*items: Any, tag: int = 18) -> bytes:
    """A COSE_Sign1 of any items, its protected header encoded from a map as it stands."""
    protected, *rest = items
    encoded = protected if isinstance(protected, bytes) else cbor2.dumps(protected)
    return cbor2.dumps(cbor2.CBORTag(tag, [encoded, *rest]))


def signed(protected: Any, payload: bytes = STATEMENT.bytes, key: SigningKey = ALICE) -> bytes:
    """A COSE_Sign1 with a good signature over this protected header."""
    encoded = cbor2.dumps(protected)
    return sign1(encoded, {}, payload, key.sign(cbor2.dumps(["Signature1", encoded, b"", payload])))


HEADER = {1: -8, 4: bytes(ALICE.kid), 16: "application/vnd.holo.binding+cbor"}


@given(statements, st.lists(seeds, min_size=1, max_size=4, unique=True))
def test_a_record_that_was_made_opens(statement: Statement, seed_list: list[bytes]) -> None:
    signers = [SigningKey(seed) for seed in seed_list]
    record = make_record(statement, *signers)
    opened = open_record(record.envelopes(), "binding", 1 << 20)
    assert opened.statement == Statement(
        "binding", codec.decode(statement.bytes, 1 << 20), statement.bytes, statement.id
    )
    assert opened.endorsements == record.endorsements == {key.kid: endorse(statement, key) for key in signers}
    assert opened.envelopes() == record.envelopes()
    assert [decode_envelope(data, 1 << 20)[1] for data in opened.envelopes()] == sorted(key.kid for key in signers)
    assert all(verify_endorsement(statement, kid, signature) for kid, signature in opened.endorsements.items())


def test_a_statement_is_named_by_its_payload_alone() -> None:
    assert STATEMENT.id == Cid.of(DAG_CBOR, STATEMENT.bytes)
    assert open_record([SIGNED], "binding", BINDING_BYTES).statement.id == STATEMENT.id
    assert open_envelope(SIGNED, "binding", BINDING_BYTES)[1:] == (ALICE.kid, endorse(STATEMENT, ALICE))
    assert signed(HEADER) == SIGNED


def test_every_flipped_bit_is_refused() -> None:
    for bit in range(8 * len(SIGNED)):
        data = bytearray(SIGNED)
        data[bit // 8] ^= 1 << bit % 8
        refusal([bytes(data)])


def test_every_inserted_or_deleted_byte_is_refused() -> None:
    for at in range(len(SIGNED) + 1):
        for byte in {0, 0x40, 0xA0, 0xFF, *SIGNED[max(0, at - 1) : at + 1]}:
            refusal([SIGNED[:at] + bytes([byte]) + SIGNED[at:]])
        if at < len(SIGNED):
            refusal([SIGNED[:at] + SIGNED[at + 1 :]])
            refusal([SIGNED[:at]])


@given(st.data())
def test_mutated_envelopes_are_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(SIGNED)))
    until = data.draw(st.integers(at, min(len(SIGNED), at + 4)))
    mutated = SIGNED[:at] + data.draw(st.binary(max_size=4)) + SIGNED[until:]
    if mutated != SIGNED:
        refusal([mutated])


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    assert refusal([data]).code == "envelope-invalid"
    assert refusal([b"\xd2\x84" + data]).code == "envelope-invalid"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("no tag", SIGNED[1:]),
        ("tag in two bytes", b"\xd8\x12" + SIGNED[1:]),
        ("tag of COSE_Sign", sign1(HEADER, {}, b"", bytes(64), tag=98)),
        ("tag of COSE_Mac0", sign1(HEADER, {}, b"", bytes(64), tag=17)),
        ("self-described", b"\xd9\xd9\xf7" + SIGNED),
        ("three elements", cbor2.dumps(cbor2.CBORTag(18, [b"", {}, b""]))),
        ("five elements", cbor2.dumps(cbor2.CBORTag(18, [b"", {}, b"", bytes(64), 0]))),
        ("trailing byte", SIGNED + b"\0"),
        ("unprotected kid", sign1(HEADER, {4: bytes(ALICE.kid)}, STATEMENT.bytes, bytes(64))),
        ("unprotected text", sign1(HEADER, {"a": 1}, STATEMENT.bytes, bytes(64))),
        ("unprotected is no map", sign1(HEADER, [], STATEMENT.bytes, bytes(64))),
        ("detached payload", sign1(HEADER, {}, None, bytes(64))),
        ("payload is text", sign1(HEADER, {}, "a", bytes(64))),
        ("payload is a map", sign1(HEADER, {}, {}, bytes(64))),
        ("payload is a link", sign1(HEADER, {}, cbor2.CBORTag(42, b"\0" + STATEMENT.id), bytes(64))),
        ("signature of 63 bytes", sign1(HEADER, {}, STATEMENT.bytes, bytes(63))),
        ("signature of 65 bytes", sign1(HEADER, {}, STATEMENT.bytes, bytes(65))),
        ("no signature", sign1(HEADER, {}, STATEMENT.bytes, None)),
        ("protected is a map", cbor2.dumps(cbor2.CBORTag(18, [HEADER, {}, STATEMENT.bytes, bytes(64)]))),
        ("protected is empty", sign1(b"", {}, STATEMENT.bytes, bytes(64))),
        ("indefinite array", b"\xd2\x9f" + SIGNED[2:] + b"\xff"),
        ("endless array", b"\xd2\x9b" + b"\xff" * 8),
    ],
)
def test_another_form_is_refused(name: str, data: bytes) -> None:
    error = refusal([data])
    assert (error.code, error.at) == ("envelope-invalid", "record[0]")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("alg -19", {**HEADER, 1: -19}),
        ("alg ES256", {**HEADER, 1: -7}),
        ("alg as text", {**HEADER, 1: "EdDSA"}),
        ("no alg", {4: HEADER[4], 16: HEADER[16]}),
        ("no kid", {1: -8, 16: HEADER[16]}),
        ("no typ", {1: -8, 4: HEADER[4]}),
        ("kid without its prefix", {**HEADER, 4: bytes(ALICE.kid[2:])}),
        ("kid as text", {**HEADER, 4: "a" * 34}),
        ("crit", {1: -8, 2: [4], 4: HEADER[4], 16: HEADER[16]}),
        ("content type", {1: -8, 3: 0, 4: HEADER[4], 16: HEADER[16]}),
        ("one more", {**HEADER, 17: 0}),
        ("unsorted", {4: HEADER[4], 1: -8, 16: HEADER[16]}),
        ("typ as a number", {**HEADER, 16: 60}),
        ("typ of another vendor", {**HEADER, 16: "application/vnd.other.binding+cbor"}),
        ("typ with another suffix", {**HEADER, 16: "application/vnd.holo.binding+json"}),
        ("typ in capitals", {**HEADER, 16: "application/vnd.HOLO.binding+cbor"}),
        ("typ after something", {**HEADER, 16: "x application/vnd.holo.binding+cbor"}),
        ("typ of nothing", {**HEADER, 16: "application/vnd.holo.+cbor"}),
        ("typ cut short", {**HEADER, 16: "application/vnd.holo.+cbo"}),
        ("typ that overlaps itself", {**HEADER, 16: "application/vnd.holo+cbor"}),
        ("typ too long", {**HEADER, 16: "application/vnd.holo." + "a" * 65 + "+cbor"}),
        ("typ not ASCII", {**HEADER, 16: "application/vnd.holo.bindïng+cbor"}),
        ("typ with the replacement character", {**HEADER, 16: "application/vnd.holo.\ufffd+cbor"}),
    ],
)
def test_another_header_is_refused_although_its_signature_verifies(name: str, header: Any) -> None:
    assert refusal([signed(header)]).code == "envelope-invalid"


def test_headers_that_are_not_canonical_are_refused() -> None:
    good = cbor2.dumps(HEADER)
    for other in (
        b"\xbf" + good[1:] + b"\xff",
        b"\xb8\x03" + good[1:],
        good + b"\0",
        b"\xa3\x01\x38\x07" + good[3:],
        good.replace(b"\x04\x58\x22", b"\x04\x59\x00\x22"),
        good.replace(b"\x10\x78\x21", b"\x10\x79\x00\x21"),
        good.replace(b"\x10\x78\x21", b"\x18\x10\x78\x21"),
    ):
        assert other != good
        message = cbor2.dumps(["Signature1", other, b"", STATEMENT.bytes])
        assert refusal([sign1(other, {}, STATEMENT.bytes, ALICE.sign(message))]).code == "envelope-invalid"


def test_a_key_that_nobody_should_hold_is_refused_by_its_own_code() -> None:
    small_order = b"\xed\x01" + b"\x01" + bytes(31)
    assert refusal([signed({**HEADER, 4: small_order})]).code == "key-invalid"


@pytest.mark.parametrize(
    ("name", "payload", "code"),
    [
        ("nothing", b"", "cbor-invalid"),
        ("not canonical", b"\xa1\x61v\x18\x01", "cbor-invalid"),
        ("a list", codec.encode([]), "cbor-invalid"),
        ("null", codec.encode(None), "cbor-invalid"),
        ("no type", codec.encode({"v": 1}), "type-mismatch"),
        ("another type", codec.encode({"v": 1, "type": "policy"}), "type-mismatch"),
        ("type is a list", codec.encode({"v": 1, "type": ["binding"]}), "type-mismatch"),
        ("no v", codec.encode({"type": "binding"}), "version-unsupported"),
        ("v is 2", codec.encode({"v": 2, "type": "binding"}), "version-unsupported"),
        ("v is true", codec.encode({"v": True, "type": "binding"}), "version-unsupported"),
        ("v is text", codec.encode({"v": "1", "type": "binding"}), "version-unsupported"),
    ],
)
def test_another_payload_is_refused_although_its_signature_verifies(name: str, payload: bytes, code: str) -> None:
    assert refusal([signed(HEADER, payload)]).code == code
    with pytest.raises(Rejected) as caught:
        open_statement(payload, "binding", BINDING_BYTES)
    assert caught.value.code == code


def test_the_type_must_be_the_expected_one_in_both_places() -> None:
    assert refusal([SIGNED], "policy").code == "type-mismatch"
    other = {**HEADER, 16: "application/vnd.holo.policy+cbor"}
    assert refusal([signed(other)], "policy").code == "type-mismatch"
    assert refusal([signed(other)], "binding").code == "type-mismatch"


def test_signatures_of_others_are_refused() -> None:
    payload = STATEMENT.bytes
    by_bob = endorse(STATEMENT, BOB)
    assert refusal([encode_envelope("binding", ALICE.kid, payload, by_bob)]).code == "signature-invalid"
    bare = ALICE.sign(payload)
    assert refusal([encode_envelope("binding", ALICE.kid, payload, bare)]).code == "signature-invalid"
    protected = cbor2.dumps(HEADER)
    for context, aad in (("Signature", b""), ("Signature1", b"\0"), ("signature1", b"")):
        signature = ALICE.sign(cbor2.dumps([context, protected, aad, payload]))
        assert refusal([encode_envelope("binding", ALICE.kid, payload, signature)]).code == "signature-invalid"
    assert not verify_endorsement(STATEMENT, BOB.kid, endorse(STATEMENT, ALICE))
    assert not verify_endorsement(make_statement({"v": 1, "type": "binding"}), ALICE.kid, endorse(STATEMENT, ALICE))


# ------------------------------------------------------------------------------------------------ records


def test_a_record_has_one_payload_and_one_endorsement_a_kid() -> None:
    (by_bob,) = make_record(STATEMENT, BOB).envelopes()
    other = make_record(make_statement({"v": 1, "type": "binding", "text": "hullo"}), BOB).envelopes()
    assert open_record([by_bob, SIGNED, by_bob], "binding", BINDING_BYTES) == make_record(STATEMENT, ALICE, BOB)
    error = refusal([SIGNED, *other])
    assert (error.code, error.at) == ("record-mixed", "record[1]")
    broken = by_bob[:-1] + bytes([by_bob[-1] ^ 1])
    error = refusal([SIGNED, by_bob, broken])  # a repeated kid is checked all the same
    assert (error.code, error.at) == ("signature-invalid", "record[2]")


def test_an_empty_or_endless_record_is_refused() -> None:
    assert refusal([]).code == "envelope-invalid"
    assert len(open_record([SIGNED] * ENDORSEMENTS_PER_RECORD, "binding", BINDING_BYTES).endorsements) == 1
    assert refusal([SIGNED] * (ENDORSEMENTS_PER_RECORD + 1)).code == "too-large"
    assert refusal([b""] * 10**6).code == "too-large"


def test_sizes_are_bounded_before_anything_is_decoded() -> None:
    limit_bytes = len(STATEMENT.bytes)
    assert open_record([SIGNED], "binding", limit_bytes).statement == STATEMENT
    assert refusal([SIGNED], limit_bytes=limit_bytes - 1).code == "too-large"
    assert refusal([b"\xff" * (limit_bytes + ENVELOPE_OVERHEAD_BYTES + 1)], limit_bytes=limit_bytes).code == "too-large"


def test_parsing_alone_bounds_the_envelope_and_the_payload() -> None:
    limit_bytes = len(STATEMENT.bytes)
    assert decode_envelope(SIGNED, limit_bytes)[2] == STATEMENT.bytes
    for data, limit, code in [
        (SIGNED, limit_bytes - 1, "too-large"),
        (bytes(limit_bytes + ENVELOPE_OVERHEAD_BYTES), limit_bytes, "envelope-invalid"),
        (bytes(limit_bytes + ENVELOPE_OVERHEAD_BYTES + 1), limit_bytes, "too-large"),
    ]:
        with pytest.raises(Rejected) as caught:
            decode_envelope(data, limit)
        assert caught.value.code == code


def test_the_overhead_leaves_room_for_every_type_and_size() -> None:
    for payload_bytes in (0, 23, 24, 255, 256, 65535, 65536, 1 << 20):
        data = encode_envelope("a" * 64, ALICE.kid, bytes(payload_bytes), bytes(64))
        assert decode_envelope(data, payload_bytes) == ("a" * 64, ALICE.kid, bytes(payload_bytes), bytes(64))


# ----------------------------------------------------------------------------------------- another library


def pycose_key(key: SigningKey) -> OKPKey:
    return OKPKey(crv=Ed25519, x=bytes(key.kid[2:]), d=key.seed)


@given(statements, seeds)
def test_another_library_verifies_our_envelopes(statement: Statement, seed: bytes) -> None:
    key = SigningKey(seed)
    (data,) = make_record(statement, key).envelopes()
    # cbor2 gives the inside of a tag as tuples and frozen maps, which Sign1Message.decode does not take: so from parts.
    protected, unprotected, payload, signature = cbor2.loads(data).value
    message = Sign1Message.from_cose_obj([protected, dict(unprotected), payload, signature], True)
    message.key = pycose_key(key)
    assert message.verify_signature()
    assert message.get_attr(Algorithm) is EdDSA
    assert message.get_attr(KID) == key.kid
    message.payload = payload + b"\0"
    assert not message.verify_signature()


@given(statements, seeds)
def test_another_librarys_envelopes_are_ours_byte_for_byte(statement: Statement, seed: bytes) -> None:
    key = SigningKey(seed)
    header = {Algorithm: EdDSA, KID: bytes(key.kid), 16: "application/vnd.holo.binding+cbor"}
    message = Sign1Message(phdr=header, payload=statement.bytes, key=pycose_key(key))
    data = message.encode()
    assert [data] == make_record(statement, key).envelopes()
    assert open_record([data], "binding", 1 << 20).endorsements == {key.kid: endorse(statement, key)}


def test_a_cache_of_headers_is_not_confused_by_equal_keys() -> None:
    """The header's kid is bytes however it was given: a Cid and a Kid of the same bytes must encode alike."""

    class Other(bytes):
        pass

    kid = SigningKey(b"c" * 32).kid
    assert envelope._protected("binding", Kid(Other(kid))) == envelope._protected("binding", kid)
    envelope._protected.cache_clear()
    assert envelope._protected("binding", kid) == cbor2.dumps({**HEADER, 4: bytes(kid)})
