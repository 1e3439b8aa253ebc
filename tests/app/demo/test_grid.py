"""What the grid operator asks for follows from the usual day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from flexhub.app.agent.session import Session
from flexhub.app.demo.grid import CUT, at_once, limit_kw, peak_hours, usual_day
from flexhub.core.timegrid import QUARTER_HOUR_S, slot_of

ZONE = ZoneInfo("America/Los_Angeles")
MIDNIGHT = datetime(2019, 5, 1, 7, tzinfo=UTC)


def car(hour: float, stay_h: float, energy_kwh: float, day: int = 0) -> Session:
    arrival = MIDNIGHT + timedelta(days=day, hours=hour)
    return Session(
        id=f"s{day}-{hour}",
        station="x",
        arrival=arrival,
        departure=arrival + timedelta(hours=stay_h),
        energy_kwh=energy_kwh,
    )


def test_at_once_starts_with_the_part_of_a_slot_that_is_left() -> None:
    load = at_once([car(1.0 + 1 / 12, 5, 4.0)], MIDNIGHT, 96, 4.0)
    assert load[4] == pytest.approx(4.0 / 6)
    assert load[5:8] == pytest.approx([1.0, 1.0, 1.0])
    assert load[8] == pytest.approx(1 / 3)
    assert sum(load) == pytest.approx(4.0)


def test_at_once_takes_no_more_than_the_stay_allows() -> None:
    assert sum(at_once([car(1, 0.5, 100)], MIDNIGHT, 96, 4.0)) == pytest.approx(2.0)


def test_usual_day_is_the_mean_of_like_days() -> None:
    like = [(date(2019, 5, 1), [car(8, 2, 8.0)]), (date(2019, 5, 2), [car(10, 2, 4.0, day=1)])]
    usual = usual_day(like, ZONE, 96, 4.0)
    assert usual.load_kwh[32:40] == pytest.approx([0.5] * 8)
    assert usual.load_kwh[40:44] == pytest.approx([0.5] * 4)
    assert usual.peak_kwh == pytest.approx(1.0)
    # 8 kWh in two hours, 4 kWh in two hours: a kWh and half of one in a slot.
    assert usual.even_peak_kwh == pytest.approx(0.75)
    assert sum(usual.load_kwh) == pytest.approx(6.0)


def test_the_limit_is_below_the_usual_peak_and_matters_in_its_hours() -> None:
    usual = usual_day([(date(2019, 5, 1), [car(8, 9, 8.0), car(12, 9, 4.0)])], ZONE, 96, 4.0)
    hours = peak_hours(usual, MIDNIGHT)
    first = slot_of(MIDNIGHT, QUARTER_HOUR_S)
    assert [slot - first for slot in hours] == [*range(32, 40), *range(48, 52)]
    # 8 kWh over nine hours, and from noon on 4 more.
    peak_kwh = 8 / 36 + 4 / 36
    assert set(hours.values()) == {round((1 - CUT) * peak_kwh, 3)}
    assert limit_kw(usual) == 4 * round((1 - CUT) * peak_kwh, 3)
