"""What happens, as it happens: ``/v1/events``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from holo.core import limits
from holo.core.errors import Overloaded
from holo.http import types
from holo.http.edge import Edge
from holo.http.event_stream import TYPES, EventStream, Wanted
from holo.http.negotiation import EVENTS
from holo.http.parameters import NAMESPACE
from holo.http.query import choices
from holo.http.route import Answer, Cache, Call, Route

TYPE: Final = choices("type", TYPES, f"Only events of these types, separated by commas: {', '.join(TYPES)}.")


async def get_events(edge: Edge, call: Call) -> Answer:
    """A stream of events from now on, or from ``Last-Event-ID`` on."""
    if edge.event_streams >= limits.EVENT_STREAMS:
        raise Overloaded("overloaded", f"{limits.EVENT_STREAMS} event streams are open", retry_after_s=10)
    wanted = Wanted(call.query.get(TYPE), call.query.get(NAMESPACE))
    return Answer(_counted(edge, EventStream(edge, wanted, call.last_event_id)), media_type=EVENTS)


async def _counted(edge: Edge, stream: EventStream) -> AsyncIterator[bytes]:
    if edge.event_streams >= limits.EVENT_STREAMS:
        return  # others that asked at the same time began first
    edge.event_streams += 1
    try:
        async for chunk in stream:
            yield chunk
    finally:
        edge.event_streams -= 1


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/events",
        handler=get_events,
        name="getEvents",
        summary="A stream of what happens (server-sent events)",
        cache=Cache.NEVER,
        replies={
            200: (
                types.BindingEvent,
                types.PolicyEvent,
                types.EquivocationEvent,
                types.HeadEvent,
                types.ResetEvent,
            )
        },
        problems=(400, 503),
        parameters=(TYPE, NAMESPACE),
        offers=(EVENTS,),
        headers=("Last-Event-ID",),
    ),
)
