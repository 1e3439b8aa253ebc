"""Measures of flexibility, worked by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import product as combinations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra.grouping import VALUES, Dimension
from flexhub.core.algebra.measures import (
    absolute_area,
    energy_flexibility_kwh,
    log_assignments,
    measure,
    product,
    reachable_energy_kwh,
    reachable_kwh,
    relative_area,
    time_flexibility,
    time_series,
    totals_kwh,
    vector,
)
from flexhub.core.errors import InfeasibleError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Polytope, Profile, Slice

T0 = datetime(2026, 1, 10, tzinfo=UTC)
OFFER = FlexOffer(
    id="o",
    issuer="p",
    created=T0,
    start_after=T0 + timedelta(minutes=10),  # the first slot starts at 15
    start_before=T0 + timedelta(minutes=80),  # the last at 75: four slots later
    profiles=(Profile(slices=(Slice(energy_kwh=(EnergyRange(0, 2),)), Slice(energy_kwh=(EnergyRange(1, 2),)))),),
)


def test_measures() -> None:
    assert time_flexibility(OFFER) == 4
    assert energy_flexibility_kwh(OFFER) == 3
    assert product(OFFER) == 12
    assert vector(OFFER) == 5
    assert time_series(OFFER) == pytest.approx(math.sqrt(5))
    assert log_assignments(OFFER) == pytest.approx(math.log(5 * 3 * 2))


def test_an_end_takes_time_flexibility_away() -> None:
    assert time_flexibility(msgspec.structs.replace(OFFER, end_before=T0 + timedelta(minutes=75))) == 2


def test_a_withdrawn_offer_has_none() -> None:
    gone = msgspec.structs.replace(OFFER, profiles=())
    assert (time_flexibility(gone), energy_flexibility_kwh(gone), product(gone), vector(gone)) == (0, 0, 0, 0)
    assert log_assignments(gone) == -math.inf


def test_every_dimension_has_a_value() -> None:
    assert {d: value(OFFER) for d, value in VALUES.items()} == {
        Dimension.START_AFTER: T0.timestamp() + 900,
        Dimension.START_BEFORE: T0.timestamp() + 4500,
        Dimension.TIME_FLEXIBILITY: 3600,
        Dimension.ASSIGN_BEFORE: T0.timestamp() + 600,
        Dimension.DURATION: 1800,
        Dimension.SLICES: 2,
        Dimension.TOTAL_ENERGY: 4,
        Dimension.TARIFF: 0,
        Dimension.LOCATION: "",
        Dimension.CONTRACT: "",
        Dimension.SIGN: "consumption",
        Dimension.KIND: "active_energy",
    }
    assert set(VALUES) == set(Dimension)


def drawn(first: int, last: int, ranges: list[tuple[float, float]], **more: object) -> FlexOffer:
    profile = Profile(slices=tuple(Slice(energy_kwh=(EnergyRange(*r),)) for r in ranges), **more)  # type: ignore[arg-type]  # fields by name
    after, before = (T0 + timedelta(minutes=15 * slot) for slot in (first, last))
    return FlexOffer(id="o", issuer="p", created=T0, start_after=after, start_before=before, profiles=(profile,))


def test_areas_worked_by_hand() -> None:
    # Slices of 2 and 1..3 at two starts: columns of 2, 3 and 3; at least 3 are always taken.
    shifted = drawn(0, 1, [(2, 2), (1, 3)])
    assert absolute_area(shifted) == 2 + 3 + 3 - 3
    assert relative_area(shifted) == pytest.approx(2 * 5 / (3 + 5))
    # A battery covers both sides, and its mean is 0.
    battery = drawn(0, 0, [(-2, 2)] * 3)
    assert absolute_area(battery) == 12
    assert relative_area(battery) == pytest.approx(2 * 12 / (6 + 6))
    # Production of 1..2 and then 3: at least 4 are always given.
    assert absolute_area(drawn(0, 0, [(-2, -1), (-3, -3)])) == 5 - 4
    # A fixed offer has none, and nothing at all has none either.
    assert absolute_area(drawn(0, 0, [(1, 1), (2, 2)])) == 0 == relative_area(drawn(0, 0, [(0, 0)]))


def test_a_total_narrows_what_slices_reach() -> None:
    # In all 3 of at most 2 a slice: each slice takes 1 at least.
    car = drawn(0, 0, [(0, 2)] * 2, total_energy_kwh=EnergyRange(3, 3))
    assert [side.tolist() for side in reachable_kwh(car)] == [[1, 1], [2, 2]]
    assert reachable_energy_kwh(car) == 2 < energy_flexibility_kwh(car)
    assert absolute_area(car) == 4 - 3
    assert totals_kwh(car) == (3, 3)
    as_polytope = drawn(0, 0, [(0, 2)] * 2, polytope=Polytope(a=((1.0, 1.0), (-1.0, -1.0)), b_kwh=(3.0, -3.0)))
    for side, same in zip(reachable_kwh(as_polytope), reachable_kwh(car), strict=True):
        assert side == pytest.approx(same)


def test_nothing_feasible_is_told_by_name() -> None:
    def polytope(least: float) -> FlexOffer:
        return drawn(0, 0, [(0, 2)], polytope=Polytope(a=((-1.0,),), b_kwh=(-least,)))

    assert reachable_energy_kwh(polytope(1.5)) == pytest.approx(0.5)
    with pytest.raises(InfeasibleError) as caught:
        measure(polytope(2.5))
    assert caught.value.path == "FlexOffer[o]"


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3)), min_size=1, max_size=3), st.integers(0, 3))
def test_areas_are_what_all_assignments_of_whole_kwh_cover(spans: list[tuple[int, int]], slack: int) -> None:
    covered: set[tuple[int, int]] = set()
    least = math.inf
    choices = list(combinations(*(range(lo, lo + width + 1) for lo, width in spans)))
    for start, energies in combinations(range(slack + 1), choices):
        cells = {(start + i, kwh if e > 0 else -kwh - 1) for i, e in enumerate(energies) for kwh in range(abs(e))}
        covered |= cells
        least = min(least, len(cells))
    offer = drawn(0, slack, [(lo, lo + width) for lo, width in spans])
    assert absolute_area(offer) == len(covered) - least
    assert math.exp(log_assignments(offer)) == pytest.approx((slack + 1) * len(choices))
    assert measure(offer).absolute_area == absolute_area(offer)


def test_all_measures_and_what_is_not_finite_is_left_out() -> None:
    found = measure(OFFER)
    assert (found.id, found.time_flexibility_slots, found.energy_flexibility_kwh, found.product) == ("o", 4, 3, 12)
    gone = measure(msgspec.structs.replace(OFFER, profiles=()))
    assert (gone.absolute_area, gone.relative_area, gone.log_assignments) == (0, 0, None)
