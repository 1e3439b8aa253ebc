"""Token buckets: so many requests a second, and some more at once after a pause."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from typing import Final

MOST_KEYS: Final = 100_000
"""So many buckets are kept; the one that was used longest ago goes first."""


class Buckets:
    """A bucket per key (a party, an address), each filled with `rate` tokens a second up to `burst`.

    Args:
        rate: tokens per second; each request takes one.
        burst: tokens in a full bucket.
        clock: seconds that go on whatever the clock says.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = monotonic) -> None:
        self.rate = rate
        self.burst = burst
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> int:
        """Take a token; 0, or how many seconds from now there will be one."""
        left, now = self._now(key)
        if left < 1:
            return math.ceil((1 - left) / self.rate)
        self._put(key, left - 1, now)
        return 0

    def empty(self, key: str) -> int:
        """As `take`, but takes none."""
        left, _ = self._now(key)
        return 0 if left >= 1 else math.ceil((1 - left) / self.rate)

    def _now(self, key: str) -> tuple[float, float]:
        now = self._clock()
        known = self._left.get(key)
        if known is None:
            return self.burst, now
        left, then = known
        return min(self.burst, left + (now - then) * self.rate), now

    def _put(self, key: str, left: float, now: float) -> None:
        self._left.pop(key, None)
        self._left[key] = (left, now)  # now the last in order
        if len(self._left) > MOST_KEYS:
            del self._left[next(iter(self._left))]
