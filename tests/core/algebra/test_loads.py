"""Loads as flex-offers: every schedule of every model is one that the physics allow, judged by the physics."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra.conversions import ORDER, Kind, kind_of, restored
from flexhub.core.algebra.loads import Appliance, Battery, Car, Load, ThermalStore, choices, simplest
from flexhub.core.algebra.optimum import Prices, cheapest, horizon
from flexhub.core.batch import Floats
from flexhub.core.errors import InfeasibleError, InvalidError
from flexhub.core.flexoffer import EnergyRange
from flexhub.core.judge import violations
from tests.core.algebra.columns import T0, at

BATTERY = Battery(
    id="battery", issuer="p", start=T0, slots=16, power_kw=4, give_kw=4, capacity_kwh=8, charge_kwh=4, target_kwh=2
)
LOSSY = Battery(
    id="lossy", issuer="p", start=T0, slots=16, power_kw=4, give_kw=4, capacity_kwh=8, charge_kwh=4, target_kwh=2,
    charging=0.95, giving=0.9,
)  # fmt: skip
CAR = Car(id="car", issuer="p", arrival=at(1) - timedelta(minutes=5), departure=at(20), power_kw=8, need_kwh=9)
HOUSE = ThermalStore(
    id="house", issuer="p", start=T0, power_kw=3, resistance=5, capacitance=2, cop=3, outside=(2.0,) * 16,
    temperature=20.5, least=20, most=22,
)  # fmt: skip
DISHES = Appliance(id="dishes", issuer="p", programme_kwh=(0.5, 1.0, 0.2), earliest=at(2), latest=at(18))
LOADS: tuple[Load, ...] = (BATTERY, LOSSY, CAR, HOUSE, DISHES)


def look_at(load: Load, seed: int, least: float = -0.2) -> Prices:
    begin, end = horizon(list(load.offers()))
    count = int((end - begin).total_seconds()) // 900
    return Prices(begin, 900, np.random.default_rng(seed).uniform(least, 0.4, count))


def physical(load: Load, energies: Floats) -> bool:
    """Whether the load itself can do this, from its own equations."""
    slack = 1e-6
    if isinstance(load, Battery):
        held, levels = load.charge_kwh, []
        for energy in energies.tolist():
            held += energy * load.charging if energy > 0 else energy / load.giving
            levels.append(held)
        within = all(-slack <= level <= load.capacity_kwh + slack for level in levels)
        power = energies.max() <= load.power_kw / 4 + slack and -energies.min() <= load.give_kw / 4 + slack
        return bool(within and power and levels[-1] >= load.target_kwh - slack)
    if isinstance(load, ThermalStore):
        now, left = load.temperature, math.exp(-0.25 / (load.resistance * load.capacitance))
        for outside, energy in zip(load.outside, energies.tolist(), strict=True):
            held = outside + load.resistance * load.cop * energy * 4  # where it would settle at this power
            now = held + left * (now - held)
            if not load.least - slack <= now <= load.most + slack or not -slack <= energy <= load.power_kw / 4 + slack:
                return False
        return True
    if isinstance(load, Car):
        return bool(
            energies.min() >= -slack
            and energies.max() <= load.power_kw / 4 + slack
            and abs(energies.sum() - load.need_kwh) <= slack
        )
    assert isinstance(load, Appliance)
    return bool(energies.tolist() == pytest.approx(list(load.programme_kwh)))


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.id)
def test_every_model_is_within_the_physics_and_pays_no_less_than_the_load(load: Load) -> None:
    kinds = []
    *_, full = load.offers()
    for offer in load.offers():
        kinds.append(ORDER.index(kind_of(offer)))
        for seed in range(3):
            look = look_at(load, seed)
            schedule = cheapest(offer, look)
            assert violations(offer, schedule) == []
            assert physical(load, np.array([s.energy_kwh for s in restored(full, schedule).slices]))
            assert look.cost_eur(schedule, 900) >= load.least_cost_eur(look) - 1e-6
    assert kinds == sorted(set(kinds))  # in the modelling order, none twice
    assert physical(load, np.array([s.energy_kwh for s in load.usual().slices]))
    assert violations(full, load.usual()) == []


def test_a_schedule_outside_of_the_physics_is_noticed_and_its_twin_is_not() -> None:
    full = np.zeros(16)
    full[:4] = 1.0
    assert physical(BATTERY, full)
    full[4] = 0.5
    assert not physical(BATTERY, full)
    steady = np.array([s.energy_kwh for s in HOUSE.usual().slices])
    assert physical(HOUSE, steady)
    assert not physical(HOUSE, steady * 0.9)
    assert HOUSE.temperatures(steady)[1:] == pytest.approx(20.0)
    assert LOSSY.held_kwh(np.full(16, 0.1))[-1] == pytest.approx(4 + 16 * 0.095)


@settings(max_examples=25)
@given(st.floats(0.5, 1), st.floats(0.5, 1), st.floats(0, 8), st.floats(0, 4), st.integers(1, 12), st.integers(0, 99))
def test_no_choice_within_a_lossy_batterys_dfo_leaves_it_empty_or_overfull(  # noqa: PLR0917 - a battery
    charging: float, giving: float, charge: float, target: float, slots: int, seed: int
) -> None:
    try:
        load = Battery(
            id="b", issuer="p", start=T0, slots=slots, power_kw=4, give_kw=6, capacity_kwh=8, charge_kwh=charge,
            target_kwh=min(target, charge), charging=charging, giving=giving,
        )  # fmt: skip
        *_, full = load.offers()
    except InfeasibleError:
        return
    random = np.random.default_rng(seed)
    if kind_of(full) is Kind.TOTAL:
        return
    used, energies = 0.0, []
    for piece in full.profiles[0].slices:
        limits = piece.energy_kwh[0]
        least = max(limits.lo_kwh, *(-row.c_kwh - used for row in piece.polygon if row.b < 0))
        most = min(limits.hi_kwh, *(row.c_kwh - used for row in piece.polygon if row.b > 0))
        assert least <= most + 1e-9  # every prefix can be completed
        energies.append(random.choice([least, most, random.uniform(min(least, most), most)]))
        used += energies[-1]
    assert physical(load, np.array(energies))


def test_the_simplest_that_keeps_enough_is_taken() -> None:
    assert [simplest(load, 0.95).kind for load in LOADS] == [
        Kind.TOTAL, Kind.DFO, Kind.TOTAL, Kind.POLYTOPE, Kind.TIME
    ]  # fmt: skip
    tried = choices(CAR)
    assert [one.kind for one in tried] == [Kind.SLICE, Kind.TIME, Kind.TOTAL]
    assert tried[-1].share == pytest.approx(1.0)
    for one in tried:
        assert simplest(CAR, max(0.0, one.share - 1e-9)).kind is one.kind
    assert simplest(LOSSY, 1.0).share == max(one.share for one in choices(LOSSY))  # none keeps all
    fixed = Appliance(id="d", issuer="p", programme_kwh=(1.0,), earliest=at(0), latest=at(1))
    assert simplest(fixed, 1.0).kind is Kind.SLICE  # nothing to save, so nothing to lose
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(InvalidError):
            simplest(CAR, bad)


def test_one_way_losses_are_no_loss_of_flexibility() -> None:
    load = Battery(
        id="b", issuer="p", start=T0, slots=8, power_kw=4, give_kw=0, capacity_kwh=8, charge_kwh=4, target_kwh=6,
        charging=0.8,
    )  # fmt: skip
    *_, full = load.offers()
    assert kind_of(full) is Kind.TOTAL
    assert choices(load)[-1].share == pytest.approx(1.0)
    for seed in range(4):
        schedule = cheapest(full, look_at(load, seed))
        assert physical(load, np.array([s.energy_kwh for s in schedule.slices]))


def test_the_night_of_the_clocks_has_as_many_slots_as_hours_say() -> None:
    zone = ZoneInfo("Europe/Amsterdam")
    for day, hours in ((28, 8), (27, 9)):  # an hour is missing in the night to the 29th
        arrival = datetime(2026, 3, day, 22, tzinfo=zone)
        departure = datetime(2026, 3, day + 1, 7, tzinfo=zone)
        night = Car(id="n", issuer="p", arrival=arrival, departure=departure, power_kw=8, need_kwh=100)
        *_, full = night.offers()
        assert len(full.profiles[0].slices) == 4 * hours
        assert full.profiles[0].total_energy_kwh == EnergyRange(8.0 * hours, 8.0 * hours)  # all that the stay allows


def test_what_no_load_is_is_refused_by_name_and_its_twin_is_not() -> None:
    from dataclasses import replace  # noqa: PLC0415 - beside its only use

    bad: list[tuple[Load, dict[str, object], dict[str, object]]] = [
        (BATTERY, {"capacity_kwh": -1.0}, {"capacity_kwh": 5.0}),
        (BATTERY, {"power_kw": math.nan}, {"power_kw": 3.0}),
        (BATTERY, {"charge_kwh": 9.0}, {"charge_kwh": 8.0}),
        (BATTERY, {"charging": 0.0}, {"charging": 0.5}),
        (BATTERY, {"target_kwh": 8.0, "slots": 3}, {"target_kwh": 7.0, "slots": 3}),
        (CAR, {"need_kwh": math.inf}, {"need_kwh": 100.0}),
        (CAR, {"room_kwh": 5.0}, {"room_kwh": 10.0}),
        (CAR, {"departure": at(1)}, {"departure": at(2)}),
        (HOUSE, {"resistance": 0.0}, {"resistance": 1.0}),
        (HOUSE, {"least": 23.0}, {"least": 19.0}),
        (HOUSE, {"outside": ()}, {"outside": (2.0,)}),
        (DISHES, {"programme_kwh": ()}, {"programme_kwh": (1.0,)}),
        (DISHES, {"latest": at(4)}, {"latest": at(5)}),
    ]
    for load, wrong, right in bad:
        replace(load, **right)  # type: ignore[type-var]  # each is a dataclass
        with pytest.raises(InvalidError) as caught:
            replace(load, **wrong)  # type: ignore[type-var]  # as above
        assert caught.value.value == load.id
        assert load.id in str(caught.value)
    cold = replace(HOUSE, outside=(-40.0,) * 16)
    with pytest.raises(InfeasibleError, match="nothing keeps") as infeasible:
        list(cold.offers())
    assert "house" in str(infeasible.value)
