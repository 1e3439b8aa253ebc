"""One DFO for a group whose every schedule can be handed down: safe coupling.

Member k can reach running totals [a_t, b_t] by the end of slot t, all of which it can complete. The group couples them
by one number: at q in [0, 1] every member stands at ``y_k = a_k,t + q W_k,t``, W = b - a. A step from r before slot t
to q after it is a step of every member from x_k(r) to y_k(q). A bound ``a x + b e <= c`` of a member is, e = y - x,

    (a - b) x_k(r) + b y_k(q) <= c,

linear in (r, q). So the steps that all members can take are what all these half-planes leave of the unit square: a
convex polygon, above the highest of the lines with b < 0 and below the lowest of those with b > 0 (`envelope`), found
exactly whatever members there are. In sums, ``X = sum x_k(r)`` and ``E = sum y_k(q) - X``, it is a polygon of (X, E).

**It can be completed, and every group can be coupled.** Of each member every x_k(r) leads somewhere and every y_k(q)
is led to, so its part of the unit square is convex and touches all four sides. Such a part holds the middle: if a line
of normal n kept the middle out, touching the far side of r would ask |n_q| > |n_r|, and the far side of q the reverse.
So r = q = 1/2 is a step of all members in every slot, and a backward sweep, which leaves only steps into an r of the
next slot from which there is a step, leaves at least these. Of storage-like members even q = r is always a step:
x_k(r) + lo_k <= a_t + r W_t <= x_k(r) + hi_k holds at r = 0 and r = 1, as bounds are tightened, and is linear.
The last slot is not coupled: nothing
follows, so each member takes any energy that it can, and sums are bounded by sums of members' bounds, convex and
concave in r; chords between samples are within.

**Law.** A feasible schedule of the DFO gives X_t, and so q = (X_t - sum a_k) / sum W_k of every slot, with (r, q) in
the polygon of every slot; so member k, going from a + r W to a + q W, keeps all of its bounds, and the members sum to
the schedule. In the last slot E is within the sums of the members' bounds, and each takes its least and the same share
of what it can take more. A prefix is handed down by the same rule and the rest exists, as above.

Members whose W is nearly 0 stand still, whatever q. Their bounds are widened by `SLACK_KWH` instead of taking them out:
divided by W, it is no bound at all. A member that is done while its total is still open (W > 0) freezes the group, as
it can only keep q = r: give it one total first (`packing.settled`), or group by when members are done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np

from flexhub.core.algebra.dfo import Dfo, Polygon, thinned
from flexhub.core.algebra.envelope import Chain, Lines, highest
from flexhub.core.batch import Floats, Ints
from flexhub.core.errors import InvalidError
from flexhub.core.units import TOLERANCE_KWH

SAMPLES: Final = np.linspace(0.0, 1.0, 17)
"""The r at which the last slot's bounds are summed."""


class Members(Protocol):
    """What can be coupled: m members over t slots."""

    @property
    def slots(self) -> int:
        """Number of slots."""

    def __len__(self) -> int:
        """Number of members."""

    def reach(self, t: int) -> tuple[Floats, Floats]:
        """Least and greatest running total before slot t, from 0 to the number of slots: float64[m] each."""

    def lines(self, t: int) -> Iterator[tuple[Lines, Lines]]:
        """Lines over r in slot t that q is above, and lines that 1 - q is above; in blocks of members."""

    def last(self, used_kwh: Floats) -> tuple[Floats, Floats]:
        """Least and greatest energy of the last slot after running totals (float64[m]): float64[m] each."""

    def take(self, rows: Ints | slice) -> Self:
        """These members."""


@dataclass(frozen=True, slots=True, eq=False)
class Coupled:
    """Members and the DFO that stands for them.

    ``least_kwh, width_kwh: float64[t + 1]``: sums of a and of W before each slot and after the last.
    """

    members: Members
    dfo: Dfo
    least_kwh: Floats
    width_kwh: Floats

    def disaggregate(self, energies_kwh: Floats) -> Floats:
        """Schedules of the members that add up to one of the DFO (float64[t]): float64[t, m] kWh; O(t m).

        Raises:
            InvalidError: the schedule breaks a polygon, or has another number of slots.
        """
        if len(energies_kwh) != self.dfo.slots:
            raise InvalidError(f"{len(energies_kwh)} energies for {self.dfo.slots} slots", path="Dfo")
        missed = self.dfo.excess_kwh(energies_kwh)
        if not missed <= TOLERANCE_KWH:
            raise InvalidError(f"the schedule breaks the polygons by {missed:.6g} kWh", path="Dfo")
        energies = self.prefix(energies_kwh[:-1])
        used = np.sum(energies[:-1], axis=0)
        least, most = self.members.last(used)
        spare = float(np.sum(most - least))
        share = (float(energies_kwh[-1]) - float(np.sum(least))) / spare if spare > 0 else 0.0
        energies[-1] = least + min(max(share, 0.0), 1.0) * (most - least)
        return energies

    def prefix(self, energies_kwh: Floats) -> Floats:
        """The members' part of a schedule that is not at its last slot yet: float64[t, m]; 0 in slots that follow."""
        slots, members = self.members.slots, len(self.members)
        energies = np.zeros((slots, members))
        before, used = np.zeros(members), 0.0
        for t, energy in enumerate(energies_kwh.tolist()):
            used += energy
            width = self.width_kwh[t + 1]
            q = min(max((used - self.least_kwh[t + 1]) / width, 0.0), 1.0) if width > 0 else 0.0
            least, most = self.members.reach(t + 1)
            after = least + q * (most - least)
            np.subtract(after, before, out=energies[t])
            before = after
        return energies


def couple(members: Members) -> Coupled:
    """The DFO of a group; O(t m).

    Raises:
        InvalidError: no members or no slots.
    """
    slots = members.slots
    if not slots or not len(members):
        raise InvalidError("a group without members or slots", path="Dfo")
    sums = np.array([[side.sum() for side in members.reach(t)] for t in range(slots + 1)])
    least, width = sums[:, 0], np.maximum(sums[:, 1] - sums[:, 0], 0.0)
    polygons = [_last(members, least, width)]
    onward = 0.0, 1.0
    for t in range(slots - 2, -1, -1):
        step = _onto(_step(members, t), *onward)
        onward = _from(step) if width[t] > 0 else (0.0, 0.0)
        polygons.append(_summed(_between(step, *onward), least[t : t + 2], width[t : t + 2]))
    return Coupled(members, Dfo(tuple(polygons[::-1])), least, width)


def _step(members: Members, t: int) -> Polygon:
    """What lines leave of the unit square."""
    below, above = [], []
    for low, high in members.lines(t):
        below.append(low)
        above.append(high)
    least, most = highest(below, 0.0), highest(above, 0.0)
    return Polygon(least, Chain(most.x, 1.0 - most.y))


def _onto(step: Polygon, lo: float, hi: float) -> Polygon:
    """The steps that end between lo and hi: convex sides stay so where they are cut."""
    if lo <= 0 and hi >= 1:
        return step
    return Polygon(_cut(step.least, lo, 1.0), _cut(step.most, hi, -1.0))


def _cut(side: Chain, limit: float, sign: float) -> Chain:
    """``max(side, limit)``, or with sign -1 the min, with corners where they cross."""
    x, beyond = side.x, sign * (side.y - limit)
    crosses = np.flatnonzero(beyond[:-1] * beyond[1:] < 0)
    share = beyond[crosses] / (beyond[crosses] - beyond[crosses + 1])
    at = x[crosses] + share * (x[crosses + 1] - x[crosses])
    y = np.insert(sign * np.maximum(beyond, 0.0), crosses + 1, 0.0) + limit
    return Chain(np.insert(x, crosses + 1, at), y)


def _from(step: Polygon) -> tuple[float, float]:
    """The range of r from which there is a step; the middle always is in it."""
    if all(step.least.y[end] <= step.most.y[end] for end in (0, -1)):  # and between them, as room is concave
        return 0.0, 1.0
    x = np.union1d(np.union1d(step.least.x, step.most.x), 0.5)
    room = np.maximum(step.most(x) - step.least(x), np.where(x == 0.5, 0.0, -np.inf))
    there = np.flatnonzero(room >= 0)
    i, j = int(there[0]), int(there[-1])
    lo, hi = float(x[i]), float(x[j])
    if i:
        lo -= float(room[i] / (room[i] - room[i - 1]) * (x[i] - x[i - 1]))
    if j + 1 < len(x):
        hi += float(room[j] / (room[j] - room[j + 1]) * (x[j + 1] - x[j]))
    return lo, hi


def _between(step: Polygon, lo: float, hi: float) -> Polygon:
    """The steps from r between lo and hi."""
    if lo <= 0 and hi >= 1:
        return Polygon(thinned(step.least), thinned(step.most))
    sides = []
    for side in step:
        inside = side.x[(side.x > lo) & (side.x < hi)]
        x = np.concatenate(([lo], inside, [hi] if hi > lo else []))
        sides.append(thinned(Chain(x, side(x))))
    return Polygon(*sides)


def _summed(step: Polygon, least: Floats, width: Floats) -> Polygon:
    """Steps from r to q as points (X, E)."""
    low, high = (
        Chain(least[0] + side.x * width[0], least[1] + side.y * width[1] - least[0] - side.x * width[0])
        for side in step
    )
    return Polygon(low, Chain(high.x, np.maximum(high.y, np.interp(high.x, low.x, low.y))))


def _last(members: Members, least: Floats, width: Floats) -> Polygon:
    """The last slot, where each member takes what it can."""
    start, end = members.reach(members.slots - 1)
    samples = SAMPLES if width[-2] > 0 else SAMPLES[:1]
    sums = np.array([[side.sum() for side in members.last(start + r * (end - start))] for r in samples])
    x = least[-2] + samples * width[-2]
    return Polygon(Chain(x, sums[:, 0]), Chain(x, np.maximum(sums[:, 0], sums[:, 1])))
