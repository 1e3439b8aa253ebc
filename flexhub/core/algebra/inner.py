"""Storage-like sets inside of what is none: polytopes, and storages that lose energy.

**Polytopes.** A row that bounds one slot or the sum of the first ones is storage-like, and a polytope of such rows
alone is exact. For any other row a, let T be the storage-like set that the rows of the other sort describe, and h(a)
the most that a comes to in T, which the price oracle tells. Then c + s T keeps the row where ``a c + s h(a) <= b``, and
so the largest s, with the best c, is a linear program: everything of T, s times as wide. A box [l, u] keeps a row where
``sum a+ u - a- l <= b``, and the widest box is another. What keeps more of the width is taken. With s = 0, c is a point
of the polytope, so something is found wherever it is not empty.

**Storages with losses.** Of an energy e at the meter f(e) = e eta_in arrives, or e / eta_out is drawn where e < 0; and
a share of what is stored leaks in each slot. The set of feasible e is not convex: with eta 0.9, room for 1 kWh and a
full store, (-.5, .617, 0) and (0, -.5, .617) are feasible, and their mean overfills. But f is concave, so with Y the
running total of e, what is stored is at most ``S + eta_in Y`` and at least ``S + m Y - t d``, m = (eta_in + 1 /
eta_out) / 2 and ``d = (1 / eta_out - eta_in) P / 2 + leak C`` the most that a slot of power P loses beyond that. So

    (t d - S) / m <= Y_t <= (C - S) / eta_in

keeps the store within 0..C whatever is done: the floor rises by the loss that may have been. A smaller P loses less and
leaves more of the room; the largest is taken that leaves a given share of it at the end.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from flexhub.core.algebra.oracle import respond
from flexhub.core.algebra.program import Limits, solve
from flexhub.core.algebra.storage import Bounds, Storage
from flexhub.core.batch import Floats
from flexhub.core.errors import InfeasibleError, InvalidError

MOST_KWH: Final = 1e6
"""Beyond this (a GWh in a slot) no energies are looked for where nothing bounds them."""

LEAST_KWH: Final = 1e-9
"""A width that is smaller is none."""


class Inner(NamedTuple):
    """A storage-like set, float64[t, 1] each, and the share of the width that it keeps: 1 where nothing is lost."""

    bounds: Bounds
    kept: float


def of_polytope(lo_kwh: Floats, hi_kwh: Floats, rows: Floats, upper_kwh: Floats) -> Inner:
    """Within ``lo <= e <= hi`` (float64[t], or infinite) and ``rows e <= upper`` (float64[r, t], float64[r]).

    Raises:
        InfeasibleError: the polytope is empty.
        InvalidError: a bound that is no number, or a slot without bound.
    """
    if np.isnan(rows).any() or np.isnan(upper_kwh).any() or np.isnan([lo_kwh, hi_kwh]).any():
        raise InvalidError("bounds of a polytope are numbers", path="Polytope")
    slots = len(lo_kwh)
    lo, hi = lo_kwh.copy(), hi_kwh.copy()
    floor, ceiling = np.full(slots, -np.inf), np.full(slots, np.inf)
    odd = np.zeros(len(rows), dtype=np.bool_)
    for i, (row, most) in enumerate(zip(rows, upper_kwh.tolist(), strict=True)):
        at = np.flatnonzero(row)
        if not len(at):
            if most < -LEAST_KWH:
                raise InfeasibleError("a row of zeros asks for more than 0", path=f"Polytope[{i}]")
            continue
        t, factor = int(at[-1]), float(row[at[-1]])
        if len(at) == 1:
            least_side, most_side = lo, hi
        elif len(at) == t + 1 and (row[at] == factor).all():
            least_side, most_side = floor, ceiling
        else:
            odd[i] = True
            continue
        if factor > 0:
            most_side[t] = min(most_side[t], most / factor)
        else:
            least_side[t] = max(least_side[t], most / factor)
    bounds = _bounded(Bounds(*(side[:, None] for side in (lo, hi, floor, ceiling))), rows, upper_kwh)
    outer = _tightened(bounds)
    if not odd.any():
        return Inner(bounds, 1.0)
    choices = [_shrunk(outer, rows[odd], upper_kwh[odd]), _box(outer, rows[odd], upper_kwh[odd])]
    return max(choices, key=lambda inner: inner.kept)


def _bounded(bounds: Bounds, rows: Floats, upper: Floats) -> Bounds:
    """The same, where energies have no bound of their own with what rows leave them."""
    lo, hi, floor, ceiling = bounds
    if np.isfinite(lo).all() and np.isfinite(hi).all():
        return bounds
    slots = len(lo)
    lo, hi = lo.copy(), hi.copy()
    for sign, side in ((1.0, lo), (-1.0, hi)):
        for t in np.flatnonzero(~np.isfinite(side[:, 0])).tolist():
            cost = np.zeros(slots)
            cost[t] = sign
            found = _solve(cost, rows, upper, (bounds.lo_kwh[:, 0], bounds.hi_kwh[:, 0]))
            side[t, 0] = found[t]
            if abs(found[t]) >= MOST_KWH:
                raise InvalidError(f"the energy of slot {t} is not bounded", path="Polytope")
    return Bounds(lo, hi, floor, ceiling)


def _tightened(bounds: Bounds) -> Storage:
    try:
        return Storage.tightened(*bounds)
    except InvalidError as error:
        raise InfeasibleError(error.message, path="Polytope") from error


def _shrunk(outer: Storage, rows: Floats, upper: Floats) -> Inner:
    """The largest c + s T that keeps the rows: columns of the program are c, then s."""
    slots = outer.slots
    reach = np.array([-float(-row @ respond(outer, -row, compiled=False)) for row in rows])
    sums, one = np.tri(slots), np.eye(slots)
    inside = [(one, outer.lo_kwh, outer.hi_kwh), (sums, outer.floor_kwh, outer.ceiling_kwh)]
    parts = [np.column_stack((rows, reach))]
    limits = [upper]
    for matrix, least, most in inside:
        parts += [np.hstack((matrix, most)), np.hstack((-matrix, -least))]
        limits += [most[:, 0], -least[:, 0]]
    open_end = np.full(slots, np.inf)
    found = _solve(
        np.append(np.zeros(slots), -1.0),
        np.vstack(parts),
        np.concatenate(limits),
        (np.append(-open_end, 0.0), np.append(open_end, 1.0)),
    )
    c, s = found[:-1, None], float(found[-1])
    moved = np.cumsum(c, axis=0)
    return Inner(
        Bounds(c + s * outer.lo_kwh, c + s * outer.hi_kwh, moved + s * outer.floor_kwh, moved + s * outer.ceiling_kwh),
        s,
    )


def _box(outer: Storage, rows: Floats, upper: Floats) -> Inner:
    """The widest box that keeps the rows and the running totals: columns are l, then u."""
    slots = outer.slots
    sums = np.tri(slots)
    every = np.vstack((rows, sums, -sums, np.zeros((slots, slots))))
    most = np.concatenate((upper, outer.ceiling_kwh[:, 0], -outer.floor_kwh[:, 0], np.zeros(slots)))
    columns = np.hstack((np.minimum(every, 0.0), np.maximum(every, 0.0)))
    columns[-slots:] = np.hstack((np.eye(slots), -np.eye(slots)))  # l <= u
    width = (outer.hi_kwh - outer.lo_kwh)[:, 0]
    weight = np.divide(1.0, width, out=np.zeros(slots), where=width > LEAST_KWH)
    side = (np.tile(outer.lo_kwh[:, 0], 2), np.tile(outer.hi_kwh[:, 0], 2))
    found = _solve(np.concatenate((weight, -weight)), columns, most, side)
    l, u = found[:slots, None], np.maximum(found[slots:], found[:slots])[:, None]  # noqa: E741 - as above
    share = weight * (u - l)[:, 0]
    open_end = np.full((slots, 1), np.inf)
    return Inner(Bounds(l, u, -open_end, open_end), float(share.sum() / max(1, np.count_nonzero(weight))))


def _solve(cost: Floats, rows: Floats, upper: Floats, sides: tuple[Floats, Floats]) -> Floats:
    """The least of cost x with ``rows x <= upper`` and x within sides, infinite ones cut at `MOST_KWH`."""
    columns = Limits(np.maximum(sides[0], -MOST_KWH), np.minimum(sides[1], MOST_KWH))
    found = solve(cost, rows, Limits(np.full(len(rows), -np.inf), upper), columns)
    if found is None:
        raise InfeasibleError("no energies keep the polytope", path="Polytope")
    return found.values


class Store(NamedTuple):
    """m storages with losses: float64[m] each.

    Power in kWh a slot at the meter, capacity and what is stored in kWh, efficiencies of charging and discharging in
    0..1 (0 excluded), and the share of what is stored that leaks in a slot.
    """

    power_kwh: Floats
    capacity_kwh: Floats
    charge_kwh: Floats
    eta_in: Floats
    eta_out: Floats
    leak: Floats


def of_store(store: Store, slots: int, *, room: float = 0.5) -> tuple[Bounds, Floats]:
    """Lossless storages that these can always stand in for (float64[t, m]), and the share of power that each keeps.

    Args:
        store: m storages.
        slots: t.
        room: share of the room that is left at the end.

    Raises:
        InvalidError: no such storages; or one that leaks more than it can stand for so long.
    """
    power, capacity, charge, eta_in, eta_out, leak = store
    sound = (
        (power >= 0) & (charge >= 0) & (charge <= capacity) & (leak >= 0) & (leak < 1) & np.isfinite(power + capacity)
    )
    sound &= (eta_in > 0) & (eta_in <= 1) & (eta_out > 0) & (eta_out <= 1)
    if not sound.all():
        k = int(np.argmin(sound))
        raise InvalidError(
            "power, charge and capacity from 0 up, charge within it, shares within 0..1", path=f"Store[{k}]"
        )
    mean = (eta_in + 1 / eta_out) / 2
    ceiling = (capacity - charge) / eta_in
    # (t d - S) / m <= ceiling - room (ceiling + S / m) at the end of the last slot, solved for d and then for P
    whole = ceiling + charge / mean
    most_loss = (mean * (1 - room) * whole) / max(slots, 1)
    spare = most_loss - leak * capacity
    if (spare < 0).any():
        k = int(np.argmin(spare))
        raise InvalidError(f"what leaks in {slots} slots leaves no room", path=f"Store[{k}]")
    per_power = (1 / eta_out - eta_in) / 2
    loss = per_power * power
    share = np.divide(spare, loss, out=np.ones_like(spare), where=loss > spare)
    power = power * share
    drift = per_power * power + leak * capacity
    t = np.arange(1, slots + 1)[:, None]
    side = np.broadcast_to(power, (slots, len(power)))
    return Bounds(-side, side, (t * drift - charge) / mean, np.broadcast_to(ceiling, side.shape)), share
