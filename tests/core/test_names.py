"""Names and globs: ASCII, bounded, one spelling."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core.errors import Rejected
from holo.core.limits import GLOB_BYTES, HANDLE_AND_TAG_BYTES, HANDLE_SEGMENTS, NAMESPACE_BYTES, TAG_BYTES
from holo.core.names import Name, check_glob, check_name, check_namespace, glob_covers, glob_matches
from tests.core.dag_cbor_values import links

FIRST, MIDDLE = "abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz0123456789._-"
TAG_FIRST = FIRST + FIRST[:26].upper() + "_"

segments = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,6}[a-z0-9])?", fullmatch=True)
handles = st.lists(segments, min_size=1, max_size=HANDLE_SEGMENTS).map("/".join)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,8}", fullmatch=True)
names = st.builds(Name, segments, handles, tags, st.none() | links)


def code_of(text: str) -> str | None:
    """The code with which a name is refused; None where it is read."""
    try:
        Name.parse(text)
    except Rejected as refused:
        return refused.code
    return None


def spelled_out(text: str) -> str:
    """``text`` with the default tag where it has none."""
    name, at, pinned = text.partition("@")
    return name + ("" if ":" in name else ":latest") + at + pinned


@given(names)
def test_a_written_name_is_read_as_itself(name: Name) -> None:
    assert Name.parse(str(name)) == name
    assert name.path == f"{name.handle}/{name.tag}"
    handle, _, tag = name.path.rpartition("/")
    assert (handle, tag) == (name.handle, name.tag)


@given(segments, handles)
def test_the_tag_is_latest_unless_said(namespace: str, handle: str) -> None:
    name = Name.parse(f"{namespace}/{handle}")
    assert name == Name.parse(f"{namespace}/{handle}:latest") == Name(namespace, handle, "latest", None)
    assert str(name) == f"{namespace}/{handle}:latest"


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    if code_of(text) is None:
        assert str(Name.parse(text)) == spelled_out(text)


@given(names, st.data())
def test_what_is_read_writes_what_was_read(name: Name, data: st.DataObject) -> None:
    text = str(name)
    at = data.draw(st.integers(0, len(text)))
    char = data.draw(st.sampled_from("aZ0._-+/:@* \n\0é\ud800") | st.characters())
    for other in (text[:at] + char + text[at:], text[:at] + char + text[at + 1 :], text[:at] + text[at + 1 :]):
        code = code_of(other)
        assert code in {None, "name-invalid", "cid-invalid", "cid-unsupported"}
        if code is None:
            assert str(Name.parse(other)) == spelled_out(other)


@pytest.mark.parametrize("char", [chr(code) for code in range(128)])
def test_each_ascii_character_is_allowed_exactly_where_it_should_be(char: str) -> None:
    def allowed(namespace: str = "ns", handle: str = "h", tag: str = "t") -> bool:
        try:
            check_name(namespace, handle, tag)
        except Rejected as refused:
            return refused.code != "name-invalid"
        return True

    for first, middle in ((char, char in FIRST), (f"a{char}a", char in MIDDLE), (f"a{char}", char in FIRST)):
        assert allowed(namespace=first) == middle
        assert allowed(handle=first) == (middle or (char == "/" and first == "a/a"))
    assert allowed(tag=char) == (char in TAG_FIRST)
    for tag in (f"a{char}", f"a{char}a"):
        assert allowed(tag=tag) == (char in TAG_FIRST + ".+-")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "acme",
        "acme:stable",
        "acme/",
        "/holo",
        "acme//holo",
        "acme/holo/",
        "acme/holo:",
        "acme/holo:a:b",
        "acme/holo:a/b",
        "acme/Holo",
        "Acme/holo",
        "acme/-holo",
        "acme/holo.",
        "acme/.",
        "acme/..",
        "acme/a/../b",
        "acme/holo\n",
        "acme/holo:stable\n",
        "\nacme/holo",
        " acme/holo",
        "acme/ho lo",
        "acme/hölo",
        "acme/holo:é",
        "acme/holo:.a",
        "acme/holo:+a",
        "acme/holo:-a",
        "\u0430cme/holo",  # a Cyrillic letter that looks like one of ours
        "acme/h\u0661",
        "\ud800/\ud800",
        "a/b/c/d/e/f",
        "*/*",
    ],
)
def test_other_texts_are_no_names(text: str) -> None:
    assert code_of(text) == "name-invalid"


@pytest.mark.parametrize("pinned", ["", "b", "latest", "@", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"])
def test_a_pin_is_a_cid(pinned: str) -> None:
    assert code_of(f"acme/holo:stable@{pinned}") in {"cid-invalid", "cid-unsupported"}


def test_lengths_end_where_they_should() -> None:
    longest = "a" * NAMESPACE_BYTES
    check_namespace(longest)
    check_name("a", "/".join("abcd"), "t")
    check_name("a", longest, "t" * TAG_BYTES)
    for namespace, handle, tag in [
        (longest + "a", "h", "t"),
        ("a", longest + "a", "t"),
        ("a", "/".join("abcde"), "t"),
        ("a", "h", "t" * (TAG_BYTES + 1)),
    ]:
        with pytest.raises(Rejected) as caught:
            check_name(namespace, handle, tag)
        assert caught.value.code == "name-invalid"
    handle = "/".join([longest] * 3)  # 194 bytes
    fits = HANDLE_AND_TAG_BYTES - len(handle)
    check_name("a", handle, "t" * fits)
    with pytest.raises(Rejected, match="256 bytes together"):
        check_name("a", handle, "t" * (fits + 1))


@given(links)
def test_the_longest_name_is_read(cid: object) -> None:
    text = f"{'n' * NAMESPACE_BYTES}/{'/'.join(['h' * 64] * 3)}:{'t' * 61}@{cid}"
    assert str(Name.parse(text)) == text
    assert code_of(text + "a") == "name-invalid"


@pytest.mark.parametrize("text", ["a" * 10**6, "a/" * 10**6, "a." * 10**6, "." * 10**6, "a" + "-" * 10**6 + "!"])
def test_an_endless_text_is_refused_at_once(text: str) -> None:
    began = time.perf_counter()
    assert code_of(text) == "name-invalid"
    for check in (check_namespace, lambda text: check_name("a", text, "t"), lambda text: check_name("a", "h", text)):
        with pytest.raises(Rejected):
            check(text)
    with pytest.raises(Rejected):
        check_glob(text)
    assert time.perf_counter() - began < 5  # quadratic matching would take hours


# -------------------------------------------------------------------------------------------------- globs


@pytest.mark.parametrize("glob", ["*", "a", "a*", "holo/*", "stable", "v1.*", "A_b+c-1*", "-*", "/*", "a" * GLOB_BYTES])
def test_globs(glob: str) -> None:
    check_glob(glob)


@pytest.mark.parametrize(
    "glob", ["", "**", "*a", "a*b", "a**", "?", "[a]", "a\n", "é*", " ", "a:b", "a" * (GLOB_BYTES + 1)]
)
def test_other_texts_are_no_globs(glob: str) -> None:
    with pytest.raises(Rejected) as caught:
        check_glob(glob)
    assert caught.value.code == "glob-invalid"


ALPHABET = "ab/"
TEXTS = ["".join(chars) for length in range(5) for chars in itertools.product(ALPHABET, repeat=length)]
GLOBS = [text + star for text in TEXTS if len(text) < 4 for star in ("", "*") if text + star]


def test_matching_is_a_prefix_or_equality() -> None:
    for glob in GLOBS:
        check_glob(glob)
        matched = {text for text in TEXTS if glob_matches(glob, text)}
        if glob.endswith("*"):
            assert matched == {text for text in TEXTS if text[: len(glob) - 1] == glob[:-1]}
        else:
            assert matched == {glob}


def test_covering_is_containing_every_match() -> None:
    """Judged over all texts one character longer than any glob, so that every difference shows."""
    matched = {glob: frozenset(text for text in TEXTS if glob_matches(glob, text)) for glob in GLOBS}
    for outer in GLOBS:
        for inner in GLOBS:
            assert glob_covers(outer, inner) == (matched[inner] <= matched[outer]), (outer, inner)
