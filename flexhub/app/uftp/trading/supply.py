"""What the manager engine is asked for an AGR: a prognosis, options for a request, schedules for an order, readings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from flexhub.app.exchange import figures
from flexhub.app.exchange.papers import PLANNABLE, Held
from flexhub.app.exchange.places import Places
from flexhub.app.exchange.portfolio import AHEAD, committed, course, every, movable
from flexhub.app.exchange.selling import OPEN as SELLING
from flexhub.app.exchange.selling import Selling
from flexhub.app.exchange.sold import Obligation
from flexhub.app.hub.contract import Question, Reads
from flexhub.app.uftp.papers import UftpMessage, place
from flexhub.app.uftp.trading.papers import OPEN, Subject, UftpDay, UftpOffering, UftpTrade, end_of
from flexhub.app.uftp.trading.reading import STANDING, said, trade_of
from flexhub.core.base import Model
from flexhub.core.errors import EngineError, NotFoundError
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.registry import Connection, Resource
from flexhub.core.timegrid import QUARTER_HOUR_S
from flexhub.core.timeseries import Measurement, SeriesKind, TimeSeries
from flexhub.core.trading import Contract, FlexRequest, RequestInterval
from flexhub.engines.slots import Assignment, ManagerEngine, Offering, Portfolio, Terms
from flexhub.mappings.uftp.context import Context, Day
from flexhub.mappings.uftp.requests import order_to_core, request_to_core
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.checks import powers

COUNTED: Final = (*PLANNABLE, State.EXECUTING, State.EXECUTED, State.SETTLED, State.EXPIRED)
"""States of offers that take energy.

Interpretation: of one that nobody assigned in time the default schedule stands.
"""


class Prognosed(Model, frozen=True, kw_only=True):
    """What a portfolio takes on a day if nothing is ordered, kWh per ISP; `trade` as it was when that was asked."""

    trade: UftpTrade
    values_kwh: tuple[float, ...]


class Optioned(Model, frozen=True, kw_only=True):
    """What is offered for a request.

    Args:
        trade: as it was when that was asked.
        request, conversation: the FlexRequest's; None where none is to be answered any more.
        prognosis: our D-Prognosis that the options deviate from.
        offering: the options; None where that prognosis is none of the members' courses any more.
        baseline_kwh: those courses, kWh per ISP.
        replaces: open offerings about the same day, which the new one is instead of.
    """

    trade: UftpTrade
    request: str | None = None
    conversation: str | None = None
    prognosis: str | None = None
    offering: Offering | None = None
    baseline_kwh: tuple[float, ...] = ()
    replaces: tuple[str, ...] = ()


class Activated(Model, frozen=True, kw_only=True):
    """Schedules for an order; `gone` are members that can no longer be counted on."""

    assignments: tuple[Assignment, ...]
    gone: tuple[str, ...] = ()


class Meter(Model, frozen=True, kw_only=True):
    """What a meter told of a day, kWh per ISP; None where a reading is missing."""

    ean: str
    values_kwh: tuple[float | None, ...]


class Metered(Model, frozen=True, kw_only=True):
    """All meters of a point; `trade` as it was when that was asked."""

    trade: UftpTrade
    meters: tuple[Meter, ...]


class Crowd(NamedTuple):
    """What stands behind a point on a day."""

    trade: UftpTrade
    whole: Day
    portfolio: Portfolio
    open: tuple[UftpOffering, ...]


async def crowd(reads: Reads, subject: Subject, now: datetime) -> Crowd:
    """The portfolio at a point, all that takes energy on the day in it, and its open offerings about the day.

    Offers that are held for an open offering stand still, as what is being executed does, and what was sold on a
    market. Those of this day's own open offerings don't, since a new one is instead of them. What was ordered over UFTP
    may be offered again: it deviates from the schedules that the order led to.
    """
    trade = await trade_of(reads, subject)
    whole = trade.day(subject.day)
    span = whole.first, end_of(whole)
    offers = await every(reads, FlexOffer, states=COUNTED, overlapping=span)
    places = Places(await every(reads, Connection), await every(reads, Resource), {trade.point})
    here = [o for o in offers if o.recipient == trade.party and places.point_of(o) == trade.point]
    held = await reads.get(Held, trade.party) or Held()
    open_ = await every(reads, UftpOffering, owner=trade.party, states=(OPEN,), overlapping=span)
    own = tuple(o for o in open_ if o.subject == subject.text)
    free = {o.id for o in own}
    promised = await sold(reads, trade.party, now)

    def moves(offer: FlexOffer) -> bool:
        if offer.state not in PLANNABLE or not movable(offer, now) or offer.id in promised:
            return False
        hold = held.holds(offer.id, now)
        return hold is None or hold.by is None or hold.by in free

    moving = [o for o in here if moves(o)]
    names = {o.id for o in moving}
    contracts = {c.id: c for c in await every(reads, Contract) if c.aggregator == trade.party}
    portfolio = Portfolio(
        now=now,
        offers=tuple(moving),
        committed=committed((o for o in here if o.id not in names), trade.party),
        contracts=tuple(contracts[i] for i in sorted({o.contract or "" for o in moving} & contracts.keys())),
    )
    return Crowd(trade, whole, portfolio, own)


async def sold(reads: Reads, party: str, now: datetime) -> set[str]:
    """Offers that a market was promised something of."""
    ahead = now, now + AHEAD
    selling = await every(reads, Selling, owner=party, states=(SELLING,), overlapping=ahead)
    obligations = await every(reads, Obligation, owner=party, overlapping=ahead)
    promised = {i for one in selling for position in one.positions for i in position.offers}
    return promised | {i for obligation in obligations for i in obligation.offers}


def baseline(engine: ManagerEngine, found: Crowd) -> tuple[float, ...]:
    """What the portfolio takes on the day, kWh per ISP: what the engine's options would deviate from.

    Raises:
        EngineError: the engine's slots are no ISPs.
    """
    trade, whole, portfolio, _ = found
    nothing = FlexRequest(
        id="prognosis",
        issuer=trade.party,
        recipient=trade.party,
        congestion_point=trade.point,
        created=portfolio.now,
        expires=max(portfolio.now, end_of(whole)),
        start=whole.first,
        intervals=(RequestInterval(slot=0),),
    )
    return offered(engine, found, nothing, portfolio.now).options.baseline_kwh


def offered(engine: ManagerEngine, found: Crowd, request: FlexRequest, until: datetime) -> Offering:
    """The engine's options for a request, which can be ordered until then.

    Raises:
        EngineError: the engine's slots are no ISPs.
        FlexhubError: as `ManagerEngine.options`.
    """
    trade, whole, portfolio, _ = found
    terms = Terms(until=until, start=whole.first, end=end_of(whole), margin=trade.margin)
    offering = engine.options(portfolio, request, terms)
    options = offering.options
    if options.resolution_s != QUARTER_HOUR_S or len(options.baseline_kwh) != whole.count:
        raise EngineError(
            f"{len(options.baseline_kwh)} slots of {options.resolution_s} s are not the {whole.count} ISPs",
            path="Offering/options",
        )
    return offering


class PrognosisAsker:
    """Answers ``uftp.prognosis``."""

    def __init__(self, engine: ManagerEngine) -> None:
        self._engine = engine

    async def gather(self, question: Question, reads: Reads, now: datetime) -> Crowd:
        """The portfolio."""
        return await crowd(reads, Subject.of(question.subject), now)

    def answer(self, arguments: Crowd) -> Prognosed:
        """Its baseline."""
        return Prognosed(trade=arguments.trade, values_kwh=baseline(self._engine, arguments))


class Asking(NamedTuple):
    """A request, our newest accepted prognosis of its day, and the portfolio."""

    request: wire.FlexRequest | None
    prognosis: wire.DPrognosis | None
    crowd: Crowd


class OptionsAsker:
    """Answers ``uftp.options``: what can be done for the newest request of a day that is not answered yet."""

    def __init__(self, engine: ManagerEngine) -> None:
        self._engine = engine

    async def gather(self, question: Question, reads: Reads, now: datetime) -> Asking:
        """The request and the portfolio."""
        subject = Subject.of(question.subject)
        found = await crowd(reads, subject, now)
        day = await reads.get(UftpDay, subject.about.id) or UftpDay()
        request = None
        if day.request is not None and day.request.expires >= now:
            kept = await reads.get(UftpMessage, place(found.trade.domain, subject.partner, day.request.message))
            message = None if kept is None else kept.entry().message
            request = message if isinstance(message, wire.FlexRequest) else None
        told = await said(reads, found.trade.domain, subject.partner, found.whole, (wire.DPrognosis,))
        ours = [e.message for e in told.all(wire.DPrognosis, subject.point, ours=True) if e.stage in STANDING]
        last = ours[-1] if ours else None
        return Asking(request, last if isinstance(last, wire.DPrognosis) else None, found)

    def answer(self, arguments: Asking) -> Optioned:
        """The engine's options; without, where the prognosis is no longer what the portfolio takes from now on."""
        request, prognosis, found = arguments
        if request is None:
            return Optioned(trade=found.trade)
        now, trade = found.portfolio.now, found.trade
        asked = request_to_core(request, trade.context()).value
        offering = offered(self._engine, found, asked, min(asked.expires, now + trade.offer_for))
        same = prognosis is not None and _ahead(prognosis, offering.options.baseline_kwh, found.whole, now)
        return Optioned(
            trade=trade,
            request=request.message_id,
            conversation=request.conversation_id,
            prognosis=None if prognosis is None else prognosis.message_id,
            offering=offering if same else None,
            baseline_kwh=offering.options.baseline_kwh,
            replaces=tuple(o.id for o in found.open),
        )


def _ahead(prognosis: wire.DPrognosis, baseline_kwh: Iterable[float], whole: Day, now: datetime) -> bool:
    """Whether the prognosis says this of every ISP that has not ended."""
    told = powers(prognosis.isps)
    return all(told.get(n) == whole.watts(kwh) for n, kwh in enumerate(baseline_kwh, 1) if whole.start(n + 1) > now)


class Taking(NamedTuple):
    """What was ordered, and the members as they are."""

    offering: Offering
    reference: str
    factor: Decimal
    members: Mapping[str, FlexOffer]
    now: datetime


class ActivateAsker:
    """Answers ``uftp.activate``: about an offering, by its id."""

    def __init__(self, engine: ManagerEngine) -> None:
        self._engine = engine

    async def gather(self, question: Question, reads: Reads, now: datetime) -> Taking:
        """The offering, its order, and its members."""
        kept = await reads.get(UftpOffering, question.subject)
        if kept is None or kept.order is None:
            raise NotFoundError("nothing was ordered of it", path="UftpOffering/id", value=question.subject)
        domain = kept.day.own.partition(".")[2]
        order, offer = [
            await reads.get(UftpMessage, place(domain, kept.day.partner, id_)) for id_ in (kept.order, kept.id)
        ]
        if order is None or offer is None:
            raise NotFoundError("the order is not at hand", path="UftpOffering/order", value=kept.order)
        message, of = order.entry().message, offer.entry().message
        assert isinstance(message, wire.FlexOrder)  # noqa: S101 - what took it
        assert isinstance(of, wire.FlexOffer)  # noqa: S101 - what it is kept by
        core = order_to_core(message, Context(offer=of)).value
        reference = core.option or of.offer_options[0].option_reference
        options = kept.offering.options
        span = options.start, options.start + len(options.baseline_kwh) * timedelta(seconds=options.resolution_s)
        names = {a.offer for a in kept.offering.courses}
        offers = await every(reads, FlexOffer, states=PLANNABLE, overlapping=span)
        members = {o.id: o for o in offers if o.id in names and movable(o, now)}
        return Taking(kept.offering, reference, message.activation_factor, members, now)

    def answer(self, arguments: Taking) -> Activated:
        """Schedules of the members that are still there.

        Interpretation: who went (a prosumer may decline until its course starts) is the AGR's own risk: the others do
        their part.
        """
        offering, members = arguments.offering, arguments.members
        there = tuple(a for a in offering.courses if a.offer in members)
        behind = {name: tuple(a for a in parts if a.offer in members) for name, parts in offering.behind.items()}
        left = msgspec.structs.replace(offering, courses=there, behind=behind)
        parts = self._engine.activate(left, list(members.values()), arguments.reference, arguments.factor)
        gone = tuple(a.offer for a in offering.courses if a.offer not in members)
        return Activated(assignments=tuple(parts), gone=gone)


class Readings(NamedTuple):
    """Offers at a point, readings under them, and the meter of each."""

    trade: UftpTrade
    whole: Day
    offers: tuple[FlexOffer, ...]
    readings: tuple[Measurement, ...]
    meters: Mapping[str, str]


class MeteringAsker:
    """Answers ``uftp.metering``: what the offers at a point took on a day.

    Interpretation: Metering is of what was prognosed: readings under the portfolio's offers, of which the prognosis is
    the sum of courses. They are told under the EAN of the connection; where that is not known, or none of 16 or 18
    digits, under the congestion point's own. What has no reading took nothing, but for slots of its course: there the
    meter tells nothing, until a later revision does.
    """

    async def gather(self, question: Question, reads: Reads, now: datetime) -> Readings:  # noqa: ARG002 - as every asker
        """Offers and readings."""
        subject = Subject.of(question.subject)
        trade = await trade_of(reads, subject)
        whole = trade.day(subject.day)
        span = whole.first, end_of(whole)
        connections = await every(reads, Connection)
        places = Places(connections, await every(reads, Resource), {trade.point})
        offers = [
            o
            for o in await every(reads, FlexOffer, states=COUNTED, overlapping=span)
            if o.recipient == trade.party and places.point_of(o) == trade.point
        ]
        names = {o.id for o in offers}
        readings = [m for m in await every(reads, Measurement, overlapping=span) if m.offer in names]
        meters = {o.id: _ean(o, connections, trade.point) for o in offers}
        return Readings(trade, whole, tuple(offers), tuple(readings), meters)

    def answer(self, arguments: Readings) -> Metered:
        """Summed by meter."""
        trade, whole, offers, readings, meters = arguments
        under: dict[str, list[Measurement]] = defaultdict(list)
        for reading in readings:
            under[reading.offer or ""].append(reading)
        sums: dict[str, list[float | None]] = {ean: [0.0] * whole.count for ean in sorted(set(meters.values()))}
        for offer in offers:
            into = sums[meters[offer.id]]
            for i, value in enumerate(_taken(offer, under[offer.id], whole)):
                before = into[i]
                into[i] = None if value is None or before is None else before + value
        return Metered(
            trade=trade, meters=tuple(Meter(ean=ean, values_kwh=tuple(values)) for ean, values in sums.items())
        )


def _taken(offer: FlexOffer, readings: Iterable[Measurement], whole: Day) -> list[float | None]:
    parts = [figures.Part(offer.id, r.start, r.resolution_s, r.values_kwh) for r in readings]
    series = figures.total(offer.id, SeriesKind.MEASUREMENT, parts, whole.first, end_of(whole))
    doing: TimeSeries | None = committed((offer,), offer.id) if course(offer) is not None else None
    due = set() if doing is None else {at for at, kwh in doing.items() if kwh}
    return [(None if at in due else 0.0) if kwh is None else kwh for at, kwh in series.items()]


def _ean(offer: FlexOffer, connections: Iterable[Connection], point: str) -> str:
    """The meter that an offer is read at, as Metering names it.

    Raises:
        NotFoundError: neither its connection nor the point has an EAN.
    """
    own = {c.ean for c in connections if c.party == offer.issuer and c.congestion_point == point}
    for told in (next(iter(own)) if len(own) == 1 else None, point):
        digits = (told or "").removeprefix("ean.")
        if digits.isdecimal() and len(digits) in (16, 18):
            return f"E{digits}"
    raise NotFoundError("no EAN is known of its connection", path="Connection/ean", value=offer.issuer)
