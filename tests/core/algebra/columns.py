"""What the tests of columns share: offers drawn for them, and a judge that shares nothing with ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from flexhub.core.algebra.dfo import Dfo
from flexhub.core.batch import Floats
from flexhub.core.flexoffer import EnergyRange, FlexOffer, HalfPlane, Profile, Schedule, ScheduleSlice, Slice

T0 = datetime(2026, 1, 10, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
PLACES = ("north", "south")


def at(slot: int) -> datetime:
    """The instant of a slot counted from `T0`."""
    return T0 + slot * QUARTER


def broken(offer: FlexOffer, schedule: Schedule, tolerance_kwh: float = 1e-6) -> list[str]:
    """What the schedule breaks of an offer with one profile of plain ranges, totals and polygons, in exact numbers.

    Written from the standard's words, not from `core.judge`: fractions instead of floats, sums from the start.
    """
    return [*broken_times(offer, schedule), *_broken_energies(offer.profiles[0], schedule, Fraction(tolerance_kwh))]


def broken_times(offer: FlexOffer, schedule: Schedule) -> list[str]:
    found = []
    end = schedule.start + QUARTER * sum(piece.duration for piece in schedule.slices)
    if offer.start_after is None or offer.start_before is None:
        found.append("no explicit window")
    elif not offer.start_after <= schedule.start <= offer.start_before:
        found.append("start")
    if (schedule.start - datetime(1970, 1, 1, tzinfo=UTC)) % QUARTER:
        found.append("grid")
    if end < (offer.end_after or end) or end > (offer.end_before or end):
        found.append("end")
    return found


def _broken_energies(profile: Profile, schedule: Schedule, slack: Fraction) -> list[str]:
    if len(profile.slices) != len(schedule.slices):
        return ["slices"]
    found = []

    def within(what: str, energy: Fraction, limits: EnergyRange | None) -> None:
        if limits is not None and not Fraction(limits.lo_kwh) - slack <= energy <= Fraction(limits.hi_kwh) + slack:
            found.append(what)

    energies = [Fraction(piece.energy_kwh) for piece in schedule.slices]
    for i, (bound, piece) in enumerate(zip(profile.slices, schedule.slices, strict=True)):
        before, energy = sum(energies[:i], Fraction(0)), energies[i]
        if not bound.min_duration <= piece.duration <= bound.max_duration:
            found.append(f"duration {i}")
        for limits in bound.energy_kwh:
            within(f"energy {i}", energy, limits)
        for row in bound.polygon:
            scale = max(abs(row.a), abs(row.b))
            if Fraction(row.a) * before + Fraction(row.b) * energy > Fraction(row.c_kwh) + slack * Fraction(scale):
                found.append(f"polygon {i}")
        within(f"sub-total {i}", before + energy, profile.subtotal_energy_kwh)
    within("total", sum(energies, Fraction(0)), profile.total_energy_kwh)
    return found


energies = st.floats(-50, 50) | st.integers(-4, 4).map(float)


@st.composite
def plain_offers(draw: st.DrawFn, name: str) -> FlexOffer:
    """An offer with slices of one length, now and then with more bounds, so that it must stay alone."""
    n = draw(st.integers(1, 5))
    unit = draw(st.sampled_from((1, 1, 1, 2)))
    ranges = [sorted((draw(energies), draw(energies))) for _ in range(n)]
    first = draw(st.integers(0, 8))
    last = first + draw(st.integers(0, 6))
    lengths = [unit] * n
    total = polygon = None
    match draw(st.sampled_from(("plain", "plain", "plain", "loose total", "total", "lengths", "polygon"))):
        case "loose total":
            total = EnergyRange(sum(a for a, _ in ranges) - 1, sum(b for _, b in ranges) + 1)
        case "total":
            middle = sum((a + b) / 2 for a, b in ranges)
            total = EnergyRange(middle - 0.5, middle + 0.5)
        case "lengths":
            lengths[-1] += 1
        case "polygon":
            polygon = HalfPlane(0.0, 1.0, ranges[0][1])
    default = None
    if draw(st.booleans()):
        shares = [draw(st.floats(0, 1)) for _ in range(n)]
        inside = [min(max(a + s * (b - a), a), b) for (a, b), s in zip(ranges, shares, strict=True)]
        default = Schedule(
            start=at(draw(st.integers(first, last))),
            slices=tuple(ScheduleSlice(energy_kwh=e, duration=d) for e, d in zip(inside, lengths, strict=True)),
        )
    slices = tuple(
        Slice(
            energy_kwh=(EnergyRange(a, b),),
            min_duration=d,
            max_duration=d,
            polygon=(polygon,) if polygon is not None and i == 0 else (),
        )
        for i, ((a, b), d) in enumerate(zip(ranges, lengths, strict=True))
    )
    return FlexOffer(
        id=name,
        issuer="p",
        created=T0,
        location=draw(st.sampled_from((None, *PLACES))),
        start_after=at(first),
        start_before=at(last),
        end_before=draw(st.sampled_from((None, at(first + sum(lengths)), at(last + sum(lengths))))),
        profiles=(Profile(slices=slices, total_energy_kwh=total),),
        default_schedule=default,
    )


@st.composite
def many_offers(draw: st.DrawFn, prefix: str = "o", most: int = 8) -> list[FlexOffer]:
    """Offers of distinct ids."""
    return [draw(plain_offers(f"{prefix}{i}")) for i in range(draw(st.integers(1, most)))]


amounts = st.integers(-24, 24).map(lambda n: n / 8)
margins = st.integers(0, 16).map(lambda n: n / 8)


@st.composite
def offers(draw: st.DrawFn, name: str, slots: int = 6) -> FlexOffer:
    """An offer with a total, a sub-total or both, built around energies that keep them; it may start in one slot."""
    first = draw(st.integers(0, slots - 1))
    n = draw(st.integers(1, slots - first))
    inside = draw(st.lists(amounts, min_size=n, max_size=n))
    running = [sum(inside[: i + 1]) for i in range(n)]
    total = subtotal = None
    if draw(st.booleans()):
        total = EnergyRange(running[-1] - draw(margins), running[-1] + draw(margins))
    if draw(st.booleans()):
        subtotal = EnergyRange(min(running) - draw(margins), max(running) + draw(margins))
    slices = tuple(Slice(energy_kwh=(EnergyRange(e - draw(margins), e + draw(margins)),)) for e in inside)
    profile = Profile(slices=slices, total_energy_kwh=total, subtotal_energy_kwh=subtotal)
    return FlexOffer(
        id=name, issuer="p", created=T0, start_after=at(first), start_before=at(first), profiles=(profile,)
    )


@st.composite
def groups(draw: st.DrawFn) -> list[FlexOffer]:
    """Offers of distinct ids, storage-like."""
    return [draw(offers(f"o{i}")) for i in range(draw(st.integers(1, 4)))]


@st.composite
def dependent_offers(draw: st.DrawFn, name: str, slots: int = 5) -> FlexOffer:
    """An offer with polygons around energies that keep them, and now and then a total; it may start in one slot."""
    first = draw(st.integers(0, slots - 1))
    n = draw(st.integers(1, slots - first))
    used, slices = 0.0, []
    for energy in draw(st.lists(amounts, min_size=n, max_size=n)):
        sides = draw(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)).filter(any), max_size=4))
        rows = tuple(HalfPlane(a / 2, b / 2, (a * used + b * energy) / 2 + draw(margins)) for a, b in sides)
        least, most = energy - draw(margins), energy + draw(margins)
        slices.append(Slice(energy_kwh=(EnergyRange(least, most),), polygon=rows))
        used += energy
    total = EnergyRange(used - draw(margins), used + draw(margins)) if draw(st.booleans()) else None
    profile = Profile(slices=tuple(slices), total_energy_kwh=total)
    return FlexOffer(
        id=name, issuer="p", created=T0, start_after=at(first), start_before=at(first), profiles=(profile,)
    )


@st.composite
def dependent_groups(draw: st.DrawFn) -> list[FlexOffer]:
    """Offers of distinct ids."""
    return [draw(dependent_offers(f"o{i}")) for i in range(draw(st.integers(1, 4)))]


def walk(dfo: Dfo, random: np.random.Generator) -> Floats:
    """A schedule that takes any energy that its slot's polygon leaves; that there is one each time is the law."""
    used, energies = 0.0, []
    for polygon in dfo.polygons:
        for side in polygon:
            assert side.x[0] - 1e-7 <= used <= side.x[-1] + 1e-7
        least, most = (float(side(np.array([used]))[0]) for side in polygon)
        assert least <= most + 1e-9
        energies.append(least + float(random.choice([0.0, 1.0, random.random()])) * max(most - least, 0.0))
        used += energies[-1]
    return np.array(energies)
