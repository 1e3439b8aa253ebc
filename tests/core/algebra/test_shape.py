"""Tightened running totals, and what they let one move into the bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.core.algebra.shape import Cumulative, cumulative, settle_into, tighten
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import EnergyRange, Profile, Slice

NONE = np.inf


def only_total(n: int, lo: float, hi: float) -> Cumulative:
    running = Cumulative(np.full(n, -NONE), np.full(n, NONE))
    running.lo[-1], running.hi[-1] = lo, hi
    return running


def test_tightens_as_worked_by_hand() -> None:
    # The two cars of the facts: they may take [0, 1, 1, 1, 1]; one wants 0..2 in all, the other exactly 4.
    lo, hi = np.zeros(5), np.array([0.0, 1, 1, 1, 1])
    free, full = tighten(lo, hi, only_total(5, 0, 2)), tighten(lo, hi, only_total(5, 4, 4))
    assert (free.lo.tolist(), free.hi.tolist()) == ([0, 0, 0, 0, 0], [0, 1, 2, 2, 2])
    assert full.lo.tolist() == full.hi.tolist() == [0, 1, 2, 3, 4]


def test_tells_where_nothing_is_feasible() -> None:
    with pytest.raises(InvalidError, match="slice 0"):
        tighten(np.zeros(2), np.ones(2), only_total(2, 2.1, 3))
    tighten(np.zeros(2), np.ones(2), only_total(2, 2.0, 3))


@pytest.mark.parametrize(
    ("bounds", "reached"),
    [
        ({"total_energy_kwh": EnergyRange(1.0, 2.0)}, [(-NONE, NONE), (-NONE, NONE), (0.999999, 2.0)]),
        ({"total_energy_kwh": EnergyRange(0.9, 2.0)}, [(-NONE, NONE), (-NONE, NONE), (0.9, 2.0)]),
        ({"subtotal_energy_kwh": EnergyRange(-2.0, -5e-7)}, [(-2.0, 0.0)] * 3),
        (
            {"subtotal_energy_kwh": EnergyRange(0.0, 0.5), "total_energy_kwh": EnergyRange(0.5000005, 2.0)},
            [(0.0, 0.5), (0.0, 0.5), (0.5, 0.5)],
        ),
    ],
)
def test_bounds_that_the_slices_miss_by_rounding_are_widened_to_what_they_reach(
    bounds: dict[str, Any], reached: list[tuple[float, float]]
) -> None:
    profile = Profile(slices=(Slice(energy_kwh=(EnergyRange(0.0, 0.333333),)),) * 3, **bounds)
    lo, hi = cumulative(profile)
    assert list(zip(lo.tolist(), hi.tolist(), strict=True)) == [pytest.approx(pair, abs=1e-12) for pair in reached]


numbers = st.floats(-20, 20)


@given(st.data())
def test_any_wish_becomes_feasible_and_a_feasible_one_stays(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 8))
    inside = np.array([data.draw(numbers) for _ in range(n)])  # a witness, so that the bounds can be met
    lo = inside - np.array([data.draw(st.floats(0, 5)) for _ in range(n)])
    hi = inside + np.array([data.draw(st.floats(0, 5)) for _ in range(n)])
    used = np.cumsum(inside)
    slack = data.draw(st.floats(0, 5))
    running = Cumulative(used - slack, used + slack)
    tight = tighten(lo, hi, running)
    wish = np.array([data.draw(numbers) for _ in range(n)])
    for one in (wish, inside):
        found = settle_into(one, lo, hi, tight)
        assert (found >= lo - 1e-9).all()
        assert (found <= hi + 1e-9).all()
        assert (np.cumsum(found) >= running.lo - 1e-9).all()
        assert (np.cumsum(found) <= running.hi + 1e-9).all()
    assert settle_into(inside, lo, hi, tight) == pytest.approx(inside, abs=1e-9)
