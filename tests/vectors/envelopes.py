"""Vectors of sections 1.4 and 1.5: envelopes, statements and records."""

from __future__ import annotations

from collections.abc import Iterator

import cbor2

from holo.core import codec, keys
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import encode_envelope, endorse, make_record, make_statement
from holo.core.keys import Kid, SigningKey
from tests.records import key, kid
from tests.vectors.form import Group, dag_json, envelopes, flipped

TYPE, BOUND = "sample", 1024
VALUE = {"v": 1, "type": TYPE, "text": "holo", "list": [1, True, None]}


def groups() -> Iterator[Group]:
    """Every group of these sections."""
    group = Group(
        "envelopes",
        "Envelopes and records (1.4, 1.5). The type `sample` exists in these vectors only; its bound is 1,024 bytes.",
    )
    statement = make_statement(VALUE)
    for name, signers in (("one-signer", ("alice",)), ("three-signers", ("alice", "bob", "carol"))):
        record = make_record(statement, *map(key, signers))
        _valid(group, name, envelopes(record), statement.bytes, signers)
    reverse = envelopes(make_record(statement, key("alice"), key("bob")))[::-1]
    _valid(group, "another-order", reverse, statement.bytes, ("alice", "bob"))
    alice = envelopes(make_record(statement, key("alice")))
    _valid(group, "one-signer-twice", alice * 2, statement.bytes, ("alice",))
    _valid(group, "96-envelopes", alice, statement.bytes, ("alice",), times=96)
    longest = make_statement({**VALUE, "text": "x" * (BOUND - len(statement.bytes) + len("holo") - 2)})
    assert len(longest.bytes) == BOUND
    _valid(group, "longest-payload", envelopes(make_record(longest, key("alice"))), longest.bytes, ("alice",))
    for name, code, of, change, bad in (*_bad_forms(), *_bad_payloads(), *_bad_records()):
        group.invalid(name, "open-record", code, of, change, type=TYPE, bound=BOUND, envelopes=[d.hex() for d in bad])
    group.invalid(
        "97-envelopes", "open-record", "too-large", "96-envelopes", "one more",
        type=TYPE, bound=BOUND, envelopes=alice, times=97,
    )  # fmt: skip
    yield group


def _valid(group: Group, name: str, record: list[str], payload: bytes, signers: tuple[str, ...], **more: int) -> None:
    result = {
        "id": str(Cid.of(DAG_CBOR, payload)),
        "payload": payload.hex(),
        "value": dag_json(codec.decode(payload, BOUND)),
        "endorsers": sorted(keys.did_of(kid(name)) for name in signers),
    }
    group.valid(name, "open-record", result, type=TYPE, bound=BOUND, envelopes=record, **more)


_Bad = tuple[str, str, str, str, list[bytes]]


def _bad_forms() -> Iterator[_Bad]:
    statement = make_statement(VALUE)
    signer = key("alice")
    good = encode_envelope(TYPE, signer.kid, statement.bytes, endorse(statement, signer))
    typ = f"application/vnd.holo.{TYPE}+cbor"

    def made(
        protected: object = None, unprotected: object = None, payload: object = statement.bytes, tag: int = 18
    ) -> list[bytes]:
        """An envelope of these parts, with a signature that is good for them."""
        header = cbor2.dumps({1: -8, 4: bytes(signer.kid), 16: typ} if protected is None else protected)
        signed = cbor2.dumps(["Signature1", header, b"", payload if isinstance(payload, bytes) else b""])
        parts = [header, {} if unprotected is None else unprotected, payload, signer.sign(signed)]
        return [cbor2.dumps(cbor2.CBORTag(tag, parts))]

    assert made() == [good]
    bad, of = "envelope-invalid", "one-signer"
    yield "untagged", bad, of, "without its tag", [good[1:]]
    yield "tag-98", bad, of, "tagged as COSE_Sign", made(tag=98)
    yield "tag-17", bad, of, "tagged as COSE_Mac0", made(tag=17)
    yield "wide-tag", bad, of, "the tag in two bytes more", [b"\xd9\x00\x12" + good[1:]]
    yield "three-elements", bad, of, "without a signature", [b"\xd2\x83" + good[2:-66]]
    yield "five-elements", bad, of, "a fifth element", [b"\xd2\x85" + good[2:] + b"\x00"]
    yield "indefinite-array", bad, of, "an array of indefinite length", [b"\xd2\x9f" + good[2:] + b"\xff"]
    yield "trailing-byte", bad, of, "a byte more", [good + b"\0"]
    yield "cut", bad, of, "without its last byte", [good[:-1]]
    yield "empty", bad, of, "nothing", [b""]
    yield "detached-payload", bad, of, "a null payload", made(payload=None)
    yield "payload-not-bytes", bad, of, "a map as payload", made(payload=dict(VALUE))
    yield "unprotected-entry", bad, of, "an entry in the unprotected header", made(unprotected={"a": 1})
    yield "unprotected-not-a-map", bad, of, "a list as the unprotected header", made(unprotected=[])
    alg, name, mime = {1: -8}, {4: bytes(signer.kid)}, {16: typ}
    for label, change, protected in (
        ("other-algorithm", "algorithm -19", {1: -19, **name, **mime}),
        ("no-algorithm", "no algorithm", {**name, **mime}),
        ("no-kid", "no kid", {**alg, **mime}),
        ("no-typ", "no typ", {**alg, **name}),
        ("another-entry", "a content type as well", {**alg, 3: 0, **name, **mime}),
        ("entries-in-another-order", "the kid before the algorithm", {**name, **alg, **mime}),
        ("kid-as-text", "the kid as a did", {**alg, 4: keys.did_of(signer.kid), **mime}),
        ("typ-of-another-tree", "typ without vnd.holo", {**alg, **name, 16: "application/sample+cbor"}),
        ("typ-without-suffix", "typ without +cbor", {**alg, **name, 16: "application/vnd.holo.sample"}),
        ("typ-in-capitals", "typ in capitals", {**alg, **name, 16: typ.upper()}),
        ("empty-protected", "an empty protected header", {}),
    ):
        yield label, bad, of, change, made(protected)
    key_wide = cbor2.dumps({1: -8, 4: bytes(signer.kid), 16: typ}).replace(b"\x58\x22", b"\x59\x00\x22", 1)
    signature = signer.sign(cbor2.dumps(["Signature1", key_wide, b"", statement.bytes]))
    wide = b"\xd2\x84" + cbor2.dumps(key_wide) + b"\xa0" + cbor2.dumps(statement.bytes) + b"\x58\x40" + signature
    yield "protected-not-canonical", bad, of, "a wide length inside the protected header", [wide]
    yield "signature-of-63-bytes", bad, of, "a signature of 63 bytes", [good[:-65] + b"\x3f" + good[-63:]]
    small = b"\xed\x01" + b"\x01" + bytes(31)
    change = "a kid of small order"
    yield "small-order-kid", "key-invalid", of, change, [good.replace(bytes(signer.kid), small)]
    yield "x25519-kid", "key-invalid", of, "a kid of another kind", [good.replace(b"\xed\x01", b"\xec\x01", 1)]
    yield "bit-of-the-signature", "signature-invalid", of, "one bit of the signature", [flipped(good, -1)]
    yield "other-kid", "signature-invalid", of, "another kid", [good.replace(bytes(signer.kid), bytes(kid("bob")))]
    header = cbor2.dumps({1: -8, 4: bytes(signer.kid), 16: typ})
    with_aad = signer.sign(cbor2.dumps(["Signature1", header, b"x", statement.bytes]))
    yield "external-data", "signature-invalid", of, "signed with external data", [good[:-64] + with_aad]
    bare = signer.sign(statement.bytes)
    yield "signed-without-structure", "signature-invalid", of, "the payload alone signed", [good[:-64] + bare]


def _bad_payloads() -> Iterator[_Bad]:
    signer = key("alice")
    of = "one-signer"
    for name, code, change, value in (
        ("other-version", "version-unsupported", "v = 2", {**VALUE, "v": 2}),
        ("version-true", "version-unsupported", "v = true", {**VALUE, "v": True}),
        ("version-as-text", "version-unsupported", 'v = "1"', {**VALUE, "v": "1"}),
        ("no-version", "version-unsupported", "no v", {k: v for k, v in VALUE.items() if k != "v"}),
        ("other-type-inside", "type-mismatch", "another type in the payload", {**VALUE, "type": "binding"}),
        ("no-type-inside", "type-mismatch", "no type in the payload", {k: v for k, v in VALUE.items() if k != "type"}),
        ("payload-is-a-list", "cbor-invalid", "a list as payload", [VALUE]),
    ):
        yield name, code, of, change, [_signed(signer, codec.encode(value))]
    payload = make_statement(VALUE).bytes
    yield (
        "payload-not-canonical",
        "cbor-invalid",
        of,
        "an integer in two bytes",
        [_signed(signer, payload.replace(b"\x83\x01\xf5", b"\x83\x18\x01\xf5"))],
    )
    yield (
        "payload-with-trailing-byte",
        "cbor-invalid",
        of,
        "a byte after the payload's map",
        [_signed(signer, payload + b"\0")],
    )
    long = codec.encode({**VALUE, "text": "x" * (BOUND - len(payload) + len("holo") - 1)})
    assert len(long) == BOUND + 1
    yield "payload-too-large", "too-large", "longest-payload", "a byte more", [_signed(signer, long)]
    huge = codec.encode({**VALUE, "text": "x" * (BOUND + 256)})
    yield "envelope-too-large", "too-large", "longest-payload", "256 bytes more", [_signed(signer, huge)]


def _bad_records() -> Iterator[_Bad]:
    statement = make_statement(VALUE)
    alice, bob = make_record(statement, key("alice"), key("bob")).envelopes()
    other = make_statement({**VALUE, "text": "halo"})
    yield "no-envelope", "envelope-invalid", "one-signer", "no envelope", []
    yield "two-payloads", "record-mixed", "three-signers", "one signed another payload", [
        alice, make_record(other, key("bob")).envelopes()[0],
    ]  # fmt: skip
    yield "one-bad-signature", "signature-invalid", "three-signers", "one bit of the second signature", [
        alice, flipped(bob, -1),
    ]  # fmt: skip
    yield "second-signature-bad", "signature-invalid", "one-signer-twice", "one bit of the second", [
        alice, flipped(alice, -1),
    ]  # fmt: skip
    foreign = make_statement({**VALUE, "type": "other"})
    yield (
        "another-type",
        "type-mismatch",
        "one-signer",
        "a record of another type",
        [make_record(foreign, key("alice")).envelopes()[0]],
    )


def _signed(signer: SigningKey, payload: bytes) -> bytes:
    """An envelope over any payload, its signature good."""
    header = cbor2.dumps({1: -8, 4: bytes(signer.kid), 16: f"application/vnd.holo.{TYPE}+cbor"})
    signature = signer.sign(cbor2.dumps(["Signature1", header, b"", payload]))
    return encode_envelope(TYPE, Kid(signer.kid), payload, signature)
