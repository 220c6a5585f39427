"""The peers this node is paired with: ``/v1/peers``."""

from __future__ import annotations

from typing import Final

from holo.core.keys import KID_BYTES, did_of
from holo.http import types
from holo.http.cursor import not_of_this_list
from holo.http.edge import Edge, peers_of
from holo.http.paging import start_of, take_page
from holo.http.parameters import CURSOR, LIMIT
from holo.http.route import Answer, Cache, Call, Route
from holo.http.shapes import text
from holo.roles.gossip.state import PeerState

_ROLES: Final = ["gossip"]
"""What a peer is known to be once it has shown a head; more it does not say."""


async def list_peers(edge: Edge, call: Call) -> Answer:
    """Every pinned peer: whether there is a link, what it last showed, and how far apart the two are.

    A node without the gossip role has none.
    """
    start = start_of(call)
    behind = b"" if start is None else start.position
    if start is not None and (start.snapshot is not None or len(behind) != KID_BYTES):
        raise not_of_this_list()
    found = ((bytes(peer.kid), peer) for peer in peers_of(edge) if peer.kid > behind)
    items, following = take_page(call, found, peer_item)
    return Answer(types.PeersPage(items=items, next=following), next=following)


def peer_item(peer: PeerState) -> types.PeerItem:
    """A peer as listings show it. Both planes share an address."""
    address = peer.addresses[0] if peer.addresses else None
    return types.PeerItem(
        node=did_of(peer.kid),
        cp=address,
        tp=address,
        roles=list(_ROLES) if peer.head is not None else [],
        capabilities=[],
        connected=peer.connected,
        outgoing=peer.outgoing,
        since_ms=peer.since_ms,
        problem=peer.problem,
        log=text(peer.log),
        head=text(peer.head),
        seq=peer.head_seq,
        head_at_ms=peer.head_at_ms,
        lag_ms=peer.lag_ms,
        converged_at_ms=peer.converged_at_ms,
        sent_records=peer.sent_records,
        received_records=peer.received_records,
        sent_bytes=peer.sent_bytes,
        received_bytes=peer.received_bytes,
        refused=peer.refused,
        equivocations=[str(cid) for cid in peer.evidence],
    )


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/peers",
        handler=list_peers,
        name="listPeers",
        summary="The peers this node is paired with",
        cache=Cache.CHECKED,
        replies={200: types.PeersPage},
        parameters=(LIMIT, CURSOR),
    ),
)
