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
from holo.core.names import Name
from holo.http.edge import Edge
from holo.http.negotiation import COSE, JSON, choose
from holo.http.parameters import NAME, RECEIPT, TAG, selected_name
from holo.http.plain_answers import Found, decided, plain_name
from holo.http.query import decode_query
from holo.http.resources.resolve import POLICY_REF
from holo.http.signing import SMALL_BYTES, bundle_of, encode_signed

__all__ = ["PATH", "Found", "Hot", "SignedAnswer", "Standing", "chosen_type", "takes_json"]

PATH: Final = b"/v1/resolve"
_OFFERS: Final = (JSON, COSE)

_HANDLE: Final = f"{NAME.name}=".encode()
_HANDLE_CHARS: Final = len(_HANDLE)


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest head, which the live state is at or past, as text; empty before the first."""

    catalog: bytes
    head: bytes


@dataclass(frozen=True, slots=True)
class SignedAnswer:
    """A signed decision as it is sent, and the head it is on. No cache keeps it."""

    media_type: str
    body: bytes
    standing: Standing


class Hot:
    """Answers hot reads from the store of one node. Owned by the trio thread.

    All between :meth:`begin` and :meth:`end` is answered from one snapshot, and nothing else may happen in between: so
    it holds all that was acknowledged before.
    """

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._view = edge.store.view()
        self._begun = False
        self._plain = edge.plain
        self._limited = edge.resolves.bounded
        self._heads = -1
        self._standing = Standing(b"", b"")

    def begin(self) -> Standing:
        """Take a snapshot; what every answer says of the newest head. Raises what the store raises."""
        heads = self._edge.registry.mark.heads  # before the snapshot, which may be further but not behind
        self._view.__enter__()
        self._begun = True
        if heads != self._heads:
            head = self._view.head()
            if head is not None:
                self._standing = Standing(str(head[0].catalog).encode(), str(head[0].id).encode())
            self._heads = heads
        return self._standing

    def end(self) -> None:
        """Let go of the snapshot, if there is one."""
        if self._begun:
            self._begun = False
            self._view.__exit__(None, None, None)

    def resolve(self, query: bytes, address: str) -> Found | None:
        """The decision that the raw ``query`` of a client at ``address`` asks for; None where it is not that plain."""
        if not query.startswith(_HANDLE):
            return self._resolve_decoded(query, address)
        text = query[_HANDLE_CHARS:]
        if not self._limited:
            found = self._plain.find_bound(self._view, text)
            if found is not None:
                return found
        parts = plain_name(text)
        if parts is None:
            return self._resolve_decoded(query, address)
        if self._limited and not self._may(address):
            return None
        return self._plain.find(self._view, *parts) or decided(self._view, _query(*parts))

    def _resolve_decoded(self, query: bytes, address: str) -> Found | None:
        """The same for a query that has to be decoded first."""
        question = self._question(query, signed=False)
        if question is None or self._may_be_remote(question) or not self._may(address):
            return None
        name = question.name
        found = None
        if name.cid is None:
            ns, handle, tag = name.namespace.encode(), name.handle.encode(), name.tag.encode()
            found = self._plain.find(self._view, ns, handle, tag, question.policy_ref)
        return found or decided(self._view, question)

    def signed(self, query: bytes, accept: bytes | None, address: str) -> SignedAnswer | None:
        """The signed decision that a raw query with ``receipt=1`` asks for, as JSON with its bundle or as COSE alone.

        None where it is refused, where no receipt is asked for, or where the bundle would take a while.
        """
        media_type = chosen_type(accept)
        question = self._question(query, signed=True) if media_type else None
        if question is None or not self._standing.head or self._may_be_remote(question):
            return None
        signed = self._edge.signer.sign(self._view, self._edge.clock_ms(), question)
        bundle = None if media_type == COSE else bundle_of(self._view, signed, SMALL_BYTES)
        if media_type == COSE:
            body = signed.receipt
        elif bundle is not None:
            body = encode_signed(signed, bundle)
        else:
            return None
        standing = Standing(str(signed.head.catalog).encode(), str(signed.head.id).encode())
        return SignedAnswer(media_type, body, standing) if self._may(address) else None

    def _question(self, query: bytes, *, signed: bool) -> Query | None:
        """What a raw query asks; None where it is refused, or asks for a receipt where none is due, or for none."""
        try:
            asked = decode_query(query, (NAME, TAG, POLICY_REF, RECEIPT))
            question = Query(selected_name(asked), asked.get(POLICY_REF))
        except HoloError:
            return None
        receipt = asked.get(RECEIPT) or False
        return question if receipt == signed else None

    def _may_be_remote(self, question: Query) -> bool:
        """Whether it is asked by something that is no policy held here, so that a peer may have it."""
        ref = question.policy_ref
        return ref is not None and self._edge.policies.on and self._view.records.payload(ref) is None

    def _may(self, address: str) -> bool:
        """Use up one question of what ``address`` may ask, if there is one."""
        try:
            self._edge.resolves.take(address, 1, trio.current_time())
        except HoloError:
            return False
        return True


def _query(ns: bytes, handle: bytes, tag: bytes) -> Query:
    return Query(Name(ns.decode(), handle.decode(), tag.decode()))


def takes_json(accept: bytes | None) -> bool:
    """Whether a request with this Accept header gets a decision as JSON; False for every other or doubtful case."""
    return chosen_type(accept) == JSON


@lru_cache(maxsize=1024)
def chosen_type(accept: bytes | None) -> str:
    """The media type that a request with this Accept header gets; empty where it gets none, or in doubt."""
    try:
        return choose(None if accept is None else accept.decode("ascii"), _OFFERS)
    except (HoloError, UnicodeDecodeError):
        return ""
