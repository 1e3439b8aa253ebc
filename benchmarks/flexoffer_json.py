"""Flex-offers of 16 slices: JSON decoded and validated into the core, judged, and held in memory."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from flexhub.core import documents
from flexhub.core.batch import FlexOfferBatch
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.judge import violations

SLICES = 16
LIVE = 100_000
BATCH = 20_000


def offer() -> FlexOffer:
    """An offer of 16 slices with total energy, as an agent would post it."""
    noon = datetime(2026, 3, 29, 12, tzinfo=UTC)
    return FlexOffer(
        id="offer-000001",
        issuer="prosumer-1",
        created=noon,
        accept_before=noon + timedelta(hours=1),
        start_after=noon + timedelta(hours=2),
        start_before=noon + timedelta(hours=4),
        profiles=(
            Profile(
                slices=tuple(Slice(energy_kwh=(EnergyRange(0.25, 1.25 + i / 100),)) for i in range(SLICES)),
                total_energy_kwh=EnergyRange(10.0, 16.0),
            ),
        ),
    )


@dataclass(frozen=True)
class PlainRange:
    """The peer's range, with the same check."""

    lo_kwh: float
    hi_kwh: float

    def __post_init__(self) -> None:
        if not -math.inf < self.lo_kwh <= self.hi_kwh < math.inf:
            raise ValueError(self)


@dataclass(frozen=True)
class PlainOffer:
    """The peer: the standard library's json and dataclasses, with no check but that of ranges."""

    id: str
    issuer: str
    created: datetime
    start_after: datetime
    start_before: datetime
    slices: tuple[PlainRange, ...]
    total_energy_kwh: PlainRange


def plain(data: bytes) -> PlainOffer:
    """Decode with the standard library."""
    o: dict[str, Any] = json.loads(data)
    profile = o["profiles"][0]
    return PlainOffer(
        id=o["id"],
        issuer=o["issuer"],
        created=datetime.fromisoformat(o["created"]),
        start_after=datetime.fromisoformat(o["start_after"]),
        start_before=datetime.fromisoformat(o["start_before"]),
        slices=tuple(PlainRange(**s["energy_kwh"][0]) for s in profile["slices"]),
        total_energy_kwh=PlainRange(**profile["total_energy_kwh"]),
    )


HOLD = """
import json, resource, sys
from benchmarks.flexoffer_json import offer
from flexhub.core import documents
from flexhub.core.flexoffer import FlexOffer
count, peer = int(sys.argv[1]), sys.argv[2] == "peer"
data = documents.encode(offer())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
docs = (data.replace(b"000001", b"%06d" % i) for i in range(count))
live = [json.loads(d) for d in docs] if peer else [documents.decode(FlexOffer, d) for d in docs]
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(after if not peer else after - before)
"""
"""Run in a process of its own; prints the peak of its resident memory in KiB (for the peer: what its objects added)."""


def _resident_kib(count: int, who: str) -> int:
    run = subprocess.run([sys.executable, "-c", HOLD, str(count), who], capture_output=True, text=True, check=True)
    return int(run.stdout)


def rate(work: Callable[[], object], seconds: float = 1.0) -> float:
    """Calls a second: the best of five stretches, which is the one least disturbed by other programs."""
    best = 0.0
    for _ in range(5):
        calls, start, spent = 0, perf_counter(), 0.0
        while spent < seconds / 5:
            work()
            calls += 1
            spent = perf_counter() - start
        best = max(best, calls / spent)
    return best


def run() -> list[Figure]:
    """Rates of decoding and judging, and the memory of 100,000 live offers (the whole process)."""
    data = documents.encode(offer())
    schedule = Schedule(
        start=offer().start_after or offer().created,
        profile=0,
        slices=(ScheduleSlice(energy_kwh=0.75),) * SLICES,
    )
    judged = offer()
    batch = FlexOfferBatch.from_offers((judged,) * BATCH, judged.created)
    energies = np.full(BATCH * SLICES, 0.75)
    few = LIVE // 10
    return [
        Figure(
            name="flex-offer JSON, 16 slices, decoded and validated",
            value=rate(lambda: documents.decode(FlexOffer, data)),
            unit="offers/s",
            target=30_000,
            peer_name="json + dataclasses, unvalidated",
            peer=rate(lambda: plain(data)),
        ),
        Figure(
            name="a schedule of 16 slices judged",
            value=1e6 / rate(lambda: violations(judged, schedule)),
            unit="us",
            at_most=True,
            target=25,
        ),
        Figure(
            name="schedules of 16 slices judged in columns",
            value=BATCH * rate(lambda: batch.violations_mask(batch.first_start, energies)),
            unit="schedules/s",
            peer=rate(lambda: violations(judged, schedule)),
            peer_name="one by one",
        ),
        Figure(
            name="process with 100,000 live flex-offers of 16 slices",
            value=_resident_kib(LIVE, "ours") / 1024,
            unit="MiB",
            at_most=True,
            target=1024,
            peer_name="dicts of json (10,000, times ten)",
            peer=_resident_kib(few, "peer") / 1024 * LIVE / few,
        ),
    ]
