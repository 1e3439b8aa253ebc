"""What offers do best at prices, beside HiGHS and beside trying everything; and what they usually do."""

from __future__ import annotations

from itertools import product

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra.optimum import Prices, answers, cheapest, horizon, least_cost_eur, usual
from flexhub.core.algebra.shape import bounds, cumulative
from flexhub.core.batch import Floats
from flexhub.core.errors import InfeasibleError, InvalidError
from flexhub.core.flexoffer import (
    EnergyRange,
    FlexOffer,
    HalfPlane,
    Polytope,
    Profile,
    Schedule,
    ScheduleSlice,
    Slice,
    TwoMode,
)
from flexhub.core.judge import violations
from tests import strategies
from tests.core.algebra.columns import QUARTER, T0, at, broken
from tests.core.algebra.highs import solve
from tests.core.algebra.second import broken_of_any

SLOTS = 40


def prices(seed: int, slots: int = SLOTS) -> Prices:
    return Prices(T0, 900, np.random.default_rng(seed).choice([-0.2, -0.1, 0.0, 0.1, 0.15, 0.3], slots))


def box(name: str, first: int, last: int, ranges: list[tuple[float, float]], **more: object) -> FlexOffer:
    profile = Profile(slices=tuple(Slice(energy_kwh=(EnergyRange(*r),)) for r in ranges))
    fields: dict[str, object] = {"start_after": at(first), "start_before": at(last), "profiles": (profile,)}
    return FlexOffer(id=name, issuer="p", created=T0, **(fields | more))  # type: ignore[arg-type]  # fields by name


def with_profile(offer: FlexOffer, **more: object) -> FlexOffer:
    profile = msgspec.structs.replace(offer.profiles[0], **more)
    return msgspec.structs.replace(offer, profiles=(profile,))


def test_a_box_takes_the_best_of_its_starts() -> None:
    offer = box("a", 1, 3, [(1, 2), (-1, 0)])
    look = Prices(T0, 900, np.array([9, 0.3, 0.2, -0.1, 0.4, 9]))
    # At slot 1 it pays 0.3 - 0.2; at slot 2 0.2 + 0 (nothing at -0.1); at slot 3 2 * -0.1 - 0.4.
    assert least_cost_eur([offer], look).tolist() == pytest.approx([-0.6])
    best = cheapest(offer, look)
    assert best.start == at(3)
    assert [s.energy_kwh for s in best.slices] == pytest.approx([2, -1])


def test_prices_of_hours_are_those_of_their_quarters_and_a_time_without_one_is_told() -> None:
    offer = box("a", 4, 4, [(1, 1)] * 4)
    hours = Prices(T0, 3600, np.array([9.0, 0.25]))
    assert least_cost_eur([offer], hours).tolist() == [1.0]
    with pytest.raises(InvalidError, match="prices are needed"):
        least_cost_eur([offer], Prices(T0, 3600, np.array([9.0])))
    for bad in (np.array([np.nan]), np.zeros(0)):
        with pytest.raises(InvalidError, match="finite"):
            Prices(T0, 900, bad)


def least_of_all(offer: FlexOffer, look: Prices) -> float:
    """By HiGHS, start by start."""
    profile = offer.profiles[0]
    lo, hi = bounds(profile)
    running = cumulative(profile)
    least = np.inf
    earliest, latest = offer.window(T0)
    start = earliest
    while start <= latest:
        if offer.end_before is None or start + len(lo) * QUARTER <= offer.end_before:
            price = look.of_slots(int(start.timestamp()) // 900, len(lo), 900)
            columns: tuple[Floats, Floats, Floats, Floats] = (
                lo[:, None], hi[:, None], running.lo[:, None], running.hi[:, None]
            )  # fmt: skip
            least = min(least, solve(columns, price).value)
        start += QUARTER
    return least


@settings(max_examples=12)
@given(st.lists(strategies.flex_offers(frozenset({"total", "subtotal"}), max_slices=5), max_size=4), st.integers(0, 99))
def test_storage_like_offers_pay_what_a_program_says(offers: list[FlexOffer], seed: int) -> None:
    moved = [_moved(offer, f"o{i}") for i, offer in enumerate(offers)]
    look = prices(seed, 80)
    assert least_cost_eur(moved, look).tolist() == pytest.approx([least_of_all(o, look) for o in moved], abs=1e-6)


def _moved(offer: FlexOffer, name: str) -> FlexOffer:
    """The offer near T0, with another name."""
    after, before = offer.window(offer.created)
    width = (before - after) // QUARTER
    return msgspec.structs.replace(
        offer,
        id=name,
        created=T0,
        accept_before=None,
        start_after=at(3),
        start_before=at(3 + width),
        default_schedule=None,
    )


@settings(max_examples=12)
@given(strategies.witnessed(strategies.COLUMNAR | {"ranges", "amounts", "uncertainty", "polytope", "xor", "two_mode"}))
def test_no_feasible_schedule_of_any_kind_pays_less_and_the_cheapest_is_feasible(drawn: strategies.Witnessed) -> None:
    offer = drawn.offer
    begin, end = horizon([offer])
    begin, end = min(begin, drawn.schedule.start), max(end, drawn.schedule.end(900))
    slots = int((end - begin).total_seconds()) // 900
    look = Prices(begin, 900, np.random.default_rng(len(offer.id)).uniform(-0.2, 0.3, slots))
    best = cheapest(offer, look)
    assert violations(offer, best) == [] == broken_of_any(offer, best)
    paid = look.cost_eur(best, 900)
    assert paid <= look.cost_eur(drawn.schedule, 900) + 1e-6
    assert least_cost_eur([offer], look).tolist() == pytest.approx([paid], abs=1e-6)
    assert violations(offer, usual(offer)) == [] or offer.default_schedule is not None


def test_alternatives_are_all_tried() -> None:
    slices = (Slice(amounts_kwh=(1.0, 3.0)), Slice(energy_kwh=(EnergyRange(0, 1), EnergyRange(4, 5))))
    offer = msgspec.structs.replace(
        box("a", 0, 2, [(0, 0)]), profiles=(Profile(slices=slices, total_energy_kwh=EnergyRange(4, 6.5)),)
    )
    for seed in range(6):
        look = prices(seed)
        all_of_them = [
            look.eur_per_kwh[s] * a + look.eur_per_kwh[s + 1] * b
            for s, a, b in product(range(3), (1, 3), np.arange(0, 5.01, 0.125))
            if 4 <= a + b <= 6.5 and not 1 < b < 4
        ]
        assert least_cost_eur([offer], look)[0] == pytest.approx(min(all_of_them))


def test_a_car_charges_on_arrival_a_battery_rests_and_a_box_takes_what_it_has_to() -> None:
    car = with_profile(box("car", 0, 0, [(0, 2)] * 4), total_energy_kwh=EnergyRange(5, 5))
    battery = with_profile(box("battery", 0, 0, [(-2, 2)] * 4), subtotal_energy_kwh=EnergyRange(-1, 3))
    need = with_profile(battery, total_energy_kwh=EnergyRange(2, 3))
    give = with_profile(box("give", 0, 0, [(-2, 0)] * 3), total_energy_kwh=EnergyRange(-4, -3))
    plain = box("plain", 2, 4, [(1, 2), (-3, -1), (-1, 1)])
    for offer, energies in (
        (car, [2, 2, 1, 0]),
        (battery, [0, 0, 0, 0]),
        (need, [2, 0, 0, 0]),
        (give, [-2, -1, 0]),
        (plain, [1, -1, 0]),
    ):
        schedule = usual(offer)
        assert [s.energy_kwh for s in schedule.slices] == energies
        assert violations(offer, schedule) == [] == broken(offer, schedule)
    planned = Schedule(start=at(3), slices=(ScheduleSlice(energy_kwh=1.0),))
    assert usual(box("planned", 2, 4, [(0, 2)], default_schedule=planned)) == planned


def test_what_leaves_a_two_mode_operation_out_is_tried_too() -> None:
    mode = with_profile(box("m", 0, 0, [(-2, -1)]), two_mode=TwoMode(after_time_s=900, after_portion=1.0))
    fall, rise = Prices(T0, 900, np.array([0.3, 0.1])), Prices(T0, 900, np.array([0.1, 0.3]))
    assert least_cost_eur([mode], fall).tolist() == pytest.approx([-0.4])
    assert [s.energy_kwh for s in cheapest(mode, fall).slices] == [-2, 2]
    assert least_cost_eur([mode], rise).tolist() == [0.0]  # it would lose 0.2 at least
    default = Schedule(start=at(0), slices=(ScheduleSlice(energy_kwh=-1.0), ScheduleSlice(energy_kwh=0.0)))
    usually = msgspec.structs.replace(mode, default_schedule=default)
    assert least_cost_eur([usually], rise).tolist() == pytest.approx([-0.1])


def test_what_prices_do_not_settle_is_refused_by_name_and_its_twin_is_not() -> None:
    plain = box("a", 0, 1, [(0, 1)])
    longer = with_profile(plain, slices=(Slice(energy_kwh=(EnergyRange(0, 1),), max_duration=2),))
    gone = msgspec.structs.replace(plain, profiles=())
    assert answers(plain)
    assert least_cost_eur([plain], prices(0)).shape == (1,)
    for bad, why in ((longer, "variable durations"), (gone, "withdrawn")):
        assert not answers(bad)
        for ask in (lambda one: least_cost_eur([one], prices(0)), lambda one: cheapest(one, prices(0))):
            with pytest.raises(InvalidError, match=why) as caught:
                ask(bad)
            assert caught.value.path == "FlexOffer[a]"
    for empty in ([], [gone]):
        with pytest.raises(InvalidError):
            horizon(empty)


def test_nothing_feasible_is_told_by_name_and_its_twin_is_not() -> None:
    def polytope(least: float) -> FlexOffer:
        return with_profile(box("a", 0, 0, [(0, 1)] * 2), polytope=Polytope(a=((-1.0, -1.0),), b_kwh=(-least,)))

    assert least_cost_eur([polytope(1.5)], Prices(T0, 900, np.array([0.1, 0.2]))).tolist() == pytest.approx([0.2])
    for ask in (lambda one: least_cost_eur([one], prices(0)), usual):
        with pytest.raises(InfeasibleError) as caught:
            ask(polytope(2.5))
        assert caught.value.path == "FlexOffer[a]"


def test_an_end_that_no_start_meets_is_told() -> None:
    fits = box("a", 0, 8, [(0, 1)] * 2, end_after=at(4), end_before=at(4))
    assert least_cost_eur([fits], prices(1)).shape == (1,)
    with pytest.raises(InvalidError, match="no start"):
        least_cost_eur([msgspec.structs.replace(fits, end_after=at(5), end_before=at(5), resolution_s=1800)], prices(1))


def test_polygons_are_asked_of_the_program() -> None:
    polygon = (HalfPlane(1.0, 1.0, 3.0),)
    slices = tuple(Slice(energy_kwh=(EnergyRange(0, 2),), polygon=polygon) for _ in range(3))
    offer = msgspec.structs.replace(box("d", 0, 0, [(0, 0)]), profiles=(Profile(slices=slices),))
    look = Prices(T0, 900, np.array([-0.1, -0.3, -0.2]))
    assert least_cost_eur([offer], look).tolist() == pytest.approx([-0.8])
