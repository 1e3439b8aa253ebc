"""Sums over many offers, readings and bills: time series, and key figures [GOFLEX D2.1 7.6]."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexhub.core.flexoffer import FlexOffer, Profile, Schedule, State
from flexhub.core.timegrid import QUARTER_HOUR, QUARTER_HOUR_S, ceil_to_grid, floor_to_grid, slot_from, slot_of
from flexhub.core.timeseries import Measurement, SeriesKind, TimeSeries
from flexhub.core.trading import Basis, Bill
from flexhub.core.units import money

HOUR_S: Final = 3600
DEAD: Final = (State.INITIAL, State.REJECTED, State.CANCELED, State.EXPIRED, State.INVALID)
"""States of offers whose energy nobody counts on."""


class Part(NamedTuple):
    """Energies of consecutive slots of one subject."""

    subject: str
    start: datetime
    resolution_s: int
    values_kwh: Sequence[float | None]


def planned(offers: Iterable[FlexOffer], kind: SeriesKind, subject: str | None) -> list[Part]:
    """The default (baseline) or assigned schedules of all offers that count, or of those of one subject."""
    parts = []
    for offer in offers:
        schedule = offer.default_schedule if kind is SeriesKind.BASELINE else offer.schedule
        if schedule is None or offer.state in DEAD or subject not in (None, offer.id, offer.location, offer.issuer):
            continue
        parts.append(Part(offer.id, schedule.start, offer.resolution_s, schedule.per_slot_kwh()))
    return parts


def measured(readings: Iterable[Measurement], subject: str | None) -> list[Part]:
    """Meter readings, all or those of one subject (or under one offer)."""
    return [
        Part(r.subject, r.start, r.resolution_s, r.values_kwh)
        for r in readings
        if subject in (None, r.subject, r.offer)
    ]


def total(subject: str, kind: SeriesKind, parts: Iterable[Part], since: datetime, until: datetime) -> TimeSeries:
    """The sum of all parts on the quarter-hours of [since, until), widened to the grid; None where no part is.

    Of several parts of one subject the last one counts, slot by slot: a slot is measured once.
    """
    start = floor_to_grid(since, QUARTER_HOUR_S)
    slots = (ceil_to_grid(until, QUARTER_HOUR_S) - start) // QUARTER_HOUR
    by_subject: dict[str, NDArray[np.float64]] = {}
    for part in parts:
        values = spread(part, start, slots, QUARTER_HOUR_S)
        before = by_subject.get(part.subject)
        by_subject[part.subject] = values if before is None else np.where(np.isnan(values), before, values)
    summed = np.full(slots, math.nan)
    for values in by_subject.values():
        known = ~np.isnan(values)
        summed[known] = np.where(np.isnan(summed[known]), 0.0, summed[known]) + values[known]
    energies = tuple(None if math.isnan(v) else round(v, 9) for v in summed.tolist())
    return TimeSeries(subject=subject, kind=kind, start=start, values_kwh=energies)


def spread(part: Part, start: datetime, slots: int, resolution_s: int) -> NDArray[np.float64]:
    """The part's energies on another grid, float64[slots], kWh; NaN where it has none.

    An energy is spread evenly over its slot, so that sums are kept.
    """
    out = np.full(slots, math.nan)
    offset = (part.start - start).total_seconds()
    for i, value in enumerate(part.values_kwh):
        if value is None:
            continue
        left = (offset + i * part.resolution_s) / resolution_s
        right = (offset + (i + 1) * part.resolution_s) / resolution_s
        for slot in range(max(0, math.floor(left)), min(slots, math.ceil(right))):
            share = (min(right, slot + 1) - max(left, slot)) / (right - left)
            out[slot] = (0.0 if math.isnan(out[slot]) else out[slot]) + value * share
    return out


def totals(bills: Iterable[Bill]) -> tuple[Decimal, Decimal]:
    """Factual and predicted amounts of all bills, EUR."""
    factual = predicted = Decimal(0)
    for bill in bills:
        factual += bill.total(Basis.FACTUAL)
        predicted += bill.total(Basis.PREDICTED)
    return money(factual), money(predicted)


def states(offers: Iterable[FlexOffer]) -> dict[State, int]:
    """How many offers are in each state; states of none are left out."""
    counted = Counter(offer.state for offer in offers)
    return {state: counted[state] for state in State if counted[state]}


def flexibility(offers: Iterable[FlexOffer], since: datetime, until: datetime) -> tuple[float, list[float]]:
    """The baseline's highest hourly energy, and per hour the sum of (highest - lowest energy), kWh.

    Each hour by itself: an offer's highest energy in one hour may exclude its highest in another.
    """
    start = floor_to_grid(since, HOUR_S)
    hours = (ceil_to_grid(until, HOUR_S) - start) // timedelta(seconds=HOUR_S)
    demand = np.zeros(hours)
    room = np.zeros(hours)
    for offer in offers:
        if offer.state in DEAD:
            continue
        if offer.default_schedule is not None:
            demand += np.nan_to_num(spread(_part(offer, offer.default_schedule), start, hours, HOUR_S))
        room += offer_room(offer, start, hours)
    return float(demand.max(initial=0.0)), [round(v, 9) for v in room.tolist()]


def _part(offer: FlexOffer, schedule: Schedule) -> Part:
    return Part(offer.id, schedule.start, offer.resolution_s, schedule.per_slot_kwh())


def offer_room(offer: FlexOffer, start: datetime, hours: int) -> NDArray[np.float64]:
    """Per hour, highest minus lowest energy over all starts and profiles of one offer: float64[hours], kWh.

    With lo, hi the slots' bounds inside the hour, and the rest outside, a total energy in [T-, T+] leaves
    ``max(sum lo, T- - sum rest hi) <= e <= min(sum hi, T+ - sum rest lo)``, which is exact for ranges and a total.
    Interpretation: slices of variable duration count with their longest; slices that only a polygon bounds count 0.
    """
    step = offer.resolution_s
    earliest, latest = offer.window(offer.created)
    first, last = slot_from(earliest, step), slot_of(latest, step)
    length = max((p.duration_slots()[1] for p in offer.profiles), default=0)
    # Only the hours that the offer can reach are looked at; and of the starts that miss them all, one on each side.
    begin = slot_of(start, 1)
    reached = [min(max(-(-(slot * step - begin) // HOUR_S), 0), hours) for slot in (first, last + length)]
    reached[0] = max(reached[0] - 1, 0)
    edges = (begin + HOUR_S * np.arange(reached[0], reached[1] + 1)) / step
    starts = np.arange(max(first, math.floor(edges[0]) - length - 1), min(last, math.ceil(edges[-1]) + 1) + 1)
    high = np.full(len(edges) - 1, -math.inf)
    low = np.full(len(edges) - 1, math.inf)
    for profile in offer.profiles:
        lo, hi = _bounds(profile)
        slots = np.arange(len(lo))
        # [starts, edges]: energy before each edge, at each start; fractions of a slot count in proportion.
        before_lo = np.interp(edges[None, :] - starts[:, None], slots, lo)
        before_hi = np.interp(edges[None, :] - starts[:, None], slots, hi)
        lo_in, hi_in = np.diff(before_lo, axis=1), np.diff(before_hi, axis=1)
        if profile.total_energy_kwh is not None:
            t = profile.total_energy_kwh
            lo_in, hi_in = (
                np.maximum(lo_in, t.lo_kwh - (hi[-1] - hi_in)),
                np.minimum(hi_in, t.hi_kwh - (lo[-1] - lo_in)),
            )
        high = np.maximum(high, hi_in.max(axis=0, initial=-math.inf))
        low = np.minimum(low, lo_in.min(axis=0, initial=math.inf))
    room = np.zeros(hours)
    found = high - low
    room[reached[0] : reached[1]] = np.where(np.isfinite(found), np.maximum(found, 0.0), 0.0)
    return room


def _bounds(profile: Profile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest energy before each slot of the profile: float64[slots + 1] each, kWh."""
    lows, highs = [0.0], [0.0]
    for piece in profile.slices:
        low, high = piece.span_kwh()
        if not (math.isfinite(low) and math.isfinite(high)):
            low = high = 0.0
        for _ in range(piece.max_duration):
            lows.append(lows[-1] + low / piece.max_duration)
            highs.append(highs[-1] + high / piece.max_duration)
    return np.array(lows), np.array(highs)
