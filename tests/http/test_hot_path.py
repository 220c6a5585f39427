"""The hot path against the whole server: the same bytes back, whoever answers and however the bytes came apart."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core.receipt import open_receipt
from tests.http.two_listeners import Pair, two_listeners

REQUESTS = Path(__file__).resolve().parents[2] / "fixtures" / "http" / "requests.json"
HOT = b"GET /v1/resolve?handle=acme/holo:beta HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """Bytes that are sent, and the statuses that go back."""

    name: str
    sent: bytes
    answers: list[int]
    cut: bool
    early: bool


def read_cases() -> list[Case]:
    """The corpus, without what only people read."""
    groups = json.loads(REQUESTS.read_text())["groups"]
    return [
        Case(item["name"], _bytes(item["sent"]), item["answers"], "cut" in item, "early" in item)
        for group in groups
        for item in group["cases"]
    ]


def may_be_hot(case: Case) -> bool:
    """Whether a field more leaves the request as good or bad as it is."""
    line, _, rest = case.sent.partition(b"\r\n")
    if not line.startswith(b"GET /v1/resolve?") or b"\n" in line:
        return False
    return not rest.startswith((b" ", b"\t")) and len(case.sent) < 16_000


def _bytes(parts: Sequence[str | tuple[str, int]]) -> bytes:
    return b"".join((part if isinstance(part, str) else part[0] * part[1]).encode("latin-1") for part in parts)


CASES = read_cases()
MAY_BE_HOT = [case for case in CASES if may_be_hot(case)]
EACH = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Return two listeners over one node."""
    with two_listeners(tmp_path_factory.mktemp("pair")) as found:
        yield found


def statuses(data: bytes, *, bodies: bool = True) -> list[int]:
    """The statuses of the answers that ``data`` is, each of which has to be whole."""
    found = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        status, length = re.match(rb"HTTP/1\.1 (\d{3}) ", head), re.search(rb"\r\ncontent-length: (\d+)", head)
        assert status is not None, head[:100]
        assert end
        found.append(int(status[1]))
        if bodies and length is not None:
            assert len(data) >= int(length[1]), "an answer that breaks off"
            data = data[int(length[1]) :]
    return found


class TestCorpus:
    @EACH
    def test_the_answers_are_the_same_and_what_http_says(self, pair: Pair, case: Case) -> None:
        hot = pair.hot([case.sent])
        assert hot == pair.slow([case.sent])
        assert statuses(hot, bodies=not case.sent.startswith(b"HEAD")) == case.answers

    @EACH
    def test_nothing_depends_on_how_the_bytes_come_apart(self, pair: Pair, case: Case) -> None:
        whole = pair.hot([case.sent])
        cuts = random.Random(case.name)
        ways = [
            re.split(rb"(?<=\n)", case.sent, maxsplit=30),
            apart(case.sent, sorted(cuts.randrange(len(case.sent) + 1) for _ in range(3))),
        ]
        if len(case.sent) < 200:
            ways.append([case.sent[at : at + 1] for at in range(len(case.sent))])
        for packets in ways:
            found = pair.hot(packets)
            assert found == whole or (case.early and found and whole.startswith(found)), packets

    @EACH
    def test_tls_changes_nothing(self, pair: Pair, case: Case) -> None:
        hot = pair.hot([case.sent], tls=True)
        assert hot == pair.slow([case.sent], tls=True)
        expected = case.answers[:-1] if case.cut else case.answers
        assert statuses(hot, bodies=not case.sent.startswith(b"HEAD")) == expected

    def test_the_corpus_is_whole(self) -> None:
        assert len({case.name for case in CASES}) == len(CASES) >= 240


class TestSigned:
    """Answers with a receipt, which are different bytes every time."""

    @pytest.mark.parametrize("tls", [False, True])
    def test_they_say_the_same_under_the_same_fields(self, pair: Pair, tls: bool) -> None:
        request = HOT.replace(b" HTTP", b"&receipt=1 HTTP")
        heads, bodies = [], []
        for answer in (pair.hot([request], tls=tls), pair.slow([request], tls=tls)):
            head, _, body = answer.partition(b"\r\n\r\n")
            heads.append(re.sub(rb"content-length: \d+", b"", head))
            assert int(re.findall(rb"content-length: (\d+)", head)[0]) == len(body)
            bodies.append(json.loads(body))
        assert heads[0] == heads[1]
        assert all(body.pop("receipt_cose") and body.pop("bundle") for body in bodies)
        assert bodies[0] == bodies[1]
        assert heads[0].startswith(b"HTTP/1.1 200 \r\ncache-control: no-store\r\n")

    def test_as_cose_the_receipt_comes_alone(self, pair: Pair) -> None:
        request = HOT.replace(b" HTTP", b"&receipt=1 HTTP").replace(
            b"\r\n\r\n", b"\r\nAccept: application/cose\r\n\r\n"
        )
        answers = [answer.partition(b"\r\n\r\n") for answer in (pair.hot([request]), pair.slow([request]))]
        assert answers[0][0] == answers[1][0]
        assert b"content-type: application/cose\r\n" in answers[0][0]
        receipts = [open_receipt(answer[2]) for answer in answers]
        assert receipts[0].decision == receipts[1].decision  # type: ignore[union-attr]

    @pytest.mark.parametrize("query", ["receipt=0", "receipt=2", "receipt=1&receipt=1", "x=receipt=1", "receipt="])
    def test_what_asks_for_none_gets_none(self, pair: Pair, query: str) -> None:
        request = HOT.replace(b" HTTP", f"&{query} HTTP".encode())
        assert pair.hot([request]) == pair.slow([request])


class TestForcedSlow:
    """The same request, and a field that makes it somebody else's."""

    @pytest.mark.parametrize("case", MAY_BE_HOT, ids=[case.name for case in MAY_BE_HOT])
    def test_a_field_that_says_nothing_changes_nothing(self, pair: Pair, case: Case) -> None:
        line, _, rest = case.sent.partition(b"\r\n")
        assert pair.hot([line + b"\r\nX-Slow: 1\r\n" + rest]) == pair.hot([case.sent])

    def test_what_the_client_has(self, pair: Pair) -> None:
        (etag,) = re.findall(rb"\r\netag: (.*)\r\n", pair.hot([HOT]))
        for value in (etag, b"W/" + etag, b'"x", ' + etag, b'"x",' + etag + b",", etag.upper(), etag[:-2] + b'"'):
            asked = HOT[:-2] + b"If-None-Match: " + value + b"\r\n\r\n"
            hot = pair.hot([asked])
            assert hot == pair.slow([asked])
            assert statuses(hot) == ([304] if value.endswith((etag, etag + b",")) else [200])


def apart(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """``data`` cut at these places."""
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]


SHORT = [case.sent for case in CASES if len(case.sent) < 2000]
TOKENS = [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"\x7f", b"\xe4", b"%", b"&", b"?", b"#", b"//", b"\r\n\r\n",
          b"Host: localhost\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
          b"Accept: */*\r\n", b"Expect: 100-continue\r\n", b"X: y\r\n", b"handle=acme/holo", b"GET /v1/resolve?",
          b" HTTP/1.1\r\n", b"0\r\n\r\n", HOT]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A request of the corpus with a few places cut out, doubled or filled."""
    data = draw(st.sampled_from(SHORT) | st.just(HOT))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        new = draw(st.sampled_from([b"", data[start:end] * 2]) | st.sampled_from(TOKENS) | st.binary(max_size=2))
        data = data[:start] + new + data[end:]
    return data


@given(
    requests=st.lists(mutated() | st.just(HOT), min_size=1, max_size=4),
    cuts=st.lists(st.floats(0, 1), max_size=5),
    tls=st.booleans(),
)
def test_whatever_is_sent(pair: Pair, requests: list[bytes], cuts: list[float], tls: bool) -> None:
    sent = b"".join(requests)
    whole = pair.slow([sent], tls=tls)
    assert pair.hot([sent], tls=tls) == whole
    packets = apart(sent, sorted(int(cut * len(sent)) for cut in cuts))
    found = pair.hot(packets, tls=tls)
    # An answer that goes out before its request's body is there may be the connection's last.
    assert found == whole or (found == pair.slow(packets, tls=tls) and (found or tls) and whole.startswith(found))


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=3))
def test_bytes_of_any_kind(pair: Pair, data: bytes, cuts: list[int]) -> None:
    whole = pair.slow([data])
    assert pair.hot(apart(data, sorted(min(cut, len(data)) for cut in cuts))) == whole
