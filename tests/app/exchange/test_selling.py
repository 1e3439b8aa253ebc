"""A hub that is market and manager sells from its portfolio by itself, and plans what it sold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from flexhub.adapters.store import open_store
from flexhub.app.config import Config, EnergyPrice, TradeSection
from flexhub.app.exchange.auction import PARTICIPANTS
from flexhub.app.exchange.selling import Selling
from flexhub.app.exchange.sold import Obligation, owed_kwh, sold_requests
from flexhub.app.hub.loop import office
from flexhub.app.hub.replay import replay
from flexhub.app.wiring import deciders
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, State
from flexhub.core.trading import Side, Trade
from flexhub.engines.reference.manager import ReferenceManager
from tests.app.api.live import Live, config, live
from tests.app.exchange.test_auction import CLOSES, HOUR, session
from tests.app.market import AGGREGATOR, NOON, make_offer

QUARTER = timedelta(minutes=15)


def trading(folder: Path) -> Config:
    return msgspec.structs.replace(config(folder), trade=TradeSection(market=AGGREGATOR, margin=EnergyPrice(0.05)))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Live]:
    with live(trading(tmp_path), engine=ReferenceManager(party=AGGREGATOR)) as running:
        yield running


def car(id_: str) -> FlexOffer:
    """2 kWh in each of four slots by default; 8 kWh in eight slots of at most 2."""
    offer = make_offer(id_, "ann")
    (profile,) = offer.profiles
    usual = offer.default_schedule
    assert usual is not None
    piece = msgspec.structs.replace(profile.slices[0], energy_kwh=(EnergyRange(0.0, 2.0),))
    return msgspec.structs.replace(
        offer,
        start_before=offer.start_after,
        profiles=(Profile(slices=(piece,) * 8, total_energy_kwh=EnergyRange(8.0, 8.0)),),
        default_schedule=msgspec.structs.replace(
            usual, slices=(*usual.slices, *(msgspec.structs.replace(s, energy_kwh=0.0) for s in usual.slices))
        ),
    )


def traded(hub: Live, id_: str = "s1") -> list[Obligation]:
    """Open a session, let it close; what was sold."""
    assert hub.request("POST", "/market", "mo", session(id_, demand=(1.5, 0.0, 0.5))).status == 201
    everything_done(hub)
    hub.clock.now = CLOSES
    everything_done(hub)
    return list(hub.call(hub.running.hub.documents(Obligation)).items)


def everything_done(hub: Live) -> None:
    hub.quiet()
    for _ in range(2):
        hub.call(hub.running.followers.reach_own(hub.running.hub))
        hub.quiet()
        hub.call(hub.running.hub.sent())


def test_what_is_sold_is_left_out_of_the_plan_and_caught_up_later(hub: Live, tmp_path: Path) -> None:
    assert hub.request("POST", "/flexoffer", "ann", car("car")).status == 201
    sold = traded(hub)
    assert [(o.trade.quantity_kwh, o.trade.price_eur_per_kwh, o.offers) for o in sold] == [
        (1.5, 0.05, ("car",)),
        (0.5, 0.05, ("car",)),
    ]
    hub.plan()
    planned = hub.call(hub.running.hub.get(FlexOffer, "car"))
    assert planned is not None
    assert planned.schedule is not None
    energies = planned.schedule.per_slot_kwh()
    assert energies[0] <= 0.5 + 1e-9
    assert energies[2] <= 1.5 + 1e-9
    assert sum(energies) == pytest.approx(8.0)
    assert sum(sum(slots.values()) for slots in owed_kwh(sold, {"car": planned}).values()) == pytest.approx(0)
    stored, again = hub.running.hub.store, open_store(f"sqlite:///{tmp_path / 'again.db'}")
    wanted = trading(tmp_path)
    assert replay(stored, again, office(*deciders(wanted, ReferenceManager()), holder="")).differences == []
    again.close()


def test_without_a_sale_the_same_car_charges_at_once(hub: Live) -> None:
    assert hub.request("POST", "/flexoffer", "ann", car("car")).status == 201
    hub.plan()
    planned = hub.call(hub.running.hub.get(FlexOffer, "car"))
    assert planned is not None
    assert planned.schedule is not None
    assert planned.schedule.per_slot_kwh()[:4] == [2.0] * 4


def test_what_was_promised_is_not_promised_again(hub: Live) -> None:
    assert hub.request("POST", "/flexoffer", "ann", car("car")).status == 201
    for id_ in ("s1", "s2"):
        assert hub.request("POST", "/market", "mo", session(id_)).status == 201
        everything_done(hub)
    one, two = (hub.call(hub.running.hub.get(Selling, f"{AGGREGATOR}/{id_}")) for id_ in ("s1", "s2"))
    assert one is not None
    assert two is not None
    assert (len(one.positions), two.positions) == (3, ())  # one for each slot of the session


def test_all_who_may_bid_are_told_and_nobody_else(hub: Live) -> None:
    assert traded(hub) == []  # nothing on offer
    store = hub.running.hub.store
    told = [(row.party, row.topic) for row in store.notices((PARTICIPANTS, "ann"), 0, 100)]
    assert told.count((PARTICIPANTS, "session")) == 2
    assert [row.topic for row in store.notices("dso", 0, 100)] == []


def test_what_executing_offers_leave_out_is_kept_and_only_the_rest_is_asked() -> None:
    trade = Trade(bid="b", party="p", side=Side.SELL, start=NOON + HOUR, quantity_kwh=1.5, price_eur_per_kwh=0.1)
    sold = [Obligation(portfolio="p", session="s", trade=trade, offers=("one",), point="cp")]
    offer = make_offer("one", "ann")
    assert offer.default_schedule is not None
    first = msgspec.structs.replace(offer.default_schedule.slices[0], energy_kwh=1.0)
    less = msgspec.structs.replace(offer.default_schedule, slices=(first, *offer.default_schedule.slices[1:]))
    begun = msgspec.structs.replace(offer, state=State.EXECUTING, schedule=less)
    (asked,) = sold_requests(sold, [begun], NOON)
    assert [(i.slot, i.hi_kwh) for i in asked.intervals] == [(0, -0.5)]
    (asked,) = sold_requests(sold, [offer], NOON)
    assert [i.hi_kwh for i in asked.intervals] == [-1.5]
    assert sold_requests(sold, [begun], NOON + HOUR + QUARTER) == []
