"""Ids as text: lower-case base32 without padding (RFC 4648 section 6), several at once.

The library's base32 goes through Python for every five bytes, and an answer names a dozen ids. Here one large integer
holds all of them, and its halves, quarters, … are moved apart until each group of five bits has a byte of its own: a
handful of operations on whole integers, whatever the length.
"""

from __future__ import annotations

from typing import Final

ID_BYTES: Final = 36
ID_CHARS: Final = 58

_LANE_BYTES: Final = 40  # an id and four zero bytes: a number of bits that is whole in groups of five
_LANE_GROUPS: Final = 64
_PAD: Final = bytes(_LANE_BYTES - ID_BYTES)
_ALPHABET: Final = b"abcdefghijklmnopqrstuvwxyz234567"
_LETTERS: Final = bytes(_ALPHABET[group & 31] for group in range(256))


def _steps(groups: int) -> list[tuple[int, int, int]]:
    """(mask of what stays, mask of what moves, how many bits up) of each halving of ``groups``, a power of two."""
    steps = []
    half = groups // 2
    while half:
        low = high = 0
        for at in range(0, groups * 8, half * 16):
            low |= ((1 << half * 5) - 1) << at
            high |= ((1 << half * 5) - 1) << at + half * 5
        steps.append((low, high, half * 3))
        half //= 2
    return steps


_ONE: Final = _steps(_LANE_GROUPS)
_THREE: Final = _steps(4 * _LANE_GROUPS)[1:]  # the upper half of four ids has only one
_LOW_TWO: Final = (1 << 2 * _LANE_BYTES * 8) - 1
_TWO_BITS: Final = 2 * _LANE_BYTES * 8
_TWO_TEXT_BITS: Final = 2 * _LANE_GROUPS * 8


def encode_id(data: bytes) -> bytes:
    """The 58 characters of 36 bytes."""
    groups = int.from_bytes(data, "big") << 2
    for low, high, bits in _ONE:
        groups = groups & low | (groups & high) << bits
    return groups.to_bytes(ID_CHARS, "big").translate(_LETTERS)


def encode_ids(one: bytes, two: bytes, three: bytes) -> tuple[bytes, bytes, bytes]:
    """The 58 characters of each of three times 36 bytes, at less than twice the cost of one."""
    groups = int.from_bytes(b"".join((one, _PAD, two, _PAD, three, _PAD)), "big")
    groups = groups & _LOW_TWO | (groups >> _TWO_BITS) << _TWO_TEXT_BITS
    for low, high, bits in _THREE:
        groups = groups & low | (groups & high) << bits
    text = groups.to_bytes(3 * _LANE_GROUPS, "big").translate(_LETTERS)
    return text[:58], text[64:122], text[128:186]
