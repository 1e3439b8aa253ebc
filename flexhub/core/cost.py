"""What a schedule costs by the offer's prices: its deviation from the default schedule, compared in time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from flexhub.core.flexoffer import FlexOffer, Profile, Schedule, Slice

TOLERANCE_EUR = 1e-6
"""Costs closer than this are the same: a ten-thousandth of a cent."""


def cost_eur(offer: FlexOffer, schedule: Schedule, profile: Profile, bounds: Sequence[Slice | None]) -> float:
    """EUR that `schedule` costs by the offer's price model; positive is paid to the issuer.

    Each slice of the schedule deviates by its energy less what the default schedule uses in the same time, at the
    price of its own slice of the profile, or else of the offer. ``bounds`` holds the profile's slice for each slice of
    the schedule, None where it has none (payback of a two-mode operation).

    Interpretation: V1 does not say what a deviation is where the starts differ. Here energies are compared where they
    happen: what the default schedule uses outside the schedule's time is a deviation, too, of one default slice each,
    at the price of the slice with that index. Without a default schedule each slice's default is the energy nearest to
    0 that it allows (`unavoidable_kwh`): nobody earns more by leaving the default schedule out. Where no price is
    stated at all, the cost is that of the prices agreed in the schedule, energy times price.
    """
    if offer.price is None and all(piece.price is None for piece in profile.slices):
        return sum(piece.energy_kwh * (piece.price_eur_per_kwh or 0.0) for piece in schedule.slices)
    default = offer.default_schedule
    shift = 0 if default is None else (default.start - schedule.start) // timedelta(seconds=offer.resolution_s)
    # (slot relative to the schedule's start) -> energy that the default uses there, taken out where compared
    planned = {} if default is None else dict(enumerate(default.per_slot_kwh(), shift))
    total, slot = 0.0, 0
    for bound, piece in zip(bounds, schedule.slices, strict=True):
        price = offer.price if bound is None or bound.price is None else bound.price
        if default is not None:
            usual = sum(planned.pop(at, 0.0) for at in range(slot, slot + piece.duration))
        else:
            usual = 0.0 if bound is None else unavoidable_kwh(bound)
        slot += piece.duration
        if price is not None:
            total += price.cost_eur(piece.energy_kwh - usual)
    if default is not None and planned:
        total += _forgone_eur(offer, default, profile, planned, shift)
    return total


def unavoidable_kwh(bound: Slice) -> float:
    """The energy nearest to 0 that the slice's ranges or amounts allow, kWh; 0 where only a polygon bounds it."""
    allowed = bound.amounts_kwh or [min(max(0.0, one.lo_kwh), one.hi_kwh) for one in bound.energy_kwh]
    return min(allowed, key=abs, default=0.0)


def _forgone_eur(offer: FlexOffer, default: Schedule, profile: Profile, planned: dict[int, float], shift: int) -> float:
    """Cost of the default's energies, by slot, that lie outside the schedule and so are not used at all."""
    total, slot = 0.0, shift
    for i, piece in enumerate(default.slices):
        price = profile.slices[i].price if i < len(profile.slices) else None
        price = price or offer.price
        unused = sum(planned.get(at, 0.0) for at in range(slot, slot + piece.duration))
        slot += piece.duration
        if price is not None:
            total += price.cost_eur(-unused)
    return total
