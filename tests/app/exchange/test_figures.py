"""Sums of series, and the flexibility of single offers, against figures worked out by hand."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from flexhub.app.exchange.figures import Part, offer_room, spread, total
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Slice
from flexhub.core.timeseries import SeriesKind
from tests.app.market import NOON, QUARTER, make_offer

HOUR = timedelta(hours=1)


def fixed(start_in: int, latest_in: int, *slices: tuple[float, float], total_kwh: float | None = None) -> FlexOffer:
    offer = make_offer("x", "ann")
    profile = Profile(
        slices=tuple(Slice(energy_kwh=(EnergyRange(*bounds),)) for bounds in slices),
        total_energy_kwh=None if total_kwh is None else EnergyRange(total_kwh, total_kwh),
    )
    return msgspec.structs.replace(
        offer,
        profiles=(profile,),
        default_schedule=None,
        start_after=NOON + start_in * HOUR,
        start_before=NOON + latest_in * HOUR,
    )


def test_an_energy_keeps_its_sum_on_another_grid() -> None:
    hourly = Part("s", NOON + QUARTER, 3600, (4.0, None, 2.0))
    values = spread(hourly, NOON, 16, 900)
    assert [None if v != v else float(v) for v in values][:6] == [None, 1.0, 1.0, 1.0, 1.0, None]  # noqa: PLR0124 - NaN
    minutes = Part("s", NOON, 60, (0.1,) * 60)
    assert spread(minutes, NOON, 4, 900).tolist() == pytest.approx([1.5] * 4)


def test_the_sum_is_unknown_where_no_part_is() -> None:
    parts = [Part("a", NOON, 900, (1.0, None)), Part("b", NOON, 900, (2.0, None, 4.0)), Part("a", NOON, 900, (3.0,))]
    series = total("p", SeriesKind.MEASUREMENT, parts, NOON + timedelta(minutes=3), NOON + 4 * QUARTER)
    assert series.start == NOON
    assert series.values_kwh == (5.0, None, 4.0, None)  # of the two readings of a, the later one counts


def test_an_offer_that_cannot_move_can_still_vary() -> None:
    room = offer_room(fixed(1, 1, (0.5, 2.0), (1.0, 1.0), (0.0, 1.0), (0.0, 1.0)), NOON, 3)
    assert room.tolist() == pytest.approx([0.0, 3.5, 0.0])


def test_an_offer_that_can_move_can_be_elsewhere() -> None:
    room = offer_room(fixed(0, 2, (1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (1.0, 1.0)), NOON, 4)
    assert room.tolist() == pytest.approx([4.0, 4.0, 4.0, 0.0])


def test_a_total_bounds_what_one_hour_can_take() -> None:
    eight = ((0.0, 2.0),) * 8  # two hours of up to 8 kWh each
    free = offer_room(fixed(0, 0, *eight), NOON, 2)
    bound = offer_room(fixed(0, 0, *eight, total_kwh=10.0), NOON, 2)
    assert free.tolist() == pytest.approx([8.0, 8.0])
    assert bound.tolist() == pytest.approx([6.0, 6.0])  # at least 10 - 8 kWh in either hour, at most 8


def test_a_long_window_is_looked_at_where_the_period_is() -> None:
    short = fixed(0, 2, (0.0, 1.0), (0.5, 1.0))
    long_ = msgspec.structs.replace(short, start_before=NOON + timedelta(days=366))
    assert offer_room(long_, NOON + HOUR, 1).tolist() == pytest.approx([2.0])  # it may also be elsewhere
    assert offer_room(long_, NOON - 5 * HOUR, 5).tolist() == [0.0] * 5
    assert offer_room(short, NOON + 9 * HOUR, 2).tolist() == [0.0] * 2
