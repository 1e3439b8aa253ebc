"""Start alignment: the aggregate of facts worked by hand, and the law that whatever it may do, its members can."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra.alignment import ALIGNED, ALONE, aggregate, disaggregate
from flexhub.core.algebra.grouping import Dimension
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, HalfPlane, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.judge import violations
from flexhub.core.price import Price

T0 = datetime(2026, 1, 10, tzinfo=UTC)
EVERYTHING: dict[Dimension, float] = {}


def at(slot: int) -> datetime:
    return T0 + timedelta(minutes=15 * slot)


def box(
    name: str,
    first: int,
    last: int,
    ranges: list[tuple[float, float]],
    default: list[float] | None = None,
    **more: object,
) -> FlexOffer:
    fields: dict[str, object] = {
        "start_after": at(first),
        "start_before": at(last),
        "profiles": (Profile(slices=tuple(Slice(energy_kwh=(EnergyRange(*r),)) for r in ranges)),),
        "default_schedule": default and schedule(first, default),
    }
    return FlexOffer(id=name, issuer="p", created=T0, **(fields | more))  # type: ignore[arg-type]  # fields by name


def schedule(start: int, energies: list[float]) -> Schedule:
    return Schedule(start=at(start), slices=tuple(ScheduleSlice(energy_kwh=e) for e in energies))


def test_aligns_as_worked_by_hand() -> None:
    a, b = box("a", 4, 8, [(1, 2), (0, 4)]), box("b", 5, 7, [(0, 2), (1, 1)])
    (group,) = aggregate([a, b], "agg", EVERYTHING)
    assert group.method == ALIGNED
    assert (group.offer.start_after, group.offer.start_before) == (at(4), at(6))  # the least slack is b's two slots
    assert [s.energy_kwh[0] for s in group.offer.profiles[0].slices] == [
        EnergyRange(1, 2),
        EnergyRange(0, 6),
        EnergyRange(1, 1),
    ]
    assert [m.offset for m in group.members] == [0, 1]
    parts = disaggregate(group, [a, b], schedule(6, [1.5, 3, 1]))
    assert parts == {"a": schedule(6, [1.5, 2]), "b": schedule(7, [1, 1])}


def test_keeps_the_earliest_deadlines() -> None:
    a = box("a", 4, 8, [(0, 1)], accept_before=at(2), assign_before=at(3))
    b = box("b", 4, 8, [(0, 1)], assign_before=at(1))
    (group,) = aggregate([a, b], "agg", EVERYTHING)
    assert (group.offer.accept_before, group.offer.assign_before) == (at(1), at(1))


def test_leaves_members_of_an_unmoved_group_at_their_defaults() -> None:
    a, b = box("a", 4, 4, [(0, 2)], [2]), box("b", 4, 4, [(0, 2)], [0])
    (group,) = aggregate([a, b], "agg", EVERYTHING)
    assert disaggregate(group, [a, b], schedule(4, [2.0])) == {"a": schedule(4, [2]), "b": schedule(4, [0])}
    assert disaggregate(group, [a, b], schedule(4, [3.0])) == {"a": schedule(4, [2]), "b": schedule(4, [1])}


PLAIN = Slice(energy_kwh=(EnergyRange(0, 2),))
ALONE_CASES = {
    "total that binds": Profile(slices=(PLAIN, PLAIN), total_energy_kwh=EnergyRange(1, 1)),
    "sub-total": Profile(slices=(PLAIN, PLAIN), subtotal_energy_kwh=EnergyRange(0, 3)),
    "several ranges": Profile(slices=(PLAIN, Slice(energy_kwh=(EnergyRange(0, 0), EnergyRange(1, 2))))),
    "amounts": Profile(slices=(PLAIN, Slice(amounts_kwh=(0, 2)))),
    "polygon": Profile(slices=(PLAIN, Slice(energy_kwh=(EnergyRange(0, 2),), polygon=(HalfPlane(1, 1, 3),)))),
    "variable duration": Profile(slices=(PLAIN, Slice(energy_kwh=(EnergyRange(0, 2),), max_duration=2))),
    "unequal durations": Profile(
        slices=(PLAIN, Slice(energy_kwh=(EnergyRange(0, 2),), min_duration=2, max_duration=2))
    ),
}


@pytest.mark.parametrize("name", ALONE_CASES)
def test_leaves_alone_what_it_cannot_merge(name: str) -> None:
    plain, other = box("a", 4, 8, [(0, 2), (0, 2)]), box("b", 4, 8, [(0, 2)], profiles=(ALONE_CASES[name],))
    twin = msgspec.structs.replace(plain, id="c")
    groups = aggregate([plain, other, twin], "agg", EVERYTHING)
    assert [(g.method, [m.offer for m in g.members]) for g in groups] == [(ALIGNED, ["a", "c"]), (ALONE, ["b"])]
    assert groups[1].offer.profiles == other.profiles


def test_merges_where_the_total_says_nothing_new() -> None:
    loose = Profile(slices=(PLAIN, PLAIN), total_energy_kwh=EnergyRange(0, 4))
    offers = [box("a", 4, 8, [(0, 2), (0, 2)]), box("b", 4, 8, [(0, 2)], profiles=(loose,))]
    assert [g.method for g in aggregate(offers, "agg", EVERYTHING)] == [ALIGNED]


def test_grid_separates_what_differs_by_more_than_its_tolerance() -> None:
    offers = [box("a", 4, 8, [(0, 1)]), box("b", 7, 11, [(0, 1)]), box("c", 8, 12, [(0, 1)])]
    groups = aggregate(offers, "agg", {Dimension.START_AFTER: 3600.0})
    assert [[m.offer for m in g.members] for g in groups] == [["a", "b"], ["c"]]


def test_refuses_foreign_members_and_infeasible_schedules() -> None:
    a, b = box("a", 4, 8, [(0, 1)]), box("b", 4, 8, [(0, 1)])
    (group,) = aggregate([a, b], "agg", EVERYTHING)
    with pytest.raises(InvalidError, match="members"):
        disaggregate(group, [a], schedule(4, [1]))
    with pytest.raises(InvalidError):
        disaggregate(group, [a, b], schedule(4, [2.1]))
    assert disaggregate(group, [a, b], schedule(4, [2.0]))["a"] == schedule(4, [1])


@st.composite
def boxes(draw: st.DrawFn) -> FlexOffer:
    n = draw(st.integers(1, 5))
    duration = draw(st.sampled_from([1, 1, 1, 4]))
    energy = st.floats(-50, 50).map(lambda x: round(x, 3))
    ranges = [sorted((draw(energy), draw(energy))) for _ in range(n)]
    first = draw(st.integers(0, 8))
    last = first + draw(st.integers(0, 6))
    default = None
    if draw(st.booleans()):
        shares = [draw(st.floats(0, 1)) for _ in range(n)]
        default = Schedule(
            start=at(draw(st.integers(first, last))),
            slices=tuple(
                ScheduleSlice(energy_kwh=min(max(a + s * (b - a), a), b), duration=duration)
                for (a, b), s in zip(ranges, shares, strict=True)
            ),
        )
    return FlexOffer(
        id=f"o{draw(st.integers(0, 10**9))}",
        issuer="p",
        created=T0,
        start_after=at(first),
        start_before=at(last),
        end_before=draw(st.sampled_from([None, at(last + n * duration), at(first + n * duration)])),
        price=draw(st.sampled_from([None, Price.of_tariffs(-0.1, 0.2)])),
        default_schedule=default,
        profiles=(
            Profile(
                slices=tuple(
                    Slice(energy_kwh=(EnergyRange(a, b),), min_duration=duration, max_duration=duration)
                    for a, b in ranges
                )
            ),
        ),
    )


@settings(max_examples=150)
@given(
    st.lists(boxes(), min_size=1, max_size=8, unique_by=lambda o: o.id),
    st.floats(0, 1),
    st.lists(st.floats(0, 1), min_size=20, max_size=20),
)
def test_every_schedule_of_an_aggregate_is_one_of_its_members(
    offers: list[FlexOffer], when: float, shares: list[float]
) -> None:
    groups = aggregate(offers, "agg", EVERYTHING)
    assert sorted(m.offer for g in groups for m in g.members) == sorted(o.id for o in offers)
    for group in groups:
        profile, window = group.offer.profiles[0], group.offer.window(T0)
        if group.method == ALONE:
            continue
        start = window[0] + timedelta(minutes=15 * math.floor(when * (window[1] - window[0]) / timedelta(minutes=15)))
        plan = Schedule(
            start=start,
            slices=tuple(
                ScheduleSlice(energy_kwh=min(max(lo + s * (hi - lo), lo), hi), duration=piece.min_duration)
                for (lo, hi), s, piece in zip(
                    (p.span_kwh() for p in profile.slices), shares, profile.slices, strict=False
                )
            ),
        )
        assert violations(group.offer, plan) == []
        members = [o for o in offers if o.id in {m.offer for m in group.members}]
        parts = disaggregate(group, members, plan)
        load: defaultdict[datetime, float] = defaultdict(float)
        for offer in members:
            assert violations(offer, parts[offer.id], tolerance_kwh=1e-9) == []
            for i, energy in enumerate(parts[offer.id].per_slot_kwh()):
                load[parts[offer.id].start + timedelta(minutes=15 * i)] += energy
        for i, energy in enumerate(plan.per_slot_kwh()):
            assert load.pop(plan.start + timedelta(minutes=15 * i), 0.0) == pytest.approx(energy, abs=1e-9)
        assert not any(abs(v) > 1e-9 for v in load.values())
