"""A market operator's hub: sessions, bids until the gate closes, one clearing, and to each party its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from flexhub.adapters.store import open_store
from flexhub.app.exchange.auction import ClearResult, Entry, Round
from flexhub.app.hub.contract import ENGINE, Message
from flexhub.app.hub.loop import office
from flexhub.app.hub.replay import replay
from flexhub.app.wiring import deciders
from flexhub.core.errors import EngineError
from flexhub.core.registry import Role
from flexhub.core.trading import Bid, Side, Trade
from flexhub.engines.slots import Clearing, MarketSession
from tests.app.api.live import Live, config, live
from tests.app.market import AGGREGATOR, NOON, Greedy

HOUR = timedelta(hours=1)
CLOSES = NOON + timedelta(minutes=30)


def session(
    id_: str = "s1", *, demand: tuple[float, ...] = (2.0, 0.0, 5.0), closes: datetime = CLOSES
) -> MarketSession:
    return MarketSession(
        id=id_, opens=NOON, closes=closes, start=NOON + HOUR, demand_kwh=demand, cutoff_eur_per_kwh=0.3
    )


def bid(id_: str, party: str, kwh: float, price: float, slot: int = 0) -> Bid:
    start = NOON + HOUR + slot * timedelta(minutes=15)
    return Bid(id=id_, party=party, side=Side.SELL, start=start, quantity_kwh=kwh, price_eur_per_kwh=price)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Live]:
    with live(config(tmp_path)) as running:
        assert running.request("POST", "/market", "mo", session()).status == 201
        yield running


def offered(hub: Live, who: str, *bids: Bid) -> None:
    for one in bids:
        assert hub.request("POST", "/market/s1/bid", who, one).status == 201


def test_the_cheapest_are_taken_and_each_sees_its_own(hub: Live, tmp_path: Path) -> None:
    offered(hub, "ann", bid("a", "ann", 1.0, 0.10), bid("dear", "ann", 9.0, 0.50))
    offered(hub, AGGREGATOR, bid("b", AGGREGATOR, 3.0, 0.20), bid("c", AGGREGATOR, 3.0, 0.20, slot=2))
    assert "cleared" not in hub.get("/market/s1", "bob")
    assert hub.get("/market/s1/trade", "ann")["items"] == []
    hub.clock.now = CLOSES
    hub.quiet()
    done = hub.get("/market/s1", "bob")
    assert (done["cleared"], done["prices_eur_per_kwh"], done["unserved_kwh"]) == (True, [0.2, None, 0.2], [0, 0, 2])
    (own,) = hub.get("/market/s1/trade", "ann")["items"]
    assert (own["bid"], own["quantity_kwh"], own["price_eur_per_kwh"]) == ("a", 1.0, 0.2)
    assert [(t["bid"], t["quantity_kwh"]) for t in hub.get("/market/s1/trade", AGGREGATOR)["items"]] == [
        ("b", 1.0),
        ("c", 3.0),
    ]
    assert [b["id"] for b in hub.get("/market/s1/bid", "ann")["items"]] == ["a", "dear"]
    assert hub.get("/market/s1/bid", "bob")["items"] == hub.get("/market/s1/trade", "bob")["items"] == []
    told = [row.subject for row in hub.running.hub.store.notices("ann", 0, 100) if row.topic == "trade"]
    assert told == ["a"]
    stored, again = hub.running.hub.store, open_store(f"sqlite:///{tmp_path / 'again.db'}")
    assert replay(stored, again, office(*deciders(config(tmp_path), Greedy()), holder="")).differences == []
    again.close()


def test_nobody_bids_after_the_gate_has_closed_or_before_it_opens(hub: Live) -> None:
    offered(hub, "ann", bid("in-time", "ann", 1.0, 0.1))
    hub.clock.now = CLOSES
    late = hub.request("POST", "/market/s1/bid", "ann", bid("late", "ann", 1.0, 0.1))
    assert (late.status, late.json["code"]) == (422, "expired")
    assert hub.request("DELETE", "/market/s1/bid/in-time", "ann").json["code"] == "expired"
    early = MarketSession(
        id="s2",
        opens=CLOSES + HOUR,
        closes=CLOSES + 2 * HOUR,
        start=NOON + 5 * HOUR,
        demand_kwh=(1.0,),
        cutoff_eur_per_kwh=1.0,
    )
    assert hub.request("POST", "/market", "mo", early).status == 201
    soon = msgspec.structs.replace(bid("x", "ann", 1.0, 0.1), start=NOON + 5 * HOUR)
    assert hub.request("POST", "/market/s2/bid", "ann", soon).status == 422
    hub.clock.now = CLOSES + HOUR
    assert hub.request("POST", "/market/s2/bid", "ann", soon).status == 201


def test_a_bid_is_taken_back_and_put_in_again(hub: Live) -> None:
    one = bid("a", "ann", 1.0, 0.1)
    offered(hub, "ann", one)
    assert hub.request("DELETE", "/market/s1/bid/a", "bob").status == 404
    assert hub.request("DELETE", "/market/s1/bid/a", "ann").status == 200
    assert hub.get("/market/s1/bid", "ann")["items"] == []
    assert hub.request("POST", "/market/s1/bid", "ann", one).status == 200
    assert len(hub.get("/market/s1/bid", "ann")["items"]) == 1


@pytest.mark.parametrize(
    ("change", "status", "path"),
    [
        ({"party": "bob"}, 403, "Bid/party"),
        ({"side": Side.BUY}, 422, "Bid/side"),
        ({"start": NOON}, 422, "Bid/start"),
        ({"quantity_kwh": 2.0}, 409, "Bid/id"),
        ({"zone": "north"}, 422, "Bid/zone"),
    ],
)
def test_a_bid_that_cannot_be_is_refused_and_its_twin_is_not(
    hub: Live, change: dict[str, object], status: int, path: str
) -> None:
    good = bid("a", "ann", 1.0, 0.1)
    offered(hub, "ann", good)
    assert hub.request("POST", "/market/s1/bid", "ann", good).status == 200
    journal = hub.journal()
    refused = hub.request("POST", "/market/s1/bid", "ann", msgspec.structs.replace(good, **change))
    assert (refused.status, refused.json["path"]) == (status, path)
    assert hub.journal() == journal
    assert hub.request("POST", "/market/none/bid", "ann", good).status == 404


def test_a_session_is_opened_once_by_an_operator_and_in_time(hub: Live) -> None:
    assert hub.request("POST", "/market", "mo", session()).status == 200
    assert hub.request("POST", "/market", "mo", session(demand=(1.0,))).status == 409
    assert hub.request("POST", "/market", "ann", session("s2")).status == 403
    assert hub.request("POST", "/market", "mo", session("s2", demand=())).status == 422
    past = msgspec.structs.replace(session("s2"), opens=NOON - HOUR, closes=NOON)
    assert hub.request("POST", "/market", "mo", past).json["path"] == "MarketSession/closes"
    assert [s["session"]["id"] for s in hub.get("/market", "dso")["items"]] == ["s1"]


class Papers:
    """What the result of a clearing is decided with."""

    def get(self, kind: type, _id: str) -> object:
        found = Round(session=session(), operator="mo"), Entry(session="s1", bid=bid("a", "ann", 1.0, 0.1))
        return next(one for one in found if isinstance(one, kind))


@pytest.mark.parametrize(("party", "kwh"), [("bob", 1.0), ("ann", 1.5)])
def test_an_engine_that_makes_trades_up_is_not_believed(party: str, kwh: float) -> None:
    def result(who: str, quantity: float) -> Message:
        trade = Trade(
            bid="a", party=who, side=Side.SELL, start=NOON + HOUR, quantity_kwh=quantity, price_eur_per_kwh=0.1
        )
        value = Clearing(session="s1", trades=(trade,), prices_eur_per_kwh=(0.1,), unserved_kwh=(0.0,))
        return Message(
            peer=ENGINE, id="q", kind="clear.result", conversation="s1", body=b"", role=Role.ADMIN, value=value
        )

    assert len(ClearResult().decide(result("ann", 1.0), Papers(), NOON).puts) == 2  # type: ignore[arg-type] # what is asked for
    with pytest.raises(EngineError):
        ClearResult().decide(result(party, kwh), Papers(), NOON)  # type: ignore[arg-type] # as above


def test_a_hub_serves_the_roles_that_it_has(tmp_path: Path) -> None:
    both = config(tmp_path)
    market = msgspec.structs.replace(
        both, hub=msgspec.structs.replace(both.hub, roles=(Role.MARKET_OPERATOR,)), party=()
    )
    with live(market) as hub:
        assert hub.request("POST", "/market", "mo", session()).status == 201
        assert hub.request("POST", "/flexoffer", "ann", session()).status == 404
        assert hub.request("GET", "/health", None).status == 200
    (tmp_path / "hub.db").unlink()
    manager = msgspec.structs.replace(both, hub=msgspec.structs.replace(both.hub, roles=(Role.AGGREGATOR,)))
    with live(manager) as hub:
        assert hub.request("GET", "/market", "ann").status == 404
        assert hub.request("GET", "/flexoffer", "ann").status == 200
