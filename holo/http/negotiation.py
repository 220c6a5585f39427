"""Which representation a request asks for (RFC 9110 section 12.5.1), and how long it will wait (RFC 7240)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from holo.core import limits
from holo.core.errors import Rejected

JSON: Final = "application/json"
COSE: Final = "application/cose"
DAG_CBOR: Final = "application/vnd.ipld.dag-cbor"
EVENTS: Final = "text/event-stream"
HTML: Final = "text/html"
METRICS: Final = "text/plain"

_WAIT: Final = re.compile(r"wait\s*=\s*\"?(\d{1,4})\"?", re.ASCII)


def choose(accept: str | None, offered: Sequence[str]) -> str:
    """The media type of ``offered``, ours first, that ``accept`` likes best. Raises ``not-acceptable``.

    Between equal weights the more specific range wins, so ``application/cose, */*`` means COSE.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [_range(text) for text in accept.split(",")[: limits.ACCEPT_RANGES]]
    best: tuple[float, int, int] | None = None
    chosen = ""
    for index, media_type in enumerate(offered):
        quality, specificity = _quality(media_type, ranges)
        rank = (quality, specificity, -index)
        if quality > 0 and (best is None or rank > best):
            best, chosen = rank, media_type
    if not chosen:
        raise Rejected("not-acceptable", f"this resource has {', '.join(offered)}", at="header.accept")
    return chosen


def media_type_of(content_type: str | None) -> str:
    """The bare media type of a Content-Type header, in lower case; empty where there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def wait_s_of(prefer: str | None) -> int:
    """The seconds of ``Prefer: wait=N``, at most the bound; 0 without. Preferences we do not know are ignored."""
    for preference in (prefer or "").split(","):
        found = _WAIT.fullmatch(preference.partition(";")[0].strip())
        if found:
            return min(int(found[1]), limits.WAIT_S_MAX)
    return 0


def _range(text: str) -> tuple[str, float]:
    """(range, weight) of one element of Accept; a weight that cannot be read counts as 1."""
    name, *parameters = (part.strip() for part in text.split(";"))
    weight = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q" and re.fullmatch(r"(0(\.\d{0,3})?|1(\.0{0,3})?)", value.strip(), re.ASCII):
            weight = float(value)
    return name.lower(), weight


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """(weight, specificity) of the most specific range that matches."""
    kind = media_type.partition("/")[0]
    best = (0.0, -1)
    for name, weight in ranges:
        specificity = {media_type: 2, f"{kind}/*": 1, "*/*": 0}.get(name, -1)
        if specificity > best[1]:
            best = (weight, specificity)
    return best
