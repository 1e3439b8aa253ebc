"""A million slice flex-offers of 11.5 slices in about 200 groups: aggregated, disaggregated, and 1,000 of them changed.

The peer is start alignment as one writes it down in numpy, for this one kind of offer: no grid, no deadlines, sums that
depend on their order, and no way to take an offer out again.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median
from typing import TypeVar

import numpy as np

from benchmarks.figure import Figure
from flexhub.core.algebra.aggregator import Aggregator, aggregate
from flexhub.core.algebra.grouping import Dimension
from flexhub.core.algebra.members import Members
from flexhub.core.algebra.slices import Aggregates, Parts
from flexhub.core.batch import FlexOfferBatch, Floats, Ints

T = TypeVar("T")

OFFERS = 1_000_000
CHANGED = 1_000
ROUNDS = 5
DAY = 96
FIRST = 1_967_040
PLACES = 2
TOLERANCES = {Dimension.START_AFTER: 3600.0, Dimension.TIME_FLEXIBILITY: 3600.0, Dimension.LOCATION: 0.0}


def offers(count: int, seed: int, name: str = "o") -> Members:
    """Offers of 4 to 19 slices that start within a day and may be shifted by up to four hours."""
    random = np.random.default_rng(seed)
    counts = random.integers(4, 20, count)
    n = int(counts.sum())
    first = FIRST + random.integers(0, DAY, count)
    lo = random.uniform(0, 1, n)
    endless = np.full(count, np.inf)
    none = np.zeros(0)
    batch = FlexOfferBatch(
        ids=tuple(f"{name}{i}" for i in range(count)),
        resolution_s=900,
        first_start=first,
        last_start=first + random.integers(0, 16, count),
        offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(counts))),
        duration=np.ones(n, dtype=np.int64),
        lo_kwh=lo,
        hi_kwh=lo + random.uniform(0, 1, n),
        total_lo_kwh=-endless,
        total_hi_kwh=endless,
        subtotal_lo_kwh=-endless,
        subtotal_hi_kwh=endless,
        row_slice=none.astype(np.int64),
        row_a=none,
        row_b=none,
        row_c_kwh=none,
    )
    place: Ints = random.integers(0, PLACES, count)
    return Members(batch=batch, anchor=first, default_kwh=None, given={Dimension.LOCATION: place})


def sketch(members: Members) -> tuple[Callable[[], int], Callable[[], Floats]]:
    """Aggregation, which tells the number of groups, and disaggregation of the plan halfway between the bounds."""
    batch = members.batch
    place = np.asarray(members.given[Dimension.LOCATION]).astype(np.int64)
    kept: dict[str, Floats] = {}
    rows: dict[str, Ints] = {}

    def merge() -> int:
        tes, slack = batch.first_start, batch.last_start - batch.first_start
        _, group = np.unique((tes // 4 * 64 + slack // 4) * 8 + place, return_inverse=True)
        size = int(group.max()) + 1
        first: Ints = np.full(size, 1 << 60)
        np.minimum.at(first, group, tes)
        least = np.full(size, 1 << 60)
        np.minimum.at(least, group, slack)
        width = 2 * DAY
        counts = batch.counts()
        start = group * width + tes - first[group]
        at: Ints = np.repeat(start - batch.offsets[:-1], counts) + np.arange(len(batch.lo_kwh))
        kept["lo"] = np.bincount(at, batch.lo_kwh, size * width).astype(np.float64)
        kept["hi"] = np.bincount(at, batch.hi_kwh, size * width).astype(np.float64)
        rows["at"] = at
        return size

    def split() -> Floats:
        whole = kept["hi"] - kept["lo"]
        share = np.divide(0.5 * whole, whole, out=np.zeros_like(whole), where=whole > 0)
        energies: Floats = batch.lo_kwh + share[rows["at"]] * (batch.hi_kwh - batch.lo_kwh)
        return energies

    return merge, split


def timed(what: Callable[[], T]) -> tuple[float, T]:
    """Seconds and result."""
    gc.collect()
    began = time.perf_counter()
    result = what()
    return time.perf_counter() - began, result


def _once(members: Members, merged: list[float], parted: list[float]) -> tuple[Aggregator, Aggregates, Parts]:
    """Aggregate and disaggregate, and note the seconds of both."""
    seconds, aggregator = timed(lambda: aggregate(members, TOLERANCES))
    more, found = timed(aggregator.aggregates)
    merged.append(seconds + more)
    middle = (found.batch.lo_kwh + found.batch.hi_kwh) / 2
    seconds, parts = timed(partial(aggregator.disaggregate, found, found.batch.last_start, middle))
    parted.append(seconds)
    return aggregator, found, parts


def run() -> list[Figure]:
    """The best of some rounds each, ours and the peer's in turn, since the machine may be shared."""
    members = offers(OFFERS, 1)
    merge, split = sketch(members)
    merged: list[float] = []
    parted: list[float] = []
    sketched = []
    aggregator, found, parts = _once(members, merged, parted)
    for _ in range(ROUNDS - 1):
        sketched.append((timed(merge)[0], timed(split)[0]))
        aggregator, found, parts = _once(members, merged, parted)
    broken = int(members.batch.violations_mask(parts.starts, parts.energies_kwh).sum())
    changes = []
    for i in range(ROUNDS + 1):
        fresh = offers(CHANGED, 2 + i)
        names = np.random.default_rng(i).choice(OFFERS, CHANGED, replace=False).tolist()
        changed = replace(fresh, batch=replace(fresh.batch, ids=tuple(f"o{k}" for k in names)))
        changes.append(timed(partial(aggregator.put, changed))[0] + timed(aggregator.aggregates)[0])
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    name = f"{OFFERS:,} slice flex-offers"
    return [
        Figure(name=f"aggregate {name}", value=min(merged), unit="s", target=1.0, at_most=True,
               peer=min(a for a, _ in sketched), peer_name="a plain numpy sketch",
               note=f"{len(members.batch.lo_kwh):,} slices in {len(found)} groups"),
        Figure(name=f"disaggregate {name}", value=min(parted), unit="s", target=0.5, at_most=True,
               peer=min(b for _, b in sketched), peer_name="a plain numpy sketch",
               note=f"{broken} break a bound"),
        Figure(name=f"change {CHANGED:,} of {name}", value=1000 * median(changes[1:]), unit="ms", target=50.0,
               at_most=True, note=f"the first took {1000 * changes[0]:.0f} ms, since it indexes all ids"),
        Figure(name=f"memory of that with {name}", value=peak_gib, unit="GiB", target=2.0, at_most=True,
               note="the peer's arrays included"),
    ]  # fmt: skip
