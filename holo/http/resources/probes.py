"""For whoever runs the node: ``/healthz``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

from typing import Final

from holo.core.errors import Overloaded
from holo.http.edge import Edge
from holo.http.federation_metrics import federation_families
from holo.http.metrics import CONTENT_TYPE
from holo.http.route import Answer, Cache, Call, Route

TEXT: Final = "text/plain"


async def get_health(edge: Edge, call: Call) -> Answer:
    """Whether the process answers at all."""
    return Answer(b"ok\n", media_type=TEXT)


async def get_readiness(edge: Edge, call: Call) -> Answer:
    """Whether the node takes requests: not stopping, and with room to write."""
    if edge.stopping.is_set():
        raise Overloaded("stopping", "the node is stopping")
    reserve = edge.profile.store.free_reserve_bytes
    if edge.store.free_bytes() < reserve:
        raise Overloaded("no-space", f"less than {reserve} bytes are free")
    return Answer(b"ready\n", media_type=TEXT)


async def get_metrics(edge: Edge, call: Call) -> Answer:
    """Counters and gauges as Prometheus reads them."""
    with edge.registry.view() as view:
        log, namespaces = view.log, view.records.namespace_count()
    gauges = {
        "holo_log_receipts": ("Receipts in the current log.", log.size),
        "holo_log_heads": ("Heads signed in the current log.", log.head_seq),
        "holo_log_uncovered_receipts": ("Receipts that no head covers yet.", log.size - log.head_size),
        "holo_log_head_timestamp_seconds": ("When the newest head was signed, by this node.", log.head_at_ms / 1000),
        "holo_namespaces": ("Namespaces hosted.", namespaces),
        "holo_event_streams": ("Event streams open.", edge.event_streams),
        "holo_store_free_bytes": ("Room left for the store.", edge.store.free_bytes()),
    }
    states = {"admitted": edge.registry.admitted, "refused": edge.registry.refused}
    text = edge.metrics.text(gauges, states, federation_families(edge))
    return Answer(text, media_type=CONTENT_TYPE)


def _probe(path: str, name: str, summary: str, handler: object, problems: tuple[int, ...] = ()) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=handler,  # type: ignore[arg-type]
        name=name,
        summary=summary,
        cache=Cache.NEVER,
        replies={200: None},
        problems=problems,
        offers=(TEXT,),
    )


ROUTES: Final = (
    _probe("/healthz", "getHealth", "Whether the process answers", get_health),
    _probe("/readyz", "getReadiness", "Whether the node takes requests", get_readiness, (503, 507)),
    _probe("/metrics", "getMetrics", "Counters and gauges as Prometheus reads them", get_metrics),
)
