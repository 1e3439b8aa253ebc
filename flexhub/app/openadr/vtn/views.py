"""A VTN's documents as REST tells them: flat, in the standard's terms, and without what is only for the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from flexhub.protocols.openadr2b.elements import OadrReport, OadrReportPayload, PayloadFloat
from flexhub.protocols.openadr2b.names import EventStatus, OptType, TransportName
from flexhub.protocols.openadr2b.session.events import seconds, status
from flexhub.protocols.openadr2b.session.state import (
    Asking,
    EventSpec,
    Place,
    Request,
    Stage,
    Target,
    VtnAnswer,
    VtnEvent,
    VtnMetadata,
    VtnOpt,
    VtnReport,
    VtnVen,
)
from flexhub.protocols.uftp.times import instant


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the views."""


class VenView(View, frozen=True, kw_only=True):
    """A VEN: what the utility said of it, and its registration. Of one that is offline: since when it is silent."""

    id: str
    name: str
    fingerprint: str | None
    programs: tuple[str, ...]
    found_by: Target
    location: Place | None
    stage: Stage
    registration_id: str | None
    transport: TransportName | None
    address: str | None
    pull: bool
    report_only: bool
    offline_since: datetime | None


class EventView(View, frozen=True, kw_only=True):
    """An event, and what it is by now."""

    id: str
    modification_number: int
    event_status: EventStatus
    created: datetime
    modified: datetime | None
    event: EventSpec


class AnswerView(View, frozen=True, kw_only=True):
    """What a VEN answered last to an event; `by_opt`: by an oadrCreateOpt."""

    ven_id: str
    event_id: str
    modification_number: int
    opt: OptType
    code: str
    by_opt: bool
    at: datetime


class SpanView(View, frozen=True, kw_only=True):
    """A span of time; a `duration` of PT0S has no end."""

    dtstart: str
    duration: str


class OptView(View, frozen=True, kw_only=True):
    """A VEN's opt: of an event, or a schedule of availability."""

    ven_id: str
    opt_id: str
    opt: OptType
    reason: str
    market_context: str | None
    event_id: str | None
    modification_number: int | None
    resource_ids: tuple[str, ...]
    available: tuple[SpanView, ...]
    created: str
    cancelled: bool


class PointView(View, frozen=True, kw_only=True):
    """A data point that a VEN can report."""

    r_id: str
    report_type: str
    reading_type: str
    unit: str | None
    min_period: str | None
    max_period: str | None


class OfferedView(View, frozen=True, kw_only=True):
    """A report that a VEN registered."""

    report_specifier_id: str
    report_name: str
    duration: str | None
    points: tuple[PointView, ...]


class RequestView(View, frozen=True, kw_only=True):
    """A report that a VEN was asked for, and how far that is."""

    report_request_id: str
    report_specifier_id: str
    r_ids: tuple[str, ...]
    granularity: str
    report_back_duration: str
    stage: Asking
    since: datetime


class ReportsView(View, frozen=True, kw_only=True):
    """What a VEN can report, and what it was asked for."""

    ven_id: str
    registered: tuple[OfferedView, ...]
    requests: tuple[RequestView, ...]


class ReadingView(View, frozen=True, kw_only=True):
    """What a report says of a data point in an interval: a number, or whether a resource is online."""

    r_id: str
    dtstart: str
    duration: str | None
    value: float | None = None
    online: bool | None = None
    manual_override: bool | None = None
    data_quality: str | None = None


class ReportView(View, frozen=True, kw_only=True):
    """A report with data, as it came."""

    id: str
    ven_id: str
    at: datetime
    report_request_id: str
    report_specifier_id: str
    report_name: str
    readings: tuple[ReadingView, ...]


def ven_view(ven: VtnVen) -> VenView:
    """A VEN."""
    fields = {name: getattr(ven, name) for name in VenView.__struct_fields__}
    return VenView(**fields)


def event_view(event: VtnEvent, now: datetime) -> EventView:
    """An event."""
    return EventView(
        id=event.id,
        modification_number=event.modification_number,
        event_status=status(event, now),
        created=event.created,
        modified=event.modified,
        event=event.event,
    )


def answer_view(answer: VtnAnswer) -> AnswerView:
    """An answer."""
    return AnswerView(**{name: getattr(answer, name) for name in AnswerView.__struct_fields__})


def opt_view(opt: VtnOpt) -> OptView:
    """An opt."""
    same = (name for name in OptView.__struct_fields__ if name not in ("resource_ids", "available"))
    return OptView(
        **{name: getattr(opt, name) for name in same},
        resource_ids=opt.target.resource_ids,
        available=tuple(SpanView(dtstart=one.dtstart, duration=one.duration) for one in opt.available),
    )


def request_view(request: Request) -> RequestView:
    """A request for a report."""
    specifier = request.request.report_specifier
    return RequestView(
        report_request_id=request.request.report_request_id,
        report_specifier_id=specifier.report_specifier_id,
        r_ids=tuple(payload.r_id for payload in specifier.specifier_payloads),
        granularity=specifier.granularity,
        report_back_duration=specifier.report_back_duration,
        stage=request.stage,
        since=request.since,
    )


def reports_view(ven: VtnVen, metadata: VtnMetadata | None) -> ReportsView:
    """What a VEN can report, and what it was asked for."""
    offered: Iterable[OadrReport] = () if metadata is None else metadata.reports
    return ReportsView(
        ven_id=ven.id,
        registered=tuple(
            OfferedView(
                report_specifier_id=one.report_specifier_id,
                report_name=one.report_name or "",
                duration=one.duration,
                points=tuple(
                    PointView(
                        r_id=point.r_id,
                        report_type=point.report_type,
                        reading_type=point.reading_type,
                        unit=getattr(point.item_base, "item_units", None),
                        min_period=getattr(point.oadr_sampling_rate, "oadr_min_period", None),
                        max_period=getattr(point.oadr_sampling_rate, "oadr_max_period", None),
                    )
                    for point in one.oadr_report_descriptions
                ),
            )
            for one in offered
        ),
        requests=tuple(map(request_view, ven.requests.values())),
    )


def report_view(report: VtnReport) -> ReportView:
    """A report with data."""
    told = report.report
    return ReportView(
        id=report.id,
        ven_id=report.ven_id,
        at=report.at,
        report_request_id=told.report_request_id,
        report_specifier_id=told.report_specifier_id,
        report_name=told.report_name or "",
        readings=tuple(_readings(told)),
    )


def _readings(told: OadrReport) -> Iterator[ReadingView]:
    """Intervals without a start follow one another from the report's [rule 314]; Green Button's feeds aren't told."""
    at = None if told.dtstart is None else instant(told.dtstart)
    for interval in told.intervals or ():
        start = interval.dtstart or ("" if at is None else at.isoformat())
        for payload in interval.stream_payload_base:
            if not isinstance(payload, OadrReportPayload):
                continue
            base = payload.payload_base
            status_ = None if isinstance(base, PayloadFloat) else base
            yield ReadingView(
                r_id=payload.r_id,
                dtstart=start,
                duration=interval.duration,
                value=base.value if isinstance(base, PayloadFloat) else None,
                online=None if status_ is None else status_.oadr_online,
                manual_override=None if status_ is None else status_.oadr_manual_override,
                data_quality=payload.oadr_data_quality,
            )
        if at is not None and interval.dtstart is None and interval.duration is not None:
            try:
                at += timedelta(seconds=seconds(interval.duration))
            except OverflowError:
                at = None
