"""The hot reads, answered without the framework: ``GET /v1/resolve`` about one name.

What is answered here is answered in the same bytes as by :mod:`holo.http.resources.resolve`, only sooner. Whatever is
not plainly such a question, and whatever would be refused, is left to that: None means "not mine", never "no".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import trio

from holo.core.decision import Query
from holo.core.errors import HoloError
from holo.http.edge import Edge
from holo.http.negotiation import COSE, JSON, choose
from holo.http.parameters import NAME, RECEIPT, TAG, selected_name
from holo.http.query import decode_query
from holo.http.resources.resolve import POLICY_REF
from holo.http.shapes import resolved
from holo.http.types import encode_json

PATH: Final = b"/v1/resolve"
_OFFERS: Final = (JSON, COSE)


@dataclass(frozen=True, slots=True)
class Found:
    """A decision as it is sent: its id, which is its validator, and the JSON."""

    decision: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest head, which the live state is at or past, as text; empty before the first."""

    catalog: bytes
    head: bytes


class Hot:
    """Answers hot reads from the store of one node. Owned by the trio thread."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._heads = -1
        self._standing = Standing(b"", b"")

    def resolve(self, query: bytes, address: str) -> Found | None:
        """The decision that the raw ``query`` of a client at ``address`` asks for; None where it is not that plain."""
        try:
            asked = decode_query(query, (NAME, TAG, POLICY_REF, RECEIPT))
            if asked.get(RECEIPT):
                return None
            question = Query(selected_name(asked), asked.get(POLICY_REF))
            self._edge.resolves.take(address, 1, trio.current_time())
        except HoloError:
            return None
        with self._edge.registry.view() as view:
            decision = view.decide(question)
            rev = None if decision.statement is None else view.binding(decision.statement).rev
        found = resolved(decision, rev)
        return Found(found.decision.encode(), encode_json(found))

    @property
    def standing(self) -> Standing:
        """What every answer says of the newest head."""
        heads = self._edge.registry.mark.heads
        if heads != self._heads:
            with self._edge.registry.view() as view:
                head = view.head()
            if head is not None:
                self._standing = Standing(str(head[0].catalog).encode(), str(head[0].id).encode())
            self._heads = heads
        return self._standing


@lru_cache(maxsize=1024)
def takes_json(accept: bytes | None) -> bool:
    """Whether a request with this Accept header gets a decision as JSON; False for every other or doubtful case."""
    try:
        return choose(None if accept is None else accept.decode("ascii"), _OFFERS) == JSON
    except (HoloError, UnicodeDecodeError):
        return False
