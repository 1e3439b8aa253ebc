"""Every call, in every role, with what is the caller's own, somebody else's, and nobody's.

The cases are made from the table of routes: what a role may do is `Route.reach`, which the page *Who sees what* prints.
A call that isn't in `ASKED` fails the walk.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from flexhub.app.api.route import Route
from flexhub.app.api.routes import ROUTES, STREAM
from flexhub.app.api.ven import OptWord
from flexhub.app.config import Config, ContractSection, PartySection
from flexhub.app.exchange.offers import Decline
from flexhub.app.exchange.papers import Membership
from flexhub.app.exchange.sight import Reach
from flexhub.app.openadr.vtn.utility import ReportSpec
from flexhub.app.uftp.outgoing import Outgoing, Run, What
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.registry import Role
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Contract, FlexRequest, Scope
from flexhub.protocols.openadr2b.names import OptType
from flexhub.protocols.openadr2b.session.state import VenSpec, VtnProgram
from tests.app.api.live import Live, Response, config, live
from tests.app.api.test_stream import listen
from tests.app.exchange.test_auction import bid, session
from tests.app.market import AGGREGATOR, NOON, make_contract, make_offer, make_request
from tests.app.openadr.vtn_stage import draft

HOUR = timedelta(hours=1)
DAY = "2026-03-02T00:00:00Z/2026-03-03T00:00:00Z"
OTHER_AGGREGATOR = "other-agr"

ONE, TWO = "prosumer-one", "prosumer-two"
HIDDEN = "prosumer-hidden"
"""Grants its aggregator nothing."""
FAR = "prosumer-far"
"""Has its contract with another aggregator."""
NOBODY = "prosumer-nobody"
NO_VTN = "no-vtn"
"""Whose what a VTN has is, in a hub that is none, and no VTN's VEN."""
PROSUMERS: Final = (ONE, TWO, HIDDEN, FAR)

CALLERS: Final = {
    ONE: Role.PROSUMER,
    AGGREGATOR: Role.AGGREGATOR,
    OTHER_AGGREGATOR: Role.AGGREGATOR,
    "mo": Role.MARKET_OPERATOR,
    "dso": Role.GRID_OPERATOR,
    "util": Role.UTILITY,
    "root": Role.ADMIN,
}
REACHED: Final = {
    ONE: {ONE},
    AGGREGATOR: {ONE, TWO},
    OTHER_AGGREGATOR: {FAR},
    "root": set(PROSUMERS),
}
"""Whom a caller may read of by name; the others may of nobody."""

FRESH = itertools.count()


class Ask(NamedTuple):
    """A request: its path, its body, and the party whose thing it is about (None: it lists what there is)."""

    path: str
    body: msgspec.Struct | None = None
    whose: str | None = None


def offer_id(whose: str, for_: str) -> str:
    """The id of an offer that is there to have one thing done to it."""
    return f"{whose}.{for_}"


def listing(path: str) -> Callable[[str], list[Ask]]:
    return lambda caller: [Ask(path)]  # noqa: ARG005 - the same for everyone


def owners(caller: str) -> tuple[str, str, str]:
    """Whose offers are tried: the caller's own where it has any, somebody else's, nobody's."""
    return (caller if caller in PROSUMERS else ONE, TWO, NOBODY)


def on_offer(for_: str, suffix: str = "", *, body: msgspec.Struct | None = None) -> Callable[[str], list[Ask]]:
    def ask(caller: str) -> list[Ask]:
        asks = []
        for whose in owners(caller):
            id_ = offer_id(whose, for_)
            given = msgspec.structs.replace(make_offer(id_, caller), label="changed") if for_ == "put" else body
            asks.append(Ask(f"/flexoffer/{id_}{suffix}", given, whose))
        return asks

    return ask


def post_offer(caller: str) -> list[Ask]:
    return [Ask("/flexoffer", make_offer(f"new.{next(FRESH)}", whose), whose) for whose in owners(caller)]


def put_contract(caller: str) -> list[Ask]:  # noqa: ARG001 - as others
    def ask(prosumer: str, aggregator: str) -> Ask:
        contract = make_contract(prosumer, aggregator=aggregator)
        # Another aggregator's is not this hub's to make, whoever says so.
        return Ask(f"/contract/{contract.id}", contract, AGGREGATOR if aggregator == AGGREGATOR else "another")

    return [ask(ONE, AGGREGATOR), ask(FAR, OTHER_AGGREGATOR), ask(NOBODY, "nobody")]


def put_party(caller: str) -> list[Ask]:
    def entry(who: str) -> Any:
        return msgspec.convert({"party": {"id": who, "name": who, "roles": ["prosumer"]}}, Any)

    return [Ask(f"/party/{who}", msgspec.defstruct("Entry", ["party"])(**entry(who)), who) for who in owners(caller)]


def get_export(caller: str) -> list[Ask]:
    never_heard_of = f"{NOBODY}-at-all"  # of nobody there may be a contract by now
    return [Ask(f"/party/{whose}/export", None, whose) for whose in (*owners(caller)[:2], never_heard_of)]


def post_measurement(caller: str) -> list[Ask]:
    start = NOON - HOUR + timedelta(minutes=15) * (next(FRESH) % 4)
    return [
        Ask(
            "/flexoffer/measurement",
            Measurement(subject=whose, start=start, values_kwh=(0.5,), offer=offer_id(whose, "get")),
            whose,
        )
        for whose in owners(caller)
    ]


def post_request(caller: str) -> list[Ask]:
    asker = {"dso": "util", "util": "dso"}.get(caller, "dso")
    return [Ask("/flexrequest", make_request(f"r.{next(FRESH)}", whose), whose) for whose in (caller, asker, "nobody")]


def get_series(caller: str) -> list[Ask]:
    kinds = ("schedule", "baseline", "measurement")
    one_by_one = [
        Ask(f"/timeseries/{kind}/{DAY}?subject={name}", None, whose)
        for kind in kinds
        for whose in owners(caller)
        for name in (whose, offer_id(whose, "get"))
    ]
    return [*one_by_one, *(Ask(f"/timeseries/{kind}/{DAY}") for kind in kinds)]


def post_session(caller: str) -> list[Ask]:
    return [Ask("/market", session(f"s.{next(FRESH)}"), caller)]


def post_bid(caller: str) -> list[Ask]:
    return [Ask("/market/open/bid", bid(f"b.{next(FRESH)}", whose, 1.0, 0.1), whose) for whose in owners(caller)]


def delete_bid(caller: str) -> list[Ask]:
    return [Ask(f"/market/open/bid/{offer_id(whose, 'bid')}", None, whose) for whose in owners(caller)]


def send_uftp(caller: str) -> list[Ask]:  # noqa: ARG001 - as others
    return [Ask("/uftp/message", Outgoing(xml="<FlexRequest/>", to="agr.example.com"), NOBODY)]  # the hub takes no part


def of_vtn(path: str, body: msgspec.Struct | None = None) -> Callable[[str], list[Ask]]:
    return lambda caller: [Ask(path, body, NO_VTN)]  # noqa: ARG005 - the same for everyone


def run_uftp(caller: str) -> list[Ask]:  # noqa: ARG001 - as others
    order = Run(what=What.PROGNOSIS, congestion_point="ean.871685900012636543", day="2026-03-02")
    return [Ask("/uftp/run", order, NOBODY)]  # the hub takes no part


ASKED: Final[dict[str, Callable[[str], list[Ask]]]] = {
    "postSession": post_session,
    "getSessions": listing("/market"),
    "getSession": listing("/market/open"),
    "postBid": post_bid,
    "getBids": listing("/market/open/bid"),
    "deleteBid": delete_bid,
    "getTrades": listing("/market/open/trade"),
    "getContracts": listing("/contract"),
    "putContract": put_contract,
    "putParty": put_party,
    "getExport": get_export,
    "sendUftpMessage": send_uftp,
    "runUftp": run_uftp,
    "putVtnProgram": of_vtn("/vtn/program", VtnProgram(market_context="http://utility.example/p")),
    "getVtnPrograms": listing("/vtn/program"),
    "putVtnVen": of_vtn("/vtn/ven/v", VenSpec()),
    "getVtnVens": listing("/vtn/ven"),
    "getVtnVen": of_vtn("/vtn/ven/v"),
    "cancelVtnVen": of_vtn("/vtn/ven/v"),
    "askVtnVen": of_vtn("/vtn/ven/v/registration"),
    "getVtnGroups": listing("/vtn/group"),
    "postVtnEvent": of_vtn("/vtn/event", draft(NOON)),
    "getVtnEvents": listing("/vtn/event"),
    "getVtnEvent": of_vtn("/vtn/event/e"),
    "putVtnEvent": of_vtn("/vtn/event/e", draft(NOON)),
    "cancelVtnEvent": of_vtn("/vtn/event/e"),
    "getVtnAnswers": of_vtn("/vtn/event/e/answer"),
    "getVtnOpts": listing("/vtn/opt"),
    "getVtnReports": of_vtn("/vtn/ven/v/report"),
    "postVtnReport": of_vtn("/vtn/ven/v/report", ReportSpec(report_specifier_id="METADATA")),
    "cancelVtnReport": of_vtn("/vtn/ven/v/report/q"),
    "getVtnData": of_vtn("/vtn/ven/v/data"),
    "getVenRegistration": of_vtn("/ven/utility"),
    "getVenEvents": of_vtn("/ven/utility/event"),
    "putVenOpt": of_vtn("/ven/utility/event/e/opt", OptWord(opt=OptType.OPT_OUT)),
    "getBills": listing("/bill"),
    "postFlexOffer": post_offer,
    "getFlexOffers": listing("/flexoffer"),
    "streamChanges": listing("/flexoffer/stream"),
    "getHistory": listing(f"/flexoffer/{DAY}"),
    "getFlexOffer": on_offer("get"),
    "putFlexOffer": on_offer("put"),
    "deleteFlexOffer": on_offer("delete"),
    "confirmSchedule": on_offer("confirm", "/confirmation"),
    "declineSchedule": on_offer("decline", "/refusal", body=Decline()),
    "postMeasurements": post_measurement,
    "getTimeSeries": get_series,
    "getKpi": listing("/kpi?from=2026-03-02T00:00:00Z"),
    "postFlexRequest": post_request,
    "getFlexRequests": listing("/flexrequest"),
    "askPlan": listing("/plan"),
    "askSettlement": listing("/settlement"),
    "getHealth": listing("/health"),
    "getReady": listing("/ready"),
    "getMetrics": listing("/metrics"),
}
"""Call -> what each caller asks of it."""


def configured(folder: Path) -> Config:
    parties = tuple(
        PartySection(
            id=name,
            roles=(Role.PROSUMER,),
            contract=ContractSection(id=f"c-{name}", scopes=() if name == HIDDEN else tuple(Scope)[:2]),
        )
        for name in (ONE, TWO, HIDDEN)
    )
    return msgspec.structs.replace(config(folder), party=parties)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Everybody has offers for each thing that can be done to one, readings, and requests; nothing is settled."""
    with live(configured(tmp_path_factory.mktemp("hub"))) as running:
        for who, role in (CALLERS | dict.fromkeys(PROSUMERS, Role.PROSUMER)).items():
            running.tokens[who] = running.call(running.running.hub.add_token(who, role))
        far = make_contract(FAR, aggregator=OTHER_AGGREGATOR)
        assert running.request("PUT", f"/contract/c-{FAR}", "root", far).status == 201
        _offer(running, "get", "confirm", "decline")
        running.plan()
        _offer(running, "put", "delete")
        for who in PROSUMERS:
            reading = Measurement(subject=who, start=NOON - 2 * HOUR, values_kwh=(0.5,), offer=offer_id(who, "get"))
            assert running.request("POST", "/flexoffer/measurement", who, reading).status == 201
        for who in ("dso", "util"):
            assert running.request("POST", "/flexrequest", who, make_request(f"request-of-{who}", who)).status == 201
        assert running.request("POST", "/market", "mo", session("open")).status == 201
        for who in PROSUMERS:
            mine = bid(offer_id(who, "bid"), who, 1.0, 0.1)
            assert running.request("POST", "/market/open/bid", who, mine).status == 201
        assert running.get("/flexoffer", AGGREGATOR)["items"]  # makes the secret of pseudonyms
        yield running


def _offer(hub: Live, *uses: str) -> None:
    for who, use in itertools.product(PROSUMERS, uses):
        assert hub.request("POST", "/flexoffer", who, make_offer(offer_id(who, use), who)).status == 201


def stored(hub: Live) -> dict[tuple[str, str], tuple[str, bytes]]:
    """Every document, and whose it is."""
    rows = hub.running.hub.store.all_documents(("", ""), 10_000)
    return {(row.kind, row.id): (row.owner, row.body) for row in rows}


WALK: Final = [
    pytest.param(route, caller, id=f"{route.name}-{caller}")
    for route in ROUTES
    for caller in CALLERS
    if route.roles and route.path != STREAM  # which doesn't end: below
]


def names_in(body: bytes, ask: Ask) -> set[str]:
    """The prosumers that an answer names, beyond what the question said."""
    said = ask.path.encode() + (msgspec.json.encode(ask.body) if ask.body is not None else b"")
    if ask.path.endswith("/export") and b'"requests":' in body:  # which repeats the paths that the caller asked for
        told = msgspec.json.decode(body)
        del told["requests"]
        body = msgspec.json.encode(told)
    return {who for who in PROSUMERS if who.encode() in body and who.encode() not in said}


@pytest.mark.parametrize(("route", "caller"), WALK)
def test_nobody_reads_or_changes_what_is_not_theirs(hub: Live, route: Route, caller: str) -> None:
    reach = route.reach(CALLERS[caller])
    reached = REACHED.get(caller, set())
    if route.name == "getContracts" and caller == AGGREGATOR:
        reached = reached | {HIDDEN}  # the contract itself is the aggregator's own paper
    for ask in ASKED[route.name](caller):
        before, journal = stored(hub), hub.journal()
        answer = hub.request(route.method, ask.path, caller, ask.body)
        hub.quiet()
        after = stored(hub)
        changed = {before.get(key, value)[0] for key, value in after.items() if before.get(key) != value}
        assert names_in(answer.body, ask) <= reached, (ask, answer)
        if reach is None:
            assert answer.status == 403, (ask, answer)
        elif ask.whose is not None:
            _of_one(route, reach, caller, ask, answer)
        else:
            assert answer.status in {200, 202}, (ask, answer)
        if reach is None or answer.status >= 400 or route.method == "GET":
            assert (changed, hub.journal()) == (set(), journal), (ask, answer)
        elif reach is not Reach.ALL:
            assert changed <= _may_change(caller), (ask, changed)


def _may_change(caller: str) -> set[str]:
    """Whose documents: one's own; an aggregator those of its prosumers, by contracts, plans and bills."""
    return {caller, *REACHED.get(caller, ())} | ({HIDDEN} if caller == AGGREGATOR else set())


def _of_one(route: Route, reach: Reach, caller: str, ask: Ask, answer: Response) -> None:
    known = ask.whose in PROSUMERS
    reached = ask.whose == caller or (route.method == "GET" and ask.whose in REACHED.get(caller, set()))
    if route.name == "getTimeSeries":
        (series,) = answer.json["items"]
        told = any(value is not None for value in series["values_kwh"])
        assert answer.status == 200
        assert told is reached, (ask, series)
    elif reach is Reach.ALL:
        found = known or (route.method == "PUT" and ask.whose != NO_VTN)
        assert answer.status in ({200, 201} if found else {404}), (ask, answer)
    elif reached:
        assert answer.status in {200, 201}, (ask, answer)
    else:
        assert answer.status in {403, 404}, (ask, answer)
        if route.method == "GET":
            assert answer.status == 404, "as if it weren't there"


@pytest.mark.parametrize("caller", CALLERS)
def test_a_stream_tells_of_what_its_reader_may_see(hub: Live, caller: str) -> None:
    party = None if CALLERS[caller] is Role.ADMIN else caller
    expected = len(hub.running.hub.store.notices(party, 0, 10_000))
    told = []
    with listen(hub, caller, "?after=0") as events:
        told = [events.next() for _ in range(expected)]
    named = {who for who in PROSUMERS if who in json.dumps(told)}
    assert named <= REACHED.get(caller, set())
    assert named or caller not in REACHED


def test_everybody_still_has_what_is_theirs(hub: Live) -> None:
    """The walk left what it may not touch as it was made."""
    for who in (TWO, HIDDEN, FAR):
        for use in ("get", "put", "delete", "confirm", "decline"):
            offer = hub.get(f"/flexoffer/{offer_id(who, use)}", who)
            assert offer["state"] in {"accepted", "assigned"}
            assert "label" not in offer
    kinds = {kind for kind, _ in stored(hub)}
    assert {k.__name__ for k in (FlexOffer, Contract, Membership, Measurement, FlexRequest)} <= kinds


@pytest.mark.parametrize("route", [r for r in ROUTES if r.roles], ids=lambda r: r.name)
def test_without_a_token_of_ours_nothing_opens(hub: Live, route: Route) -> None:
    for ask in ASKED[route.name](ONE):
        for token in (None, "guessed", f"{hub.tokens[ONE]}x", hub.tokens[ONE][:-1], hub.tokens[ONE].swapcase()):
            journal = hub.journal()
            answer = hub.request(route.method, ask.path, token, ask.body)
            assert (answer.status, answer.json["code"]) == (401, "unauthorized")
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert names_in(answer.body, ask) == set()
            assert hub.journal() == journal


@pytest.mark.parametrize("route", [r for r in ROUTES if not r.roles], ids=lambda r: r.name)
def test_what_is_open_to_anyone_names_nobody(hub: Live, route: Route) -> None:
    for ask in ASKED[route.name](ONE):
        answer = hub.request(route.method, ask.path, None)
        assert answer.status == 200
        assert names_in(answer.body, ask) == set()


def test_what_is_measured_of_the_hub_names_nobody(hub: Live) -> None:
    answer = hub.request("GET", "/metrics", "root")
    assert answer.status == 200
    assert names_in(answer.body, Ask("/metrics")) == set()


def test_every_call_is_walked() -> None:
    assert set(ASKED) == {route.name for route in ROUTES}
    assert set(CALLERS.values()) == set(Role)
