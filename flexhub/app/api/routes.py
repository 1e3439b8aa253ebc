"""The routes: one table, which the server serves, the access check asks, and the OpenAPI document is made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec
from aiohttp import web

from flexhub.app.api import calls, exports, stream, trading
from flexhub.app.api import messages as m
from flexhub.app.api.calls import Call, Reply, Service
from flexhub.app.exchange.auction import BIDDERS, Round
from flexhub.app.exchange.market import Receipt, Registration
from flexhub.app.exchange.offers import Decline
from flexhub.app.exchange.sight import REACH, Data, Reach
from flexhub.app.hub.readiness import Ready
from flexhub.app.uftp.outgoing import Outgoing, Outgone, Run
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.registry import Role
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Bid, Contract, FlexRequest
from flexhub.engines.slots import MarketSession

OWNERS: Final = (Role.PROSUMER, Role.AGGREGATOR, Role.ADMIN)
ASKERS: Final = (Role.GRID_OPERATOR, Role.UTILITY)
WRITING: Final = (400, 401, 403, 408, 409, 411, 413, 415, 422)
READING: Final = (401, 403, 422)
STREAM: Final = "/flexoffer/stream"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    `args` are its path and query parameters, `body` what it takes, `returns` what it answers by status (None: `media`),
    `problems` the statuses of its problem documents. No `roles`: open to anyone. `scope` is what an OAuth token must be
    for. `shows` is what it tells of prosumers. `draft`: id and issuer may be absent.
    `tagged`: what it reads has an entity tag, or what it changes may be named by one. `of` is the role of a hub that
    serves it; None: every hub does. `streams`: its length is not known when its answer begins.
    """

    method: str
    path: str
    call: Callable[[Service, Call], Awaitable[Reply | web.StreamResponse]]
    name: str
    text: str
    returns: dict[int, Any]
    args: type[m.Arguments] = m.Arguments
    body: Any = None
    roles: tuple[Role, ...] = ()
    scope: str = ""
    shows: tuple[Data, ...] = ()
    problems: tuple[int, ...] = READING
    draft: bool = False
    goflex: bool = False
    tagged: bool = False
    clause: str = "GOFLEX D2.1 Table 6"
    media: str = "text/event-stream"
    streams: bool = False
    of: Role | None = Role.AGGREGATOR

    def reach(self, role: Role) -> Reach | None:
        """How far a role sees and acts here; None: it may not call."""
        if role not in self.roles:
            return None
        far = REACH[role]
        # Sums are of plans and readings alike: nothing but series is told that way.
        summed = set(self.shows) == {Data.OFFERS, Data.READINGS}
        if far is Reach.ALL or (self.shows and (far is not Reach.SUMS or summed)):
            return far
        return Reach.OWN


def _get(path: str, call: Any, name: str, returns: Any, text: str, **more: Any) -> Route:  # noqa: ANN401 - as in Route
    return Route(
        method="GET", path=path, call=call, name=name, text=text, returns={200: returns}, **{"roles": OWNERS} | more
    )


ROUTES: Final[tuple[Route, ...]] = (
    _get(
        "/contract",
        calls.get_contracts,
        "getContracts",
        m.Contracts,
        "Contracts of the caller.",
        args=m.Paging,
        scope="contract:read",
    ),
    Route(
        method="PUT",
        path="/contract/{id}",
        call=calls.put_contract,
        name="putContract",
        scope="contract:write",
        text="A contract of this hub's aggregator with a prosumer. The last one put is the one in force; an aggregator "
        "cannot take over a prosumer whose contract with another one is in force.",
        args=m.OfferId,
        tagged=True,
        body=Contract,
        returns={200: Contract, 201: Contract},
        roles=(Role.AGGREGATOR, Role.ADMIN),
        problems=WRITING,
        clause="flexhub",
    ),
    Route(
        method="PUT",
        path="/party/{id}",
        call=calls.put_party,
        name="putParty",
        of=None,
        scope="party:write",
        text="Registers a party with its connections and resources.",
        args=m.OfferId,
        tagged=True,
        body=Registration,
        returns={201: Registration},
        roles=(Role.ADMIN,),
        problems=WRITING,
        clause="flexhub",
    ),
    Route(
        method="POST",
        path="/uftp/message",
        call=calls.send_uftp,
        name="sendUftpMessage",
        of=None,
        scope="uftp:write",
        text="Sends a UFTP message of this hub: it is signed, and sent until it is taken. Metadata that it leaves out "
        "is added. A message that breaks a rule is not sent. What comes of it is told by the notice uftp.settled.",
        body=Outgoing,
        returns={202: Outgone},
        roles=(Role.ADMIN,),
        problems=(*WRITING, 404),
        clause="UFTP 3.1.0",
    ),
    Route(
        method="POST",
        path="/uftp/run",
        call=calls.run_uftp,
        name="runUftp",
        of=None,
        scope="uftp:write",
        text="Has something done now about a local day at a congestion point that this hub trades at: a prognosis or "
        "the metering (as an AGR), or the settlement (as a DSO).",
        body=Run,
        returns={202: m.Empty},
        roles=(Role.ADMIN,),
        problems=(*WRITING, 404),
        clause="UFTP 3.1.0",
    ),
    _get(
        "/party/{id}/export",
        exports.get_export,
        "getExport",
        m.Export,
        "All that is stored about a party. Its documents, every message that it sent with the answer, every notice to "
        "it, its tokens (without the secret), its requests, and what was kept after an erasure. A prosumer gets its "
        "own, an admin anyone's. One at a time for each party.",
        args=m.PartyId,
        roles=(Role.PROSUMER, Role.ADMIN),
        scope="party:read",
        of=None,
        problems=(*READING, 404),
        clause="GDPR articles 15 and 20",
        streams=True,
    ),
    _get(
        "/bill",
        calls.get_bills,
        "getBills",
        m.Bills,
        "Bills of a period, or all; factual and predicted amounts.",
        args=m.OptionalPeriod,
        scope="bill:read",
        shows=(Data.BILLS,),
    ),
    Route(
        method="POST",
        path="/flexoffer",
        call=calls.post_offer,
        name="postFlexOffer",
        scope="flexoffer:write",
        text="Offers flexibility. The offer is accepted or rejected at once and returned with its id (201); the same "
        "offer again changes nothing and is returned as it is now (200). Without an id it gets a new one.",
        body=FlexOffer,
        draft=True,
        goflex=True,
        returns={200: FlexOffer, 201: FlexOffer},
        roles=(Role.PROSUMER,),
        problems=WRITING,
    ),
    _get(
        "/flexoffer",
        calls.get_offers,
        "getFlexOffers",
        m.Offers,
        "Flex-offers that are not settled yet: a prosumer's own, an aggregator's portfolio. A page may hold fewer than "
        "`limit` items; the last page has no `next`.",
        args=m.Paging,
        goflex=True,
        scope="flexoffer:read",
        shows=(Data.OFFERS,),
    ),
    _get(
        STREAM,
        stream.stream,
        "streamChanges",
        None,
        "Changes as server-sent events: `event` is `flexoffer`, `flexrequest`, `contract`, `bill`, `plan`, `session` "
        "or `trade`, `data` its JSON. For a flex-offer that is its id, state and schedule. `Last-Event-ID` resumes "
        "after that event. "
        "With `Upgrade: websocket` the same over a WebSocket: each message is an array of `{seq, topic, data}`.",
        args=m.Resume,
        roles=tuple(Role),
        scope="stream",
        shows=(Data.OFFERS,),
        of=None,
        streams=True,
    ),
    _get(
        "/flexoffer/{from}/{to}",
        calls.get_history,
        "getHistory",
        m.Offers,
        "Flex-offers about a period, in any state.",
        args=m.History,
        goflex=True,
        scope="flexoffer:read",
        shows=(Data.OFFERS,),
    ),
    _get(
        "/flexoffer/{id}",
        calls.get_offer,
        "getFlexOffer",
        FlexOffer,
        "One flex-offer.",
        args=m.OfferId,
        tagged=True,
        problems=(*READING, 404),
        goflex=True,
        scope="flexoffer:read",
        shows=(Data.OFFERS,),
    ),
    Route(
        method="PUT",
        path="/flexoffer/{id}",
        call=calls.put_offer,
        name="putFlexOffer",
        scope="flexoffer:write",
        text="Replaces an offer that is not assigned yet; it is judged afresh.",
        args=m.OfferId,
        tagged=True,
        body=FlexOffer,
        draft=True,
        goflex=True,
        returns={200: FlexOffer},
        roles=(Role.PROSUMER,),
        problems=(*WRITING, 404),
    ),
    Route(
        method="DELETE",
        path="/flexoffer/{id}",
        call=calls.delete_offer,
        name="deleteFlexOffer",
        scope="flexoffer:write",
        text="Takes an offer back that is not assigned yet.",
        args=m.OfferId,
        tagged=True,
        goflex=True,
        returns={200: FlexOffer},
        roles=(Role.PROSUMER,),
        problems=(*READING, 404, 409),
    ),
    Route(
        method="POST",
        path="/flexoffer/{id}/confirmation",
        call=calls.confirm_offer,
        name="confirmSchedule",
        scope="flexoffer:write",
        text="The issuer will carry its schedule out.",
        args=m.OfferId,
        tagged=True,
        returns={200: FlexOffer},
        roles=(Role.PROSUMER,),
        problems=(*READING, 404, 409),
        clause="GOFLEX D2.1 1.5",
    ),
    Route(
        method="POST",
        path="/flexoffer/{id}/refusal",
        call=calls.decline_offer,
        name="declineSchedule",
        scope="flexoffer:write",
        text="The issuer won't carry its schedule out; the offer is canceled.",
        args=m.OfferId,
        tagged=True,
        body=Decline,
        returns={200: FlexOffer},
        roles=(Role.PROSUMER,),
        problems=(*WRITING, 404),
        clause="GOFLEX D2.1 1.5",
    ),
    Route(
        method="POST",
        path="/flexoffer/measurement",
        call=calls.post_measurements,
        name="postMeasurements",
        scope="measurement:write",
        text="Meter readings: one measurement or a list of at most 1000, taken whole or not at all. The same slot "
        "again replaces what was there.",
        body=Measurement | tuple[Measurement, ...],
        returns={201: Receipt},
        roles=(Role.PROSUMER,),
        problems=(*WRITING, 404),
    ),
    _get(
        "/timeseries/{kind}/{from}/{to}",
        calls.get_series,
        "getTimeSeries",
        m.SeriesList,
        "Energy per quarter-hour of a period: what was measured, the default schedules, or the assigned ones; the sum "
        "over the caller's own, or over an aggregator's portfolio. Grid operators, utilities and market operators get "
        "the sum over all offers, or over those at a congestion point (`subject`); who granted them nothing counts "
        "only in sums over enough others.",
        args=m.Series,
        roles=tuple(Role),
        scope="timeseries:read",
        shows=(Data.OFFERS, Data.READINGS),
    ),
    _get(
        "/kpi",
        calls.get_kpi,
        "getKpi",
        m.Kpi,
        "Key figures of a period, today unless told.",
        args=m.OptionalPeriod,
        scope="timeseries:read",
        shows=(Data.OFFERS, Data.BILLS),
    ),
    Route(
        method="POST",
        path="/flexrequest",
        call=calls.post_request,
        name="postFlexRequest",
        scope="flexrequest:write",
        text="Asks an aggregator for flexibility at a congestion point. A higher revision replaces a lower one.",
        body=FlexRequest,
        returns={200: FlexRequest, 201: FlexRequest},
        roles=ASKERS,
        problems=WRITING,
        clause="flexhub",
    ),
    _get(
        "/flexrequest",
        calls.get_requests,
        "getFlexRequests",
        m.Requests,
        "Flex-requests that the caller made or got.",
        args=m.Paging,
        roles=(*ASKERS, Role.AGGREGATOR, Role.ADMIN),
        clause="flexhub",
        scope="flexrequest:read",
    ),
    Route(
        method="POST",
        path="/plan",
        call=calls.ask_plan,
        name="askPlan",
        scope="plan",
        text="Plans the aggregator's portfolio now; schedules follow on the streams.",
        returns={202: m.Empty},
        roles=(Role.AGGREGATOR,),
        clause="flexhub",
    ),
    Route(
        method="POST",
        path="/settlement",
        call=calls.ask_settle,
        name="askSettlement",
        scope="plan",
        text="Settles the aggregator's portfolio now; bills follow on the streams.",
        returns={202: m.Empty},
        roles=(Role.AGGREGATOR,),
        clause="flexhub",
    ),
    _get(
        "/health",
        calls.get_health,
        "getHealth",
        m.Health,
        "Whether the hub answers.",
        roles=(),
        problems=(),
        clause="flexhub",
        of=None,
    ),
    Route(
        method="GET",
        path="/ready",
        call=calls.get_ready,
        name="getReady",
        of=None,
        text="Whether the hub can be relied upon, and if not, why: 503 while it cannot take messages.",
        returns={200: Ready, 503: Ready},
        problems=(),
        clause="flexhub",
    ),
    Route(
        method="GET",
        path="/metrics",
        call=calls.get_metrics,
        name="getMetrics",
        of=None,
        text="What the hub has counted and measured, for Prometheus (OpenMetrics); of all its processes.",
        returns={200: None},
        media="application/openmetrics-text",
        scope="metrics:read",
        roles=(Role.ADMIN,),
        clause="flexhub",
    ),
    Route(
        method="POST",
        path="/market",
        call=trading.post_session,
        name="postSession",
        text="Opens a session: what is demanded in each slot, up to which price, and when its gate closes. Then it is "
        "cleared. The same session again changes nothing.",
        body=MarketSession,
        returns={200: Round, 201: Round},
        roles=(Role.MARKET_OPERATOR,),
        scope="market:write",
        problems=WRITING,
        of=Role.MARKET_OPERATOR,
        clause="GOFLEX FMAR",
    ),
    _get(
        "/market",
        trading.get_sessions,
        "getSessions",
        m.Rounds,
        "Sessions, and once they are cleared the price of each slot.",
        args=m.Paging,
        roles=tuple(Role),
        scope="market:read",
        of=Role.MARKET_OPERATOR,
        clause="GOFLEX FMAR",
    ),
    _get(
        "/market/{id}",
        trading.get_session,
        "getSession",
        Round,
        "One session.",
        args=m.SessionId,
        roles=tuple(Role),
        scope="market:read",
        problems=(*READING, 404),
        of=Role.MARKET_OPERATOR,
        clause="GOFLEX FMAR",
    ),
    Route(
        method="POST",
        path="/market/{id}/bid",
        call=trading.post_bid,
        name="postBid",
        text="Bids in a session until its gate closes. The same bid again changes nothing.",
        args=m.SessionId,
        body=Bid,
        returns={200: Bid, 201: Bid},
        roles=BIDDERS,
        scope="market:write",
        problems=(*WRITING, 404),
        of=Role.MARKET_OPERATOR,
        clause="GOFLEX FMAR",
    ),
    _get(
        "/market/{id}/bid",
        trading.get_bids,
        "getBids",
        m.Bids,
        "The caller's own bids in a session.",
        args=m.SessionPaging,
        roles=BIDDERS,
        scope="market:read",
        problems=(*READING, 404),
        of=Role.MARKET_OPERATOR,
        clause="GOFLEX FMAR",
    ),
    Route(
        method="DELETE",
        path="/market/{id}/bid/{bid}",
        call=trading.delete_bid,
        name="deleteBid",
        text="Takes a bid back before the gate closes.",
        args=m.BidId,
        returns={200: Bid},
        roles=BIDDERS,
        scope="market:write",
        problems=(*READING, 404),
        of=Role.MARKET_OPERATOR,
        clause="GOFLEX FMAR",
    ),
    _get(
        "/market/{id}/trade",
        trading.get_trades,
        "getTrades",
        m.Trades,
        "The caller's own trades in a session.",
        args=m.SessionPaging,
        roles=BIDDERS,
        scope="market:read",
        problems=(*READING, 404),
        of=Role.MARKET_OPERATOR,
        clause="GOFLEX FMAR",
    ),
)


def served(roles: Iterable[Role]) -> tuple[Route, ...]:
    """The routes of a hub that serves these roles; to its prosumers an agent's hub is as a manager's."""
    listed = {Role.AGGREGATOR if role is Role.PROSUMER else role for role in roles}
    return tuple(route for route in ROUTES if route.of is None or route.of in listed)
