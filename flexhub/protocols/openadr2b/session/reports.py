"""EiReport at a VTN: what VENs can report, what they are asked for, and what comes; once, periodic, history, status."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from flexhub.core.errors import IllegalTransitionError, InvalidError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import OadrReport, OadrReportPayload, OadrReportRequest
from flexhub.protocols.openadr2b.names import METADATA, METADATA_REQUEST, METADATA_SPECIFIER
from flexhub.protocols.openadr2b.rules import findings
from flexhub.protocols.openadr2b.session.book import Arrived, Step, ok, plain, refuse
from flexhub.protocols.openadr2b.session.state import (
    ASKING,
    OPEN,
    Answers,
    Asking,
    Request,
    State,
    VtnMetadata,
    VtnReport,
    VtnVen,
)
from flexhub.protocols.openadr2b.times import ZERO, length, span


def moved(request: Request, event: Answers) -> Request:
    """A request after something happened to it.

    Raises:
        IllegalTransitionError: it may not happen.
    """
    stage = ASKING.get((request.stage, event))
    if stage is None:
        raise IllegalTransitionError(f"{event}, which may not happen to a request that is {request.stage}")
    return msgspec.structs.replace(request, stage=stage)


def once(request: OadrReportRequest) -> bool:
    """Whether it asks for one report only: a reportBackDuration of 0."""
    return length(request.report_specifier.report_back_duration) == ZERO


def is_metadata(request: OadrReportRequest) -> bool:
    """Whether it asks what can be reported [rule 306]."""
    return request.report_specifier.report_specifier_id == METADATA_SPECIFIER


def _pending(ven: VtnVen) -> tuple[str, ...]:
    return tuple(id_ for id_, one in ven.requests.items() if one.stage in (Asking.WAITING, Asking.PENDING))


def _with(ven: VtnVen, now: datetime, changes: dict[str, Request]) -> VtnVen:
    return msgspec.structs.replace(ven, requests=ven.requests | changes, changed=now)


# What VENs say


def registered(arrived: Arrived) -> Step:
    """A VEN says what it can report: all of it, so that what it said before counts no more.

    Interpretation: requests for reports that it no longer registers are over.
    """
    message, ven = arrived.message, arrived.known
    assert isinstance(message, wire.OadrRegisterReport)  # noqa: S101 - the table says so
    asked = message.report_request_id
    if asked not in (None, METADATA_REQUEST):
        known = ven.requests.get(asked)
        if known is None or not is_metadata(known.request):
            refuse(arrived, "OADR-V304", "reportRequestID", f"{asked[:40]!r} was not asked for")
    offered = {report.report_specifier_id for report in message.oadr_reports}
    changes = {
        id_: moved(one, Answers.DROP)
        for id_, one in ven.requests.items()
        if one.stage in OPEN and not is_metadata(one.request) and _specifier(one) not in offered
    }
    if asked is not None and asked in ven.requests:
        changes[asked] = moved(ven.requests[asked], Answers.LAST)
    answer = wire.OadrRegisteredReport(schema_version=wire.VERSION, ei_response=ok(arrived), ven_id=ven.id)
    puts: tuple[State, ...] = (VtnMetadata(ven_id=ven.id, reports=message.oadr_reports),)
    return Step(answer, (*puts, _with(ven, arrived.now, changes)) if changes else puts)


def _specifier(one: Request) -> str:
    return one.request.report_specifier.report_specifier_id


def created(arrived: Arrived) -> Step:
    """A VEN takes a request, or refuses it: its requestID is the reportRequestID that was asked by."""
    message, ven = arrived.message, arrived.known
    assert isinstance(message, wire.OadrCreatedReport)  # noqa: S101 - the table says so
    about = message.ei_response.request_id
    request = ven.requests.get(about)
    if request is None:
        refuse(arrived, "OADR-V304", "eiResponse/requestID", f"nothing was asked by {about[:40]!r}")
        return Step(plain(arrived))
    event = Answers.CREATED if message.ei_response.response_code.startswith("2") else Answers.REFUSE
    if (request.stage, event) not in ASKING or ASKING[request.stage, event] is request.stage:
        return Step(plain(arrived))
    return Step(plain(arrived), (_with(ven, arrived.now, {about: moved(request, event)}),))


def updated(arrived: Arrived) -> Step:
    """A VEN sends data: only what it was asked for [rule 304]."""
    message, ven = arrived.message, arrived.known
    assert isinstance(message, wire.OadrUpdateReport)  # noqa: S101 - the table says so
    changes: dict[str, Request] = {}
    puts: list[State] = []
    for i, report in enumerate(message.oadr_reports):
        request = _asked(arrived, ven, report, f"oadrReport[{i}]")
        id_ = arrived.new(f"report {i}")
        puts.append(VtnReport(id=id_, ven_id=ven.id, at=arrived.now, report=report))
        if request is not None:
            name = report.report_request_id
            event = Answers.LAST if _last(request, arrived.now) else Answers.UPDATE
            after = moved(changes.get(name, request), event)
            if after.stage is not request.stage:
                changes[name] = after
    if changes:
        puts.append(_with(ven, arrived.now, changes))
    answer = wire.OadrUpdatedReport(schema_version=wire.VERSION, ei_response=ok(arrived), ven_id=ven.id)
    return Step(answer, tuple(puts))


def _asked(arrived: Arrived, ven: VtnVen, report: OadrReport, at: str) -> Request | None:
    request = ven.requests.get(report.report_request_id)
    open_ = request is not None and request.stage in (*OPEN, Asking.DONE)
    if request is None or not open_:
        refuse(arrived, "OADR-V304", f"{at}/reportRequestID", f"{report.report_request_id[:40]!r} was not asked for")
        return None
    if report.report_specifier_id != _specifier(request):
        said = f"is {report.report_specifier_id[:40]!r}, asked for was {_specifier(request)[:40]!r}"
        refuse(arrived, "OADR-V305", f"{at}/reportSpecifierID", said)
    wanted = {payload.r_id for payload in request.request.report_specifier.specifier_payloads}
    for j, interval in enumerate(report.intervals or ()):
        for k, payload in enumerate(interval.stream_payload_base):
            if isinstance(payload, OadrReportPayload) and payload.r_id not in wanted:
                path = f"{at}/intervals/interval[{j}]/oadrReportPayload[{k}]/rID"
                refuse(arrived, "OADR-V305", path, f"{payload.r_id[:40]!r} was not asked for")
    return request


def _last(request: Request, now: datetime) -> bool:
    """Whether no more data are to come: asked for once, or for a time that is over."""
    if once(request.request):
        return True
    told = request.request.report_specifier.report_interval
    until = None if told is None else span(told)[1]
    return until is not None and now >= until


def canceled(arrived: Arrived) -> Step:
    """A VEN has ended a report."""
    message, ven = arrived.message, arrived.known
    assert isinstance(message, wire.OadrCanceledReport)  # noqa: S101 - the table says so
    about = message.ei_response.request_id.removeprefix(CANCEL)
    request = ven.requests.get(about)
    if request is None or request.stage not in (Asking.CANCELLING, Asking.CANCELLED):
        refuse(arrived, "OADR-V304", "eiResponse/requestID", f"no report was cancelled by {about[:40]!r}")
        return Step(plain(arrived))
    if request.stage is Asking.CANCELLED:
        return Step(plain(arrived))
    return Step(plain(arrived), (_with(ven, arrived.now, {about: moved(request, Answers.CANCELED)}),))


def create(arrived: Arrived) -> Step:
    """A VEN asks what this VTN can report, which is nothing, or for a report, which it therefore refuses."""
    message, ven = arrived.message, arrived.known
    assert isinstance(message, wire.OadrCreateReport)  # noqa: S101 - the table says so
    for i, request in enumerate(message.oadr_report_requests):
        if not is_metadata(request):
            path = f"oadrReportRequest[{i}]/reportSpecifier/reportSpecifierID"
            refuse(arrived, "OADR-V306", path, f"{request.report_specifier.report_specifier_id[:40]!r}; it has none")
    asked = tuple(one.report_request_id for one in message.oadr_report_requests)
    answer = wire.OadrCreatedReport(
        schema_version=wire.VERSION, ei_response=ok(arrived), oadr_pending_reports=(), ven_id=ven.id
    )
    fresh = tuple(dict.fromkeys((*ven.metadata_for, *asked)))
    return Step(answer, (msgspec.structs.replace(ven, metadata_for=fresh, changed=arrived.now),))


def taken(arrived: Arrived) -> Step:
    """A VEN has got our metadata."""
    message, ven = arrived.message, arrived.known
    assert isinstance(message, wire.OadrRegisteredReport)  # noqa: S101 - the table says so
    about = message.ei_response.request_id.removeprefix(REGISTER)
    if about not in ven.metadata_for:
        return Step(plain(arrived))
    left = tuple(one for one in ven.metadata_for if one != about)
    return Step(plain(arrived), (msgspec.structs.replace(ven, metadata_for=left, changed=arrived.now),))


def cancel(arrived: Arrived) -> Step:
    """A VEN ends reports of ours, of which there are none."""
    message, ven = arrived.message, arrived.known
    assert isinstance(message, wire.OadrCancelReport)  # noqa: S101 - the table says so
    refuse(arrived, "OADR-V304", "reportRequestID[0]", f"{message.report_request_ids[0][:40]!r} was never asked for")
    return Step(wire.OadrCanceledReport(schema_version=wire.VERSION, ei_response=ok(arrived), ven_id=ven.id))


# What they are told

CANCEL = "cancel-"
REGISTER = "register-"
"""What requestIDs of ours begin with; then comes the reportRequestID."""

Call = wire.OadrCreateReport | wire.OadrCancelReport | wire.OadrRegisterReport


def calls(ven: VtnVen) -> Iterable[Call]:
    """What a VEN is to be told about reports."""
    for id_, one in ven.requests.items():
        if one.stage is Asking.WAITING:
            yield wire.OadrCreateReport(
                schema_version=wire.VERSION, request_id=id_, oadr_report_requests=(one.request,), ven_id=ven.id
            )
        elif one.stage is Asking.CANCELLING:
            yield wire.OadrCancelReport(
                schema_version=wire.VERSION,
                request_id=CANCEL + id_,
                report_request_ids=(id_,),
                report_to_follow=one.follow,
                ven_id=ven.id,
            )
    for id_ in ven.metadata_for:
        yield wire.OadrRegisterReport(
            schema_version=wire.VERSION, request_id=REGISTER + id_, ven_id=ven.id, report_request_id=id_
        )


# What a utility does

KEPT: Final = 100
"""So many requests that are over are remembered of a VEN."""


def ask(ven: VtnVen, request: OadrReportRequest, metadata: VtnMetadata | None, now: datetime) -> VtnVen:
    """A VEN that is asked for a report, of what it registered, or for what it can report.

    Raises:
        InvalidError: it registered no such report or data point, or the request breaks a rule.
        IllegalTransitionError: it is not registered.
    """
    if not ven.registered:
        raise IllegalTransitionError("it is not registered", path="VtnVen/id", value=ven.id)
    path = "OadrReportRequest/report_specifier"
    found = findings(wire.OadrCreateReport(request_id="r", oadr_report_requests=(request,), ven_id=ven.id))
    if found:
        raise InvalidError(found[0].message, path=found[0].path, clause=f"{found[0].rule}, {found[0].clause}")
    if not is_metadata(request):
        reports = () if metadata is None else metadata.reports
        specifier = request.report_specifier
        offered = next((one for one in reports if one.report_specifier_id == specifier.report_specifier_id), None)
        if offered is None:
            known = ", ".join(one.report_specifier_id for one in reports) or "none"
            raise InvalidError(f"it registered {known}", path=f"{path}/report_specifier_id")
        points = {one.r_id for one in offered.oadr_report_descriptions}
        for i, payload in enumerate(specifier.specifier_payloads):
            if payload.r_id not in points:
                where = f"{path}/specifier_payloads[{i}]/r_id"
                raise InvalidError(f"it registered {', '.join(sorted(points))}", path=where, value=payload.r_id)
    closed = [id_ for id_, one in ven.requests.items() if one.stage not in OPEN]
    forgotten = frozenset(closed[:-KEPT])
    kept = {id_: one for id_, one in ven.requests.items() if id_ not in forgotten}
    asked = {request.report_request_id: Request(request=request, since=now)}
    return msgspec.structs.replace(ven, requests=kept | asked, changed=now)


def stop(ven: VtnVen, request_id: str, now: datetime, *, follow: bool) -> VtnVen:
    """A VEN that is to end a report; `follow`: what it gathered is to come.

    Raises:
        IllegalTransitionError: it is not under way.
    """
    request = moved(ven.requests[request_id], Answers.CANCEL)
    return _with(ven, now, {request_id: msgspec.structs.replace(request, follow=follow)})


def names(report: OadrReport) -> str:
    """What a report of metadata is of: ``TELEMETRY_USAGE``."""
    return (report.report_name or "").removeprefix(METADATA)
