"""Strict DAG-CBOR: one encoding of a value, everything else refused with a code."""

from __future__ import annotations

import tracemalloc
from typing import Any

import cbor2
import dag_cbor
import multiformats
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import codec
from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Rejected
from holo.core.limits import DEPTH_MAX, INT_MAX, ITEMS_MAX
from tests.core.dag_cbor_values import links, texts, values

LIMIT_BYTES = 1 << 20
LINK = Cid.of(DAG_CBOR, b"")
LINK_HEX = "d82a582500" + LINK.hex()


def refusal(data: bytes, limit_bytes: int = LIMIT_BYTES) -> str:
    with pytest.raises(Rejected) as caught:
        codec.decode(data, limit_bytes)
    return caught.value.code


def same(left: Any, right: Any) -> bool:
    """Equality that tells True from 1 and a link from its bytes."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@given(values)
def test_what_was_encoded_is_decoded(value: Any) -> None:
    assert same(codec.decode(codec.encode(value), LIMIT_BYTES), value)


@given(values, st.data())
def test_mutated_bytes_are_refused_or_are_canonical_for_another_value(value: Any, data: st.DataObject) -> None:
    mutated = bytearray(codec.encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(mutated)))
        match data.draw(st.sampled_from(["insert", "replace", "delete"])):
            case "insert":
                mutated.insert(at, data.draw(st.integers(0, 255)))
            case "replace":
                mutated[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
            case _:
                del mutated[at : at + 1]
    decoded_again_is_the_same(bytes(mutated))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_canonical(data: bytes) -> None:
    decoded_again_is_the_same(data)


def decoded_again_is_the_same(data: bytes) -> None:
    try:
        value = codec.decode(data, LIMIT_BYTES)
    except Rejected as refused:
        code: str | None = refused.code
    else:
        code = None
        assert codec.encode(value) == data
    assert code in {None, "cbor-invalid", "cid-invalid", "cid-unsupported"}


@pytest.mark.parametrize(
    ("name", "hex_data"),
    [
        ("nothing", ""),
        ("trailing byte", "0000"),
        ("integer one byte too long", "1800"),
        ("integer two bytes too long", "190000"),
        ("integer four bytes too long", "1a00000000"),
        ("integer eight bytes too long", "1b0000000000000000"),
        ("text length too long", "780161"),
        ("array length too long", "9800"),
        ("map length too long", "b800"),
        ("tag number too long", "d9002a" + LINK_HEX[4:]),
        ("unsorted keys", "a2616201616100"),
        ("keys in bytewise instead of length-first order", "a262616100616201"),
        ("duplicate keys", "a2616100616101"),
        ("key of integer", "a10000"),
        ("key of bytes", "a1416100"),
        ("key of link", "a1" + LINK_HEX + "00"),
        ("key of array", "a18000"),
        ("key of map", "a1a00000"),
        ("indefinite bytes", "5f4100ff"),
        ("indefinite text", "7f6161ff"),
        ("indefinite array", "9f00ff"),
        ("indefinite map", "bf616100ff"),
        ("lone break", "ff"),
        ("break inside an array", "81ff"),
        ("half float", "f93c00"),
        ("single float", "fa3f800000"),
        ("double float", "fb3ff0000000000000"),
        ("NaN", "f97e00"),
        ("undefined", "f7"),
        ("simple value", "e0"),
        ("two-byte simple value", "f8ff"),
        ("two-byte false", "f814"),
        ("reserved length", "1c"),
        ("2^53", "1b0020000000000000"),
        ("-2^53", "3b001fffffffffffff"),
        ("2^64-1", "1bffffffffffffffff"),
        ("-2^64", "3bffffffffffffffff"),
        ("text of a surrogate", "63eda080"),
        ("text cut inside a character", "61c3"),
        ("overlong text", "62c080"),
        ("link without 0x00", "d82a5824" + LINK.hex()),
        ("link of text", "d82a6100"),
        ("link of a link", "d82a" + LINK_HEX),
        ("link of an integer", "d82a00"),
        ("link of nothing", "d82a40"),
    ],
)
def test_what_is_not_canonical_is_refused(name: str, hex_data: str) -> None:
    assert refusal(bytes.fromhex(hex_data)) == "cbor-invalid"


@pytest.mark.parametrize("number", [*range(42), *range(43, 66), 100, 256, 258, 260, 261, 1004, 43000, 55799, 2**64 - 1])
@pytest.mark.parametrize("content", ["00", "4101", "6161", "80", "820102", "a0", "f6", LINK_HEX, ""])
def test_every_tag_but_42_is_refused_before_its_content_is_read(number: int, content: str) -> None:
    tag = cbor2.dumps(cbor2.CBORTag(number, None))[:-1]
    with pytest.raises(Rejected) as caught:
        codec.decode(tag + bytes.fromhex(content), LIMIT_BYTES)
    assert (caught.value.code, caught.value.detail) == ("cbor-invalid", f"tag {number}; only 42 is allowed")
    with pytest.raises(Rejected) as caught:  # however deep it lies
        codec.decode(bytes.fromhex("a1616181") + tag + bytes.fromhex(content), LIMIT_BYTES)
    assert (caught.value.code, caught.value.detail) == ("cbor-invalid", f"tag {number}; only 42 is allowed")


def test_a_link_of_another_kind_has_its_own_code() -> None:
    sha256 = bytes.fromhex("01711220") + bytes(32)
    assert refusal(b"\x81\xd8\x2a\x58\x25\x00" + sha256) == "cid-unsupported"
    assert refusal(b"\xd8\x2a\x41\x00") == "cid-invalid"


def test_the_size_is_checked_first() -> None:
    data = codec.encode("a" * 100)
    assert codec.decode(data, len(data)) == "a" * 100
    assert refusal(data, len(data) - 1) == "too-large"
    assert refusal(b"\xff" * 101, 100) == "too-large"


def test_depth_is_bounded_alike_both_ways() -> None:
    innermost: Any
    for innermost in (0, LINK, []):
        value = innermost
        for _ in range(DEPTH_MAX - (innermost == [])):
            value = [value] if type(value) is not list else {"": value}
        assert same(codec.decode(codec.encode(value), LIMIT_BYTES), value)
        for deeper in ([value], {"": value}):
            with pytest.raises(Rejected, match="nested deeper"):
                codec.encode(deeper)
        assert refusal(b"\x81" + codec.encode(value)) == "cbor-invalid"
        assert refusal(b"\xa1\x60" + codec.encode(value)) == "cbor-invalid"
    for opening in (b"\x81", b"\xa1\x61a", b"\xd8\x2a", b"\x82\x00", b"\xa1"):
        assert refusal(opening * 100_000) == "cbor-invalid"


def test_a_list_inside_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(Rejected, match="nested deeper"):
        codec.encode(circle)


@pytest.mark.parametrize("major", [0x40, 0x60, 0x80, 0xA0])
@pytest.mark.parametrize("length", ["1affffffff", "1b00000000ffffffff", "1b7fffffffffffffff", "1bffffffffffffffff"])
def test_a_declared_length_takes_no_memory(major: int, length: str) -> None:
    head = bytes.fromhex(length)
    data = bytes([major | head[0]]) + head[1:]
    tracemalloc.start()
    try:
        assert refusal(data) == "cbor-invalid"
        assert refusal(b"\x81" * 60 + data + bytes(1000)) == "cbor-invalid"
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1 << 20


@pytest.mark.parametrize("item", [b"\x80", b"\xf6", b"\x18\x18", b"\x42\x80\x80", b"\xf9\x00\x00"])
def test_more_items_than_allowed_are_refused(item: bytes) -> None:
    data = b"\x9a" + ITEMS_MAX.to_bytes(4, "big") + item * ITEMS_MAX
    assert refusal(data, len(data)) == "too-large"


def test_items_are_counted_before_any_is_built() -> None:
    """An empty list of one byte becomes an object of 56. Here the first item is a tag, at which building would stop."""
    items = b"\xc1" + b"\x80" * ITEMS_MAX
    assert refusal(b"\x82" + items[:100]) == "cbor-invalid"
    data = b"\x9a" + ITEMS_MAX.to_bytes(4, "big") + items
    assert refusal(data, len(data)) == "too-large"


def test_as_many_items_as_allowed_are_decoded() -> None:
    """A string is one item however long; what looks like items inside strings, lengths and numbers is not counted."""
    lengths = [0, 1, 22, 23, 24, 25, 255, 256, 65535, 65536, 2_000_000]
    numbers = [23, 24, 25, 255, 256, 65535, 65536, 2**32 - 1, 2**32, INT_MAX]
    value: list[Any] = [b"\x80" * length for length in lengths] + ["\0" * length for length in lengths]
    value += [*numbers, *[-number for number in numbers], True, False]
    value += [LINK] + [None] * (ITEMS_MAX - 1 - len(value) - 2)  # the list is an item, and a link is two
    data = codec.encode(value)
    assert same(codec.decode(data, len(data)), value)
    assert refusal(codec.encode([*value, 1]), len(data) + 1) == "too-large"


@pytest.mark.parametrize("tail", [b"\xff", b"\x1c", b"\x9f", b"\x5b" + b"\xff" * 8, b"\x1b\x00", b"\xd8\x18"])
def test_large_rubbish_is_refused_like_small(tail: bytes) -> None:
    data = b"\x83\x5a" + (ITEMS_MAX).to_bytes(4, "big") + bytes(ITEMS_MAX) + b"\x00" + tail
    assert refusal(data, len(data)) == "cbor-invalid"


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        INT_MAX + 1,
        -INT_MAX - 1,
        10**5000,
        "\ud800",
        ["a\udfff"],
        {"\ud800": 1},
        {1: 2},
        {b"a": 1},
        {LINK: 1},
        {None: 1},
        bytearray(b"a"),
        memoryview(b"a"),
        {1, 2},
        object(),
        cbor2.undefined,
        cbor2.CBORTag(42, b"\0" + LINK),
        cbor2.CBORSimpleValue(99),
    ],
    ids=lambda value: type(value).__name__ if value == 10**5000 or " at 0x" in str(value) else f"{value!s:.20}",
)
def test_what_has_no_encoding_is_refused(value: Any) -> None:
    with pytest.raises(Rejected) as caught:
        codec.encode(value)
    assert caught.value.code == "cbor-invalid"
    str(caught.value).encode()


def test_tuples_are_lists_and_key_order_of_a_dict_is_nothing() -> None:
    assert codec.encode((1, (2,))) == codec.encode([1, [2]])
    assert codec.encode({"b": 1, "aa": 2, "a": 3}) == codec.encode({"a": 3, "aa": 2, "b": 1})
    assert list(codec.decode(codec.encode({"b": 1, "aa": 2, "a": 3}), 100)) == ["a", "b", "aa"]


def test_the_cid_of_a_value_is_that_of_its_encoding() -> None:
    assert codec.cid_of({"a": LINK}) == Cid.of(DAG_CBOR, codec.encode({"a": LINK}))


# -------------------------------------------------------------------------------- a second implementation


def foreign(value: Any) -> Any:
    """``value`` with links as the other library's."""
    match value:
        case Cid():
            return multiformats.CID.decode(bytes(value))
        case list():
            return [foreign(item) for item in value]
        case dict():
            return {key: foreign(item) for key, item in value.items()}
        case _:
            return value


@given(values)
def test_another_library_writes_and_reads_the_same_bytes(value: Any) -> None:
    data = codec.encode(value)
    assert dag_cbor.encode(foreign(value)) == data
    assert dag_cbor.decode(data) == foreign(value)


@given(st.dictionaries(texts, st.integers(0, 3) | links, max_size=40))
def test_another_library_agrees_about_the_order_of_keys(value: dict[str, Any]) -> None:
    assert dag_cbor.encode(foreign(value)) == codec.encode(value)
