"""Ed25519 keys and their names (spec section 1; RFC 8032; did:key for Ed25519).

A *kid* is 34 bytes: the multicodec prefix 0xed 0x01 and the public key. In text it is a ``did:key:z6Mk…``.
Verification is that of libsodium's releases up to 1.0.22: S < L, canonical A and R, neither of small order, and R
compared byte for byte (cofactorless). Other libraries, and libsodium's unreleased code, accept more; two peers that
disagree here would disagree about state. The tests for keys hold signatures that tell these rules apart.
"""

from __future__ import annotations

import functools
from typing import Final, NewType

import nacl.bindings
import nacl.exceptions

from holo.core.errors import Rejected

Kid = NewType("Kid", bytes)

KID_PREFIX: Final = b"\xed\x01"
KID_BYTES: Final = 34
_DID_PREFIX: Final = "did:key:z"
_SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_B58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_B58_VALUES: Final = {char: value for value, char in enumerate(_B58)}


class SigningKey:
    """A private key. ``kid`` names its public half. Signing is deterministic (RFC 8032)."""

    __slots__ = ("_secret", "kid")

    def __init__(self, seed: bytes) -> None:
        """The key made from a 32-byte seed."""
        assert len(seed) == _SEED_BYTES
        public, self._secret = nacl.bindings.crypto_sign_seed_keypair(seed)
        self.kid = Kid(KID_PREFIX + public)

    @property
    def seed(self) -> bytes:
        """The 32 bytes the key is made from: the secret itself."""
        return self._secret[:_SEED_BYTES]

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of ``message``."""
        return nacl.bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"SigningKey({did_of(self.kid)})"


def verify(kid: Kid, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is ``kid``'s signature of ``message`` under the strict rule above."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        nacl.bindings.crypto_sign_open(signature + message, kid[2:])
    except nacl.exceptions.BadSignatureError:
        return False
    return True


@functools.lru_cache(maxsize=65536)
def kid_of(data: bytes) -> Kid:
    """The kid these bytes are.

    Raises ``key-invalid`` for another kind or length, and for a point of small order or not canonically encoded.
    Whether the point lies on the curve is left to :func:`verify`, so that reading a policy needs no curve arithmetic.
    """
    if len(data) != KID_BYTES or data[:2] != KID_PREFIX:
        raise Rejected("key-invalid", f"{len(data)} bytes that start with {data[:2].hex() or 'nothing'}")
    if _small_order_or_not_canonical(data[2:]):
        raise Rejected("key-invalid", "the point has small order or is not canonically encoded")
    return Kid(bytes(data))


def did_of(kid: Kid) -> str:
    """``did:key:z6Mk…`` for a kid."""
    number = int.from_bytes(kid, "big")  # no leading zero byte: the prefix is 0xed
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_B58[digit])
    return _DID_PREFIX + "".join(reversed(digits))


def parse_did(text: str) -> Kid:
    """The kid a ``did:key`` names. Only the canonical spelling is accepted."""
    if not text.startswith(_DID_PREFIX) or len(text) > 64:
        raise Rejected("key-invalid", f"{text[:80]!r} is not a did:key:z…")
    number = 0
    for char in text[len(_DID_PREFIX) :]:
        value = _B58_VALUES.get(char)
        if value is None:
            raise Rejected("key-invalid", f"{text!r} has the character {char!r}, which base58btc lacks")
        number = number * 58 + value
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    kid = kid_of(data)
    if did_of(kid) != text:
        raise Rejected("key-invalid", f"{text!r} is not the canonical spelling")
    return kid


_P: Final = 2**255 - 19
_ORDER_8_Y: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
# The y coordinates of the eight points whose order divides 8: of order 1, 2, 4 (two points) and 8 (four points).
_SMALL_ORDER_Y: Final = frozenset({1, _P - 1, 0, _ORDER_8_Y, _P - _ORDER_8_Y})


def _small_order_or_not_canonical(point: bytes) -> bool:
    y = int.from_bytes(point, "little") & ((1 << 255) - 1)  # without the sign of x
    return y >= _P or y in _SMALL_ORDER_Y
