"""Portfolios by congestion point: who is where, and that nothing asked at one point stops the plans of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from flexhub.app.exchange.market import Registration
from flexhub.app.exchange.places import Places
from flexhub.app.exchange.portfolio import PlanAsker
from flexhub.app.hub.contract import Question
from flexhub.core.errors import EngineError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.registry import Connection, Party, Resource, Role
from flexhub.core.trading import FlexRequest, Reference, RequestInterval
from flexhub.engines.reference.manager import ReferenceManager
from flexhub.engines.slots import Plan, Portfolio
from tests.app.api.live import Live, config, live
from tests.app.market import AGGREGATOR, NOON, make_contract, make_offer, make_request, without

PLACES = Places(
    connections=(
        Connection(id="m-1", party="ann", congestion_point="north", location="house"),
        Connection(id="m-2", party="ann", congestion_point="south"),
        Connection(id="m-3", party="bob", congestion_point="north"),
        Connection(id="m-4", party="eve"),
    ),
    resources=(Resource(id="car", connection="m-2", kind="ev"), Resource(id="pump", connection="m-4", kind="hp")),
    asked=("west",),
)


@pytest.mark.parametrize(
    ("issuer", "location", "point"),
    [
        ("ann", "m-1", "north"),
        ("ann", "house", "north"),
        ("ann", "car", "south"),
        ("ann", "south", "south"),
        ("ann", None, None),  # at two points
        ("ann", "m-3", None),  # another's connection
        ("bob", None, "north"),
        ("bob", "garage", "north"),  # all that bob has is there
        ("bob", "south", "north"),  # the registry knows better
        ("eve", "pump", None),  # a connection at no known point
        ("eve", "south", "south"),
        ("zoe", "west", "west"),
        ("zoe", "east", None),
        ("zoe", None, None),
    ],
)
def test_where_an_offer_is(issuer: str, location: str | None, point: str | None) -> None:
    offer = msgspec.structs.replace(make_offer("o", issuer), location=location)
    assert PLACES.point_of(offer) == point


class Fussy(ReferenceManager):
    """The reference manager, which fails on whatever stands behind one point."""

    def plan(self, portfolio: Portfolio) -> Plan:
        if any(r.congestion_point == "faulty" for r in portfolio.requests):
            raise ZeroDivisionError("a fault of the engine")
        if any(r.congestion_point == "refused" for r in portfolio.requests):
            raise EngineError("no plan today")
        return super().plan(portfolio)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Live]:
    """Ann is at `north`, bob at `south`, and nobody knows where eve is; each offers 4 quarter-hours of 0.5 to 2 kWh."""
    with live(config(tmp_path), engine=Fussy(party=AGGREGATOR)) as running:
        assert running.request("PUT", "/contract/c-eve", AGGREGATOR, make_contract("eve")).status == 201
        for who, point in (("ann", "north"), ("bob", "south")):
            place(running, who, point)
        for who in ("ann", "bob", "eve"):
            assert running.request("POST", "/flexoffer", who, make_offer(who, who)).status == 201
        yield running


def place(hub: Live, who: str, point: str) -> None:
    entry = Registration(
        party=Party(id=who, name=who, roles=(Role.PROSUMER,)),
        connections=(Connection(id=f"m-{who}", party=who, congestion_point=point),),
    )
    assert hub.request("PUT", f"/party/{who}", "root", entry).status == 201


def ask(hub: Live, point: str, hi_kwh: float) -> None:
    """No more than this in any quarter-hour in which the offers can be."""
    asked: FlexRequest = msgspec.structs.replace(
        make_request(f"r-{point}"),
        congestion_point=point,
        reference=Reference.ABSOLUTE,
        intervals=tuple(RequestInterval(slot=i, hi_kwh=hi_kwh) for i in range(12)),
    )
    assert hub.request("POST", "/flexrequest", "dso", asked).status == 201


def peaks(hub: Live) -> dict[str, float]:
    """Of each offer with a schedule, its highest energy, kWh."""
    offers = [msgspec.convert(o, FlexOffer) for o in hub.get("/flexoffer", AGGREGATOR)["items"]]
    return {o.id: round(max(o.schedule.per_slot_kwh()), 6) for o in offers if o.schedule is not None}


def test_each_point_gets_what_is_asked_there(hub: Live) -> None:
    ask(hub, "north", 0.6)
    ask(hub, "south", 1.5)
    ask(hub, "elsewhere", 0.0)
    hub.plan()
    assert peaks(hub) == {"ann": 0.6, "bob": 1.5, "eve": 2.0}


@pytest.mark.parametrize("point", ["faulty", "refused"])
def test_a_plan_that_fails_at_one_point_stops_no_other(hub: Live, point: str) -> None:
    place(hub, "bob", point)
    ask(hub, "north", 0.6)
    ask(hub, point, 1.5)
    hub.plan()
    assert peaks(hub) == {"ann": 0.6, "eve": 2.0}
    record = hub.running.hub.store.notices(AGGREGATOR, 0, 100)[-1]
    assert record.topic == "plan"
    assert [f["offer"] for f in msgspec.json.decode(record.body)["faults"]] == ["bob"]
    place(hub, "bob", "south")
    hub.plan()
    assert peaks(hub) == {"ann": 0.6, "bob": 2.0, "eve": 2.0}


def test_what_is_asked_for_long_after_the_offers_is_not_planned(hub: Live) -> None:
    start = NOON.replace(year=NOON.year + 9)
    far = msgspec.structs.replace(make_request("r-far"), congestion_point="north", start=start)
    assert hub.request("POST", "/flexrequest", "dso", far).status == 201
    ask(hub, "north", 0.6)
    question = Question(id="q", slot="manager", question="plan", subject=AGGREGATOR, asked=NOON)
    portfolios = hub.call(PlanAsker(ReferenceManager()).gather(question, hub.running.hub, NOON))
    assert {p.offers[0].id: [r.id for r in p.requests] for p in portfolios} == {
        "ann": ["r-north"],
        "bob": [],
        "eve": [],
    }


def test_what_no_plan_can_use_is_refused(hub: Live) -> None:
    good = make_request("r-1")
    answer = hub.request("POST", "/flexrequest", "dso", msgspec.structs.replace(good, resolution_s=3600))
    assert (answer.status, answer.json["path"]) == (422, "FlexRequest/resolution_s")
    off = without(good, start="2026-03-02T13:05:00Z")
    answer = hub.request("POST", "/flexrequest", "dso", off)
    assert (answer.status, answer.json["path"]) == (422, "FlexRequest/start")
    assert hub.request("POST", "/flexrequest", "dso", good).status == 201
