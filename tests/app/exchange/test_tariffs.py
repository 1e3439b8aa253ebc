"""Tariffs in plans: of several the newest counts, and a slot of which none speaks costs what others do in the mean."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flexhub.app.exchange.portfolio import covering, priced, prices
from flexhub.core.errors import InvalidError
from flexhub.core.tariff import Tariff
from flexhub.core.timegrid import slot_of
from flexhub.core.timeseries import SeriesKind, TimeSeries
from tests.app.market import NOON, QUARTER


def tariff(*told: float | None, minutes: int = 0, start: int = 0, **more: int) -> Tariff:
    return Tariff(
        id=f"t-{minutes}", issuer="utility", recipient="agr", created=NOON + timedelta(minutes=minutes),
        start=NOON + start * QUARTER, prices_eur_per_kwh=told, **more,
    )  # fmt: skip


def by_slot(*tariffs: Tariff, slots: int = 8) -> dict[int, float]:
    first = slot_of(NOON, 900)
    return {slot - first: price for slot, price in prices(tariffs, NOON, NOON + slots * QUARTER).items()}


def test_of_several_tariffs_the_newest_counts_whatever_their_order() -> None:
    old, new = tariff(0.1, 0.2, 0.3), tariff(0.9, None, minutes=5, start=1)
    assert by_slot(old, new) == by_slot(new, old) == {0: 0.1, 1: 0.9, 2: 0.3}


def test_only_what_is_ahead_and_in_reach_is_priced() -> None:
    assert by_slot(tariff(0.1, 0.2, 0.3, start=-1)) == {0: 0.2, 1: 0.3}
    assert by_slot(tariff(0.1, 0.2, 0.3), slots=2) == {0: 0.1, 1: 0.2}
    assert by_slot(tariff(0.1, resolution_s=3600)) == {}, "plans are made in quarter-hours"


def test_a_slot_without_a_price_costs_the_mean_and_nothing_told_is_no_price() -> None:
    fixed = covering(None, "agr", NOON, NOON + 4 * QUARTER)
    assert fixed.values_kwh == (0.0,) * 4
    told = prices((tariff(0.1, None, 0.3),), NOON, NOON + 4 * QUARTER)
    assert priced(told, fixed) == pytest.approx((0.1, 0.2, 0.3, 0.2))
    assert priced({}, fixed) == ()


def test_what_is_fixed_keeps_its_energies_on_the_slots_that_are_priced() -> None:
    known = TimeSeries(subject="agr", kind=SeriesKind.SCHEDULE, start=NOON - QUARTER, values_kwh=(1.0, None, 3.0))
    wide = covering(known, "agr", NOON, NOON + 3 * QUARTER)
    assert (wide.start, wide.values_kwh) == (NOON - QUARTER, (1.0, 0.0, 3.0, 0.0))


def test_a_tariff_is_on_the_grid_and_finite() -> None:
    assert tariff(0.1, None).end == NOON + 2 * QUARTER
    with pytest.raises(InvalidError, match="finite"):
        tariff(float("nan"))
    with pytest.raises(InvalidError, match="slot"):
        Tariff(
            id="t", issuer="u", recipient="a", created=NOON, start=NOON + timedelta(minutes=1),
            prices_eur_per_kwh=(0.1,),
        )  # fmt: skip
