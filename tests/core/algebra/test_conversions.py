"""Conversions between kinds: what the converted offer may do the original can, and exact ones lose nothing."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra.boxes import Within, largest_box
from flexhub.core.algebra.conversions import ORDER, Kind, convert, kind_of, lost, restored
from flexhub.core.algebra.optimum import Prices, cheapest, horizon, least_cost_eur
from flexhub.core.algebra.shape import starts
from flexhub.core.errors import InfeasibleError, InvalidError
from flexhub.core.flexoffer import (
    EnergyRange,
    FlexOffer,
    HalfPlane,
    Polytope,
    Quantity,
    Schedule,
    ScheduleSlice,
    Slice,
    TwoMode,
    Uncertainty,
)
from flexhub.core.judge import violations
from tests import strategies
from tests.core.algebra.columns import T0, at
from tests.core.algebra.second import broken_of_any
from tests.core.algebra.test_optimum import box, with_profile

CAR = with_profile(box("car", 0, 0, [(0, 2)] * 6), total_energy_kwh=EnergyRange(3, 5))
BATTERY = with_profile(box("battery", 0, 0, [(-2, 2)] * 6), subtotal_energy_kwh=EnergyRange(-1, 3))
LEAKY = with_profile(
    box("leaky", 0, 0, [(0, 2)] * 4),
    polytope=Polytope(
        a=tuple(
            tuple(sign * 0.9 ** (t - i) if i <= t else 0.0 for i in range(4)) for t in range(4) for sign in (1, -1)
        ),
        b_kwh=(2.5, 0.0) * 4,
    ),
)
LEAKY_DFO = convert(LEAKY, Kind.DFO).offer
BOXED = {offer.id: convert(offer, Kind.TIME).offer for offer in (CAR, BATTERY, LEAKY)}
EXACT = (
    (box("box", 0, 3, [(0, 1)] * 2), Kind.TIME),
    (CAR, Kind.TOTAL),
    (CAR, Kind.DFO),
    (BATTERY, Kind.DFO),
    (BATTERY, Kind.POLYTOPE),
    (convert(BATTERY, Kind.DFO).offer, Kind.TOTAL),
    (convert(CAR, Kind.POLYTOPE).offer, Kind.DFO),
    (convert(CAR, Kind.POLYTOPE).offer, Kind.TOTAL),
    (convert(CAR, Kind.DFO).offer, Kind.POLYTOPE),
)


def look_at(offers: list[FlexOffer], seed: int) -> Prices:
    begin, end = horizon(offers)
    slots = int((end - begin).total_seconds()) // 900
    return Prices(begin, 900, np.random.default_rng(seed).uniform(-0.2, 0.4, slots))


def test_kinds_are_told_in_the_modelling_order() -> None:
    slices = CAR.profiles[0].slices
    polygon = msgspec.structs.replace(slices[0], polygon=(HalfPlane(1.0, 1.0, 1.5),))
    xor = msgspec.structs.replace(CAR, profiles=CAR.profiles * 2)
    found = [
        box("a", 0, 0, [(0, 1)]),
        box("a", 0, 1, [(0, 1)]),
        CAR,
        with_profile(CAR, slices=(polygon, *slices[1:])),
        LEAKY,
        with_profile(CAR, two_mode=TwoMode(after_time_s=900, after_portion=0.5)),
        xor,
    ]
    assert [kind_of(offer) for offer in found] == list(ORDER)
    assert kind_of(BATTERY) is Kind.TOTAL
    assert kind_of(with_profile(CAR, slices=(Slice(amounts_kwh=(0.0, 1.0)),), total_energy_kwh=None)) is Kind.XOR


@pytest.mark.parametrize(("offer", "kind"), EXACT, ids=lambda x: x.id if isinstance(x, FlexOffer) else str(x))
def test_what_says_the_same_loses_nothing(offer: FlexOffer, kind: Kind) -> None:
    done, told = lost(offer, kind)
    assert done.exact
    assert kind_of(done.offer) is kind
    for seed in range(5):
        look = look_at([offer], seed)
        assert least_cost_eur([done.offer], look) == pytest.approx(least_cost_eur([offer], look), abs=1e-6)
    assert all(kept.share is None or kept.share == pytest.approx(1.0, abs=1e-5) for kept in told.savings)


KINDS = strategies.COLUMNAR | {
    "ranges",
    "amounts",
    "uncertainty",
    "polytope",
    "xor",
    "two_mode",
    "duration",
    "implicit",
}


@settings(max_examples=40)
@given(strategies.flex_offers(KINDS, max_slices=5), st.sampled_from(ORDER), st.integers(0, 99))
def test_what_a_converted_offer_may_do_the_original_can(offer: FlexOffer, kind: Kind, seed: int) -> None:
    if kind is Kind.TWO_MODE and kind_of(offer) is Kind.XOR:
        with pytest.raises(InvalidError, match="two-mode"):
            convert(offer, kind)
        return
    done = convert(offer, kind)
    assert ORDER.index(kind_of(done.offer)) <= ORDER.index(kind) or kind_of(done.offer) is kind_of(offer)
    if kind is Kind.XOR and any(p.duration_slots()[0] != p.duration_slots()[1] for p in offer.profiles):
        return  # its durations still vary
    schedule = cheapest(done.offer, look_at([done.offer], seed))
    assert violations(done.offer, schedule) == []
    back = msgspec.structs.replace(restored(offer, schedule), profile=None)
    assert violations(offer, back) == []
    # The second judge knows explicit windows only, and two-mode operation of slices of one slot.
    after, before = offer.window(offer.created)
    explicit = msgspec.structs.replace(offer, start_after=after, start_before=before, start_before_duration_s=None)
    long = any(piece.duration > 1 for piece in back.slices)
    if not (long and any(profile.two_mode is not None for profile in offer.profiles)):
        assert broken_of_any(explicit, back) == []


def spread(offer: FlexOffer, shares: list[float]) -> Schedule:
    """Slice by slice a share of its range, at the last start."""
    slices = offer.profiles[0].slices
    energies = [
        s.energy_kwh[0].lo_kwh + share * (s.energy_kwh[0].hi_kwh - s.energy_kwh[0].lo_kwh)
        for s, share in zip(slices, shares, strict=False)
    ]
    window = starts(offer, len(slices))
    pieces = tuple(ScheduleSlice(energy_kwh=e) for e in energies)
    return Schedule(start=at(window.last - int(T0.timestamp()) // 900), slices=pieces)


@settings(max_examples=40)
@given(st.sampled_from((CAR, BATTERY, LEAKY)), st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_every_choice_within_a_box_is_feasible(offer: FlexOffer, shares: list[float]) -> None:
    back = restored(offer, spread(BOXED[offer.id], shares))
    assert violations(offer, back) == []
    assert broken_of_any(offer, back) == []


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_every_prefix_of_a_leaky_stores_dfo_can_be_completed(shares: list[float]) -> None:
    # Each slice takes a share of what its polygon leaves, given what was used before: it never comes to nothing.
    dfo = LEAKY_DFO
    used, energies = 0.0, []
    for piece, share in zip(dfo.profiles[0].slices, shares, strict=True):
        limits = piece.energy_kwh[0]
        least = max(limits.lo_kwh, *(-row.c_kwh - used for row in piece.polygon if row.b < 0))
        most = min(limits.hi_kwh, *(row.c_kwh - used for row in piece.polygon if row.b > 0))
        assert least <= most + 1e-9
        energies.append(least + share * (most - least))
        used += energies[-1]
    schedule = Schedule(start=T0, slices=tuple(ScheduleSlice(energy_kwh=e) for e in energies))
    assert violations(dfo, schedule) == [] == violations(LEAKY, schedule)
    assert broken_of_any(LEAKY, schedule) == []


def test_a_car_becomes_a_block_that_can_be_shifted() -> None:
    car = with_profile(CAR, total_energy_kwh=EnergyRange(3, 3))
    done, told = lost(car, Kind.TIME)
    assert not done.exact
    assert [(s.energy_kwh[0].lo_kwh, s.energy_kwh[0].hi_kwh) for s in done.offer.profiles[0].slices] == [(2, 2), (1, 1)]
    assert (done.offer.start_after, done.offer.start_before) == (at(0), at(4))
    assert told.time_kept_slots == 4
    late = Schedule(start=at(4), slices=(ScheduleSlice(energy_kwh=2.0), ScheduleSlice(energy_kwh=1.0)))
    assert [s.energy_kwh for s in restored(car, late).slices] == [0, 0, 0, 0, 2, 1]
    assert all(kept.share is not None and 0 <= kept.share <= 1 for kept in told.savings)


def test_what_is_likely_is_exact_and_the_widest_of_several_ranges_is_not() -> None:
    likely = Uncertainty(energies_kwh=(0.0, 1.0, 2.0), probabilities=(0.0, 1.0, 0.0), threshold=0.5)
    sure = with_profile(box("u", 0, 1, [(0, 3)]), slices=(Slice(energy_kwh=(EnergyRange(0, 3),), uncertainty=likely),))
    done = convert(sure, Kind.TIME)
    assert done.exact
    assert done.offer.profiles[0].slices[0].energy_kwh == (EnergyRange(0.5, 1.5),)
    several = with_profile(sure, slices=(Slice(energy_kwh=(EnergyRange(0, 1), EnergyRange(3, 5))),))
    taken = convert(several, Kind.TIME)
    assert not taken.exact
    assert taken.offer.profiles[0].slices[0].energy_kwh == (EnergyRange(3, 5),)


def test_what_has_no_such_form_is_refused_by_name() -> None:
    reactive = msgspec.structs.replace(CAR, quantity=Quantity.REACTIVE_ENERGY)
    gone = msgspec.structs.replace(CAR, profiles=())
    for bad in (reactive, gone):
        for kind in (Kind.SLICE, Kind.DFO):
            with pytest.raises(InvalidError) as caught:
                convert(bad, kind)
            assert "car" in str(caught.value)
    xor = msgspec.structs.replace(CAR, profiles=CAR.profiles * 2)
    with pytest.raises(InvalidError, match="two-mode"):
        convert(xor, Kind.TWO_MODE)
    assert convert(CAR, Kind.TWO_MODE).offer == CAR
    tight, loose = (with_profile(LEAKY, polytope=Polytope(a=((-1.0,) * 4,), b_kwh=(-least,))) for least in (8.5, 7.5))
    assert not convert(loose, Kind.TIME).exact
    with pytest.raises(InfeasibleError) as infeasible:
        convert(tight, Kind.TIME)
    assert "leaky" in str(infeasible.value)


def test_boxes_worked_by_hand() -> None:
    # x + y <= 1, x, y >= 0, in equal proportions: the square of half a side; it has no room to grow.
    rows, upper = np.array([[1.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]), np.array([1.0, 0.0, 0.0])
    lo, hi = largest_box(Within(rows, upper, np.ones(2)))
    assert lo == pytest.approx([0, 0], abs=1e-6)
    assert hi == pytest.approx([0.5, 0.5], abs=1e-6)
    # The same around a corner: nothing but the corner on that side.
    lo, hi = largest_box(Within(rows, upper, np.ones(2)), holding=np.array([1.0, 0.0]))
    assert hi == pytest.approx([1.0, 0.0], abs=1e-6)
    # Half of its size where it is cheapest.
    lo, hi = largest_box(Within(rows, upper, np.ones(2)), share=0.5, costs=np.array([1.0, 1.0]))
    assert lo == pytest.approx([0, 0], abs=1e-6)
    assert hi == pytest.approx([0.25, 0.25], abs=1e-6)
    with pytest.raises(InfeasibleError):
        largest_box(Within(rows, np.array([-1.0, 0.0, 0.0]), np.ones(2)))
