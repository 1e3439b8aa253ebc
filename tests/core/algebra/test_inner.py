"""Storage-like sets inside of polytopes and of storages that lose energy: all of them is inside, and how much it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra.inner import Store, of_polytope, of_store
from flexhub.core.algebra.oracle import blend
from flexhub.core.algebra.storage import Bounds, Storage
from flexhub.core.batch import Floats
from flexhub.core.errors import InfeasibleError, InvalidError


def extremes(bounds: Bounds, seed: int) -> Floats:
    """What the set does at 12 random prices: float64[12, t, m], corners of it."""
    storage = Storage.tightened(*bounds)
    prices = np.random.default_rng(seed).normal(size=(12, storage.slots))
    return np.array([blend(storage, price[None], np.ones(1), compiled=False) for price in prices])


@settings(max_examples=60)
@given(st.integers(1, 5), st.integers(0, 5), st.integers(0, 10_000))
def test_what_is_inside_of_a_polytope_keeps_all_rows(slots: int, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    inside = random.normal(size=slots)
    rows = random.integers(-2, 3, (count, slots)).astype(np.float64)
    upper = rows @ inside + random.choice([0.0, 0.5, 3.0], count)
    lo, hi = inside - random.uniform(0, 2, slots), inside + random.uniform(0, 2, slots)
    bounds, kept = of_polytope(lo, hi, rows, upper)
    assert 0 <= kept <= 1
    for corner in extremes(bounds, seed)[..., 0]:
        assert (corner >= lo - 1e-7).all()
        assert (corner <= hi + 1e-7).all()
        assert (rows @ corner <= upper + 1e-7).all()


def test_rows_of_a_storage_are_taken_as_they_are() -> None:
    rows = np.array([[1.0, 1, 0], [-2, -2, -2], [0, 0, 3], [0, 0, 0]])
    bounds, kept = of_polytope(np.zeros(3), np.full(3, np.inf), rows[:, :], np.array([2.0, -1, 3, 0]))
    assert kept == 1
    assert bounds.ceiling_kwh[:, 0].tolist() == [np.inf, 2, np.inf]
    assert bounds.floor_kwh[:, 0].tolist() == [-np.inf, -np.inf, 0.5]
    assert bounds.hi_kwh[:, 0].tolist() == [2, 2, 1]  # the first two have no bound of their own


def test_takes_of_shape_and_box_what_keeps_more() -> None:
    # Two slots that may differ by 1 at most, of 0..2: half of the square fits either way.
    even = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert of_polytope(np.zeros(2), np.full(2, 2.0), even, np.ones(2)).kept == pytest.approx(0.5)
    # The same energy in two of three slots: nothing shrinks to that, but a box is free in the third.
    same = np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])
    assert of_polytope(np.zeros(3), np.ones(3), same, np.zeros(2)).kept == pytest.approx(1 / 3)


def test_refuses_polytopes_of_nothing_without_bound_or_sense() -> None:
    row, two = np.array([[1.0, -1.0]]), np.array([[1.0, -1.0], [-1.0, 1.0]])
    of_polytope(np.zeros(2), np.ones(2), two, np.array([0.0, 0.0]))
    for rows, upper, error in (
        (two, np.array([0.0, -0.1]), InfeasibleError),
        (np.array([[1.0, 1.0]]), np.array([-0.1]), InfeasibleError),
        (np.zeros((1, 2)), np.array([-0.1]), InfeasibleError),
        (row, np.array([np.nan]), InvalidError),
    ):
        with pytest.raises(error):
            of_polytope(np.zeros(2), np.ones(2), rows, upper)
    with pytest.raises(InvalidError, match="not bounded"):
        of_polytope(np.zeros(2), np.full(2, np.inf), row, np.array([1.0]))


def stored(store: Store, energies: Floats) -> tuple[float, float]:
    """Least and greatest content as energies at the meter are carried out, by the physics: kWh under 0, over room."""
    content, under, over = store.charge_kwh.copy(), 0.0, 0.0
    for e in energies:
        content = content * (1 - store.leak) + np.where(e > 0, e * store.eta_in, e / store.eta_out)
        under, over = max(under, float(-content.min())), max(over, float((content - store.capacity_kwh).max()))
    return under, over


def stores(members: int, random: np.random.Generator) -> Store:
    power = random.uniform(0.5, 3, members)
    capacity = power * random.uniform(2, 16, members)
    return Store(
        power_kwh=power,
        capacity_kwh=capacity,
        charge_kwh=capacity * random.uniform(0.3, 1, members),
        eta_in=random.uniform(0.9, 1, members),
        eta_out=random.uniform(0.9, 1, members),
        leak=random.choice([0.0, 0.0005], members),
    )


@settings(max_examples=25)
@given(st.integers(1, 24), st.integers(0, 10_000))
def test_storages_with_losses_never_run_over_nor_empty(slots: int, seed: int) -> None:
    store = stores(4, np.random.default_rng(seed))
    bounds, share = of_store(store, slots)
    assert ((share > 0) & (share <= 1)).all()
    corners = extremes(bounds, seed)
    weights = np.random.default_rng(seed).dirichlet(np.ones(5), 8)
    for energies in [*corners, *np.einsum("ij,jtm->itm", weights, corners[:5])]:  # corners, and what lies between
        assert (np.abs(energies) <= store.power_kwh + 1e-9).all()
        under, over = stored(store, energies)
        assert max(under, over) < 1e-9


def test_without_losses_nothing_is_lost_and_the_example_of_the_facts_is_safe() -> None:
    ones = np.ones(1)
    bounds, share = of_store(Store(ones, 4 * ones, ones, ones, ones, 0 * ones), 3)
    assert (float(share[0]), bounds.floor_kwh.T.tolist()) == (1, [[-1] * 3])
    assert bounds.ceiling_kwh.T.tolist() == [[3] * 3]
    full = Store(ones, ones, ones, 0.9 * ones, 0.9 * ones, 0 * ones)
    bounds, share = of_store(full, 3)
    assert np.diff(bounds.floor_kwh[:, 0]).min() > 0  # by what may have been lost
    assert of_store(full, 20)[1][0] < share[0] == 1
    for energies in extremes(bounds, 1):
        assert max(stored(full, energies)) < 1e-9
    # Both of these are feasible; their mean is not, and no set that is convex may hold both.
    one, other = np.array([[-0.5], [0.617], [0.0]]), np.array([[0.0], [-0.5], [0.617]])
    assert max(stored(full, one)) < 1e-3 > max(stored(full, other))
    assert stored(full, (one + other) / 2)[1] > 1e-3


def test_refuses_storages_that_are_none_and_that_leak_away() -> None:
    ones = np.ones(2)
    of_store(Store(ones, 4 * ones, ones, ones, ones, 0 * ones), 96)
    for bad in (
        Store(ones, 4 * ones, 5 * ones, ones, ones, 0 * ones),
        Store(-ones, 4 * ones, ones, ones, ones, 0 * ones),
        Store(ones, 4 * ones, ones, 0 * ones, ones, 0 * ones),
        Store(ones, 4 * ones, ones, ones, 1.1 * ones, 0 * ones),
        Store(ones, np.nan * ones, ones, ones, ones, 0 * ones),
        Store(ones, 4 * ones, ones, ones, ones, 0.2 * ones),
    ):
        with pytest.raises(InvalidError) as caught:
            of_store(bad, 96)
        assert caught.value.path == "Store[0]"
