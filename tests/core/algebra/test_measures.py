"""Measures of flexibility, worked by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from flexhub.core.algebra.grouping import VALUES, Dimension
from flexhub.core.algebra.measures import (
    energy_flexibility_kwh,
    log_assignments,
    product,
    time_flexibility,
    time_series,
    vector,
)
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Slice

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
