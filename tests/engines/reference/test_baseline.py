"""Baselines of like days, worked by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flexhub.core.errors import InvalidError
from flexhub.core.timeseries import SeriesKind, TimeSeries
from flexhub.engines.reference.baseline import MedianOfLikeDays, TenInTen

HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 2, 16, tzinfo=UTC)


def series(start: datetime, *values: float | None, subject: str = "meter") -> TimeSeries:
    return TimeSeries(subject=subject, kind=SeriesKind.MEASUREMENT, start=start, values_kwh=values, resolution_s=3600)


def day(back: int, *values: float | None) -> TimeSeries:
    return series(MONDAY - timedelta(days=back), *values)


def test_median_of_workdays_leaves_weekends_out() -> None:
    history = [day(1, 90), day(2, 90), day(3, 1), day(4, 2), day(5, 30)]  # Sunday, Saturday, Friday, ...
    assert MedianOfLikeDays().baseline(history, MONDAY, 1).values_kwh == (2,)


def test_only_the_last_like_days_count() -> None:
    history = [day(3, 1), day(4, 1), day(5, 50), day(6, 50), day(7, 50)]
    assert MedianOfLikeDays(days=2).baseline(history, MONDAY, 1).values_kwh == (1,)
    assert MedianOfLikeDays(days=5).baseline(history, MONDAY, 1).values_kwh == (50,)


def test_a_slot_that_no_day_tells_of_stays_unknown() -> None:
    assert MedianOfLikeDays().baseline([day(3, 1, None)], MONDAY, 3).values_kwh == (1, None, None)


@pytest.mark.parametrize(("morning", "factor"), [(1.1, 1.1), (3.0, 1.2), (0.1, 0.8)])
def test_ten_in_ten_is_scaled_by_the_hours_before(morning: float, factor: float) -> None:
    history = [day(back, *[float(back)] * 24) for back in (3, 4, 5, 6)]  # mean 4.5
    today = series(MONDAY, *[4.5] * 8, 4.5 * morning, 4.5 * morning, 99.0, 99.0)  # hours -4..-2 before noon
    found = TenInTen().baseline([*history, today], MONDAY + 12 * HOUR, 2)
    assert found.values_kwh == pytest.approx((4.5 * factor,) * 2)


def test_slots_are_matched_by_local_time_across_a_clock_change() -> None:
    # In Amsterdam clocks go forward on Sunday 2026-03-29: noon is 11:00 UTC on Friday, 10:00 UTC on Monday.
    friday = series(datetime(2026, 3, 27, 11, tzinfo=UTC), 7.0)
    local = MedianOfLikeDays(zone="Europe/Amsterdam")
    assert local.baseline([friday], datetime(2026, 3, 30, 10, tzinfo=UTC), 1).values_kwh == (7.0,)


def test_refuses_to_mix_subjects() -> None:
    with pytest.raises(InvalidError, match="subject"):
        MedianOfLikeDays().baseline([day(3, 1), series(MONDAY - 72 * HOUR, 1, subject="other")], MONDAY, 1)
