"""Exit codes: what a script may rely on.

0 ok · 1 verified bad, refused · 2 usage · 3 inconclusive · 4 not permitted · 5 not found, yanked · 6 unreachable ·
7 conflict · 70 internal error · 130 interrupted · 141 broken pipe.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

OK: Final = 0
BAD: Final = 1
USAGE: Final = 2
INCONCLUSIVE: Final = 3
NOT_PERMITTED: Final = 4
NOT_FOUND: Final = 5
UNREACHABLE: Final = 6
CONFLICT: Final = 7
INTERNAL: Final = 70
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

# Where the HTTP status of a code alone would say something else.
_BY_CODE: Final = {
    "anchor-missing": INCONCLUSIVE,
    "stale": INCONCLUSIVE,
    "nodes-disagree": INCONCLUSIVE,
    "equivocation": BAD,
    "cbor-invalid": BAD,
    "cid-invalid": USAGE,
    "cid-unsupported": USAGE,
    "key-invalid": USAGE,
    "glob-invalid": USAGE,
    "name-invalid": USAGE,
    "file-failed": USAGE,
    "method-not-allowed": BAD,
    "not-acceptable": BAD,
    "too-large": BAD,
    "media-type-unsupported": BAD,
    "host-not-allowed": NOT_PERMITTED,
}
_BY_STATUS: Final = {
    400: USAGE,
    401: NOT_PERMITTED,
    403: NOT_PERMITTED,
    404: NOT_FOUND,
    409: CONFLICT,
    410: NOT_FOUND,
    422: BAD,
    429: UNREACHABLE,
    500: INTERNAL,
    502: UNREACHABLE,
    503: UNREACHABLE,
    504: UNREACHABLE,
    507: UNREACHABLE,
}
_BY_OUTCOME: Final = {
    "resolved": OK,
    "yanked": NOT_FOUND,
    "not-found": NOT_FOUND,
    "pending": INCONCLUSIVE,
    "held": INCONCLUSIVE,
    "policy-unknown": INCONCLUSIVE,
    "refused": BAD,
}


def exit_of_code(code: str, http_status: int) -> int:
    """The exit code of an error: by its code where that says more than the status it comes with."""
    return _BY_CODE.get(code, _BY_STATUS.get(http_status, BAD))


def exit_of_decision(outcome: str, steps: Iterable[Mapping[str, Any]]) -> int:
    """The exit code of a resolve: a fork that the reader forbids is inconclusive, any other refusal is a no."""
    if outcome == "refused" and any(not step["ok"] and "fork" in step["code"] for step in steps):
        return INCONCLUSIVE
    return _BY_OUTCOME.get(outcome, INCONCLUSIVE)
