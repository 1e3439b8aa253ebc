"""One DFO for a group: every schedule of it is handed down, every prefix completed, and what cannot be is parted."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra.coupling import Coupled, couple
from flexhub.core.algebra.dfo import MOST_CORNERS, Dfo, thinned
from flexhub.core.algebra.envelope import Chain, Lines, highest
from flexhub.core.algebra.oracle import respond
from flexhub.core.algebra.packing import features, packs, settled
from flexhub.core.algebra.polygons import Polygons, Rows
from flexhub.core.algebra.scheduling import cheapest
from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import FlexOfferBatch, Floats, Ints
from flexhub.core.errors import InvalidError
from flexhub.core.feasibility import infeasible
from flexhub.core.flexoffer import FlexOffer, Schedule, ScheduleSlice
from flexhub.core.judge import violations
from flexhub.core.timegrid import instant_of
from tests.core.algebra.columns import T0, broken, dependent_groups, dependent_offers, groups, walk
from tests.core.algebra.highs import fleet


def schedule(energies: Floats, first: int) -> Schedule:
    slices = tuple(ScheduleSlice(energy_kwh=e) for e in energies.tolist())
    return Schedule(start=instant_of(first, 900), slices=slices)


def offer_of(dfo: Dfo, first: int) -> FlexOffer:
    start = instant_of(first, 900)
    return FlexOffer(id="all", issuer="a", created=T0, start_after=start, start_before=start, profiles=(dfo.profile(),))


def judge(members: list[FlexOffer], first: int, energies: Floats) -> None:
    """Both judges find nothing, in any member."""
    for k, offer in enumerate(members):
        start = int((offer.start_after - instant_of(first, 900)) / timedelta(minutes=15)) if offer.start_after else 0
        n = len(offer.profiles[0].slices)
        mine = schedule(energies[start : start + n, k], first + start)
        assert violations(offer, mine) == [] == broken(offer, mine)
        assert float(np.abs(energies[:, k]).sum()) == pytest.approx(
            float(np.abs(energies[start : start + n, k]).sum()), abs=1e-7
        )


def hold(coupled: Coupled, members: list[FlexOffer], first: int, random: np.random.Generator) -> None:
    wanted = walk(coupled.dfo, random)
    aggregate, planned = offer_of(coupled.dfo, first), schedule(wanted, first)
    assert violations(aggregate, planned) == [] == broken(aggregate, planned)
    energies = coupled.disaggregate(wanted)
    assert energies.sum(axis=1) == pytest.approx(wanted, abs=1e-7)
    judge(members, first, energies)
    begun = wanted[: random.integers(0, len(wanted) + 1)]
    whole = cheapest(coupled.dfo, random.normal(size=len(wanted)), begun_kwh=begun)
    assert whole[: len(begun)] == pytest.approx(begun, abs=1e-7)
    judge(members, first, coupled.disaggregate(whole))


@settings(max_examples=40)
@given(groups(), st.integers(0, 1000))
def test_what_a_dfo_of_storages_can_do_its_members_can(members: list[FlexOffer], seed: int) -> None:
    storage, first = Storage.from_batch(FlexOfferBatch.from_offers(members, T0))
    coupled = couple(storage)
    hold(coupled, members, first, np.random.default_rng(seed))
    # The general way comes to the same, and may be a member again.
    same, _ = Polygons.from_batch(FlexOfferBatch.from_offers(members, T0))
    assert np.allclose(same.least_kwh[1:], storage.floor_kwh)
    again = couple(same)
    for one, other in zip(coupled.dfo.polygons, again.dfo.polygons, strict=True):
        for side, twin in zip(one, other, strict=True):
            assert side(twin.x) == pytest.approx(twin.y, abs=1e-6)


@settings(max_examples=40)
@given(dependent_groups(), st.integers(0, 1000))
def test_what_a_dfo_of_dfos_can_do_its_members_can(members: list[FlexOffer], seed: int) -> None:
    polygons, first = Polygons.from_batch(FlexOfferBatch.from_offers(members, T0))
    random = np.random.default_rng(seed)
    hold(couple(polygons), members, first, random)
    # Two groups as members of one, and down again to all members.
    parts = [polygons.take(slice(0, 2)), polygons.take(slice(2, None))]
    groups_of = [couple(part) for part in parts if len(part)]
    top = couple(Polygons.from_dfos([group.dfo for group in groups_of]))
    shares = top.disaggregate(walk(top.dfo, random))
    energies = [group.disaggregate(share) for group, share in zip(groups_of, shares.T, strict=True)]
    judge(members, first, np.concatenate(energies, axis=1))


@given(dependent_offers("o"), st.floats(0.5, 4))
def test_finds_infeasible_what_the_witness_finds_infeasible(offer: FlexOffer, more: float) -> None:
    def refused(one: FlexOffer) -> bool:
        try:
            Polygons.from_batch(FlexOfferBatch.from_offers([one], T0))
        except InvalidError as error:
            return error.value == "o"
        return False

    assert not refused(offer)
    profile = offer.profiles[0]
    rows = tuple(msgspec.structs.replace(row, c_kwh=row.c_kwh - more) for row in profile.slices[-1].polygon)
    last = msgspec.structs.replace(profile.slices[-1], polygon=rows)
    tighter = msgspec.structs.replace(profile, slices=(*profile.slices[:-1], last))
    other = msgspec.structs.replace(offer, profiles=(tighter,))
    assert refused(other) == infeasible(other, T0)


def test_what_runs_against_each_other_meets_in_the_middle() -> None:
    # Both take 0..1 at first; then one takes what it took before, the other what it did not.
    polygons = Polygons.swept(
        Rows.join(
            *(Rows.bound(np.array([t, t]), np.arange(2), sign, np.full(2, c)) for t in (0, 1) for sign, c in
              ((-1.0, 0.0), (1.0, 1.0))),
            Rows(np.ones(4, np.int64), np.array([0, 0, 1, 1]), np.array([1.0, -1, -1, 1]),
                 np.array([-1.0, 1, -1, 1]), np.array([0.0, 0, -1, 1])),
        ),
        np.full((2, 2), -np.inf),
        np.full((2, 2), np.inf),
    )  # fmt: skip
    alone = couple(polygons.take(np.array([0])))
    assert alone.disaggregate(np.array([1.0, 1.0])).T.tolist() == [[1, 1]]
    both = couple(polygons)
    assert both.disaggregate(np.array([0.5, 1.0])).T.tolist() == [
        pytest.approx([0.25, 0.25]),
        pytest.approx([0.25, 0.75]),
    ]


def test_refuses_groups_of_nothing_and_schedules_that_break_polygons() -> None:
    _, storage = fleet(6, 4, 2)
    coupled = couple(storage)
    good = cheapest(coupled.dfo, np.ones(4))
    coupled.disaggregate(good)
    for bad in (good + 1e3, np.full(4, np.nan)):
        with pytest.raises(InvalidError, match="polygons"):
            coupled.disaggregate(bad)
    with pytest.raises(InvalidError, match="slots"):
        coupled.disaggregate(good[:3])
    with pytest.raises(InvalidError, match="without members"):
        couple(storage.take(slice(0, 0)))
    cheapest(coupled.dfo, np.ones(4), begun_kwh=good[:1])
    for begun in (good[:1] + 1e3, np.append(good, 0.0)):
        with pytest.raises(InvalidError):
            cheapest(coupled.dfo, np.ones(4), begun_kwh=begun)
    for price, penalty in ((np.ones(3), 0.0), (np.full(4, np.inf), 0.0), (np.ones(4), -1.0)):
        with pytest.raises(InvalidError):
            cheapest(coupled.dfo, price, penalty=penalty)


def test_two_cars_that_literal_ranges_would_leave_without_a_step() -> None:
    # The facts: hi is 0, 1, 1, 1, 1; one takes 0..2 in all, the other exactly 4.
    hi = np.array([[0.0, 0], [1, 1], [1, 1], [1, 1], [1, 1]])
    floor, ceiling = np.full((5, 2), -np.inf), np.full((5, 2), np.inf)
    floor[-1], ceiling[-1] = (0, 4), (2, 4)
    cars = Storage.tightened(np.zeros((5, 2)), hi, floor, ceiling)
    coupled = couple(cars)
    most = cheapest(coupled.dfo, -np.arange(5.0, 0.0, -1.0))
    assert most.tolist() == pytest.approx([0, 2, 2, 1, 1])
    assert coupled.disaggregate(most).T.tolist() == [pytest.approx([0, 1, 1, 0, 0]), pytest.approx([0, 1, 1, 1, 1])]


def test_follows_a_target_as_near_as_it_can() -> None:
    _, storage = fleet(6, 4, 2)
    dfo = couple(storage).dfo
    reached = walk(dfo, np.random.default_rng(1))
    assert cheapest(dfo, np.zeros(4), target_kwh=reached, penalty=1.0) == pytest.approx(reached, abs=1e-6)


def test_groups_are_alike_and_members_done_while_open_are_kept_apart() -> None:
    _, storage = fleet(200, 12, 4)
    groups_of = packs(storage, 7)
    assert sorted(np.concatenate(groups_of).tolist()) == list(range(200))
    assert max(map(len, groups_of)) <= 7
    told = features(storage)
    open_at_end = storage.ceiling_kwh[-1] - storage.floor_kwh[-1] > 1e-6
    for rows in groups_of:
        done = {int(told[k, 1]) if open_at_end[k] and told[k, 1] < 11 else -1 for k in rows.tolist()}
        assert len(done) == 1
    total = settled(storage, 0.25)
    assert np.allclose(total.floor_kwh[-1], total.ceiling_kwh[-1])
    assert np.allclose(total.floor_kwh[-1], 0.75 * storage.floor_kwh[-1] + 0.25 * storage.ceiling_kwh[-1])
    for bad in (lambda: settled(storage, 1.5), lambda: packs(storage, 0)):
        with pytest.raises(InvalidError):
            bad()


def test_keeps_most_of_the_value_of_a_group_alike() -> None:
    _, storage = fleet(60, 24, 3)
    cars = settled(storage.take(slice(30, None)))
    price = 0.2 + 0.1 * np.sin(np.arange(24.0) / 24 * 2 * np.pi)
    best = float(price @ respond(cars, price))
    found, apart = (
        sum(float(price @ cheapest(couple(cars.take(rows)).dfo, price)) for rows in packs(cars, size))
        for size in (3, 1)
    )
    assert apart == pytest.approx(best, rel=1e-6)
    assert best - 1e-6 <= found <= best + 0.05 * abs(best)


lines = st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), max_size=12)


@given(lines, lines)
def test_the_highest_of_lines_is_highest(some: list[tuple[float, float]], more: list[tuple[float, float]]) -> None:
    blocks = [Lines(*np.array(part).reshape(-1, 2).T) for part in (some, more)]
    found = highest(blocks, 0.0)
    r = np.linspace(0, 1, 23)
    everything = [np.zeros(23), *((1 - r) * u + r * v for u, v in [*some, *more])]
    assert found(r) == pytest.approx(np.max(everything, axis=0), abs=1e-9)
    assert (np.diff(found.x) >= 0).all()


def test_thins_sides_inwards() -> None:
    x = np.linspace(0, 1, 100)
    side = thinned(Chain(x, x**2))
    assert len(side.x) == MOST_CORNERS
    gap = side(x) - x**2
    assert gap.min() >= 0
    assert gap.max() < 1e-3
    steep = thinned(Chain(np.array([0.0, 1e-12, 0.4, 0.4 + 1e-9, 1 - 1e-9, 1.0]), np.array([1.0, 0, 0, 0, 0, 0.5])))
    assert steep.x.tolist() == pytest.approx([0, 1e-3, 0.4, 0.401, 1])
    assert steep.y.tolist() == pytest.approx([1, 0, 0, 0, 0.5])


def test_refuses_polygons_without_bound_or_sense() -> None:
    open_end = np.full((1, 1), np.inf)
    at: Ints = np.zeros(2, dtype=np.int64)
    Polygons.swept(Rows(at, at, np.zeros(2), np.array([1.0, -1.0]), np.ones(2)), -open_end, open_end)
    for rows, reason in (
        (Rows(at, at, np.zeros(2), np.ones(2), np.ones(2)), "not bounded"),
        (Rows(at, at, np.zeros(2), np.array([1.0, -1.0]), np.array([1.0, np.nan])), "finite"),
        (Rows(at, at, np.zeros(2), np.array([1.0, -1.0]), np.array([1.0, -2.0])), "no energies"),
    ):
        with pytest.raises(InvalidError, match=reason):
            Polygons.swept(rows, -open_end, open_end)
    with pytest.raises(InvalidError, match="lengths"):
        Polygons.from_dfos([])
