"""Namespaces and their policies: ``/v1/namespaces`` and ``/v1/namespaces/{ns}/policy``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from holo.core import codec, limits, names
from holo.core.cid import Cid
from holo.core.envelope import decode_envelope
from holo.core.errors import HoloError, Rejected
from holo.core.policy import Policy
from holo.core.state import decode_namespace_state
from holo.http import types
from holo.http.base64url import decode_base64url, encode_base64url
from holo.http.edge import Edge
from holo.http.negotiation import COSE, JSON
from holo.http.paging import start_text, take_page
from holo.http.parameters import CURSOR, LIMIT, POLICY, PREFIX, SEQ
from holo.http.route import Answer, Cache, Call, Route
from holo.http.shapes import envelopes, text
from holo.roles.registry import Incoming
from holo.store.layout import NamespaceRow
from holo.store.ledger import Outcome
from holo.store.view import View

_ENVELOPE_BYTES: Final = limits.POLICY_BYTES + limits.ENVELOPE_OVERHEAD_BYTES


async def list_namespaces(edge: Edge, call: Call) -> Answer:
    """Hosted namespaces in order of name. ``names`` counts those in the newest head's catalog."""
    prefix, after = call.query.get(PREFIX) or "", start_text(call)
    with edge.registry.view() as view:

        def found() -> Iterator[tuple[bytes, NamespaceRow]]:
            for row in view.records.namespaces(prefix, after):
                yield row.ns.encode(), row

        items, following = take_page(call, found(), lambda row: _namespace_item(view, row))
    return Answer(types.NamespacesPage(items=items, next=following), next=following)


async def get_policy(edge: Edge, call: Call) -> Answer:
    """The policy in effect, the one with ``seq`` in the chain in effect, or any known one by its id."""
    ns = call.path["ns"]
    names.check_namespace(ns)
    with edge.registry.view() as view:
        policy = _selected_policy(view, ns, call)
        signed = view.policy_envelopes(policy)
        genesis = view.namespace(ns).genesis
    if call.accepts == COSE:
        return Answer(only_envelope(signed), media_type=COSE, etag=str(policy.id))
    return Answer(
        types.PolicyReply(
            ns=ns,
            genesis=str(genesis),
            policy=str(policy.id),
            seq=policy.seq,
            prev=text(policy.prev),
            view=types.view_of(policy.statement.value),
            policy_cose=envelopes(signed),
        )
    )


async def post_genesis(edge: Edge, call: Call) -> Answer:
    """Have a namespace hosted: its policy with seq 0. As COSE the answer is the receipt."""
    signed, nodes = _read_policy(call)
    claimed = _claimed(signed)
    if claimed.get("prev") is not None:
        raise Rejected("policy-seq-invalid", "a namespace begins with seq 0; send others to …/policy", at="payload.seq")
    return await _admit(edge, call, signed, nodes)


async def post_policy(edge: Edge, call: Call) -> Answer:
    """Change a namespace's policy: the next one, with all the endorsements it needs. As COSE: the receipt."""
    ns = call.path["ns"]
    names.check_namespace(ns)
    signed, nodes = _read_policy(call)
    claimed = _claimed(signed)
    if claimed.get("ns", ns) != ns:
        raise Rejected("policy-foreign", f"the policy is of another namespace than {ns}", subject=ns, at="payload.ns")
    return await _admit(edge, call, signed, nodes)


def _selected_policy(view: View, ns: str, call: Call) -> Policy:
    wanted = call.query.get(POLICY)
    if wanted is None:
        return view.policy_at(ns, call.query.get(SEQ))
    if call.query.get(SEQ) is not None:
        raise Rejected("parameter-repeated", "seq and policy both say which", at="query.policy")
    return view.known_policy(ns, wanted)


def only_envelope(signed: Sequence[bytes]) -> bytes:
    """The one envelope of a record. Raises ``not-acceptable`` where there are several: COSE here is one signature."""
    if len(signed) != 1:
        raise Rejected(
            "not-acceptable", f"the record has {len(signed)} envelopes; as application/json it lists them all"
        )
    return signed[0]


async def _admit(edge: Edge, call: Call, signed: list[bytes], nodes: list[bytes]) -> Answer:
    (result,) = await edge.registry.admit([Incoming("policy", signed, nodes=nodes)])
    if isinstance(result, HoloError):
        raise result
    if call.accepts == COSE:
        return Answer(result.receipt.envelope, status=_status(result), media_type=COSE)
    with edge.registry.view() as view:
        genesis = view.namespace(result.ns).genesis
        policy = view.policy(result.statement)
    body = types.PolicyPosted(
        ns=result.ns,
        genesis=str(genesis),
        policy=str(policy.id),
        seq=policy.seq,
        state=result.state,
        receipt=str(result.receipt.id),
        receipt_cose=encode_base64url(result.receipt.envelope),
    )
    return Answer(body, status=_status(result))


def _status(outcome: Outcome) -> int:
    if not outcome.new:
        return 200
    return 201 if outcome.state == "effective" else 202


def _read_policy(call: Call) -> tuple[list[bytes], list[bytes]]:
    """(envelopes, nodes of a seal's tree) of the request."""
    if call.content_type == COSE:
        return [call.body], []
    body = call.read_json(types.PolicyPost)
    signed = [
        decode_base64url(item, _ENVELOPE_BYTES, at=f"policy_cose[{index}]")
        for index, item in enumerate(body.policy_cose)
    ]
    nodes = [decode_base64url(item, limits.NODE_BYTES, at=f"nodes[{index}]") for index, item in enumerate(body.nodes)]
    return signed, nodes


def _claimed(signed: list[bytes]) -> dict[str, Any]:
    """What the first envelope's payload says, nothing of it verified; nothing where it cannot be read.

    Only the path is compared with it. Whatever is wrong otherwise is the registry's to refuse and to log.
    """
    try:
        value = codec.decode(decode_envelope(signed[0], limits.POLICY_BYTES)[2], limits.POLICY_BYTES)
    except Rejected:
        return {}
    return value if isinstance(value, dict) else {}


def _namespace_item(view: View, row: NamespaceRow) -> types.NamespaceItem:
    committed = None if row.state is None else decode_namespace_state(view.records.node(row.state))
    return types.NamespaceItem(
        ns=row.ns,
        genesis=str(row.genesis),
        policy=str(row.policy),
        policy_seq=row.policy_seq,
        names=committed.count if committed else 0,
        conflicts=[str(Cid(item)) for item in view.records.conflicts(row.ns)],
        held=row.held[0] if row.held else None,
    )


_POSTED: Final = {201: types.PolicyPosted, 200: types.PolicyPosted, 202: types.PolicyPosted}
_POST_PROBLEMS: Final = (400, 401, 403, 404, 409, 413, 415, 422, 503, 507)

ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/namespaces",
        handler=list_namespaces,
        name="listNamespaces",
        summary="Hosted namespaces",
        cache=Cache.CHECKED,
        replies={200: types.NamespacesPage},
        problems=(400,),
        parameters=(PREFIX, LIMIT, CURSOR),
    ),
    Route(
        method="POST",
        path="/v1/namespaces",
        handler=post_genesis,
        name="createNamespace",
        summary="Have a namespace hosted, by its genesis policy",
        cache=Cache.NEVER,
        replies=_POSTED,
        problems=_POST_PROBLEMS,
        body=types.PolicyPost,
        takes=(JSON, COSE),
        offers=(JSON, COSE),
        writes=True,
    ),
    Route(
        method="GET",
        path="/v1/namespaces/{ns}/policy",
        handler=get_policy,
        name="getPolicy",
        summary="The policy in effect, or another one",
        cache=Cache.CHECKED,
        replies={200: types.PolicyReply},
        problems=(400, 404),
        parameters=(SEQ, POLICY),
        offers=(JSON, COSE),
    ),
    Route(
        method="POST",
        path="/v1/namespaces/{ns}/policy",
        handler=post_policy,
        name="changePolicy",
        summary="Change a namespace's policy",
        cache=Cache.NEVER,
        replies=_POSTED,
        problems=_POST_PROBLEMS,
        body=types.PolicyPost,
        takes=(JSON, COSE),
        offers=(JSON, COSE),
        writes=True,
    ),
)
