"""The interface about itself: ``/openapi.json`` and ``/docs``, made once from the table of routes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from holo.http.docs_page import build_page
from holo.http.edge import Edge
from holo.http.negotiation import HTML, JSON
from holo.http.openapi import build_openapi
from holo.http.route import Answer, Cache, Call, Route
from holo.http.types import encode_json


def documented(routes: Sequence[Route]) -> tuple[Route, ...]:
    """``routes``, and after them the two that document them all."""

    @cache
    def document() -> bytes:
        return encode_json(build_openapi(every))

    @cache
    def page() -> bytes:
        return build_page(every)

    async def get_openapi(edge: Edge, call: Call) -> Answer:
        """This interface as OpenAPI 3.1."""
        return Answer(document(), media_type=JSON)

    async def get_docs(edge: Edge, call: Call) -> Answer:
        """This interface for people, and the list of every code a refusal may have."""
        return Answer(page(), media_type=f"{HTML}; charset=utf-8")

    every = (
        *routes,
        Route(
            method="GET",
            path="/openapi.json",
            handler=get_openapi,
            name="getOpenapi",
            summary="This interface as OpenAPI 3.1",
            cache=Cache.CHECKED,
            replies={200: None},
        ),
        Route(
            method="GET",
            path="/docs",
            handler=get_docs,
            name="getDocs",
            summary="This interface for people",
            cache=Cache.CHECKED,
            replies={200: None},
            offers=(HTML,),
        ),
    )
    return every
