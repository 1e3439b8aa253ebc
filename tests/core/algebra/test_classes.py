"""Canonical splitting: the classes of members answer as the members do, and hand down what each can do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra import classes as classes_of
from flexhub.core.algebra.classes import Marks, hand_down, split, units
from flexhub.core.algebra.columns import Squares, optimise
from flexhub.core.algebra.oracle import respond
from flexhub.core.algebra.storage import Bounds, Storage
from flexhub.core.batch import Floats
from flexhub.core.errors import InvalidError


def batteries(members: int, seed: int) -> Bounds:
    random = np.random.default_rng(seed)
    power = random.uniform(0.5, 3, (1, members))
    capacity = power * random.uniform(0.3, 6, (1, members))
    charge = capacity * random.uniform(0, 1, (1, members))
    return Bounds(-power, power, -charge, capacity - charge)


@st.composite
def bounds(draw: st.DrawFn, slots: int = 5) -> Bounds:
    """Members around energies that keep their bounds; some in whole multiples of a unit, some of none."""
    seed = draw(st.integers(0, 1 << 30))
    random = np.random.default_rng(seed)
    members = draw(st.integers(1, 5))
    unit = random.choice([0.3, 1.0, 2.5], members)
    lo = random.integers(-2, 1, (slots, members)) * unit
    hi = lo + random.integers(0, 3, (slots, members)) * unit
    odd = random.random(members) < 0.2
    hi = hi + odd * random.random((slots, members))
    running = np.cumsum(lo + random.random((slots, members)) * (hi - lo), axis=0)
    floor = running - random.choice([0.0, 0.35, 2.0, np.inf], (slots, members))
    ceiling = running + random.choice([0.0, 0.7, 3.0, np.inf], (slots, members))
    return Bounds(lo, hi, floor, ceiling)


def excess(of: Bounds, energies: Floats) -> float:
    """The worst that these energies break of bounds as they are given."""
    running = np.cumsum(energies, axis=0)
    lo, hi, floor, ceiling = of
    return max(float(side.max()) for side in (lo - energies, energies - hi, floor - running, running - ceiling))


@settings(max_examples=40)
@given(bounds(), st.integers(0, 1000))
def test_classes_answer_every_price_as_their_members_do_and_hand_plans_down(of: Bounds, seed: int) -> None:
    members, classes = Storage.tightened(*of), split(5, of)
    random = np.random.default_rng(seed)
    price = random.choice([-2.0, -1.0, 0.0, 0.5, 1.0], 5) + random.normal(size=5) * random.integers(0, 2)
    exact = float(price @ respond(members, price, compiled=False))
    found = float(price @ respond(classes.storage, price, classes.sizes, compiled=False))
    assert found == pytest.approx(exact, abs=1e-7)
    target = np.mean([respond(members, random.normal(size=5), compiled=False) for _ in range(3)], axis=0)
    plan = optimise(classes.storage, Squares.follow(target), sizes=classes.sizes, compiled=False)
    energies = hand_down(classes, plan, compiled=False)
    assert energies.sum(axis=1) == pytest.approx(target, abs=1e-6)
    assert excess(of, energies) < 1e-7


@settings(max_examples=25)
@given(bounds(), st.integers(1, 3), st.integers(0, 1000))
def test_a_coarser_grid_is_safe(of: Bounds, grid: int, seed: int) -> None:
    members, classes = Storage.tightened(*of), split(5, of, grid=grid)
    price = np.random.default_rng(seed).normal(size=5)
    plan = optimise(classes.storage, Squares.follow(-price), sizes=classes.sizes, compiled=False)
    assert excess(of, hand_down(classes, plan, compiled=False)) < 1e-7
    lost = float(price @ (respond(classes.storage, price, classes.sizes) - respond(members, price)))
    assert lost > -1e-7


def test_splits_a_battery_as_worked_by_hand() -> None:
    # 2 kWh per slot, 5 kWh of room, 1.5 kWh charged: in units, totals in [-0.75, 1.75], of fraction 0.25 and 0.75.
    classes = split(3, Bounds(*(np.array([[x]]) for x in (-2.0, 2.0, -1.5, 3.5))))
    found = sorted(
        (float(2 * (lo + 0.0)), float(hi), float(unit))
        for of, unit in zip(classes.of[:, 0], classes.unit_kwh[:, 0], strict=True)
        for lo, hi in [(classes.storage.floor_kwh[-1, of] / 2, classes.storage.ceiling_kwh[-1, of])]
    )
    assert found == [(-1, 1, 0.5), (-1, 2, 1.0), (0, 2, 0.5)]


def test_many_batteries_are_few_classes_and_a_grid_makes_them_fewer() -> None:
    of = batteries(3_000, 1)
    members = Storage.tightened(*Bounds(*(np.broadcast_to(side, (24, 3_000)) for side in of)))
    exact, coarse = split(24, of), split(24, of, grid=2)
    assert len(coarse) < len(exact) < 60
    price = np.random.default_rng(2).normal(size=24)
    best = float(price @ respond(members, price))
    assert float(price @ respond(exact.storage, price, exact.sizes)) == pytest.approx(best, rel=1e-10)
    assert float(price @ respond(coarse.storage, price, coarse.sizes)) < 0.5 * best


def test_finds_units_only_where_there_are_some() -> None:
    lo = np.array([[-2.0, 0.0, 0.0, -1.0], [-4.0, 0.0, 0.0, -1.0]])
    hi = np.array([[2.0, 1.5, 0.0, 1.5], [0.0, 0.0, 0.0, 1.0]])
    assert units(lo, hi).tolist() == [2.0, 1.5, 1.0, 0.0]


def test_bounds_that_hash_alike_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    of = batteries(50, 3)
    asked: list[int] = []
    hashed = classes_of.hashed

    def alike(sides: list[Floats], start: Marks, seed: int) -> Marks:
        asked.append(seed)
        return np.zeros(50, dtype=np.uint64) if len(asked) <= 4 else hashed(sides, start, seed)

    expected = len(split(4, of))
    monkeypatch.setattr(classes_of, "hashed", alike)
    assert len(split(4, of)) == expected
    assert len(asked) > 4


def test_refuses_bounds_that_do_not_belong_together() -> None:
    ones = np.ones((1, 2))
    split(3, Bounds(-ones, ones, -ones, ones))
    for bad in (
        Bounds(-ones, np.ones((2, 2)), -ones, ones),
        Bounds(-ones, ones * np.nan, -ones, ones),
        Bounds(-ones, ones * np.inf, -ones, ones),
        Bounds(-ones, ones, ones * np.nan, ones),
        Bounds(-ones, ones, 4 * ones, 4 * ones),
    ):
        with pytest.raises(InvalidError):
            split(3, bad)
