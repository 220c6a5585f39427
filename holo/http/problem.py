"""The only mapper from errors to problem+json (RFC 9457).

Every refusal a client can meet has the same shape and a stable ``code``; ``type`` points at the node's own list of
codes. A fault of holo itself becomes ``internal``: it is logged with its traceback, and says nothing to the client
but the name under which the log has it.
"""

from __future__ import annotations

import secrets
from typing import Final

import structlog

from holo.core.errors import CODES, HoloError, Overloaded, StoreFailed
from holo.http.base64url import encode_base64url
from holo.http.types import BindingItem, Problem

PROBLEM_JSON: Final = "application/problem+json"

_RETRY_S: Final = {429: 1, 503: 1}
_log = structlog.get_logger("holo.http")


def problem_of(error: HoloError, *, current: list[BindingItem] | None = None) -> Problem:
    """The problem an error is, with the receipt of the refusal where it has one; ``current`` is what is in the way."""
    denial, envelope = error.denial or (None, None)
    return Problem(
        type=f"/docs#{error.code}",
        title=error.title,
        status=error.http_status,
        detail=error.detail,
        code=error.code,
        subject=error.subject,
        at=error.at,
        fix=error.fix,
        denial=denial,
        denial_cose=None if envelope is None else encode_base64url(envelope),
        current=current,
    )


def problem_of_code(code: str, detail: str) -> Problem:
    """The problem of a bare code, where no error was raised."""
    return problem_of(HoloError(code, detail))


def problem_of_fault(fault: BaseException, *, where: str) -> Problem:
    """The problem a fault of holo itself is. Logs it; tells the client only the log line's mark."""
    mark = secrets.token_hex(4)
    _log.error("fault", where=where, mark=mark, exc_info=fault)
    if isinstance(fault, StoreFailed):
        return problem_of(HoloError(fault.code, f"the node's log has it as {mark}"))
    return problem_of_code("internal", f"the node's log has it as {mark}")


def retry_after_s(error: HoloError | None, status: int) -> int | None:
    """The value of Retry-After, in seconds, for a status that has one."""
    if isinstance(error, Overloaded):
        return error.retry_after_s
    return _RETRY_S.get(status)


def known_codes() -> list[tuple[str, int, str, str]]:
    """(code, status, title, fix) of everything that can be refused, by code."""
    return [(code, status, title, fix) for code, (status, title, fix) in sorted(CODES.items())]
