"""A VEN's reports: what it can report, what was asked for, what is due, and what was cancelled.

A request with a reportBackDuration of 0 is one report, any other one every so often: of telemetry from its start on,
of history at once, since its data are there.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec.structs import replace

from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiResponse, Message, OadrReport, OadrReportRequest
from flexhub.protocols.openadr2b.names import METADATA_SPECIFIER, ResponseCode
from flexhub.protocols.openadr2b.session.ven_state import Setup, State, Step, Wanted, later, new_id
from flexhub.protocols.openadr2b.times import length
from flexhub.protocols.uftp.times import instant, text_of

_OK: Final = ResponseCode.OK.value


def register(state: State, setup: Setup, now: datetime, *, seed: str, asked: str | None = None) -> Message:
    """Our metadata, for the VTN to choose from; `asked` is the reportRequestID of who asked for them."""
    reports = tuple(replace(report, created_date_time=text_of(now)) for report in setup.reports)
    return wire.OadrRegisterReport(
        schema_version=wire.VERSION,
        request_id=new_id(seed, "register report", asked or ""),
        oadr_reports=reports,
        ven_id=state.ven_id,
        report_request_id=asked,
    )


class _Refused(Exception):  # noqa: N818 - it is what a request comes to, not an error of ours
    def __init__(self, code: ResponseCode, said: str) -> None:
        super().__init__(said)
        self.code, self.said = code, said


def create(  # noqa: PLR0913 - what is asked, and what is known
    state: State, requests: Iterable[OadrReportRequest], request_id: str, now: datetime, setup: Setup, *, seed: str
) -> Step:
    """Take requests: all of them, or none where one cannot be met (452: no such report or data point; 461: not so).

    A request for METADATA is answered by our metadata, and stays nothing that is pending.
    """
    wanted, metadata = dict(state.wanted), list[str]()
    code, said = _OK, "OK"
    try:
        for request in requests:
            if request.report_specifier.report_specifier_id == METADATA_SPECIFIER:
                metadata.append(request.report_request_id)
            else:
                wanted[request.report_request_id] = _timed(request, now, setup)
    except _Refused as refused:
        wanted, metadata = dict(state.wanted), []
        code, said = refused.code.value, refused.said
    after = replace(state, wanted=wanted)
    created = wire.OadrCreatedReport(
        schema_version=wire.VERSION,
        ei_response=EiResponse(response_code=code, response_description=said, request_id=request_id),
        oadr_pending_reports=tuple(wanted),
        ven_id=state.ven_id,
    )
    return Step(after, (created, *(register(after, setup, now, seed=seed, asked=asked) for asked in metadata)))


def _timed(request: OadrReportRequest, now: datetime, setup: Setup) -> Wanted:
    try:
        return _wanted(request, now, setup)
    except OverflowError as error:
        raise _Refused(ResponseCode.REPORT_NOT_SUPPORTED, "beyond the end of the calendar") from error


def _wanted(request: OadrReportRequest, now: datetime, setup: Setup) -> Wanted:
    specifier = request.report_specifier
    offered = report_of(setup, specifier.report_specifier_id)
    if offered is None:
        raise _Refused(ResponseCode.INVALID_ID, f"no report {specifier.report_specifier_id[:80]!r}")
    points = {described.r_id for described in offered.oadr_report_descriptions}
    for payload in specifier.specifier_payloads:
        if payload.r_id not in points:
            raise _Refused(ResponseCode.INVALID_ID, f"no data point {payload.r_id[:80]!r}")
    back, told = length(specifier.report_back_duration), specifier.report_interval
    if back.months or back.seconds < 0:
        raise _Refused(ResponseCode.REPORT_NOT_SUPPORTED, "how often: neither months nor less than nothing")
    start, until = now, None
    if told is not None:
        start, whole = instant(told.dtstart), length(told.duration)
        if whole.months:
            raise _Refused(ResponseCode.REPORT_NOT_SUPPORTED, "how long: not in months")
        until = start + timedelta(seconds=whole.seconds) if whole.seconds else None
    history = (offered.report_name or "").removeprefix("METADATA_").startswith("HISTORY")
    if history and until is None:
        until = now
    if until is not None and until < start:
        raise _Refused(ResponseCode.REPORT_NOT_SUPPORTED, "of the future, or of no time")
    every = timedelta(seconds=back.seconds)
    if not back.seconds:
        due = until if history and until is not None else _once(start, until, length(specifier.granularity).seconds)
    else:
        due = start + every
    return Wanted(request=request, since=start, due=due, until=until, every_s=back.seconds)


def _once(start: datetime, until: datetime | None, granularity_s: int) -> datetime:
    """When a single report of telemetry is complete: at the end of its interval, or of one sample."""
    return until or start + timedelta(seconds=granularity_s)


def report_of(setup: Setup, specifier: str) -> OadrReport | None:
    """The metadata of a report."""
    return next((report for report in setup.reports if report.report_specifier_id == specifier), None)


def cancel(state: State, message: wire.OadrCancelReport, now: datetime) -> Step:
    """End reports: all that are named, or none where one is unknown (452) [rule 304]."""
    unknown = [name for name in message.report_request_ids if name not in state.wanted]
    wanted = state.wanted
    if not unknown:
        following = set(message.report_request_ids) if message.report_to_follow else set()
        wanted = {
            name: replace(one, due=now, until=now) if name in following else one
            for name, one in state.wanted.items()
            if name not in message.report_request_ids or name in following
        }
    code = ResponseCode.INVALID_ID.value if unknown else _OK
    canceled = wire.OadrCanceledReport(
        schema_version=wire.VERSION,
        ei_response=EiResponse(
            response_code=code,
            response_description=f"no report {unknown[0][:80]!r}" if unknown else "OK",
            request_id=message.request_id,
        ),
        oadr_pending_reports=tuple(wanted),
        ven_id=state.ven_id,
    )
    return Step(replace(state, wanted=wanted), (canceled,))


class Due(NamedTuple):
    """A report that is to go out: its request, and the span of its data."""

    request: OadrReportRequest
    since: datetime
    until: datetime


def due(state: State, now: datetime) -> list[Due]:
    """Reports whose time has come; of one that was missed for long, all of that in one."""
    return [Due(one.request, one.since, _latest(one, now)) for one in state.wanted.values() if one.due <= now]


def _latest(one: Wanted, now: datetime) -> datetime:
    """End of the data that are due: the last period that is complete by now."""
    if not one.every_s:
        return one.due
    step = timedelta(seconds=one.every_s)
    latest = one.due + ((now - one.due) // step) * step
    return latest if one.until is None else min(latest, one.until)


def sent(state: State, request_id: str, now: datetime) -> State:
    """After a report went out: its next one, or none."""
    one = state.wanted.get(request_id)
    if one is None or one.due > now:
        return state
    until = _latest(one, now)
    rest = {name: other for name, other in state.wanted.items() if name != request_id}
    if not one.every_s or (one.until is not None and until >= one.until):
        return replace(state, wanted=rest)
    coming = later(until, one.every_s)
    following = replace(one, since=until, due=coming if one.until is None else min(coming, one.until))
    return replace(state, wanted={**rest, request_id: following})


def next_due(state: State) -> datetime | None:
    """When the next report is due."""
    return min((one.due for one in state.wanted.values()), default=None)
