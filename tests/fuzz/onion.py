"""DAG-CBOR inside DAG-CBOR, taken apart and put together again so that what was changed still hangs together.

A bundle holds envelopes, whose payloads are objects, which name each other by hash. A bit changed at random stops at
the first hash or signature. :func:`wrapped` therefore gives every link that named an object its new name, puts what is
sorted by id in order, and signs with the keys of the tests: what it makes is what a lying signer could have made.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from holo.core import codec
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Statement, decode_envelope, encode_envelope, endorse
from holo.core.errors import Rejected
from holo.core.keys import Kid, SigningKey
from tests.records import key

_NAMES: Final = (
    "root", "root2", "root3", "recovery", "recovery2", "alice", "bob", "carol", "dave", "node", "peer", "ci", "other",
    "mallory",
)  # fmt: skip
_LIMIT_BYTES: Final = 1 << 20
_ROUNDS: Final = 24  # a link changes what holds it, up through trees and chains


@dataclass
class Layer:
    """An object inside a byte string. ``id`` is the CID it has or, once changed, had."""

    value: Any
    id: Cid


@dataclass
class Sealed:
    """A COSE_Sign1. ``payload`` is a layer, or bytes where it is no object."""

    type: str
    kid: Kid
    payload: Any
    signature: bytes


@functools.cache
def known_keys() -> dict[bytes, SigningKey]:
    """kid → key of everybody who signs in the tests."""
    return {bytes(found.kid): found for found in map(key, _NAMES)}


def opened(data: bytes) -> Any:
    """The value in ``data`` with every layer opened. Raises :class:`Rejected` where it is not DAG-CBOR."""
    return _opened(codec.decode(data, _LIMIT_BYTES))


def wrapped(value: Any) -> bytes:
    """The bytes of a value that :func:`opened` gave and somebody changed."""
    layers: list[Layer] = []
    links: dict[bytes, list[_Link]] = {}
    _look_through([value], (), layers, links)
    stale = {id(layer): layer for layer in layers}
    for _ in range(_ROUNDS):
        renamed = {}
        for layer in stale.values():
            _sort_entries(layer.value)
            now = Cid.of(DAG_CBOR, codec.encode(_closed(layer.value)))
            if now != layer.id:
                renamed[layer.id] = now
                layer.id = now
        stale = {}
        for before, now in renamed.items():
            for link in links.pop(before, []):
                link.holder[link.at] = now if type(link.holder[link.at]) is Cid else bytes(now)
                links.setdefault(now, []).append(link)
                stale.update((id(layer), layer) for layer in link.within)
        if not stale:
            break
    _sign(value)
    _sort_parts(value)
    return codec.encode(_closed(value))


class _Link(NamedTuple):
    """Where a link stands, or a byte string that is one, and the layers around it."""

    holder: Any
    at: Any
    within: tuple[Layer, ...]


def _look_through(value: Any, within: tuple[Layer, ...], layers: list[Layer], links: dict[bytes, list[_Link]]) -> None:
    """Note every layer, the inner ones first, and every link."""
    if isinstance(value, list | dict):
        for at, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(item, bytes):
                if len(item) == 36:
                    links.setdefault(item, []).append(_Link(value, at, within))
            else:
                _look_through(item, within, layers, links)
    elif isinstance(value, Layer):
        _look_through(value.value, (value, *within), layers, links)
        layers.append(value)
    elif isinstance(value, Sealed):
        _look_through(value.payload, within, layers, links)


def _opened(value: Any) -> Any:
    if type(value) is list:
        return [_opened(item) for item in value]
    if type(value) is dict:
        return {name: _opened(item) for name, item in value.items()}
    if type(value) is bytes and len(value) > 2:
        return _opened_bytes(value)
    return value


def _opened_bytes(data: bytes) -> Any:
    try:
        if data[:2] == b"\xd2\x84":
            typ, kid, payload, signature = decode_envelope(data, _LIMIT_BYTES)
            return Sealed(typ, kid, _opened_bytes(payload), signature)
        if data[0] >> 5 in (4, 5):  # a list or a map: anything else is not worth a layer
            return Layer(_opened(codec.decode(data, _LIMIT_BYTES)), Cid.of(DAG_CBOR, data))
    except Rejected:
        pass
    return data


def _closed(value: Any) -> Any:
    if type(value) is list:
        return [_closed(item) for item in value]
    if type(value) is dict:
        return {name: _closed(item) for name, item in value.items()}
    if isinstance(value, Layer):
        return codec.encode(_closed(value.value))
    if isinstance(value, Sealed):
        return encode_envelope(value.type, value.kid, _payload(value.payload), value.signature)
    return value


def _payload(payload: Any) -> bytes:
    closed = _closed(payload)
    return closed if type(closed) is bytes else codec.encode(closed)


def _below(value: Any) -> list[Any]:
    if type(value) is list:
        return value
    if type(value) is dict:
        return list(value.values())
    if isinstance(value, Layer):
        return [value.value]
    return [value.payload] if isinstance(value, Sealed) else []


def _sign(value: Any) -> None:
    """Sign every envelope, and every pair of kid and signature beside the statement it is about."""
    for item in _below(value):
        _sign(item)
    if isinstance(value, Sealed) and value.kid in known_keys():
        value.signature = _signature(value.type, _payload(value.payload), value.kid)
    if type(value) is dict and isinstance(value.get("policy"), Layer):  # a proposal
        _sign_pairs(value["policy"], value.get("endorsements"))
    if type(value) is list and len(value) == 2 and isinstance(value[0], Layer):  # a record of a bundle
        _sign_pairs(value[0], value[1])


def _sign_pairs(statement: Layer, pairs: Any) -> None:
    typ = statement.value.get("type") if type(statement.value) is dict else None
    if type(pairs) is not list or type(typ) is not str:
        return
    payload = _payload(statement)
    for pair in pairs:
        if type(pair) is list and len(pair) == 2 and type(pair[0]) is bytes and pair[0] in known_keys():
            pair[1] = _signature(typ, payload, pair[0])


def _signature(typ: str, payload: bytes, kid: bytes) -> bytes:
    return endorse(Statement(typ, {}, payload, Cid.of(DAG_CBOR, payload)), known_keys()[kid])


def _sort_entries(value: Any) -> None:
    """Keep a leaf of a tree in order of suffix."""
    if type(value) is list and len(value) == 2 and value[0] == 0 and type(value[1]) is list:
        entries = value[1]
        if all(type(entry) is list and entry and type(entry[0]) is bytes for entry in entries):
            entries.sort(key=lambda entry: entry[0])


def _sort_parts(value: Any) -> None:
    """Keep the lists of a bundle in order of id."""
    if type(value) is dict and value.get("type") == "bundle":
        for name in ("receipts", "heads", "logs", "records", "objects", "inclusions"):
            if type(value.get(name)) is list:
                value[name].sort(key=_id_of)


def _id_of(part: Any) -> bytes:
    if isinstance(part, Sealed):
        return Cid.of(DAG_CBOR, _payload(part.payload))
    if isinstance(part, Layer):
        return part.id
    if type(part) is list and part:
        return _id_of(part[0])
    return part if isinstance(part, bytes) else b""
