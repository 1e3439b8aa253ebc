"""The witness: found for every feasible offer, and accepted by the judge; never found for an infeasible one."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.errors import InvalidError
from flexhub.core.feasibility import decides, feasible_schedule, infeasible
from flexhub.core.flexoffer import (
    CostRange,
    EnergyRange,
    FlexOffer,
    HalfPlane,
    Polytope,
    Profile,
    Slice,
    TwoMode,
    Uncertainty,
)
from flexhub.core.judge import violations
from flexhub.core.price import Price
from tests.core.test_judge import NOON, QUARTER, UP_TO_TWO, offer, plan
from tests.strategies import ALL, COLUMNAR, Witnessed, witnessed


@given(witnessed(ALL - {"cost"}))
def test_every_feasible_offer_gets_a_witness(drawn: Witnessed) -> None:
    found = feasible_schedule(drawn.offer, drawn.now)
    assert found is not None
    assert violations(drawn.offer, found, now=drawn.now) == []


@settings(max_examples=20)
@given(witnessed(COLUMNAR | {"ranges", "end", "duration"}, max_slices=24))
def test_long_offers_get_a_witness_too(drawn: Witnessed) -> None:
    found = feasible_schedule(drawn.offer, drawn.now)
    assert found is not None
    assert violations(drawn.offer, found, now=drawn.now) == []


@given(witnessed())
def test_what_is_found_is_feasible_whatever_the_kinds(drawn: Witnessed) -> None:
    found = feasible_schedule(drawn.offer, drawn.now)
    assert found is None or violations(drawn.offer, found, now=drawn.now) == []
    assert found is not None or not decides(drawn.offer)


@st.composite
def plain_offers(draw: st.DrawFn) -> FlexOffer | None:
    """One range a slice, bounds over all that may miss by rounding, and any window; None where it can't be made."""
    rounding = st.sampled_from([0.0, 4e-7, -4e-7])
    pieces = tuple(
        Slice(energy_kwh=(EnergyRange(lo, lo + width),), min_duration=1, max_duration=1 + longer)
        for lo, width, longer in draw(
            st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=5)
        )
    )
    total, low, high = (draw(st.integers(-6, 6)) + draw(rounding) for _ in range(3))
    limits: dict[str, Any] = {
        "total_energy_kwh": EnergyRange(total, total),
        "subtotal_energy_kwh": EnergyRange(low, max(low, high)),
    }
    for name in draw(st.sets(st.sampled_from(sorted(limits)))):
        del limits[name]
    window: dict[str, Any] = {}
    if draw(st.booleans()):
        window["start_before_duration_s"] = draw(st.integers(0, 3600))
    for name in draw(st.sets(st.sampled_from(["end_after", "end_before"]))):
        window[name] = NOON + timedelta(minutes=draw(st.integers(-10, 200)))
    try:
        return offer(profiles=(Profile(slices=pieces, **limits),), **window)
    except InvalidError:
        return None


@given(plain_offers(), st.integers(-20, 20))
def test_what_is_told_of_plain_offers_at_a_glance_is_what_the_search_finds(found: FlexOffer | None, late: int) -> None:
    if found is None:
        return
    now = NOON + timedelta(minutes=late)
    assert decides(found)
    assert infeasible(found, now) == (feasible_schedule(found, now) is None)


@given(witnessed(ALL))
def test_no_feasible_offer_is_called_infeasible(drawn: Witnessed) -> None:
    assert not infeasible(drawn.offer, drawn.now)


AMOUNTS = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=3)


@given(st.lists(AMOUNTS, min_size=1, max_size=4), st.integers(-12, 12), st.integers(-8, 0), st.integers(0, 8))
def test_it_agrees_with_trying_all_combinations(choices: list[list[float]], total: int, low: int, high: int) -> None:
    """Small whole amounts, so that every combination can be tried."""
    slices = tuple(Slice(amounts_kwh=tuple(c)) for c in choices)
    try:
        enumerated = offer(
            *slices,
            total_energy_kwh=EnergyRange(total, total + 1.0),
            subtotal_energy_kwh=EnergyRange(low, high),
        )
    except ValueError:
        enumerated = None  # even the hull is infeasible; the profile says so
    schedules = [plan(*energies) for energies in product(*choices)]
    unbound = [s for s in schedules if total <= s.energy_kwh() <= total + 1]
    prefixes = [[sum(p.energy_kwh for p in s.slices[: i + 1]) for i in range(len(choices))] for s in unbound]
    possible = any(all(low <= x <= high for x in prefix) for prefix in prefixes)
    found = None if enumerated is None else feasible_schedule(enumerated, NOON)
    assert (found is not None) == possible


BATTERY = (Slice(energy_kwh=(EnergyRange(-1.0, 1.0),)),) * 4


def pair(**fields: Any) -> tuple[Profile, Profile]:
    """A feasible profile and an infeasible one that differs in the field given as a pair (good, bad)."""
    good, bad = ({k: v[i] if isinstance(v, list) else v for k, v in fields.items()} for i in (0, 1))
    return Profile(**good), Profile(**bad)


def polytope(b_kwh: float, *row: float) -> Polytope:
    return Polytope(a=(row,), b_kwh=(b_kwh,))


def unsure(threshold: float) -> tuple[Slice]:
    likely = Uncertainty(energies_kwh=(0.0, 1.0), probabilities=(0.2, 0.6), threshold=threshold)
    return (Slice(energy_kwh=(EnergyRange(0.0, 2.0),), uncertainty=likely),)


def after_using(used: float) -> tuple[Slice, Slice]:
    return UP_TO_TWO, Slice(polygon=(HalfPlane(-1.0, 0.0, -used), HalfPlane(0.0, 1.0, 1.0)))


GAP = (Slice(energy_kwh=(EnergyRange(0.0, 1.0), EnergyRange(5.0, 6.0))),)
INFEASIBLE = {
    "amounts that miss the total": pair(
        slices=(Slice(amounts_kwh=(0.0, 2.0)),) * 2, total_energy_kwh=[EnergyRange(2.0, 2.0), EnergyRange(1.0, 1.0)]
    ),
    "ranges that miss the total": pair(slices=GAP, total_energy_kwh=[EnergyRange(0.5, 4.0), EnergyRange(2.0, 4.0)]),
    "a polygon that asks for more than was used": pair(slices=[after_using(2.0), after_using(3.0)]),
    "a polytope against the total": pair(
        slices=BATTERY,
        total_energy_kwh=EnergyRange(2.0, 3.0),
        polytope=[polytope(0.5, 1, 1, 0, 0), polytope(-0.5, 1, 1, 0, 0)],
    ),
    "a polytope over amounts": pair(
        slices=(Slice(amounts_kwh=(0.0, 3.0)),) * 2,
        total_energy_kwh=EnergyRange(1.0, 6.0),
        polytope=[polytope(3.0, 1, 1), polytope(2.0, 1, 1)],
    ),
    "nothing is likely enough": pair(slices=[unsure(0.5), unsure(0.7)]),
}


@pytest.mark.parametrize("name", INFEASIBLE)
def test_infeasible_profiles_have_no_witness_and_their_twins_have(name: str) -> None:
    good, bad = (offer(profiles=(profile,)) for profile in INFEASIBLE[name])
    found = feasible_schedule(good, NOON)
    assert found is not None
    assert violations(good, found) == []
    assert decides(bad)
    assert feasible_schedule(bad, NOON) is None
    assert (infeasible(good, NOON), infeasible(bad, NOON)) == (False, True)


def test_a_total_that_the_slices_miss_by_rounding_can_be_kept() -> None:
    thirds = offer(*(Slice(energy_kwh=(EnergyRange(0.0, 0.333333),)),) * 3, total_energy_kwh=EnergyRange(1.0, 1.5))
    found = feasible_schedule(thirds, NOON)
    assert found is not None
    assert violations(thirds, found) == []


def test_ends_are_reached_by_moving_the_start_and_stretching_slices() -> None:
    stretchy = Slice(energy_kwh=(EnergyRange(0.0, 1.0),), min_duration=1, max_duration=3)
    late = offer(stretchy, stretchy, end_after=NOON + 10 * QUARTER)
    found = feasible_schedule(late, NOON)
    assert found is not None
    assert violations(late, found) == []
    assert (found.start, found.slots()) == (NOON + 4 * QUARTER, 6)


def test_an_implicit_window_without_a_slot_has_no_witness_now_but_later() -> None:
    brief = offer(start_before_duration_s=60)
    assert feasible_schedule(brief, NOON + timedelta(minutes=1)) is None
    assert infeasible(brief, NOON + timedelta(minutes=1))
    assert feasible_schedule(brief, NOON - timedelta(minutes=1)) is not None


def test_the_next_profile_is_taken_where_the_first_cannot_be_kept() -> None:
    never = Profile(slices=(Slice(amounts_kwh=(0.0, 2.0)),), total_energy_kwh=EnergyRange(1.0, 1.0))
    found = feasible_schedule(offer(profiles=(never, Profile(slices=(UP_TO_TWO,)))), NOON)
    assert found is not None
    assert found.profile == 1


def test_a_two_mode_witness_carries_the_intervention_out() -> None:
    profile = Profile(
        slices=(UP_TO_TWO,),
        total_energy_kwh=EnergyRange(1.0, 2.0),
        two_mode=TwoMode(prior_time_s=1800, prior_portion=0.5, after_time_s=900, after_portion=0.5),
    )
    found = feasible_schedule(offer(profiles=(profile,)), NOON)
    assert found is not None
    assert [s.energy_kwh for s in found.slices] == [-0.75, 1.5, -0.75]
    assert [s.duration for s in found.slices] == [2, 1, 1]


def test_within_a_total_cost_the_default_schedule_is_tried() -> None:
    default = plan(0.5, 0.5, 0.5)
    bounded = offer(
        price=Price(slopes_eur_per_kwh=(-0.1, 0.1), knots_kwh=(0.0,)),
        total_cost_eur=CostRange(0.0, 0.0),
        default_schedule=default,
    )
    assert feasible_schedule(bounded, NOON) == default
    assert not decides(bounded)


def test_a_withdrawn_offer_has_no_witness() -> None:
    assert feasible_schedule(offer(profiles=()), NOON) is None
