"""Query strings: decoded once, strictly, with a plus that stays a plus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core.errors import Rejected
from holo.core.limits import LIST_LIMIT_MAX
from holo.core.names import Name
from holo.http import parameters
from holo.http.query import Parameter, decode_query, encode_query

CID = "bafyr4ifkkvjkwgm5ehokzbodvhyf3cul6pv5yp73ftsyhgkhwxzbxmmk4i"
TEXT: Parameter[str] = Parameter("q", lambda text: text, {"type": "string"}, "Any text.")


def refusal(raw: bytes, *declared: Parameter[Any]) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode_query(raw, declared)
    return caught.value


def test_a_plus_is_a_plus() -> None:
    query = decode_query(b"handle=acme/holo:1.0+build.7", [parameters.NAME])
    assert parameters.selected_name(query) == Name("acme", "holo", "1.0+build.7")
    assert decode_query(b"q=a+b%2Bc%20d", [TEXT]).get(TEXT) == "a+b+c d"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"q=%", "request-invalid"),
        (b"q=%2", "request-invalid"),
        (b"q=%zz", "request-invalid"),
        (b"q=%+1", "request-invalid"),
        (b"q=%ff", "request-invalid"),
        (b"q=\xff", "request-invalid"),
        (b"q=%c0%af", "request-invalid"),
        (b"q", "request-invalid"),
        (b"q=1&q=1", "parameter-repeated"),
        (b"q=1&%71=1", "parameter-repeated"),
        (b"Q=1", "parameter-unknown"),
        (b"q=1&", "parameter-unknown"),
        (b"&q=1", "parameter-unknown"),
        (b"q=1&&", "parameter-unknown"),
        (b"q=1;x=2&y=3", "parameter-unknown"),
    ],
)
def test_what_is_refused(raw: bytes, code: str) -> None:
    assert refusal(raw, TEXT).code == code


def test_a_required_parameter_is_named() -> None:
    error = refusal(b"", parameters.NAME)
    assert (error.code, error.at) == ("request-invalid", "query.handle")


@given(st.dictionaries(st.sampled_from("abcdef"), st.text(st.characters(exclude_categories=["Cs"]))))
def test_what_is_encoded_is_decoded(values: Mapping[str, str]) -> None:
    declared = [Parameter(name, lambda text: text, {}, "") for name in "abcdef"]
    query = decode_query(encode_query(values).encode("ascii"), declared)
    assert {p.name: query.get(p) for p in declared if query.get(p) is not None} == values


@given(st.binary(max_size=64))
def test_no_bytes_break_it(raw: bytes) -> None:
    refused = None
    try:
        decode_query(raw, [TEXT, parameters.LIMIT, parameters.HANDLE])
    except Rejected as error:
        refused = error
    assert refused is None or (refused.http_status == 400 and refused.at is not None)


@pytest.mark.parametrize("text", ["0", "1001", "-1", "+1", "01", "1e3", "", "٣", " 1", "99999999999999999999"])
def test_numbers_out_of_bounds_or_oddly_written(text: str) -> None:
    assert refusal(encode_query({"limit": text}).encode(), parameters.LIMIT).code == "request-invalid"


def test_numbers_within_bounds() -> None:
    for number in (1, LIST_LIMIT_MAX):
        query = decode_query(b"limit=%d" % number, [parameters.LIMIT])
        assert parameters.page_limit(query) == number
    assert parameters.page_limit(decode_query(b"", [parameters.LIMIT])) == 100


class TestSelectedName:
    DECLARED = (parameters.NAME, parameters.TAG)

    @pytest.mark.parametrize(
        ("raw", "name"),
        [
            ("handle=acme/holo", Name("acme", "holo", "latest")),
            ("handle=acme/a/b/c/d:x", Name("acme", "a/b/c/d", "x")),
            ("handle=acme%2Fholo%3Ax", Name("acme", "holo", "x")),
            ("handle=acme/holo&tag=beta", Name("acme", "holo", "beta")),
            ("tag=beta&handle=acme/holo:beta", Name("acme", "holo", "beta")),
        ],
    )
    def test_together(self, raw: str, name: Name) -> None:
        assert parameters.selected_name(decode_query(raw.encode(), self.DECLARED)) == name

    def test_a_pin(self) -> None:
        name = parameters.selected_name(decode_query(f"handle=acme/holo@{CID}&tag=x".encode(), self.DECLARED))
        assert (name.tag, str(name.cid)) == ("x", CID)

    @pytest.mark.parametrize("raw", [b"handle=acme/holo:x&tag=y", b"handle=acme/holo:latest&tag=y"])
    def test_a_contradicting_tag(self, raw: bytes) -> None:
        query = decode_query(raw, self.DECLARED)
        with pytest.raises(Rejected) as caught:
            parameters.selected_name(query)
        assert caught.value.code == "parameter-repeated"

    @pytest.mark.parametrize(
        "raw",
        [b"handle=holo", b"handle=Acme/holo", b"handle=acme/holo:", b"handle=acme/a/b/c/d/e", b"handle=acme/holo:a b"],
    )
    def test_no_names(self, raw: bytes) -> None:
        assert refusal(raw, *self.DECLARED).code in ("name-invalid", "request-invalid")

    def test_a_foreign_pin(self) -> None:
        assert refusal(b"handle=acme/holo@Qm123", parameters.NAME).code == "cid-unsupported"


class TestSelection:
    DECLARED = (parameters.HANDLE, parameters.TAG)

    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            (b"", (None, None)),
            (b"tag=stable", (None, "stable")),
            (b"handle=acme/holo", ("holo", None)),
            (b"handle=acme/holo:x", ("holo", "x")),
            (b"handle=acme/holo&tag=x", ("holo", "x")),
        ],
    )
    def test_narrowed(self, raw: bytes, expected: tuple[str | None, str | None]) -> None:
        assert parameters.selection(decode_query(raw, self.DECLARED), "acme") == expected

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (b"handle=other/holo", "parameter-repeated"),
            (b"handle=acme/holo:x&tag=y", "parameter-repeated"),
            (f"handle=acme/holo@{CID}".encode(), "request-invalid"),
        ],
    )
    def test_contradictions(self, raw: bytes, code: str) -> None:
        query = decode_query(raw, self.DECLARED)
        with pytest.raises(Rejected) as caught:
            parameters.selection(query, "acme")
        assert caught.value.code == code
