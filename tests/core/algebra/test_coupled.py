"""Coupled aggregates: one DFO for a few offers, whose every schedule comes apart into theirs."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra.alignment import ALONE
from flexhub.core.algebra.coupled import COUPLED, aggregate, disaggregate
from flexhub.core.algebra.grouping import Dimension
from flexhub.core.algebra.optimum import cheapest
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Schedule, ScheduleSlice
from flexhub.core.judge import violations
from tests import strategies
from tests.core.algebra.columns import at, broken
from tests.core.algebra.test_conversions import look_at
from tests.core.algebra.test_optimum import box, with_profile


def car(name: str, first: int, need: float, **more: object) -> FlexOffer:
    return with_profile(box(name, first, first, [(0, 2)] * 4, **more), total_energy_kwh=EnergyRange(need, need))


@st.composite
def storages(draw: st.DrawFn) -> list[FlexOffer]:
    """Up to six offers with totals and sub-totals, near each other in time."""
    drawn = draw(st.lists(strategies.flex_offers(frozenset({"total", "subtotal"}), max_slices=5), max_size=6))
    found = []
    for i, offer in enumerate(drawn):
        first = draw(st.integers(0, 5))
        found.append(
            msgspec.structs.replace(
                offer,
                id=f"o{i}",
                created=at(0),
                accept_before=None,
                default_schedule=None,
                start_after=at(first),
                start_before=at(first + draw(st.integers(0, 2))),
            )
        )
    return found


@settings(max_examples=40)
@given(storages(), st.integers(1, 4), st.integers(0, 99))
def test_whatever_the_dfo_may_do_its_members_can(offers: list[FlexOffer], size: int, seed: int) -> None:
    groups = aggregate(offers, "agg", size, {}).aggregates
    assert sorted(m.offer for one in groups for m in one.members) == sorted(offer.id for offer in offers)
    by_id = {offer.id: offer for offer in offers}
    for one in groups:
        whole = cheapest(one.offer, look_at([one.offer], seed))
        assert violations(one.offer, whole) == []
        members = [by_id[m.offer] for m in one.members]
        assert one.method != COUPLED or 1 < len(members) <= size
        parts = disaggregate(one, members, whole)
        summed: dict[int, float] = {}
        for offer in members:
            assert violations(offer, parts[offer.id]) == [] == broken(offer, parts[offer.id])
            for slot, kwh in parts[offer.id].by_slot_kwh(900).items():
                summed[slot] = summed.get(slot, 0.0) + kwh
        for slot, kwh in whole.by_slot_kwh(900).items():
            assert summed.pop(slot, 0.0) == pytest.approx(kwh, abs=1e-6)
        assert all(abs(kwh) < 1e-6 for kwh in summed.values())


def test_like_is_coupled_with_like_near_in_time_and_of_one_place() -> None:
    cars = [car("a", 0, 5), car("b", 1, 5), car("c", 0, 3), car("d", 0, 3, location="north"), car("e", 200, 3)]
    groups = aggregate(cars, "agg", 4).aggregates
    assert sorted((one.method, tuple(m.offer for m in one.members)) for one in groups) == [
        (ALONE, ("d",)), (ALONE, ("e",)), (COUPLED, ("a", "b", "c"))
    ]  # fmt: skip
    (one,) = (one for one in groups if one.method == COUPLED)
    assert (one.offer.start_after, one.offer.start_before) == (at(0), at(0))
    assert [m.offset for m in one.members] == [0, 1, 0]
    assert len(one.offer.profiles[0].slices) == 5


def test_what_is_coupled_differs_by_no_more_than_told() -> None:
    cars = [car("a", 0, 5), car("b", 1, 5), car("c", 0, 3), car("d", 0, 3, location="north")]
    boxes = [box("e", 0, 2, [(0, 1)]), box("f", 1, 3, [(0, 1)])]

    def together(by: dict[Dimension, float] | None) -> list[tuple[str, ...]]:
        found = aggregate([*cars, *boxes], "agg", 4, by).aggregates
        return sorted(tuple(m.offer for m in one.members) for one in found)

    assert together(None) == [("a", "b", "c"), ("d",), ("e", "f")]
    assert together({Dimension.START_AFTER: 900.0}) == [("a", "c", "d"), ("b",), ("e",), ("f",)]
    assert together({Dimension.START_AFTER: 3600.0}) == [("a", "b", "c", "d"), ("e", "f")]


def test_slices_are_aligned_and_what_cannot_be_summed_stays_alone() -> None:
    plain = [box("a", 0, 2, [(0, 1)]), box("b", 0, 2, [(0, 1)])]
    gone = msgspec.structs.replace(plain[0], id="gone", profiles=())
    found = aggregate([*plain, gone], "agg", 4)
    assert sorted(one.method for one in found.aggregates) == [ALONE, "start-aligned"]
    assert (set(found.alone), found.parted) == ({"gone"}, ())
    assert aggregate([*plain, car("c", 0, 5)], "agg", 4).parted == ("kinds slices, storage-like are not summed",)
    assert aggregate([], "agg", 4) == ([], {}, ())


def test_what_breaks_the_dfo_or_belongs_to_another_is_refused_and_its_twin_is_not() -> None:
    cars = [car("a", 0, 5), car("b", 0, 3)]
    (one,) = aggregate(cars, "agg", 2).aggregates

    def plan(*energies: float) -> Schedule:
        return Schedule(start=at(0), slices=tuple(ScheduleSlice(energy_kwh=e) for e in energies))

    assert disaggregate(one, cars, plan(2, 2, 2, 2)).keys() == {"a", "b"}
    for bad in (plan(5, 2, 1, 0), plan(2, 2, 2, 1), plan(2, 2, 2)):
        with pytest.raises(InvalidError):
            disaggregate(one, cars, bad)
    for members in (cars[:1], [*cars, car("c", 0, 3)], [cars[0], car("c", 0, 3)]):
        with pytest.raises(InvalidError, match="members"):
            disaggregate(one, members, plan(2, 2, 2, 2))
    with pytest.raises(InvalidError, match="at least 1"):
        aggregate(cars, "agg", 0)
    with pytest.raises(InvalidError, match="twice"):
        aggregate([cars[0], cars[0]], "agg", 2)
