"""Records that must be refused, and by which code: every field wrong, every byte out of place, every signature false.

A case is made over a :class:`Target`, a namespace as it stands on a node. Everything is signed anew for each case, so
that what is refused is refused for the one thing that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cbor2

from holo.core import codec, tree
from holo.core.cid import RAW, Cid
from holo.core.keys import SigningKey
from holo.core.policy import Policy
from tests.core import edwards25519
from tests.records import key, kid

DROP = object()
ORDER_L = edwards25519.L


@dataclass(frozen=True)
class Target:
    """A namespace on a node: its genesis, the current statement of acme/holo:beta, another namespace's genesis."""

    genesis: Policy
    current: Cid
    foreign: Policy
    sealed: Policy
    sealing: Policy


@dataclass(frozen=True)
class Case:
    """What to send where, and what the answer must be. ``proven``: a key's signature over a statement was verified."""

    id: str
    code: str
    make: Callable[[Target], list[bytes]]
    path: str = "/v1/namespaces/acme/bindings"
    proven: bool = True


def binding_value(target: Target, **changes: Any) -> dict[str, Any]:
    """A binding that would be accepted, with ``changes``; DROP leaves a field out."""
    value = {
        "v": 1,
        "type": "binding",
        "ns": "acme",
        "genesis": target.genesis.id,
        "handle": "holo",
        "tag": "beta",
        "rev": 2,
        "prev": [target.current],
        "cid": Cid.of(RAW, b"next"),
        "policy": target.genesis.id,
        "at_ms": 1,
        "meta": {},
    }
    return {name: item for name, item in (value | changes).items() if item is not DROP}


def policy_value(target: Target, **changes: Any) -> dict[str, Any]:
    """A successor of acme's genesis that would be accepted, with ``changes``."""
    value = dict(target.genesis.statement.value) | {"seq": 1, "prev": target.genesis.id}
    return {name: item for name, item in (value | changes).items() if item is not DROP}


def signed(payload: bytes, *keys: SigningKey, typ: str = "binding") -> list[bytes]:
    """One COSE_Sign1 per key over whatever ``payload`` is."""
    return [envelope(payload, protected(who.kid, typ), who) for who in keys]


def protected(who: bytes, typ: str = "binding") -> bytes:
    """The protected header as it should be."""
    return cbor2.dumps({1: -8, 4: bytes(who), 16: f"application/vnd.holo.{typ}+cbor"})


def envelope(payload: bytes, header: bytes, who: SigningKey, signature: bytes | None = None) -> bytes:
    """A COSE_Sign1 over ``payload`` under any header, by ``who`` or with any signature."""
    made = who.sign(cbor2.dumps(["Signature1", header, b"", payload])) if signature is None else signature
    return b"\xd2" + cbor2.dumps([header, {}, payload, made])


ALICE, BOB, MALLORY, ROOT = key("alice"), key("bob"), key("mallory"), key("root")


def field_cases() -> Iterator[Case]:
    """Each field of a binding missing, of another type, out of its bounds; a field too many."""
    other = Cid.of(RAW, b"other")
    wrong: Mapping[str, Sequence[tuple[Any, str]]] = {
        "v": [(DROP, "version-unsupported"), (2, "version-unsupported"), ("1", "version-unsupported"),
              (True, "version-unsupported"), (None, "version-unsupported")],
        "type": [(DROP, "type-mismatch"), ("policy", "type-mismatch"), (1, "type-mismatch"),
                 ("Binding", "type-mismatch")],
        "ns": [(DROP, "field-missing"), (1, "field-invalid"), ("Acme", "name-invalid"), ("", "name-invalid"),
               ("a" * 65, "field-invalid"), ("acme/x", "name-invalid"), ("acme\n", "name-invalid")],
        "genesis": [(DROP, "field-missing"), (None, "field-invalid"), ("x", "field-invalid"),
                    (bytes(36), "field-invalid"), (other, "genesis-foreign")],
        "handle": [(DROP, "field-missing"), (1, "field-invalid"), ("", "name-invalid"), ("Holo", "name-invalid"),
                   ("a/", "name-invalid"), ("/a", "name-invalid"), ("a//b", "name-invalid"), ("../x", "name-invalid"),
                   ("a/b/c/d/e", "name-invalid"), ("a\x00", "name-invalid"), ("a" * 256, "field-invalid"),
                   ("ä", "name-invalid")],
        "tag": [(DROP, "field-missing"), (1, "field-invalid"), ("", "name-invalid"), ("a b", "name-invalid"),
                ("x" * 129, "field-invalid"), (".x", "name-invalid"), ("é", "name-invalid"), ("a/b", "name-invalid")],
        "rev": [(DROP, "field-missing"), (0, "field-invalid"), (-1, "field-invalid"), ("1", "field-invalid"),
                (True, "field-invalid"), (None, "field-invalid")],
        "prev": [(DROP, "field-missing"), (None, "field-invalid"), ({}, "field-invalid"), ([1], "field-invalid"),
                 ([other, other], "field-invalid"), ([other, Cid.of(RAW, b"2"), Cid.of(RAW, b"3")], "field-invalid")],
        "cid": [(DROP, "field-missing"), (1, "field-invalid"), (str(other), "field-invalid"), (b"", "field-invalid")],
        "policy": [(DROP, "field-missing"), (None, "field-invalid"), ("x", "field-invalid"), (other, "policy-unknown")],
        "at_ms": [(DROP, "field-missing"), (-1, "field-invalid"), ("now", "field-invalid"), (True, "field-invalid")],
        "meta": [(DROP, "field-missing"), (None, "field-invalid"), ([], "field-invalid"), ({"x": 1}, "field-unknown"),
                 ({"size": -1}, "field-invalid"), ({"size": "1"}, "field-invalid"),
                 ({"summary": "x" * 1025}, "field-invalid"), ({"media_type": 1}, "field-invalid")],
        "reason": [(1, "field-invalid"), ("x" * 1025, "field-invalid"), (None, "field-invalid")],
        "source": [([], "field-invalid"), ({"a": 1}, "field-invalid"), ({"a": "x" * 4097}, "field-invalid")],
        "extra": [(1, "field-unknown")],
        "Rev": [(2, "field-unknown")],
    }  # fmt: skip
    for name, values in wrong.items():
        for number, (value, code) in enumerate(values):
            what = "missing" if value is DROP else f"wrong{number}"
            # Without a readable v and type there is no statement anybody could have signed.
            yield Case(f"field-{name}-{what}", code, _with(name, value), proven=name not in ("v", "type"))


def _with(name: str, value: Any) -> Callable[[Target], list[bytes]]:
    return lambda target: signed(codec.encode(binding_value(target, **{name: value})), ALICE)


def signature_cases() -> Iterator[Case]:
    """Signatures that are swapped, foreign, damaged, of weak keys or beside the one strict form."""

    def payload(target: Target) -> bytes:
        return codec.encode(binding_value(target))

    def other(target: Target) -> bytes:
        return codec.encode(binding_value(target, at_ms=2))

    def forged(target: Target, who: SigningKey) -> bytes:
        return envelope(payload(target), protected(who.kid), who, bytes(64))

    def damaged(at: int, bit: int) -> Callable[[Target], list[bytes]]:
        def make(target: Target) -> list[bytes]:
            (whole,) = signed(payload(target), ALICE)
            data = bytearray(whole)
            data[at] ^= bit
            return [bytes(data)]

        return make

    def swapped(target: Target) -> list[bytes]:
        mine, _ = _parts(signed(payload(target), ALICE)[0])
        _, foreign = _parts(signed(other(target), ALICE)[0])
        return [envelope(mine, protected(ALICE.kid), ALICE, foreign)]

    def of_another_key(target: Target) -> list[bytes]:
        _, bobs = _parts(signed(payload(target), BOB)[0])
        return [envelope(payload(target), protected(ALICE.kid), ALICE, bobs)]

    def high_s(target: Target) -> list[bytes]:
        _, made = _parts(signed(payload(target), ALICE)[0])
        s = int.from_bytes(made[32:], "little") + ORDER_L
        return [envelope(payload(target), protected(ALICE.kid), ALICE, made[:32] + s.to_bytes(32, "little"))]

    def small_order_r(target: Target) -> list[bytes]:
        return [envelope(payload(target), protected(ALICE.kid), ALICE, b"\x01" + bytes(63))]

    def by_point(point: bytes) -> Callable[[Target], list[bytes]]:
        return lambda target: [envelope(payload(target), protected(b"\xed\x01" + point), ALICE, b"\x01" + bytes(63))]

    yield Case("signature-swapped", "signature-invalid", swapped, proven=False)
    yield Case("signature-of-another-key", "signature-invalid", of_another_key, proven=False)
    yield Case("signature-flipped-r", "signature-invalid", damaged(-64, 1), proven=False)
    yield Case("signature-flipped-s", "signature-invalid", damaged(-1, 1), proven=False)
    yield Case("signature-s-beyond-the-order", "signature-invalid", high_s, proven=False)
    yield Case("signature-small-order-r", "signature-invalid", small_order_r, proven=False)
    for order, y in ((1, 1), (2, edwards25519.P - 1), (4, 0)):
        point = y.to_bytes(32, "little")
        yield Case(f"key-of-order-{order}", "key-invalid", by_point(point), proven=False)
    yield Case("key-not-canonical", "key-invalid", by_point((edwards25519.P + 1).to_bytes(32, "little")), proven=False)
    yield Case(
        "key-too-short",
        "envelope-invalid",
        lambda t: [envelope(payload(t), protected(ALICE.kid[:33]), ALICE)],
        proven=False,
    )
    other_kind = protected(b"\xe7\x01" + ALICE.kid[2:])
    yield Case("key-of-another-kind", "key-invalid", lambda t: [envelope(payload(t), other_kind, ALICE)], proven=False)
    yield Case("signer-foreign", "signer-not-allowed", lambda t: signed(payload(t), MALLORY))
    yield Case("signer-is-root-only", "signer-not-allowed", lambda t: signed(payload(t), ROOT))
    yield Case("record-mixed", "record-mixed", lambda t: signed(payload(t), ALICE) + signed(other(t), BOB))
    yield Case("second-signature-false", "signature-invalid",
               lambda t: [*signed(payload(t), ALICE), forged(t, BOB)])  # fmt: skip
    yield Case("same-key-twice-second-false", "signature-invalid",
               lambda t: [*signed(payload(t), ALICE), forged(t, ALICE)])  # fmt: skip


def envelope_cases() -> Iterator[Case]:
    """COSE that is not the one form: other headers, other shapes, other tags, bytes too many or too few."""

    def payload(target: Target) -> bytes:
        return codec.encode(binding_value(target))

    def whole(target: Target) -> bytes:
        return signed(payload(target), ALICE)[0]

    def header(data: Callable[[], bytes]) -> Callable[[Target], list[bytes]]:
        return lambda target: [envelope(payload(target), data(), ALICE)]

    def reshaped(change: Callable[[list[Any]], Any], tag: bytes = b"\xd2") -> Callable[[Target], list[bytes]]:
        return lambda target: [tag + cbor2.dumps(change(list(cbor2.loads(whole(target)[1:]))))]

    typ = "application/vnd.holo.binding+cbor"
    kid_bytes = bytes(ALICE.kid)
    shapes: Sequence[tuple[str, Callable[[Target], list[bytes]]]] = [
        ("alg-es256", header(lambda: cbor2.dumps({1: -7, 4: kid_bytes, 16: typ}))),
        ("alg-ed25519", header(lambda: cbor2.dumps({1: -19, 4: kid_bytes, 16: typ}))),
        ("no-alg", header(lambda: cbor2.dumps({4: kid_bytes, 16: typ}))),
        ("no-kid", header(lambda: cbor2.dumps({1: -8, 16: typ}))),
        ("no-typ", header(lambda: cbor2.dumps({1: -8, 4: kid_bytes}))),
        ("crit", header(lambda: cbor2.dumps({1: -8, 2: [4], 4: kid_bytes, 16: typ}))),
        ("extra-header", header(lambda: cbor2.dumps({1: -8, 4: kid_bytes, 16: typ, 99: 1}))),
        ("header-order", header(lambda: cbor2.dumps({4: kid_bytes, 1: -8, 16: typ}))),
        ("typ-without-cbor", header(lambda: cbor2.dumps({1: -8, 4: kid_bytes, 16: "application/vnd.holo.binding"}))),
        ("header-empty", header(lambda: b"")),
        ("unprotected", reshaped(lambda parts: [parts[0], {4: kid_bytes}, *parts[2:]])),
        ("detached", reshaped(lambda parts: [parts[0], {}, None, parts[3]])),
        ("three-parts", reshaped(lambda parts: parts[:3])),
        ("five-parts", reshaped(lambda parts: [*parts, b""])),
        ("text-payload", reshaped(lambda parts: [parts[0], {}, "x", parts[3]])),
        ("short-signature", reshaped(lambda parts: [*parts[:3], parts[3][:63]])),
        ("long-signature", reshaped(lambda parts: [*parts[:3], parts[3] + b"\0"])),
        ("no-tag", reshaped(lambda parts: parts, b"")),
        ("tag-98", reshaped(lambda parts: parts, b"\xd8\x62")),
        ("tag-18-long-form", reshaped(lambda parts: parts, b"\xd8\x12")),
        ("trailing-byte", lambda t: [whole(t) + b"\0"]),
        ("truncated", lambda t: [whole(t)[:-1]]),
        ("twice", lambda t: [whole(t) * 2]),
        ("one-byte", lambda t: [b"\xd2"]),
        ("array-indefinite", lambda t: [b"\xd2\x9f" + whole(t)[2:] + b"\xff"]),
    ]
    for name, make in shapes:
        yield Case(f"envelope-{name}", "envelope-invalid", make, proven=False)
    yield Case("type-policy-typ", "type-mismatch", lambda t: signed(payload(t), ALICE, typ="policy"), proven=False)
    yield Case("type-receipt-typ", "type-mismatch", lambda t: signed(payload(t), ALICE, typ="head"), proven=False)
    yield Case("type-policy-whole", "type-mismatch",
               lambda t: signed(codec.encode(policy_value(t)), ROOT, typ="policy"), proven=False)  # fmt: skip


def byte_cases() -> Iterator[Case]:
    """Payloads that are not strict DAG-CBOR, signed by alice as they are."""

    def raw(change: Callable[[Target], bytes]) -> Callable[[Target], list[bytes]]:
        return lambda target: signed(change(target), ALICE)

    def replaced(old: bytes, new: bytes) -> Callable[[Target], bytes]:
        def change(target: Target) -> bytes:
            data = codec.encode(binding_value(target))
            assert data.count(old) == 1, (old, data)
            return data.replace(old, new)

        return change

    rev = codec.encode("rev")
    cases: Sequence[tuple[str, Callable[[Target], bytes]]] = [
        ("key-order", lambda t: cbor2.dumps({k: _tagged(v) for k, v in sorted(binding_value(t).items())})),
        ("long-integer", replaced(rev + b"\x02", rev + b"\x18\x02")),
        ("longer-integer", replaced(rev + b"\x02", rev + b"\x1b" + bytes(7) + b"\x02")),
        ("float", replaced(rev + b"\x02", rev + b"\xfb\x40\x00" + bytes(6))),
        ("half-float", replaced(rev + b"\x02", rev + b"\xf9\x40\x00")),
        ("nan", replaced(rev + b"\x02", rev + b"\xf9\x7e\x00")),
        ("undefined", replaced(rev + b"\x02", rev + b"\xf7")),
        ("simple-value", replaced(rev + b"\x02", rev + b"\xe0")),
        ("big-integer", replaced(rev + b"\x02", rev + b"\x1b\x00\x20" + bytes(6))),
        ("bignum", replaced(rev + b"\x02", rev + b"\xc2\x41\x02")),
        ("date", replaced(rev + b"\x02", rev + b"\xc1\x02")),
        ("regex", replaced(rev + b"\x02", rev + b"\xd8\x23\x62(.")),
        ("key-twice", lambda t: b"\xad" + codec.encode(binding_value(t))[1:] + rev + b"\x02"),
        ("integer-key", lambda t: b"\xad\x00\x00" + codec.encode(binding_value(t))[1:]),
        ("indefinite-map", lambda t: b"\xbf" + codec.encode(binding_value(t))[1:] + b"\xff"),
        ("trailing-byte", lambda t: codec.encode(binding_value(t)) + b"\0"),
        ("truncated", lambda t: codec.encode(binding_value(t))[:-1]),
        ("not-utf-8", replaced(codec.encode("holo"), b"\x64hol\xff")),
        ("surrogate", replaced(codec.encode("holo"), b"\x63\xed\xa0\x80")),
        ("no-map", lambda t: codec.encode([1, 2])),
        ("empty", lambda t: b""),
        ("link-without-zero", replaced(b"\xd8\x2a\x58\x25\x00\x01\x55", b"\xd8\x2a\x58\x25\x01\x01\x55")),
        ("nested-deeply", replaced(codec.encode("meta") + b"\xa0", codec.encode("meta") + b"\x81" * 5000 + b"\x01")),
    ]
    for name, change in cases:
        yield Case(f"bytes-{name}", "cbor-invalid", raw(change), proven=False)
    link = b"\xd8\x2a\x58\x25\x00\x01\x55"
    to_sha256 = raw(replaced(link + b"\x1e\x20", link + b"\x12\x20"))
    yield Case("bytes-link-to-sha256", "cid-unsupported", to_sha256, proven=False)
    yield Case(
        "bytes-too-many", "too-large", raw(lambda t: codec.encode(binding_value(t, extra="x" * 16_400))), proven=False
    )
    yield Case("bytes-far-too-many", "too-large",
               raw(lambda t: codec.encode(binding_value(t, extra="x" * 100_000))), proven=False)  # fmt: skip


def state_cases() -> Iterator[Case]:
    """Well formed and well signed, and out of place: of another time, another policy, another namespace."""

    def make(
        path: str = "/v1/namespaces/acme/bindings", by: SigningKey = ALICE, **changes: Any
    ) -> Callable[[Target], list[bytes]]:
        def made(target: Target) -> list[bytes]:
            values = {name: item(target) if callable(item) else item for name, item in changes.items()}
            return signed(codec.encode(binding_value(target, **values)), by)

        return made

    yield Case("state-prev-empty", "binding-conflict", make(prev=[]))
    yield Case("state-prev-of-nothing", "binding-conflict", make(prev=[Cid.of(RAW, b"never")]))
    yield Case("state-tied-rev", "binding-stale", make(rev=1))
    yield Case("state-huge-rev-beside-the-current", "binding-conflict", make(rev=2**53 - 1, prev=[]))
    yield Case("state-policy-of-another-namespace", "policy-foreign", make(policy=lambda t: t.foreign.id))
    yield Case("state-genesis-of-another-namespace", "genesis-foreign", make(genesis=lambda t: t.foreign.id))
    yield Case("state-another-path", "field-invalid", make(ns="other"), proven=False)
    yield Case("state-unknown-namespace", "genesis-unknown", make(ns="nowhere"), path="/v1/namespaces/nowhere/bindings")
    path = "/v1/namespaces/sealed/bindings"
    sealed: dict[str, Any] = {"ns": "sealed", "genesis": lambda t: t.sealed.id, "prev": [], "rev": 1}
    sealed["policy"] = lambda t: t.sealed.id
    yield Case("state-sealed-out", "binding-sealed-out", make(**sealed), path=path)
    yield Case("state-signer-of-a-later-policy", "signer-not-allowed", make(**sealed, by=key("carol")), path=path)


def policy_cases() -> Iterator[Case]:
    """Policies that are malformed, incomplete, or not what may follow."""
    path = "/v1/namespaces/acme/policy"
    keys = [bytes(kid("root"))]
    mallorys = [bytes(kid("mallory"))]
    signer = {"key": bytes(kid("alice")), "handles": ["*"], "tags": ["*"]}
    wrong: Sequence[tuple[str, Any, str]] = [
        *((name, DROP, "field-missing") for name in ("ns", "seq", "prev", "roots", "recovery", "signers", "thresholds",
                                                     "oidc", "issuers", "ceilings", "seal")),
        ("seq", 2, "policy-seq-invalid"), ("seq", "1", "field-invalid"), ("seq", 0, "policy-invalid"),
        ("prev", None, "policy-invalid"), ("prev", Cid.of(RAW, b"x"), "policy-parent-unknown"),
        ("roots", {}, "field-missing"), ("roots", {"keys": [], "threshold": 1}, "field-invalid"),
        ("roots", {"keys": keys, "threshold": 0}, "field-invalid"),
        ("roots", {"keys": keys, "threshold": 2}, "field-invalid"),
        ("roots", {"keys": keys * 2, "threshold": 1}, "field-invalid"),
        ("roots", {"keys": [b"\xed\x01" + bytes(32)], "threshold": 1}, "key-invalid"),
        ("roots", {"keys": mallorys, "threshold": 1}, "policy-incomplete"),
        ("recovery", {"keys": keys, "threshold": 1}, "policy-invalid"),
        ("recovery", {"keys": mallorys, "threshold": 1}, "policy-incomplete"),
        ("signers", [signer, signer], "policy-invalid"), ("signers", [], "policy-seal-required"),
        ("signers", [{**signer, "handles": []}], "field-invalid"),
        ("signers", [{**signer, "tags": ["a*b"]}], "glob-invalid"), ("signers", [{**signer, "x": 1}], "field-unknown"),
        ("signers", [{**signer, "key": b"x"}], "key-invalid"),
        ("thresholds", [{"tags": ["stable"], "count": 0}], "field-invalid"),
        ("thresholds", [{"tags": ["stable"], "count": 3}], "policy-seal-required"),
        ("thresholds", [{"tags": ["beta"], "count": 2}], "policy-seal-required"),
        ("oidc", [{}], "field-missing"), ("issuers", ["x"], "field-invalid"), ("ceilings", {"a": -1}, "field-invalid"),
        ("ceilings", [], "field-invalid"), ("seal", "x", "field-invalid"), ("extra", 1, "field-unknown"),
    ]  # fmt: skip
    for number, (name, value, code) in enumerate(wrong):
        what = "missing" if value is DROP else f"wrong{number}"
        yield Case(f"policy-{name}-{what}", code, _policy_with(name, value), path=path)
    by_mallory, whole = _policy(MALLORY), _policy(ROOT)
    fresh: dict[str, Any] = {"ns": "fresh", "seq": 0, "prev": None}
    yield Case("policy-by-no-root", "policy-incomplete", by_mallory, path=path)
    elsewhere = "/v1/namespaces/other/policy"
    yield Case("policy-of-another-namespace", "policy-foreign", whole, path=elsewhere, proven=False)
    top = "/v1/namespaces"
    yield Case("policy-as-genesis", "policy-seq-invalid", whole, path=top, proven=False)
    yield Case("genesis-rival", "genesis-foreign", _policy(ROOT, seq=0, prev=None, signers=[]), path=top)
    yield Case("genesis-sealing", "policy-invalid", _policy(ROOT, **fresh, seal=tree.EMPTY), path=top)
    yield Case("genesis-unsigned-by-its-root", "policy-incomplete", _policy(ALICE, **fresh), path=top)


def _policy(by: SigningKey, **changes: Any) -> Callable[[Target], list[bytes]]:
    return lambda target: signed(codec.encode(policy_value(target, **changes)), by, typ="policy")


def _policy_with(name: str, value: Any) -> Callable[[Target], list[bytes]]:
    return lambda target: signed(codec.encode(policy_value(target, **{name: value})), ROOT, typ="policy")


def _parts(data: bytes) -> tuple[bytes, bytes]:
    """(payload, signature) of an envelope."""
    _, _, payload, signature = cbor2.loads(data[1:])
    return payload, signature


def _tagged(value: Any) -> Any:
    if isinstance(value, Cid):
        return cbor2.CBORTag(42, b"\0" + value)
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    return value


CASES = [
    *field_cases(),
    *signature_cases(),
    *envelope_cases(),
    *byte_cases(),
    *state_cases(),
    *policy_cases(),
]
