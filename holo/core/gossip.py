"""Pushing: what is still to be said to a peer, to whom first, when to knock again, how much to take (spec section 7.6).

All of it only makes records arrive sooner, or keeps a peer from asking too much. Nothing here has to be right for peers
to agree: what is dropped, forgotten or refused for being too much is found by comparing (:mod:`holo.core.pull`).
Time and chance are arguments.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Final, Protocol, TypeVar

from blake3 import blake3

from holo.core import limits
from holo.core.carried import Carried

_ID_BYTES: Final = 16
_GROWTH: Final = 3.0

_Item = TypeVar("_Item")


class Random(Protocol):
    """What is needed of ``random.Random``."""

    def random(self) -> float:
        """From 0 up to, and not, 1."""

    def sample(self, population: Sequence[_Item], k: int, /) -> list[_Item]:
        """``k`` different ones."""


def record_id(carried: Carried) -> bytes:
    """What tells one push from another: 16 bytes over the payload and who endorses it. More endorsers, another id."""
    hasher = blake3(carried.payload)
    for kid, _ in carried.endorsements:
        hasher.update(kid)
    return hasher.digest(_ID_BYTES)


class Outbox:
    """What is to be pushed to one peer, first in first out, and what that peer is known to have.

    Where it is full the oldest is dropped and counted in :attr:`dropped`. Of what the peer has as much is remembered as
    ``most_known``, the latest: to forget costs a push that was not needed.
    """

    def __init__(self, most_records: int, most_known: int = limits.KNOWN_RECORDS) -> None:
        assert most_records > 0
        self._most_records = most_records
        self._most_known = most_known
        self._waiting: OrderedDict[bytes, Carried] = OrderedDict()
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, id: bytes, carried: Carried) -> bool:
        """Say it to the peer; False where it is known to have it, or is about to be told."""
        if id in self._known or id in self._waiting:
            return False
        self._waiting[id] = carried
        if len(self._waiting) > self._most_records:
            self._waiting.popitem(last=False)
            self.dropped += 1
        return True

    def note(self, id: bytes) -> None:
        """The peer has it: it said so itself."""
        self._waiting.pop(id, None)
        self._remember(id)

    def take(self, most_records: int = limits.RECORDS_PER_PUSH, most_bytes: int = limits.ANSWER_BYTES) -> list[Carried]:
        """What to push next, at least one record where any waits. From now on the peer counts as having it."""
        taken: list[Carried] = []
        room = most_bytes
        while self._waiting and len(taken) < most_records:
            id, carried = next(iter(self._waiting.items()))
            room -= carried.size_bytes
            if room < 0 and taken:
                break
            del self._waiting[id]
            self._remember(id)
            taken.append(carried)
        return taken

    def _remember(self, id: bytes) -> None:
        self._known[id] = None
        self._known.move_to_end(id)
        if len(self._known) > self._most_known:
            self._known.popitem(last=False)


def choose(rng: Random, peers: Sequence[_Item], fanout: int) -> list[_Item]:
    """Whom to push to at once: ``fanout`` of ``peers``, or all where there are no more, in the order given."""
    if len(peers) <= fanout:
        return list(peers)
    return [peers[at] for at in sorted(rng.sample(range(len(peers)), fanout))]


class Backoff:
    """How long to wait before knocking again: from ``first_s`` on, up to three times as long as before, at most
    ``most_s``; by chance, so that many that were cut off together do not come back together."""

    def __init__(self, first_s: float, most_s: float) -> None:
        assert 0 < first_s <= most_s
        self._first_s = first_s
        self._most_s = most_s
        self._before_s = first_s

    def next_s(self, rng: Random) -> float:
        """The next wait."""
        most_s = min(self._most_s, self._before_s * _GROWTH)
        self._before_s = self._first_s + rng.random() * (most_s - self._first_s)
        return self._before_s

    def reset(self) -> None:
        """It went well: begin again."""
        self._before_s = self._first_s


class Budgets:
    """How much each may do: a bucket of ``burst`` tokens that fills by ``per_second``, for each of many keys.

    A bucket that is full again is forgotten, which changes nothing. Where ``most_keys`` are not, whatever else comes
    shares one more: new keys cost whoever makes them nothing, and must not bring anything either.
    """

    def __init__(self, per_second: float, burst: float, most_keys: int = limits.BUDGETS) -> None:
        assert per_second > 0
        assert burst > 0
        self._per_second = per_second
        self._burst = burst
        self._most_keys = most_keys
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._shared = (burst, 0.0)

    def __len__(self) -> int:
        return len(self._buckets)

    def spend(self, key: Hashable, cost: float, now_s: float) -> bool:
        """Take ``cost`` tokens of ``key``; False, and nothing taken, where there are not as many.

        What costs more than a full bucket can never be had. ``now_s`` must not run backwards.
        """
        left = self.left(key, now_s)
        if cost > left:
            return False
        if key not in self._buckets and len(self._buckets) >= self._most_keys:
            self._shared = left - cost, now_s
            return True
        self._buckets[key] = left - cost, now_s
        self._buckets.move_to_end(key)
        return True

    def left(self, key: Hashable, now_s: float) -> float:
        """How many tokens ``key`` has."""
        bucket = self._buckets.get(key)
        if bucket is None:
            self._forget(now_s)
            bucket = self._shared if len(self._buckets) >= self._most_keys else (self._burst, now_s)
        return self._filled(bucket, now_s)

    def wait_s(self, key: Hashable, cost: float, now_s: float) -> float:
        """How long until ``key`` has ``cost`` tokens, or as many as there can be."""
        return max(0.0, (min(cost, self._burst) - self.left(key, now_s)) / self._per_second)

    def _filled(self, bucket: tuple[float, float], now_s: float) -> float:
        tokens, at_s = bucket
        return min(self._burst, tokens + max(0.0, now_s - at_s) * self._per_second)

    def _forget(self, now_s: float) -> None:
        """Drop the buckets used longest ago, as long as they are full again."""
        while self._buckets and self._filled(next(iter(self._buckets.values())), now_s) >= self._burst:
            self._buckets.popitem(last=False)
