"""What all bodies share: the text forms of ids, keys and bytes, and how values of signed things become JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

from holo.core.cid import Cid
from holo.core.keys import did_of, kid_of
from holo.http import patterns
from holo.http.base64url import encode_base64url

CidText: TypeAlias = Annotated[str, Meta(pattern=patterns.CID, description="A CID in base32.")]
Did: TypeAlias = Annotated[str, Meta(pattern="^did:key:z6Mk", description="An Ed25519 key as did:key.")]
Cose: TypeAlias = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$", description="A COSE_Sign1 in base64url.")]
Bytes: TypeAlias = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]*$", description="Bytes in base64url.")]
Millis: TypeAlias = Annotated[int, Meta(ge=0, description="Milliseconds since 1970, UTC.")]
View: TypeAlias = Annotated[dict[str, Any], Meta(description="A signed payload as JSON, for reading.")]


class Reply(Struct, frozen=True, kw_only=True):
    """Base of every reply."""


def view_of(value: Any) -> Any:
    """``value`` as JSON can carry it: links and keys as text, other bytes in base64url."""
    if isinstance(value, Cid):
        return str(value)
    if isinstance(value, bytes):
        if len(value) == 34 and value[:2] == b"\xed\x01":
            return did_of(kid_of(value))
        return encode_base64url(value)
    if isinstance(value, Mapping):
        return {key: view_of(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [view_of(item) for item in value]
    return value


def encode_json(body: object) -> bytes:
    """The JSON bytes of a reply."""
    return msgspec.json.encode(body)
