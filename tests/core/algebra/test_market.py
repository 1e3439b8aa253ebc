"""Market-shaped aggregates: blocks of one power, large enough, of one location; and they come apart again."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra.alignment import disaggregate
from flexhub.core.algebra.market import SHAPED, Shape, aggregate, unshape
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.judge import violations
from flexhub.core.timegrid import instant_of, slot_of
from tests.core.algebra.columns import T0, at, broken
from tests.core.algebra.test_optimum import box

HALF_HOURS = Shape(block_s=1800)


def blocks(offer: FlexOffer) -> list[tuple[float, float]]:
    return [(r.lo_kwh, r.hi_kwh) for piece in offer.profiles[0].slices for r in piece.energy_kwh]


def test_two_halves_make_a_block() -> None:
    # Each alone fills half a block; one after the other they fill it.
    offers = [box("a", 0, 5, [(1, 3)]), box("b", 0, 5, [(2, 4)])]
    made = aggregate(offers, "agg", HALF_HOURS)
    (one,) = made.aggregates
    assert made.left == {}
    assert one.aggregate.method == SHAPED
    assert one.offer.resolution_s == 1800
    assert blocks(one.offer) == [(4, 6)]
    alone = aggregate(offers[:1], "agg", HALF_HOURS)
    assert alone.aggregates == ()
    assert "blocks of one power" in alone.left["a"]


def test_it_moves_by_whole_blocks_only() -> None:
    (one,) = aggregate([box("a", 1, 7, [(1, 2)] * 2)], "agg", HALF_HOURS).aggregates
    assert (one.offer.start_after, one.offer.start_before) == (at(2), at(6))
    schedule = Schedule(start=at(4), slices=(ScheduleSlice(energy_kwh=3.0),))
    slots = unshape(one, schedule)
    assert (slots.start, [s.energy_kwh for s in slots.slices]) == (at(4), [1.5, 1.5])
    for bad in (
        msgspec.structs.replace(schedule, start=at(5)),
        msgspec.structs.replace(schedule, slices=(ScheduleSlice(energy_kwh=4.5),)),
    ):
        with pytest.raises(InvalidError) as caught:
            unshape(one, bad)
        assert caught.value.value == one.offer.id


def test_groups_are_as_large_as_they_have_to_be_and_of_one_location() -> None:
    offers = [box(f"o{i}", 0, 4, [(0, 1)] * 2, location="north" if i % 2 else "south") for i in range(8)]
    # A block of 2 kWh in half an hour is 4 kW; 8 kW take two of them.
    for least, sizes in ((0.0, [1] * 8), (4.0, [1] * 8), (8.0, [2] * 4), (16.0, [4] * 2)):
        made = aggregate(offers, "agg", Shape(block_s=1800, least_kw=least))
        assert [len(one.aggregate.members) for one in made.aggregates] == sizes
        for one in made.aggregates:
            assert len({offer.location for offer in offers if offer.id in _members(one.aggregate)}) == 1
            assert max(max(-lo, hi) for lo, hi in blocks(one.offer)) * 2 >= least
    short = aggregate(offers, "agg", Shape(block_s=1800, least_kw=17.0))
    assert short.aggregates == ()
    assert all("at least 17 kW" in why for why in short.left.values())
    assert len(short.left) == 8


def _members(aggregate: object) -> set[str]:
    return {m.offer for m in aggregate.members}  # type: ignore[attr-defined]  # an Aggregate


def test_what_cannot_be_a_block_is_left_with_the_reason() -> None:
    good = box("good", 0, 4, [(0, 1)] * 2)
    slices = (Slice(energy_kwh=(EnergyRange(0, 1),), min_duration=3, max_duration=3),)
    long = msgspec.structs.replace(good, id="long", profiles=(Profile(slices=slices),))
    total = msgspec.structs.replace(
        good, id="total", profiles=(msgspec.structs.replace(good.profiles[0], total_energy_kwh=EnergyRange(1, 1)),)
    )
    made = aggregate([good, long, total], "agg", HALF_HOURS)
    assert [_members(one.aggregate) for one in made.aggregates] == [{"good"}]
    assert set(made.left) == {"long", "total"}
    assert "2700 s" in made.left["long"]
    assert "nothing beside them" in made.left["total"]
    for bad in ({"block_s": 0}, {"block_s": 90_000}, {"least_kw": -1.0}, {"least_kw": float("nan")}):
        with pytest.raises(InvalidError):
            Shape(**bad)


def test_nothing_is_nothing_and_other_slots_are_not_mixed() -> None:
    assert aggregate([], "agg", HALF_HOURS) == ((), {})
    quarters = box("a", 0, 4, [(0, 1)] * 2)
    halves = msgspec.structs.replace(box("b", 0, 4, [(0, 2)]), resolution_s=1800)
    odd = msgspec.structs.replace(box("c", 0, 4, [(0, 2)]), resolution_s=700, start_after=at(0), start_before=at(8))
    made = aggregate([quarters, halves, odd], "agg", HALF_HOURS)
    assert [_members(one.aggregate) for one in made.aggregates] == [{"a"}, {"b"}]
    assert "700 s" in made.left["c"]


@st.composite
def many(draw: st.DrawFn) -> list[FlexOffer]:
    found = []
    for i in range(draw(st.integers(1, 7))):
        n, unit = draw(st.integers(1, 4)), draw(st.sampled_from((1, 1, 1, 2)))
        first = draw(st.integers(0, 5))
        sides = [sorted((draw(st.integers(-2, 4)), draw(st.integers(-2, 4)))) for _ in range(n)]
        slices = tuple(
            Slice(energy_kwh=(EnergyRange(float(a), float(b)),), min_duration=unit, max_duration=unit) for a, b in sides
        )
        one = box(f"o{i}", first, first + draw(st.integers(0, 5)), [(0, 0)])
        found.append(msgspec.structs.replace(one, profiles=(Profile(slices=slices),)))
    return found


@settings(max_examples=60)
@given(many(), st.sampled_from((1800, 3600)), st.sampled_from((0.0, 8.0)), st.data())
def test_whatever_blocks_may_do_members_can(
    offers: list[FlexOffer], block_s: int, least: float, data: st.DataObject
) -> None:
    made = aggregate(offers, "agg", Shape(block_s=block_s, least_kw=least))
    inside = [name for one in made.aggregates for name in _members(one.aggregate)]
    assert sorted([*inside, *made.left]) == sorted(offer.id for offer in offers)
    by_id = {offer.id: offer for offer in offers}
    for one in made.aggregates:
        after, before = one.offer.window(T0)
        start = data.draw(st.integers(slot_of(after, block_s), slot_of(before, block_s)))
        energies = [float(np.interp(data.draw(st.floats(0, 1)), (0, 1), span)) for span in blocks(one.offer)]
        schedule = Schedule(
            start=instant_of(start, block_s), slices=tuple(ScheduleSlice(energy_kwh=e) for e in energies)
        )
        members = [by_id[name] for name in sorted(_members(one.aggregate))]
        parts = disaggregate(one.aggregate, members, unshape(one, schedule))
        summed: dict[int, float] = {}
        for offer in members:
            assert violations(offer, parts[offer.id]) == [] == broken(offer, parts[offer.id])
            for slot, kwh in parts[offer.id].by_slot_kwh(900).items():
                summed[slot // (block_s // 900)] = summed.get(slot // (block_s // 900), 0.0) + kwh
        for i, kwh in enumerate(energies):
            assert summed.pop(start + i, 0.0) == pytest.approx(kwh, abs=1e-6)
        assert summed == {}
