"""A witness: some schedule that keeps all bounds of a flex-offer, to refuse offers that nothing can satisfy.

All bounds but polytopes and total costs know the past only through x, the energy used so far. So the values that x can
take after each slice are found going forward, as a union of intervals, and one path through them going backward:

    R_0 = {0},   R_t+1 = {x + e : x in R_t, (x, e) keeps slice t} within the sub-total's range

Each option of a slice (a range, an amount, what its uncertainty leaves) cut with its polygon is convex in (x, e), so
its image of an interval is an interval, and the union is exact. A path from any point of R_n within the total's range
back to 0 exists by construction. Where each slice is one plain range, each R_t is one interval, and `Profile` has
refused it already if it is empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from flexhub.core.algebra.shape import bounds, cumulative, settle_into, tighten
from flexhub.core.flexoffer import EnergyRange, FlexOffer, HalfPlane, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.judge import violations
from flexhub.core.timegrid import instant_of, slot_from, slot_of

BIG_KWH: Final = 1e9
"""Energies beyond this (a thousand GWh in one slice) are not looked for where a polygon leaves them open."""
EPS_KWH: Final = 1e-9
"""Slack for rounding, far under the judge's tolerance."""
MOST_CASES: Final = 4096
"""So many combinations of an interval, an option and (twice) the rows of a polygon at most are followed for one slice.

More are thinned out, so that no offer, however odd, takes longer than a few seconds.
"""

Interval = tuple[float, float]


def infeasible(offer: FlexOffer, now: datetime) -> bool:
    """Whether it is proven that no schedule keeps all bounds of the offer at `now`.

    Of offers with a plain profile (`_plain`) only the timing is looked at, since their existence proves the rest: with
    one range in each slice, R_t is the interval ``[max(lo_t-1 + lo, floor), min(hi_t-1 + hi, ceiling)]``, and a
    `Profile` with a sub-total or total that leaves one of them empty cannot be made. Nothing else couples times with
    energies but total costs and two-mode operation. Validation has left a start in an explicit window; implicit ones
    and end constraints are exact in `timing_of`.
    """
    if offer.total_cost_eur is None:
        any_time = offer.start_before_duration_s is None and offer.end_after is None and offer.end_before is None
        for profile in offer.profiles:
            if _plain(profile) and (any_time or timing_of(offer, profile, now) is not None):
                return False
    return feasible_schedule(offer, now) is None and decides(offer)


def feasible_schedule(offer: FlexOffer, now: datetime) -> Schedule | None:
    """A schedule that the judge accepts at `now`, or None where none was found.

    The first profile that can be kept is taken, at the earliest possible start. Of a two-mode operation only schedules
    that carry the intervention out are looked for. `decides` tells whether None is a proof.
    """
    for index, profile in enumerate(offer.profiles):
        timing = timing_of(offer, profile, now)
        if timing is None:
            continue
        start, durations = timing
        energies = _energies(profile)
        if energies is not None:
            pieces = tuple(ScheduleSlice(energy_kwh=e, duration=d) for e, d in zip(energies, durations, strict=True))
            schedule = Schedule(start=start, slices=_with_payback(offer, profile, pieces), profile=index)
            if not violations(offer, schedule, now=now):
                return schedule
    default = offer.default_schedule
    if default is not None and offer.total_cost_eur is not None and not violations(offer, default, now=now):
        return default
    return None


def decides(offer: FlexOffer) -> bool:
    """Whether None from `feasible_schedule` proves that the offer is infeasible.

    It does for every kind of bound but total cost, where only the default schedule is tried besides, and except where
    alternatives (ranges, amounts, parts of an uncertainty) multiply to more than about `MOST_CASES`.
    Profiles with a polytope are decided by the solver, within its time limit.
    """
    if offer.total_cost_eur is not None:
        return False
    return all(profile.polytope is not None or _few(profile) for profile in offer.profiles)


def _few(profile: Profile) -> bool:
    """Whether the intervals can never be so many that they are thinned out."""
    pieces = 1
    for piece in profile.slices:
        options = len(alternatives(piece))
        if pieces > 1 and pieces > _most(piece, options):
            return False
        pieces *= options or 1
    return True


def _most(piece: Slice, options: int) -> int:
    """Number of intervals that are followed into this slice."""
    return max(1, MOST_CASES // (max(1, options) * max(1, len(piece.polygon)) ** 2))


def timing_of(offer: FlexOffer, profile: Profile, now: datetime) -> tuple[datetime, list[int]] | None:
    """The earliest start, and durations of the slices, that keep start window and end constraints. Exact.

    Starts s and total lengths n are integer ranges, so the ends s + n are all of a range, too: the earliest end that is
    allowed is taken, from the earliest start that a length reaches it from.
    """
    resolution = offer.resolution_s
    earliest, latest = offer.window(now)
    first, last = slot_from(earliest, resolution), slot_of(latest, resolution)
    shortest, longest = profile.span_slots(resolution)
    end, end_limit = first + shortest, last + longest
    if offer.end_after is not None:
        end = max(end, slot_from(offer.end_after, resolution))
    if offer.end_before is not None:
        end_limit = min(end_limit, slot_of(offer.end_before, resolution))
    if first > last or end > end_limit:
        return None
    length = min(end - first, longest)
    spare = length - shortest
    durations = []
    for piece in profile.slices:
        more = min(spare, piece.max_duration - piece.min_duration)
        spare -= more
        durations.append(piece.min_duration + more)
    return instant_of(end - length, resolution), durations


def _with_payback(offer: FlexOffer, profile: Profile, pieces: tuple[ScheduleSlice, ...]) -> tuple[ScheduleSlice, ...]:
    if profile.two_mode is None:
        return pieces
    before, after = profile.two_mode.payback_slots(offer.resolution_s)
    energy = sum(piece.energy_kwh for piece in pieces)
    prior = (ScheduleSlice(energy_kwh=-profile.two_mode.prior_portion * energy, duration=before),) if before else ()
    later = (ScheduleSlice(energy_kwh=-profile.two_mode.after_portion * energy, duration=after),) if after else ()
    return (*prior, *pieces, *later)


def _energies(profile: Profile) -> list[float] | None:
    """Energies of the slices that keep the profile, or None."""
    if profile.polytope is not None:
        from flexhub.core import linear  # noqa: PLC0415 - the solver is loaded only for polytopes

        return linear.energies(profile, [alternatives(piece) for piece in profile.slices], BIG_KWH)
    if _plain(profile):
        lo, hi = bounds(profile)
        energies: list[float] = settle_into((lo + hi) / 2, lo, hi, tighten(lo, hi, cumulative(profile))).tolist()
        return energies
    reached: list[list[Interval]] = [[(0.0, 0.0)]]
    for piece in profile.slices:
        options = alternatives(piece)
        reached[-1] = _thin(reached[-1], _most(piece, len(options)))
        images = (
            image
            for option in options
            for interval in reached[-1]
            if (image := _image(interval, option, piece.polygon)) is not None
        )
        reached.append(_union(_within(images, profile.subtotal_energy_kwh)))
    ends = _union(_within(reached[-1], profile.total_energy_kwh))
    if not ends:
        return None
    return _path(profile, reached, ends)


def _plain(profile: Profile) -> bool:
    """Whether slices are one energy range each, with nothing beside them but a total and a sub-total."""
    if profile.polytope is not None or profile.two_mode is not None:
        return False
    for piece in profile.slices:  # a loop, as this is asked about every offer that comes in
        if len(piece.energy_kwh) != 1 or piece.polygon or piece.uncertainty is not None:
            return False
    return True


def _path(profile: Profile, reached: Sequence[list[Interval]], ends: list[Interval]) -> list[float] | None:
    """One path backward from the middle of the widest end."""
    y = _middle(max(ends, key=_width))
    energies: list[float] = []
    for piece, before in zip(reversed(profile.slices), reversed(reached[:-1]), strict=True):
        sources = [
            source
            for option in alternatives(piece)
            for interval in before
            if (source := _source(interval, option, piece.polygon, y)) is not None
        ]
        if not sources:
            return None
        x = _middle(max(sources, key=_width))
        energies.append(y - x)
        y = x
    return energies[::-1]


def alternatives(piece: Slice) -> list[Interval]:
    """The intervals of energy that ranges, amounts and uncertainty leave, each an alternative."""
    options: list[Interval]
    if piece.amounts_kwh:
        options = [(amount, amount) for amount in piece.amounts_kwh]
    elif piece.energy_kwh:
        options = [(r.lo_kwh, r.hi_kwh) for r in piece.energy_kwh]
    else:
        options = [(-BIG_KWH, BIG_KWH)]
    if piece.uncertainty is None:
        return options
    likely = piece.uncertainty.likely_kwh()
    cut = ((max(lo, left), min(hi, right)) for lo, hi in options for left, right in likely)
    return [(lo, hi) for lo, hi in cut if lo <= hi]


def _image(interval: Interval, option: Interval, rows: Sequence[HalfPlane]) -> Interval | None:
    """The values of x + e with x in the interval, e in the option, and all rows kept.

    For fixed x the rows bound e between a convex and a concave piecewise-linear function of x, so x + e takes its
    extremes where two of these lines cross or at an end of the interval.
    """
    if not rows:
        return interval[0] + option[0], interval[1] + option[1]
    ends: list[float] = []
    for x in _corners(interval, option, rows):
        lo, hi = option
        for row in rows:
            limit = row.c_kwh - row.a * x
            if row.b > 0:
                hi = min(hi, limit / row.b)
            elif row.b < 0:
                lo = max(lo, limit / row.b)
            elif limit < -EPS_KWH * abs(row.a):
                lo, hi = math.inf, -math.inf
        if lo <= hi + EPS_KWH:
            ends += (x + min(lo, hi), x + max(lo, hi)) if lo > hi else (x + lo, x + hi)
    return (min(ends), max(ends)) if ends else None


def _corners(interval: Interval, option: Interval, rows: Sequence[HalfPlane]) -> Iterable[float]:
    """The x at which the set {(x, e)} can have corners, within the interval."""
    lines = [(row.a, row.b, row.c_kwh) for row in rows] + [(0.0, 1.0, option[0]), (0.0, 1.0, option[1])]
    corners = set(interval)
    for i, (a, b, c) in enumerate(lines):
        for p, q, r in lines[:i]:
            determinant = a * q - p * b
            if determinant:
                x = (c * q - r * b) / determinant
                if interval[0] < x < interval[1]:
                    corners.add(x)
        if b == 0 and interval[0] < c / a < interval[1]:
            corners.add(c / a)
    return corners


def _source(interval: Interval, option: Interval, rows: Sequence[HalfPlane], y: float) -> Interval | None:
    """The x of the interval from which an energy of the option leads to y with all rows kept."""
    lo = max(interval[0], y - option[1])
    hi = min(interval[1], y - option[0])
    for row in rows:  # a x + b (y - x) <= c
        slope, limit = row.a - row.b, row.c_kwh - row.b * y
        if slope > 0:
            hi = min(hi, limit / slope)
        elif slope < 0:
            lo = max(lo, limit / slope)
        elif limit < -EPS_KWH * abs(row.b):
            return None
    if lo > hi + 2 * EPS_KWH:
        return None
    return min(lo, hi), max(lo, hi)


def _within(intervals: Iterable[Interval], bounds: EnergyRange | None) -> list[Interval]:
    if bounds is None:
        return list(intervals)
    cut = ((max(lo, bounds.lo_kwh), min(hi, bounds.hi_kwh)) for lo, hi in intervals)
    return [(min(lo, hi), max(lo, hi)) for lo, hi in cut if lo <= hi + EPS_KWH]


def _union(intervals: list[Interval]) -> list[Interval]:
    """The same set as few intervals, rising."""
    merged: list[Interval] = []
    for lo, hi in sorted(intervals):
        if merged and lo <= merged[-1][1] + EPS_KWH:
            merged[-1] = (merged[-1][0], max(merged[-1][1], hi))
        else:
            merged.append((lo, hi))
    return merged


def _thin(intervals: list[Interval], most: int) -> list[Interval]:
    """At most so many of them, spread evenly."""
    if len(intervals) <= most:
        return intervals
    return [intervals[i * len(intervals) // most] for i in range(most)]


def _middle(interval: Interval) -> float:
    return (interval[0] + interval[1]) / 2


def _width(interval: Interval) -> float:
    return interval[1] - interval[0]
