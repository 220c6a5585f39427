"""What the node signed: ``/v1/heads`` and ``/v1/receipts``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from holo.core import limits
from holo.core import log as rfc9162
from holo.core.cid import Cid
from holo.core.errors import Rejected
from holo.core.names import Name, check_namespace
from holo.http import patterns, types
from holo.http import query as queries
from holo.http.base64url import encode_base64url
from holo.http.cursor import not_of_this_list
from holo.http.edge import Edge
from holo.http.negotiation import COSE, JSON
from holo.http.paging import start_number, start_of, take_page
from holo.http.parameters import CURSOR, LIMIT, SINCE, text_schema
from holo.http.query import Parameter
from holo.http.route import Answer, Cache, Call, Route
from holo.http.shapes import envelopes, head_item, own_statement, receipt_item
from holo.store.view import View, own_head


def _read_subject(text: str) -> bytes:
    """What receipts are found by: a statement's id, a name, or a namespace."""
    if "/" in text:
        name = Name.parse(text)
        return f"{name.namespace}/{name.path}".encode()
    with contextlib.suppress(Rejected):
        return Cid.parse(text)
    check_namespace(text)
    return text.encode()


TYPE: Final = queries.choice(
    "type",
    ("binding-receipt", "policy-receipt", "denial-receipt", "convergence-receipt", "evidence-receipt"),
    "Only receipts of this type.",
)
SUBJECT: Final = Parameter(
    "subject",
    _read_subject,
    text_schema(patterns.SUBJECT),
    "Only receipts about a statement's CID, a name or a namespace.",
)
SIZE: Final = queries.integer(
    "size", 1, limits.INT_MAX, "The size of the log to prove it in; the newest head's if none."
)


async def list_heads(edge: Edge, call: Call) -> Answer:
    """Heads of the current log in order of seq."""
    with edge.registry.view() as view:
        number, begin = view.log.number, _begin(call)
        found = ((seq.to_bytes(8, "big"), envelope) for seq, envelope in view.records.heads(number, begin))
        items, following = take_page(call, found, lambda envelope: head_item(own_head(envelope), envelope))
    return Answer(types.HeadsPage(items=items, next=following), next=following)


async def list_receipts(edge: Edge, call: Call) -> Answer:
    """Receipts, oldest first: those of the current log, or, about one subject, of every log this node had."""
    wanted, subject = call.query.get(TYPE), call.query.get(SUBJECT)
    with edge.registry.view() as view:
        found = _in_log(view, _begin(call), wanted) if subject is None else _about(view, subject, call)

        def shape(envelope: bytes) -> types.ReceiptItem | None:
            item = receipt_item(envelope)
            return item if wanted in (None, item.type) else None

        items, following = take_page(call, found, shape)
    return Answer(types.ReceiptsPage(items=items, next=following), next=following)


async def get_receipt(edge: Edge, call: Call) -> Answer:
    """One receipt."""
    receipt = Cid.parse(call.path["cid"])
    with edge.registry.view() as view:
        _, _, envelope = view.receipt(receipt)
    if call.accepts == COSE:
        return Answer(envelope, media_type=COSE, etag=str(receipt))
    return Answer(receipt_item(envelope), etag=str(receipt))


async def get_receipt_proof(edge: Edge, call: Call) -> Answer:
    """The RFC 9162 inclusion proof of a receipt in the first ``size`` entries of its log."""
    receipt, size = Cid.parse(call.path["cid"]), call.query.get(SIZE)
    with edge.registry.view() as view:
        number, seq, envelope = view.receipt(receipt)
        asked = size
        if asked is None and number == view.log.number:
            asked = view.log.head_size
            if seq >= asked:
                raise Rejected("request-invalid", "no head covers it yet; ask again, or name a size", at="query.size")
        try:
            index, actual, hashes = view.inclusion(receipt, asked)
        except Rejected as error:
            error.at = "query.size"
            raise
        root = rfc9162.root(actual, lambda level, at: view.records.log_hash(number, level, at))
    body = types.ReceiptProof(
        receipt=str(receipt),
        log=str(own_statement(envelope).value["log"]),
        index=index,
        size=actual,
        hashes=envelopes(hashes),
        root=encode_base64url(root),
    )
    return Answer(body, cache=None if size else Cache.CHECKED)


def _begin(call: Call) -> int:
    """The seq a page begins at."""
    after = start_number(call)
    return call.query.get(SINCE) or 0 if after is None else after + 1


def _in_log(view: View, begin: int, wanted: str | None) -> Iterator[tuple[bytes, bytes]]:
    for seq, envelope in view.records.receipts(view.log.number, begin, type=wanted):
        yield seq.to_bytes(8, "big"), envelope


def _about(view: View, subject: bytes, call: Call) -> Iterator[tuple[bytes, bytes]]:
    """(position, envelope) about a subject in order of log and seq; ``since`` is of the current log."""
    start, since = start_of(call), call.query.get(SINCE)
    log, seq = (view.log.number, since) if since is not None else (0, 0)
    if start:
        log, seq = int.from_bytes(start.position[:4], "big"), int.from_bytes(start.position[4:], "big") + 1
        if len(start.position) != 12 or seq > limits.INT_MAX:
            raise not_of_this_list()
    for number, at, envelope in view.records.receipts_about(subject, log, seq):
        yield number.to_bytes(4, "big") + at.to_bytes(8, "big"), envelope


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/heads",
        handler=list_heads,
        name="listHeads",
        summary="Signed heads of the current log",
        cache=Cache.CHECKED,
        replies={200: types.HeadsPage},
        problems=(400,),
        parameters=(SINCE, LIMIT, CURSOR),
    ),
    Route(
        method="GET",
        path="/v1/receipts",
        handler=list_receipts,
        name="listReceipts",
        summary="Receipts this node signed",
        cache=Cache.CHECKED,
        replies={200: types.ReceiptsPage},
        problems=(400,),
        parameters=(TYPE, SUBJECT, SINCE, LIMIT, CURSOR),
    ),
    Route(
        method="GET",
        path="/v1/receipts/{cid}",
        handler=get_receipt,
        name="getReceipt",
        summary="One receipt",
        cache=Cache.IMMUTABLE,
        replies={200: types.ReceiptItem},
        problems=(400, 404, 406),
        offers=(JSON, COSE),
    ),
    Route(
        method="GET",
        path="/v1/receipts/{cid}/proof",
        handler=get_receipt_proof,
        name="proveReceipt",
        summary="Proof that a receipt is in its log",
        cache=Cache.IMMUTABLE,
        replies={200: types.ReceiptProof},
        problems=(400, 404),
        parameters=(SIZE,),
    ),
)
