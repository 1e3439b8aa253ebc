"""A dependency-based flex-offer (DFO): what each slot may take, given what was used before.

Of slot t it is a convex polygon of points (x, e), x the energy used before and e the energy of the slot. Here it is
held by its lower and its upper side, over the x that can be reached, and **complete**: x + e lies within what the next
slot knows, for every point. So every prefix that keeps its polygons can be completed, and so can the whole be met.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from flexhub.core.algebra.envelope import Chain
from flexhub.core.batch import Floats
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import EnergyRange, HalfPlane, Profile, Slice

MOST_CORNERS: Final = 31
"""Of a side; more are left out, so that a slice has no more rows than a message holds (64)."""


NEAR: Final = 1e-3
"""Corners of a side over [0, 1] that are nearer to each other are moved apart."""


class Polygon(NamedTuple):
    """``least(x) <= e <= most(x)``, kWh; least is convex and most concave, both over the same x."""

    least: Chain
    most: Chain

    def rows(self) -> Floats:
        """Half-planes ``a x + b e <= c`` in columns a, b, c: float64[n, 3]; beyond the x of the polygon, its edges."""
        sides = []
        for sign, side in ((1.0, self.least), (-1.0, self.most)):
            run = np.diff(side.x)
            slope = np.diff(side.y)[run > 0] / run[run > 0]
            at = side.x[:-1][run > 0], side.y[:-1][run > 0]
            if not len(slope):  # one x only
                slope, at = np.zeros(1), (side.x[:1], side.y[:1])
            sides.append(np.column_stack((sign * slope, np.full(len(slope), -sign), sign * (slope * at[0] - at[1]))))
        return np.concatenate(sides)


@dataclass(frozen=True, slots=True, eq=False)
class Dfo:
    """A complete DFO: a polygon for each slot, whose corners of a side are `MOST_CORNERS` at most."""

    polygons: tuple[Polygon, ...]

    @property
    def slots(self) -> int:
        """Number of slots."""
        return len(self.polygons)

    def profile(self) -> Profile:
        """The same as slices of one slot each."""
        slices = []
        for polygon in self.polygons:
            low = float(polygon.least.y.min())
            bounds = EnergyRange(low, max(low, float(polygon.most.y.max())))
            rows = tuple(HalfPlane(*row) for row in polygon.rows().tolist())
            slices.append(Slice(energy_kwh=(bounds,), polygon=rows))
        return Profile(slices=tuple(slices))

    def excess_kwh(self, energies_kwh: Floats) -> float:
        """How far a schedule or a prefix (float64[t]) lies outside at most, of rows scaled as the judge does.

        Infinite where an energy is no number.

        Raises:
            InvalidError: more slots.
        """
        if energies_kwh.ndim != 1 or len(energies_kwh) > self.slots:
            raise InvalidError(f"{energies_kwh.shape} energies for {self.slots} slots", path="Dfo")
        if not np.isfinite(energies_kwh).all():
            return float("inf")
        worst, used = 0.0, 0.0
        for polygon, energy in zip(self.polygons, energies_kwh.tolist(), strict=False):
            a, b, c = polygon.rows().T
            worst = max(worst, float(((a * used + b * energy - c) / np.maximum(np.abs(a), np.abs(b))).max()))
            used += energy
        return worst


def thinned(side: Chain, most: int = MOST_CORNERS) -> Chain:
    """A side over [0, 1] by so many corners at most, those that matter most, none of them near the next.

    Corners are taken from the side, of which chords lie within the polygon. Of near ones the second moves along it: the
    slope between them would be of rounding mostly, and rows go on with it to the other end.
    """
    x, y = _apart(side)
    while len(x) > most:
        area = np.abs((x[1:-1] - x[:-2]) * (y[2:] - y[:-2]) - (x[2:] - x[:-2]) * (y[1:-1] - y[:-2]))
        least = int(np.argmin(area)) + 1
        x, y = np.delete(x, least), np.delete(y, least)
    return Chain(x, y)


def _apart(side: Chain) -> Chain:
    if not (np.diff(side.x) < NEAR).any():
        return side
    end = float(side.x[-1])
    knots = [float(side.x[0])]
    for corner in side.x[1:-1].tolist():
        if corner > knots[-1]:
            knots.append(max(corner, knots[-1] + NEAR))
    while len(knots) > 1 and knots[-1] > end - NEAR:
        knots.pop()
    if end > knots[0]:
        knots.append(end)
    x = np.array(knots)
    return Chain(x, side(x))
