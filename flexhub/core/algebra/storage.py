"""Storage-like flex-offers in columns: batteries, electric vehicles, and whatever has a total energy.

The energies of such an offer keep ``lo_t <= e_t <= hi_t`` in every slot and ``floor_t <= Y_t <= ceiling_t`` for the
running total ``Y_t = e_1 + ... + e_t``, with Y_0 = 0. A lossless battery of power P (kWh per slot), capacity C and
charge S has lo = -P, hi = P, floor = -S, ceiling = C - S; a total energy is a floor and a ceiling of the last slot.
Lossy storage is none of these: its set is not convex.

**Tightening.** Forward, ``f_t = max(floor_t, f_{t-1} + lo_t)`` and ``g_t = min(ceiling_t, g_{t-1} + hi_t)`` bound the
running totals that can be reached; backward, ``a_t = max(f_t, a_{t+1} - hi_{t+1})`` and ``b_t = min(g_t, b_{t+1} -
lo_{t+1})`` bound those from which the rest can be met. Each image of an interval is an interval, so both are exact, and
nothing is feasible exactly where some f_t > g_t. Then every running total in [a_t, b_t] is on a feasible path, no other
is, and consecutive ones fit: ``a_{t-1} + lo_t <= a_t <= a_{t-1} + hi_t``, and b likewise. So a prefix that has kept
[a, b] can always be completed; one that has merely kept floor and ceiling may end where nothing is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flexhub.core.batch import FlexOfferBatch, Floats, Ints
from flexhub.core.errors import InvalidError
from flexhub.core.units import TOLERANCE_KWH


class Bounds(NamedTuple):
    """Of m members over t slots, kWh: float64[t, m] each, or [1, m] where all slots have the same; not tightened.

    Least and greatest energy of each slot, least and greatest running total; totals may be infinite.
    """

    lo_kwh: Floats
    hi_kwh: Floats
    floor_kwh: Floats
    ceiling_kwh: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """m members over t slots, float64[t, m] each, kWh: slot by slot, since members are what is summed over.

    Args:
        lo_kwh: least energy of each slot.
        hi_kwh: greatest energy of each slot.
        floor_kwh: least running total at the end of each slot, tightened.
        ceiling_kwh: greatest running total, tightened.
    """

    lo_kwh: Floats
    hi_kwh: Floats
    floor_kwh: Floats
    ceiling_kwh: Floats

    def __len__(self) -> int:
        """Number of members."""
        return int(self.lo_kwh.shape[1])

    @property
    def slots(self) -> int:
        """Number of slots."""
        return len(self.lo_kwh)

    @classmethod
    def tightened(
        cls, lo_kwh: Floats, hi_kwh: Floats, floor_kwh: Floats, ceiling_kwh: Floats, names: Sequence[str] = ()
    ) -> Storage:
        """Members with these bounds, float64[t, m] each (or what broadcasts to that); O(t m).

        A floor or ceiling that the slots miss by the tolerance of the judge is widened to what they reach.

        Raises:
            InvalidError: a member of which nothing is feasible, by its name or number; or bounds that are no numbers.
        """
        shape = np.broadcast_shapes(*(np.shape(side) for side in (lo_kwh, hi_kwh, floor_kwh, ceiling_kwh)))
        if len(shape) != 2:
            raise InvalidError(f"bounds of {len(shape)} dimensions, not slots and members", path="Storage")
        lo, hi = (np.ascontiguousarray(np.broadcast_to(side, shape)) for side in (lo_kwh, hi_kwh))
        a, b = (np.array(np.broadcast_to(side, shape)) for side in (floor_kwh, ceiling_kwh))
        if not (np.isfinite(lo).all() and np.isfinite(hi).all()) or np.isnan(a).any() or np.isnan(b).any():
            raise InvalidError("energies of a slot are finite, and running totals are numbers", path="Storage")
        least = most = np.zeros(shape[1])
        for t in range(shape[0]):
            lowest, highest = least + lo[t], most + hi[t]
            missed = np.maximum(np.maximum(a[t] - highest, lowest - b[t]), np.maximum(lo[t] - hi[t], a[t] - b[t]))
            if (missed > TOLERANCE_KWH).any():
                k = int(np.argmax(missed))
                raise InvalidError(
                    f"no energies meet the bounds by slot {t}; {missed[k]:.6g} kWh are missing",
                    path=f"Storage[{k}]",
                    value=names[k] if names else str(k),
                )
            least = a[t] = np.minimum(np.maximum(a[t], lowest), highest)
            most = b[t] = np.maximum(np.minimum(b[t], highest), least)
        for t in range(shape[0] - 2, -1, -1):
            a[t] = np.maximum(a[t], a[t + 1] - hi[t + 1])
            b[t] = np.maximum(np.minimum(b[t], b[t + 1] - lo[t + 1]), a[t])
        return cls(lo, hi, a, b)

    @classmethod
    def from_batch(cls, batch: FlexOfferBatch, starts: Ints | None = None) -> tuple[Storage, int]:
        """Offers that start in these slots (int64[m]; by default their only ones), and the first slot of all.

        Before its start and after its end an offer takes nothing.

        Raises:
            InvalidError: a polygon, a slice that is longer than a slot, an offer that can start elsewhere while no
                starts are given, or one of which nothing is feasible.
        """
        if len(batch.row_slice):
            raise InvalidError("dependency polygons are not of the kind of a storage", path="FlexOfferBatch/row_slice")
        if (batch.duration != 1).any():
            raise InvalidError("slices longer than a slot", path="FlexOfferBatch/duration")
        if starts is None:
            starts = batch.first_start
            if (batch.last_start != starts).any():
                raise InvalidError("offers may start in several slots; choose one", path="FlexOfferBatch/last_start")
        if not len(batch):
            return cls(*(np.zeros((0, 0)) for _ in range(4))), 0
        first = int(starts.min())
        ends = starts + batch.counts()
        shape = int(ends.max()) - first, len(batch)
        owners = batch.owners()
        at = np.arange(len(owners)) - batch.offsets[owners] + starts[owners] - first
        lo, hi = np.zeros(shape), np.zeros(shape)
        lo[at, owners], hi[at, owners] = batch.lo_kwh, batch.hi_kwh
        floor, ceiling = np.full(shape, -np.inf), np.full(shape, np.inf)
        floor[at, owners], ceiling[at, owners] = batch.subtotal_lo_kwh[owners], batch.subtotal_hi_kwh[owners]
        last, everyone = ends - 1 - first, np.arange(len(batch))
        floor[last, everyone] = np.maximum(floor[last, everyone], batch.total_lo_kwh)
        ceiling[last, everyone] = np.minimum(ceiling[last, everyone], batch.total_hi_kwh)
        return cls.tightened(lo, hi, floor, ceiling, batch.ids), first

    def take(self, rows: Ints | slice) -> Storage:
        """These members."""
        return Storage(*(side[:, rows] for side in (self.lo_kwh, self.hi_kwh, self.floor_kwh, self.ceiling_kwh)))

    def excess_kwh(self, energies_kwh: Floats) -> Floats:
        """How far energies (float64[t, m]) lie outside of each member's bounds at most: float64[m]; 0 where inside."""
        running = np.cumsum(energies_kwh, axis=0)
        worst = np.maximum(self.lo_kwh - energies_kwh, energies_kwh - self.hi_kwh)
        worst = np.maximum(worst, np.maximum(self.floor_kwh - running, running - self.ceiling_kwh))
        excess: Floats = worst.max(axis=0, initial=0.0)
        return excess
