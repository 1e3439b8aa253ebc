"""Reports of readings: gathered from the store by an asker, and written as the VTN wants them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from flexhub.app.exchange.portfolio import every
from flexhub.app.hub.contract import Question, Reads
from flexhub.app.openadr.ven.papers import OpenadrReading, OpenadrReadings, OpenadrVen
from flexhub.app.openadr.ven.settings import HISTORY, STATUS, Ven
from flexhub.core.timegrid import floor_to_grid
from flexhub.core.timeseries import Measurement, Quality
from flexhub.core.units import MOST_SLOTS
from flexhub.mappings.openadr2b.context import Context
from flexhub.mappings.openadr2b.reports import telemetry_to_wire
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import (
    Interval,
    OadrPayloadResourceStatus,
    OadrReport,
    OadrReportPayload,
    OadrReportRequest,
)
from flexhub.protocols.openadr2b.session import ven_reports
from flexhub.protocols.openadr2b.session.ven_state import State
from flexhub.protocols.openadr2b.times import length
from flexhub.protocols.uftp.times import text_of

FINEST_S: Final = 60
SILENT: Final = timedelta(hours=1)
"""A subject without a reading for so long is not online."""
_WORST: Final = (Quality.MEASURED, Quality.ESTIMATED, Quality.SUSPECT, Quality.MISSING)


class ReportAsker:
    """Answers ``openadr.ven.report``: about a VTN, by its name."""

    def __init__(self, vens: Mapping[str, Ven]) -> None:
        self._vens = vens

    async def gather(self, question: Question, reads: Reads, now: datetime) -> OpenadrReadings:
        """The readings of what is due now."""
        kept = await reads.get(OpenadrVen, question.subject)
        ven = self._vens.get(question.subject)
        if kept is None or ven is None:
            return OpenadrReadings(reports=())
        found = []
        for one in ven_reports.due(kept.state, now):
            subjects = {ven.points[p].subject for p in _points(one.request, ven)}
            span = (one.since - SILENT, max(one.until, one.since + timedelta(seconds=1)))
            taken = await every(reads, Measurement, overlapping=span)
            found.append(
                OpenadrReading(
                    report_request_id=one.request.report_request_id,
                    since=one.since,
                    until=one.until,
                    readings=tuple(m for m in taken if m.subject in subjects),
                )
            )
        return OpenadrReadings(reports=tuple(found))

    def answer(self, arguments: OpenadrReadings) -> OpenadrReadings:
        """As they are: there is nothing to compute."""
        return arguments


def _points(request: OadrReportRequest, ven: Ven) -> list[str]:
    return [p.r_id for p in request.report_specifier.specifier_payloads if p.r_id in ven.points]


def updated(  # noqa: PLR0913, PLR0917 - whose, what was asked, and what was read
    ven: Ven, state: State, request: OadrReportRequest, reading: OpenadrReading, now: datetime, request_id: str
) -> wire.OadrUpdateReport:
    """A report: an interval for each slot of the granularity that was asked for, with every data point.

    Slots are those of the grid from the epoch that have ended. What is missing says so.
    """
    specifier = request.report_specifier
    if specifier.report_specifier_id == STATUS:
        return _status(ven, state, request, reading, now, request_id)
    step = min(86_400, max(FINEST_S, length(specifier.granularity).seconds))
    start = floor_to_grid(reading.since, step)
    count = min(MOST_SLOTS, max(1, int((floor_to_grid(reading.until, step) - start).total_seconds()) // step))
    kept = {
        "request_id": request_id,
        "ven_id": state.ven_id,
        "report_request_id": request.report_request_id,
        "report_specifier_id": specifier.report_specifier_id,
        "report_name": "HISTORY_USAGE" if specifier.report_specifier_id == HISTORY else "TELEMETRY_USAGE",
        "ei_report_id": request_id,
    }
    made: wire.OadrUpdateReport | None = None
    for r_id in _points(request, ven):
        point = ven.points[r_id]
        own = gridded((m for m in reading.readings if m.subject == point.subject), point.subject, start, step, count)
        one = telemetry_to_wire(own, Context(kept=kept, now=now, points={r_id: point})).value
        made = one if made is None else _merged(made, one)
    assert made is not None  # noqa: S101 - the session takes no request without a data point of ours
    return made


def _status(  # noqa: PLR0913, PLR0917 - as above
    ven: Ven, state: State, request: OadrReportRequest, reading: OpenadrReading, now: datetime, request_id: str
) -> wire.OadrUpdateReport:
    """Whether each subject is there, at the end of the span: it is where it was measured lately.

    Interpretation: nobody tells of somebody who took over by hand, so nobody did.
    """
    payloads = []
    for r_id in _points(request, ven):
        own = (m for m in reading.readings if m.subject == ven.points[r_id].subject)
        online = any(
            kwh is not None and reading.until - SILENT < m.start + (i + 1) * timedelta(seconds=m.resolution_s)
            for m in own
            for i, kwh in enumerate(m.values_kwh)
        )
        held = OadrPayloadResourceStatus(oadr_online=online, oadr_manual_override=False)
        payloads.append(OadrReportPayload(r_id=r_id, payload_base=held))
    report = OadrReport(
        dtstart=text_of(reading.until),
        intervals=(Interval(dtstart=text_of(reading.until), uid="0", stream_payload_base=tuple(payloads)),),
        ei_report_id=request_id,
        report_request_id=request.report_request_id,
        report_specifier_id=STATUS,
        report_name="TELEMETRY_STATUS",
        created_date_time=text_of(now),
    )
    return wire.OadrUpdateReport(
        schema_version=wire.VERSION, request_id=request_id, oadr_reports=(report,), ven_id=state.ven_id
    )


def _merged(one: wire.OadrUpdateReport, other: wire.OadrUpdateReport) -> wire.OadrUpdateReport:
    """Two reports of the same slots as one."""
    first, second = one.oadr_reports[0], other.oadr_reports[0]
    intervals = tuple(
        msgspec.structs.replace(a, stream_payload_base=a.stream_payload_base + b.stream_payload_base)
        for a, b in zip(first.intervals or (), second.intervals or (), strict=True)
    )
    return msgspec.structs.replace(one, oadr_reports=(msgspec.structs.replace(first, intervals=intervals),))


def gridded(taken: Iterable[Measurement], subject: str, start: datetime, step_s: int, count: int) -> Measurement:
    """Readings on a grid: energies by the share of each slot; a slot that is not covered throughout is missing.

    Of several readings of one time, which offers may have, the last counts.
    """
    begin = start.timestamp()
    found: dict[float, tuple[float, float, Quality]] = {}
    for one in taken:
        for i, kwh in enumerate(one.values_kwh):
            if kwh is not None:
                at = one.start.timestamp() + i * one.resolution_s
                found[at] = (at + one.resolution_s, kwh, one.flag(i))
    sums, covered, worst = [0.0] * count, [0.0] * count, [Quality.MEASURED] * count
    for at, (end, kwh, flag) in found.items():
        first, last = max(0, int((at - begin) // step_s)), min(count, int(-((begin - end) // step_s)))
        for slot in range(first, last):
            share = min(end, begin + (slot + 1) * step_s) - max(at, begin + slot * step_s)
            if share > 0:
                sums[slot] += kwh * share / (end - at)
                covered[slot] += share
                worst[slot] = max(worst[slot], flag, key=_WORST.index)
    whole = [one >= step_s for one in covered]
    return Measurement(
        subject=subject,
        start=start,
        values_kwh=tuple(kwh if there else None for kwh, there in zip(sums, whole, strict=True)),
        quality=tuple(flag if there else Quality.MISSING for flag, there in zip(worst, whole, strict=True)),
        resolution_s=step_s,
    )
