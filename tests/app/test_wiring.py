"""How a hub is put together: what its configuration names is what its engines are told."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from flexhub.app.config import Config, HubSection
from flexhub.app.wiring import engine_of
from flexhub.core.price import Price
from flexhub.engines.slots import Portfolio
from tests.app.market import NOON, make_offer


@pytest.mark.parametrize("name", ["agr", "another-agr"])
def test_aggregates_and_bids_are_issued_by_the_hub_itself(name: str) -> None:
    engine = engine_of(Config(hub=HubSection(name=name)))
    cheap = Price(slopes_eur_per_kwh=(-0.1,))
    offers = tuple(msgspec.structs.replace(make_offer(i, "ann"), price=cheap) for i in ("one", "two"))
    portfolio = Portfolio(now=NOON + timedelta(minutes=1), offers=offers)
    assert {a.offer.issuer for a in engine.aggregate(offers)} == {name}
    assert {a.offer.issuer for a in engine.plan(portfolio).aggregates} == {name}
    assert {b.party for b in engine.bid(portfolio)} == {name}
