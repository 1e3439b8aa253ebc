"""Slice aggregates in columns: what they may do their members can, however they came about."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra import aggregator as aggregators
from flexhub.core.algebra.aggregator import Aggregator, aggregate
from flexhub.core.algebra.grid import Bins
from flexhub.core.algebra.grouping import Dimension
from flexhub.core.algebra.members import Members
from flexhub.core.algebra.slices import Aggregates, Alignment
from flexhub.core.batch import FlexOfferBatch, Floats
from flexhub.core.errors import InvalidError, NotFoundError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, Slice
from flexhub.core.judge import violations
from flexhub.core.timegrid import instant_of
from tests.core.algebra.columns import T0, at, broken, many_offers

EVERYTHING: dict[Dimension, float] = {}
GRID = {Dimension.LOCATION: 0.0, Dimension.START_AFTER: 3600.0, Dimension.SIGN: 0.0}
alignments = st.sampled_from(Alignment)
tolerances = st.sampled_from((EVERYTHING, GRID))
bins = st.sampled_from((Bins(), Bins(most_members=2), Bins(most_energy_kwh=100.0, least_time_flexibility=2)))


def box(name: str, first: int, last: int, ranges: list[tuple[float, float]], **more: object) -> FlexOffer:
    profile = Profile(slices=tuple(Slice(energy_kwh=(EnergyRange(*r),)) for r in ranges))
    fields: dict[str, object] = {"start_after": at(first), "start_before": at(last), "profiles": (profile,)}
    return FlexOffer(id=name, issuer="p", created=T0, **(fields | more))  # type: ignore[arg-type]  # fields by name


def schedule(start: int, energies: list[float]) -> Schedule:
    return msgspec.convert(
        {"start": at(start), "slices": [{"energy_kwh": e} for e in energies]}, Schedule, builtin_types=(datetime,)
    )


def offers_of(aggregates: Aggregates) -> list[FlexOffer]:
    """The aggregates as flex-offers, for the judges."""
    batch, step = aggregates.batch, aggregates.batch.resolution_s
    return [
        FlexOffer(
            id=batch.ids[i],
            issuer="agg",
            created=T0,
            start_after=instant_of(int(batch.first_start[i]), step),
            start_before=instant_of(int(batch.last_start[i]), step),
            profiles=(batch.profile(i),),
        )
        for i in range(len(batch))
    ]


def slot(index: int) -> int:
    return int(at(index).timestamp()) // 900


def test_aligns_starts_as_worked_by_hand() -> None:
    members = Members.from_offers([box("a", 4, 8, [(1, 2), (0, 4)]), box("b", 5, 7, [(0, 2), (1, 1)])], T0)
    aggregator = aggregate(members, EVERYTHING)
    found = aggregator.aggregates()
    batch = found.batch
    assert (batch.first_start.tolist(), batch.last_start.tolist()) == ([slot(4)], [slot(6)])  # b has two slots
    assert list(zip(batch.lo_kwh.tolist(), batch.hi_kwh.tolist(), strict=True)) == [(1, 2), (0, 6), (1, 1)]
    parts = aggregator.disaggregate(found, np.array([slot(6)]), np.array([1.5, 3, 1]))
    assert parts.members.batch.schedules(parts.starts, parts.energies_kwh) == [
        msgspec.structs.replace(schedule(6, [1.5, 2]), profile=0),
        msgspec.structs.replace(schedule(7, [1, 1]), profile=0),
    ]


def test_aligns_defaults_as_worked_by_hand() -> None:
    a = box("a", 4, 8, [(0, 2), (0, 4)], default_schedule=schedule(6, [2, 1]))
    b = box("b", 5, 7, [(0, 2), (1, 1)], default_schedule=schedule(5, [0, 1]))
    aggregator = aggregate(Members.from_offers([a, b], T0), EVERYTHING, alignment=Alignment.DEFAULT)
    found = aggregator.aggregates()
    # Shifts: a allows -2..2, b 0..2; at shift 0 the aggregate begins with b at 5.
    assert found.anchor.tolist() == [slot(5)]
    assert (found.batch.first_start.tolist(), found.batch.last_start.tolist()) == ([slot(5)], [slot(7)])
    assert found.batch.hi_kwh.tolist() == [2, 3, 4]
    assert found.default_kwh is not None
    assert found.default_kwh.tolist() == [0, 3, 1]
    parts = aggregator.disaggregate(found, found.anchor, found.default_kwh)
    assert (parts.starts.tolist(), parts.energies_kwh.tolist()) == ([slot(6), slot(5)], [2, 1, 0, 1])
    parts = aggregator.disaggregate(found, found.anchor + 1, np.array([1.0, 2.0, 2.5]))
    assert parts.starts.tolist() == [slot(7), slot(6)]
    assert parts.energies_kwh.tolist() == [1, 2.5, 1, 1]  # down from 3 where b cannot; up from 1 by half of 3


@st.composite
def plans(draw: st.DrawFn, found: Aggregates) -> tuple[np.ndarray, Floats]:
    """A start and energies that keep the bounds of each aggregate; of one that is an offer alone, its default."""
    batch = found.batch
    starts = [
        draw(st.integers(a, b)) for a, b in zip(batch.first_start.tolist(), batch.last_start.tolist(), strict=True)
    ]
    shares = np.array(draw(st.lists(st.floats(0, 1), min_size=len(batch.lo_kwh), max_size=len(batch.lo_kwh))))
    energies = np.clip(batch.lo_kwh + shares * (batch.hi_kwh - batch.lo_kwh), batch.lo_kwh, batch.hi_kwh)
    middle = (batch.lo_kwh + batch.hi_kwh) / 2
    alone = np.array([len(key) == 2 for key in found.keys])[batch.owners()]
    return np.array(starts, dtype=np.int64), np.where(alone, middle, energies)


@settings(max_examples=60)
@given(st.data(), many_offers(most=6), tolerances, alignments, bins)
def test_every_schedule_of_an_aggregate_is_one_of_its_members(
    data: st.DataObject, offers: list[FlexOffer], grid: dict[Dimension, float], alignment: Alignment, cut: Bins
) -> None:
    aggregator = aggregate(Members.from_offers(offers, T0), grid, alignment=alignment, bins=cut)
    found = aggregator.aggregates()
    assert int(found.sizes.sum()) == len(offers)
    starts, energies = data.draw(plans(found))
    whole = found.batch.schedules(starts, energies)
    for stand_in, plan in zip(offers_of(found), whole, strict=True):
        assert violations(stand_in, plan) == [] == broken(stand_in, plan)
    parts = aggregator.disaggregate(found, starts, energies)
    load: defaultdict[int, float] = defaultdict(float)
    for plan in whole:
        for when, energy in plan.by_slot_kwh(900).items():
            load[when] += energy
    for offer, part in zip(offers, parts.members.batch.schedules(parts.starts, parts.energies_kwh), strict=True):
        assert violations(offer, part, tolerance_kwh=1e-9) == [] == broken(offer, part)
        for when, energy in part.by_slot_kwh(900).items():
            load[when] -= energy
    assert max(map(abs, load.values())) < 1e-6


@settings(max_examples=30)
@given(st.data(), many_offers(most=4), alignments)
def test_every_feasible_prefix_can_be_completed(
    data: st.DataObject, offers: list[FlexOffer], alignment: Alignment
) -> None:
    aggregator = aggregate(Members.from_offers(offers, T0), EVERYTHING, alignment=alignment)
    found = aggregator.aggregates()
    starts, prefix = data.draw(plans(found))
    _, other = data.draw(plans(found))
    merged = np.array([len(key) > 2 for key in found.keys])
    kept = data.draw(st.integers(0, 5))
    position = np.arange(len(prefix)) - found.batch.offsets[:-1][found.batch.owners()]
    # Whatever was done in the first slices, the rest of any other schedule completes it.
    mixed = np.where(merged[found.batch.owners()] & (position >= kept), other, prefix)
    parts = aggregator.disaggregate(found, starts, mixed)
    assert not parts.members.batch.violations_mask(parts.starts, parts.energies_kwh).any()


COLUMNS = ("first_start", "last_start", "offsets", "duration", "lo_kwh", "hi_kwh", "total_lo_kwh", "row_c_kwh")


def same(one: Aggregates, other: Aggregates) -> bool:
    columns = [(getattr(one.batch, name), getattr(other.batch, name)) for name in COLUMNS]
    columns += [(one.anchor, other.anchor), (one.sizes, other.sizes)]
    if one.default_kwh is not None and other.default_kwh is not None:
        columns.append((one.default_kwh, other.default_kwh))
    return (
        one.keys == other.keys
        and one.batch.ids == other.batch.ids
        and all(map(np.array_equal, *zip(*columns, strict=True)))
    )


names = st.lists(st.integers(0, 5), unique=True, min_size=1)


@settings(max_examples=40)
@given(
    st.lists(many_offers(most=6), min_size=2, max_size=2),
    st.lists(st.tuples(st.booleans() | st.none(), names), min_size=1, max_size=5),
    st.tuples(tolerances, alignments, bins),
    st.sampled_from((1, 32)),
)
def test_however_offers_came_and_went_the_aggregates_are_those_of_one_run(
    pools: list[list[FlexOffer]],
    steps: list[tuple[bool | None, list[int]]],
    how: tuple[dict[Dimension, float], Alignment, Bins],
    most_blocks: int,
) -> None:
    grid, alignment, cut = how
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregators, "MOST_BLOCKS", most_blocks)
        aggregator = Aggregator(grid, alignment=alignment, bins=cut)
        there: dict[str, FlexOffer] = {}
        for version, indices in steps:
            before = aggregator.aggregates()
            if version is None:
                gone = [name for i in indices if (name := f"o{i}") in there]
                touched = aggregator.withdraw(gone)
                there = {name: offer for name, offer in there.items() if name not in gone}
            else:
                fresh = [pools[version][i] for i in indices if i < len(pools[version])]
                touched = aggregator.put(Members.from_offers(fresh, T0))
                for offer in fresh:
                    there.pop(offer.id, None)  # what is replaced stands where its last version came
                    there[offer.id] = offer
            after = aggregator.aggregates()
            once = aggregate(Members.from_offers(list(there.values()), T0), grid, alignment=alignment, bins=cut)
            assert same(after, once.aggregates())
            assert aggregator.members().batch.ids == tuple(there)
            assert len(aggregator) == len(there)
            untouched = {key for key in (*before.keys, *after.keys) if key not in touched}
            assert same(_only(before, untouched), _only(after, untouched))
            assert set(aggregator.some(touched).keys) == set(after.keys) & set(touched)
            middle = (after.batch.lo_kwh + after.batch.hi_kwh) / 2
            parts = aggregator.disaggregate(after, after.batch.last_start, middle)
            assert not parts.members.batch.violations_mask(parts.starts, parts.energies_kwh).any()


def _only(found: Aggregates, keys: set[tuple[object, ...]]) -> Aggregates:
    rows = np.array([i for i, key in enumerate(found.keys) if key in keys], dtype=np.int64)
    default = found.default_kwh
    return Aggregates(
        batch=found.batch.take(rows),
        anchor=found.anchor[rows],
        default_kwh=None if default is None else default[found.batch.slices_of(rows)],
        keys=tuple(found.keys[i] for i in rows.tolist()),
        sizes=found.sizes[rows],
    )


def test_touches_only_the_groups_of_what_changes() -> None:
    offers = [box(f"o{i}", i // 3, 9, [(0, 1)], location=f"l{i % 3}") for i in range(9)]
    aggregator = aggregate(Members.from_offers(offers, T0), {Dimension.LOCATION: 0.0})
    assert aggregator.put(Members.from_offers([offers[4]], T0)) == ((1, 0, "l1", 0),)
    assert aggregator.withdraw(["o2"]) == ((1, 0, "l2", 0),)
    assert aggregator.put(Members.from_offers([box("o0", 0, 9, [(0, 1)], location="l1")], T0)) == (
        (1, 0, "l0", 0),
        (1, 0, "l1", 0),
    )
    assert aggregator.aggregates().sizes.tolist() == [2, 4, 2]


def test_sums_are_exact_in_any_order() -> None:
    random = np.random.default_rng(3)
    his = random.lognormal(0, 3, 400)
    offers = [box(f"o{i}", 0, 4, [(0, hi)]) for i, hi in enumerate(his.tolist())]
    forward, backward = (
        aggregate(Members.from_offers(some, T0), EVERYTHING).aggregates().batch.hi_kwh
        for some in (offers, offers[::-1])
    )
    assert forward.tolist() == backward.tolist()
    assert forward[0] == pytest.approx(his.sum(), abs=400 * 2.0**-37)


def test_what_is_too_much_to_sum_exactly_stays_alone() -> None:
    offers = [box("a", 0, 4, [(0, 2.0**20)]), box("b", 0, 4, [(0, 2.0**20 + 1)]), box("c", 0, 4, [(-(2.0**21), 0)])]
    found = aggregate(Members.from_offers(offers, T0), EVERYTHING).aggregates()
    assert found.keys == ((1, 0, 0), ("b", 0), ("c", 0))
    members = Members.from_offers([box(f"o{i}", 0, 4, [(0, 2.0**20)]) for i in range(64)], T0)
    aggregator = aggregate(members, EVERYTHING)
    with pytest.raises(InvalidError, match="add up"):
        aggregator.aggregates()
    aggregator.withdraw(["o0"])
    assert aggregator.aggregates().batch.hi_kwh.tolist() == [63 * 2.0**20]


def test_refuses_what_does_not_fit() -> None:
    members = Members.from_offers([box("a", 0, 4, [(0, 1)]), box("b", 0, 4, [(0, 1)])], T0)
    aggregator = aggregate(members, EVERYTHING)
    found = aggregator.aggregates()
    assert aggregator.disaggregate(found, np.array([slot(4)]), np.array([2.0])).energies_kwh.tolist() == [1, 1]
    with pytest.raises(InvalidError, match="break bounds"):
        aggregator.disaggregate(found, np.array([slot(4)]), np.array([2.1]))
    with pytest.raises(InvalidError, match="break bounds"):
        aggregator.disaggregate(found, np.array([slot(5)]), np.array([2.0]))
    with pytest.raises(InvalidError, match="twice"):
        aggregator.put(members.take(np.array([0, 0])))
    with pytest.raises(NotFoundError):
        aggregator.withdraw(["a", "c"])
    other = FlexOfferBatch.from_offers([box("x", 0, 1, [(0, 1)], resolution_s=300)], T0)
    with pytest.raises(InvalidError, match="300"):
        aggregator.put(Members(batch=other, anchor=other.first_start, default_kwh=None, given={}))
    assert same(aggregator.aggregates(), found)
    aggregator.put(members.take(np.array([0])))
    with pytest.raises(InvalidError, match="changed"):
        aggregator.disaggregate(found, np.array([slot(4)]), np.array([2.0]))


def test_without_defaults_members_stay_next_to_nothing() -> None:
    batch = FlexOfferBatch.from_offers([box("a", 0, 4, [(-1, 1)]), box("b", 0, 4, [(1, 3)])], T0)
    members = Members(batch=batch, anchor=batch.first_start, default_kwh=None, given={})
    aggregator = aggregate(members, EVERYTHING, alignment=Alignment.DEFAULT)
    found = aggregator.aggregates()
    assert found.default_kwh is not None
    assert found.default_kwh.tolist() == [1]
    assert aggregator.disaggregate(found, found.anchor, found.default_kwh).energies_kwh.tolist() == [0, 1]
