"""Ids as text: lower-case base32 without padding (RFC 4648 section 6), several at once.

The library's base32 goes through Python for every five bytes, and an answer names a dozen ids. Here one large integer
holds all of them, and its halves, their halves, … are moved apart until each group of five bits has a byte of its own:
a handful of operations on whole integers, whatever their length.
"""

from __future__ import annotations

from typing import Final

ID_BYTES: Final = 36
ID_CHARS: Final = 58
DIGEST_CHARS: Final = 52

_ALPHABET: Final = b"abcdefghijklmnopqrstuvwxyz234567"
_LETTERS: Final = bytes(_ALPHABET[group & 31] for group in range(256))
_DIGITS: Final = str.maketrans(_ALPHABET.decode(), "0123456789abcdefghijklmnopqrstuv")  # as int() writes base 32


def _steps(chars: int, lanes: int) -> list[tuple[int, int, int]]:
    """How so many groups of five bits at the low end of each lane of so many bytes are moved apart.

    Each step is (mask of what stays, mask of what moves, by how many bits).
    """
    parts = [(lane * chars * 8, chars) for lane in range(lanes)]  # (lowest bit, groups) of what still lies together
    steps = []
    while (most := max(groups for _, groups in parts)) > 1:
        half = (most + 1) // 2
        stays = moves = 0
        halves = []
        for at, groups in parts:
            low, high = min(half, groups), max(groups - half, 0)
            stays |= ((1 << low * 5) - 1) << at
            moves |= ((1 << high * 5) - 1) << at + half * 5
            halves += [(at, low), (at + half * 8, high)]
        steps.append((stays, moves, half * 3))
        parts = [part for part in halves if part[1]]
    return steps


_ID: Final = _steps(ID_CHARS, 1)
_DIGESTS: Final = _steps(DIGEST_CHARS, 3)
_BETWEEN: Final = bytes(1 + DIGEST_CHARS - 33)  # a digest is followed by eight zero bits, of which two are its text's


def encode_id(data: bytes) -> bytes:
    """The 58 characters of 36 bytes."""
    groups = int.from_bytes(data, "big") << 2
    for stays, moves, bits in _ID:
        groups = groups & stays | (groups & moves) << bits
    return groups.to_bytes(ID_CHARS, "big").translate(_LETTERS)


def decode_id(text: str) -> bytes | None:
    """The 36 bytes that 58 characters of the alphabet write; None where that is not how they are written."""
    groups = int(text.translate(_DIGITS), 32)
    return None if groups & 3 else (groups >> 2).to_bytes(ID_BYTES, "big")


def encode_digests(one: bytes, two: bytes, three: bytes) -> tuple[bytes, bytes, bytes]:
    """The last 52 characters of three ids, given their last 32 bytes, at less than twice the cost of one.

    The four bytes before, the same for all ids of one kind, make the first six: they end with two zero bits, which are
    the first two of what is written here.
    """
    groups = int.from_bytes(b"".join((one, _BETWEEN, two, _BETWEEN, three, b"\0")), "big") >> 6
    for stays, moves, bits in _DIGESTS:
        groups = groups & stays | (groups & moves) << bits
    text = groups.to_bytes(3 * DIGEST_CHARS, "big").translate(_LETTERS)
    return text[:52], text[52:104], text[104:]
