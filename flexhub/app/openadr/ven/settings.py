"""What a hub is as a VEN of one VTN: the session's setup, and what the mappings are told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple

from flexhub.app.config import Config
from flexhub.app.openadr.ven.section import Opting, VenReportSection, VenSection
from flexhub.core.errors import FlexhubError
from flexhub.mappings.openadr2b import events
from flexhub.mappings.openadr2b.context import KW, KWH, Context, Point
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import (
    EiEvent,
    EiTarget,
    OadrEvent,
    OadrReport,
    OadrReportDescription,
    OadrSamplingRate,
)
from flexhub.protocols.openadr2b.names import (
    METADATA_REQUEST,
    NOT_APPLICABLE,
    OptType,
    ResponseCode,
    ResponseRequired,
    TransportName,
)
from flexhub.protocols.openadr2b.session.ven_state import Heard, Judge, Refusal, Setup

TELEMETRY: Final = "telemetry"
HISTORY: Final = "history"
STATUS: Final = "status"
_RATE: Final = OadrSamplingRate(oadr_min_period="PT15M", oadr_max_period="PT15M", oadr_on_change=False)
_EPOCH: Final = "1970-01-01T00:00:00Z"


def document_id(kind: str, vtn: str, event_id: str) -> str:
    """The id of the core's document about an event: eventIDs may be any text, ids of documents not."""
    return f"openadr-{kind}-{sha256(f'{vtn}/{event_id}'.encode()).hexdigest()[:32]}"


class Ven(NamedTuple):
    """One VTN, and who we are there. `hub` is the hub's own name."""

    section: VenSection
    hub: str
    managing: bool
    setup: Setup

    @property
    def name(self) -> str:
        """What its documents are kept by."""
        return self.section.name

    @property
    def portfolio(self) -> str:
        """Whom requests are for."""
        return self.section.portfolio or self.hub

    @property
    def points(self) -> dict[str, Point]:
        """The data points of reports."""
        return {one.r_id: Point(subject=one.subject, report_type=one.report_type) for one in self.section.report}

    def context(self, event: EiEvent, now: datetime, offset_s: int = 0) -> Context:
        """What the mappings are told about an event."""
        name, told = event.event_descriptor.event_id, self.section
        target = event.ei_target
        point = told.congestion_point or next(iter((*target.service_delivery_points, *target.pnodes)), None)
        return Context(
            kept={
                "id": document_id("event", told.name, name),
                "issuer": told.name,
                "recipient": self.portfolio,
                "congestion_point": point or self.portfolio,
            },
            now=now,
            rating_kw=told.rating_kw,
            levels_kw=told.levels_kw,
            base_price_eur_per_kwh=told.base_price_eur_per_kwh,
            open_ended_s=told.open_ended_s,
            offset_s=offset_s,
        )

    def judge(self, now: datetime) -> Judge:
        """Refuses what cannot be mapped, and opts by the policy; what an engine is asked first is left open."""

        def refuse(event: EiEvent) -> Refusal | None:
            try:
                return self._refused(event, now)
            except FlexhubError as error:
                code = ResponseCode.SIGNAL_NOT_SUPPORTED if error.clause == events.NOT_SUPPORTED else _DATA
                return code, error.message

        def opt(event: EiEvent) -> OptType | None:
            policy = self.section.opt
            if policy is Opting.ENGINE and self.managing:
                return None if events.signal_of(event) is not None else OptType.OPT_IN
            return OptType.OPT_OUT if policy is Opting.OUT else OptType.OPT_IN

        return Judge(refuse, opt)

    def _refused(self, event: EiEvent, now: datetime) -> Refusal | None:
        message, ctx = alone(event), self.context(event, now)
        load, price = events.signal_of(event) is not None, events.price_of(event) is not None
        if not load and not price:
            return ResponseCode.SIGNAL_NOT_SUPPORTED, "no signal that we can follow"
        if load:
            events.request_to_core(message, ctx)
        if price:
            events.tariff_to_core(message, ctx)
        return None

    def mapped(self, heard: Heard, now: datetime) -> tuple[wire.OadrDistributeEvent, Context]:
        """An event that was heard, for the mappings."""
        event = heard.event.ei_event
        return alone(event), self.context(event, now, heard.offset_s)


_DATA: Final = ResponseCode.INVALID_DATA


def alone(event: EiEvent) -> wire.OadrDistributeEvent:
    """An event in a message of its own, as the mappings want it."""
    one = OadrEvent(ei_event=event, oadr_response_required=ResponseRequired.NEVER)
    return wire.OadrDistributeEvent(request_id="0", vtn_id="0", oadr_events=(one,))


def vens_of(config: Config, *, managing: bool, off: Collection[str] = ()) -> Mapping[str, Ven]:
    """Who we are, by the names of the VTNs."""
    sections = () if config.openadr is None else config.openadr.ven
    return {told.name: Ven(told, config.hub.name, managing, setup_of(told, off)) for told in sections}


def setup_of(told: VenSection, off: Collection[str] = ()) -> Setup:
    """What the session is told."""
    return Setup(
        ven_name=told.ven_name,
        ven_id=told.ven_id,
        vtn_id=told.vtn_id,
        transport=TransportName.SIMPLE_HTTP if told.xmpp is None else TransportName.XMPP,
        push_to=told.push_to if told.xmpp is None else told.xmpp.jid,
        xml_signature=told.sign,
        markets=frozenset(told.markets),
        known_as=EiTarget(group_ids=told.groups, group_names=told.groups, resource_ids=told.resources),
        reports=_metadata(told),
        off=off,
    )


def _metadata(told: VenSection) -> tuple[OadrReport, ...]:
    """Telemetry, history and status of the same data points; nothing where none is configured."""
    if not told.report:
        return ()

    def reading(one: VenReportSection, rate: OadrSamplingRate | None) -> OadrReportDescription:
        return OadrReportDescription(
            r_id=one.r_id,
            report_data_source=EiTarget(resource_ids=(one.subject,)),
            report_type=one.report_type,
            item_base=KW if one.demand else KWH,
            reading_type="Mean" if one.demand else "Direct Read",
            oadr_sampling_rate=rate,
        )

    def status(one: VenReportSection, rate: OadrSamplingRate | None) -> OadrReportDescription:
        return OadrReportDescription(
            r_id=one.r_id,
            report_data_source=EiTarget(resource_ids=(one.subject,)),
            report_type="x-resourceStatus",
            reading_type=NOT_APPLICABLE,
            oadr_sampling_rate=rate,
        )

    def report(specifier: str, name: str, duration: str, rate: OadrSamplingRate | None) -> OadrReport:
        describe = status if specifier == STATUS else reading
        return OadrReport(
            duration=duration,
            oadr_report_descriptions=tuple(describe(one, rate) for one in told.report),
            report_request_id=METADATA_REQUEST,
            report_specifier_id=specifier,
            report_name=name,
            created_date_time=_EPOCH,  # the session says when it is told
        )

    return (
        report(TELEMETRY, "METADATA_TELEMETRY_USAGE", "PT1H", _RATE),
        report(HISTORY, "METADATA_HISTORY_USAGE", "P1Y", None),
        report(STATUS, "METADATA_TELEMETRY_STATUS", "PT1H", _RATE),
    )
