"""An electric vehicle's stay as a flex-offer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.core.errors import InfeasibleError, InvalidError
from flexhub.core.flexoffer import EnergyRange, Schedule, ScheduleSlice
from flexhub.core.judge import violations
from flexhub.engines.reference.generator import ChargingSession, EvGenerator
from flexhub.engines.slots import SetPoint

T0 = datetime(2026, 1, 10, tzinfo=UTC)
EV = EvGenerator()


def minutes(m: float) -> datetime:
    return T0 + timedelta(minutes=m)


def session(arrival: float, departure: float, kwh: float, kw: float = 8.0) -> ChargingSession:
    return ChargingSession(
        id="s",
        station="CA-1",
        arrival=minutes(arrival),
        departure=minutes(departure),
        requested_kwh=kwh,
        max_power_kw=kw,
    )


def test_stay_on_the_grid() -> None:
    offer = EV.offer(session(60, 120, 5), "o", "p", T0)
    assert (offer.start_after, offer.start_before, offer.assign_before) == (minutes(60),) * 3
    assert [s.energy_kwh for s in offer.profiles[0].slices] == [(EnergyRange(0, 2),)] * 4
    assert offer.profiles[0].total_energy_kwh == EnergyRange(5, 5)
    assert offer.default_schedule is not None
    assert [s.energy_kwh for s in offer.default_schedule.slices] == [2, 2, 1, 0]
    assert offer.location == "CA-1"


def test_first_and_last_slot_allow_what_lies_within_the_stay() -> None:
    offer = EV.offer(session(65, 108, 99), "o", "p", T0)
    assert [s.span_kwh()[1] for s in offer.profiles[0].slices] == pytest.approx([8 * 10 / 60, 2, 2, 8 * 3 / 60])
    assert offer.profiles[0].total_energy_kwh is not None
    assert offer.profiles[0].total_energy_kwh.hi_kwh == pytest.approx(8 * 43 / 60)  # all that the stay allows


def test_a_stay_within_one_slot() -> None:
    offer = EV.offer(session(62, 68, 99), "o", "p", T0)
    assert [s.span_kwh()[1] for s in offer.profiles[0].slices] == [pytest.approx(0.8)]


def test_a_car_that_has_arrived_keeps_the_rest_of_its_stay() -> None:
    offer = EV.offer(session(0, 60, 99), "o", "p", minutes(20))
    assert offer.start_after == minutes(30)
    assert len(offer.profiles[0].slices) == 2


@pytest.mark.parametrize(
    ("load", "now"),
    [(session(0, 60, 0), 0), (session(0, 60, 5, kw=0), 0), (session(0, 60, 5), 50), (session(0, 60, 5), 90)],
)
def test_refuses_a_stay_that_leaves_nothing(load: ChargingSession, now: float) -> None:
    with pytest.raises(InfeasibleError, match="ChargingSession/s"):
        EV.offer(load, "o", "p", minutes(now))


@pytest.mark.parametrize("figures", [(60, 60, 5, 8), (60, 120, -1, 8), (60, 120, float("nan"), 8), (60, 120, 5, -8)])
def test_refuses_impossible_sessions(figures: tuple[float, float, float, float]) -> None:
    with pytest.raises(InvalidError):
        session(*figures)


def test_set_points_change_where_the_power_does_and_end_with_zero() -> None:
    offer = EV.offer(session(60, 120, 5), "o", "p", T0)
    plan = Schedule(start=minutes(60), slices=tuple(ScheduleSlice(energy_kwh=e) for e in (1, 1, 2, 1)))
    assert EV.set_points(offer, plan) == [
        SetPoint(at=minutes(60), power_kw=4),
        SetPoint(at=minutes(90), power_kw=8),
        SetPoint(at=minutes(105), power_kw=4),
        SetPoint(at=minutes(120), power_kw=0),
    ]


@given(st.floats(0, 2000), st.floats(1, 3000), st.floats(0.01, 200), st.floats(0.1, 50))
def test_the_default_schedule_is_feasible_and_charges_all(arrive: float, stay: float, kwh: float, kw: float) -> None:
    try:
        offer = EV.offer(session(arrive, arrive + stay, kwh, kw), "o", "p", T0)
    except InfeasibleError:
        assert kw * stay / 60 < 0.01 or kwh < 1e-5
        return
    assert offer.default_schedule is not None
    assert violations(offer, offer.default_schedule) == []
    assert offer.default_schedule.energy_kwh() == pytest.approx(min(kwh, kw * stay / 60), abs=1e-6)
