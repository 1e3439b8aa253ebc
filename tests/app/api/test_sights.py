"""What leaves the hub stays within the scopes of the contract: beside each who granted it, one who didn't."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flexhub.app.config import Config, ConnectionSection, ContractSection, PartySection
from flexhub.core.documents import encode
from flexhub.core.registry import Role
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Scope
from tests.app.api.live import Live, config, live
from tests.app.api.test_stream import listen
from tests.app.market import AGGREGATOR, NOON, make_contract, make_offer, make_request

HOUR = timedelta(hours=1)
DAY = "2026-03-02T00:00:00Z/2026-03-03T00:00:00Z"
PSEUDONYM = re.compile("p-[0-9a-f]{32}")
POINT = "cp-1"
GRANTS: dict[str, tuple[Scope, ...]] = {
    "ann": (Scope.PLANNING, Scope.SETTLEMENT),
    "hidden-bob": (),
    "cem": (Scope.GRID,),
    "dee": (Scope.MARKET,),
    "fay": (),
    "gil": (),
}


def configured(folder: Path) -> Config:
    """Six prosumers at one congestion point; five in a quarter-hour make a sum."""
    parties = tuple(
        PartySection(
            id=name,
            roles=(Role.PROSUMER,),
            contract=ContractSection(id=f"c-{name}", scopes=scopes),
            connection=(ConnectionSection(id=f"con-{name}", congestion_point=POINT),),
        )
        for name, scopes in GRANTS.items()
    )
    return msgspec.structs.replace(config(folder), party=parties)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Everybody's offer was planned, executed from 13:00 to 14:00, measured and billed; it is 14:00."""
    with live(configured(tmp_path_factory.mktemp("hub"))) as running:
        for name in GRANTS:
            running.tokens[name] = running.call(running.running.hub.add_token(name, Role.PROSUMER))
            offer = msgspec.structs.replace(
                make_offer(f"o-{name}", name), label=f"{name}'s car", extras={"note": f"of {name}"}
            )
            assert running.request("POST", "/flexoffer", name, offer).status == 201
        running.tokens["mo"] = running.call(running.running.hub.add_token("mo", Role.MARKET_OPERATOR))
        running.plan()
        for hours in (1, 2):
            running.clock.now = NOON + hours * HOUR
            running.quiet()
        for name in GRANTS:
            reading = Measurement(subject=f"con-{name}", start=NOON + HOUR, values_kwh=(0.5,) * 4, offer=f"o-{name}")
            assert running.request("POST", "/flexoffer/measurement", name, reading).status == 201
        assert running.request("POST", "/settlement", AGGREGATOR).status == 202
        running.quiet()
        yield running


def offers(hub: Live, who: str = AGGREGATOR) -> list[Any]:
    items: list[Any] = hub.get(f"/flexoffer/{DAY}", who)["items"]
    return items


def energies(hub: Live, who: str, kind: str = "schedule", query: str = "") -> set[float | None]:
    (series,) = hub.get(f"/timeseries/{kind}/{DAY}{query}", who)["items"]
    return set(series["values_kwh"][52:56])


def test_an_aggregator_sees_by_name_whose_contract_lets_it_plan(hub: Live) -> None:
    seen = {offer["issuer"]: offer for offer in offers(hub)}
    assert len(seen) == 6
    assert seen["ann"] == hub.get("/flexoffer/o-ann", "ann")
    others = [offer for offer in seen.values() if offer["issuer"] != "ann"]
    for offer in others:
        for name in ("id", "issuer", "contract"):
            assert PSEUDONYM.fullmatch(offer[name]), offer
    assert len({offer["contract"] for offer in others}) == 5
    own = hub.get("/flexoffer/o-hidden-bob", "hidden-bob")
    assert {"label", "extras"} < set(own)
    for offer in others:
        changed = {name for name, value in own.items() if offer.get(name) != value}
        assert changed == {"id", "issuer", "contract", "label", "extras"}


def test_nothing_an_aggregator_can_ask_names_who_did_not_grant_it(hub: Live) -> None:
    """The contracts themselves are the aggregator's own papers; all else is looked through, in both vocabularies."""
    paths = [f"/flexoffer/{DAY}", "/flexoffer", "/bill", "/kpi?from=2026-03-02T00:00:00Z"]
    paths += [f"/timeseries/{kind}/{DAY}" for kind in ("schedule", "baseline", "measurement")]
    for path in paths:
        for accept in ("application/json", "application/vnd.goflex+json"):
            answer = hub.request("GET", path, AGGREGATOR, headers={"Accept": accept})
            assert answer.status == 200, answer
            for leaked in ("hidden-bob", "cem"):
                assert leaked.encode() not in answer.body, path
    assert b"hidden-bob" in hub.request("GET", f"/flexoffer/{DAY}", "root").body


def test_by_its_name_a_pseudonymous_offer_is_not_found(hub: Live) -> None:
    assert hub.request("GET", "/flexoffer/o-ann", AGGREGATOR).status == 200
    hidden, absent = (hub.request("GET", f"/flexoffer/{o}", AGGREGATOR) for o in ("o-hidden-bob", "o-nobody"))
    assert (hidden.status, absent.status) == (404, 404)
    assert hidden.body.replace(b"o-hidden-bob", b"") == absent.body.replace(b"o-nobody", b"")
    assert hub.request("GET", "/flexoffer/o-hidden-bob", "hidden-bob").status == 200


def test_a_series_of_one_subject_is_found_as_the_subject_is_seen(hub: Live) -> None:
    assert energies(hub, AGGREGATOR) == {3.0}, "the sum is whole"
    assert energies(hub, AGGREGATOR, query="?subject=ann") == {0.5}
    assert energies(hub, AGGREGATOR, query="?subject=hidden-bob") == {None}
    hidden = next(o["issuer"] for o in offers(hub) if o["issuer"] != "ann")
    assert energies(hub, AGGREGATOR, query=f"?subject={hidden}") == {0.5}
    assert energies(hub, AGGREGATOR, "measurement", "?subject=con-ann") == {0.5}
    assert energies(hub, AGGREGATOR, "measurement", "?subject=con-hidden-bob") == {None}


def test_bills_are_named_where_settlement_is_granted(hub: Live) -> None:
    bills = hub.get("/bill", AGGREGATOR)
    assert bills["factual_eur"] == "6.00"
    named = [bill for bill in bills["items"] if bill["party"] == "ann"]
    assert named == hub.get("/bill", "ann")["items"]
    for bill in bills["items"]:
        if bill["party"] != "ann":
            for value in (bill["id"], bill["party"], bill["contract"], bill["lines"][0]["offer"]):
                assert PSEUDONYM.fullmatch(value)


def test_a_stream_tells_an_aggregator_no_more_than_its_lists(hub: Live) -> None:
    seen: set[str] = set()
    with listen(hub, AGGREGATOR, "?after=0") as events:
        while len(seen) < 6:
            _, topic, data = events.next()
            assert "hidden-bob" not in str(data)
            if topic == "flexoffer":
                seen.add(data["id"])
    assert seen == {offer["id"] for offer in offers(hub)}
    with listen(hub, "hidden-bob", "?after=0") as events:
        assert events.next()[1] == "contract"
        assert events.next()[2]["id"] == "o-hidden-bob"


def test_operators_get_sums_over_enough(hub: Live) -> None:
    # Of six, one granted the grid's scope and one the market's: five others are just enough for either.
    for who in ("dso", "util", "mo"):
        for kind in ("schedule", "measurement"):
            assert energies(hub, who, kind) == {3.0}, who
            assert energies(hub, who, kind, f"?subject={POINT}") == {3.0}
            assert energies(hub, who, kind, "?subject=hidden-bob") == {None}
            assert energies(hub, who, kind, "?subject=o-hidden-bob") == {None}
            assert energies(hub, who, kind, "?subject=elsewhere") == {None}
    for who, granted in (("dso", "cem"), ("util", "dee"), ("mo", "dee")):
        assert energies(hub, who, query=f"?subject={granted}") == {0.5}
        assert energies(hub, who, "measurement", f"?subject=con-{granted}") == {0.5}
    assert energies(hub, "dso", query="?subject=dee") == {None}, "another scope than the grid's"
    assert energies(hub, "mo", query="?subject=cem") == {None}, "another scope than the market's"


def test_operators_see_no_single_offer_bill_or_contract(hub: Live) -> None:
    for who in ("dso", "util", "mo"):
        for path in ("/flexoffer", f"/flexoffer/{DAY}", "/flexoffer/o-cem", "/bill", "/contract", "/kpi"):
            assert hub.request("GET", path, who).status == 403, path


def test_too_few_are_left_out_of_every_sum(fresh: Live) -> None:
    """Two prosumers of the default scopes, which grant operators nothing."""
    for name in ("ann", "bob"):
        assert fresh.request("POST", "/flexoffer", name, make_offer(f"o-{name}", name)).status == 201
    fresh.plan()
    assert energies(fresh, AGGREGATOR) == {1.0}
    assert energies(fresh, "dso") == {None}
    granted = msgspec.structs.replace(make_contract("ann"), scopes=(Scope.PLANNING, Scope.GRID))
    assert fresh.request("PUT", "/contract/c-ann", AGGREGATOR, granted).status == 200
    assert energies(fresh, "dso") == {0.5}
    assert fresh.request("PUT", "/contract/c-ann", AGGREGATOR, make_contract("ann")).status == 200
    assert energies(fresh, "dso") == {None}, "what is granted can be taken back at once"


def test_a_request_of_its_own_makes_no_place_for_a_grid_operator(fresh: Live) -> None:
    """Else it could cut a crowd into pieces, and have each as the difference of two sums."""
    offer = msgspec.structs.replace(make_offer("o-ann", "ann"), location="ean.871685900012636543")
    assert fresh.request("POST", "/flexoffer", "ann", offer).status == 201
    granted = msgspec.structs.replace(make_contract("ann"), scopes=(Scope.GRID,))
    assert fresh.request("PUT", "/contract/c-ann", AGGREGATOR, granted).status == 200
    kwh = energies(fresh, "dso", "baseline")
    assert fresh.request("POST", "/flexrequest", "dso", make_request("r-1")).status == 201
    assert energies(fresh, "dso", "baseline") == kwh == {2.0}


def test_a_cursor_names_nobodys_offer(fresh: Live) -> None:
    for i in range(3):
        assert fresh.request("POST", "/flexoffer", "ann", make_offer(f"o-ann-{i}", "ann")).status == 201
    page = fresh.get("/flexoffer?limit=2", AGGREGATOR)
    rest = fresh.get(f"/flexoffer?limit=2&cursor={page['next']}", AGGREGATOR)
    assert [o["id"] for o in (*page["items"], *rest["items"])] == ["o-ann-0", "o-ann-1", "o-ann-2"]
    others = fresh.get("/flexoffer?limit=2", "other-agr")
    assert others["items"] == []
    assert "o-ann" not in page["next"] + others["next"], "another aggregator would learn of it"
    assert others["next"] != page["next"]
    stolen = fresh.request("GET", f"/flexoffer?cursor={page['next']}", "other-agr")
    assert (stolen.status, stolen.json["path"]) == (422, "query/cursor")


def test_an_id_of_any_letters_holds_up_no_page(fresh: Live) -> None:
    """An aggregator pages on behind an offer whose issuer gave it the longest id there is."""
    for i in range(2):
        offer = make_offer(f"{i}" + "\N{AUTOMOBILE}" * 127, "ann")
        assert fresh.request("POST", "/flexoffer", "ann", offer).status == 201
    for who in (AGGREGATOR, "ann"):
        page = fresh.get("/flexoffer?limit=1", who)
        rest = fresh.get(f"/flexoffer?limit=1&cursor={page['next']}", who)
        assert [o["id"][0] for o in (*page["items"], *rest["items"])] == ["0", "1"]


def test_the_secret_outlives_the_process_and_is_served_nowhere(tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        with live(configured(tmp_path)) as running:
            running.tokens["gil"] = running.call(running.running.hub.add_token("gil", Role.PROSUMER))
            running.request("POST", "/flexoffer", "gil", encode(make_offer("o-gil", "gil")))
            (offer,) = offers(running)
            names.append((offer["id"], offer["issuer"]))
            assert running.request("GET", "/secret", "root").status == 404
    assert names[0] == names[1]
