"""The price model: a convex cost that is zero at no deviation. Its refused forms stand in test_flexoffer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.core.errors import InvalidError
from flexhub.core.price import Price
from tests.strategies import prices

DEVIATIONS = st.floats(-100, 100)


def test_a_pair_of_tariffs_is_two_segments() -> None:
    price = Price.of_tariffs(0.1, 0.3)
    assert price.cost_eur(2.0) == pytest.approx(0.6)
    assert price.cost_eur(-2.0) == pytest.approx(-0.2)
    assert price.tariffs() == (0.1, 0.3)
    assert Price.of_tariffs(0.2, 0.2) == Price(slopes_eur_per_kwh=(0.2,))
    assert Price(slopes_eur_per_kwh=(0.1, 0.3), knots_kwh=(1.0,)).tariffs() is None


def test_tariffs_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(InvalidError):
        Price.of_tariffs(0.3, 0.1)


def test_cost_follows_the_segments() -> None:
    price = Price(slopes_eur_per_kwh=(-0.2, 0.1, 0.5), knots_kwh=(-1.0, 2.0))
    assert price.cost_eur(3.0) == pytest.approx(0.1 * 2 + 0.5)
    assert price.cost_eur(-3.0) == pytest.approx(-0.1 + 0.2 * 2)


@given(prices())
def test_no_deviation_costs_nothing(price: Price) -> None:
    assert price.cost_eur(0.0) == 0.0


@given(prices(), DEVIATIONS, DEVIATIONS, st.floats(0, 1))
def test_cost_is_convex(price: Price, a: float, b: float, share: float) -> None:
    mixed = price.cost_eur(share * a + (1 - share) * b)
    assert mixed <= share * price.cost_eur(a) + (1 - share) * price.cost_eur(b) + 1e-9


@given(prices(), DEVIATIONS, DEVIATIONS)
def test_the_slopes_bound_what_a_kwh_costs(price: Price, a: float, b: float) -> None:
    low, high = sorted((a, b))
    rise, width = price.cost_eur(high) - price.cost_eur(low), high - low
    assert price.slopes_eur_per_kwh[0] * width - 1e-9 <= rise <= price.slopes_eur_per_kwh[-1] * width + 1e-9
