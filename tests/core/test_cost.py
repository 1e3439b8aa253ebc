"""What a schedule costs by the offer's prices: deviations are compared where they happen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flexhub.core.cost import cost_eur, unavoidable_kwh
from flexhub.core.flexoffer import EnergyRange, FlexOffer, HalfPlane, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.price import Price

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BOTH_WAYS = Price.of_tariffs(-0.1, 0.3)  # 0.30 EUR for each kWh more, 0.10 EUR for each kWh less


def plan(slot: int, *energies: float) -> Schedule:
    pieces = tuple(ScheduleSlice(energy_kwh=e) for e in energies)
    return Schedule(start=NOON + slot * timedelta(minutes=15), slices=pieces)


def cost(schedule: Schedule, default: Schedule | None, *slices: Slice) -> float:
    profile = Profile(slices=slices or (Slice(energy_kwh=(EnergyRange(0.0, 2.0),)),) * 2)
    offer = FlexOffer(
        id="o",
        issuer="p",
        created=NOON,
        start_after=NOON,
        start_before=NOON + timedelta(hours=2),
        profiles=(profile,),
        default_schedule=default,
        price=BOTH_WAYS,
    )
    return cost_eur(offer, schedule, profile, profile.slices)


@pytest.mark.parametrize(
    ("schedule", "eur"),
    [
        (plan(0, 1, 1), 0.0),
        (plan(0, 2, 0.5), 0.3 + 0.05),
        (plan(2, 1, 1), 0.6 + 0.2),  # moved away: all of it is new there, and left out here
        (plan(1, 1, 1), 0.3 + 0.1),  # moved by one slot: the middle is as it would have been
    ],
)
def test_energies_are_compared_in_time(schedule: Schedule, eur: float) -> None:
    assert cost(schedule, plan(0, 1, 1)) == pytest.approx(eur)


def test_without_a_default_what_cannot_be_avoided_is_no_deviation() -> None:
    must = Slice(energy_kwh=(EnergyRange(0.5, 2.0),))
    assert cost(plan(0, 0.5, 2.0), None, must, must) == pytest.approx(0.3 * 1.5)
    assert cost(plan(3, 0.5, 2.0), None, must, must) == pytest.approx(0.3 * 1.5)  # nor is it bound to a time
    # To name that default makes no difference where it is kept.
    assert cost(plan(0, 0.5, 2.0), plan(0, 0.5, 0.5), must, must) == pytest.approx(0.3 * 1.5)


@pytest.mark.parametrize(
    ("bound", "kwh"),
    [
        (Slice(energy_kwh=(EnergyRange(-1.0, 2.0),)), 0.0),
        (Slice(energy_kwh=(EnergyRange(-3.0, -2.0), EnergyRange(1.0, 2.0))), 1.0),
        (Slice(amounts_kwh=(3.0, -2.0)), -2.0),
        (Slice(polygon=(HalfPlane(1.0, 1.0, 5.0),)), 0.0),
    ],
)
def test_what_cannot_be_avoided_is_nearest_to_zero(bound: Slice, kwh: float) -> None:
    assert unavoidable_kwh(bound) == kwh
