"""Keys, their names, and the one rule of verification (spec section 1)."""

from __future__ import annotations

import multiformats
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from holo.core import keys
from holo.core.errors import Rejected
from holo.core.keys import Kid, SigningKey, did_of, kid_of, parse_did, verify
from tests.core import edwards25519
from tests.core.edwards25519 import BASE, IDENTITY, TORSION, L, P, Signed

seeds = st.binary(min_size=32, max_size=32)
SECRET = 0x1234567890ABCDEF << 160 | 77


def kid(public: bytes) -> Kid:
    """The kid of a public key, checked or not."""
    return Kid(b"\xed\x01" + public)


def verifies(signed: Signed) -> bool:
    return verify(kid(signed.public), signed.message, signed.signature)


def refusal(public: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        kid_of(kid(public))
    return caught.value.code


# ------------------------------------------------------------------------------------------ signing


@given(seeds, st.binary(max_size=300))
def test_signatures_are_those_of_another_library(seed: bytes, message: bytes) -> None:
    ours, theirs = SigningKey(seed), Ed25519PrivateKey.from_private_bytes(seed)
    assert ours.seed == seed
    assert ours.kid == kid(theirs.public_key().public_bytes_raw())
    assert ours.sign(message) == theirs.sign(message)
    assert verify(ours.kid, message, ours.sign(message))


@given(seeds, st.binary(max_size=40), st.data())
def test_every_change_of_message_signature_or_key_is_refused(seed: bytes, message: bytes, data: st.DataObject) -> None:
    key = SigningKey(seed)
    signature = key.sign(message)

    def flipped(value: bytes, first_bit: int = 0) -> bytes:
        bit = data.draw(st.integers(first_bit, len(value) * 8 - 1))
        return bytes(byte ^ (bit // 8 == index) << bit % 8 for index, byte in enumerate(value))

    assert not verify(key.kid, message, flipped(signature))
    assert not verify(Kid(flipped(key.kid, 16)), message, signature)
    assert not verify(key.kid, message + b"\0", signature)
    if message:
        assert not verify(key.kid, flipped(message), signature)


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 128])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    key = SigningKey(bytes(32))
    assert not verify(key.kid, b"", (key.sign(b"") + bytes(64))[:length])


def test_a_printed_key_does_not_show_its_secret() -> None:
    key = SigningKey(bytes(range(32)))
    assert repr(key) == f"SigningKey({did_of(key.kid)})"
    assert key.seed.hex() not in repr(key)


# ------------------------------------------------------------------------------------------ verification


def cofactorless(signed: Signed) -> bool:
    """Whether S·B = R + h·A, by the slow curve, from the bytes."""
    (r, a), s = points(signed), int.from_bytes(signed.signature[32:], "little")
    h = edwards25519.challenge(signed.signature[:32], signed.public, signed.message)
    return edwards25519.multiply(s, BASE) == edwards25519.add(r, edwards25519.multiply(h, a))


def cofactored(signed: Signed) -> bool:
    """Whether 8·S·B = 8·R + 8·h·A."""
    (r, a), s = points(signed), int.from_bytes(signed.signature[32:], "little")
    h = edwards25519.challenge(signed.signature[:32], signed.public, signed.message)
    right = edwards25519.add(r, edwards25519.multiply(h, a))
    return edwards25519.multiply(8 * s, BASE) == edwards25519.multiply(8, right)


def points(signed: Signed) -> tuple[edwards25519.Point, edwards25519.Point]:
    return edwards25519.decode(signed.signature[:32]), edwards25519.decode(signed.public)


def openssl_verifies(signed: Signed) -> bool:
    """OpenSSL's answer: it recomputes R and compares bytes, but accepts small orders."""
    try:
        Ed25519PublicKey.from_public_bytes(signed.public).verify(signed.signature, signed.message)
    except InvalidSignature:
        return False
    return True


MIXED = [(key, nonce) for key in range(8) for nonce in range(8)]


@pytest.mark.parametrize(("key_torsion", "nonce_torsion"), MIXED)
def test_mixed_order_points_are_judged_by_the_cofactorless_equation(key_torsion: int, nonce_torsion: int) -> None:
    for number in range(3):
        signed = edwards25519.sign(
            SECRET, 1000 + number, b"m%d" % number, key_torsion=key_torsion, nonce_torsion=nonce_torsion
        )
        assert cofactored(signed)
        kid_of(kid(signed.public))  # such a key may be listed; only its signatures differ
        assert verifies(signed) == cofactorless(signed) == openssl_verifies(signed)


def test_both_answers_for_mixed_order_points_occur() -> None:
    """A signature that only the cofactored equation accepts, and one of a mixed-order key that both accept."""
    signed = [
        edwards25519.sign(SECRET, 5, b"%d" % number, key_torsion=1, nonce_torsion=nonce)
        for number in range(4)
        for nonce in range(8)
    ]
    assert {verifies(one) for one in signed} == {True, False}
    assert not verifies(edwards25519.sign(SECRET, 5, b"", nonce_torsion=1))
    assert not verifies(edwards25519.sign(SECRET, 5, b"", nonce_torsion=4))


@pytest.mark.parametrize("torsion", range(8))
def test_a_small_order_r_is_refused_although_the_equation_holds(torsion: int) -> None:
    r = edwards25519.encode(TORSION[torsion])
    public = edwards25519.encode(edwards25519.multiply(SECRET, BASE))
    s = edwards25519.challenge(r, public, b"message") * SECRET % L
    signed = Signed(public, b"message", r + s.to_bytes(32, "little"))
    assert cofactored(signed)
    assert cofactorless(signed) == (torsion == 0)
    assert not verifies(signed)


@pytest.mark.parametrize("torsion", range(8))
def test_a_small_order_key_signs_nothing_and_is_no_kid(torsion: int) -> None:
    public = edwards25519.encode(TORSION[torsion])
    assert edwards25519.multiply(8, TORSION[torsion]) == IDENTITY
    assert refusal(public) == "key-invalid"
    found = 0
    for number in range(16):  # R = S·B needs no secret: h·A vanishes for one message in 8 / gcd(torsion, 8)
        r = edwards25519.encode(edwards25519.multiply(7, BASE))
        signed = Signed(public, b"%d" % number, r + (7).to_bytes(32, "little"))
        found += cofactorless(signed)
        assert not verifies(signed)
    assert found, "no message of these would have been forged, so the test shows nothing"


@pytest.mark.parametrize("y", [*range(P, 2**255)])
@pytest.mark.parametrize("sign", [0, 1])
def test_a_key_that_is_not_canonical_is_no_kid(y: int, sign: int) -> None:
    assert refusal((y | sign << 255).to_bytes(32, "little")) == "key-invalid"


@pytest.mark.parametrize("y", [1, P - 1])
def test_minus_zero_is_no_kid(y: int) -> None:
    assert refusal((y | 1 << 255).to_bytes(32, "little")) == "key-invalid"


def test_an_r_that_is_not_canonical_is_refused() -> None:
    """y = 1 and y = 1 + p name the identity; with R the identity the rest of the equation can be made to hold."""
    public = edwards25519.encode(edwards25519.multiply(SECRET, BASE))
    for encoded in (P + 1, P + 1 | 1 << 255, 1 | 1 << 255, P, P - 1 | 1 << 255):
        r = encoded.to_bytes(32, "little")
        s = edwards25519.challenge(r, public, b"") * SECRET % L
        assert not verify(kid(public), b"", r + s.to_bytes(32, "little"))
    for y in range(P + 2, 2**255):  # off the curve, or points of unknown logarithm: no equation to satisfy
        assert not verify(kid(public), b"", y.to_bytes(32, "little") + bytes(32))


@given(seeds, st.binary(max_size=20), st.integers(1, 15))
def test_a_large_s_is_refused(seed: bytes, message: bytes, times: int) -> None:
    key = SigningKey(seed)
    signature = key.sign(message)
    large = int.from_bytes(signature[32:], "little") + times * L
    assert not verify(key.kid, message, signature[:32] + large.to_bytes(32, "little"))


@given(seeds)
def test_s_zero_and_the_order_itself_are_no_signature(seed: bytes) -> None:
    key = SigningKey(seed)
    r = key.sign(b"")[:32]
    for s in (0, L - 1, L, 2**252, 2**255 - 1, 2**256 - 1):
        assert not verify(key.kid, b"", r + s.to_bytes(32, "little"))


def test_a_key_off_the_curve_is_a_kid_that_verifies_nothing() -> None:
    """Deciding this needs curve arithmetic, which a reader of policies should not need; it harms nobody."""
    y = next(y for y in range(2, 50) if edwards25519.recover_x(y, 0) is None)
    public = y.to_bytes(32, "little")
    assert not verify(kid_of(kid(public)), b"", SigningKey(bytes(32)).sign(b""))


# ------------------------------------------------------------------------------------------ names of keys


@given(seeds)
def test_a_did_names_its_kid(seed: bytes) -> None:
    key = SigningKey(seed)
    text = did_of(key.kid)
    assert text.startswith("did:key:z6Mk")
    assert parse_did(text) == key.kid == kid_of(key.kid)
    assert multiformats.multibase.decode(text.removeprefix("did:key:")) == key.kid
    assert multiformats.multicodec.unwrap(key.kid)[0].name == "ed25519-pub"


def test_the_did_of_a_known_key() -> None:
    """The first test key of RFC 8032 section 7.1."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert SigningKey(seed).kid.hex() == "ed01d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did:key:",
        "did:key:z",
        "did:key:z1",
        "did:key:z0",
        "did:key:zé",
        "did:key:z\ud800",
        "did:web:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        "did:key:m6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        "did:key:z" + "1" * 60,
        "did:key:z" + "z" * 55,
        "did:key:z" + "z" * 1_000_000,
    ],
)
def test_what_is_no_did_is_refused(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_did(text)
    assert caught.value.code == "key-invalid"


@given(seeds, st.data())
def test_only_the_canonical_spelling_of_a_did_is_read(seed: bytes, data: st.DataObject) -> None:
    text = did_of(SigningKey(seed).kid)
    at = data.draw(st.integers(0, len(text)))
    char = data.draw(st.characters())
    for other in (text[:at] + char + text[at:], text[:at] + char + text[at + 1 :], text[:at] + text[at + 1 :]):
        try:
            assert did_of(parse_did(other)) == other
        except Rejected as refused:
            code: str | None = refused.code
        else:
            code = None
        assert code in {None, "key-invalid"}


def test_leading_zeros_make_no_second_spelling() -> None:
    text = did_of(SigningKey(bytes(32)).kid)
    for zeros in range(1, 9):
        with pytest.raises(Rejected) as caught:
            parse_did("did:key:z" + "1" * zeros + text.removeprefix("did:key:z"))
        assert caught.value.code == "key-invalid"


@given(st.binary(max_size=40))
def test_rubbish_is_no_kid(data: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        kid_of(data)
    assert caught.value.code == "key-invalid"


def test_a_kid_of_another_kind_is_refused_with_a_bounded_message() -> None:
    for data in (b"", b"\xed", b"\xec\x01" + bytes(32), kid(bytes(31) + b"\x40")[:-1], b"\xed\x01" * 500_000):
        with pytest.raises(Rejected) as caught:
            kid_of(data)
        assert len(str(caught.value)) < 200


def test_refusals_are_not_remembered() -> None:
    keys.kid_of.cache_clear()
    for number in range(100):
        assert refusal((P + number % 19).to_bytes(32, "little")) == "key-invalid"
    assert keys.kid_of.cache_info().currsize == 0
