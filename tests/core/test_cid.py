"""Content identifiers: one kind, one spelling."""

from __future__ import annotations

import base64
from typing import Any

import multiformats
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.errors import Rejected
from tests.core.dag_cbor_values import links

CODECS = [RAW, DAG_CBOR, CBOR]
NAMES = {RAW: "raw", DAG_CBOR: "dag-cbor", CBOR: "cbor"}


def refusal(text: str) -> str:
    with pytest.raises(Rejected) as caught:
        Cid.parse(text)
    assert len(str(caught.value)) < 1000
    return caught.value.code


def bytes_refusal(data: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        Cid.from_bytes(data)
    assert len(str(caught.value)) < 200
    return caught.value.code


@given(st.sampled_from(CODECS), st.binary(max_size=200))
def test_another_library_reads_and_computes_the_same(codec: int, data: bytes) -> None:
    ours = Cid.of(codec, data)
    theirs = multiformats.CID.decode(str(ours))
    assert (theirs.version, theirs.codec.name, theirs.hashfun.name) == (1, NAMES[codec], "blake3")
    assert (theirs.raw_digest, bytes(theirs), str(theirs)) == (ours.digest, bytes(ours), str(ours))
    assert theirs.digest == multiformats.multihash.digest(data, "blake3", size=32)
    assert str(multiformats.CID("base32", 1, NAMES[codec], theirs.digest)) == str(ours)


@given(links)
def test_text_and_bytes_name_the_same_cid(cid: Cid) -> None:
    for read in (Cid.parse(str(cid)), Cid.from_bytes(bytes(cid)), Cid.from_digest(cid.codec, cid.digest)):
        assert type(read) is Cid
        assert read == cid
    assert len(cid) == 36
    assert len(str(cid)) == 59
    assert f"{cid}" == str(cid)
    assert repr(cid) == "Cid(" + str(cid) + ")"
    assert type(cid.digest) is bytes


@given(st.sampled_from(CODECS), st.binary(max_size=50), st.binary(max_size=50))
def test_a_cid_matches_its_data_alone(codec: int, data: bytes, other: bytes) -> None:
    cid = Cid.of(codec, data)
    assert cid.matches(data)
    assert cid.matches(other) == (data == other)
    assert cid.codec == codec


@given(links, st.data())
def test_no_other_spelling_is_read(cid: Cid, data: st.DataObject) -> None:
    text = str(cid)
    at = data.draw(st.integers(0, len(text)))
    char = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz234567=01ABZ-_ \n\0é\ud800") | st.characters())
    for other in (
        text[:at] + char + text[at:],
        text[:at] + char + text[at + 1 :],
        text[:at] + text[at + 1 :],
        text[:at] + text[at : at + 1].upper() + text[at + 1 :],
    ):
        try:
            assert str(Cid.parse(other)) == other
        except Rejected as refused:
            code: str | None = refused.code
        else:
            code = None
        assert code in {None, "cid-invalid", "cid-unsupported"}


def test_the_spare_bits_of_the_last_character_are_zero() -> None:
    """36 bytes are 288 bits and 58 characters hold 290, so four texts decode to the same bytes."""
    text = str(Cid.of(RAW, b""))
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    same = [text[:-1] + char for char in alphabet if b32(text[:-1] + char) == b32(text)]
    assert len(same) == 4
    assert [other for other in same if other != text and refusal(other) != "cid-invalid"] == []


def b32(text: str) -> bytes:
    return base64.b32decode(text[1:].upper() + "======")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "cid-invalid"),
        ("b", "cid-invalid"),
        ("hello", "cid-invalid"),
        ("\ud800", "cid-invalid"),
        ("b" + "a" * 58, "cid-invalid"),
        ("b" + "ß" * 29, "cid-invalid"),
        ("b" + "\u0131" * 58, "cid-invalid"),
        ("b" + "a" * 10**6, "cid-invalid"),
        ("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", "cid-unsupported"),
        ("zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7", "cid-unsupported"),
        ("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", "cid-unsupported"),
        (str(Cid.of(RAW, b"")).upper(), "cid-unsupported"),
        ("f" + Cid.of(RAW, b"").hex(), "cid-unsupported"),
        (" " + str(Cid.of(RAW, b"")), "cid-invalid"),
        (str(Cid.of(RAW, b"")) + "\n", "cid-invalid"),
        (str(Cid.of(RAW, b"")) + "======", "cid-invalid"),
    ],
)
def test_other_texts_are_refused(text: str, code: str) -> None:
    assert refusal(text) == code


@pytest.mark.parametrize(
    ("prefix", "length", "code"),
    [
        ("01551e20", 35, "cid-unsupported"),
        ("01551e20", 37, "cid-unsupported"),
        ("01551220", 36, "cid-unsupported"),
        ("01701e20", 36, "cid-unsupported"),
        ("01551e1f", 36, "cid-unsupported"),
        ("1220", 34, "cid-unsupported"),
        ("01", 1, "cid-invalid"),
        ("", 0, "cid-invalid"),
        ("00551e20", 36, "cid-invalid"),
        ("ff551e20", 36, "cid-invalid"),
        ("02551e20", 10**6, "cid-invalid"),
        ("01551e20", 10**6, "cid-unsupported"),
    ],
)
def test_other_bytes_are_refused(prefix: str, length: int, code: str) -> None:
    assert bytes_refusal(bytes.fromhex(prefix).ljust(length, b"\0")) == code


@given(st.binary(max_size=40))
def test_random_bytes_are_refused(data: bytes) -> None:
    assert bytes_refusal(data) in {"cid-invalid", "cid-unsupported"}


def test_a_cid_sorts_and_hashes_as_its_bytes() -> None:
    cids: list[Any] = [Cid.of(codec, bytes([number])) for codec in CODECS for number in range(20)]
    assert sorted(cids) == [Cid(data) for data in sorted(bytes(cid) for cid in cids)]
    assert {bytes(cid): None for cid in cids}.keys() == set(cids)
