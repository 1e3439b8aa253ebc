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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from flexhub.core.algebra.envelope import Lines
from flexhub.core.algebra.laying import lay
from flexhub.core.batch import FlexOfferBatch, Floats, Ints
from flexhub.core.errors import InvalidError
from flexhub.core.units import TOLERANCE_KWH

SLACK_KWH: Final = 1e-9
"""What rounding may take from a bound; added, so that a width of nearly nothing is no wall."""

LEAST_KWH: Final = 1e-12
"""A width that is smaller counts as this: bounds, which slack has moved by more, come to nothing all the same."""

BLOCK: Final = 16_384
"""Members whose lines are looked at together: they stay in the cache of a core."""


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
            sound = np.isfinite(lo) & np.isfinite(hi) & ~np.isnan(a) & ~np.isnan(b)
            k = int(np.argmin(sound.all(axis=0)))
            message = "energies of a slot are finite, and running totals are numbers"
            raise InvalidError(message, path=f"Storage[{k}]", value=names[k] if names else str(k))
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

        Before its start and after its end an offer takes nothing. Polygons may bound an energy (``b e <= c``) or a
        running total (``a x + a e <= c``) and nothing else.

        Raises:
            InvalidError: another polygon, a slice that is longer than a slot, an offer that can start elsewhere while
                no starts are given, or one of which nothing is feasible.
        """
        a, b, c = batch.row_a, batch.row_b, batch.row_c_kwh
        other = np.flatnonzero((a != 0) & (a != b))
        if len(other):
            name = batch.ids[int(batch.owners()[batch.row_slice[other[0]]])]
            raise InvalidError("polygons that bound no running total", path="FlexOfferBatch/row_slice", value=name)
        laid = lay(batch, starts)
        lo, hi = np.zeros(laid.floor_kwh.shape), np.zeros(laid.floor_kwh.shape)
        lo[laid.at, laid.owners], hi[laid.at, laid.owners] = batch.lo_kwh, batch.hi_kwh
        for total, least, most in ((False, lo, hi), (True, laid.floor_kwh, laid.ceiling_kwh)):
            for side, rows in ((most, (b > 0) & ((a != 0) == total)), (least, (b < 0) & ((a != 0) == total))):
                cut = np.minimum if side is most else np.maximum
                at = batch.row_slice[rows]
                cut.at(side, (laid.at[at], laid.owners[at]), c[rows] / b[rows])
        return cls.tightened(lo, hi, laid.floor_kwh, laid.ceiling_kwh, batch.ids), laid.first

    def take(self, rows: Ints | slice) -> Storage:
        """These members."""
        return Storage(*(side[:, rows] for side in (self.lo_kwh, self.hi_kwh, self.floor_kwh, self.ceiling_kwh)))

    def reach(self, t: int) -> tuple[Floats, Floats]:
        """Least and greatest running total before slot t, from 0 to the number of slots: float64[m] each."""
        if not t:
            return np.zeros(len(self)), np.zeros(len(self))
        return self.floor_kwh[t - 1], self.ceiling_kwh[t - 1]

    def lines(self, t: int) -> Iterator[tuple[Lines, Lines]]:
        """As of `coupling.Members`: ``x + lo <= y <= x + hi``."""
        least, most = self.reach(t)
        for i in range(0, len(self), BLOCK):
            part = slice(i, i + BLOCK)
            a, b = self.floor_kwh[t, part], self.ceiling_kwh[t, part]
            per_width = 1.0 / np.maximum(b - a, LEAST_KWH)
            rise = (most[part] - least[part]) * per_width
            below = least[part] - a
            below += self.lo_kwh[t, part]
            below -= SLACK_KWH
            below *= per_width
            above = b - least[part]
            above -= self.hi_kwh[t, part]
            above -= SLACK_KWH
            above *= per_width
            yield Lines(below, below + rise), Lines(above, above - rise)

    def last(self, used_kwh: Floats) -> tuple[Floats, Floats]:
        """Least and greatest energy of the last slot after running totals (float64[m]): float64[m] each."""
        least = np.maximum(self.lo_kwh[-1], self.floor_kwh[-1] - used_kwh)
        return least, np.maximum(np.minimum(self.hi_kwh[-1], self.ceiling_kwh[-1] - used_kwh), least)

    def excess_kwh(self, energies_kwh: Floats) -> Floats:
        """How far energies (float64[t, m]) lie outside of each member's bounds at most: float64[m]; 0 where inside."""
        running = np.cumsum(energies_kwh, axis=0)
        worst = np.maximum(self.lo_kwh - energies_kwh, energies_kwh - self.hi_kwh)
        worst = np.maximum(worst, np.maximum(self.floor_kwh - running, running - self.ceiling_kwh))
        excess: Floats = worst.max(axis=0, initial=0.0)
        return excess
