"""base64url without padding, in its one canonical spelling (RFC 4648 section 5), for bytes inside JSON."""

from __future__ import annotations

import base64

from holo.core.errors import Rejected


def encode_base64url(data: bytes) -> str:
    """The text of ``data``, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str, limit_bytes: int, *, at: str) -> bytes:
    """The bytes that ``text`` writes. Raises ``too-large`` before decoding, ``request-invalid`` for other spellings."""
    if len(text) > (limit_bytes * 4 + 2) // 3:
        raise Rejected("too-large", f"{at} is longer than {limit_bytes} bytes in base64url", at=at)
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        data = None
    # Comparing refuses padding, the other alphabet and stray bits at the end, whatever the library forgives.
    if data is None or encode_base64url(data) != text:
        raise Rejected("request-invalid", f"{at} is not base64url without padding", at=at)
    return data
