"""Hypothesis strategies for flex-offers and schedules, shared by all tests.

Offers are built around a schedule that keeps them, so every offer drawn is feasible and comes with its witness.
Energies are multiples of 1/8 kWh: sums of them are exact in binary.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final, NamedTuple

import msgspec
from hypothesis import strategies as st

from flexhub.core.cost import cost_eur
from flexhub.core.flexoffer import (
    CostRange,
    EnergyRange,
    FlexOffer,
    HalfPlane,
    Polytope,
    Profile,
    Schedule,
    ScheduleSlice,
    Slice,
    State,
    TwoMode,
    Uncertainty,
)
from flexhub.core.price import Price
from flexhub.core.timegrid import instant_of, slot_of

SIMPLE: Final = frozenset({"total"})
"""Slice bounds, perhaps with total energy: what aggregation and the columnar form know."""
COLUMNAR: Final = frozenset({"total", "subtotal", "polygon"})
ALL: Final = COLUMNAR | {
    "amounts", "cost", "duration", "end", "implicit", "polytope", "price", "ranges", "two_mode", "uncertainty", "xor"
}  # fmt: skip
"""Every kind of bound. `kinds` below says which may occur; each that may, does so now and then."""

QUARTER_S: Final = 900
FIRST: Final = slot_of(datetime(2026, 1, 1, tzinfo=UTC), QUARTER_S)

energies = st.integers(-64, 64).map(lambda n: n / 8)
margins = st.integers(0, 16).map(lambda n: n / 8)
slopes = st.integers(-100, 100).map(lambda n: n / 100)
ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=12)


class Witnessed(NamedTuple):
    """A feasible offer, and a schedule that keeps it at `now`."""

    offer: FlexOffer
    schedule: Schedule
    now: datetime


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """Convex prices of one to four segments."""
    rising = sorted(draw(st.lists(slopes, min_size=1, max_size=4)))
    knots = draw(st.lists(energies, min_size=len(rising) - 1, max_size=len(rising) - 1, unique=True))
    return Price(slopes_eur_per_kwh=tuple(rising), knots_kwh=tuple(sorted(knots)))


@st.composite
def ranges_around(draw: st.DrawFn, energy_kwh: float) -> EnergyRange:
    """A range that holds this energy."""
    return EnergyRange(energy_kwh - draw(margins), energy_kwh + draw(margins))


@st.composite
def _rows(draw: st.DrawFn, used: float, energy: float) -> tuple[HalfPlane, ...]:
    """Rows of a polygon with the point inside; all four sides are there, so that it is bounded."""
    sides = [(1.0, 1.0), (-1.0, -1.0), (0.0, 1.0), (0.0, -1.0)]
    sides += draw(st.lists(st.tuples(slopes, slopes.filter(bool)), max_size=2))
    return tuple(HalfPlane(a, b, a * used + b * energy + draw(margins)) for a, b in sides)


@st.composite
def _slices(draw: st.DrawFn, kinds: frozenset[str], used: float, energy: float, duration: int) -> Slice:
    style = draw(st.sampled_from(["range", *sorted(kinds & {"ranges", "amounts", "polygon"})]))
    bounds: tuple[EnergyRange, ...] = (draw(ranges_around(energy)),)
    amounts: tuple[float, ...] = ()
    if style == "ranges":
        others = draw(st.lists(energies.flatmap(ranges_around), min_size=1, max_size=2))
        bounds = tuple(draw(st.permutations([*bounds, *others])))
    elif style == "amounts":
        amounts = tuple(draw(st.permutations([energy, *draw(st.lists(energies, max_size=3))])))
        bounds = ()
    elif style == "polygon" and draw(st.booleans()):
        bounds = ()
    uncertainty = None
    if "uncertainty" in kinds and draw(st.booleans()):
        left, right = draw(margins) + 0.125, draw(margins) + 0.125
        uncertainty = Uncertainty(
            energies_kwh=(energy - left, energy, energy + right), probabilities=(0.0, 1.0, 0.5), threshold=0.75
        )
    longest = duration + (draw(st.integers(0, 2)) if "duration" in kinds else 0)
    shortest = draw(st.integers(1, duration)) if "duration" in kinds else duration
    return Slice(
        energy_kwh=bounds,
        amounts_kwh=amounts,
        min_duration=shortest,
        max_duration=longest,
        price=draw(st.none() | prices()) if "price" in kinds else None,
        polygon=draw(_rows(used, energy)) if style == "polygon" else (),
        uncertainty=uncertainty,
    )


@st.composite
def profiles_around(draw: st.DrawFn, kinds: frozenset[str], energies_kwh: list[float], durations: list[int]) -> Profile:
    """A profile that these energies over these durations keep."""
    used = [sum(energies_kwh[:i]) for i in range(len(energies_kwh) + 1)]
    slices = tuple(
        draw(_slices(kinds, before, energy, duration))
        for before, energy, duration in zip(used, energies_kwh, durations, strict=False)
    )
    polytope = None
    if "polytope" in kinds and draw(st.booleans()):
        a = draw(st.lists(st.tuples(*(slopes for _ in slices)), min_size=1, max_size=3))
        products = [sum(v * e for v, e in zip(row, energies_kwh, strict=True)) for row in a]
        polytope = Polytope(a=tuple(a), b_kwh=tuple(p + draw(margins) for p in products))
    return Profile(
        slices=slices,
        total_energy_kwh=draw(st.none() | ranges_around(used[-1])) if "total" in kinds else None,
        subtotal_energy_kwh=(
            draw(st.none() | st.just(EnergyRange(min(used[1:]) - draw(margins), max(used[1:]) + draw(margins))))
            if "subtotal" in kinds
            else None
        ),
        polytope=polytope,
    )


def _pieces(energies_kwh: Sequence[float], durations: Sequence[int]) -> tuple[ScheduleSlice, ...]:
    return tuple(ScheduleSlice(energy_kwh=e, duration=d) for e, d in zip(energies_kwh, durations, strict=False))


def _payback(energy_kwh: float, share: float, slots: int) -> tuple[ScheduleSlice, ...]:
    return (ScheduleSlice(energy_kwh=-share * energy_kwh / slots),) * slots if slots else ()


@st.composite
def witnessed(draw: st.DrawFn, kinds: frozenset[str] = ALL, *, max_slices: int = 6) -> Witnessed:
    """A feasible flex-offer with bounds of these kinds (in state `offered`), a schedule that keeps it, and now."""
    size = draw(st.integers(1, max_slices))
    energies_kwh = draw(st.lists(energies, min_size=size, max_size=size))
    durations = [draw(st.integers(1, 3)) if "duration" in kinds else 1 for _ in range(size)]
    profile = draw(profiles_around(kinds, energies_kwh, durations))
    pieces = _pieces(energies_kwh, durations)
    before = after = 0
    if "two_mode" in kinds and draw(st.booleans()):
        before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        two_mode = TwoMode(
            prior_time_s=before * QUARTER_S,
            prior_portion=0.5 if before else 0.0,
            after_time_s=after * QUARTER_S,
            after_portion=0.25 if after else 0.0,
        )
        profile = msgspec.structs.replace(profile, two_mode=two_mode)
        total = sum(energies_kwh)
        pieces = (*_payback(total, 0.5, before), *pieces, *_payback(total, 0.25, after))
    earlier = draw(st.lists(_other_profiles(kinds), max_size=2)) if "xor" in kinds else []
    first = draw(st.integers(FIRST, FIRST + 10_000))
    schedule = Schedule(start=instant_of(first, QUARTER_S), profile=len(earlier), slices=pieces)
    offer, now = draw(_offers(kinds, (*earlier, profile), schedule))
    if "cost" in kinds and draw(st.booleans()):
        cost = cost_eur(offer, schedule, profile, (*(None,) * before, *profile.slices, *(None,) * after))
        offer = msgspec.structs.replace(offer, total_cost_eur=CostRange(cost - draw(margins), cost + draw(margins)))
    return Witnessed(offer, schedule, now)


@st.composite
def _other_profiles(draw: st.DrawFn, kinds: frozenset[str]) -> Profile:
    energies_kwh = draw(st.lists(energies, min_size=1, max_size=3))
    return draw(profiles_around(kinds, energies_kwh, [1] * len(energies_kwh)))


@st.composite
def _offers(
    draw: st.DrawFn, kinds: frozenset[str], profiles: tuple[Profile, ...], schedule: Schedule
) -> tuple[FlexOffer, datetime]:
    """An offer whose times the schedule keeps, and now."""

    def later(instant: datetime, most: int = 8) -> datetime:
        return instant + timedelta(seconds=QUARTER_S * draw(st.integers(0, most)))

    def sooner(instant: datetime, most: int = 8) -> datetime:
        return instant - (later(instant, most) - instant)

    end = schedule.start + timedelta(seconds=QUARTER_S * schedule.slots())
    now = sooner(schedule.start)
    implicit = "implicit" in kinds and draw(st.booleans())
    after, before = sooner(schedule.start), later(schedule.start)
    created = sooner(min(now, after))
    with_ends = "end" in kinds and draw(st.booleans())
    with_price = bool(kinds & {"price", "cost"})
    default = Schedule(
        start=later(sooner(schedule.start)), slices=_pieces(draw(st.lists(energies, min_size=1, max_size=4)), (1,) * 4)
    )
    offer = FlexOffer(
        id=draw(ids),
        issuer=draw(ids),
        recipient=draw(st.none() | ids),
        state=State.OFFERED,
        created=created,
        accept_before=draw(st.none() | st.just(later(created))),
        start_after=None if implicit else after,
        start_before=None if implicit else before,
        start_before_duration_s=int((before - now).total_seconds()) if implicit else None,
        end_after=sooner(end) if with_ends else None,
        end_before=later(end) if with_ends else None,
        profiles=profiles,
        price=draw(st.none() | prices()) if with_price else None,
        default_schedule=draw(st.none() | st.just(default)) if with_price else None,
    )
    return offer, now


def flex_offers(kinds: frozenset[str] = ALL, *, max_slices: int = 6) -> st.SearchStrategy[FlexOffer]:
    """Feasible flex-offers with bounds of these kinds."""
    return witnessed(kinds, max_slices=max_slices).map(lambda drawn: drawn.offer)


@st.composite
def schedules(draw: st.DrawFn, offer: FlexOffer) -> Schedule:
    """A schedule for the offer's first profile that may or may not keep its bounds."""
    earliest, latest = offer.window(offer.created)
    first, last = slot_of(earliest, offer.resolution_s) - 1, slot_of(latest, offer.resolution_s) + 1
    pieces = [
        ScheduleSlice(energy_kwh=draw(energies), duration=draw(st.integers(bound.min_duration, bound.max_duration + 1)))
        for bound in offer.profiles[0].slices
    ]
    start = instant_of(draw(st.integers(first, last)), offer.resolution_s)
    return Schedule(start=start, profile=draw(st.sampled_from((None, 0))), slices=tuple(pieces))


@st.composite
def convex_offers(draw: st.DrawFn, name: str, created: datetime, *, planned: bool = False) -> FlexOffer:
    """An offer with bounds that a linear program holds, which starts one to twelve quarter-hours after its creation.

    `planned` offers have a default schedule, the others now and then.
    """

    def at(slot: int) -> datetime:
        return created + timedelta(seconds=QUARTER_S * slot)

    n = draw(st.integers(1, 6))
    spans = [sorted((draw(st.floats(-5, 5)), draw(st.floats(-5, 5)))) for _ in range(n)]
    inner = [a + draw(st.floats(0, 1)) * (b - a) for a, b in spans]
    inner = [min(max(e, a), b) for e, (a, b) in zip(inner, spans, strict=True)]
    total, running = sum(inner), list(accumulate(inner))
    slack = draw(st.floats(0, 2))
    kinds = draw(st.sets(st.sampled_from(["total", "subtotal", "polygon", "polytope", "price", "default", "duration"])))
    slices = tuple(
        Slice(
            energy_kwh=(EnergyRange(a, b),),
            # bounds through a point that is known to be feasible
            polygon=(HalfPlane(0.5, 1.0, 0.5 * (running[i] - inner[i]) + inner[i] + slack),)
            if "polygon" in kinds
            else (),
            price=Price.of_tariffs(-0.1, 0.3) if "price" in kinds and i % 2 else None,
            max_duration=2 if "duration" in kinds else 1,
        )
        for i, (a, b) in enumerate(spans)
    )
    profile = Profile(
        slices=slices,
        total_energy_kwh=EnergyRange(total - slack, total + slack) if "total" in kinds else None,
        subtotal_energy_kwh=EnergyRange(min(running) - slack, max(running) + slack)
        if "subtotal" in kinds
        else None,
        polytope=Polytope(a=(tuple(float(i % 3 - 1) for i in range(n)),), b_kwh=(
            sum((i % 3 - 1) * e for i, e in enumerate(inner)) + slack,)) if "polytope" in kinds else None,
    )  # fmt: skip
    first = draw(st.integers(1, 8))
    default = Schedule(start=at(first), slices=_pieces(inner, (1,) * n))
    return FlexOffer(
        id=name,
        issuer="p",
        created=created,
        start_after=at(first),
        start_before=at(first + draw(st.integers(0, 4))),
        profiles=(profile,),
        price=draw(st.sampled_from([None, Price(slopes_eur_per_kwh=(-0.2, 0.0, 0.1), knots_kwh=(-1.0, 0.5))])),
        default_schedule=default if planned or "default" in kinds else None,
    )
