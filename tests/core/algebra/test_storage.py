"""Storage-like members: tightened bounds, the price oracle, plans by columns, and the schedules behind them."""

from __future__ import annotations

import math
import sys
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra import columns as by_columns
from flexhub.core.algebra.columns import Peak, Squares, disaggregate, optimise
from flexhub.core.algebra.master import Columns, Mix, Task, mix
from flexhub.core.algebra.oracle import blend, has_compiler, respond
from flexhub.core.algebra.shape import Cumulative, tighten
from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import FlexOfferBatch, Floats
from flexhub.core.errors import EngineError, InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, HalfPlane, Profile, Slice
from flexhub.core.judge import violations
from flexhub.core.timegrid import instant_of
from tests.conftest import need
from tests.core.algebra.columns import T0, at, broken, groups, offers
from tests.core.algebra.highs import fleet, solve

WAYS = [False, pytest.param(True, marks=pytest.mark.skipif(not has_compiler(), reason="the extra `fast`"))]


def column(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)[:, None]


def test_tightens_as_worked_by_hand() -> None:
    # The two cars of the facts: hi is 0, 1, 1, 1, 1; one takes 0..2 in all, the other exactly 4.
    hi = np.array([[0.0, 0], [1, 1], [1, 1], [1, 1], [1, 1]])
    floor, ceiling = np.full((5, 2), -np.inf), np.full((5, 2), np.inf)
    floor[-1], ceiling[-1] = (0, 4), (2, 4)
    cars = Storage.tightened(np.zeros((5, 2)), hi, floor, ceiling)
    assert cars.floor_kwh.T.tolist() == [[0, 0, 0, 0, 0], [0, 1, 2, 3, 4]]
    assert cars.ceiling_kwh.T.tolist() == [[0, 1, 2, 2, 2], [0, 1, 2, 3, 4]]


def test_says_of_whom_nothing_is_feasible_and_forgives_rounding() -> None:
    lo, hi = np.zeros((2, 2)), np.ones((2, 2))
    for total, feasible in ((2.0, True), (2.0 + 5e-7, True), (2.1, False)):
        floor = np.array([[0, 0], [0, total]])
        if feasible:
            assert Storage.tightened(lo, hi, floor, np.full((2, 2), 9.0)).floor_kwh[1, 1] == 2.0
            continue
        with pytest.raises(InvalidError, match=r"0\.1 kWh") as caught:
            Storage.tightened(lo, hi, floor, np.full((2, 2), 9.0), names=("a", "b"))
        assert (caught.value.path, caught.value.value) == ("Storage[1]", "b")
    for bad in (np.full((2, 2), np.nan), np.full((2, 2), np.inf)):
        with pytest.raises(InvalidError, match="finite"):
            Storage.tightened(lo, bad, lo, hi)
    with pytest.raises(InvalidError, match="dimensions"):
        Storage.tightened(lo[0], hi[0], lo[0], hi[0])


def prices_of(seed: int, storage: Storage, count: int = 4) -> Floats:
    return np.random.default_rng(seed).choice([-2.0, -1.0, -0.5, 0.0, 0.25, 1.0], (count, storage.slots))


def judge(members: list[FlexOffer], storage: Storage, first: int, energies: Floats) -> None:
    """Both judges find nothing, in any member, to 1e-9 kWh."""
    batch = FlexOfferBatch.from_offers(members, T0)
    flat = np.concatenate([
        energies[start - first : start - first + count, k]
        for k, (start, count) in enumerate(zip(batch.first_start.tolist(), batch.counts().tolist(), strict=True))
    ])  # fmt: skip
    for offer, schedule in zip(members, batch.schedules(batch.first_start, flat), strict=True):
        assert violations(offer, schedule, tolerance_kwh=1e-9) == [] == broken(offer, schedule)
    assert float(np.abs(energies).sum()) == pytest.approx(float(np.abs(flat).sum()))  # nothing while not there
    assert storage.excess_kwh(energies).max() < 1e-9


@settings(max_examples=60)
@given(groups(), st.integers(0, 1000))
def test_every_sum_that_members_can_make_becomes_their_schedules(members: list[FlexOffer], seed: int) -> None:
    storage, first = Storage.from_batch(FlexOfferBatch.from_offers(members, T0))
    weights = np.random.default_rng(seed).dirichlet(np.ones(4))
    # Any feasible schedule of the aggregate is the sum of some of the members': here a mean of answers to other prices,
    # of each member its own, so that no single price is behind it.
    target = sum(
        (blend(storage.take(slice(k, k + 1)), prices_of(seed + k, storage), weights, compiled=False)[:, 0]
         for k in range(len(members))),
        np.zeros(storage.slots),
    )  # fmt: skip
    plan = optimise(storage, Squares.follow(target), compiled=False)
    assert np.abs(plan.total_kwh - target).max() < 1e-6
    energies = disaggregate(storage, plan, compiled=False)
    assert energies.sum(axis=1) == pytest.approx(target, abs=1e-6)
    judge(members, storage, first, energies)


@settings(max_examples=40)
@given(groups(), st.integers(0, 1000), st.data())
def test_every_feasible_prefix_can_be_completed(members: list[FlexOffer], seed: int, data: st.DataObject) -> None:
    storage, first = Storage.from_batch(FlexOfferBatch.from_offers(members, T0))
    # A prefix is feasible if each member's has kept its tightened bounds so far; the way on is not known here.
    random = np.random.default_rng(seed)
    length = data.draw(st.integers(0, storage.slots))
    used, sums = np.zeros(len(storage)), []
    for t in range(length):
        least = np.maximum(storage.floor_kwh[t], used + storage.lo_kwh[t])
        most = np.minimum(storage.ceiling_kwh[t], used + storage.hi_kwh[t])
        assert (least <= most + 1e-12).all()
        after = np.clip(least + random.choice([0.0, 0.3, 1.0], len(storage)) * (most - least), least, most)
        sums.append(float((after - used).sum()))
        used = after
    plan = optimise(storage, Squares.follow(np.array(sums)), compiled=False)
    assert plan.total_kwh[:length] == pytest.approx(sums, abs=1e-6)
    judge(members, storage, first, disaggregate(storage, plan, compiled=False))


@given(offers("o"))
def test_tightens_as_the_bounds_of_one_offer_are(offer: FlexOffer) -> None:
    storage, _ = Storage.from_batch(FlexOfferBatch.from_offers([offer], T0))
    n = storage.slots
    profile = offer.profiles[0]
    floor, ceiling = np.full(n, -np.inf), np.full(n, np.inf)
    for bounds, part in ((profile.subtotal_energy_kwh, slice(None)), (profile.total_energy_kwh, slice(n - 1, n))):
        if bounds is not None:
            floor[part] = np.maximum(floor[part], bounds.lo_kwh)
            ceiling[part] = np.minimum(ceiling[part], bounds.hi_kwh)
    alone = tighten(storage.lo_kwh[:, 0], storage.hi_kwh[:, 0], Cumulative(floor, ceiling))
    assert storage.floor_kwh[:, 0].tolist() == alone.lo.tolist()
    assert storage.ceiling_kwh[:, 0].tolist() == alone.hi.tolist()


@pytest.mark.parametrize("compiled", WAYS)
def test_answers_prices_as_worked_by_hand(compiled: bool) -> None:
    # 2 kWh per slot, 3 kWh of room, 1 kWh charged; cheap, dear, cheap, dear.
    battery = Storage.tightened(column(-2, -2, -2, -2), column(2, 2, 2, 2), column(*[-1.0] * 4), column(*[2.0] * 4))
    answer = blend(battery, np.array([[1.0, 3, 2, 4]]), np.ones(1), compiled=compiled)
    assert answer.T.tolist() == [[2, -2, 1, -2]]
    assert respond(battery, np.array([1.0, 3, 2, 4]), np.array([3.0]), compiled=compiled).tolist() == [6, -6, 3, -6]


def test_compiled_and_plain_answers_are_the_same() -> None:
    need(has_compiler(), "no numba here; the extra `fast`")
    for members, slots in ((1, 1), (7, 5), (700, 24)):
        _, storage = fleet(members, slots, members)
        prices = np.random.default_rng(2).choice([-1.0, 0.0, 0.5, 2.0], (3, slots))
        weights = np.array([0.5, 0.3, 0.2])
        assert np.array_equal(
            blend(storage, prices, weights, compiled=True), blend(storage, prices, weights, compiled=False)
        )
        sizes = np.arange(float(members))
        one, other = (respond(storage, prices[0], sizes, compiled=way) for way in (True, False))
        assert one == pytest.approx(other, rel=1e-12, abs=1e-9)


def test_without_the_compiler_members_answer_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    _, storage = fleet(20, 6, 1)
    price = np.random.default_rng(2).normal(size=6)
    expected = respond(storage, price, compiled=False)
    monkeypatch.setitem(sys.modules, "numba", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "flexhub.core.algebra.kernels", raising=False)
    assert not has_compiler()
    assert respond(storage, price).tolist() == expected.tolist()


@pytest.mark.parametrize("compiled", WAYS)
def test_answers_to_prices_cost_what_highs_finds(compiled: bool) -> None:
    for seed in range(3):
        bounds, storage = fleet(200, 24, seed)
        price = np.random.default_rng(seed).normal(size=24)
        total = respond(storage, price, compiled=compiled)
        assert float(price @ total) == pytest.approx(solve(bounds, price).value, rel=1e-9)


def test_limits_a_peak_as_highs_does() -> None:
    bounds, storage = fleet(200, 12, 5)
    price = np.random.default_rng(1).uniform(0.05, 0.4, 12)
    free = respond(storage, price)
    for limit in (np.full(12, 0.5 * free.max()), np.full(12, -0.5 * free.max())):  # the second cannot be kept
        plan = optimise(storage, Peak(limit, price, 10.0), tolerance=1e-9)
        exact = solve(bounds, price, limit=limit, penalty=10.0)
        assert plan.value == pytest.approx(exact.value, rel=1e-7)
        energies = disaggregate(storage, plan)
        assert storage.excess_kwh(energies).max() < 1e-9
        assert energies.sum(axis=1) == pytest.approx(plan.total_kwh, abs=1e-6)
    assert optimise(storage, Peak(np.full(12, np.inf), price, 10.0)).value == pytest.approx(float(price @ free))


def test_quadratic_costs_are_least_as_highs_finds_them() -> None:
    bounds, storage = fleet(200, 6, 8)
    random = np.random.default_rng(4)
    price, curvature = random.normal(size=6), random.uniform(0.01, 0.1, 6)
    plan = optimise(storage, Squares.quadratic(price, curvature), tolerance=1e-9)
    exact = solve(bounds, price, curvature=curvature)
    cost = float(price @ plan.total_kwh + curvature @ plan.total_kwh**2 / 2)
    assert cost == pytest.approx(exact.value, rel=1e-7)
    assert plan.total_kwh == pytest.approx(exact.total_kwh, abs=1e-3)


def test_meets_a_target_that_can_be_met_and_proves_that_another_cannot() -> None:
    _, storage = fleet(300, 24, 9)
    random = np.random.default_rng(1)
    target = np.mean([respond(storage, random.normal(size=24)) for _ in range(3)], axis=0)
    met = optimise(storage, Squares.follow(target), tolerance=0.5)  # however much is tolerated otherwise
    assert np.abs(met.total_kwh - target).max() < 1e-6
    missed = optimise(storage, Squares.follow(target + 1e4), tolerance=0.5)
    assert missed.value - missed.gap > 0


def test_meets_a_target_on_the_border_in_few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    # Means of what nearly the same prices are answered with lie next to a face of what is feasible.
    _, storage = fleet(300, 48, 13)
    random = np.random.default_rng(13)
    price = random.normal(size=48)
    answers = [respond(storage, price + 1e-3 * random.normal(size=48), compiled=False) for _ in range(4)]
    monkeypatch.setattr(by_columns, "MOST_ROUNDS", 120)
    plan = optimise(storage, Squares.follow(np.mean(answers, axis=0)), compiled=False)
    assert np.abs(plan.total_kwh - np.mean(answers, axis=0)).max() < 1e-6
    assert storage.excess_kwh(disaggregate(storage, plan, compiled=False)).max() < 1e-9


def test_goes_as_near_to_a_target_as_the_gap_says() -> None:
    _, storage = fleet(50, 12, 3)
    target = 200.0 * np.sin(np.arange(12.0))
    plan = optimise(storage, Squares.follow(target), tolerance=1e-9)
    prices = plan.total_kwh - target
    for other in (respond(storage, prices), respond(storage, -prices), np.zeros(12)):
        assert float(prices @ (other - plan.total_kwh)) >= -1e-5
    assert plan.weights.sum(axis=0) == pytest.approx(np.ones(plan.weights.shape[1]))
    assert plan.weights.min() >= 0


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3), st.integers(0, 10_000))
def test_the_nearest_mean_of_columns_is_nearest(count: int, size: int, several: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    group = np.append(np.arange(several), random.integers(0, several, count))
    points = random.integers(-3, 4, (len(group), size)).astype(np.float64)
    target = random.integers(-5, 6, size).astype(np.float64)
    start = Mix(1.0 / np.bincount(group)[group], np.zeros(size))
    task, free = Task(np.arange(size), target, np.ones(size), None), np.zeros(len(group))
    bound = gap = 0.0
    for _ in range(20):  # each time nearer, from where it was
        start = mix(Columns(points, free, group), task, start, bound)
        miss = start.weights @ points - target
        slope = points @ miss
        least = np.array([slope[group == g].min() for g in range(several)])
        gap = float(start.weights @ slope - least.sum())
        if gap < 1e-8:
            break
        bound = max(bound, float(miss @ miss) / 2 - gap)
    assert start.weights.min() >= 0
    assert np.bincount(group, start.weights) == pytest.approx(np.ones(several))
    assert gap < 1e-8  # no point leads nearer


def test_without_end_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _, storage = fleet(20, 12, 3)
    target = np.full(12, 5.0)
    optimise(storage, Squares.follow(target))
    monkeypatch.setattr(by_columns, "MOST_ROUNDS", 1)
    with pytest.raises(EngineError, match="1 rounds"):
        optimise(storage, Squares.follow(target))


def test_refuses_what_is_no_objective_and_no_price() -> None:
    _, storage = fleet(3, 4, 1)
    ones = np.ones(4)
    Squares.quadratic(ones, ones)
    Peak(ones, ones, 1.0)
    respond(storage, ones)
    for bad in (
        lambda: Squares.quadratic(ones, np.zeros(4)),
        lambda: Squares(ones, -ones),
        lambda: Squares(ones, np.ones(3)),
        lambda: Squares.follow(np.full(4, math.nan)),
        lambda: Peak(ones, np.ones(3), 1.0),
        lambda: Peak(ones, np.full(4, math.inf), 1.0),
        lambda: Peak(ones, ones, 0.0),
        lambda: respond(storage, np.ones(3)),
        lambda: respond(storage, np.full(4, math.nan)),
    ):
        with pytest.raises(InvalidError):
            bad()


def car(**more: object) -> FlexOffer:
    slices = (Slice(energy_kwh=(EnergyRange(0, 2),)),) * 3
    fields: dict[str, object] = {
        "start_after": at(4),
        "start_before": at(4),
        "profiles": (Profile(slices=slices, total_energy_kwh=EnergyRange(3, 3)),),
    }
    return FlexOffer(id="car", issuer="p", created=T0, **(fields | more))  # type: ignore[arg-type]  # fields by name


def test_lays_offers_on_common_slots() -> None:
    batch = FlexOfferBatch.from_offers([car(), car(start_after=at(2), start_before=at(6))], T0)
    storage, first = Storage.from_batch(batch, batch.last_start)
    assert instant_of(first, 900) == T0 + timedelta(hours=1)
    assert storage.hi_kwh.T.tolist() == [[2, 2, 2, 0, 0], [0, 0, 2, 2, 2]]
    assert storage.ceiling_kwh.T.tolist() == [[2, 3, 3, 3, 3], [0, 0, 2, 3, 3]]
    assert Storage.from_batch(batch.take(np.zeros(0, np.int64)))[0].slots == 0


def test_refuses_offers_of_another_kind() -> None:
    def batch(**more: object) -> FlexOfferBatch:
        return FlexOfferBatch.from_offers([car(**more)], T0)

    one = Slice(energy_kwh=(EnergyRange(0, 2),))
    Storage.from_batch(batch(profiles=(Profile(slices=(one,)),)))
    running = Slice(energy_kwh=(EnergyRange(0, 2),), polygon=(HalfPlane(1, 1, 3), HalfPlane(0, -2, -1)))
    found, _ = Storage.from_batch(batch(profiles=(Profile(slices=(one, running)),)))
    assert (found.ceiling_kwh.T.tolist(), found.lo_kwh.T.tolist()) == ([[2, 3]], [[0, 0.5]])
    polygon = Slice(energy_kwh=(EnergyRange(0, 2),), polygon=(HalfPlane(1, -1, 3),))
    long = Slice(energy_kwh=(EnergyRange(0, 2),), min_duration=2, max_duration=2)
    for other in (
        batch(profiles=(Profile(slices=(polygon,)),)),
        batch(profiles=(Profile(slices=(long,)),)),
        batch(start_before=at(5)),
    ):
        with pytest.raises(InvalidError):
            Storage.from_batch(other)
