"""What prosumers say through their VENs, as the exchange takes it: in the transaction of the message itself.

A VEN is a prosumer's where its allocation names one party (`VenSpec.found_by`, party_ids). Then

- its reports are asked for as soon as it registers them: projected capacities of regulation, and usage or demand;
- a Projected report is a flex-offer of the party, and another one with the same eiReportID revises it;
- an availability (oadrCreateOpt) says when that offer may start, and an optOut or oadrCancelOpt takes it back;
- telemetry are readings, and belong to the offer that was made by then and is not over yet;
- what it says of an event by which an offer is dispatched (`dispatch`) confirms or declines the schedule.

Interpretation: the standard has nothing that ties an availability to a report; here the optID is the eiReportID of the
report whose start it says. What the exchange refuses, the VTN has taken all the same, for a report has no answer that
says so; the hub's party is told (topic ``vtn.refused``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec

from flexhub.app.exchange.papers import Holding, Membership, span
from flexhub.app.hub.contract import Decision, Handler, Key, Message, Put, View
from flexhub.app.openadr.vtn.papers import VtnOffers
from flexhub.app.openadr.vtn.spec import spec_of
from flexhub.app.openadr.vtn.utility import ReportSpec
from flexhub.app.uftp.participants import derived_id
from flexhub.core.documents import encode
from flexhub.core.effects import Effect, Notify
from flexhub.core.errors import FlexhubError
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.registry import Role
from flexhub.core.timegrid import QUARTER_HOUR_S, floor_to_grid
from flexhub.core.timeseries import Measurement
from flexhub.mappings.openadr2b import opts
from flexhub.mappings.openadr2b import reports as mapping
from flexhub.mappings.openadr2b.context import Context, Point, factor_of
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EnergyReal, OadrReport, OadrReportPayload, PowerReal
from flexhub.protocols.openadr2b.elements import Message as Wire
from flexhub.protocols.openadr2b.names import OptType
from flexhub.protocols.openadr2b.session import reports
from flexhub.protocols.openadr2b.session.book import Arrived, Step
from flexhub.protocols.openadr2b.session.state import (
    OPEN,
    VtnAnswer,
    VtnMetadata,
    VtnOpt,
    VtnReport,
    VtnVen,
    opt_place,
)

PREFIX: Final = "openadr-offer-"
"""Ids of such offers begin with it; the event by which one is dispatched has its id."""
LATE: Final = timedelta(days=7)
"""So long after an offer's time readings of it may come."""
MADE_UP: Final = timedelta(hours=1)
PROJECTED: Final = (mapping.UP, mapping.DOWN, mapping.BASELINE)
USED: Final = ("usage", "demand")
"""Report types that are read: capacities and baseline, and telemetry."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange did not take of a VEN, and why."""

    what: str
    code: str
    message: str


def party_of(ven: VtnVen) -> str | None:
    """Whose a VEN is; None: nobody's, or of several."""
    parties = ven.found_by.party_ids
    return parties[0] if len(parties) == 1 else None


def name_of(report: OadrReport) -> str:
    """What a report is called by the VEN.

    Interpretation: reports without an eiReportID are about one thing where they begin at one time.
    """
    return report.ei_report_id or f"from {report.dtstart}"


def offer_id(ven_id: str, report_id: str) -> str:
    """The id of the offer that a report is: eiReportIDs may be any text, ids of documents not."""
    return PREFIX + sha256(f"{ven_id}/{report_id}".encode()).hexdigest()[:32]


def points_of(metadata: VtnMetadata | None, specifier: str, party: str) -> dict[str, Point]:
    """The data points of a report that can be read.

    Interpretation: the resource that a data point's source names is its metering subject; without one it is the party.
    """
    described = [
        point
        for report in (() if metadata is None else metadata.reports)
        if report.report_specifier_id == specifier
        for point in report.oadr_report_descriptions
    ]
    found: dict[str, Point] = {}
    for one in described:
        source = one.report_data_source
        kind = PowerReal if isinstance(one.item_base, PowerReal) else EnergyReal
        if one.report_type not in (*PROJECTED, *USED) or not isinstance(one.item_base, kind):
            continue
        found[one.r_id] = Point(
            subject=next(iter(source.resource_ids), party) if source is not None else party,
            report_type=one.report_type,
            factor=factor_of(one.item_base, kind, "oadrReportDescription/itemBase"),
            reading_type=one.reading_type,
        )
    return found


def _offers_of(told: Wire, ven_id: str) -> Iterator[str]:
    """Ids of the offers that a message is about by itself."""
    if isinstance(told, wire.OadrUpdateReport):
        for report in told.oadr_reports:
            yield offer_id(ven_id, name_of(report))
    elif isinstance(told, wire.OadrCreateOpt | wire.OadrCancelOpt):
        yield offer_id(ven_id, told.opt_id)
        named = told.qualified_event_id if isinstance(told, wire.OadrCreateOpt) else None
        if named is not None and named.event_id.startswith(PREFIX):
            yield named.event_id
    elif isinstance(told, wire.OadrCreatedEvent):
        for one in told.ei_created_event.event_responses or ():
            if one.qualified_event_id.event_id.startswith(PREFIX):
                yield one.qualified_event_id.event_id


class Prosumers:
    """A `Follow` of what prosumers' VENs say.

    Args:
        exchange: the handlers of the exchange, by kind of message.
        party: who is told what the exchange refuses.
        context: market context of the events that dispatch.
    """

    def __init__(self, exchange: Mapping[str, Handler], party: str, context: str) -> None:
        self._exchange = exchange
        self._party = party
        self._context = context

    def needs(self, told: Wire, ven_id: str) -> Iterable[Key]:
        """The offers that it is about; of a report also what its numbers are, and the availabilities."""
        keys = [Key(FlexOffer, id_) for id_ in _offers_of(told, ven_id)]
        if isinstance(told, wire.OadrUpdateReport):
            keys += [Key(VtnMetadata, ven_id), Key(VtnOffers, ven_id)]
            keys += [Key(VtnOpt, opt_place(ven_id, name_of(report))) for report in told.oadr_reports]
        return keys

    def further(self, told: Wire, ven: VtnVen, view: View) -> Iterable[Key]:
        """The party's contract; of a report also its earlier offers, and whose the metering subjects are."""
        party = party_of(ven)
        if party is None:
            return ()
        keys = [Key(Membership, party)]
        if isinstance(told, wire.OadrUpdateReport):
            metadata, known = view.get(VtnMetadata, ven.id), view.get(VtnOffers, ven.id) or VtnOffers()
            keys += [Key(FlexOffer, id_) for id_ in known.offers]
            for report in told.oadr_reports:
                points = points_of(metadata, report.report_specifier_id, party)
                keys += [Key(Holding, point.subject) for point in points.values() if point.subject != party]
        return keys

    def follow(self, arrived: Arrived, step: Step, view: View, seed: str) -> tuple[Step, list[Put], list[Effect]]:
        """Reports asked for, offers made, revised and taken back, readings handed in, schedules confirmed."""
        ven = arrived.known
        party = party_of(ven)
        if party is None:
            return step, [], []
        said = _Said(self._exchange, self._party, party, arrived, view, seed)
        if isinstance(arrived.message, wire.OadrRegisterReport):
            return _asking(arrived, step), [], []
        for value in step.changed:
            if isinstance(value, VtnReport):
                said.report(value)
            elif isinstance(value, VtnOpt) and value.event_id is None:
                said.availability(value)
            elif isinstance(value, VtnAnswer) and value.event_id.startswith(PREFIX):
                said.answer(value, self._context)
        return step, said.puts, said.effects


def _asking(arrived: Arrived, step: Step) -> Step:
    """Have the VEN report what it registered and is of use, if it is not asked for that already.

    Interpretation: capacities are asked for every hour, and come whenever they change, as the standard lets VENs do.
    """
    metadata = next((one for one in step.changed if isinstance(one, VtnMetadata)), None)
    ven = next((one for one in step.changed if isinstance(one, VtnVen)), arrived.known)
    if metadata is None:
        return step
    asked = {one.request.report_specifier.report_specifier_id for one in ven.requests.values() if one.stage in OPEN}
    for report in metadata.reports:
        points = points_of(metadata, report.report_specifier_id, "")
        name = (report.report_name or "").removeprefix("METADATA_")
        if not points or report.report_specifier_id in asked or name != "TELEMETRY_USAGE":
            continue
        spec = ReportSpec(report_specifier_id=report.report_specifier_id, r_ids=tuple(points))
        id_ = derived_id("report", ven.id, report.report_specifier_id, arrived.now.isoformat())
        with suppress(FlexhubError):  # what cannot be asked for, the utility is told when it asks by itself
            ven = reports.ask(ven, spec.request(id_), metadata, arrived.now)
    if ven is arrived.known:
        return step
    return step._replace(changed=(*(one for one in step.changed if not isinstance(one, VtnVen)), ven))


class _Said:
    """What one message comes to."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts it is composed of
        self, exchange: Mapping[str, Handler], hub: str, party: str, arrived: Arrived, view: View, seed: str
    ) -> None:
        self.puts: list[Put] = []
        self.effects: list[Effect] = []
        self._made: list[str] = []
        self._exchange = exchange
        self._hub = hub
        self._party = party
        self._ven_id = arrived.known.id
        self._arrived = arrived
        self._view = view
        self._seed = seed
        known = arrived.message  # only a report's offers were looked up
        self._known = () if not isinstance(known, wire.OadrUpdateReport) else self._offers()

    def _offers(self) -> tuple[str, ...]:
        return (self._view.get(VtnOffers, self._ven_id) or VtnOffers()).offers

    def _say(self, kind: str, conversation: str, value: Any = None) -> None:  # noqa: ANN401 - of the kind's type
        """As if the party had said it itself."""
        message = Message(
            peer=self._party,
            id=f"{self._seed}/{len(self.puts)}",
            kind=kind,
            conversation=conversation,
            body=b"" if value is None else encode(value),
            role=Role.PROSUMER,
            value=value,
        )
        decision: Decision = self._exchange[kind].decide(message, self._view, self._arrived.now)
        self.puts += decision.puts
        self.effects += decision.effects

    def _refused(self, what: str, error: FlexhubError) -> None:
        body = Refused(what=what, code=error.code, message=str(error))
        self.effects.append(Notify(party=self._hub, topic="vtn.refused", subject=self._ven_id, body=body))

    def report(self, told: VtnReport) -> None:
        """A report of capacities, of usage, or of both."""
        report = told.report
        metadata = self._view.get(VtnMetadata, self._ven_id)
        points = points_of(metadata, report.report_specifier_id, self._party)
        try:
            if any(point.report_type in PROJECTED for point in points.values()):
                self._offered(told, points)
            if any(point.report_type in USED for point in points.values()):
                self._measured(report, points)
        except FlexhubError as error:
            self._refused(report.report_specifier_id, error)

    def _offered(self, told: VtnReport, points: dict[str, Point]) -> None:
        name = name_of(told.report)
        kept = {"id": offer_id(self._ven_id, name), "issuer": self._party, "created": told.at}
        ctx = Context(kept=kept, now=told.at, points=points)
        offer = mapping.projected_to_core(_alone(told.report), ctx).value
        offer = msgspec.structs.replace(offer, extras={"ven_id": self._ven_id, "ei_report_id": name})
        opt = self._view.get(VtnOpt, opt_place(self._ven_id, name))
        if opt is not None and not opt.cancelled and opt.event_id is None and opt.opt is OptType.OPT_IN:
            offer = opts.availability_to_core(_message(opt), Context(now=told.at, offer=offer)).value
        fresh = self._view.get(FlexOffer, offer.id) is None
        self._say("flexoffer.post" if fresh else "flexoffer.put", offer.id, offer)
        if fresh:
            self._made.append(offer.id)
            kept_ids = (id_ for id_ in self._known if id_ not in self._made and self._lately(id_))
            value = VtnOffers(offers=(*kept_ids, *self._made))
            self.puts.append(Put(key=Key(VtnOffers, self._ven_id), value=value, owner=self._party))

    def _lately(self, id_: str) -> bool:
        offer = self._view.get(FlexOffer, id_)
        return offer is not None and span(offer)[1] + LATE > self._arrived.now

    def _measured(self, report: OadrReport, points: dict[str, Point]) -> None:
        told = {
            payload.r_id
            for interval in report.intervals or ()
            for payload in interval.stream_payload_base
            if isinstance(payload, OadrReportPayload)
        }
        used = {r_id: point for r_id, point in points.items() if point.report_type in USED and r_id in told}
        offers = [offer for id_ in self._known if (offer := self._view.get(FlexOffer, id_)) is not None]
        batch: list[Measurement] = []
        for r_id, point in used.items():
            taken = mapping.telemetry_to_core(
                _alone(report), Context(now=self._arrived.now, points={r_id: point})
            ).value
            batch += by_offer(taken, offers)
        if batch:
            self._say("measurement.post", self._party, tuple(batch))

    def availability(self, opt: VtnOpt) -> None:
        """When an offer may start, or that it may no more; of one that is not made yet the report will see to it."""
        offer = self._view.get(FlexOffer, offer_id(self._ven_id, opt.opt_id))
        if offer is None or offer.issuer != self._party:
            return
        try:
            if opt.cancelled or opt.opt is OptType.OPT_OUT:
                self._say("flexoffer.delete", offer.id)
            else:
                ctx = Context(now=self._arrived.now, offer=offer)
                self._say("flexoffer.put", offer.id, opts.availability_to_core(_message(opt), ctx).value)
        except FlexhubError as error:
            self._refused(opt.opt_id, error)

    def answer(self, told: VtnAnswer, context: str) -> None:
        """Of the schedule that the event says; an answer to an earlier one counts no more."""
        offer = self._view.get(FlexOffer, told.event_id)
        event = self._arrived.events.get(told.event_id)
        if offer is None or event is None or offer.state not in (State.ASSIGNED, State.CONFIRMED):
            return
        if offer.issuer != self._party or spec_of(offer, self._ven_id, context) != event.event:
            return
        wanted = "confirm" if told.code[0] == "2" and told.opt is OptType.OPT_IN else "decline"
        if wanted == "confirm" and offer.state is State.CONFIRMED:
            return
        try:
            self._say(f"flexoffer.{wanted}", offer.id)
        except FlexhubError as error:
            self._refused(told.event_id, error)


def _alone(report: OadrReport) -> wire.OadrUpdateReport:
    """A report in a message of its own, as the mappings want it."""
    return wire.OadrUpdateReport(request_id="", oadr_reports=(report,))


def _message(opt: VtnOpt) -> wire.OadrCreateOpt:
    """An opt as it was told, as far as the mappings look at it."""
    return wire.OadrCreateOpt(
        opt_id=opt.opt_id,
        opt_type=opt.opt,
        opt_reason=opt.reason,
        ven_id=opt.ven_id,
        vavailability=opt.available,
        created_date_time=opt.created,
        request_id="",
        ei_target=opt.target,
    )


def by_offer(taken: Measurement, offers: Iterable[FlexOffer]) -> Iterator[Measurement]:
    """Readings, apart for each offer that they belong to: the last that was made in that slot or before, while it runs.

    Interpretation: the slot in which an offer is made belongs to it, since what only that can still bring is used in
    it; and so do those within `MADE_UP` after its end, in which what was missed is made up for.
    """
    spans = [
        (floor_to_grid(offer.created, QUARTER_HOUR_S), span(offer)[1] + MADE_UP, offer.id)
        for offer in sorted(offers, key=lambda offer: offer.created)
    ]
    step = timedelta(seconds=taken.resolution_s)
    owners = []
    for i in range(len(taken.values_kwh)):
        at = taken.start + i * step
        owners.append(next((id_ for since, until, id_ in reversed(spans) if since <= at < until), None))
    first = 0
    for i in range(1, len(owners) + 1):
        if i == len(owners) or owners[i] != owners[first]:
            yield msgspec.structs.replace(
                taken,
                start=taken.start + first * step,
                values_kwh=taken.values_kwh[first:i],
                quality=taken.quality[first:i] if taken.quality else taken.quality,
                offer=owners[first],
            )
            first = i
