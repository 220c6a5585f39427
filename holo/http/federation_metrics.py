"""What ``/metrics`` says of federation: one family for each thing the gossip role counts, nothing where it is off.

Labels are few whatever peers do: kinds of messages and codes are known ones, and peers are those that are pinned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from holo.core.errors import CODES
from holo.core.keys import did_of
from holo.http.edge import Edge, peers_of
from holo.http.metrics import Family
from holo.roles.gossip.state import PeerState, Tally


def federation_families(edge: Edge) -> Iterator[Family]:
    """The families of this node's gossip."""
    if edge.gossip is None:
        return
    tally, peers = edge.gossip.tally, peers_of(edge)
    yield from _of_links(tally, peers)
    yield from _of_peers(peers)
    yield (
        "holo_policies_fetched_total",
        "counter",
        "Consumer policies looked for at peers, by what came of it.",
        _labelled("result", edge.policies.fetched),
    )


def _of_links(tally: Tally, peers: Sequence[PeerState]) -> Iterator[Family]:
    links = [("", float(sum(peer.connected for peer in peers)))]
    yield "holo_gossip_links", "gauge", "Links to peers that are up.", links
    yield "holo_gossip_peers", "gauge", "Peers that are pinned.", [("", float(len(peers)))]
    messages = [
        *((f'{{direction="in",kind="{kind}"}}', float(count)) for kind, count in sorted(tally.messages_in.items())),
        *((f'{{direction="out",kind="{kind}"}}', float(count)) for kind, count in sorted(tally.messages_out.items())),
    ]
    yield "holo_gossip_messages_total", "counter", "Messages of the control plane, by kind.", messages
    sizes = [('{direction="in"}', float(tally.bytes_in)), ('{direction="out"}', float(tally.bytes_out))]
    yield "holo_gossip_bytes_total", "counter", "Bytes of messages.", sizes
    yield (
        "holo_gossip_refused_total",
        "counter",
        "What peers sent that was refused, by code.",
        _labelled("code", _known(tally.refused)),
    )
    yield "holo_gossip_dropped_total", "counter", "Records not sent or not looked at.", _labelled("why", tally.dropped)
    closed = _labelled("code", _known(tally.links_closed))
    yield "holo_gossip_links_closed_total", "counter", "Links that ended, by code.", closed
    yield "holo_gossip_pulls_total", "counter", "Comparisons with a peer begun.", [("", float(tally.pulls))]
    rounds = [("", float(tally.pull_rounds))]
    yield "holo_gossip_pull_rounds_total", "counter", "Round trips of comparisons.", rounds


def _of_peers(peers: Sequence[PeerState]) -> Iterator[Family]:
    lags = [(_peer(peer), peer.lag_ms / 1000) for peer in peers if peer.lag_ms is not None]
    yield "holo_gossip_lag_seconds", "gauge", "For how long something of a peer's newest head is lacked here.", lags
    converged = [(_peer(peer), peer.converged_at_ms / 1000) for peer in peers if peer.converged_at_ms is not None]
    yield "holo_gossip_converged_timestamp_seconds", "gauge", "When a peer was last found equal.", converged
    evidence = [(_peer(peer), float(len(peer.evidence))) for peer in peers]
    yield "holo_gossip_equivocations", "gauge", "Evidence that a peer signed two truths.", evidence


def _peer(peer: PeerState) -> str:
    return f'{{peer="{did_of(peer.kid)}"}}'


def _labelled(label: str, counts: Mapping[str, int]) -> list[tuple[str, float]]:
    return [(f'{{{label}="{value}"}}', float(count)) for value, count in sorted(counts.items())]


def _known(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by code, with codes that are no codes of ours, which a peer can make up, in one."""
    found: dict[str, int] = {}
    for code, count in counts.items():
        name = code if code in CODES or code in _LINK_CODES else "other"
        found[name] = found.get(name, 0) + count
    return found


_LINK_CODES: Final = frozenset({"unreachable", "peer-unpinned", "peer-wrong-key", "tls-failed", "timeout", "closed"})
