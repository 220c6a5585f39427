"""The patterns in the document and the rules of core are about the same texts."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holo.core.cid import CBOR, DAG_CBOR, RAW, Cid
from holo.core.errors import Rejected
from holo.core.limits import HANDLE_AND_TAG_BYTES
from holo.core.names import Name, check_name, check_namespace
from holo.http import patterns

NEAR = st.text("ab19.-_/:+@A", max_size=12)

RULES: dict[str, Callable[[str], object]] = {
    patterns.NAMESPACE: check_namespace,
    patterns.TAG: lambda text: check_name("a", "a", text),
    patterns.NAME: Name.parse,
    patterns.CID: Cid.parse,
}


def accepted(pattern: str, text: str) -> bool:
    try:
        RULES[pattern](text)
    except Rejected:
        return False
    return True


@pytest.mark.parametrize("pattern", list(RULES), ids=["namespace", "tag", "name", "cid"])
@given(data=st.data())
def test_what_fits_is_accepted(pattern: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(pattern, fullmatch=True).map(lambda found: found.rstrip("\n")))
    tag = text.partition("@")[0].partition(":")[2]
    handle = text.partition("@")[0].partition(":")[0].partition("/")[2]
    too_long = pattern == patterns.NAME and len(handle) + len(tag or "latest") > HANDLE_AND_TAG_BYTES
    assert accepted(pattern, text) != too_long


@pytest.mark.parametrize("pattern", list(RULES), ids=["namespace", "tag", "name", "cid"])
@example("acme/holo:1.0+build")
@example("a-")
@given(text=NEAR)
def test_what_is_accepted_fits(pattern: str, text: str) -> None:
    assert not accepted(pattern, text) or re.search(pattern, text)


@given(st.binary(min_size=32, max_size=32), st.sampled_from([RAW, DAG_CBOR, CBOR]), st.data())
def test_every_cid_fits_and_none_with_a_letter_changed_does_unless_it_is_one(
    digest: bytes, codec: int, data: st.DataObject
) -> None:
    text = str(Cid.from_digest(codec, digest))
    assert re.search(patterns.CID, text)
    at = data.draw(st.integers(0, len(text) - 1))
    other = text[:at] + data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz234567189A")) + text[at + 1 :]
    assert accepted(patterns.CID, other) == (re.search(patterns.CID, other) is not None)


@given(NEAR | st.just(str(Cid.of(RAW, b""))))
def test_a_subject_is_any_of_the_three(text: str) -> None:
    fits = any(re.search(pattern, text) for pattern in (patterns.CID, patterns.NAME, patterns.NAMESPACE))
    assert (re.search(patterns.SUBJECT, text) is not None) == fits
