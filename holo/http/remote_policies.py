"""Consumer policies that are asked by with their CID alone: kept by this home, or fetched from peers, within bounds.

A stranger names the CID, so what a fetch may cost is bounded whoever asks: so many a second by address, so many at a
time, one for each CID, each for so long. What came is checked against its CID, read as a policy, and kept while there
is room; that nobody has it is remembered for a while. Where a bound is met the question is answered as by a node that
does not hold the policy, which is what it then is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from holo.core.cid import DAG_CBOR, Cid
from holo.core.consumer import ConsumerPolicy, decode_consumer_policy
from holo.core.errors import HoloError, Rejected
from holo.core.limits import CONSUMER_POLICY_BYTES
from holo.http.allowance import Allowance

FETCHES_PER_SECOND: Final = 4  # by address
FETCHES_AT_ONCE: Final = 16
FETCH_S: Final = 5.0
KEPT_BYTES: Final = 4 * 1024 * 1024
ABSENT_S: Final = 30.0
ABSENT_KEPT: Final = 4096

Fetch = Callable[[Cid], Awaitable[bytes | None]]
Find = Callable[[Cid], bytes | None]


class RemotePolicies:
    """Finds consumer policies: by ``find`` what is kept here, by ``fetch`` what peers have. Owned by the trio thread.

    Either gives their bytes or None. ``fetched`` counts what came of fetches: ``found``, ``absent``, ``late``,
    ``refused`` (an address asked for more than it may, or too much was under way), ``invalid`` (something else than a
    consumer policy has that CID).
    """

    def __init__(self, fetch: Fetch | None = None, find: Find | None = None) -> None:
        self._fetch = fetch
        self._find = find
        self._allowance = Allowance(FETCHES_PER_SECOND)
        self._kept: OrderedDict[Cid, ConsumerPolicy] = OrderedDict()
        self._kept_bytes = 0
        self._absent: OrderedDict[Cid, float] = OrderedDict()
        self._under_way: dict[Cid, trio.Event] = {}
        self.fetched = dict.fromkeys(("found", "absent", "late", "refused", "invalid"), 0)

    @property
    def on(self) -> bool:
        """Whether there is anywhere to look."""
        return self._fetch is not None or self._find is not None

    async def find(self, cid: Cid, address: str) -> ConsumerPolicy | None:
        """The policy ``cid``, for a client at ``address``; None where it cannot be had now."""
        if cid.codec != DAG_CBOR:
            return None
        kept = self._known(cid) or self._own(cid)
        if kept is not None or self._fetch is None:
            return kept
        while True:
            known = self._known(cid)
            if known is not None or self._absent.get(cid, 0.0) > trio.current_time():
                return known
            waited = self._under_way.get(cid)
            if waited is None:
                break
            await waited.wait()  # and ask again where whoever asked left before there was an answer
        if not self._may(address):
            self.fetched["refused"] += 1
            return None
        done = self._under_way[cid] = trio.Event()
        try:
            return await self._ask(self._fetch, cid)
        finally:
            del self._under_way[cid]
            done.set()

    def _own(self, cid: Cid) -> ConsumerPolicy | None:
        data = None if self._find is None else self._find(cid)
        if data is None:
            return None
        try:
            found = decode_consumer_policy(data)
        except HoloError:
            return None
        self._keep(found)
        return found

    def _known(self, cid: Cid) -> ConsumerPolicy | None:
        found = self._kept.get(cid)
        if found is not None:
            self._kept.move_to_end(cid)
        return found

    def _may(self, address: str) -> bool:
        if len(self._under_way) >= FETCHES_AT_ONCE:
            return False
        try:
            self._allowance.take(address, 1, trio.current_time())
        except HoloError:
            return False
        return True

    async def _ask(self, fetch: Fetch, cid: Cid) -> ConsumerPolicy | None:
        data: bytes | None = None
        with trio.move_on_after(FETCH_S) as patience:
            data = await fetch(cid)
        if patience.cancelled_caught:
            self.fetched["late"] += 1
        if data is None:
            if not patience.cancelled_caught:
                self.fetched["absent"] += 1
                self._forget(cid)
            return None
        try:
            found = decode_consumer_policy(data)
            if found.id != cid:
                raise Rejected("cid-mismatch", str(cid), subject=str(cid))
        except HoloError:
            self.fetched["invalid"] += 1
            self._forget(cid)
            return None
        self.fetched["found"] += 1
        self._keep(found)
        return found

    def _keep(self, policy: ConsumerPolicy) -> None:
        self._kept[policy.id] = policy
        self._kept_bytes += _room_bytes(policy)
        while self._kept_bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= _room_bytes(oldest)

    def _forget(self, cid: Cid) -> None:
        """Remember for a while that nobody has it."""
        self._absent.pop(cid, None)
        self._absent[cid] = trio.current_time() + ABSENT_S
        if len(self._absent) > ABSENT_KEPT:
            self._absent.popitem(last=False)


def _room_bytes(policy: ConsumerPolicy) -> int:
    """What a kept policy takes, about: small ones are mostly objects."""
    return 1024 + 8 * len(policy.statement.bytes)


assert KEPT_BYTES > 1024 + 8 * CONSUMER_POLICY_BYTES, "one policy has room, however large"
