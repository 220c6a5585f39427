"""Bytes and text of section 1: the codec, CIDs, keys, names, globs, envelopes, and fields of decoded maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cbor2

from holo.core import codec, keys, limits, names
from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.envelope import decode_envelope, encode_envelope, open_record
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.limits import BINDING_BYTES
from holo.core.names import Name
from tests.fuzz.seeds import hexes, of_vectors, texts
from tests.fuzz.target import Target


def text_of(data: bytes) -> str:
    """The text that a target about text takes these bytes for; half a surrogate pair is a text too."""
    return data.decode("utf-8", "surrogateescape")


def _codec(data: bytes) -> None:
    """What is accepted is written again as it was; what cbor2 finds canonical by itself is not refused."""
    try:
        value = codec.decode(data, limits.NODE_BYTES)
    except Rejected:
        assert not _canonical(data), "refused what is canonical"
        raise
    assert _canonical(data)
    assert codec.encode(value) == data
    assert codec.cid_of(value).matches(data)
    assert _depth(value) <= limits.DEPTH_MAX


def _canonical(data: bytes) -> bool:
    """Whether cbor2, whose parser alone the codec shares, reads DAG-CBOR in these bytes and writes them again."""
    try:
        value = cbor2.loads(data, max_depth=limits.DEPTH_MAX + 2)
        return _sayable(value, 0) and cbor2.dumps(_ordered(value)) == data
    except (cbor2.CBORDecodeError, cbor2.CBOREncodeError, UnicodeEncodeError, RecursionError, OverflowError):
        return False


def _sayable(value: Any, depth: int) -> bool:
    if isinstance(value, cbor2.CBORTag):
        link = value.value
        known = type(link) is bytes and len(link) == 37 and link[0] == 0 and link[1] == 1 and link[3:5] == b"\x1e\x20"
        return value.tag == 42 and known and link[2] in (RAW, DAG_CBOR, CBOR)
    if type(value) is int:
        return abs(value) <= limits.INT_MAX
    if type(value) in (list, dict) and depth >= limits.DEPTH_MAX:
        return False
    if type(value) is list:
        return all(_sayable(item, depth + 1) for item in value)
    if type(value) is dict:
        return all(type(key) is str and _sayable(item, depth + 1) for key, item in value.items())
    return value is None or type(value) in (bool, str, bytes)


def _ordered(value: Any) -> Any:
    if type(value) is list:
        return [_ordered(item) for item in value]
    if type(value) is dict:
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: _ordered(value[key]) for key in keys}
    return value


def _depth(value: Any) -> int:
    below = value if type(value) is list else value.values() if type(value) is dict else None
    return 0 if below is None else 1 + max(map(_depth, below), default=0)


def _cid(data: bytes) -> None:
    """The text, and its bytes where the first are no text of one."""
    text = text_of(data)
    try:
        cid = Cid.parse(text)
    except Rejected:
        cid = Cid.from_bytes(data)
        assert cid == data
        assert Cid.parse(str(cid)) == cid
    else:
        assert str(cid) == text
        assert Cid.from_bytes(bytes(cid)) == cid


def _key(data: bytes) -> None:
    text = text_of(data)
    try:
        kid = keys.parse_did(text)
    except Rejected:
        kid = keys.kid_of(data[:34])
        assert keys.parse_did(keys.did_of(kid)) == kid
        keys.verify(kid, b"message", data[34:])
    else:
        assert keys.did_of(kid) == text
        assert keys.kid_of(bytes(kid)) == kid


def _name(data: bytes) -> None:
    text = text_of(data)
    name = Name.parse(text)
    assert Name.parse(str(name)) == name
    assert text == str(name) or name.tag == names.DEFAULT_TAG
    assert len(name.path.encode()) <= limits.TREE_KEY_BYTES


def _globs(data: bytes) -> None:
    """Two globs and a text, one a line: what the outer covers and the inner matches, the outer matches."""
    lines = text_of(data).split("\n")
    if len(lines) != 3:
        raise Rejected("glob-invalid", "not three lines")
    outer, inner, text = lines
    names.check_glob(outer)
    names.check_glob(inner)
    assert names.glob_covers(outer, outer)
    if names.glob_covers(outer, inner) and names.glob_matches(inner, text):
        assert names.glob_matches(outer, text)


def _envelope(data: bytes) -> None:
    """Cut apart as it was put together; and what cbor2 reads as such an envelope is not refused."""
    try:
        typ, kid, payload, signature = decode_envelope(data, BINDING_BYTES)
    except Rejected:
        assert not _is_envelope(data), "refused what is an envelope"
        raise
    assert _is_envelope(data)
    assert encode_envelope(typ, kid, payload, signature) == data
    record = open_record([data], typ, BINDING_BYTES)
    assert record.envelopes() == [data]
    assert codec.encode(record.statement.value) == payload


def _is_envelope(data: bytes) -> bool:
    """Whether cbor2 reads the four parts of an envelope in these bytes, and writes them again."""
    try:
        outer = cbor2.loads(data)
        protected, unprotected, payload, signature = outer.value
        header = cbor2.loads(protected)
        typ = header[16].removeprefix("application/vnd.holo.").removesuffix("+cbor")
        again = {1: -8, 4: keys.kid_of(header[4]), 16: f"application/vnd.holo.{typ}+cbor"}
        bounded = 0 < len(typ) <= 64 and typ.isascii() and len(payload) <= BINDING_BYTES and len(signature) == 64
        parts = [cbor2.dumps(again), {}, bytes(payload), bytes(signature)]
        return bounded and unprotected == {} and cbor2.dumps(cbor2.CBORTag(18, parts)) == data
    except (cbor2.CBORDecodeError, AttributeError, LookupError, TypeError, ValueError, Rejected):
        return False


_READERS: dict[str, tuple[Callable[[Fields], Any], Callable[[Any], bool]]] = {
    "text": (lambda f: f.text("x", 8), lambda v: type(v) is str and len(v.encode()) <= 8),
    "data": (lambda f: f.data("x", 4), lambda v: type(v) is bytes and len(v) == 4),
    "integer": (lambda f: f.integer("x", 1, 9), lambda v: type(v) is int and 1 <= v <= 9),
    "boolean": (lambda f: f.boolean("x"), lambda v: type(v) is bool),
    "choice": (lambda f: f.choice("x", ("a", "b")), lambda v: v in ("a", "b")),
    "link": (lambda f: f.link("x"), lambda v: type(v) is Cid),
    "link-or-null": (lambda f: f.link_or_null("x"), lambda v: v is None or type(v) is Cid),
    "items": (lambda f: f.items("x", 3, least=1), lambda v: type(v) is list and 1 <= len(v) <= 3),
    "mapping": (lambda f: f.mapping("x"), lambda v: type(v) is dict),
    "key": (lambda f: f.key("x"), lambda v: len(v) == 34),
    "keys": (lambda f: f.keys("x", 3), lambda v: len(v) == len(set(v)) <= 3),
    "links": (lambda f: f.links("x", 3), lambda v: len(v) == len(set(v)) <= 3 and all(type(i) is Cid for i in v)),
    "texts": (lambda f: f.texts("x", 3, 8), lambda v: len(v) <= 3 and all(len(i.encode()) <= 8 for i in v)),
}


def _fields(data: bytes) -> None:
    """A map with one field ``x``, and maybe ``y``; every reader refuses it or gives what it promises."""
    fields = Fields(codec.decode(data, 4096), "map", ("x",), ("y",))
    for read, holds in _READERS.values():
        try:
            found = read(fields)
        except Rejected as refusal:
            placed = (refusal.at or "").startswith("map.x")
        else:
            placed = holds(found)
        assert placed


def _cover_seed(given: Any) -> Iterator[bytes]:
    yield f"{given['outer']}\n{given['inner']}\nv1.2".encode()


def _field_seeds() -> Iterable[bytes]:
    cid, kid = Cid.of(DAG_CBOR, b""), b"\xed\x01" + bytes(31) + b"\x02"
    yield codec.encode({"y": 1})
    values: tuple[object, ...] = (
        "a",
        "übergröße",
        b"abcd",
        1,
        10,
        True,
        cid,
        None,
        [1],
        [],
        {},
        kid,
        [kid],
        [cid, cid],
        ["a"] * 4,
    )
    for value in values:
        yield codec.encode({"x": value})
        yield codec.encode({"x": value, "y": [value]})


TARGETS = (
    Target("codec", _codec, lambda: of_vectors("decode", hexes("bytes"), 4096), structured=True),
    Target("cid", _cid, lambda: of_vectors("parse-cid", texts("text")), 256, known=(b"bafyr4i", b"\x01\x71\x1e\x20")),
    Target(
        "key",
        _key,
        lambda: [
            *of_vectors("parse-did", texts("did")),
            *of_vectors("read-kid", hexes("kid")),
            *of_vectors("verify", lambda of: iter([bytes.fromhex(of["kid"] + of["signature"])])),
        ],
        128,
        known=(b"did:key:z6Mk", b"\xed\x01"),
    ),
    Target("name", _name, lambda: of_vectors("parse-name", texts("text")), 512, known=(b"@bafkr4i", b":latest")),
    Target(
        "globs",
        _globs,
        lambda: [b"v*\nv1*\nv1.2", *of_vectors("cover-glob", _cover_seed), *of_vectors("check-glob", texts("glob"))],
        512,
    ),
    Target("envelope", _envelope, lambda: of_vectors("open-record", hexes("envelopes"), 4096), 4096),
    Target("fields", _fields, _field_seeds, 512, structured=True),
)
