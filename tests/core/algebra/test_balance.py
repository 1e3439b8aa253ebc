"""Balance aggregation: less absolute energy, and what an aggregate may do its members can."""

from __future__ import annotations

from itertools import product

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra.alignment import ALONE, alone, disaggregate
from flexhub.core.algebra.balance import BALANCED, absolute_kwh, aggregate, expected_kwh
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer, Schedule, ScheduleSlice
from flexhub.core.judge import violations
from flexhub.core.price import Price
from flexhub.core.timegrid import instant_of, slot_of
from flexhub.core.trading import Aggregate
from tests.core.algebra.columns import T0, at, broken, many_offers, plain_offers
from tests.core.algebra.test_optimum import box


def total_kwh(groups: list[Aggregate], offers: list[FlexOffer]) -> float:
    return sum(absolute_kwh(one, offers) for one in groups)


def test_production_moves_to_where_consumption_is() -> None:
    uses, gives = box("uses", 4, 6, [(1, 3), (1, 1)]), box("gives", 0, 9, [(-2, -2), (-1, -1)])
    (group,) = aggregate([uses, gives], "agg")
    assert group.method == BALANCED
    assert {m.offer: m.offset for m in group.members} == {"uses": 0, "gives": 0}
    assert (group.offer.start_after, group.offer.start_before) == (at(4), at(6))
    assert absolute_kwh(group, [uses, gives]) == 0
    assert [(s.energy_kwh[0].lo_kwh, s.energy_kwh[0].hi_kwh) for s in group.offer.profiles[0].slices] == [
        (-1, 1),
        (0, 0),
    ]


def test_time_flexibility_is_kept_where_it_is_asked_for() -> None:
    uses, gives = box("uses", 4, 6, [(2, 2)]), box("gives", 0, 5, [(-2, -2)])
    for least, together in ((0, 1), (1, 1), (2, 2)):
        groups = aggregate([uses, gives], "agg", least_time_flexibility=least)
        assert len(groups) == together
        for one in groups:
            after, before = one.offer.window(T0)
            assert slot_of(before, 900) - slot_of(after, 900) >= min(least, 1)


def test_what_relieves_nothing_cannot_move_or_lies_elsewhere_stays_alone() -> None:
    uses = box("uses", 4, 6, [(2, 2)], location="north")
    gives = box("gives", 0, 5, [(-2, -2)], location="north")
    assert len(aggregate([uses, gives], "agg")) == 1
    priced = msgspec.structs.replace(
        gives,
        price=Price(slopes_eur_per_kwh=(0.1,)),
        default_schedule=Schedule(start=at(0), slices=(ScheduleSlice(energy_kwh=-2.0),)),
    )
    for other in (
        box("more", 4, 6, [(1, 2)], location="north"),
        msgspec.structs.replace(gives, location="south"),
        msgspec.structs.replace(gives, start_before=at(3)),
        msgspec.structs.replace(gives, profiles=()),
        priced,
    ):
        groups = aggregate([uses, other], "agg")
        assert [one.method for one in groups] == [ALONE, ALONE]
        assert {one.members[0].offer for one in groups} == {"uses", other.id}
    assert len(aggregate([uses, msgspec.structs.replace(gives, location="south")], "agg", {})) == 1


def test_both_move_towards_each_other() -> None:
    uses, gives = box("uses", 0, 3, [(3, 3)] * 2), box("gives", 2, 2, [(-2, -2)] * 2)
    (group,) = aggregate([uses, gives], "agg")
    assert absolute_kwh(group, [uses, gives]) == 2
    assert (group.offer.start_after, group.offer.start_before) == (at(2), at(2))


def test_nothing_is_nothing_and_other_slots_are_not_mixed() -> None:
    assert aggregate([], "agg") == []
    uses = box("uses", 4, 8, [(2, 2)] * 2)
    gives = msgspec.structs.replace(box("gives", 4, 8, [(-2, -2)]), resolution_s=1800)
    assert len(aggregate([uses, gives], "agg")) == 2


@st.composite
def both_sides(draw: st.DrawFn) -> list[FlexOffer]:
    return [*draw(many_offers("o", most=5)), draw(plain_offers("p0"))]


@settings(max_examples=30)
@given(both_sides(), st.integers(0, 2), st.data())
def test_whatever_an_aggregate_may_do_its_members_can(offers: list[FlexOffer], least: int, data: st.DataObject) -> None:
    groups = aggregate(offers, "agg", {}, least_time_flexibility=least)
    assert sorted(m.offer for one in groups for m in one.members) == sorted(offer.id for offer in offers)
    assert total_kwh(groups, offers) <= total_kwh([alone(offer, "agg") for offer in offers], offers) + 1e-6
    by_id = {offer.id: offer for offer in offers}
    for one in groups:
        if one.method == ALONE:
            continue
        after, before = one.offer.window(T0)
        start = data.draw(st.integers(slot_of(after, 900), slot_of(before, 900)))
        slices = tuple(
            ScheduleSlice(
                energy_kwh=float(np.interp(data.draw(st.floats(0, 1)), (0, 1), (r.lo_kwh, r.hi_kwh))),
                duration=piece.min_duration,
            )
            for piece in one.offer.profiles[0].slices
            for r in piece.energy_kwh
        )
        whole = Schedule(start=instant_of(start, 900), slices=slices)
        members = [by_id[m.offer] for m in one.members]
        parts = disaggregate(one, members, whole)
        summed: dict[int, float] = {}
        for offer in members:
            assert violations(offer, parts[offer.id]) == [] == broken(offer, parts[offer.id])
            for slot, kwh in parts[offer.id].by_slot_kwh(900).items():
                summed[slot] = summed.get(slot, 0.0) + kwh
        for slot, kwh in whole.by_slot_kwh(900).items():
            assert summed.pop(slot, 0.0) == pytest.approx(kwh, abs=1e-6)
        assert all(abs(kwh) < 1e-6 for kwh in summed.values())
        with pytest.raises(InvalidError):
            disaggregate(one, members, msgspec.structs.replace(whole, start=at(-1)))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-3, 3)), min_size=2, max_size=2))
def test_of_two_offers_the_balance_is_the_best_there_is(drawn: list[tuple[int, int, int]]) -> None:
    offers = [
        box(f"o{i}", first, first + slack, [(kwh, kwh), (kwh, kwh)]) for i, (first, slack, kwh) in enumerate(drawn)
    ]
    best = sum(float(np.abs(expected_kwh(offer)).sum()) for offer in offers)
    for starts in product(*(range(first, first + slack + 1) for first, slack, _ in drawn)):
        line = np.zeros(10)
        for start, offer in zip(starts, offers, strict=True):
            line[start : start + 2] += expected_kwh(offer)
        best = min(best, float(np.abs(line).sum()))
    assert total_kwh(aggregate(offers, "agg", {}), offers) == pytest.approx(best)
