"""Offers of a batch laid on common slots, so that they can be summed slot by slot."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flexhub.core.batch import FlexOfferBatch, Floats, Ints
from flexhub.core.errors import InvalidError


class Laid(NamedTuple):
    """m offers on t slots, from slot `first` (since the epoch) on.

    ``at, owners: int64[n]`` are slot and offer of each slice, ``floor_kwh, ceiling_kwh: float64[t, m]`` the bounds of
    running totals, infinite where there are none.
    """

    first: int
    at: Ints
    owners: Ints
    floor_kwh: Floats
    ceiling_kwh: Floats


def lay(batch: FlexOfferBatch, starts: Ints | None = None) -> Laid:
    """Offers that start in these slots: int64[m], by default their only ones.

    Raises:
        InvalidError: a slice that is longer than a slot, an offer that may start elsewhere while no starts are given,
            or a start outside of its window.
    """

    def refuse(which: Ints, what: str, field: str) -> None:
        if len(which):
            raise InvalidError(what, path=f"FlexOfferBatch/{field}", value=batch.ids[int(which[0])])

    owners = batch.owners()
    refuse(owners[batch.duration != 1], "slices longer than a slot", "duration")
    if starts is None:
        starts = batch.first_start
        several = np.flatnonzero(batch.last_start != starts)
        refuse(several, "the offer may start in several slots; choose one", "last_start")
    refuse(
        np.flatnonzero((starts < batch.first_start) | (starts > batch.last_start)), "no start of the offer", "starts"
    )
    ends = starts + batch.counts()
    first, end = (int(starts.min()), int(ends.max())) if len(batch) else (0, 0)
    at = np.arange(len(owners)) - batch.offsets[owners] + starts[owners] - first
    floor, ceiling = np.full((end - first, len(batch)), -np.inf), np.full((end - first, len(batch)), np.inf)
    floor[at, owners], ceiling[at, owners] = batch.subtotal_lo_kwh[owners], batch.subtotal_hi_kwh[owners]
    last, everyone = ends - 1 - first, np.arange(len(batch))
    floor[last, everyone] = np.maximum(floor[last, everyone], batch.total_lo_kwh)
    ceiling[last, everyone] = np.minimum(ceiling[last, everyone], batch.total_hi_kwh)
    return Laid(first, at, owners, floor, ceiling)
