"""Changing a value instead of its bits: what comes out is well formed again, and wrong in one place or two."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Final

from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.errors import Rejected
from holo.core.limits import INT_MAX
from tests.fuzz.onion import Layer, Sealed, known_keys, opened, wrapped

_NUMBERS: Final = (
    0, 1, 2, 7, 8, 23, 24, 63, 64, 65, 96, 97, 127, 128, 255, 256, 320, 321, 1024, 4096, 65535, 65536, 2**20, 2**32,
    INT_MAX - 1, INT_MAX, -1, -24, -INT_MAX,
)  # fmt: skip
_TEXTS: Final = (
    "", "a", "latest", "stable", "acme", "acme/app:latest", "*", "st*", "/", "..", "a/b", "A", "ü", "\x00", "\ud7ff",
    "😀", "x" * 64, "x" * 256, "policy", "binding", "head", "bundle", "current", "rivals", "seal", "forked",
)  # fmt: skip


def mutate(data: bytes, limit_bytes: int, rng: random.Random, more: Sequence[bytes] = ()) -> bytes | None:
    """``data`` with one to four values in it changed, or None where it is no DAG-CBOR or what came out is too long.

    ``more`` are other inputs of the same kind, of which parts may be taken.
    """
    try:
        root = [opened(data)]
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            _change(root, rng, more)
        made = wrapped(root[0])
    except (Rejected, RecursionError):
        return None
    return made if len(made) <= limit_bytes else None


def _change(root: list[Any], rng: random.Random, more: Sequence[bytes]) -> None:
    slots = _slots(root)
    holder, at = rng.choice(slots)
    kind = rng.randrange(10)
    if kind < 5:
        _put(holder, at, _altered(_get(holder, at), rng))
    elif kind < 7:
        other, place = rng.choice(slots)
        _put(holder, at, deepcopy(_get(other, place)))
    elif kind == 7 and more:
        other, place = rng.choice(_slots([opened(rng.choice(more))]))
        _put(holder, at, _get(other, place))
    elif holder is not root:
        _reshape(holder, at, rng)


def _slots(root: Any) -> list[tuple[Any, Any]]:
    """(holder, index or key) of every value below ``root``, layers and payloads included."""
    found: list[tuple[Any, Any]] = []
    heap = [root]
    while heap:
        holder = heap.pop()
        for at in _places(holder):
            found.append((holder, at))
            heap.append(_get(holder, at))
    return found


def _places(holder: Any) -> list[Any]:
    if type(holder) is list:
        return list(range(len(holder)))
    if type(holder) is dict:
        return list(holder)
    if isinstance(holder, Layer):
        return ["value"]
    return ["type", "kid", "payload", "signature"] if isinstance(holder, Sealed) else []


def _get(holder: Any, at: Any) -> Any:
    return getattr(holder, at) if isinstance(holder, (Layer, Sealed)) else holder[at]


def _put(holder: Any, at: Any, value: Any) -> None:
    if isinstance(holder, Sealed) and at != "payload":
        # The parts of an envelope keep their types, else there is no envelope to write.
        if type(value) is not type(getattr(holder, at)):
            return
        if at == "type" and not (value and value.isascii() and value.isprintable()):
            return
    if isinstance(holder, (Layer, Sealed)):
        setattr(holder, at, value)
    else:
        holder[at] = value


def _reshape(holder: Any, at: Any, rng: random.Random) -> None:
    """Take an item out, repeat it, move it, or give it another key."""
    if type(holder) is list:
        change: Callable[[], None] = rng.choice(
            (
                lambda: holder.pop(at),
                lambda: holder.insert(at, deepcopy(holder[at])),
                lambda: holder.insert(rng.randrange(len(holder) + 1), holder.pop(at)),
                lambda: holder.extend([deepcopy(holder[at])] * rng.choice((1, 2, 32, 64))),
                lambda: holder.__setitem__(at, [holder[at]]),
            )
        )
        change()
    elif type(holder) is dict:
        value = holder.pop(at)
        if rng.randrange(2):
            holder[rng.choice((*_TEXTS, *holder, "v", "type", "x"))] = value


def _altered(value: Any, rng: random.Random) -> Any:
    """Something near ``value`` and mostly of its type."""
    if rng.randrange(6) == 0:
        return _anything(rng)
    if type(value) is bool:
        return not value
    if type(value) is int:
        near = value + rng.choice((-256, -64, -8, -1, 1, 8, 64, 256))
        return rng.choice((near, near, *_NUMBERS))
    if type(value) is str:
        return _altered_text(value, rng)
    if isinstance(value, Cid):
        flip = bytearray(value)
        flip[rng.choice((1, 35))] ^= rng.choice((1, 4, 36))
        return rng.choice(
            (Cid(flip) if flip[1] in (RAW, DAG_CBOR) else value, Cid.of(DAG_CBOR, bytes(rng.randrange(4))))
        )
    if type(value) is bytes:
        return _altered_bytes(value, rng)
    return _anything(rng)


def _altered_text(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    piece = rng.choice(("", "/", ":", "@", "*", "+", "-", ".", "_", "A", "0", "ü", "\n", "\x7f", "/a/a/a/a"))
    cut = text[:at] + piece + text[at + rng.randrange(2) :]
    return rng.choice((cut, cut, text * 2, text[:at], rng.choice(_TEXTS)))


def _altered_bytes(data: bytes, rng: random.Random) -> bytes:
    kids = list(known_keys())
    if not data:
        return rng.choice((b"\x00", bytes(32), rng.choice(kids)))
    flipped = bytearray(data)
    flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    cut = data[: rng.randrange(len(data))]
    return rng.choice((bytes(flipped), bytes(flipped), cut, data + data[:1], rng.choice(kids), bytes(len(data))))


def _anything(rng: random.Random) -> Any:
    pick: Callable[[], Any] = rng.choice(
        (
            lambda: None,
            lambda: rng.choice((True, False)),
            lambda: rng.choice(_NUMBERS),
            lambda: rng.choice(_TEXTS),
            lambda: rng.choice((b"", bytes(31), bytes(32), bytes(34), bytes(36), bytes(64), *known_keys())),
            lambda: Cid.of(rng.choice((RAW, DAG_CBOR)), bytes(rng.randrange(3))),
            list,
            dict,
            lambda: [[]],
            lambda: {"a": 0},
        )
    )
    return pick()
