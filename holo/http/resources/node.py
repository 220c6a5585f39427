"""The node itself: ``/v1/node``."""

from __future__ import annotations

from typing import Final

from holo import __version__
from holo.core import limits
from holo.core.keys import did_of
from holo.http import types
from holo.http.edge import Edge
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
            peer_addresses=list(edge.gossip.addresses) if edge.gossip is not None else [],
            profile=edge.profile.name,
            log=str(log.id),
            head=text(head[0].id if head else None),
            catalog=text(head[0].catalog if head else None),
            log_size=log.size,
            limits={**_SHOWN_LIMITS, "body_bytes": edge.profile.http.max_body_bytes},
        )
    )


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
)
