from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.core.errors import InvalidError
from flexhub.core.units import (
    UNITS,
    format_duration,
    money,
    parse_duration,
    parse_instant,
    parse_quantity,
)


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("11 kW", "power", 11.0),
        ("-1.5e3W", "power", -1.5),
        ("2 MW", "power", 2000.0),
        (" .5 MWh ", "energy", 500.0),
        ("250 Wh", "energy", 0.25),
        ("30 ct/kWh", "price", 0.3),
        ("90 EUR/MWh", "price", 0.09),
        ("5 EUR", "money", 5.0),
    ],
)
def test_quantities_are_read_in_the_units_of_the_core(text: str, dimension: str, value: float) -> None:
    assert parse_quantity(text, dimension) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("11", "not a number with a unit"),
        ("kW", "not a number with a unit"),
        ("eleven kW", "not a number with a unit"),
        ("11 kWh", "not a unit of power"),
        ("11 KW", "not a unit of power"),
        ("11 furlongs", "not a unit of power"),
        ("1e999 kW", "not finite"),
        ("nan kW", "not a number with a unit"),
    ],
)
def test_other_quantities_are_refused(text: str, why: str) -> None:
    assert parse_quantity("11 kW", "power") == 11.0
    with pytest.raises(InvalidError, match=why):
        parse_quantity(text, "power")


def test_the_core_s_own_units_are_factor_one() -> None:
    assert {unit for unit, (_, factor) in UNITS.items() if factor == 1.0} == {"kWh", "kW", "EUR/kWh", "EUR"}


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT15M", timedelta(minutes=15)),
        ("P1DT2H", timedelta(days=1, hours=2)),
        ("P2W", timedelta(weeks=2)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("-PT1H", timedelta(hours=-1)),
        ("PT0S", timedelta(0)),
    ],
)
def test_durations_are_read(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "15M", "P1Y", "P1M", "P1DT", "PT15", "PT1H30", "pt15m", "P9999999999999D"]
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_duration(text)


@given(st.timedeltas())
def test_durations_survive_writing(length: timedelta) -> None:
    assert parse_duration(format_duration(length)) == length


def test_instants_are_read_in_utc() -> None:
    expected = datetime(2020, 2, 27, 20, 30, tzinfo=UTC)
    for text in ("2020-02-27T20:30:00Z", "2020-02-27T20:30:00.000+0000", "2020-02-27T21:30:00+01:00"):
        assert parse_instant(text) == expected
        assert parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize(("text", "why"), [("2020-02-27T20:30:00", "no time zone"), ("yesterday", "RFC 3339")])
def test_other_instants_are_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        parse_instant(text)


@given(st.datetimes(), st.integers(-12, 14))
def test_an_offset_does_not_change_the_instant(naive: datetime, hours: int) -> None:
    if 1 < naive.year < 9998:
        instant = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
        assert parse_instant(instant.isoformat()) == instant


def test_money_is_rounded_to_the_cent_half_to_even() -> None:
    assert [money(x) for x in (0.125, 0.135, 0.145, -0.125)] == [
        Decimal("0.12"),
        Decimal("0.14"),
        Decimal("0.14"),
        Decimal("-0.12"),
    ]
    assert money(Decimal("1.005")) == Decimal("1.00")
    assert money(2.675) == Decimal("2.68"), "the number as written, not its binary neighbour"
    with pytest.raises(InvalidError):
        money(float("nan"))
