"""The query parameters that resources share, each declared once.

``handle=`` is a whole name, ``namespace/handle[:tag][@cid]``, because handles contain ``/`` and no path may. A
separate ``tag=`` serves listings ("every stable release"); one that contradicts the name is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holo.core import limits, names
from holo.core.cid import Cid
from holo.core.errors import Rejected
from holo.core.names import DEFAULT_TAG, Name
from holo.http import patterns
from holo.http.query import Parameter, Query, integer


def text_schema(pattern: str, most_chars: int | None = None) -> dict[str, object]:
    """The JSON Schema of a text that fits ``pattern`` and has at most so many characters."""
    return {"type": "string", "pattern": pattern, **({} if most_chars is None else {"maxLength": most_chars})}


@dataclass(frozen=True, slots=True)
class WrittenName:
    """A name as the request writes it: ``tag`` is None where none is written."""

    namespace: str
    handle: str
    tag: str | None
    cid: Cid | None


def _read_name(text: str) -> WrittenName:
    name = Name.parse(text)
    written = name.tag if ":" in text.partition("@")[0] else None
    return WrittenName(name.namespace, name.handle, written, name.cid)


def _read_tag(text: str) -> str:
    names.check_name("a", "a", text)
    return text


def _read_namespace(text: str) -> str:
    names.check_namespace(text)
    return text


def _read_flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise Rejected("request-invalid", f"{text[:40]!r} where 0 or 1 is expected")
    return text == "1"


def _read_short(text: str) -> str:
    if not text or len(text) > limits.CURSOR_CHARS:
        raise Rejected("request-invalid", f"{len(text)} characters where 1 to {limits.CURSOR_CHARS} are allowed")
    return text


def _read_prefix(text: str) -> str:
    if len(text) > limits.TREE_KEY_BYTES or not text.isascii():
        raise Rejected("request-invalid", f"a prefix is ASCII and at most {limits.TREE_KEY_BYTES} characters")
    return text


def cid(name: str, summary: str, *, required: bool = False) -> Parameter[Cid]:
    """A parameter that is a CID."""
    return Parameter(name, Cid.parse, text_schema(patterns.CID), summary, required)


LIMIT: Final = integer("limit", 1, limits.LIST_LIMIT_MAX, f"Items per page; {limits.LIST_LIMIT_DEFAULT} by default.")
CURSOR: Final = Parameter(
    "cursor", _read_short, text_schema("^[A-Za-z0-9_-]+$", limits.CURSOR_CHARS), "`next` of the page before. Opaque."
)
_NAME_SUMMARY: Final = "A name: `namespace/handle[:tag][@cid]`. `+` is a plus."
_UNPINNED_SUMMARY: Final = "A name: `namespace/handle[:tag]`. `+` is a plus."
HANDLE: Final = Parameter("handle", _read_name, text_schema(patterns.UNPINNED), _UNPINNED_SUMMARY)
NAME: Final = Parameter("handle", _read_name, text_schema(patterns.NAME), _NAME_SUMMARY, required=True)
UNPINNED_NAME: Final = Parameter("handle", _read_name, text_schema(patterns.UNPINNED), _UNPINNED_SUMMARY, required=True)
TAG: Final = Parameter("tag", _read_tag, text_schema(patterns.TAG), "A tag. Must not contradict the one in `handle`.")
NAMESPACE: Final = Parameter("namespace", _read_namespace, text_schema(patterns.NAMESPACE), "A namespace.")
PREFIX: Final = Parameter(
    "prefix", _read_prefix, text_schema(r"^[\x00-\x7f]*$", limits.TREE_KEY_BYTES), "Only what starts with this."
)
SINCE: Final = integer("since", 0, limits.INT_MAX, "Only what this node's log holds from this seq on.")
SEQ: Final = integer("seq", 0, limits.INT_MAX, "The policy with this seq; the one in effect by default.")
POLICY: Final = cid("policy", "A known policy by its id, in effect or not: a rival, or one that waits for its seal.")
RECEIPT: Final = Parameter("receipt", _read_flag, {"type": "string", "enum": ["0", "1"]}, "1 asks for a signed answer.")


def selected_name(query: Query) -> Name:
    """The one name that ``handle`` and ``tag`` say together. Raises ``parameter-repeated`` where they contradict."""
    written = query.need(NAME)
    return Name(written.namespace, written.handle, _tag(written, query) or DEFAULT_TAG, written.cid)


def selection(query: Query, namespace: str) -> tuple[str | None, str | None]:
    """``(handle, tag)`` that a listing of ``namespace`` is narrowed to, each None for all.

    Raises ``parameter-repeated`` where ``handle`` contradicts the path or ``tag``, and ``request-invalid`` for a pin.
    """
    written = query.get(HANDLE)
    if written is None:
        return None, query.get(TAG)
    if written.namespace != namespace:
        raise Rejected(
            "parameter-repeated", f"handle is in {written.namespace}, the path in {namespace}", at="query.handle"
        )
    if written.cid is not None:
        raise Rejected("request-invalid", "a listing takes no pinned name", at="query.handle")
    return written.handle, _tag(written, query)


def page_limit(query: Query) -> int:
    """How many items a page may have."""
    return query.get(LIMIT) or limits.LIST_LIMIT_DEFAULT


def _tag(written: WrittenName, query: Query) -> str | None:
    tag = query.get(TAG)
    if tag is not None and written.tag is not None and tag != written.tag:
        raise Rejected("parameter-repeated", f"tag is {tag}, in handle it is {written.tag}", at="query.tag")
    return tag if written.tag is None else written.tag
