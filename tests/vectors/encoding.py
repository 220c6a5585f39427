"""Vectors of section 1: codec, CIDs, keys, signatures, names and globs."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from holo.core import codec, keys, limits
from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.keys import SigningKey
from tests.core import edwards25519
from tests.core.edwards25519 import BASE, TORSION, L, P
from tests.vectors.form import Group, Json, dag_json

LINK = Cid.of(RAW, b"holo")
_TAG = "d82a"


def groups() -> Iterator[Group]:
    """Every group of this section."""
    yield _codec()
    yield _cids()
    yield _keys()
    yield _signatures()
    yield _names()
    yield _globs()


def _codec() -> Group:
    group = Group("codec", "Strict DAG-CBOR (1.1): bytes, and the value they are the only encoding of.")
    link = f"{_TAG}582500{LINK.hex()}"
    for name, data, value in (
        ("null", "f6", None),
        ("false", "f4", False),
        ("true", "f5", True),
        ("zero", "00", 0),
        ("23", "17", 23),
        ("24", "1818", 24),
        ("255", "18ff", 255),
        ("256", "190100", 256),
        ("65536", "1a00010000", 65536),
        ("2^32", "1b0000000100000000", 2**32),
        ("greatest-integer", "1b001fffffffffffff", 2**53 - 1),
        ("minus-one", "20", -1),
        ("minus-25", "3818", -25),
        ("least-integer", "3b001ffffffffffffe", 1 - 2**53),
        ("empty-text", "60", ""),
        ("text", "6161", "a"),
        ("two-byte-text", "62c3bc", "ü"),
        ("decomposed-text", "6375cc88", "u\u0308"),
        ("four-byte-text", "64f09f8c8a", "\U0001f30a"),
        ("text-of-24", "7818" + "61" * 24, "a" * 24),
        ("empty-bytes", "40", b""),
        ("bytes", "4401020304", b"\1\2\3\4"),
        ("empty-list", "80", []),
        ("nested-lists", "8201820203", [1, [2, 3]]),
        ("list-of-24", "9818" + "00" * 24, [0] * 24),
        ("empty-map", "a0", {}),
        ("map", "a2616101616202", {"a": 1, "b": 2}),
        ("shorter-key-first", "a261620162616102", {"b": 1, "aa": 2}),
        ("keys-by-bytes", "a2617a0162c3bc02", {"z": 1, "ü": 2}),
        ("link", link, LINK),
        ("link-in-map", "a16163" + link, {"c": LINK}),
        ("depth-64", "81" * 63 + "80", _nested(64)),
    ):
        assert codec.encode(value).hex() == data, name
        group.valid(name, "decode", {"value": dag_json(value)}, bytes=data)
    for name, code, of, change, data in _bad_codec(link):
        group.invalid(name, "decode", code, of, change, bytes=data)
    group.invalid(
        "above-the-bound", "decode", "too-large", "bytes", "read with a bound of 4 bytes", bytes="4401020304", bound=4
    )
    return group


def _bad_codec(link: str) -> Iterator[tuple[str, str, str, str, str]]:
    bad = "cbor-invalid"
    wide = "a head wider than needed"
    yield "zero-in-two-bytes", bad, "zero", wide, "1800"
    yield "23-in-two-bytes", bad, "23", wide, "1817"
    yield "255-in-three-bytes", bad, "255", wide, "1900ff"
    yield "256-in-five-bytes", bad, "256", wide, "1a00000100"
    yield "65536-in-nine-bytes", bad, "65536", wide, "1b0000000000010000"
    yield "minus-one-in-two-bytes", bad, "minus-one", wide, "3800"
    yield "text-with-wide-length", bad, "text", wide, "780161"
    yield "bytes-with-wide-length", bad, "bytes", wide, "580401020304"
    yield "list-with-wide-length", bad, "empty-list", wide, "9800"
    yield "map-with-wide-length", bad, "map", wide, "b802616101616202"
    yield "tag-with-wide-number", bad, "link", wide, "d9002a" + link[4:]
    open_ended = "of indefinite length"
    yield "indefinite-text", bad, "text", open_ended, "7f6161ff"
    yield "indefinite-bytes", bad, "bytes", open_ended, "5f4401020304ff"
    yield "indefinite-list", bad, "empty-list", open_ended, "9fff"
    yield "indefinite-map", bad, "map", open_ended, "bf616101616202ff"
    yield "half-float", bad, "zero", "as a float of 16 bits", "f90000"
    yield "single-float", bad, "zero", "as a float of 32 bits", "fa00000000"
    yield "double-float", bad, "zero", "as a float of 64 bits", "fb0000000000000000"
    yield "not-a-number", bad, "zero", "as a float that is not a number", "f97e00"
    yield "infinity", bad, "zero", "as an infinite float", "f97c00"
    yield "undefined", bad, "null", "undefined instead of null", "f7"
    yield "simple-value", bad, "true", "another simple value", "f0"
    yield "simple-value-in-two-bytes", bad, "true", "another simple value, in two bytes", "f8ff"
    yield "above-the-greatest-integer", bad, "greatest-integer", "one more", "1b0020000000000000"
    yield "below-the-least-integer", bad, "least-integer", "one less", "3b001fffffffffffff"
    yield "greatest-of-64-bits", bad, "greatest-integer", "2^64-1", "1bffffffffffffffff"
    yield "big-number", bad, "zero", "as tag 2, a big number", "c240"
    yield "date", bad, "text", "under tag 0, a date", "c06161"
    yield "self-described", bad, "zero", "under tag 55799", "d9d9f700"
    yield "tag-on-a-text", bad, "link", "tag 42 on a text", _TAG + "6161"
    yield "link-without-zero-byte", bad, "link", "without the 0x00 before the CID", f"{_TAG}5824{LINK.hex()}"
    yield "link-with-another-first-byte", bad, "link", "0x01 instead of 0x00", f"{_TAG}582501{LINK.hex()}"
    yield "empty-link", bad, "link", "tag 42 on no bytes", _TAG + "40"
    foreign = bytes.fromhex("01711220") + bytes(32)
    yield "link-to-sha256", "cid-unsupported", "link", "a CID of sha-256", f"{_TAG}582500{foreign.hex()}"
    yield "link-version-0", "cid-unsupported", "link", "a CID of version 0", f"{_TAG}5823001220{bytes(32).hex()}"
    yield "link-to-nothing-known", "cid-invalid", "link", "no CID at all", f"{_TAG}4400020304"
    yield "link-one-byte-long", "cid-unsupported", "link", "one byte more", f"{_TAG}582600{LINK.hex()}00"
    yield "unsorted-map", bad, "map", "the second key first", "a2616202616101"
    yield "keys-by-bytes-not-length", bad, "shorter-key-first", "the longer key first", "a262616102616201"
    yield "same-key-twice", bad, "map", "the first key twice", "a2616101616102"
    yield "integer-key", bad, "map", "a key that is an integer", "a2016101616202"
    yield "byte-key", bad, "map", "a key that is a byte string", "a2416101616202"
    yield "text-not-utf-8", bad, "two-byte-text", "a byte that begins nothing", "62ffbc"
    yield "surrogate", bad, "two-byte-text", "an encoded surrogate", "63eda080"
    yield "overlong-text", bad, "two-byte-text", "an overlong form", "62c080"
    yield "key-not-utf-8", bad, "map", "a key that is not UTF-8", "a2616101 61ff02".replace(" ", "")
    yield "cut-text", bad, "text", "without its last byte", "61"
    yield "cut-list", bad, "nested-lists", "without its last element", "82018202"
    yield "cut-integer", bad, "65536", "without its last byte", "1a000100"
    yield "trailing-byte", bad, "zero", "a byte more", "0000"
    yield "nothing", bad, "zero", "no byte at all", ""
    yield "depth-65", bad, "depth-64", "one level more", "81" * 64 + "80"
    yield "break-alone", bad, "null", "the break of indefinite lengths", "ff"
    yield "reserved-head", bad, "zero", "a reserved head", "1c"


def _nested(depth: int) -> Json:
    value: Json = []
    for _ in range(depth - 1):
        value = [value]
    return value


def _cids() -> Group:
    group = Group("cids", "CIDs (1.2): their text, their bytes, and what they are made from.")
    for codec_name, number in (("raw", RAW), ("dag-cbor", DAG_CBOR), ("cbor", CBOR)):
        for name, data in (
            ("empty", b""),
            ("of-holo", b"holo"),
            ("of-1025-bytes", bytes(i % 251 for i in range(1025))),
        ):
            cid = Cid.of(number, data)
            group.valid(f"{codec_name}-{name}", "hash", {"cid": str(cid)}, codec=codec_name, data=data.hex())
        cid = Cid.of(number, b"holo")
        group.valid(f"{codec_name}-text", "parse-cid", {"bytes": cid.hex()}, text=str(cid))
    text = str(LINK)
    for name, code, change, bad in (
        ("upper-case", "cid-unsupported", "in capitals", text.upper()),
        ("mixed-case", "cid-invalid", "one capital", text[:-1] + text[-1].upper()),
        ("base58", "cid-unsupported", "in base58btc", "zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA"),
        ("version-0", "cid-unsupported", "a CID of version 0", "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"),
        ("sha-256", "cid-unsupported", "of sha-256", "bafkreie7q3iidccmpvszul7kudcvvuavuo7u6gzlbobczuk5nqk3b4akba"),
        ("other-codec", "cid-unsupported", "of codec dag-pb", _text(b"\x01\x70" + LINK[2:])),
        ("short-digest", "cid-unsupported", "a digest of 20 bytes", _text(LINK[:3] + b"\x14" + LINK[4:24])),
        ("one-byte-more", "cid-unsupported", "a byte after it", _text(LINK + b"\0")),
        ("version-2", "cid-invalid", "version 2", _text(b"\x02" + LINK[1:])),
        ("padded", "cid-invalid", "with padding", text + "="),
        ("cut", "cid-invalid", "without its last character", text[:-1]),
        ("last-bits-set", "cid-invalid", "an unused bit set", text[:-1] + _next(text[-1])),
        ("character-outside", "cid-invalid", "a character base32 lacks", text[:-1] + "1"),
        ("no-multibase", "cid-invalid", "without the b", text[1:]),
        ("space", "cid-invalid", "a space after it", text + " "),
        ("empty", "cid-invalid", "nothing", ""),
        ("very-long", "cid-invalid", "of 200 characters", "b" + "a" * 199),
    ):
        group.invalid(name, "parse-cid", code, "raw-text", change, text=bad)
    return group


def _text(data: bytes) -> str:
    return "b" + base64.b32encode(data).decode("ascii").lower().rstrip("=")  # of any length, which no CID has


def _next(char: str) -> str:
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    return alphabet[alphabet.index(char) + 1]


def _keys() -> Group:
    group = Group("keys", "Keys (1.3): a seed's kid and did, and what a kid may be.")
    for name, seed in (
        ("seed-zero", bytes(32)),
        ("seed-counting", bytes(range(32))),
        ("seed-of-rfc-8032", bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")),
    ):
        key = SigningKey(seed)
        did = keys.did_of(key.kid)
        group.valid(name, "derive-key", {"kid": key.kid.hex(), "did": did}, seed=seed.hex())
        group.valid(f"did-of-{name}", "parse-did", {"kid": key.kid.hex()}, did=did)
        group.valid(f"kid-of-{name}", "read-kid", {"did": did}, kid=key.kid.hex())
    off_curve = next(y for y in range(2, 50) if edwards25519.recover_x(y, 0) is None).to_bytes(32, "little")
    group.valid(
        "off-the-curve", "read-kid", {"did": keys.did_of(keys.kid_of(_kid(off_curve)))}, kid=_kid(off_curve).hex()
    )
    mixed = edwards25519.sign(77, 1, b"", key_torsion=1).public
    group.valid("of-mixed-order", "read-kid", {"did": keys.did_of(keys.kid_of(_kid(mixed)))}, kid=_kid(mixed).hex())
    key = SigningKey(bytes(32))
    kid = bytes(key.kid)
    for name, change, data in (
        *(
            (f"order-{order}-{at}", f"a point of order {order}", _kid(edwards25519.encode(TORSION[at])))
            for at, order in enumerate((1, 8, 4, 8, 2, 8, 4, 8))
        ),
        ("y-is-p", "y = p, for 0", _kid(P.to_bytes(32, "little"))),
        ("y-above-p", "y = p + 3, for 3", _kid((P + 3).to_bytes(32, "little"))),
        ("minus-zero", "the identity with the sign set", _kid((1 | 1 << 255).to_bytes(32, "little"))),
        ("short", "a byte less", kid[:-1]),
        ("long", "a byte more", kid + b"\0"),
        ("other-kind", "the prefix of X25519 keys", b"\xec" + kid[1:]),
        ("empty", "nothing", b""),
    ):
        group.invalid(name, "read-kid", "key-invalid", "kid-of-seed-zero", change, kid=data.hex())
    did = keys.did_of(key.kid)
    for name, change, text in (
        ("did-of-another-method", "did:web", did.replace("did:key", "did:web")),
        ("did-in-another-base", "another multibase prefix", did.replace(":z", ":m")),
        ("did-with-leading-one", "a 1 before it, which says zero", did.replace(":z", ":z1")),
        ("did-with-a-zero", "a character base58 lacks", did[:-1] + "0"),
        ("did-cut", "without its last character", did[:-1]),
        ("did-with-fragment", "with a fragment", did + "#" + did[8:]),
        ("did-with-a-space", "a space after it", did + " "),
    ):
        group.invalid(name, "parse-did", "key-invalid", "did-of-seed-zero", change, did=text)
    return group


def _kid(public: bytes) -> bytes:
    return b"\xed\x01" + public


def _signatures() -> Group:
    group = Group("signatures", "Ed25519 (1.3): signing, and the one rule of verification where libraries differ.")
    key = SigningKey(bytes(range(32)))
    for name, message in (("empty-message", b""), ("message", b"holo"), ("kilobyte", bytes(1024))):
        signature = key.sign(message)
        group.valid(f"sign-{name}", "sign", {"signature": signature.hex()}, seed=key.seed.hex(), message=message.hex())
        group.valid(name, "verify", {}, kid=key.kid.hex(), message=message.hex(), signature=signature.hex())
    secret = 0x1234567890ABCDEF << 160 | 77
    for torsion in (1, 2, 4):
        signed = next(
            signed
            for signed in (edwards25519.sign(secret, 5, b"m%d" % n, key_torsion=torsion) for n in range(100))
            if edwards25519.challenge(signed.signature[:32], signed.public, signed.message) * torsion % 8 == 0
        )
        group.valid(f"mixed-order-key-{torsion}", "verify", {}, **_signed(signed))
        refused = next(
            signed
            for signed in (edwards25519.sign(secret, 5, b"m%d" % n, key_torsion=torsion) for n in range(100))
            if edwards25519.challenge(signed.signature[:32], signed.public, signed.message) * torsion % 8 != 0
        )
        group.invalid(
            f"cofactor-needed-{torsion}", "verify", "signature-invalid", f"mixed-order-key-{torsion}",
            "a message for which only the equation with cofactor holds", **_signed(refused),
        )  # fmt: skip
    signed = edwards25519.sign(secret, 5, b"m", nonce_torsion=4)
    change = "an R of mixed order: only the equation with cofactor holds"
    group.invalid("mixed-order-r", "verify", "signature-invalid", "message", change, **_signed(signed))
    public = edwards25519.encode(edwards25519.multiply(secret, BASE))
    for name, change, r in (
        ("small-order-r", "an R of order 1; the equation holds", edwards25519.encode(TORSION[0])),
        ("small-order-8-r", "an R of order 8", edwards25519.encode(TORSION[1])),
        ("r-not-canonical", "R = p + 1, for the identity", (P + 1).to_bytes(32, "little")),
    ):
        s = edwards25519.challenge(r, public, b"m") * secret % L
        signed = edwards25519.Signed(public, b"m", r + s.to_bytes(32, "little"))
        group.invalid(name, "verify", "signature-invalid", "message", change, **_signed(signed))
    r = edwards25519.encode(edwards25519.multiply(7, BASE))
    small = edwards25519.Signed(edwards25519.encode(TORSION[4]), b"m", r + (7).to_bytes(32, "little"))
    change = "a key of order 2, for which S = r signs one message in two"
    group.invalid("small-order-key", "verify", "key-invalid", "message", change, **_signed(small))
    message, signature = b"holo", key.sign(b"holo")
    s = int.from_bytes(signature[32:], "little")
    for name, change, bad in (
        ("s-plus-order", "S + L", signature[:32] + (s + L).to_bytes(32, "little")),
        ("s-plus-8-orders", "S + 8 L", signature[:32] + (s + 8 * L).to_bytes(32, "little")),
        ("s-zero", "S = 0", signature[:32] + bytes(32)),
        ("bit-of-r", "one bit of R", bytes((signature[0] ^ 1,)) + signature[1:]),
        ("bit-of-s", "one bit of S", signature[:32] + bytes((signature[32] ^ 1,)) + signature[33:]),
        ("cut", "without its last byte", signature[:-1]),
        ("longer", "a byte more", signature + b"\0"),
    ):
        group.invalid(
            name, "verify", "signature-invalid", "message", change,
            kid=key.kid.hex(), message=message.hex(), signature=bad.hex(),
        )  # fmt: skip
    other = SigningKey(bytes(32)).kid
    group.invalid(
        "other-key", "verify", "signature-invalid", "message", "another key",
        kid=other.hex(), message=message.hex(), signature=signature.hex(),
    )  # fmt: skip
    group.invalid(
        "other-message", "verify", "signature-invalid", "message", "another message",
        kid=key.kid.hex(), message=b"halo".hex(), signature=signature.hex(),
    )  # fmt: skip
    return group


def _signed(signed: edwards25519.Signed) -> dict[str, str]:
    return {"kid": _kid(signed.public).hex(), "message": signed.message.hex(), "signature": signed.signature.hex()}


def _names() -> Group:
    group = Group("names", "Names (1.6): their text, and what it says.")
    longest = "a" * 64
    handle = "/".join(("b" * 63, "b" * 63, "b" * 63, "b" * 62))
    for name, text, parts in (
        ("plain", "acme/app", ("acme", "app", "latest", None)),
        ("tagged", "acme/app:stable", ("acme", "app", "stable", None)),
        ("deep", "acme/a/b/c/d:x", ("acme", "a/b/c/d", "x", None)),
        ("shortest", "a/b:c", ("a", "b", "c", None)),
        ("punctuated", "a.b-c_d/0.1-x_y:V1.0+b_-", ("a.b-c_d", "0.1-x_y", "V1.0+b_-", None)),
        ("pinned", f"acme/app:stable@{LINK}", ("acme", "app", "stable", LINK)),
        ("pinned-untagged", f"acme/app@{LINK}", ("acme", "app", "latest", LINK)),
        ("longest-namespace", f"{longest}/app:x", (longest, "app", "x", None)),
        ("longest-handle", f"acme/{longest}:x", ("acme", longest, "x", None)),
        ("longest-tag", "acme/app:" + "T" * 128, ("acme", "app", "T" * 128, None)),
        ("longest-together", f"acme/{handle[:251]}:abcd", ("acme", handle[:251], "abcd", None)),
    ):
        ns, handle_part, tag, cid = parts
        result = {"namespace": ns, "handle": handle_part, "tag": tag, "cid": None if cid is None else str(cid)}
        group.valid(name, "parse-name", result, text=text)
    for name, of, change, text in (
        ("no-handle", "plain", "no handle", "acme"),
        ("empty-handle", "plain", "an empty handle", "acme/"),
        ("empty-namespace", "plain", "an empty namespace", "/app"),
        ("empty-tag", "tagged", "an empty tag", "acme/app:"),
        ("empty-segment", "deep", "an empty segment", "acme/a//b"),
        ("trailing-slash", "plain", "a slash at the end", "acme/app/"),
        ("five-segments", "deep", "a fifth segment", "acme/a/b/c/d/e:x"),
        ("capital-in-namespace", "plain", "a capital in the namespace", "Acme/app"),
        ("capital-in-handle", "plain", "a capital in the handle", "acme/App"),
        ("segment-begins-with-dot", "plain", "a segment that begins with a dot", "acme/.app"),
        ("segment-ends-with-hyphen", "plain", "a segment that ends with a hyphen", "acme/app-"),
        ("parent-segment", "deep", "a segment ..", "acme/../b"),
        ("plus-in-handle", "plain", "a plus in the handle", "acme/a+b"),
        ("tag-begins-with-plus", "tagged", "a tag that begins with a plus", "acme/app:+x"),
        ("tag-begins-with-dot", "tagged", "a tag that begins with a dot", "acme/app:.x"),
        ("slash-in-tag", "tagged", "a slash in the tag", "acme/app:a/b"),
        ("two-tags", "tagged", "a second tag", "acme/app:a:b"),
        ("namespace-of-65", "longest-namespace", "a character more", f"{'a' * 65}/app:x"),
        ("segment-of-65", "longest-handle", "a character more", f"acme/{'a' * 65}:x"),
        ("tag-of-129", "longest-tag", "a character more", "acme/app:" + "T" * 129),
        ("together-256", "longest-together", "a character more", f"acme/{handle[:251]}:abcde"),
        ("not-ascii", "plain", "a letter outside ASCII", "acme/äpp"),
        ("full-width-digit", "plain", "a digit outside ASCII", "acme/app\uff11"),
        ("space", "plain", "a space", "acme/app "),
        ("newline", "plain", "a newline at the end", "acme/app\n"),
        ("zero-byte", "plain", "a zero byte", "acme/app\0"),
        ("very-long", "plain", "of 400 characters", "acme/" + "a" * 395),
        ("empty", "plain", "nothing", ""),
    ):
        group.invalid(name, "parse-name", "name-invalid", of, change, text=text)
    group.invalid("empty-pin", "parse-name", "cid-invalid", "pinned", "an empty pin", text="acme/app:stable@")
    foreign = "acme/app:stable@QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"
    group.invalid("foreign-pin", "parse-name", "cid-unsupported", "pinned", "a pin of version 0", text=foreign)
    return group


def _globs() -> Group:
    group = Group("globs", "Globs (1.7): what they may be, match and cover.")
    for glob in ("*", "v1.*", "stable", "team/*", "a", "A+b_c-d.e/f", "x" * 256, "x" * 255 + "*"):
        group.valid(glob if len(glob) < 20 else f"{glob[:3]}…{len(glob)}{glob[-1]}", "check-glob", {}, glob=glob)
    for glob, text, matches in (
        ("*", "anything/at:all", True),
        ("*", "", True),
        ("stable", "stable", True),
        ("stable", "stable2", False),
        ("stable", "Stable", False),
        ("v1.*", "v1.", True),
        ("v1.*", "v1.2/3", True),
        ("v1.*", "v1", False),
        ("team/*", "team/a/b", True),
        ("team/*", "team", False),
    ):
        group.valid(f"{glob} matches {text or 'nothing'}", "match-glob", {"matches": matches}, glob=glob, text=text)
    for outer, inner, covers in (
        ("*", "*", True),
        ("*", "stable", True),
        ("v*", "v1.*", True),
        ("v1.*", "v*", False),
        ("v1.*", "v1.*", True),
        ("v1.*", "v1.2", True),
        ("v1.*", "v1", False),
        ("stable", "stable", True),
        ("stable", "*", False),
        ("stable", "stable*", False),
        ("stable*", "stable", True),
    ):
        group.valid(f"{outer} covers {inner}", "cover-glob", {"covers": covers}, outer=outer, inner=inner)
    for name, of, change, glob in (
        ("empty", "stable", "nothing", ""),
        ("two-stars", "v1.*", "two stars", "v1.**"),
        ("star-in-the-middle", "team/*", "a star before the end", "*/team"),
        ("question-mark", "stable", "a question mark", "stabl?"),
        ("bracket", "stable", "a bracket", "[s]table"),
        ("colon", "stable", "a colon", "a:stable"),
        ("space", "stable", "a space", "stable "),
        ("not-ascii", "stable", "a letter outside ASCII", "stäble"),
        ("newline", "stable", "a newline at the end", "stable\n"),
        ("257-characters", "xxx…256x", "a character more", "x" * (limits.GLOB_BYTES + 1)),
    ):
        group.invalid(name, "check-glob", "glob-invalid", of, change, glob=glob)
    return group
