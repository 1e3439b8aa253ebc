"""The columnar form: its judge agrees with the object judge, and what it cannot hold it refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.batch import FlexOfferBatch
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import (
    CostRange,
    EnergyRange,
    FlexOffer,
    HalfPlane,
    Polytope,
    Profile,
    Quantity,
    Slice,
    TwoMode,
    Uncertainty,
)
from flexhub.core.judge import violations
from flexhub.core.timegrid import slot_of
from tests.core.test_judge import NOON, QUARTER, UP_TO_TWO, offer
from tests.strategies import COLUMNAR, energies, witnessed

KINDS = COLUMNAR | {"end"}


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[FlexOffer], list[int], list[float]]:
    """Offers with starts and energies: of some the witness, of others disturbed in one thing."""
    offers, starts, flat = [], [], []
    for drawn in draw(st.lists(witnessed(KINDS, max_slices=4), min_size=1, max_size=4)):
        start = slot_of(drawn.schedule.start, 900)
        amounts = [piece.energy_kwh for piece in drawn.schedule.slices]
        disturbed = draw(st.sampled_from(("nothing", "start", "energy", "energies")))
        if disturbed == "start":
            start += draw(st.integers(-10, 10))
        elif disturbed == "energy":
            amounts[draw(st.integers(0, len(amounts) - 1))] = draw(energies)
        elif disturbed == "energies":
            amounts = [draw(energies) for _ in amounts]
        offers.append(drawn.offer)
        starts.append(start)
        flat += amounts
    return offers, starts, flat


@settings(max_examples=60)
@given(batches())
def test_both_judges_agree(drawn: tuple[list[FlexOffer], list[int], list[float]]) -> None:
    offers, starts, flat = drawn
    batch = FlexOfferBatch.from_offers(offers, NOON)
    mask = batch.violations_mask(np.array(starts), np.array(flat))
    schedules = batch.schedules(np.array(starts), np.array(flat))
    assert mask.tolist() == [bool(violations(o, s)) for o, s in zip(offers, schedules, strict=True)]


@settings(max_examples=40)
@given(st.lists(witnessed(COLUMNAR | {"duration"}), max_size=3))
def test_profiles_come_back_from_the_columns(drawn: list[Any]) -> None:
    def fixed(profile: Profile) -> Profile:
        slices = tuple(msgspec.structs.replace(s, max_duration=s.min_duration) for s in profile.slices)
        return msgspec.structs.replace(profile, slices=slices)

    offers = [msgspec.structs.replace(d.offer, profiles=tuple(map(fixed, d.offer.profiles))) for d in drawn]
    batch = FlexOfferBatch.from_offers(offers, NOON)
    assert [batch.profile(i) for i in range(len(batch))] == [o.profiles[0] for o in offers]
    assert batch.ids == tuple(o.id for o in offers)


def test_now_opens_an_implicit_window() -> None:
    implicit = offer(start_before_duration_s=1800)
    batch = FlexOfferBatch.from_offers([implicit], NOON + timedelta(minutes=1))
    noon = slot_of(NOON, 900)
    assert (batch.first_start.tolist(), batch.last_start.tolist()) == ([noon + 1], [noon + 2])


def test_not_a_number_breaks_its_own_offer_and_no_other() -> None:
    batch = FlexOfferBatch.from_offers([offer(), offer(), offer()], NOON)
    flat = np.ones(9)
    flat[4] = np.nan
    assert batch.violations_mask(batch.first_start, flat).tolist() == [False, True, False]


def test_an_empty_batch_has_no_violations() -> None:
    batch = FlexOfferBatch.from_offers([], NOON)
    assert batch.violations_mask(batch.first_start, batch.lo_kwh).tolist() == []
    assert batch.schedules(batch.first_start, batch.lo_kwh) == []


def test_sums_are_those_of_each_offer_alone() -> None:
    """A huge offer before it must not cost a small one its digits."""
    huge = offer(Slice(energy_kwh=(EnergyRange(0.0, 1e15),)))
    small = offer(Slice(energy_kwh=(EnergyRange(0.0, 1.0),)), total_energy_kwh=EnergyRange(0.1, 0.2))
    batch = FlexOfferBatch.from_offers([huge, small], NOON)
    assert batch.violations_mask(batch.first_start, np.array([1e15, 0.1])).tolist() == [False, False]


RANGE = (EnergyRange(0.0, 2.0),)
REFUSED: dict[str, tuple[FlexOffer, str]] = {
    "two profiles": (offer(profiles=(Profile(slices=(UP_TO_TWO,)),) * 2), "profiles"),
    "no profile": (offer(profiles=()), "profiles"),
    "another grid": (offer(resolution_s=300), "resolution_s"),
    "voltage": (offer(quantity=Quantity.VOLTAGE), "quantity"),
    "total cost": (offer(total_cost_eur=CostRange(0.0, 1.0)), "total_cost_eur"),
    "polytope": (offer(UP_TO_TWO, polytope=Polytope(a=((1.0,),), b_kwh=(1.0,))), "profiles[0]/polytope"),
    "two modes": (offer(profiles=(Profile(slices=(UP_TO_TWO,), two_mode=TwoMode()),)), "profiles[0]/two_mode"),
    "amounts": (offer(Slice(amounts_kwh=(1.0,))), "profiles[0]/slices[0]/amounts_kwh"),
    "several ranges": (offer(UP_TO_TWO, Slice(energy_kwh=RANGE * 2)), "profiles[0]/slices[1]/energy_kwh"),
    "uncertainty": (
        offer(
            Slice(
                energy_kwh=RANGE,
                uncertainty=Uncertainty(energies_kwh=(0.0, 1.0), probabilities=(1.0, 1.0), threshold=0.5),
            )
        ),
        "profiles[0]/slices[0]/uncertainty",
    ),
    "variable duration": (offer(Slice(energy_kwh=RANGE, max_duration=2)), "profiles[0]/slices[0]/max_duration"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_columns_cannot_hold_is_refused(name: str) -> None:
    refused, path = REFUSED[name]
    plain = offer(
        UP_TO_TWO, Slice(energy_kwh=RANGE, polygon=(HalfPlane(1.0, 1.0, 3.0),)), end_before=NOON + 4 * QUARTER
    )
    assert len(FlexOfferBatch.from_offers([plain, plain], NOON)) == 2
    with pytest.raises(InvalidError) as caught:
        FlexOfferBatch.from_offers([plain, refused], NOON)
    assert caught.value.path == f"FlexOffer[1]/{path}"


def test_other_numbers_of_starts_or_energies_are_refused() -> None:
    batch = FlexOfferBatch.from_offers([offer()], NOON)
    batch.violations_mask(batch.first_start, np.zeros(3))
    with pytest.raises(InvalidError):
        batch.violations_mask(batch.first_start, np.zeros(2))
    with pytest.raises(InvalidError):
        batch.violations_mask(np.zeros(2, np.int64), np.zeros(3))
