"""Whatever part of its bids is bought, the portfolio can leave it out: each offer keeps its bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from flexhub.core.flexoffer import FlexOffer, Schedule, ScheduleSlice
from flexhub.core.judge import violations
from flexhub.engines.reference.generator import ChargingSession, EvGenerator
from flexhub.engines.reference.manager import ReferenceManager
from flexhub.engines.slots import Portfolio

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SLOT = timedelta(minutes=15)


def car(stay: int, energy_kwh: float) -> FlexOffer:
    session = ChargingSession(
        id="car",
        station="s",
        arrival=NOW + SLOT,
        departure=NOW + (stay + 1) * SLOT,
        requested_kwh=energy_kwh,
        max_power_kw=8.0,
    )
    return EvGenerator().offer(session, "car", "s", NOW)


@given(
    stay=st.integers(1, 12),
    energy_kwh=st.floats(0.1, 24.0),
    bought=st.lists(st.floats(0, 1), min_size=12, max_size=12),
)
def test_any_part_of_what_a_car_sells_can_be_caught_up(stay: int, energy_kwh: float, bought: list[float]) -> None:
    offer = car(stay, energy_kwh)
    usual = offer.default_schedule
    assert usual is not None
    bids = {b.start: b.quantity_kwh for b in ReferenceManager().bid(Portfolio(now=NOW, offers=(offer,)))}
    default = usual.per_slot_kwh()
    highest = [piece.energy_kwh[0].hi_kwh for piece in offer.profiles[0].slices]
    energies, behind = [], 0.0
    for i, (energy, most) in enumerate(zip(default, highest, strict=True)):
        left_out = bought[i] * bids.get(usual.start + i * SLOT, 0.0)
        caught_up = 0.0 if energy > 0 else min(behind, most)
        energies.append(energy - left_out + caught_up)
        behind += left_out - caught_up
    schedule = Schedule(start=usual.start, slices=tuple(ScheduleSlice(energy_kwh=e) for e in energies))
    assert violations(offer, schedule) == []


def test_a_car_with_time_to_spare_sells_and_one_without_does_not() -> None:
    def sold(stay: int) -> float:
        return sum(b.quantity_kwh for b in ReferenceManager().bid(Portfolio(now=NOW, offers=(car(stay, 8.0),))))

    assert sold(4) == 0.0  # four quarter-hours at 2 kWh are what it needs
    assert abs(sold(6) - 4.0) < 1e-6  # two are left to catch up in
    assert abs(sold(20) - 8.0) < 1e-6  # more than it takes
