"""Pairing: tickets, what a joiner says with one, and what the issuer answers (spec 8.4, 8.5).

A ticket names its issuer and carries a secret that counts once. Whoever has it dials the issuer, which proves to be the
one named, and gives the secret together with a *join*: a statement by the joiner's own key that names issuer and
ticket, so that it is worth nothing anywhere else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from blake3 import blake3

from holo.core import codec
from holo.core.address import check_address
from holo.core.envelope import make_statement, open_envelope, require_type, sign_payload
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.keys import Kid, SigningKey, did_of
from holo.core.limits import (
    ADDRESS_BYTES,
    ADDRESSES_PER_PEER,
    ANSWER_TEXT_BYTES,
    CODE_BYTES,
    ENVELOPE_OVERHEAD_BYTES,
    JOIN_BYTES,
    TICKET_CHARS,
    TICKET_SECRET_BYTES,
)

TICKET_PREFIX: Final = "holoticket1"
JOIN_TYPE: Final = "join"
_TICKET_ID_BYTES: Final = 32
ANSWER_FRAME_BYTES: Final = CODE_BYTES + ANSWER_TEXT_BYTES + 64
REQUEST_BYTES: Final = JOIN_BYTES + ENVELOPE_OVERHEAD_BYTES + 128


@dataclass(frozen=True, slots=True)
class Ticket:
    """An invitation to link with ``issuer``, found at ``addresses``; ``secret`` counts once, until ``expires_ms``."""

    issuer: Kid
    addresses: tuple[str, ...]
    secret: bytes
    expires_ms: int

    @property
    def id(self) -> bytes:
        """What the issuer knows the ticket by."""
        return ticket_id(self.secret)


@dataclass(frozen=True, slots=True)
class Join:
    """What ``joiner`` signed: that it wants to link with ``issuer`` by this ticket, and where it may be found."""

    joiner: Kid
    issuer: Kid
    ticket: bytes
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the end that was dialled says first: come in (``code`` is None), or why not."""

    code: str | None = None
    detail: str = ""


def ticket_id(secret: bytes) -> bytes:
    """The 32 bytes that a ticket with this secret is known by; they tell nothing of the secret."""
    return blake3(secret).digest()


def write_ticket(ticket: Ticket) -> str:
    """The ticket as one word."""
    assert len(ticket.secret) == TICKET_SECRET_BYTES
    value = {
        "v": 1,
        "type": "ticket",
        "issuer": bytes(ticket.issuer),
        "addresses": list(ticket.addresses),
        "secret": ticket.secret,
        "expires_ms": ticket.expires_ms,
    }
    return TICKET_PREFIX + _base32(codec.encode(value))


def parse_ticket(text: str) -> Ticket:
    """The ticket that somebody pasted. Raises ``ticket-invalid`` for whatever is none, or not all of one."""
    if len(text) > TICKET_CHARS or not text.startswith(TICKET_PREFIX):
        raise Rejected("ticket-invalid", f"{len(text)} characters that begin with {text[:20]!r}")
    try:
        value = codec.decode(_of_base32(text[len(TICKET_PREFIX) :]), TICKET_CHARS)
        fields = Fields(value, "ticket", ("v", "type", "issuer", "addresses", "secret", "expires_ms"))
        require_type(value, "ticket", "ticket")
        return Ticket(
            fields.key("issuer"),
            _addresses(fields, least=1),
            fields.data("secret", TICKET_SECRET_BYTES),
            fields.integer("expires_ms"),
        )
    except Rejected as error:
        raise Rejected("ticket-invalid", error.detail) from None


def make_join(key: SigningKey, ticket: Ticket, addresses: Sequence[str]) -> bytes:
    """The joiner's COSE_Sign1 for this ticket."""
    statement = make_statement(
        {
            "v": 1,
            "type": JOIN_TYPE,
            "issuer": bytes(ticket.issuer),
            "ticket": ticket.id,
            "addresses": list(addresses),
        }
    )
    return sign_payload(JOIN_TYPE, statement.bytes, key)


def open_join(envelope: bytes) -> Join:
    """What a joiner signed, verified; whether it was for here says :func:`open_request`."""
    statement, joiner, _ = open_envelope(envelope, JOIN_TYPE, JOIN_BYTES)
    fields = Fields(statement.value, "payload", ("v", "type", "issuer", "ticket", "addresses"))
    return Join(joiner, fields.key("issuer"), fields.data("ticket", _TICKET_ID_BYTES), _addresses(fields))


def make_request(key: SigningKey, ticket: Ticket, addresses: Sequence[str]) -> bytes:
    """The frame by which a joiner asks to be paired: the secret and the join."""
    return codec.encode(
        {"v": 1, "type": "join-request", "secret": ticket.secret, "join": make_join(key, ticket, addresses)}
    )


def open_request(frame: bytes, issuer: Kid) -> Join:
    """Who asks ``issuer`` to be paired, with the id of a ticket whose secret they have.

    Raises ``join-foreign`` for a join that was made for another node or ticket, and what is wrong with its form.
    """
    value = codec.decode(frame, REQUEST_BYTES)
    fields = Fields(value, "request", ("v", "type", "secret", "join"))
    require_type(value, "join-request", "request")
    secret = fields.data("secret", TICKET_SECRET_BYTES)
    envelope = value["join"]
    if type(envelope) is not bytes:
        raise fields.fail("join", "is not a byte string")
    join = open_join(envelope)
    if join.issuer != issuer:
        raise Rejected("join-foreign", f"made for {did_of(join.issuer)}")
    if join.ticket != ticket_id(secret):
        raise Rejected("join-foreign", "made for another ticket")
    if join.joiner == issuer:
        raise Rejected("join-foreign", "a node does not link with itself")
    return join


def write_answer(answer: Answer) -> bytes:
    """The frame of an answer; a detail that is too long is cut."""
    detail = answer.detail.encode()[:ANSWER_TEXT_BYTES].decode("utf-8", "ignore")
    return codec.encode({"v": 1, "type": "answer", "code": answer.code, "detail": detail})


def parse_answer(frame: bytes) -> Answer:
    """What the other end said first."""
    value: Mapping[str, Any] = codec.decode(frame, ANSWER_FRAME_BYTES)
    fields = Fields(value, "answer", ("v", "type", "code", "detail"))
    require_type(value, "answer", "answer")
    code = None if fields.null("code") else fields.text("code", CODE_BYTES)
    return Answer(code, fields.text("detail", ANSWER_TEXT_BYTES))


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().lower().rstrip("=")


def _of_base32(text: str) -> bytes:
    try:
        data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError) as error:
        raise Rejected("ticket-invalid", str(error)) from None
    if _base32(data) != text:
        raise Rejected("ticket-invalid", "not base32 as it is written here")
    return data


def _addresses(fields: Fields, *, least: int = 0) -> tuple[str, ...]:
    found = fields.texts("addresses", ADDRESSES_PER_PEER, ADDRESS_BYTES, least=least)
    for address in found:
        check_address(address)
    return found
