from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.core.errors import InvalidError
from flexhub.core.timegrid import TimeGrid, ceil_to_grid, floor_to_grid, instant_of, on_grid, slot_of

AMSTERDAM = TimeGrid(zone="Europe/Amsterdam")
FORWARD, BACK, PLAIN = date(2026, 3, 29), date(2026, 10, 25), date(2026, 6, 1)
INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as hypothesis asks
RESOLUTIONS = st.sampled_from((60, 300, 900, 1800, 3600))


@pytest.mark.parametrize(("day", "count"), [(FORWARD, 92), (PLAIN, 96), (BACK, 100)])
def test_local_days_have_92_96_or_100_quarter_hours(day: date, count: int) -> None:
    assert AMSTERDAM.slots_in_day(day) == count
    slots = AMSTERDAM.slots(day)
    assert len(slots) == count
    assert [AMSTERDAM.locate(start) for start in slots] == [(day, n) for n in range(1, count + 1)]
    assert [AMSTERDAM.at(day, n) for n in range(1, count + 1)] == slots
    assert slots[-1] + timedelta(minutes=15) == AMSTERDAM.day(day + timedelta(days=1))[0]


@pytest.mark.parametrize(("day", "count"), [(FORWARD, 92), (BACK, 100)])
def test_a_number_beyond_the_day_is_refused_with_the_day_s_count(day: date, count: int) -> None:
    AMSTERDAM.at(day, count)
    for number in (0, count + 1):
        with pytest.raises(InvalidError, match=rf"{number} is outside 1..{count} \({day} has {count} slots"):
            AMSTERDAM.at(day, number)


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert AMSTERDAM.locate(first) == (BACK, 11)
    assert AMSTERDAM.locate(first + timedelta(hours=1)) == (BACK, 15)


@given(INSTANTS, st.sampled_from(("UTC", "Europe/Amsterdam", "America/New_York", "Asia/Kolkata", "Australia/Sydney")))
def test_locate_and_at_are_inverse(instant: datetime, zone: str) -> None:
    grid = TimeGrid(zone=zone)
    start = grid.at(*grid.locate(instant))
    assert start <= instant < start + timedelta(minutes=15)


@given(INSTANTS, RESOLUTIONS)
def test_floor_and_ceil_enclose_an_instant(instant: datetime, resolution_s: int) -> None:
    grid = TimeGrid(resolution_s=resolution_s)
    floor, ceil = grid.floor(instant), grid.ceil(instant)
    assert (floor, ceil) == (floor_to_grid(instant, resolution_s), ceil_to_grid(instant, resolution_s))
    assert on_grid(floor, resolution_s)
    assert on_grid(ceil, resolution_s)
    assert floor <= instant <= ceil
    assert ceil - floor == timedelta(seconds=0 if on_grid(instant, resolution_s) else resolution_s)
    assert instant_of(slot_of(instant, resolution_s), resolution_s) == floor


def test_before_the_epoch_slots_go_on_backward() -> None:
    instant = datetime(1969, 12, 31, 23, 50, tzinfo=UTC)
    assert slot_of(instant, 900) == -1
    assert floor_to_grid(instant, 900) == datetime(1969, 12, 31, 23, 45, tzinfo=UTC)
    assert ceil_to_grid(instant, 900) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"resolution_s": 700}, "TimeGrid/resolution_s"),
        ({"resolution_s": 0}, "TimeGrid/resolution_s"),
        ({"zone": "Europe/Atlantis"}, "TimeGrid/zone"),
        ({"zone": "../etc/passwd"}, "TimeGrid/zone"),
    ],
)
def test_other_grids_are_refused(fields: dict[str, int | str], path: str) -> None:
    TimeGrid(resolution_s=900, zone="Europe/Amsterdam")
    with pytest.raises(InvalidError) as caught:
        TimeGrid(**fields)  # type: ignore[arg-type]  # each field by its own type
    assert caught.value.path == path


def test_a_day_that_is_no_whole_number_of_slots_is_refused() -> None:
    """Lord Howe Island moves its clocks by half an hour."""
    assert TimeGrid(zone="Australia/Lord_Howe").slots_in_day(date(2026, 4, 5)) == 98
    with pytest.raises(InvalidError, match="1800 s"):
        TimeGrid(zone="Australia/Lord_Howe", resolution_s=3600).slots_in_day(date(2026, 4, 5))
