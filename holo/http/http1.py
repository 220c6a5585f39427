"""hypercorn's HTTP/1.1, with the holes closed that a hostile client finds.

hypercorn 0.18 and h11 are pinned; what is changed here, and why:

- A client's offer to upgrade (h2c, websocket) is ignored, as RFC 9110 section 7.8 allows. HTTP/2 comes by ALPN or prior
  knowledge.
- A head has a bound however its bytes arrive; h11 looks only at heads that are not yet whole.
- A request whose length is told in two ways, or in a way its version does not have, is refused: somebody in between may
  have found another end to it (RFC 9112 section 6.1, 6.3). h11 picks one.
- What follows a request that says ``Connection: close`` is not read; h11 refuses that request for it.
- A target in absolute form says which host is meant, whatever Host says (RFC 9112 section 3.2.2).
- Versions that are not HTTP/1 are refused.
- Bytes that are no HTTP get a problem with a body, like every other refusal.
"""

from __future__ import annotations

import re
from typing import Any, Final

import h11
from hypercorn.protocol.h11 import H2ProtocolAssumedError, H11Protocol
from msgspec import structs

from holo.core import limits
from holo.http.problem import PROBLEM_JSON, problem_of_code
from holo.http.types import encode_json

_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE)


class Http1(H11Protocol):
    """HTTP/1.1 without upgrades."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connection = _Requests(h11.SERVER, max_incomplete_event_size=limits.REQUEST_HEAD_BYTES)

    @property
    def reading_body(self) -> bool:
        """Whether the request's body has not all arrived."""
        return self.connection.their_state is h11.SEND_BODY

    @property
    def uploading(self) -> bool:
        """Whether there is a request whose body has not all arrived, and no answer to it."""
        return self.reading_body and self.connection.our_state is h11.SEND_RESPONSE

    @property
    def drained(self) -> bool:
        """Whether every byte that came belonged to a request that is answered."""
        return not self.connection.trailing_data[0]

    async def _check_protocol(self, event: h11.Request) -> None:
        if _is_preface(event):
            rest: bytes = self.connection.trailing_data[0]
            raise H2ProtocolAssumedError(b"PRI * HTTP/2.0\r\n\r\n" + rest)

    async def _create_stream(self, request: h11.Request) -> None:
        fields = [(name, value) for name, value in request.headers if name != b"upgrade"]
        target = request.target
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is not None:
            target = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
            fields = [(name, absolute[1] if name == b"host" else value) for name, value in fields]
        if absolute is not None or len(fields) < len(request.headers):
            request = h11.Request(
                method=request.method, target=target, headers=fields, http_version=request.http_version
            )
        await super()._create_stream(request)

    async def _send_error_response(self, status_code: int) -> None:
        code = "too-large" if status_code == 431 else "request-invalid"
        problem = problem_of_code(code, "the request line and header fields are not HTTP/1.1 within this node's bounds")
        body = encode_json(structs.replace(problem, status=status_code))
        headers = [
            (b"content-type", PROBLEM_JSON.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


class _Requests(h11.Connection):
    """What h11 reads, less what nobody should answer."""

    def receive_data(self, data: bytes) -> None:
        if self.their_state is not h11.MUST_CLOSE:
            super().receive_data(data)

    def next_event(self) -> Any:
        if self.their_state is h11.MUST_CLOSE:
            return h11.NEED_DATA
        held = len(self.trailing_data[0]) if self.their_state is h11.IDLE else 0
        event = super().next_event()
        if isinstance(event, h11.Request):
            _check(event, held - len(self.trailing_data[0]))
        return event


def _check(request: h11.Request, head_bytes: int) -> None:
    if head_bytes > limits.REQUEST_HEAD_BYTES:
        raise h11.RemoteProtocolError("a head too large", error_status_hint=431)
    if not request.http_version.startswith(b"1.") and not _is_preface(request):
        raise h11.RemoteProtocolError("not HTTP/1", error_status_hint=505)
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version == b"1.0"):
        raise h11.RemoteProtocolError("a body with two ends", error_status_hint=400)


def _is_preface(request: h11.Request) -> bool:
    return request.method == b"PRI" and request.target == b"*" and request.http_version == b"2.0"
