"""Errors carry a listed code and words that are safe to print, log and send."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holo
from holo.core import errors
from holo.core.errors import CODES, HoloError, Misbehaviour, Missing, Overloaded, Rejected, StoreFailed
from holo.core.fields import Fields
from holo.core.limits import ERROR_TEXT_CHARS
from holo.core.names import Name, check_glob, check_namespace

KINDS = {kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HoloError)}


@pytest.mark.parametrize("code", CODES)
def test_every_code_says_what_it_means_and_what_to_do(code: str) -> None:
    status, title, fix = CODES[code]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
    assert 400 <= status < 600
    for words in (title, fix):
        assert words
        assert words.strip() == words
        assert not words.endswith(".")
    error = HoloError(code, "seen", subject="acme/holo", at="payload.v")
    assert (error.http_status, error.title, error.fix) == (status, title, fix)
    assert (error.code, error.detail, error.subject, error.at) == (code, "seen", "acme/holo", "payload.v")
    assert str(error) == f"{code}: seen"
    assert str(HoloError(code)) == code


def test_an_unlisted_code_is_a_programmers_error() -> None:
    with pytest.raises(AssertionError, match="no-such-code"):
        Rejected("no-such-code")


def test_the_kinds_carry_what_they_promise() -> None:
    assert Overloaded("overloaded", retry_after_s=7).retry_after_s == 7
    assert Misbehaviour("equivocation", proof=b"proof").proof == b"proof"
    for kind in (Rejected, Missing, Overloaded, Misbehaviour, StoreFailed):
        assert issubclass(kind, HoloError)
        assert not issubclass(kind, (OSError, ValueError))


def raised_codes(source: str) -> set[str]:
    """The codes written out where an error of ours is made."""
    return {
        call.args[0].value
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and (call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")) in KINDS
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def test_every_code_that_is_raised_is_listed() -> None:
    found = {
        (path.name, code)
        for path in Path(holo.__file__).parent.rglob("*.py")
        for code in raised_codes(path.read_text("utf-8"))
    }
    assert ("codec.py", "cbor-invalid") in found
    assert {(name, code) for name, code in found if code not in CODES} == set()


@given(st.text(max_size=50) | st.text(st.characters(categories=["Cs", "Cc", "Cf"]), max_size=50))
def test_the_words_of_an_error_can_be_printed_and_encoded(text: str) -> None:
    error = Rejected("name-invalid", text, subject=text, at=text)
    for words in (str(error), error.detail, error.subject, error.at):
        assert words is not None
        assert words.isprintable()
        words.encode("utf-8")
    if text.isprintable():
        assert (error.detail, error.subject, error.at) == (text, text, text)


@pytest.mark.parametrize("char", ["a", "\x1b", "\0", "\ud800", "\U0010ffff"])
def test_the_words_of_an_error_are_bounded(char: str) -> None:
    error = Rejected("name-invalid", char * 10**6, subject=char * 10**6, at=char * 10**6)
    for words in (error.detail, error.subject, error.at):
        assert words is not None
        assert len(words) <= ERROR_TEXT_CHARS
    assert len(str(error)) <= ERROR_TEXT_CHARS + 40
    assert error.detail.endswith("…")


def test_hostile_names_do_not_reach_a_terminal_or_fill_a_log() -> None:
    hostile = "\x1b[2J\u202e\ud800" * 10**5
    caught: list[Rejected] = []
    for attempt in (
        lambda: check_namespace(hostile),
        lambda: check_glob(hostile),
        lambda: Name.parse(hostile[:300]),
        lambda: Fields({hostile: 1}, "payload", required=()),
    ):
        with pytest.raises(Rejected) as refused:
            attempt()
        caught.append(refused.value)
    for error in caught:
        for words in (str(error), error.subject or "", error.at or ""):
            assert words.isprintable()
            assert len(words) <= ERROR_TEXT_CHARS + 40
