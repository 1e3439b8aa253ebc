"""A second judge, for offers of every kind, written from the words of the standards and in exact numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, Slice, TwoMode, Uncertainty
from tests.core.algebra.columns import broken_times

SLACK = Fraction(1, 1_000_000)


def broken_of_any(offer: FlexOffer, schedule: Schedule) -> list[str]:
    """What the schedule breaks of the profile that it names, or of that of which it breaks least."""
    profiles = offer.profiles if schedule.profile is None else [offer.profiles[schedule.profile]]
    found = min(([*_broken_of(offer, profile, schedule)] for profile in profiles), key=len)
    return [*broken_times(offer, schedule), *found]


def _broken_of(offer: FlexOffer, profile: Profile, schedule: Schedule) -> Iterator[str]:
    energies = [Fraction(piece.energy_kwh) for piece in schedule.slices]
    durations = [piece.duration for piece in schedule.slices]
    mode = profile.two_mode
    if mode is not None:
        default = offer.default_schedule
        if not any(energies) or (
            default is not None and (default.start, default.slices) == (schedule.start, schedule.slices)
        ):
            return
        before, after = (-(-time // offer.resolution_s) for time in (mode.prior_time_s, mode.after_time_s))
        if len(energies) != before + len(profile.slices) + after or set(durations) != {1}:
            yield "layout"
            return
        yield from _payback(mode, energies, before, after)
        energies, durations = energies[before : before + len(profile.slices)], durations[: len(profile.slices)]
    if len(energies) != len(profile.slices):
        yield "slices"
        return
    for i, (bound, energy, duration) in enumerate(zip(profile.slices, energies, durations, strict=True)):
        if not bound.min_duration <= duration <= bound.max_duration:
            yield f"duration {i}"
        yield from _of_slice(bound, energy, sum(energies[:i], Fraction(0)), i)
        if not _within(profile.subtotal_energy_kwh, sum(energies[: i + 1], Fraction(0))):
            yield f"sub-total {i}"
    if not _within(profile.total_energy_kwh, sum(energies, Fraction(0))):
        yield "total"
    if profile.polytope is not None:
        for row, most in zip(profile.polytope.a, profile.polytope.b_kwh, strict=True):
            factors = [Fraction(a) for a in row]
            value = sum((a * e for a, e in zip(factors, energies, strict=True)), Fraction(0))
            if value > Fraction(most) + SLACK * max(map(abs, factors)):
                yield "polytope"


def _payback(mode: TwoMode, energies: Sequence[Fraction], before: int, after: int) -> Iterator[str]:
    end = len(energies) - after
    total = sum(energies[before:end], Fraction(0))
    for portion, given in ((mode.prior_portion, energies[:before]), (mode.after_portion, energies[end:])):
        if any(abs(energy + Fraction(portion) * total / len(given)) > SLACK for energy in given):
            yield "payback"


def _of_slice(bound: Slice, energy: Fraction, before: Fraction, i: int) -> Iterator[str]:
    ranges = [*bound.energy_kwh, *(EnergyRange(a, a) for a in bound.amounts_kwh)]
    if ranges and not any(_within(r, energy) for r in ranges):
        yield f"energy {i}"
    for row in bound.polygon:
        value = Fraction(row.a) * before + Fraction(row.b) * energy
        if value > Fraction(row.c_kwh) + SLACK * max(abs(Fraction(row.a)), abs(Fraction(row.b))):
            yield f"polygon {i}"
    if bound.uncertainty is not None and not _likely(bound.uncertainty, energy):
        yield f"probability {i}"


def _within(bounds: EnergyRange | None, value: Fraction) -> bool:
    return bounds is None or Fraction(bounds.lo_kwh) - SLACK <= value <= Fraction(bounds.hi_kwh) + SLACK


def _likely(uncertainty: Uncertainty, energy: Fraction) -> bool:
    """Whether an energy within the slack is likely enough; each piece is straight, so its ends tell."""
    points = [
        (Fraction(e), Fraction(p)) for e, p in zip(uncertainty.energies_kwh, uncertainty.probabilities, strict=True)
    ]
    for (left, low), (right, high) in pairwise(points):
        ends = max(left, energy - SLACK), min(right, energy + SLACK)
        if ends[0] <= ends[1] and any(
            low + (high - low) * (at - left) / (right - left) >= Fraction(uncertainty.threshold) for at in ends
        ):
            return True
    return False
