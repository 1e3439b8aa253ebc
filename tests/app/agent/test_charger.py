"""A simulated charger gives every session what it is due, and its meter tells the truth."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.app.agent.charger import Behaviour, Charger
from flexhub.app.agent.session import Session
from flexhub.core.flexoffer import Schedule, ScheduleSlice
from flexhub.core.timegrid import QUARTER_HOUR, QUARTER_HOUR_S, ceil_to_grid, floor_to_grid
from flexhub.core.timeseries import Measurement, Quality

T0 = datetime(2019, 5, 1, 15, tzinfo=UTC)
EXACT = Behaviour(noise=0, missing=0, deaf=0)
POWER_KW = 4.0


def session(arrive_min: float, stay_min: float, energy_kwh: float) -> Session:
    arrival = T0 + timedelta(minutes=arrive_min)
    return Session(
        id="s", station="x", arrival=arrival, departure=arrival + timedelta(minutes=stay_min), energy_kwh=energy_kwh
    )


def plan(start: datetime, *energies_kwh: float) -> Schedule:
    return Schedule(start=start, slices=tuple(ScheduleSlice(energy_kwh=e) for e in energies_kwh))


def charger(of: Session, behaviour: Behaviour = EXACT, seed: int = 1) -> Charger:
    return Charger(of, POWER_KW, behaviour, random.Random(seed))  # noqa: S311 - a simulation, nothing secret


def values(of: Measurement) -> list[float]:
    return [v for v in of.values_kwh if v is not None]


def test_follows_its_schedule() -> None:
    one = charger(session(0, 60, 1.0))
    one.follow(plan(T0, 0.0, 0.5, 0.25, 0.25))
    one.run(T0 + timedelta(hours=1))
    assert values(one.readings(0, 4, "o")) == [0.0, 0.5, 0.25, 0.25]
    assert one.finished


def test_without_a_schedule_it_charges_at_once() -> None:
    one = charger(session(6, 60, 1.2))
    one.follow(None)
    one.run(T0 + timedelta(hours=2))
    assert values(one.readings(0, one.slots_run, "o")) == pytest.approx([0.6, 0.6, 0, 0, 0])


def test_what_the_plan_cannot_bring_is_charged_before_its_first_slot() -> None:
    one = charger(session(5, 25, 99.0))
    one.follow(plan(T0 + QUARTER_HOUR, 1.0))
    one.run(T0 + timedelta(minutes=30))
    assert values(one.readings(0, 2, "o")) == pytest.approx([2 / 3, 1.0], abs=1e-3)


def test_a_deaf_charger_ignores_its_schedule() -> None:
    one = charger(session(0, 60, 1.0), Behaviour(noise=0, missing=0, deaf=1))
    one.follow(plan(T0, 0.0, 0.0, 0.0, 1.0))
    one.run(T0 + timedelta(hours=1))
    assert values(one.readings(0, 4, "o")) == [1.0, 0.0, 0.0, 0.0]


def test_equal_draws_do_the_same() -> None:
    ones = [charger(session(0, 120, 3.0), Behaviour(), seed=seed) for seed in (5, 5, 6)]
    for one in ones:
        one.follow(plan(T0, *[0.375] * 8))
        one.run(T0 + timedelta(hours=2))
    first, same, other = (one.readings(0, 8, None, substitutes=True) for one in ones)
    assert first == same != other


def test_lost_readings_are_missing_first_and_then_a_share_of_the_register() -> None:
    one = charger(session(0, 60, 2.0), Behaviour(noise=0, missing=1, deaf=0))
    one.follow(plan(T0, 0.0, 1.0, 1.0, 0.0))
    one.run(T0 + timedelta(hours=1))
    gap = one.readings(1, 3, "o")
    assert gap.values_kwh == (None, None)
    assert gap.quality == (Quality.MISSING, Quality.MISSING)
    filled = one.readings(1, 3, "o", substitutes=True)
    assert filled.values_kwh == (0.5, 0.5)  # 2 kWh over the whole gap of four slots
    assert filled.quality == (Quality.ESTIMATED, Quality.ESTIMATED)
    assert filled.start == gap.start
    assert one.lost(1, 3)


@given(
    arrive_min=st.floats(0, 60),
    stay_min=st.floats(1, 600),
    energy_kwh=st.floats(0.1, 60),
    behaviour=st.builds(Behaviour, noise=st.floats(0, 0.5), missing=st.floats(0, 1), deaf=st.sampled_from((0.0, 1.0))),
    seed=st.integers(0, 99),
)
def test_every_session_gets_what_it_is_due(
    arrive_min: float, stay_min: float, energy_kwh: float, behaviour: Behaviour, seed: int
) -> None:
    of = session(arrive_min, stay_min, energy_kwh)
    one = charger(of, behaviour, seed)
    first = ceil_to_grid(of.arrival, QUARTER_HOUR_S)
    slots = max(0, (of.departure - first) // QUARTER_HOUR)
    late = min(one.due_kwh, slots * POWER_KW / 4)
    one.follow(plan(first, *[late / slots] * slots) if slots else None)
    one.run(floor_to_grid(of.departure, QUARTER_HOUR_S) + QUARTER_HOUR)
    assert one.finished
    assert one.charged_kwh == pytest.approx(one.due_kwh)
    metered = sum(values(one.readings(0, one.slots_run, "o", substitutes=True)))
    assert metered == pytest.approx(one.due_kwh, abs=2e-3)
