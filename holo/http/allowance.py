"""How much one client address may ask for: a bucket each, refilled evenly, of a bounded number of addresses.

An IPv6 client usually owns a whole /64, so that is what is counted. When more addresses come than are remembered, the
one seen longest ago is forgotten, and with it what it had used up: forgetting favours the stranger, never refuses one.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from functools import lru_cache

from holo.core import limits
from holo.core.errors import Overloaded


class Allowance:
    """So many per second and address, of which a second's worth is saved up; 0 is no bound."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @property
    def bounded(self) -> bool:
        """Whether there is a bound."""
        return self._per_second > 0

    def take(self, address: str, count: int, now_s: float) -> None:
        """Use up ``count`` at ``now_s``, a monotonic time. Raises ``rate-limited`` where there is not so much left.

        A single request for more than a second's worth is let through when nothing else was used, and paid for after.
        """
        if not self._per_second or not address:
            return
        key = _network(address)
        left, at = self._buckets.pop(key, (float(self._per_second), now_s))
        left = min(self._per_second, left + (now_s - at) * self._per_second)
        needed = min(count, self._per_second)
        refused = left < needed
        self._buckets[key] = (left if refused else left - count, now_s)
        if len(self._buckets) > limits.ALLOWANCE_ADDRESSES:
            self._buckets.popitem(last=False)
        if refused:
            wait_s = math.ceil((needed - left) / self._per_second)
            raise Overloaded("rate-limited", f"{self._per_second} resolves a second", retry_after_s=wait_s)


@lru_cache(maxsize=4096)
def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((parsed, 64), strict=False))
