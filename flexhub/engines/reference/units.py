"""Offers as units of a plan, and a plan's energies as schedules that keep every bound."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import numpy as np

from flexhub.core.algebra.shape import (
    Floats,
    bounds,
    cumulative,
    default_energies,
    matches,
    settle_into,
    starts,
    tighten,
)
from flexhub.core.cost import cost_eur
from flexhub.core.flexoffer import FlexOffer, Schedule, ScheduleSlice
from flexhub.core.timegrid import instant_of, slot_of
from flexhub.engines.reference.planning import Unit


def unit_of(offer: FlexOffer, now: datetime, resolution_s: int, horizon: timedelta) -> Unit:
    """The offer as it is planned in slots of `resolution_s`, started from `now` to `horizon` later."""
    profile = offer.profiles[0]
    factor = offer.resolution_s // resolution_s
    lengths = durations_of(offer)
    window = starts(offer, sum(lengths), now)
    # A plan is no longer than its horizon, however late an offer might start.
    window = window._replace(last=min(window.last, slot_of(now + horizon, offer.resolution_s)))
    lo, hi = bounds(profile)
    default = default_energies(offer)
    start = window.first
    if default is not None and offer.default_schedule is not None:
        start = min(max(slot_of(offer.default_schedule.start, offer.resolution_s), window.first), window.last)
    return Unit(
        offer=offer,
        profile=profile,
        first=window.first * factor,
        last=window.last * factor,
        step=factor,
        slots=np.array(lengths, dtype=np.int64) * factor,
        lo=lo,
        hi=hi,
        default=np.clip(0.0, lo, hi) if default is None else default,
        default_start=start * factor,
    )


def price_eur(offer: FlexOffer, schedule: Schedule) -> float:
    """What the offer's own prices ask for a schedule of its only profile."""
    return cost_eur(offer, schedule, offer.profiles[0], offer.profiles[0].slices)


def durations_of(offer: FlexOffer) -> list[int]:
    """Length of each slice in slots of the offer; where it varies, as in the default schedule, else the least."""
    slices = offer.profiles[0].slices
    default = offer.default_schedule
    if default is not None and matches(offer, default):
        chosen = [s.duration for s in default.slices]
        if all(s.min_duration <= d <= s.max_duration for s, d in zip(slices, chosen, strict=True)):
            return chosen
    return [s.min_duration for s in slices]


def rounded(unit: Unit, wish: Floats) -> Floats:
    """The solver's energies without its rounding: within every slice bound and running total, exactly."""
    clipped = np.clip(wish, unit.lo, unit.hi)
    profile = unit.profile
    if profile.polytope is not None or any(s.polygon for s in profile.slices):
        return clipped  # general rows keep the solver's tolerance of 1e-9
    if profile.total_energy_kwh is None and profile.subtotal_energy_kwh is None:
        return clipped
    return settle_into(wish, unit.lo, unit.hi, tighten(unit.lo, unit.hi, cumulative(profile)))


def schedule_of(unit: Unit, start: int, energy: Floats, resolution_s: int) -> Schedule:
    """The unit's schedule from slot `start` (since the epoch, of the plan) on: energy float64[n] kWh, per slice."""
    lengths = (unit.slots // unit.step).tolist()
    slices = tuple(ScheduleSlice(energy_kwh=e, duration=d) for e, d in zip(energy.tolist(), lengths, strict=True))
    return Schedule(start=instant_of(start, resolution_s), slices=slices)


def numbered(schedule: Schedule, offer: FlexOffer) -> Schedule:
    """With the next update number, so that it may replace what was assigned before."""
    update = 0 if offer.schedule is None else offer.schedule.update + 1
    return msgspec.structs.replace(schedule, update=update, profile=0)
