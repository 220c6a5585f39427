"""Anything public by its id: ``/v1/objects/{cid}``."""

from __future__ import annotations

from typing import Any, Final

from holo.core import codec, limits
from holo.core.cid import Cid
from holo.core.envelope import decode_envelope
from holo.core.errors import Missing
from holo.http import types
from holo.http.base64url import encode_base64url
from holo.http.edge import Edge
from holo.http.negotiation import COSE, DAG_CBOR, JSON
from holo.http.resources.namespaces import only_envelope
from holo.http.route import Answer, Cache, Call, Route
from holo.store.view import View

# What other signatures come in later: as JSON and DAG-CBOR the object is only what its CID names.
_ENDORSED: Final = ("binding", "policy")


async def get_object(edge: Edge, call: Call) -> Answer:
    """A statement, policy, receipt, head, log-genesis, catalog, namespace state or tree node.

    As DAG-CBOR its very bytes; as COSE the one envelope of a record that has one signature.
    """
    cid = Cid.parse(call.path["cid"])
    with edge.registry.view() as view:
        data = _public(view, cid)
        value: Any = codec.decode(data, max(limits.POLICY_BYTES, limits.NODE_BYTES))
        kind = value.get("type") if isinstance(value, dict) else None
        if call.accepts == COSE:
            signed = view.endorsed(cid, kind) if kind in _ENDORSED else []
            return Answer(only_envelope(signed), media_type=COSE, cache=Cache.CHECKED)
    if call.accepts == DAG_CBOR:
        return Answer(data, media_type=DAG_CBOR, etag=f"{cid}-cbor")
    return Answer(
        types.ObjectReply(
            cid=str(cid),
            type=kind,
            size=len(data),
            view=types.view_of(value) if isinstance(value, dict) else None,
            data=encode_base64url(data),
        )
    )


def _public(view: View, cid: Cid) -> bytes:
    """An object, or the payload of the genesis of one of this node's logs, of which there are few."""
    try:
        return view.object(cid)
    except Missing:
        for number in range(view.log.number, -1, -1):
            envelope = view.records.log_genesis(number)
            payload = b"" if envelope is None else decode_envelope(envelope, limits.HEAD_BYTES)[2]
            if cid.matches(payload):
                return payload
        raise


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/objects/{cid}",
        handler=get_object,
        name="getObject",
        summary="A public object by its CID",
        cache=Cache.IMMUTABLE,
        replies={200: types.ObjectReply},
        problems=(400, 404, 406),
        offers=(JSON, DAG_CBOR, COSE),
    ),
)
