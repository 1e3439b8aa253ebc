"""What is counted, in plain numbers: adding to them costs next to nothing, and only who asks pays for the text.

Every process counts for itself. Doors hand what they have counted to the hub's process, which tells of all.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from pathlib import Path
from typing import Final

import msgspec

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ENGINE_SECONDS: Final = (0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
BATCH: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


class Histogram(msgspec.Struct):
    """How many values fell at or below each bound, or above the last; and their sum."""

    bounds: tuple[float, ...]
    counts: list[int]
    sum: float = 0.0

    @classmethod
    def of(cls, bounds: tuple[float, ...]) -> Histogram:
        """An empty one."""
        return cls(bounds, [0] * (len(bounds) + 1))

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def merge(self, other: Histogram) -> None:
        """Count what another one of the same bounds has counted."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


class Served(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """What a process that speaks HTTP has counted since it last told, and how it is now."""

    requests: list[tuple[str, str, int, list[int], float]]
    streams: int
    memory: int


class Http:
    """Requests by method, route (its pattern, never the path itself) and status, with their latencies; open streams."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], Histogram] = {}
        self.streams = 0

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        key = method, route, status
        found = self.requests.get(key)
        if found is None:
            found = self.requests[key] = Histogram.of(SECONDS)
        found.add(seconds)

    def served(self) -> Served:
        """What was counted since the last call."""
        rows = [(*key, found.counts, found.sum) for key, found in self.requests.items()]
        self.requests = {}
        return Served(rows, self.streams, memory())

    def merge(self, served: Served) -> None:
        """Count what another process has served."""
        for method, route, status, counts, total in served.requests:
            key = method, route, status
            self.requests.setdefault(key, Histogram.of(SECONDS)).merge(Histogram(SECONDS, counts, total))


class Work:
    """What the hub has worked: messages by kind and outcome, commits, and questions to engines."""

    def __init__(self) -> None:
        self.messages: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.batches = Histogram.of(BATCH)
        self.commits = Histogram.of(SECONDS)
        self.engines: dict[str, Histogram] = {}
        self.http = Http()
        self.doors: dict[object, Served] = {}
        """What each door last told, for as long as it is there."""

    def answered(self, question: str, seconds: float) -> None:
        """Count a question that an engine has answered, or failed at."""
        self.engines.setdefault(question, Histogram.of(ENGINE_SECONDS)).add(seconds)

    def served(self, door: object, served: Served) -> None:
        """A door has told what it served."""
        self.http.merge(served)
        self.doors[door] = served

    def closed(self, door: object) -> None:
        """A door is gone; what it served was served."""
        self.doors.pop(door, None)


PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def memory() -> int:
    """Bytes of memory that this process holds; 0 where the system doesn't say."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return 0
