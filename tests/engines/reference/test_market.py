"""The pool's invariants, checked by code that knows nothing of how it clears."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.core.errors import InvalidError
from flexhub.core.trading import Bid, Side
from flexhub.engines.reference.market import Pool
from flexhub.engines.slots import Book, MarketSession, Pricing

T0 = datetime(2026, 1, 10, tzinfo=UTC)
STEP = timedelta(minutes=15)
CUTOFF = 0.5
NEAR = 1e-9


def session(demand: tuple[float, ...], pricing: Pricing = Pricing.UNIFORM) -> MarketSession:
    return MarketSession(
        id="s", opens=T0, closes=T0 + STEP, start=T0, demand_kwh=demand, cutoff_eur_per_kwh=CUTOFF, pricing=pricing
    )


@st.composite
def bids(draw: st.DrawFn, slots: int) -> list[Bid]:
    return [
        Bid(
            id=f"b{i}",
            party=f"p{i % 3}",
            side=Side.SELL,
            start=T0 + draw(st.integers(0, slots - 1)) * STEP,
            quantity_kwh=draw(st.floats(0.001, 50)),
            price_eur_per_kwh=draw(st.integers(-2, 8)) / 10,  # few prices, so that ties are common
        )
        for i in range(draw(st.integers(0, 12)))
    ]


@given(st.data(), st.sampled_from(Pricing))
def test_clearing_keeps_the_invariants(data: st.DataObject, pricing: Pricing) -> None:
    demand = tuple(data.draw(st.lists(st.floats(0, 100), min_size=1, max_size=3)))
    offered = data.draw(bids(len(demand)))
    pool, book = Pool(), Pool().open(session(demand, pricing))
    for bid in offered:
        book = pool.submit(book, bid, T0)
    clearing = pool.clear(book)
    shuffled = Book(session=book.session, bids=tuple(data.draw(st.permutations(offered))))
    assert pool.clear(shuffled) == clearing

    by_id = {b.id: b for b in offered}
    taken = {t.bid: t.quantity_kwh for t in clearing.trades}
    share = {b.id: taken.get(b.id, 0.0) / b.quantity_kwh for b in offered}
    sums: defaultdict[datetime, float] = defaultdict(float)
    for trade in clearing.trades:
        sums[trade.start] += trade.quantity_kwh
        assert 0 < share[trade.bid] <= 1 + NEAR
        assert trade.price_eur_per_kwh >= by_id[trade.bid].price_eur_per_kwh  # nobody sells below its bid
        assert trade.price_eur_per_kwh <= CUTOFF
    for slot, wanted in enumerate(demand):
        at = T0 + slot * STEP
        here = [b for b in offered if b.start == at]
        supply = sum(b.quantity_kwh for b in here if b.price_eur_per_kwh <= CUTOFF)
        assert sums[at] == pytest.approx(min(wanted, supply), abs=NEAR)
        assert clearing.unserved_kwh[slot] == pytest.approx(wanted - min(wanted, supply), abs=NEAR)
        for cheap in here:
            for dear in here:
                if cheap.price_eur_per_kwh < dear.price_eur_per_kwh and share[dear.id] > NEAR:
                    assert share[cheap.id] == pytest.approx(1)  # nothing dearer before something cheaper
                if cheap.price_eur_per_kwh == dear.price_eur_per_kwh:
                    assert share[cheap.id] == pytest.approx(share[dear.id], abs=NEAR)  # ties pro rata
        paid = {t.price_eur_per_kwh for t in clearing.trades if t.start == at}
        if pricing is Pricing.UNIFORM and paid:
            dearest = max(by_id[t.bid].price_eur_per_kwh for t in clearing.trades if t.start == at)
            assert paid == {dearest} == {clearing.prices_eur_per_kwh[slot]}
        if pricing is Pricing.PAY_AS_BID:
            assert all(t.price_eur_per_kwh == by_id[t.bid].price_eur_per_kwh for t in clearing.trades)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"closes": T0}, "closes"),
        ({"start": T0 + STEP / 2}, "start"),
        ({"demand_kwh": ()}, "demand_kwh"),
        ({"demand_kwh": (1.0, -1.0)}, "demand_kwh"),
        ({"demand_kwh": (float("nan"),)}, "demand_kwh"),
        ({"cutoff_eur_per_kwh": float("inf")}, "cutoff_eur_per_kwh"),
    ],
)
def test_refuses_sessions_that_cannot_be_held(change: dict[str, object], path: str) -> None:
    good = session((1.0,))
    assert Pool().open(good).session == good
    with pytest.raises(InvalidError) as refused:
        Pool().open(msgspec.structs.replace(good, **change))
    assert refused.value.path == f"MarketSession/{path}"


def test_takes_no_bids_before_it_opens() -> None:
    bid = Bid(id="b", party="p", side=Side.SELL, start=T0, quantity_kwh=1.0, price_eur_per_kwh=0.1)
    book = Pool().open(session((1.0,)))
    with pytest.raises(InvalidError, match="opens"):
        Pool().submit(book, bid, T0 - STEP)
    assert Pool().submit(book, bid, T0).bids == (bid,)
