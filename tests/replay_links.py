"""What each operation of the vectors of section 8 means, by holo's public functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from holo.core.address import check_address, split_address
from holo.core.cid import DAG_CBOR, Cid
from holo.core.keys import SigningKey, did_of, parse_did
from holo.core.pairing import open_request, parse_answer, parse_ticket, ticket_id, write_answer, write_ticket
from holo.core.successor import Successor, follow, open_successor
from holo.net.certificate import open_leaf, root_certificate

Json = Any
Operation = Callable[[Mapping[str, Json]], Json]


def _parse_address(of: Mapping[str, Json]) -> Json:
    host, port = split_address(check_address(of["text"]))
    return {"host": host, "port": port}


def _open_leaf(of: Mapping[str, Json]) -> Json:
    return {"node": did_of(open_leaf(bytes.fromhex(of["certificate"]), of["now_ms"]))}


def _parse_ticket(of: Mapping[str, Json]) -> Json:
    ticket = parse_ticket(of["text"])
    assert write_ticket(ticket) == of["text"]
    return {
        "issuer": did_of(ticket.issuer),
        "addresses": list(ticket.addresses),
        "secret": ticket.secret.hex(),
        "expires_ms": ticket.expires_ms,
        "id": ticket.id.hex(),
    }


def _open_join(of: Mapping[str, Json]) -> Json:
    join = open_request(bytes.fromhex(of["frame"]), parse_did(of["issuer"]))
    assert len(join.ticket) == len(ticket_id(b""))
    return {"joiner": did_of(join.joiner), "ticket": join.ticket.hex(), "addresses": list(join.addresses)}


def _decode_answer(of: Mapping[str, Json]) -> Json:
    frame = bytes.fromhex(of["frame"])
    answer = parse_answer(frame)
    assert write_answer(answer) == frame
    return {"code": answer.code, "detail": answer.detail}


def _open_successor(of: Mapping[str, Json]) -> Json:
    found = open_successor([bytes.fromhex(text) for text in of["envelopes"]])
    return {"id": str(found.id), "node": did_of(found.node), "successor": did_of(found.successor)}


def _follow(of: Mapping[str, Json]) -> Json:
    nothing = Cid.of(DAG_CBOR, b"")
    known = [Successor(nothing, parse_did(node), parse_did(successor), 0) for node, successor in of["known"]]
    return {"node": did_of(follow(parse_did(of["node"]), known))}


LINKS: Final[dict[str, Operation]] = {
    "parse-address": _parse_address,
    "make-root": lambda of: {"certificate": root_certificate(SigningKey(bytes.fromhex(of["seed"]))).hex()},
    "open-leaf": _open_leaf,
    "parse-ticket": _parse_ticket,
    "open-join": _open_join,
    "decode-answer": _decode_answer,
    "open-successor": _open_successor,
    "follow-successors": _follow,
}
"""name of an operation → what it does."""
