"""How long to wait between tries."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random


def doubling(first_s: float, longest_s: float, dice: Random) -> Iterator[float]:
    """Seconds, from the first on twice as many each time up to the longest; each is cut by up to a half at random."""
    pause = first_s
    while True:
        yield pause * dice.uniform(0.5, 1.0)
        pause = min(2 * pause, longest_s)
