"""The judge: what a schedule breaks of a flex-offer. All later work asks this one function."""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import attrgetter, mul

import msgspec

from flexhub.core.base import Model
from flexhub.core.cost import TOLERANCE_EUR, cost_eur
from flexhub.core.flexoffer import CostRange, FlexOffer, Polytope, Profile, Schedule, ScheduleSlice, Slice, TwoMode
from flexhub.core.timegrid import on_grid
from flexhub.core.twomode import Layout, leaves_out, payback, split
from flexhub.core.units import TOLERANCE_KWH


class Kind(enum.StrEnum):
    """What is broken."""

    WITHDRAWN = "withdrawn"
    PROFILE = "profile"
    START_EARLY = "start_early"
    START_LATE = "start_late"
    OFF_GRID = "off_grid"
    END_EARLY = "end_early"
    END_LATE = "end_late"
    SLICE_COUNT = "slice_count"
    DURATION = "duration"
    NON_FINITE = "non_finite"
    ENERGY = "energy"
    AMOUNT = "amount"
    TOTAL = "total"
    SUBTOTAL = "subtotal"
    POLYGON = "polygon"
    POLYTOPE = "polytope"
    PROBABILITY = "probability"
    TWO_MODE = "two_mode"
    COST = "cost"


class Violation(Model, frozen=True, kw_only=True):
    """One bound that the schedule breaks, and by how much.

    `excess` is in the bound's own unit: kWh, seconds (times), slots (durations), slices, EUR or a probability.
    `profile` is the profile that was judged, where the bound is one of a profile.
    """

    kind: Kind
    path: str
    message: str
    clause: str
    excess: float = 0.0
    profile: int | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.message} [{self.clause}]"


def violations(
    offer: FlexOffer, schedule: Schedule, *, now: datetime | None = None, tolerance_kwh: float = TOLERANCE_KWH
) -> list[Violation]:
    """Everything that `schedule` breaks of `offer`; empty where it is feasible.

    A schedule that names no profile is judged by each; the one that it breaks least of is reported.

    Args:
        offer: the flex-offer.
        schedule: what is to happen.
        now: for implicit time flexibility; by default the offer's creation.
        tolerance_kwh: how far an energy, or a sum of energies, may lie outside its bounds. A row of a polygon or
            polytope is first scaled so that its greatest coefficient is one.
    """
    if offer.withdrawn:
        clause = "V1 flexOfferProfileConstraints"
        return [_violation(Kind.WITHDRAWN, "FlexOffer/profiles", "the flexibility is withdrawn", clause)]
    found = list(_timing(offer, schedule, offer.created if now is None else now))
    if schedule.profile is None:
        return found + _least(offer, schedule, tolerance_kwh)
    if schedule.profile >= len(offer.profiles):
        message = f"there is no profile {schedule.profile}; the offer has {len(offer.profiles)}"
        found.append(_violation(Kind.PROFILE, "Schedule/profile", message, "V1 flexOfferProfileConstraints"))
        return found
    return found + _of_profile(offer, schedule, schedule.profile, tolerance_kwh)


def _violation(kind: Kind, path: str, message: str, clause: str, excess: float = 0.0) -> Violation:
    # An excess beyond all numbers is written as the greatest one, since JSON has no infinity.
    return Violation(
        kind=kind,
        path=path,
        message=message,
        clause=clause,
        excess=excess if math.isfinite(excess) else sys.float_info.max,
    )


def _timing(offer: FlexOffer, schedule: Schedule, now: datetime) -> Iterator[Violation]:
    start = schedule.start
    earliest, latest = offer.window(now)
    implicit = offer.start_before_duration_s is not None
    if start < earliest:
        message = f"{start:%FT%TZ} is before {'now' if implicit else 'start_after'} {earliest:%FT%TZ}"
        clause = "GOFLEX startBeforeDuration" if implicit else "V1 startAfterTime"
        yield _violation(Kind.START_EARLY, "Schedule/start", message, clause, (earliest - start).total_seconds())
    if start > latest:
        limit = f"now + {offer.start_before_duration_s} s," if implicit else "start_before"
        clause = "GOFLEX startBeforeDuration" if implicit else "V1 startBeforeTime"
        message = f"{start:%FT%TZ} is after {limit} {latest:%FT%TZ}"
        yield _violation(Kind.START_LATE, "Schedule/start", message, clause, (start - latest).total_seconds())
    if not on_grid(start, offer.resolution_s):
        message = f"{start.isoformat()} is not the start of a slot of {offer.resolution_s} s"
        excess = start.timestamp() % offer.resolution_s
        yield _violation(Kind.OFF_GRID, "Schedule/start", message, "V1 numSecondsPerInterval", excess)
    if offer.end_after is not None or offer.end_before is not None:
        yield from _ending(offer, schedule)


def _ending(offer: FlexOffer, schedule: Schedule) -> Iterator[Violation]:
    end = schedule.end(offer.resolution_s)
    if offer.end_after is not None and end < offer.end_after:
        message = f"ends {end:%FT%TZ}, before end_after {offer.end_after:%FT%TZ}"
        excess = (offer.end_after - end).total_seconds()
        yield _violation(Kind.END_EARLY, "Schedule/slices", message, "V1 endAfterTime", excess)
    if offer.end_before is not None and end > offer.end_before:
        message = f"ends {end:%FT%TZ}, after end_before {offer.end_before:%FT%TZ}"
        excess = (end - offer.end_before).total_seconds()
        yield _violation(Kind.END_LATE, "Schedule/slices", message, "V1 endBeforeTime", excess)


def _least(offer: FlexOffer, schedule: Schedule, tolerance_kwh: float) -> list[Violation]:
    least = _of_profile(offer, schedule, 0, tolerance_kwh)
    for index in range(1, len(offer.profiles)):
        if not least:
            break
        found = _of_profile(offer, schedule, index, tolerance_kwh)
        if len(found) < len(least):
            least = found
    return least


def _of_profile(offer: FlexOffer, schedule: Schedule, index: int, tolerance_kwh: float) -> list[Violation]:
    found = list(_bounds(offer, schedule, offer.profiles[index], tolerance_kwh))
    return [msgspec.structs.replace(v, profile=index) for v in found]


def _bounds(offer: FlexOffer, schedule: Schedule, profile: Profile, tolerance_kwh: float) -> Iterator[Violation]:
    layout = Layout()
    two_mode = profile.two_mode
    if two_mode is not None:
        if leaves_out(offer, schedule, tolerance_kwh):
            return
        found = split(two_mode, schedule, offer.resolution_s)
        if isinstance(found, str):
            yield _violation(Kind.TWO_MODE, "Schedule/slices", found, "GOFLEX two-mode operation")
            return
        layout = found
        yield from _payback(two_mode, schedule, layout, offer.resolution_s, tolerance_kwh)
    inside = schedule.slices
    if two_mode is not None:
        inside = inside[layout.before : len(inside) - layout.after]
    if len(inside) != len(profile.slices):
        message = f"{len(inside)} slices for a profile of {len(profile.slices)}"
        clause = "V1 flexOfferProfileConstraints"
        yield _violation(Kind.SLICE_COUNT, "Schedule/slices", message, clause, abs(len(inside) - len(profile.slices)))
        return
    yield from _energies(profile, inside, layout.before, tolerance_kwh)
    if profile.polytope is not None:
        yield from _of_polytope(profile.polytope, inside, tolerance_kwh)
    if offer.total_cost_eur is not None:
        bounds = (*(None,) * layout.before, *profile.slices, *(None,) * layout.after)
        yield from _of_cost(offer.total_cost_eur, cost_eur(offer, schedule, profile, bounds))


def _payback(
    two_mode: TwoMode, schedule: Schedule, layout: Layout, resolution_s: int, tolerance_kwh: float
) -> Iterator[Violation]:
    for i, due in payback(two_mode, schedule, layout, resolution_s):
        energy = schedule.slices[i].energy_kwh
        excess = abs(energy - due)
        if not excess <= tolerance_kwh:
            path = f"Schedule/slices[{i}]/energy_kwh"
            message = f"{energy:.9g} kWh where {due:.9g} kWh is to be given back"
            yield _violation(Kind.TWO_MODE, path, message, "GOFLEX two-mode operation", excess)


def _energies(
    profile: Profile, pieces: Sequence[ScheduleSlice], first: int, tolerance_kwh: float
) -> Iterator[Violation]:
    """Slice by slice, with what was used before; then the total. `first` is the index of the first in the schedule."""
    used = 0.0
    subtotal = profile.subtotal_energy_kwh
    for i, (bound, piece) in enumerate(zip(profile.slices, pieces, strict=True), first):
        if not _simply_fits(bound, piece, tolerance_kwh):
            yield from _of_slice(bound, piece, used, tolerance_kwh, f"Schedule/slices[{i}]")
        used += piece.energy_kwh
        if subtotal is not None and not subtotal.lo_kwh - tolerance_kwh <= used <= subtotal.hi_kwh + tolerance_kwh:
            yield _violation(
                Kind.SUBTOTAL,
                f"Schedule/slices[{i}]/energy_kwh",
                f"{used:.9g} kWh used so far is outside {subtotal.lo_kwh:.9g}..{subtotal.hi_kwh:.9g} kWh",
                "V1 subTotalEnergyConstraint",
                max(subtotal.lo_kwh - used, used - subtotal.hi_kwh),
            )
    total = profile.total_energy_kwh
    if not math.isfinite(used):
        message = "the energies do not add up to a finite number"
        yield _violation(Kind.NON_FINITE, "Schedule/slices", message, "IEEE 754", math.inf)
    elif total is not None and not total.lo_kwh - tolerance_kwh <= used <= total.hi_kwh + tolerance_kwh:
        yield _violation(
            Kind.TOTAL,
            "Schedule/slices",
            f"{used:.9g} kWh in total is outside {total.lo_kwh:.9g}..{total.hi_kwh:.9g} kWh",
            "V1 totalEnergyConstraint",
            max(total.lo_kwh - used, used - total.hi_kwh),
        )


def _simply_fits(bound: Slice, piece: ScheduleSlice, tolerance_kwh: float) -> bool:
    """The common case, quickly: one range and nothing else, kept."""
    ranges = bound.energy_kwh
    return (
        len(ranges) == 1
        and ranges[0].lo_kwh - tolerance_kwh <= piece.energy_kwh <= ranges[0].hi_kwh + tolerance_kwh
        and bound.min_duration <= piece.duration <= bound.max_duration
        and not bound.polygon
        and bound.uncertainty is None
    )


def _of_slice(bound: Slice, piece: ScheduleSlice, used: float, tolerance_kwh: float, path: str) -> Iterator[Violation]:
    energy = piece.energy_kwh
    if not bound.min_duration <= piece.duration <= bound.max_duration:
        message = f"{piece.duration} slots are outside {bound.min_duration}..{bound.max_duration}"
        slots = max(bound.min_duration - piece.duration, piece.duration - bound.max_duration)
        yield _violation(Kind.DURATION, f"{path}/duration", message, "V1 minDuration, maxDuration", slots)
    path = f"{path}/energy_kwh"
    if bound.energy_kwh:
        excess = min(max(r.lo_kwh - energy, energy - r.hi_kwh) for r in bound.energy_kwh)
        if not excess <= tolerance_kwh:  # so worded that NaN fails
            ranges = " and ".join(f"{r.lo_kwh:.9g}..{r.hi_kwh:.9g}" for r in bound.energy_kwh)
            message = f"{energy:.9g} is outside {ranges} kWh"
            yield _violation(Kind.ENERGY, path, message, "V1 energyConstraintList", excess)
    elif bound.amounts_kwh:
        excess = min(abs(energy - amount) for amount in bound.amounts_kwh)
        if not excess <= tolerance_kwh:
            message = f"{energy:.9g} is none of {', '.join(f'{a:.9g}' for a in bound.amounts_kwh)} kWh"
            yield _violation(Kind.AMOUNT, path, message, "V1 energyConstraintList", excess)
    for row in bound.polygon:
        excess = row.a * used + row.b * energy - row.c_kwh
        if not excess <= tolerance_kwh * max(abs(row.a), abs(row.b)):
            message = f"{row.a:.9g} * {used:.9g} + {row.b:.9g} * {energy:.9g} exceeds {row.c_kwh:.9g} kWh"
            yield _violation(Kind.POLYGON, path, message, "V1 dependencyEnergyConstraintList", excess)
    if bound.uncertainty is not None:
        least, probability = bound.uncertainty.threshold, bound.uncertainty.probability
        if max(probability(energy + shift) for shift in (-tolerance_kwh, 0.0, tolerance_kwh)) < least:
            message = f"{energy:.9g} kWh is feasible with probability {probability(energy):.9g}, under {least:.9g}"
            yield _violation(Kind.PROBABILITY, path, message, "V1 uncertain functions", least - probability(energy))


def _of_polytope(polytope: Polytope, pieces: Sequence[ScheduleSlice], tolerance_kwh: float) -> Iterator[Violation]:
    energies = list(map(attrgetter("energy_kwh"), pieces))
    for i, (row, bound) in enumerate(zip(polytope.a, polytope.b_kwh, strict=True)):
        excess = sum(map(mul, row, energies)) - bound
        if not excess <= tolerance_kwh * max(map(abs, row)):
            message = f"row {i} of the polytope comes to {bound + excess:.9g}, over {bound:.9g} kWh"
            yield _violation(Kind.POLYTOPE, "Schedule/slices", message, "GOFLEX polytope", excess)


def _of_cost(limit: CostRange, cost: float) -> Iterator[Violation]:
    if not limit.lo_eur - TOLERANCE_EUR <= cost <= limit.hi_eur + TOLERANCE_EUR:
        message = f"the schedule costs {cost:.9g} EUR, outside {limit.lo_eur:.9g}..{limit.hi_eur:.9g} EUR"
        excess = max(limit.lo_eur - cost, cost - limit.hi_eur)
        yield _violation(Kind.COST, "Schedule/slices", message, "V1 totalCostConstraint", excess)
