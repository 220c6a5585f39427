"""A small edwards25519 (RFC 8032), slow and plain, to build the signatures on which libraries disagree.

A point is (x, y) in affine coordinates. Nothing here is constant-time; never use it with a real key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)

Point = tuple[int, int]
Extended = tuple[int, int, int, int]  # X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z
IDENTITY: Point = (0, 1)


def recover_x(y: int, odd: int) -> int | None:
    """The x of the curve's point at ``y`` with this parity; None where the curve has no such point."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * SQRT_M1 % P
    if x * x % P != square:
        return None
    return x if x % 2 == odd else -x % P


def add(a: Point, b: Point) -> Point:
    return _affine(_extended_add(_extended(a), _extended(b)))


def multiply(scalar: int, a: Point) -> Point:
    total, doubled = _extended(IDENTITY), _extended(a)
    while scalar:
        if scalar & 1:
            total = _extended_add(total, doubled)
        doubled = _extended_add(doubled, doubled)
        scalar >>= 1
    return _affine(total)


def _extended(a: Point) -> Extended:
    return a[0], a[1], 1, a[0] * a[1] % P


def _affine(a: Extended) -> Point:
    inverse = pow(a[2], -1, P)
    return a[0] * inverse % P, a[1] * inverse % P


def _extended_add(a: Extended, b: Extended) -> Extended:
    """The complete addition of RFC 8032 section 5.1.4, which also doubles."""
    minus, plus = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    c, d = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    e, f, g, h = plus - minus, d - c, d + c, plus + minus
    return e * f % P, g * h % P, f * g % P, e * h % P


_BASE_Y = 4 * pow(5, -1, P) % P
_BASE_X = recover_x(_BASE_Y, 0)
assert _BASE_X is not None
BASE: Point = (_BASE_X, _BASE_Y)


def encode(a: Point) -> bytes:
    return (a[1] | (a[0] & 1) << 255).to_bytes(32, "little")


def decode(data: bytes) -> Point:
    """The point these 32 bytes name, leniently: y is taken modulo p, and -0 is 0."""
    number = int.from_bytes(data, "little")
    y = (number & (1 << 255) - 1) % P
    x = recover_x(y, number >> 255)
    assert x is not None, "off the curve"
    return x, y


def _order_8() -> Point:
    """A point of order 8: L times any point outside the prime-order subgroup, found by trying y = 2, 3, …"""
    for y in range(2, 100):
        x = recover_x(y, 0)
        if x is not None:
            point = multiply(L, (x, y))
            if multiply(4, point) != IDENTITY:
                return point
    raise AssertionError


TORSION: list[Point] = [multiply(k, _order_8()) for k in range(8)]  # TORSION[0] is the identity


def challenge(r: bytes, a: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + a + message).digest(), "little") % L


@dataclass(frozen=True)
class Signed:
    """A public key, a message and a 64-byte signature, all as bytes."""

    public: bytes
    message: bytes
    signature: bytes


def sign(secret: int, nonce: int, message: bytes, *, key_torsion: int = 0, nonce_torsion: int = 0) -> Signed:
    """A signature with A = secret·B + TORSION[key_torsion] and R = nonce·B + TORSION[nonce_torsion].

    S = nonce + h·secret, so the cofactored equation always holds, and the cofactorless one exactly if
    nonce_torsion + h·key_torsion is divisible by 8.
    """
    public = encode(add(multiply(secret, BASE), TORSION[key_torsion]))
    r = encode(add(multiply(nonce, BASE), TORSION[nonce_torsion]))
    s = (nonce + challenge(r, public, message) * secret) % L
    return Signed(public, message, r + s.to_bytes(32, "little"))
