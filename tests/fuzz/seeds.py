"""Where searches begin: the golden vectors, valid and invalid, as the bytes that a target takes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

FIXTURES: Final = Path(__file__).resolve().parents[2] / "fixtures"


@functools.cache
def _cases() -> list[tuple[str, Any]]:
    """(operation, input) of every vector."""
    files = [json.loads(path.read_text("utf-8")) for kind in ("valid", "invalid") for path in _files(kind)]
    return [(case["op"], case["input"]) for file in files for case in file["cases"]]


def _files(kind: str) -> list[Path]:
    return sorted((FIXTURES / kind).glob("*.json"))


def of_vectors(op: str, seed: Callable[[Any], Iterator[bytes]], most_bytes: int = 65536) -> list[bytes]:
    """What ``seed`` makes of the inputs of every vector with this operation, each once, in order."""
    found = (data for name, given in _cases() if name == op for data in seed(given))
    return [data for data in dict.fromkeys(found) if len(data) <= most_bytes]


def hexes(name: str) -> Callable[[Any], Iterator[bytes]]:
    """Seeds that are the input ``name``: hexadecimal text, or a list of such."""

    def seed(given: Any) -> Iterator[bytes]:
        found = given[name]
        for text in found if isinstance(found, list) else [found]:
            yield bytes.fromhex(text)

    return seed


def texts(name: str) -> Callable[[Any], Iterator[bytes]]:
    """Seeds that are the input ``name`` as UTF-8."""

    def seed(given: Any) -> Iterator[bytes]:
        yield given[name].encode("utf-8", "surrogatepass")

    return seed


def payloads(name: str = "envelopes") -> Callable[[Any], Iterator[bytes]]:
    """Seeds that are the payloads of the envelopes in the input ``name``, where they have one."""

    def seed(given: Any) -> Iterator[bytes]:
        for data in hexes(name)(given):
            payload = payload_of(data)
            if payload is not None:
                yield payload

    return seed


def payload_of(envelope: bytes) -> bytes | None:
    """The payload of a COSE_Sign1, however wrong the rest of it is."""
    import cbor2

    try:
        parts = cbor2.loads(envelope)
    except cbor2.CBORDecodeError:
        return None
    value = getattr(parts, "value", None)
    if isinstance(value, (list, tuple)) and len(value) == 4 and isinstance(value[2], bytes):
        return value[2]
    return None
