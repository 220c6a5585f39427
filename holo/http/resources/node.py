"""The node itself and the nodes it knows: ``/v1/node`` and ``/v1/peers``."""

from __future__ import annotations

from typing import Final

from holo import __version__
from holo.core import limits
from holo.core.keys import did_of
from holo.http import types
from holo.http.edge import Edge
from holo.http.paging import start_of, take_page
from holo.http.parameters import CURSOR, LIMIT
from holo.http.route import Answer, Cache, Call, Route
from holo.http.shapes import text

_SHOWN_LIMITS: Final = {
    "binding_bytes": limits.BINDING_BYTES,
    "policy_bytes": limits.POLICY_BYTES,
    "endorsements_per_record": limits.ENDORSEMENTS_PER_RECORD,
    "records_per_post": limits.RECORDS_PER_POST,
    "resolve_queries": limits.RESOLVE_QUERIES,
    "list_limit": limits.LIST_LIMIT_MAX,
    "wait_s": limits.WAIT_S_MAX,
    "event_streams": limits.EVENT_STREAMS,
}


async def get_node(edge: Edge, call: Call) -> Answer:
    """Who this node is, where it stands, and the bounds a client should know."""
    with edge.registry.view() as view:
        log, head = view.log, view.head()
    return Answer(
        types.NodeReply(
            node=did_of(edge.registry.node),
            version=__version__,
            roles=edge.profile.role_names,
            profile=edge.profile.name,
            log=str(log.id),
            head=text(head[0].id if head else None),
            catalog=text(head[0].catalog if head else None),
            log_size=log.size,
            limits={**_SHOWN_LIMITS, "body_bytes": edge.profile.http.max_body_bytes},
        )
    )


async def list_peers(edge: Edge, call: Call) -> Answer:
    """The nodes this one knows. Without gossip it knows itself."""
    with edge.registry.view() as view:
        head = view.head()
    itself = types.PeerItem(
        node=did_of(edge.registry.node),
        cp=None,
        tp=None,
        roles=edge.profile.role_names,
        capabilities=[],
        head=text(head[0].id if head else None),
        seq=head[0].seq if head else None,
        lag_ms=None,
        converged_at_ms=None,
        equivocations=[],
    )
    behind = start_of(call) is not None
    items, following = take_page(call, [] if behind else [(b"", itself)], lambda peer: peer)
    return Answer(types.PeersPage(items=items, next=following))


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/node",
        handler=get_node,
        name="getNode",
        summary="Who this node is and where it stands",
        cache=Cache.CHECKED,
        replies={200: types.NodeReply},
    ),
    Route(
        method="GET",
        path="/v1/peers",
        handler=list_peers,
        name="listPeers",
        summary="The nodes this one knows, itself first",
        cache=Cache.CHECKED,
        replies={200: types.PeersPage},
        parameters=(LIMIT, CURSOR),
    ),
)
