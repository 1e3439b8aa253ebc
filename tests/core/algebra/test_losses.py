"""What is lost where other offers stand for some: worked by hand, and the law that nothing is ever gained."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra.alignment import aggregate
from flexhub.core.algebra.losses import MIDDLE, NOISE, SWING, Weather, aggregation_loss, loss, prices
from flexhub.core.algebra.optimum import Prices
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer
from tests.core.algebra.columns import T0, at, many_offers
from tests.core.algebra.test_optimum import box

SEEDS = dict.fromkeys(Weather, 3)


def test_a_shift_that_is_lost_is_worked_by_hand() -> None:
    offers = [box("a", 0, 2, [(1, 1)]), box("b", 0, 1, [(1, 3)])]
    (group,) = aggregate(offers, "agg", {})
    look = Prices(T0, 900, np.array([0.4, 0.3, 0.1]))
    found = loss(offers, [(group.offer, ["a", "b"])], {}, markets={"market": look})
    # Usually both start at slot 0, at 0.4 a kWh. At best a pays 0.1 and b 0.3; together they start at slot 1 at most.
    assert (found.offers, found.instead) == (2, 1)
    assert (found.time_slots, found.time_kept_slots) == (3, 2)
    assert (found.energy_kwh, found.energy_kept_kwh) == (2, 2)
    (kept,) = found.savings
    assert kept.prices == "market"
    assert [kept.saving_eur, kept.kept_eur, kept.share] == pytest.approx([0.4, 0.2, 0.5])


def test_where_nothing_can_be_saved_there_is_no_share() -> None:
    offers = [box("a", 0, 0, [(1, 1)])]
    (group,) = aggregate(offers, "agg", {})
    assert {kept.share for kept in aggregation_loss(offers, [group], SEEDS).savings} == {None}


@settings(max_examples=15)
@given(many_offers(), st.integers(0, 99))
def test_aggregates_never_save_more_than_their_members_and_alone_as_much(offers: list[FlexOffer], seed: int) -> None:
    seeds = dict.fromkeys(Weather, seed)
    together = aggregation_loss(offers, aggregate(offers, "agg", {}), seeds)
    apart = loss(offers, [(offer, [offer.id]) for offer in offers], seeds)
    assert [kept.prices for kept in apart.savings] == [weather.value for weather in Weather]
    for kept, whole in zip(together.savings, apart.savings, strict=True):
        assert kept.saving_eur == pytest.approx(whole.saving_eur, abs=1e-9)
        assert kept.kept_eur <= whole.kept_eur + 1e-6
        assert whole.kept_eur == pytest.approx(whole.saving_eur, abs=1e-9)
    assert apart.time_kept_slots == apart.time_slots >= together.time_kept_slots
    assert together.energy_kept_kwh == pytest.approx(together.energy_kwh)  # start alignment keeps all energy


def test_prices_are_those_of_their_seed() -> None:
    end = T0 + timedelta(days=20)
    for weather in Weather:
        one, again, other = (prices(weather, T0, end, seed).eur_per_kwh for seed in (1, 1, 2))
        assert one.tolist() == again.tolist() != other.tolist()
        assert len(one) == 20 * 96
        assert abs(one.mean() - MIDDLE) < 0.01
    random, smooth, noisy = (prices(weather, T0, end, 5).eur_per_kwh for weather in Weather)
    assert random.max() <= MIDDLE + SWING >= smooth.max()
    assert np.abs(smooth[:96] - smooth[96:192]).max() < 1e-9
    assert np.std(noisy - smooth) == pytest.approx(NOISE, rel=0.1)


def test_offers_that_nothing_or_too_much_stands_for_are_named() -> None:
    a, b = box("a", 0, 2, [(1, 1)]), box("b", 0, 1, [(1, 3)])
    assert loss([a, b], [(a, ["a"]), (b, ["b"])], SEEDS).instead == 2
    for instead in ([(a, ["a"])], [(a, ["a"]), (b, ["b"]), (a, ["b"])], [(a, ["a", "b", "c"])]):
        with pytest.raises(InvalidError, match="exactly once") as caught:
            loss([a, b], instead, SEEDS)
        assert caught.value.value in ("b", "c")


def test_what_prices_do_not_settle_is_told_and_left_out() -> None:
    a = box("a", 0, 2, [(1, 1)])
    gone = msgspec.structs.replace(box("b", 0, 1, [(1, 3)]), profiles=())
    found = loss([a, gone], [(a, ["a"]), (gone, ["b"])], SEEDS)
    assert found.unpriced == ("b",)
    assert found.savings == loss([a], [(a, ["a"])], SEEDS).savings
    assert loss([gone], [(gone, ["b"])], SEEDS).savings == ()
    assert found.time_slots == 2
    assert at(0) == T0
