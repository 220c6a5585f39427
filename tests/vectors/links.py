"""Vectors of section 8: addresses, leaves, tickets, joins, answers and successors."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holo.core import codec
from holo.core.envelope import make_record, make_statement, sign_payload
from holo.core.keys import SigningKey, did_of
from holo.core.limits import ADDRESSES_PER_PEER, LEAF_S_MAX, SUCCESSORS
from holo.core.pairing import (
    TICKET_PREFIX,
    Answer,
    Ticket,
    make_join,
    make_request,
    ticket_id,
    write_answer,
    write_ticket,
)
from holo.core.successor import make_successor
from holo.net.certificate import make_leaf, root_certificate
from tests.records import key, kid
from tests.vectors.form import Group, changed, envelopes, flipped, signed

AT_MS = 1_700_000_000_000
SECRET = bytes(range(16))
TICKET = Ticket(kid("node"), ("holo.example:8421", "[2001:db8::1]:8421"), SECRET, AT_MS)
SMALL_ORDER = b"\xed\x01\x01" + bytes(31)
LONGEST = tuple(f"{'a' * 252}{number}:65535" for number in range(ADDRESSES_PER_PEER))


def groups() -> Iterator[Group]:
    """Every group of this section."""
    yield _addresses()
    yield _leaves()
    yield _tickets()
    yield _joins()
    yield _answers()
    yield _successors()


def _addresses() -> Group:
    group = Group("addresses", "Addresses that can be dialled (8.1).")
    for name, text, host, port in (
        ("name", "holo.example:8421", "holo.example", 8421),
        ("ipv4", "192.0.2.1:1", "192.0.2.1", 1),
        ("ipv6", "[2001:db8::1]:65535", "2001:db8::1", 65535),
        ("longest", f"{'a' * 253}:65535", "a" * 253, 65535),
    ):
        group.valid(name, "parse-address", {"host": host, "port": port}, text=text)
    for name, of, change, text in (
        ("no-port", "name", "without a port", "holo.example"),
        ("empty-port", "name", "without digits", "holo.example:"),
        ("port-0", "name", "port 0", "holo.example:0"),
        ("port-65536", "name", "a port above 65535", "holo.example:65536"),
        ("port-with-zero", "name", "a zero before the port", "holo.example:08421"),
        ("no-host", "name", "without a host", ":8421"),
        ("space", "name", "a space", "holo .example:8421"),
        ("user", "name", "a user", "me@holo.example:8421"),
        ("no-brackets", "ipv6", "without brackets", "2001:db8::1:65535"),
        ("zone", "ipv6", "a zone", "[2001:db8::1%eth0]:65535"),
        ("too-long", "longest", "a character more", f"{'a' * 254}:65535"),
    ):
        group.invalid(name, "parse-address", "address-invalid", of, change, text=text)
    return group


def _leaves() -> Group:
    group = Group(
        "leaves", "Root certificates, made from a seed, and leaves, judged at a time (8.2). Bytes are those of DER."
    )
    node, other = key("node"), key("peer")
    leaf_key = Ed25519PrivateKey.from_private_bytes(key("leaf").seed)
    group.valid("root", "make-root", {"certificate": root_certificate(node).hex()}, seed=node.seed.hex())

    def leaf(root: SigningKey, seconds: int = 86_400) -> bytes:
        return make_leaf(root, leaf_key, 7, AT_MS, AT_MS + seconds * 1000)

    good, result = leaf(node), {"node": did_of(node.kid)}
    for name, data, now_ms in (
        ("first-second", good, AT_MS),
        ("last-second", good, AT_MS + 86_400_000),
        ("longest-life", leaf(node, LEAF_S_MAX), AT_MS),
    ):
        group.valid(name, "open-leaf", result, certificate=data.hex(), now_ms=now_ms)
    # The names have one length: exchanged, they leave the form as it is, and the signature is of another.
    renamed = good.replace(did_of(node.kid).encode(), did_of(other.kid).encode())
    for name, change, data, now_ms in (
        ("too-early", "a second before", good, AT_MS - 1000),
        ("too-late", "a second later", good, AT_MS + 86_401_000),
        ("of-another-node", "another node's name in issuer and URI", renamed, AT_MS),
        ("bit-of-the-signature", "one bit of the signature", flipped(good, -1), AT_MS),
        ("cut", "without its last byte", good[:-1], AT_MS),
        ("trailing-byte", "a byte more", good + b"\0", AT_MS),
        ("root", "a root", root_certificate(node), AT_MS),
    ):
        group.invalid(name, "open-leaf", "leaf-invalid", "first-second", change, certificate=data.hex(), now_ms=now_ms)
    group.invalid(
        "too-long-a-life", "open-leaf", "leaf-invalid", "longest-life", "a second more",
        certificate=leaf(node, LEAF_S_MAX + 1).hex(), now_ms=AT_MS,
    )  # fmt: skip
    return group


def _word(value: Mapping[str, Any]) -> str:
    return TICKET_PREFIX + base64.b32encode(codec.encode(dict(value))).decode().lower().rstrip("=")


def _tickets() -> Group:
    group = Group("tickets", "Tickets as they are pasted (8.5).")
    for name, ticket in (
        ("two-addresses", TICKET),
        ("longest", Ticket(kid("node"), LONGEST, SECRET, 2**53 - 1)),
    ):
        result = {
            "issuer": did_of(ticket.issuer),
            "addresses": list(ticket.addresses),
            "secret": ticket.secret.hex(),
            "expires_ms": ticket.expires_ms,
            "id": ticket_id(ticket.secret).hex(),
        }
        group.valid(name, "parse-ticket", result, text=write_ticket(ticket))
    value = {
        "v": 1, "type": "ticket", "issuer": bytes(TICKET.issuer), "addresses": list(TICKET.addresses),
        "secret": SECRET, "expires_ms": AT_MS,
    }  # fmt: skip
    good = write_ticket(TICKET)
    assert _word(value) == good
    for name, change, text in (
        ("no-prefix", "without its prefix", good.removeprefix(TICKET_PREFIX)),
        ("next-version", "another prefix", good.replace(TICKET_PREFIX, "holoticket2")),
        ("capitals", "in capitals", good.upper()),
        ("cut", "without its last character", good[:-1]),
        ("space", "a space behind it", good + " "),
        ("not-base32", "the digit 1", good[:-1] + "1"),
        ("no-address", "no address", _word(changed(value, ["addresses"], []))),
        ("port-0", "an address with port 0", _word(changed(value, ["addresses", 0], "holo.example:0"))),
        ("nine-addresses", "nine addresses", _word(changed(value, ["addresses"], ["a:1"] * 9))),
        ("short-secret", "a secret of 15 bytes", _word(changed(value, ["secret"], SECRET[1:]))),
        ("small-order-issuer", "an issuer of small order", _word(changed(value, ["issuer"], SMALL_ORDER))),
        ("negative-time", "a time before 1970", _word(changed(value, ["expires_ms"], -1))),
        ("another-field", "a field more", _word({**value, "name": "a"})),
        ("another-version", "v = 2", _word({**value, "v": 2})),
        ("another-type", "the type of a join", _word({**value, "type": "join"})),
    ):
        group.invalid(name, "parse-ticket", "ticket-invalid", "two-addresses", change, text=text)
    group.invalid(
        "too-long", "parse-ticket", "ticket-invalid", "longest", "more characters than a ticket has",
        text=write_ticket(Ticket(kid("node"), LONGEST, SECRET, 2**53 - 1)) + "a" * 1000,
    )  # fmt: skip
    return group


def _request(join: object, secret: bytes = SECRET, **more: object) -> str:
    return codec.encode({"v": 1, "type": "join-request", "secret": secret, "join": join, **more}).hex()


def _joins() -> Group:
    group = Group("joins", "What a joiner sends with a ticket, as its issuer takes it (8.5).")
    joiner, issuer = key("peer"), did_of(TICKET.issuer)
    for name, addresses in (
        ("two-addresses", ("a.example:1", "b.example:2")),
        ("no-address", ()),
        ("longest", LONGEST),
    ):
        result = {"joiner": did_of(joiner.kid), "ticket": TICKET.id.hex(), "addresses": list(addresses)}
        group.valid(name, "open-join", result, frame=make_request(joiner, TICKET, addresses).hex(), issuer=issuer)
    value = {"v": 1, "type": "join", "issuer": bytes(TICKET.issuer), "ticket": TICKET.id, "addresses": []}
    good = make_join(joiner, TICKET, ())

    def join(change: Mapping[str, Any], type: str = "join") -> bytes:
        return sign_payload(type, make_statement({**value, **change}).bytes, joiner)

    assert join({}) == good
    for name, code, change, frame, to in (
        ("for-another-issuer", "join-foreign", "at another node", _request(good), did_of(kid("alice"))),
        ("another-secret", "join-foreign", "another secret", _request(good, bytes(16)), issuer),
        ("another-ticket", "join-foreign", "the id of another ticket", _request(join({"ticket": bytes(32)})), issuer),
        ("by-the-issuer", "join-foreign", "signed by the issuer", _request(make_join(key("node"), TICKET, ())), issuer),
        ("another-kid", "signature-invalid", "another kid", _request(good.replace(joiner.kid, kid("bob"))), issuer),
        ("bit-of-the-signature", "signature-invalid", "one bit of it", _request(flipped(good, -1)), issuer),
        ("another-type", "type-mismatch", "of type head", _request(join({"type": "head"}, "head")), issuer),
        ("another-version", "version-unsupported", "v = 2", _request(join({"v": 2})), issuer),
        ("another-field", "field-unknown", "a field more", _request(join({"name": "a"})), issuer),
        ("nine-addresses", "field-invalid", "nine addresses", _request(join({"addresses": ["a:1"] * 9})), issuer),
        ("port-0", "address-invalid", "an address with port 0", _request(join({"addresses": ["a:0"]})), issuer),
        ("short-ticket", "field-invalid", "31 bytes for a ticket", _request(join({"ticket": bytes(31)})), issuer),
        ("short-secret", "field-invalid", "a secret of 15 bytes", _request(good, SECRET[1:]), issuer),
        ("join-not-bytes", "field-invalid", "a map for the join", _request(value), issuer),
        ("request-field", "field-unknown", "a field more beside the join", _request(good, more=1), issuer),
        ("request-version", "version-unsupported", "v = 2 beside the join", _request(good, v=2), issuer),
        ("request-type", "type-mismatch", "another type beside the join", _request(good, type="join"), issuer),
    ):
        group.invalid(name, "open-join", code, "no-address", change, frame=frame, issuer=to)
    group.invalid(
        "too-large", "open-join", "too-large", "longest", "more bytes than a request has",
        frame=_request(good, more=bytes(5000)), issuer=issuer,
    )  # fmt: skip
    return group


def _answers() -> Group:
    group = Group("link-answers", "What the end that was dialled says first (8.4).")
    for name, answer in (("welcome", Answer()), ("refusal", Answer("peer-unpinned", "not pinned here"))):
        result = {"code": answer.code, "detail": answer.detail}
        group.valid(name, "decode-answer", result, frame=write_answer(answer).hex())
    value = {"v": 1, "type": "answer", "code": None, "detail": ""}
    for name, code, change, made in (
        ("another-version", "version-unsupported", "v = 2", {**value, "v": 2}),
        ("another-type", "type-mismatch", "another type", {**value, "type": "hello"}),
        ("no-detail", "field-missing", "without a detail", changed(value, ["detail"])),
        ("another-field", "field-unknown", "a field more", {**value, "more": 1}),
        ("code-as-number", "field-invalid", "a number for the code", {**value, "code": 1}),
        ("long-code", "field-invalid", "a code of 65 bytes", {**value, "code": "a" * 65}),
        ("long-detail", "field-invalid", "a detail of 257 bytes", {**value, "detail": "a" * 257}),
    ):
        group.invalid(name, "decode-answer", code, "welcome", change, frame=codec.encode(made).hex())
    return group


def _successors() -> Group:
    group = Group("successors", "Statements by which a node's key hands over to the next, and where they lead (8.6).")
    old, new = "node", "node-2"
    statement = make_successor(kid(old), kid(new), AT_MS)
    result = {"id": str(statement.id), "node": did_of(kid(old)), "successor": did_of(kid(new))}
    good = envelopes(make_record(statement, key(old), key(new)))
    group.valid("handover", "open-successor", result, envelopes=good)
    group.valid("another-order", "open-successor", result, envelopes=good[::-1])
    value = dict(statement.value)
    for name, code, change, made in (
        ("predecessor-alone", "successor-invalid", "without the successor", signed(value, old)),
        ("successor-alone", "successor-invalid", "without the predecessor", signed(value, new)),
        ("a-third", "successor-invalid", "a third key", signed(value, old, new, "alice")),
        ("another-successor", "successor-invalid", "signed by another successor", signed(value, old, "alice")),
        ("itself", "successor-invalid", "the key itself", signed({**value, "successor": value["node"]}, old)),
        ("bit", "signature-invalid", "one bit", [good[0], flipped(bytes.fromhex(good[1]), -1).hex()]),
        ("another-version", "version-unsupported", "v = 2", signed({**value, "v": 2}, old, new)),
        ("another-field", "field-unknown", "a field more", signed({**value, "more": 1}, old, new)),
        ("no-time", "field-missing", "without at_ms", signed(changed(value, ["at_ms"]), old, new)),
        ("negative-time", "field-invalid", "a time before 1970", signed({**value, "at_ms": -1}, old, new)),
        ("another-type", "type-mismatch", "of type head", signed({**value, "type": "head"}, old, new)),
    ):
        group.invalid(name, "open-successor", code, "handover", change, envelopes=made)
    a, b, c, d = (did_of(kid(name)) for name in ("alice", "bob", "carol", "dave"))
    for name, known, end in (
        ("none", [], a),
        ("two-steps", [[a, b], [b, c]], c),
        ("two-steps-the-other-way-round", [[b, c], [a, b]], c),
        ("the-same-twice", [[a, b], [a, b]], b),
        ("two-that-contradict", [[a, b], [b, c], [b, d]], b),
        ("of-another-node", [[b, c]], a),
    ):
        group.valid(name, "follow-successors", {"node": end}, node=a, known=known)
    group.invalid(
        "a-circle", "follow-successors", "successor-invalid", "two-steps", "the last names the first",
        node=a, known=[[a, b], [b, c], [c, a]],
    )  # fmt: skip
    chain = [did_of(SigningKey(bytes([number]) * 32).kid) for number in range(SUCCESSORS + 2)]
    pairs = [list(pair) for pair in itertools.pairwise(chain)]
    group.valid("longest", "follow-successors", {"node": chain[-2]}, node=chain[0], known=pairs[:-1])
    group.invalid(
        "too-long", "follow-successors", "successor-invalid", "longest", "one more", node=chain[0], known=pairs
    )
    return group
