"""COSE_Sign1 in the one form holo uses, and records made of several (spec section 1; RFC 9052, RFC 9596).

Tag 18, protected header exactly ``{1: -8, 4: kid, 16: typ}``, empty unprotected header, payload attached, external
data empty, everything canonical. So an envelope is a function of (type, kid, payload, signature), and the store keeps
only those. A *statement* is a payload, named by its dag-cbor CID; a *record* is a statement with one endorsement per
kid. Nothing cites an envelope's own bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import cbor2

from holo.core import codec, keys
from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Rejected
from holo.core.keys import Kid, SigningKey
from holo.core.limits import ENDORSEMENTS_PER_RECORD, ENVELOPE_OVERHEAD_BYTES

_TYPE_PREFIX: Final = "application/vnd.holo."
_TYPE_SUFFIX: Final = "+cbor"
_HEAD: Final = b"\xd2\x84"  # tag 18, array of 4
_SIGNATURE_HEAD: Final = b"\x58\x40"  # a byte string of 64
_SIG_STRUCTURE: Final = b"\x84\x6aSignature1"  # array of 4, its first item
_EDDSA: Final = -8


@dataclass(frozen=True, slots=True)
class Statement:
    """A payload: its ``type``, its decoded ``value``, its ``bytes`` and its id, the dag-cbor CID of those bytes."""

    type: str
    value: Mapping[str, Any]
    bytes: bytes
    id: Cid


@dataclass(frozen=True, slots=True)
class Record:
    """A statement and who endorses it: kid → 64-byte signature, every one verified."""

    statement: Statement
    endorsements: Mapping[Kid, bytes]

    def envelopes(self) -> list[bytes]:
        """One COSE_Sign1 per endorser, in order of kid."""
        return [
            encode_envelope(self.statement.type, kid, self.statement.bytes, self.endorsements[kid])
            for kid in sorted(self.endorsements)
        ]


def make_statement(value: Mapping[str, Any]) -> Statement:
    """The statement that ``value``, a map with ``v`` and ``type``, is."""
    data = codec.encode(dict(value))
    return Statement(value["type"], value, data, Cid.of(DAG_CBOR, data))


def endorse(statement: Statement, key: SigningKey) -> bytes:
    """``key``'s 64-byte signature over the Sig_structure of ``statement``."""
    return key.sign(_to_be_signed(_protected(statement.type, key.kid), statement.bytes))


def sign_payload(type: str, payload: bytes, key: SigningKey) -> bytes:
    """The COSE_Sign1 of a payload of ``type`` by ``key``."""
    return encode_envelope(type, key.kid, payload, key.sign(_to_be_signed(_protected(type, key.kid), payload)))


def make_record(statement: Statement, *signers: SigningKey) -> Record:
    """``statement`` endorsed by each of ``signers``."""
    return Record(statement, {key.kid: endorse(statement, key) for key in signers})


def encode_envelope(type: str, kid: Kid, payload: bytes, signature: bytes) -> bytes:
    """The COSE_Sign1 bytes of an endorsement."""
    return b"".join(
        (_front(type, kid), codec.head(codec.BYTE_STRING, len(payload)), payload, _SIGNATURE_HEAD, signature)
    )


def decode_envelope(data: bytes, limit_bytes: int) -> tuple[str, Kid, bytes, bytes]:
    """``(type, kid, payload, signature)`` of a COSE_Sign1, parsed and bounded but *not* verified.

    ``limit_bytes`` bounds the payload. Raises ``too-large``, ``envelope-invalid`` or ``key-invalid``.
    """
    if len(data) > limit_bytes + ENVELOPE_OVERHEAD_BYTES:
        raise Rejected(
            "too-large", f"{len(data)} bytes where at most {limit_bytes + ENVELOPE_OVERHEAD_BYTES} are allowed"
        )
    if data[:2] != _HEAD:
        raise Rejected("envelope-invalid", "not a tagged COSE_Sign1 of four elements")
    return _split(data, limit_bytes) or _parsed(data, limit_bytes)


def _split(data: bytes, limit_bytes: int) -> tuple[str, Kid, bytes, bytes] | None:
    """What a well-formed envelope holds, cut out of it; None for any other, which :func:`_parsed` finds the fault of.

    An envelope is a function of its four parts. So whatever was cut out is right if it makes the same bytes again.
    """
    end = 4 + data[3] if data[2:3] == b"\x58" and len(data) > 3 else 0
    payload_at = end + 1 + {0x58: 2, 0x59: 3, 0x5A: 5}.get(data[end + 1] if len(data) > end + 1 else 0, 1)
    payload, signature = data[payload_at : -len(_SIGNATURE_HEAD) - keys.SIGNATURE_BYTES], data[-keys.SIGNATURE_BYTES :]
    if not end or len(payload) > limit_bytes or len(signature) != keys.SIGNATURE_BYTES:
        return None
    try:
        typ, kid = _open_protected(data[4:end])
    except Rejected:
        return None
    return (typ, kid, payload, signature) if encode_envelope(typ, kid, payload, signature) == data else None


def _parsed(data: bytes, limit_bytes: int) -> tuple[str, Kid, bytes, bytes]:
    """The same by strict decoding, which says what is wrong where something is."""
    try:  # past the tag, the array is strict DAG-CBOR
        protected, unprotected, payload, signature = codec.decode(data[1:], len(data))
    except (Rejected, ValueError, TypeError) as error:
        raise Rejected("envelope-invalid", f"not a canonical COSE_Sign1: {error}") from None
    if not (type(protected) is bytes and unprotected == {} and type(payload) is bytes and type(signature) is bytes):
        raise Rejected("envelope-invalid", "needs a protected header, an empty unprotected one, a payload, a signature")
    if len(payload) > limit_bytes:
        raise Rejected("too-large", f"payload of {len(payload)} bytes where at most {limit_bytes} are allowed")
    if len(signature) != keys.SIGNATURE_BYTES:
        raise Rejected("envelope-invalid", f"signature of {len(signature)} bytes")
    typ, kid = _open_protected(protected)
    return typ, kid, payload, signature


def open_envelope(data: bytes, type: str, limit_bytes: int) -> tuple[Statement, Kid, bytes]:
    """The statement, endorser and signature of one verified COSE_Sign1 of the expected ``type``."""
    record = open_record([data], type, limit_bytes)
    ((kid, signature),) = record.endorsements.items()
    return record.statement, kid, signature


def open_record(envelopes: Sequence[bytes], type: str, limit_bytes: int) -> Record:
    """The record that these COSE_Sign1 envelopes make: bounded, canonical, of one payload, each signature verified.

    A second envelope by the same kid is checked like the others and then ignored. Raises ``too-large``,
    ``envelope-invalid``, ``type-mismatch``, ``record-mixed``, ``cbor-invalid``, ``version-unsupported`` or
    ``signature-invalid``, with ``at`` naming the envelope.
    """
    if not envelopes:
        raise Rejected("envelope-invalid", "a record needs at least one envelope")
    if len(envelopes) > ENDORSEMENTS_PER_RECORD:
        raise Rejected("too-large", f"{len(envelopes)} envelopes where at most {ENDORSEMENTS_PER_RECORD} are allowed")
    statement: Statement | None = None
    endorsements: dict[Kid, bytes] = {}
    for index, data in enumerate(envelopes):
        try:
            typ, kid, payload, signature = decode_envelope(data, limit_bytes)
            if typ != type:
                raise Rejected("type-mismatch", f"{typ} where {type} is expected")
            if statement is None:
                statement = open_statement(payload, type, limit_bytes)
            elif payload != statement.bytes:
                raise Rejected("record-mixed", "its payload differs from the first envelope's")
            if not keys.verify(kid, _to_be_signed(_protected(typ, kid), payload), signature):
                raise Rejected("signature-invalid", f"by {keys.did_of(kid)}")
        except Rejected as error:
            error.at = error.at or f"record[{index}]"
            if statement is not None:
                error.proven, error.statement = tuple(sorted(endorsements)), statement.id
            raise
        endorsements.setdefault(kid, signature)
    assert statement is not None
    return Record(statement, endorsements)


@contextmanager
def proven_by(record: Record) -> Iterator[None]:
    """Mark a refusal inside the block as that of a record whose endorsers are proven: it earns a denial receipt."""
    try:
        yield
    except Rejected as error:
        error.proven, error.statement = tuple(sorted(record.endorsements)), record.statement.id
        raise


def open_statement(payload: bytes, type: str, limit_bytes: int) -> Statement:
    """The statement these payload bytes are: a canonical map whose ``v`` is 1 and whose ``type`` is as expected."""
    value = codec.decode(payload, limit_bytes)
    if not isinstance(value, dict):
        raise Rejected("cbor-invalid", "a payload is a map", at="payload")
    require_type(value, type, "payload")
    return Statement(type, value, payload, Cid.of(DAG_CBOR, payload))


def require_type(value: Mapping[str, Any], type: str, at: str) -> None:
    """Raises ``type-mismatch`` or ``version-unsupported`` unless the map is version 1 of ``type``."""
    if value.get("type") != type:
        raise Rejected("type-mismatch", f"type {value.get('type')!r} where {type!r} is expected", at=f"{at}.type")
    if value.get("v") != 1 or value.get("v") is True:
        raise Rejected("version-unsupported", f"v is {value.get('v')!r}", at=f"{at}.v")


def verify_endorsement(statement: Statement, kid: Kid, signature: bytes) -> bool:
    """Whether ``signature`` is ``kid``'s endorsement of ``statement``."""
    return keys.verify(kid, _to_be_signed(_protected(statement.type, kid), statement.bytes), signature)


@functools.lru_cache(maxsize=4096)
def _front(type: str, kid: Kid) -> bytes:
    """An envelope up to its payload."""
    protected = _protected(type, kid)
    return b"".join((_HEAD, codec.head(codec.BYTE_STRING, len(protected)), protected, b"\xa0"))


@functools.lru_cache(maxsize=4096)
def _protected(type: str, kid: Kid) -> bytes:
    return cbor2.dumps({1: _EDDSA, 4: bytes(kid), 16: _TYPE_PREFIX + type + _TYPE_SUFFIX})


@functools.lru_cache(maxsize=4096)  # what is refused is not kept
def _open_protected(protected: bytes) -> tuple[str, Kid]:
    """(type, kid) of a protected header. It is right exactly if writing those two again gives the same bytes."""
    start, end = 7, 7 + 34  # a3 01 27 04 58 22 <34 bytes> 10 …
    kid = keys.kid_of(protected[start - 1 : end - 1]) if protected[:6] == b"\xa3\x01\x27\x04\x58\x22" else None
    if kid is None:
        raise Rejected("envelope-invalid", "the protected header is not {1: -8, 4: kid, 16: typ}")
    text = protected[end - 1 :].decode("ascii", "replace")
    first = text.find(_TYPE_PREFIX)
    typ = text[first + len(_TYPE_PREFIX) : -len(_TYPE_SUFFIX)] if first >= 0 and text.endswith(_TYPE_SUFFIX) else ""
    if not typ or len(typ) > 64 or _protected(typ, kid) != protected:
        raise Rejected("envelope-invalid", "the protected header is not {1: -8, 4: kid, 16: typ}")
    return typ, kid


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """The Sig_structure of RFC 9052 section 4.4: ["Signature1", protected, external_aad, payload]."""
    byte_string = codec.BYTE_STRING
    return b"".join(
        (_SIG_STRUCTURE, codec.head(byte_string, len(protected)), protected, b"\x40",
         codec.head(byte_string, len(payload)), payload)
    )  # fmt: skip
