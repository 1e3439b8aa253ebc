"""Many storage-like members as few classes, without loss: canonical splitting.

Let all of a member's lo_t and hi_t be whole multiples of its unit P, and y its bounds of running totals in units. Then

    Q(P, y) = integral over theta in [0, 1] of P Q_whole(floor(y + theta)),

Q_whole being the set of energies in units with these whole bounds. One way: of a feasible path of running totals Y in
units, floor(Y + theta) keeps the bounds floor(y + theta), as rounding down keeps order, and moves by at most hi_t, as
floor(Y' + hi_t + theta) = floor(Y' + theta) + hi_t for whole hi_t; and it averages to Y, as theta goes over all
fractions. The other way: paths that keep floor(y + theta) average to one that keeps the mean of these, which is y.

floor(y + theta) changes only where theta passes 1 minus the fractional part of a bound, so a member with n distinct
ones falls into at most n + 1 pieces: a battery into three. Pieces of the same whole bounds are the same set but for
their size, and the sum of multiples of a convex set is the multiple by their sum. So the sum of all members is exactly
the sum of the classes' sets, each times its `sizes`, and 200,000 batteries of up to four hours are a few hundred
classes.

**Law.** A plan for the classes (`columns.optimise` with `sizes`) is one for the members: member k takes ``sum_j u_j
e_c(j)``, with e_c what one of class c does and u_j the size of piece j; by the identity above that keeps all of its
bounds, and it sums to the plan. Whatever the members can make in sum the classes can, a prefix of it included.

Slots whose bounds tell nothing else than the tightened ones do no harm: tightening adds whole units to bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from flexhub.core.algebra.columns import Plan, disaggregate
from flexhub.core.algebra.storage import Bounds, Storage
from flexhub.core.batch import Bools, Floats, Ints
from flexhub.core.errors import InvalidError

Marks = npt.NDArray[np.uint64]

NEAR: Final = 1e-9
"""Units that count as none: what differs from a whole number by less is whole, and a smaller piece is none."""

BLOCK: Final = 2048
"""Members that are handed down to at once: their slots stay in the cache of a core."""


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """c classes of m members, which fell into up to p pieces each.

    Args:
        storage: one of each class, over t slots, in units.
        sizes: float64[c]; kWh of a unit, of all members together.
        of: int64[p, m]; the class of each piece.
        unit_kwh: float64[p, m]; kWh of a unit of that piece; 0 where a member has fewer pieces.
    """

    storage: Storage
    sizes: Floats
    of: Ints
    unit_kwh: Floats

    def __len__(self) -> int:
        """Number of classes."""
        return len(self.sizes)


def units(lo_kwh: Floats, hi_kwh: Floats) -> Floats:
    """float64[m]; the unit of each member, of which its bounds are whole multiples, kWh; 0 where there is none.

    ``lo_kwh, hi_kwh: float64[t or 1, m]``. The least bound that is not 0 is the only one that is looked at.
    """
    least = np.full(lo_kwh.shape[1], np.inf)
    for side in (lo_kwh, hi_kwh):
        size = np.abs(side)
        np.minimum(least, np.where(size > 0, size, np.inf).min(axis=0), out=least)
    unit = np.where(np.isfinite(least), least, 1.0)
    fits = np.ones(len(unit), dtype=np.bool_)
    for side in (lo_kwh, hi_kwh):
        steps = side / unit
        fits &= (np.abs(steps - np.rint(steps)) < NEAR).all(axis=0)
    return np.where(fits, unit, 0.0)


def split(slots: int, bounds: Bounds, *, grid: int = 0) -> Classes:
    """The classes of members with these bounds; O((n + 1) rows m) for n distinct fractional parts.

    Args:
        slots: t.
        bounds: of the m members.
        grid: round running totals inwards to multiples of so many units, for fewer classes: an inner approximation, so
            all of the above but that nothing is lost. Only members that may rest are rounded (energies and running
            totals of 0 throughout), as nothing may be left of others. 0 rounds nothing.

    Raises:
        InvalidError: bounds of other shapes, or no feasible energies.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in bounds]
    members = sides[0].shape[-1]
    if any(side.shape not in {(1, members), (slots, members)} for side in sides):
        shapes = ", ".join(str(side.shape) for side in sides)
        raise InvalidError(f"bounds of {shapes} for {slots} slots of {members} members", path="split")
    if any(np.isnan(side).any() for side in sides) or not all(np.isfinite(side).all() for side in sides[:2]):
        raise InvalidError("energies of a slot are finite, and running totals are numbers", path="split")
    unit = units(*sides[:2])
    whole = unit > 0
    scale = np.where(whole, unit, 1.0)
    steps = [np.where(whole, np.rint(side / scale), side) for side in sides[:2]]
    totals = [_snapped(side / scale) for side in sides[2:]]
    if grid:
        totals = _coarse(steps, totals, whole, grid)
    edges = _edges(totals, whole)
    share = np.diff(edges, axis=0)
    share[share < NEAR] = 0.0
    share /= share.sum(axis=0)
    middle = (edges[:-1] + edges[1:]) / 2
    of, kinds = _classes(steps, totals, np.where(whole, middle, 0.0), whole, share > 0)
    unit_kwh = share * scale
    lo, hi, floor, ceiling = (np.broadcast_to(side, (slots, side.shape[1])) for side in kinds)
    sizes = np.zeros(lo.shape[1])
    np.add.at(sizes, of, unit_kwh)
    return Classes(
        storage=Storage.tightened(lo, hi, floor, ceiling),
        sizes=sizes,
        of=of,
        unit_kwh=unit_kwh,
    )


def hand_down(classes: Classes, plan: Plan, *, compiled: bool | None = None) -> Floats:
    """Schedules of the members that add up to a plan for the classes: float64[t, m] kWh; O(p t m).

    The plan is one of `columns.optimise` with the classes' `sizes`.
    """
    each = disaggregate(classes.storage, plan, compiled=compiled)
    result = np.empty((classes.storage.slots, classes.of.shape[1]))
    for i in range(0, result.shape[1], BLOCK):
        block = slice(i, i + BLOCK)
        total = result[:, block]
        total[...] = 0.0
        for of, unit in zip(classes.of[:, block], classes.unit_kwh[:, block], strict=True):
            part = each.take(of, axis=1)
            part *= unit
            total += part
    return result


def _snapped(values: Floats) -> Floats:
    nearest = np.rint(values)
    with np.errstate(invalid="ignore"):  # infinite minus itself is not near
        return np.where(np.abs(values - nearest) < NEAR, nearest, values)


def _coarse(steps: list[Floats], totals: list[Floats], whole: Bools, grid: int) -> list[Floats]:
    """The totals rounded inwards, of members that may rest."""
    floor, ceiling = np.ceil(totals[0] / grid) * grid, np.floor(totals[1] / grid) * grid
    rests = whole & (steps[0] <= 0).all(axis=0) & (steps[1] >= 0).all(axis=0)
    rests &= (floor <= 0).all(axis=0) & (ceiling >= 0).all(axis=0)
    return [np.where(rests, floor, totals[0]), np.where(rests, ceiling, totals[1])]


def _edges(totals: list[Floats], whole: Bools) -> Floats:
    """float64[p + 1, m]; 0, the theta at which whole bounds change, rising, and 1 as often as is left."""
    with np.errstate(invalid="ignore"):  # as above
        fraction = np.concatenate([side - np.floor(side) for side in totals])
    theta = 1.0 - np.where(np.isfinite(fraction) & whole, fraction, 0.0)
    theta.sort(axis=0)
    apart = np.diff(theta, axis=0, prepend=0.0) > NEAR
    place = np.cumsum(apart, axis=0)
    edges = np.ones((int(place.max(initial=0)) + 2, theta.shape[1]))
    edges[0] = 0.0
    row, member = np.nonzero(apart)
    edges[place[row, member], member] = theta[row, member]
    return edges


def _classes(
    steps: list[Floats], totals: list[Floats], theta: Floats, whole: Bools, there: Bools
) -> tuple[Ints, list[Floats]]:
    """The class of each piece (int64[p, m]), and lo, hi, floor and ceiling of each class, [t or 1, c] each."""
    random = np.random.default_rng(1)
    pieces, members = theta.shape
    rounded = [[np.where(whole, np.floor(side + at), side) for side in totals] for at in theta]
    of = np.zeros((pieces, members), dtype=np.int64)
    while True:
        seed = int(random.integers(1 << 62))
        start = hashed(steps, np.zeros(members, dtype=np.uint64), seed)
        marks = np.array([hashed(bounds, start, seed + 1) for bounds in rounded])
        _, first, inverse = np.unique(marks[there], return_index=True, return_inverse=True)
        of[there] = inverse
        piece, member = (index[first] for index in np.nonzero(there))
        kinds = [side[:, member] for side in steps]
        for s, side in enumerate(totals):
            bounds = np.empty((len(side), len(member)))
            for j in range(pieces):
                bounds[:, piece == j] = rounded[j][s][:, member[piece == j]]
            kinds.append(bounds)
        if all(_same(steps + rounded[j], kinds, of[j], there[j]) for j in range(pieces)):
            return of, kinds


def hashed(sides: list[Floats], start: Marks, seed: int) -> Marks:
    """One number for all bounds of a member, which differs where they do, nearly always."""
    random = np.random.default_rng(seed)
    mark = start.copy()
    for side in sides:
        for row in side + 0.0:  # no -0.0
            bits = row.view(np.uint64)
            mark = (mark + (bits ^ (bits >> np.uint64(32)))) * np.uint64(int(random.integers(1 << 62)) * 2 + 1)
            mark ^= mark >> np.uint64(29)
    return mark


def _same(sides: list[Floats], kinds: list[Floats], of: Ints, there: Bools) -> bool:
    """Whether each member's bounds are those of its class: two that differ may have hashed alike."""
    rows, mine = (slice(None), of) if there.all() else (np.flatnonzero(there), of[there])
    return all(np.array_equal(side[:, rows], kind[:, mine]) for side, kind in zip(sides, kinds, strict=True))
