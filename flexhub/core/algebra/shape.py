"""A flex-offer as arrays, and what keeps it from being one plain box of slice bounds."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer, Profile, Quantity, Schedule
from flexhub.core.timegrid import on_grid, slot_from
from flexhub.core.units import TOLERANCE_KWH

Floats = NDArray[np.float64]


class Trait(enum.StrEnum):
    """What an offer has beyond slice bounds; the value is how a reason words it."""

    WITHDRAWN = "the flexibility is withdrawn"
    QUANTITY = "amounts that are not active energy"
    XOR = "several exclusive profiles"
    GAPS = "several energy ranges or amounts in a slice"
    UNCERTAIN = "an uncertainty function"
    POLYGON = "dependency polygons"
    POLYTOPE = "a polytope"
    TWO_MODE = "two-mode operation"
    TOTAL = "a total energy"
    SUBTOTAL = "a sub-total energy"
    DURATION = "variable durations"
    IMPLICIT = "implicit time flexibility"
    COST = "a bound on the total cost"


NOT_CONVEX: Final = frozenset({Trait.XOR, Trait.GAPS, Trait.UNCERTAIN, Trait.TWO_MODE, Trait.COST})
"""Traits that no linear program over slice energies can hold."""


def traits(offer: FlexOffer) -> frozenset[Trait]:
    """Everything about the offer that slice bounds and a start window do not say; empty for a plain box."""
    # Pairs, not a dict, and each slice looked at once: this is asked about every offer that comes in.
    found = [
        (Trait.WITHDRAWN, offer.withdrawn),
        (Trait.QUANTITY, offer.quantity is not Quantity.ACTIVE_ENERGY),
        (Trait.XOR, len(offer.profiles) > 1),
        (Trait.IMPLICIT, offer.start_before_duration_s is not None),
        (Trait.COST, offer.total_cost_eur is not None),
    ]
    for profile in offer.profiles[:1]:
        slices = profile.slices
        gaps = polygon = uncertain = variable = False
        for s in slices:
            if len(s.energy_kwh) == 1 and not s.polygon and s.uncertainty is None and s.min_duration == s.max_duration:
                continue  # a plain one, as most are
            gaps |= len(s.energy_kwh) != 1 and (len(s.energy_kwh) > 1 or bool(s.amounts_kwh))
            polygon |= bool(s.polygon)
            uncertain |= s.uncertainty is not None
            variable |= s.min_duration != s.max_duration
        found += [
            (Trait.GAPS, gaps),
            (Trait.UNCERTAIN, uncertain),
            (Trait.POLYGON, polygon),
            (Trait.POLYTOPE, profile.polytope is not None),
            (Trait.TWO_MODE, profile.two_mode is not None),
            (Trait.DURATION, variable),
            (Trait.SUBTOTAL, profile.subtotal_energy_kwh is not None),
            (Trait.TOTAL, not (gaps or polygon) and _total_binds(profile)),
        ]
    return frozenset([trait for trait, present in found if present])


def _total_binds(profile: Profile) -> bool:
    """Whether the total bounds more than the slices do."""
    total = profile.total_energy_kwh
    if total is None:
        return False
    lo, hi = bounds(profile)
    return total.lo_kwh > float(lo.sum()) or total.hi_kwh < float(hi.sum())


def bounds(profile: Profile) -> tuple[Floats, Floats]:
    """Lowest and highest energy of each slice: lo_kwh, hi_kwh: float64[n]; infinite where only a polygon bounds."""
    spans = np.array([s.span_kwh() for s in profile.slices], dtype=np.float64)
    return spans[:, 0], spans[:, 1]


class Starts(NamedTuple):
    """Slots (of the offer's own resolution, counted from the epoch) between which the profile may start."""

    first: int
    last: int


def starts(offer: FlexOffer, durations: int, now: datetime | None = None) -> Starts:
    """Where a profile of `durations` slots in all may start; ``first > last`` where nowhere.

    As `FlexOffer.start_slots`, but starts before `now` are gone, also of explicit windows.
    """
    first, last = offer.start_slots(now or offer.created, durations)
    if now is not None:
        first = max(first, slot_from(now, offer.resolution_s))
    return Starts(first, last)


def matches(offer: FlexOffer, schedule: Schedule | None) -> bool:
    """Whether the schedule has the slice count of the offer's first profile and lies on the grid."""
    return (
        schedule is not None
        and bool(offer.profiles)
        and len(schedule.slices) == len(offer.profiles[0].slices)
        and on_grid(schedule.start, offer.resolution_s)
    )


def energies(schedule: Schedule) -> Floats:
    """Energy of each slice, kWh: float64[n]."""
    return np.array([s.energy_kwh for s in schedule.slices], dtype=np.float64)


def default_energies(offer: FlexOffer) -> Floats | None:
    """Energies of the default schedule within the first profile's bounds, kWh: float64[n]; None where there are none.

    A default that keeps the bounds up to the tolerance is clipped into them; one that does not is no default.
    """
    if offer.default_schedule is None or not matches(offer, offer.default_schedule):
        return None
    lo, hi = bounds(offer.profiles[0])
    wish = energies(offer.default_schedule)
    inside = np.all((wish >= lo - TOLERANCE_KWH) & (wish <= hi + TOLERANCE_KWH))
    return np.clip(wish, lo, hi) if inside else None


class Cumulative(NamedTuple):
    """Bounds of the energy used up to the end of each slice, kWh: float64[n] each."""

    lo: Floats
    hi: Floats


def cumulative(profile: Profile) -> Cumulative:
    """Total and sub-total bounds of the profile as bounds of the running total; infinite where there are none.

    A profile may miss them by the tolerance (three slices of 0.333333 kWh make a total of 1 kWh). Then they are widened
    to what its slices reach, so that what these bounds are rows of always has a solution, and the judge accepts it.
    """
    n = len(profile.slices)
    total, subtotal = profile.total_energy_kwh, profile.subtotal_energy_kwh
    if total is None and subtotal is None:
        return Cumulative(np.full(n, -np.inf), np.full(n, np.inf))
    if total is not None and subtotal is None:  # as of cars, which are many: only the last running total is bounded
        least, most = (sum(side.tolist()) for side in bounds(profile))
        last = Cumulative(np.full(n, -np.inf), np.full(n, np.inf))
        last.lo[-1], last.hi[-1] = min(total.lo_kwh, most), max(total.hi_kwh, least)
        return last
    floor, ceiling = (-np.inf, np.inf) if subtotal is None else (subtotal.lo_kwh, subtotal.hi_kwh)
    running: list[tuple[float, float]] = []
    least = most = 0.0
    for piece in profile.slices:
        lo, hi = piece.span_kwh()
        least, most = least + lo, most + hi
        running.append((min(floor, most), max(ceiling, least)))
        least, most = max(least, running[-1][0]), min(most, running[-1][1])
    if total is not None:
        lo, hi = running[-1]
        running[-1] = max(lo, min(total.lo_kwh, most)), min(hi, max(total.hi_kwh, least))
    bounds_kwh = np.array(running)
    return Cumulative(bounds_kwh[:, 0], bounds_kwh[:, 1])


def joint_rows(profile: Profile) -> tuple[Floats, Floats, Floats]:
    """Bounds that couple slices, ``lower <= R e <= upper``: R float64[r, n], lower and upper float64[r].

    Totals, sub-totals, polygons (``a x + b e <= c`` with x the sum of the slices before) and the polytope. Sub-totals
    and polygons cost n / 2 entries a row, which a day of quarter-hours affords.
    """
    n = len(profile.slices)
    running = cumulative(profile)
    bounded = np.isfinite(running.lo) | np.isfinite(running.hi)
    rows, lower, upper = [np.tri(n)[bounded]], [running.lo[bounded]], [running.hi[bounded]]
    for t, piece in enumerate(profile.slices):
        for half in piece.polygon:
            row = np.zeros((1, n))
            row[0, :t] = half.a
            row[0, t] = half.b
            rows.append(row)
            lower.append(np.array([-np.inf]))
            upper.append(np.array([half.c_kwh]))
    if profile.polytope is not None:
        rows.append(np.array(profile.polytope.a))
        upper.append(np.array(profile.polytope.b_kwh))
        lower.append(np.full(len(profile.polytope.b_kwh), -np.inf))
    return np.concatenate(rows), np.concatenate(lower), np.concatenate(upper)


def tighten(lo: Floats, hi: Floats, running: Cumulative) -> Cumulative:
    """The running totals from which the rest can still be met, and which can be reached: float64[n]; O(n).

    Backward ``c-_t = max(lo_t, c-_{t+1} - hi_{t+1})``, ``c+_t = min(hi_t, c+_{t+1} - lo_{t+1})``, then forward
    ``a_t = max(c-_t, a_{t-1} + lo_t)``, ``b_t = min(c+_t, b_{t-1} + hi_t)`` from ``a_0 = b_0 = 0``. Every running total
    in [a_t, b_t] is on a feasible path, and no other is; infeasible exactly where some a_t > b_t.

    Raises:
        InvalidError: nothing is feasible.
    """
    n = len(lo)
    a, b = running.lo.copy(), running.hi.copy()
    for t in range(n - 2, -1, -1):
        a[t], b[t] = max(a[t], a[t + 1] - hi[t + 1]), min(b[t], b[t + 1] - lo[t + 1])
    x = y = 0.0
    for t in range(n):
        x, y = max(a[t], x + lo[t]), min(b[t], y + hi[t])
        a[t], b[t] = x, y
        if x > y + TOLERANCE_KWH:
            raise InvalidError(f"no energies meet the running totals at slice {t}", path=f"slices[{t}]")
    return Cumulative(a, b)


def settle_into(wish: Floats, lo: Floats, hi: Floats, tight: Cumulative) -> Floats:
    """The wish, moved into the bounds slice by slice: float64[n]; O(n). `tight` comes from `tighten`.

    Slice t takes the energy next to the wish that keeps its own bounds and ends with a running total x in [a_t, b_t].
    One exists: x_{t-1} >= a_{t-1} >= a_t - hi_t says that hi_t reaches a_t, x_{t-1} <= b_{t-1} <= b_t - lo_t that lo_t
    does not pass b_t. So the result is feasible whatever the wish; a feasible wish comes back unchanged. It removes a
    solver's rounding, which bounds alone could not (clipping one slice would spoil the total).
    """
    result = np.empty_like(wish)
    used = planned = 0.0
    for t, energy in enumerate(wish):
        planned += energy
        # Following the wished running total, not the wished slice, keeps corrections from adding up.
        result[t] = min(max(planned - used, lo[t], tight.lo[t] - used), hi[t], tight.hi[t] - used)
        used += result[t]
    return result
