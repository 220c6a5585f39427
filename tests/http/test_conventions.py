"""The small conventions each by itself: negotiation, cursors, Host, base64url, problems."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.errors import CODES, HoloError, Overloaded, Rejected
from holo.core.keys import SigningKey
from holo.core.limits import WAIT_S_MAX
from holo.http.base64url import decode_base64url, encode_base64url
from holo.http.cursor import Cursor, decode_cursor, encode_cursor
from holo.http.hosts import Hosts
from holo.http.negotiation import COSE, JSON, choose, media_type_of, wait_s_of
from holo.http.problem import problem_of, problem_of_fault, retry_after_s
from holo.http.types import encode_json, view_of


class TestChoose:
    @pytest.mark.parametrize(
        ("accept", "expected"),
        [
            (None, JSON),
            ("", JSON),
            ("*/*", JSON),
            ("application/*", JSON),
            (COSE, COSE),
            ("APPLICATION/COSE", COSE),
            (f"{COSE}, */*", COSE),
            (f"{JSON}, {COSE}", JSON),
            (f"{JSON};q=0.5, {COSE}", COSE),
            (f"{COSE};q=0, */*", JSON),
            (f"{JSON};q=0, */*", COSE),
            ("application/json, application/problem+json", JSON),
            ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
            (f'{COSE}; cose-type="cose-sign1"', COSE),
        ],
    )
    def test_the_best(self, accept: str | None, expected: str) -> None:
        assert choose(accept, (JSON, COSE)) == expected

    @pytest.mark.parametrize("accept", ["text/html", f"{JSON};q=0", "*/*;q=0", "application/cbor", ","])
    def test_nothing_fits(self, accept: str) -> None:
        with pytest.raises(Rejected) as caught:
            choose(accept, (JSON,))
        assert (caught.value.code, caught.value.http_status) == ("not-acceptable", 406)

    @given(st.text(max_size=200))
    def test_any_text(self, accept: str) -> None:
        code = ""
        try:
            chosen = choose(accept, (JSON, COSE))
        except Rejected as error:
            chosen, code = "", error.code
        assert chosen in (JSON, COSE) or code == "not-acceptable"


def test_media_types_lose_their_parameters() -> None:
    assert media_type_of("Application/JSON; charset=utf-8") == JSON
    assert media_type_of(None) == ""


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        ("wait=5", 5),
        ("respond-async, wait=5", 5),
        ('wait="7"', 7),
        ("wait=9999", WAIT_S_MAX),
        ("wait=99999", 0),
        ("wait=-1", 0),
        ("wait", 0),
        ("await=5", 0),
    ],
)
def test_prefer_wait(prefer: str | None, seconds: int) -> None:
    assert wait_s_of(prefer) == seconds


class TestCursor:
    ROOT = Cid.of(DAG_CBOR, b"root")

    @given(st.none() | st.just(ROOT), st.binary(max_size=200))
    def test_there_and_back(self, snapshot: Cid | None, position: bytes) -> None:
        cursor = Cursor(snapshot, position)
        assert decode_cursor(encode_cursor("/v1/namespaces?", cursor), "/v1/namespaces?") == cursor

    def test_bound_to_its_list(self) -> None:
        text = encode_cursor("/v1/namespaces/a/bindings?", Cursor(None, b"x"))
        with pytest.raises(Rejected) as caught:
            decode_cursor(text, "/v1/namespaces/b/bindings?")
        assert caught.value.code == "cursor-invalid"

    @given(st.text(max_size=100))
    def test_rubbish(self, text: str) -> None:
        with pytest.raises(Rejected) as caught:
            decode_cursor(text, "/v1/namespaces?")
        assert caught.value.code == "cursor-invalid"


class TestHosts:
    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:8420", "localhost.", "127.0.0.1", "127.0.0.1:1", "[::1]:8420", "[0:0::1]"]
    )
    def test_loopback_is_always_ours(self, host: str) -> None:
        Hosts("127.0.0.1").check(host)

    @pytest.mark.parametrize(
        "host",
        [
            *(None, "", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", "10.0.0.1:80"),
            *("localhost:x", "a b", "user@localhost", "[::1", "::1", "localhost/", "2130706433", "0x7f.1"),
        ],
    )
    def test_others_are_not(self, host: str | None) -> None:
        with pytest.raises(Rejected) as caught:
            Hosts("127.0.0.1").check(host)
        assert (caught.value.code, caught.value.http_status) == ("host-not-allowed", 421)

    def test_what_is_listened_on_and_named(self) -> None:
        hosts = Hosts("192.0.2.7", ["Holo.Example"])
        hosts.check("192.0.2.7:8420")
        hosts.check("holo.example")
        with pytest.raises(Rejected):
            hosts.check("192.0.2.8")

    def test_every_address(self) -> None:
        for listen in ("0.0.0.0", "::"):
            Hosts(listen).check("198.51.100.4:8420")
            with pytest.raises(Rejected):
                Hosts(listen).check("rebound.example")


class TestBase64url:
    @given(st.binary(max_size=100))
    def test_there_and_back(self, data: bytes) -> None:
        assert decode_base64url(encode_base64url(data), 100, at="x") == data

    @pytest.mark.parametrize("text", ["YQ==", "YQ=", "YR", "Y", "YWI/", "YWI+", "YW I", "YWI\n", "ä", "YQ=a"])
    def test_other_spellings(self, text: str) -> None:
        with pytest.raises(Rejected) as caught:
            decode_base64url(text, 100, at="records[0][1]")
        assert (caught.value.code, caught.value.at) == ("request-invalid", "records[0][1]")

    def test_the_bound_comes_first(self) -> None:
        assert decode_base64url(encode_base64url(bytes(10)), 10, at="x") == bytes(10)
        with pytest.raises(Rejected) as caught:
            decode_base64url(encode_base64url(bytes(11)), 10, at="x")
        assert caught.value.code == "too-large"


class TestProblem:
    @pytest.mark.parametrize("code", sorted(CODES))
    def test_every_code_has_a_whole_problem(self, code: str) -> None:
        problem = msgspec.json.decode(encode_json(problem_of(HoloError(code, "seen", subject="s", at="a"))))
        status, title, fix = CODES[code]
        assert problem == {
            "type": f"/docs#{code}",
            "title": title,
            "status": status,
            "detail": "seen",
            "code": code,
            "subject": "s",
            "at": "a",
            "fix": fix,
            "denial": None,
            "denial_cose": None,
            "current": None,
        }
        assert 400 <= status <= 599

    def test_a_denial(self) -> None:
        error = Rejected("signer-not-allowed", "x")
        error.denial = ("bafy", b"\xff\xfe")
        problem = problem_of(error)
        assert (problem.denial, problem.denial_cose) == ("bafy", "__4")

    def test_a_fault_does_not_leak(self) -> None:
        problem = problem_of_fault(RuntimeError("secret path /home/x"), where="test")
        assert (problem.code, problem.status) == ("internal", 500)
        assert b"secret" not in encode_json(problem)

    def test_when_to_come_back(self) -> None:
        assert retry_after_s(Overloaded("overloaded", retry_after_s=7), 503) == 7
        assert retry_after_s(None, 503) == 1
        assert retry_after_s(Rejected("not-found"), 404) is None


def test_views_are_text() -> None:
    kid = SigningKey(bytes(32)).kid
    cid = Cid.of(RAW, b"")
    assert view_of({"a": [cid, bytes(kid), b"\xff", 1, None, True, "x"]}) == {
        "a": [str(cid), "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp", "_w", 1, None, True, "x"]
    }
