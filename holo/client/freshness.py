"""Whether a node still says what it said: its newest head against the clock, and against what it showed before.

A node that is frozen, put back or replaced by a copy answers with good signatures, so only time and memory tell. The
head it shows may not be older than the reader allows, and not older than one it showed this reader before; another log
has to lead back to the one it showed. Two heads that contradict each other are kept as evidence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from holo.core import codec, limits
from holo.core.cid import Cid
from holo.core.errors import HoloError
from holo.core.head import LOG_GENESIS_TYPE, Head, contradiction, open_head
from holo.core.keys import Kid, did_of
from holo.http.base64url import decode_base64url
from holo.http.types import CatalogReply, ObjectReply
from holo.store.seen import Seen

T = TypeVar("T")

_LOGS_BACK: Final = 16


class Memory(Protocol):
    """What remembers heads: :class:`~holo.store.seen.SeenHeads`."""

    def newest(self, node: Kid) -> Seen | None: ...
    def remember(self, shown: Seen, instead_of: Seen | None) -> None: ...
    def keep_evidence(self, evidence: Cid, data: bytes) -> Path: ...


class Asking(Protocol):
    """Asks one node for a resource as a type."""

    def __call__(self, path: str, type: type[T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old a node's newest head may be by this machine's clock (None: of any age), and what it is held against."""

    memory: Memory
    max_age_ms: int | None
    clock_ms: Callable[[], int]
    warn: Callable[[str], None] = lambda _: None

    def check(self, url: str, ask: Asking) -> Kid:
        """The key of the node at ``url``, whose newest head is neither too old nor contrary to what was seen.

        Raises ``stale`` or ``equivocation``, and what ``ask`` raises: ``not-found`` of a node that has no head yet.
        """
        shown = _shown(url, ask)
        seen = self.memory.newest(shown.head.signer)
        if seen is None or seen.head.id != shown.head.id:
            if seen is not None:
                self._compare(url, ask, seen, shown)
            try:
                self.memory.remember(shown, seen)
            except (OSError, HoloError) as error:  # a reader without a home of its own, or with one that is full
                self.warn(f"not remembered what {url} showed: {error}")
        self._check_age(url, shown.head)
        return shown.head.signer

    def _check_age(self, url: str, head: Head) -> None:
        age_ms = self.clock_ms() - head.at_ms
        if self.max_age_ms is not None and abs(age_ms) > self.max_age_ms:
            where = "old" if age_ms > 0 else "ahead of this machine's clock"
            raise _stale(url, f"its newest head, {head.seq}, is {abs(age_ms) // 1000} s {where}")

    def _compare(self, url: str, ask: Asking, seen: Seen, shown: Seen) -> None:
        before, now = seen.head, shown.head
        if before.log != now.log:
            if not _leads_back(ask, now.log, before.log):
                raise _stale(url, f"log {now.log} does not go on from {before.log}, which it showed before")
            self.warn(f"{url}: began a new log after {before.log}: the node lost what it had signed since a backup")
            return
        found = contradiction(before, now)
        if found is not None:
            raise self._exposed(url, seen, shown, found)
        if now.seq < before.seq:
            raise _stale(url, f"it shows head {now.seq} of log {now.log}, and showed {before.seq} before")

    def _exposed(self, url: str, seen: Seen, shown: Seen, found: str) -> HoloError:
        from holo.core.equivocation import equivocation_of  # nobody pays for it before there is any

        evidence, kept = equivocation_of(seen.envelope, shown.envelope), "and could not be kept"
        assert evidence is not None
        with contextlib.suppress(OSError, HoloError):
            kept = f"kept in {self.memory.keep_evidence(evidence.id, evidence.bytes)}"
        detail = f"{url}: {did_of(shown.head.signer)} signed two truths: {found}; the proof is {evidence.id}, {kept}"
        return HoloError("equivocation", detail, subject=url)


def _shown(url: str, ask: Asking) -> Seen:
    """The newest head that a node shows, its signature verified."""
    reply = ask("/v1/catalogs/current", CatalogReply)
    envelope = decode_base64url(reply.head_cose, 2 * limits.HEAD_BYTES, at="head_cose")
    head = open_head(envelope)
    if (str(head.id), str(head.catalog)) != (reply.head, reply.catalog):
        raise HoloError("reply-invalid", f"{url} sent another head than it names", subject=url)
    return Seen(head, envelope)


def _leads_back(ask: Asking, log: Cid, before: Cid) -> bool:
    """Whether a log was begun, by way of few others, in place of ``before``."""
    for _ in range(_LOGS_BACK):
        reply = ask(f"/v1/objects/{log}", ObjectReply)
        data = decode_base64url(reply.data, limits.HEAD_BYTES, at="data")
        value = codec.decode(data, limits.HEAD_BYTES) if log.matches(data) else None
        if not isinstance(value, dict) or value.get("type") != LOG_GENESIS_TYPE:
            return False
        following = value.get("prev_log")
        if following == before:
            return True
        if not isinstance(following, Cid):
            return False
        log = following
    return False


def _stale(url: str, detail: str) -> HoloError:
    return HoloError("stale", f"{url}: {detail}", subject=url)
