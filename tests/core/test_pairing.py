"""Tickets and joins: one word in and out, and nothing that was made for another node, ticket or key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import codec
from holo.core.envelope import make_statement, sign_payload
from holo.core.errors import Rejected
from holo.core.keys import SigningKey
from holo.core.limits import ADDRESSES_PER_PEER, ANSWER_TEXT_BYTES, TICKET_CHARS
from holo.core.pairing import (
    ANSWER_FRAME_BYTES,
    JOIN_TYPE,
    REQUEST_BYTES,
    TICKET_PREFIX,
    Answer,
    Ticket,
    make_join,
    make_request,
    open_join,
    open_request,
    parse_answer,
    parse_ticket,
    ticket_id,
    write_answer,
    write_ticket,
)

ISSUER, JOINER = SigningKey(b"i" * 32), SigningKey(b"j" * 32)
TICKET = Ticket(ISSUER.kid, ("holo.example:8421",), b"0123456789abcdef", 1_700_000_000_000)
LONGEST = tuple(f"{'a' * 252}{n}:65535" for n in range(ADDRESSES_PER_PEER))


def refused(call: object, *arguments: object) -> str:
    with pytest.raises(Rejected) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


@given(
    st.binary(min_size=16, max_size=16),
    st.lists(st.sampled_from(("a:1", "[::1]:2", "b.example:3")), min_size=1, max_size=8),
    st.integers(0, 2**53 - 1),
)
def test_a_ticket_is_a_word_that_reads_back(secret: bytes, addresses: list[str], expires_ms: int) -> None:
    ticket = Ticket(ISSUER.kid, tuple(addresses), secret, expires_ms)
    text = write_ticket(ticket)
    assert text.isalnum()
    assert parse_ticket(text) == ticket


def test_the_longest_ticket_and_request_fit_their_bounds() -> None:
    ticket = Ticket(ISSUER.kid, LONGEST, bytes(16), 2**53 - 1)
    assert len(write_ticket(ticket)) <= TICKET_CHARS
    assert parse_ticket(write_ticket(ticket)) == ticket
    frame = make_request(JOINER, ticket, LONGEST)
    assert len(frame) <= REQUEST_BYTES
    assert open_request(frame, ISSUER.kid).addresses == LONGEST


def code_or_ticket(text: str) -> str:
    try:
        return "the same" if parse_ticket(text) == TICKET else "another"
    except Rejected as error:
        return error.code


def test_every_character_of_a_ticket_counts() -> None:
    text = write_ticket(TICKET)
    others = {text[:at] + ("a" if text[at] != "a" else "b") + text[at + 1 :] for at in range(len(text))}
    for other in others | {text[:-1], text + "a", text.upper(), f" {text}", text[len(TICKET_PREFIX) :]}:
        assert code_or_ticket(other) in ("ticket-invalid", "another")


@pytest.mark.parametrize("text", ["", TICKET_PREFIX, TICKET_PREFIX + "1", TICKET_PREFIX + "ä", "x" * 10**6])
def test_what_is_no_ticket(text: str) -> None:
    assert refused(parse_ticket, text) == "ticket-invalid"


def test_a_join_is_for_one_issuer_and_one_ticket() -> None:
    frame = make_request(JOINER, TICKET, ("here.example:1",))
    join = open_request(frame, ISSUER.kid)
    assert (join.joiner, join.issuer, join.ticket, join.addresses) == (
        JOINER.kid,
        ISSUER.kid,
        ticket_id(TICKET.secret),
        ("here.example:1",),
    )
    assert refused(open_request, frame, JOINER.kid) == "join-foreign"  # replayed to another node


def request_with(secret: bytes, join: bytes) -> bytes:
    return codec.encode({"v": 1, "type": "join-request", "secret": secret, "join": join})


def test_a_join_does_not_go_with_another_secret_or_key() -> None:
    join = make_join(JOINER, TICKET, ())
    assert open_request(request_with(TICKET.secret, join), ISSUER.kid).joiner == JOINER.kid
    assert refused(open_request, request_with(bytes(16), join), ISSUER.kid) == "join-foreign"
    forged = join.replace(bytes(JOINER.kid), bytes(SigningKey(b"m" * 32).kid))
    assert refused(open_request, request_with(TICKET.secret, forged), ISSUER.kid) == "signature-invalid"
    own = make_join(ISSUER, TICKET, ())
    assert refused(open_request, request_with(TICKET.secret, own), ISSUER.kid) == "join-foreign"
    other = make_statement({"v": 1, "type": "head", "issuer": bytes(ISSUER.kid), "ticket": TICKET.id, "addresses": []})
    signed = sign_payload("head", other.bytes, JOINER)
    assert refused(open_request, request_with(TICKET.secret, signed), ISSUER.kid) == "type-mismatch"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"addresses": ["nowhere"]}, "address-invalid"),
        ({"addresses": ["a:1"] * (ADDRESSES_PER_PEER + 1)}, "field-invalid"),
        ({"ticket": bytes(31)}, "field-invalid"),
        ({"issuer": bytes(34)}, "key-invalid"),
        ({"more": 1}, "field-unknown"),
    ],
)
def test_a_join_of_another_form(change: dict[str, object], code: str) -> None:
    value = {"v": 1, "type": JOIN_TYPE, "issuer": bytes(ISSUER.kid), "ticket": TICKET.id, "addresses": [], **change}
    assert refused(open_join, sign_payload(JOIN_TYPE, make_statement(value).bytes, JOINER)) == code


@pytest.mark.parametrize("answer", [Answer(), Answer("peer-unpinned", "no"), Answer("x", "ä" * 200)])
def test_an_answer_reads_back_cut_to_its_bound(answer: Answer) -> None:
    frame = write_answer(answer)
    assert len(frame) <= ANSWER_FRAME_BYTES
    found = parse_answer(frame)
    assert found.code == answer.code
    assert answer.detail.startswith(found.detail)
    assert len(found.detail.encode()) <= ANSWER_TEXT_BYTES
