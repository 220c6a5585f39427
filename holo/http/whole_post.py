"""Posts of JSON that come whole, answered without the framework: records to ``/v1/namespaces/{ns}/bindings``, names to
``/v1/resolve``.

A publisher sends one small record and waits until it is on the disk. Verifying and storing it takes a quarter of what
HTTP costs on the usual way, so requests that are plainly this are read here, in the same strict grammar as hot reads
(:mod:`holo.http.request_head`), and go through the same route. None means "not mine": anything else in the head, a body
that has not all come, or more after it, is left to the rest of the server.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from holo.core import limits
from holo.http.bodies import Bodies
from holo.http.edge import Edge
from holo.http.hosts import Hosts
from holo.http.hot import takes_json
from holo.http.negotiation import JSON
from holo.http.reply import word
from holo.http.request_head import plain_fields, takes_this_host
from holo.http.resources import posting, resolve
from holo.http.serving import Asked, serve

_LINE: Final = re.compile(rb"POST (/v1/(?:namespaces/([a-z0-9._-]+)/bindings|resolve)) HTTP/1\.1\r\n")
_LENGTH: Final = re.compile(rb"[0-9]{1,7}")
_FIELDS: Final = frozenset((b"host", b"accept", b"connection", b"content-type", b"content-length"))
(_BINDINGS,) = posting.ROUTES
(_RESOLVE,) = (route for route in resolve.ROUTES if route.method == "POST")


@dataclass(frozen=True, slots=True)
class Post:
    """A post whose head has come, and its body as far as that has. ``lacking_bytes`` are to come."""

    target: str
    ns: str | None
    body: bytes
    lacking_bytes: int


class WholePosts:
    """Reads and answers such posts. Their bodies count among ``bodies``."""

    def __init__(self, edge: Edge, bodies: Bodies) -> None:
        self._edge = edge
        self._bodies = bodies
        self._check_host: Callable[[str | None], None] = Hosts(
            edge.profile.http.address[0], edge.profile.http.hosts
        ).check

    def read(self, data: bytes) -> Post | None:
        """The post that ``data``, from its first byte on, is or begins."""
        line = _LINE.match(data)
        if line is None:
            return None
        end = data.find(b"\r\n\r\n", line.end() - 2) + 4
        if not 4 <= end <= limits.REQUEST_HEAD_BYTES:
            return None
        fields = plain_fields(data[line.end() : end - 2], _FIELDS)
        if fields is None or not takes_this_host(fields, self._check_host) or not takes_json(fields.get(b"accept")):
            return None
        length = fields.get(b"content-length", b"")
        if fields.get(b"content-type") != JSON.encode() or _LENGTH.fullmatch(length) is None:
            return None
        lacking_bytes = int(length) - (len(data) - end)
        if lacking_bytes < 0 or int(length) > self._edge.profile.http.max_body_bytes:
            return None
        return Post(line[1].decode(), None if line[2] is None else line[2].decode(), data[end:], lacking_bytes)

    async def answer(self, post: Post, address: str) -> bytes | None:
        """The response to a post that lacks nothing, as HTTP/1.1.

        None, and nothing was done, where there is no room for another body.
        """
        route = _RESOLVE if post.ns is None else _BINDINGS
        with self._bodies.body() as held:
            kept = self._bodies.take(held, {"body": post.body, "more_body": False})
            if len(kept["body"]) < len(post.body):
                return None

            async def body() -> bytes:
                return post.body

            asked = Asked(
                method="POST",
                target=post.target,
                query=b"",
                path={} if post.ns is None else {"ns": post.ns},
                address=address,
                accept="",
                content_type=JSON,
                body=body,
            )
            answer = await serve(self._edge, route, asked)
        worded = word(route, post.target, None, answer)
        assert isinstance(worded.body, bytes), "what is posted is answered whole"
        fields = {
            **worded.fields,
            "Content-Type": answer.media_type,
            "Content-Length": str(len(worded.body)),
            "Date": formatdate(time.time(), usegmt=True),
        }
        lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {worded.status} \r\n{lines}\r\n".encode() + worded.body
