"""What each rule of OpenADR 2.0b that is about one message alone looks for; the rows are in `rules`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from typing import Final

from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b import names
from flexhub.protocols.openadr2b.elements import (
    EiEvent,
    EiEventSignal,
    EiTarget,
    Element,
    EventResponse,
    Interval,
    Message,
    OadrReport,
    OadrReportRequest,
    PayloadFloat,
    SignalPayload,
)
from flexhub.protocols.openadr2b.shapes import Particle, name_of, shape
from flexhub.protocols.openadr2b.times import ZERO, Length, length, span
from flexhub.protocols.rules import Finding
from flexhub.protocols.uftp.times import instant

_OVER: Final = (names.EventStatus.COMPLETED, names.EventStatus.CANCELLED)
LEVELS: Final = (0.0, 1.0, 2.0, 3.0)


def is_test(event: EiEvent) -> bool:
    """Whether an event is a test: any text but "false" says so, in any case of its letters [rule 6]."""
    told = event.event_descriptor.test_event
    return told is not None and told.strip().lower() != "false"


def _events(message: wire.OadrDistributeEvent) -> Iterator[tuple[str, EiEvent]]:
    for i, one in enumerate(message.oadr_events):
        yield f"oadrEvent[{i}]/eiEvent", one.ei_event


def _signals(message: wire.OadrDistributeEvent) -> Iterator[tuple[str, EiEvent, EiEventSignal]]:
    for at, event in _events(message):
        for i, signal in enumerate(event.ei_event_signals.ei_event_signals):
            yield f"{at}/eiEventSignals/eiEventSignal[{i}]", event, signal


def _numbers(interval: Interval) -> Iterator[tuple[str, float]]:
    """The quantities of an interval of a signal."""
    for i, payload in enumerate(interval.stream_payload_base):
        if isinstance(payload, SignalPayload) and isinstance(payload.payload_base, PayloadFloat):
            yield f"signalPayload[{i}]/payloadFloat/value", payload.payload_base.value


def _series(message: wire.OadrDistributeEvent) -> Iterator[tuple[str, str, tuple[Interval, ...]]]:
    """(path, duration of the whole, intervals) of each signal and each baseline."""
    for at, event, signal in _signals(message):
        yield at, event.ei_active_period.properties.duration, signal.intervals
    for at, event in _events(message):
        baseline = event.ei_event_signals.ei_event_baseline
        if baseline is not None:
            yield f"{at}/eiEventSignals/eiEventBaseline", baseline.duration, baseline.intervals


def interval_uids(message: wire.OadrDistributeEvent) -> Iterator[Finding]:
    """Intervals of a signal or baseline are numbered 0, 1, 2, ..."""
    for at, _, intervals in _series(message):
        for i, interval in enumerate(intervals):
            if interval.uid is None or interval.uid.strip() != str(i):
                said = "is missing" if interval.uid is None else f"is {interval.uid[:40]!r}"
                yield Finding(f"{at}/intervals/interval[{i}]/uid", f"{said}; the uid of this interval is {i}")


def cancelled_unmodified(message: wire.OadrDistributeEvent) -> Iterator[Finding]:
    """An event begins with modificationNumber 0, and to cancel it raises that."""
    for at, event in _events(message):
        descriptor = event.event_descriptor
        if descriptor.event_status is names.EventStatus.CANCELLED and descriptor.modification_number == 0:
            yield Finding(f"{at}/eventDescriptor/modificationNumber", "is 0, though the event was cancelled since")


def durations(message: wire.OadrDistributeEvent) -> Iterator[Finding]:
    """The intervals of a signal are as long together as the event, those of a baseline as that.

    Interpretation: a single one need not tell its duration.
    """
    for at, whole, intervals in _series(message):
        told = [interval.duration for interval in intervals]
        if told == [None]:
            continue
        if None in told:
            path = f"{at}/intervals/interval[{told.index(None)}]/duration"
            yield Finding(path, "is missing, so the intervals do not add up to the whole")
        elif (total := _sum(told)) != length(whole):
            yield Finding(f"{at}/intervals", f"last {_said(total)} together, the whole {_said(length(whole))}")


def _sum(durations: Iterable[str | None]) -> Length:
    total = ZERO
    for text in durations:
        total = total.plus(length(text or "P"))
    return total


def _said(long: Length) -> str:
    return f"{long.months} months and {long.seconds} s" if long.months else f"{long.seconds} s"


def simple_levels(message: wire.OadrDistributeEvent) -> Iterator[Finding]:
    """SIMPLE knows the levels 0, 1, 2 and 3."""
    for at, _, signal in _signals(message):
        if signal.signal_name not in names.SIMPLE:
            continue
        for i, interval in enumerate(signal.intervals):
            for below, value in _numbers(interval):
                if value not in LEVELS:
                    yield Finding(f"{at}/intervals/interval[{i}]/{below}", f"{value:g} is not a level: 0, 1, 2 or 3")


def current_value(message: wire.OadrDistributeEvent) -> Iterator[Finding]:
    """SIMPLE's currentValue is 0 unless the event is active."""
    for at, event, signal in _signals(message):
        status = event.event_descriptor.event_status
        if signal.signal_name in names.SIMPLE and status is not names.EventStatus.ACTIVE and signal.current_value:
            yield Finding(
                f"{at}/currentValue", f"is {signal.current_value:g}, though the event is {status}, not active"
            )


def overlaps(message: wire.OadrDistributeEvent) -> Iterator[Finding]:
    """Events of one market context do not overlap.

    Interpretation: events for different targets may, since each resource has but one then; one that is over overlaps
    with none, and one that begins when another ends does not, either.
    """
    groups: dict[tuple[str, EiTarget], list[tuple[datetime, int, datetime | None, str, str]]] = {}
    for i, (at, event) in enumerate(_events(message)):
        descriptor = event.event_descriptor
        if descriptor.event_status not in _OVER:
            start, end = span(event.ei_active_period.properties)
            one = (start, i, end, at, descriptor.event_id)
            groups.setdefault((descriptor.ei_market_context, event.ei_target), []).append(one)
    for group in groups.values():
        (_, _, until, _, longest), *others = sorted(group, key=lambda one: one[:2])
        for start, _, end, at, name in others:
            if until is None or start < until:
                yield Finding(
                    f"{at}/eiActivePeriod", f"overlaps that of event {longest[:40]!r} of the same market context"
                )
            if until is not None and (end is None or end > until):
                until, longest = end, name


def answered_twice(message: wire.OadrCreatedEvent) -> Iterator[Finding]:
    """Each event gets one answer."""
    yield from _again(
        (f"{_ANSWER.format(i)}/qualifiedEventID/eventID", answer.qualified_event_id.event_id)
        for i, answer in _answers(message)
    )


_ANSWER: Final = "eiCreatedEvent/eventResponses/eventResponse[{}]"


def _answers(message: wire.OadrCreatedEvent) -> Iterator[tuple[int, EventResponse]]:
    yield from enumerate(message.ei_created_event.event_responses or ())


_NAMED: Final = ("ei:venID", "ei:vtnID", "ei:eventID")


def empty_ids(message: Message) -> Iterator[Finding]:
    """A mandatory id of a party or event names one."""
    yield from _empty(message, "", _NAMED)


def empty_request_ids(message: Message) -> Iterator[Finding]:
    """A message that begins something has a requestID, which its answer can name.

    Interpretation: an eiResponse may leave it empty, where what it answers had none.
    """
    yield from _empty(message, "", ("pyld:requestID",))


def _empty(value: Element, at: str, wanted: tuple[str, ...]) -> Iterator[Finding]:
    """Mandatory elements of these names that hold nothing, at and below a struct; an eiResponse is not looked into."""
    for particle, below in _wanted(type(value), wanted):
        held = getattr(value, particle.field)
        if not below:
            if held == "":
                yield Finding(f"{at}{_local(particle.path[0])}", "is empty")
            continue
        around = "".join(f"{_local(name)}/" for name in (*particle.within, *particle.path[:-1]))
        if particle.least is None:
            if held is not None:
                yield from _empty(held, f"{at}{around}{_name(held, particle.path)}/", wanted)
            continue
        for i, one in enumerate(held or ()):
            yield from _empty(one, f"{at}{around}{_name(one, particle.path)}[{i}]/", wanted)


@cache
def _wanted(kind: type[Element], wanted: tuple[str, ...]) -> tuple[tuple[Particle, bool], ...]:
    """The particles of a struct that are mandatory and so called, or below which such are (true)."""
    found: list[tuple[Particle, bool]] = []
    for particle in shape(kind).particles:
        if particle.simple is not None:
            if particle.required and particle.least is None and particle.path[-1] in wanted:
                found.append((particle, False))
        elif "ei:eiResponse" not in particle.names and any(_wanted(inner, wanted) for inner in particle.kinds):
            found.append((particle, True))
    return tuple(found)


def _name(value: Element, path: tuple[str, ...]) -> str:
    return _local(path[-1] if path else name_of(type(value)))


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def no_event_responses(message: wire.OadrCreatedEvent) -> Iterator[Finding]:
    """Who accepts an oadrDistributeEvent says what becomes of each event."""
    created = message.ei_created_event
    if created.ei_response.response_code.startswith("2") and not created.event_responses:
        yield Finding("eiCreatedEvent/eventResponses", "is missing, though the eiResponse tells no error")


def schema_location(message: Message) -> Iterator[Finding]:
    """No message tells where a schema lies."""
    if message.schema_location is not None:
        yield Finding("@schemaLocation", "must not be there")


def open_ended(message: wire.OadrDistributeEvent) -> Iterator[Finding]:
    """A duration of 0 has no end: so only the last interval has it, and of an event only that has it, too."""
    for at, event, signal in _signals(message):
        endless = length(event.ei_active_period.properties.duration) == ZERO
        last = len(signal.intervals) - 1
        for i, interval in enumerate(signal.intervals):
            if interval.duration is not None and length(interval.duration) == ZERO and not (endless and i == last):
                said = (
                    "is 0, and nothing can follow what has no end" if endless else "is 0, though the event has an end"
                )
                yield Finding(f"{at}/intervals/interval[{i}]/duration", said)


def opted_in_to_an_error(message: wire.OadrCreatedEvent) -> Iterator[Finding]:
    """What is answered with an error is not opted in to."""
    for i, answer in _answers(message):
        if answer.response_code[0] in "45" and answer.opt_type is names.OptType.OPT_IN:
            yield Finding(f"{_ANSWER.format(i)}/optType", f"is optIn, though the code is {answer.response_code}")


_RANK: Final = {names.EventStatus.ACTIVE: 0, names.EventStatus.NEAR: 1, names.EventStatus.FAR: 1}


def order(message: wire.OadrDistributeEvent) -> Iterator[Finding]:
    """Active events come first, by priority and then start; pending ones follow by their start.

    Interpretation: 1 is the highest priority, and 0 or none the lowest; of events that are over the order says nothing.
    """
    before: tuple[int, float, float] | None = None
    for at, event in _events(message):
        descriptor = event.event_descriptor
        rank = _RANK.get(descriptor.event_status)
        if rank is None:
            continue
        priority = float(descriptor.priority or "inf") if rank == 0 else 0.0
        key = (rank, priority, instant(event.ei_active_period.properties.dtstart).timestamp())
        if before is not None and key < before:
            yield Finding(at, "belongs before the event that precedes it: active, then by priority, then by start")
        before = key


def interval_starts(message: wire.OadrDistributeEvent) -> Iterator[Finding]:
    """Intervals of signals and baselines follow one another from the start of the whole; none has a dtstart.

    Interpretation: the schema lets an interval have a dtstart; in an event it could only repeat or contradict the
    others.
    """
    for at, _, intervals in _series(message):
        for i, interval in enumerate(intervals):
            if interval.dtstart is not None:
                yield Finding(f"{at}/intervals/interval[{i}]/dtstart", "has no place in an event")


def _again(ids: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Of (path, id), those whose id came before."""
    seen: set[str] = set()
    for path, name in ids:
        if name in seen:
            yield Finding(path, f"{name[:40]!r} stands here already")
        seen.add(name)


def same_ids(message: wire.OadrDistributeEvent) -> Iterator[Finding]:
    """Each eventID stands once in a message, each signalID once in an event.

    Interpretation: the schema does not say that ids differ; an answer could name neither of two that are the same.
    """
    events = list(_events(message))
    yield from _again((f"{at}/eventDescriptor/eventID", event.event_descriptor.event_id) for at, event in events)
    for at, event in events:
        signals = enumerate(event.ei_event_signals.ei_event_signals)
        yield from _again((f"{at}/eiEventSignals/eiEventSignal[{i}]/signalID", one.signal_id) for i, one in signals)


def simple_type(message: wire.OadrDistributeEvent) -> Iterator[Finding]:
    """SIMPLE is a level, and has no unit.

    Interpretation: the schema lets SIMPLE be of any type; a level from 0 to 3 [rule 9] is what its numbers are.
    """
    for at, _, signal in _signals(message):
        if signal.signal_name not in names.SIMPLE:
            continue
        if signal.signal_type is not names.SignalType.LEVEL:
            yield Finding(f"{at}/signalType", f"is {signal.signal_type}; SIMPLE is a level")
        if signal.item_base is not None:
            yield Finding(f"{at}/{_local(name_of(type(signal.item_base)))}", "has no place here: a level has no unit")


def whole_request_id(message: wire.OadrCreatedEvent) -> Iterator[Finding]:
    """Where each event is answered, only the answers have a requestID; that of the eiResponse is empty.

    Interpretation: the schema wants a requestID at both places; two that differ would leave open which is meant.
    """
    created = message.ei_created_event
    if created.event_responses and created.ei_response.request_id:
        yield Finding("eiCreatedEvent/eiResponse/requestID", "is not empty, though the events are answered each")


def _reports(message: wire.OadrRegisterReport | wire.OadrUpdateReport) -> Iterator[tuple[str, OadrReport]]:
    for i, report in enumerate(message.oadr_reports):
        yield f"oadrReport[{i}]", report


Asking = wire.OadrCreateReport | wire.OadrRegisteredReport


def _requests(message: Asking) -> Iterator[tuple[str, OadrReportRequest]]:
    for i, request in enumerate(message.oadr_report_requests):
        yield f"oadrReportRequest[{i}]", request


def metadata_specifier(message: Asking) -> Iterator[Finding]:
    """A request for metadata, which is that of the reportSpecifierID METADATA, asks for the rID 0."""
    for at, request in _requests(message):
        specifier = request.report_specifier
        if specifier.report_specifier_id == names.METADATA_SPECIFIER:
            for i, payload in enumerate(specifier.specifier_payloads):
                if payload.r_id != names.METADATA_RID:
                    path = f"{at}/reportSpecifier/specifierPayload[{i}]/rID"
                    yield Finding(path, f"is {payload.r_id[:40]!r}; that of metadata is 0")


def requested_reading(message: Asking) -> Iterator[Finding]:
    """The readingType of a request is x-notApplicable: that of the data point is told by the metadata.

    Interpretation: the schema demands one of a request, which has none of its own to tell.
    """
    for at, request in _requests(message):
        for i, payload in enumerate(request.report_specifier.specifier_payloads):
            if payload.reading_type != names.NOT_APPLICABLE:
                path = f"{at}/reportSpecifier/specifierPayload[{i}]/readingType"
                yield Finding(path, f"is {payload.reading_type}; a request says {names.NOT_APPLICABLE}")


def requested_ids(message: Asking) -> Iterator[Finding]:
    """The reportRequestID of a request is its own: not empty, not 0, which is that of metadata, and not another's.

    Interpretation: the schema takes any text; what names a report has to be told apart from metadata [rules 304 and
    311].
    """
    requests = [(f"{at}/reportRequestID", request.report_request_id) for at, request in _requests(message)]
    for path, name in requests:
        if name in ("", names.METADATA_REQUEST):
            yield Finding(path, f"is {name!r}, so no report can name it")
    yield from _again((path, name) for path, name in requests if name not in ("", names.METADATA_REQUEST))


def requested_interval(message: Asking) -> Iterator[Finding]:
    """The reportInterval of a request has a start and a duration, and nothing of an event.

    Interpretation: the schema takes what an event's period has; nothing of that says anything about a report.
    """
    for at, request in _requests(message):
        told = request.report_specifier.report_interval
        held = (
            {}
            if told is None
            else {
                "tolerance": told.tolerance,
                "x-eiNotification": told.x_ei_notification,
                "x-eiRampUp": told.x_ei_ramp_up,
                "x-eiRecovery": told.x_ei_recovery,
            }
        )
        for name, value in held.items():
            if value is not None:
                yield Finding(f"{at}/reportSpecifier/reportInterval/properties/{name}", "has no place in a request")


def metadata_request_id(message: wire.OadrRegisterReport) -> Iterator[Finding]:
    """The reportRequestID of metadata is 0."""
    for at, report in _reports(message):
        if report.report_request_id != names.METADATA_REQUEST:
            yield Finding(f"{at}/reportRequestID", f"is {report.report_request_id[:40]!r}; that of metadata is 0")


def metadata_form(message: wire.OadrRegisterReport) -> Iterator[Finding]:
    """Metadata has a duration, and no intervals, start or eiReportID."""
    for at, report in _reports(message):
        if report.duration is None:
            yield Finding(f"{at}/duration", "is missing: metadata says for how long data are kept")
        held = {"dtstart": report.dtstart, "intervals": report.intervals, "eiReportID": report.ei_report_id}
        for name, value in held.items():
            if value is not None:
                yield Finding(f"{at}/{name}", "has no place in metadata")


def metadata_name(message: wire.OadrRegisterReport | wire.OadrUpdateReport) -> Iterator[Finding]:
    """Names of metadata begin with METADATA_, and others don't.

    Interpretation: the schema lists names of both; the prefix is what tells them apart.
    """
    metadata = isinstance(message, wire.OadrRegisterReport)
    kind = "oadrRegisterReport" if metadata else "oadrUpdateReport"
    for at, report in _reports(message):
        name = report.report_name
        if name is not None and not name.startswith("x-") and name.startswith(names.METADATA) != metadata:
            yield Finding(f"{at}/reportName", f"{name} is not the name of what an {kind} holds")


def data_form(message: wire.OadrUpdateReport) -> Iterator[Finding]:
    """A report of data has a start, intervals and a name, and is not of the specifier METADATA.

    Interpretation: the schema lets both be absent; without them nobody knows of when or of what the data are.
    """
    for at, report in _reports(message):
        for name, value in (("dtstart", report.dtstart), ("intervals", report.intervals)):
            if value is None:
                yield Finding(f"{at}/{name}", "is missing")
        if not report.report_name:
            yield Finding(f"{at}/reportName", "is missing")
        if report.report_specifier_id == names.METADATA_SPECIFIER:
            yield Finding(f"{at}/reportSpecifierID", "is METADATA; metadata is registered")


def data_starts(message: wire.OadrUpdateReport) -> Iterator[Finding]:
    """Intervals have that start which the report has, or each its own; the first of those is the report's.

    Interpretation: a feed of Green Button tells its times itself.
    """
    for at, report in _reports(message):
        told = [interval.dtstart for interval in report.intervals or ()]
        if _is_feed(report) or told.count(None) == len(told):
            continue
        if None in told:
            path = f"{at}/intervals/interval[{told.index(None)}]/dtstart"
            yield Finding(path, "is missing, though another interval of the report has one")
        elif report.dtstart is not None and instant(told[0] or "") != instant(report.dtstart):
            yield Finding(f"{at}/intervals/interval[0]/dtstart", f"is {told[0]}, the report's {report.dtstart}")


def _is_feed(report: OadrReport) -> bool:
    return report.report_name is not None and report.report_name.endswith("GREENBUTTON")


def data_durations(message: wire.OadrUpdateReport) -> Iterator[Finding]:
    """Intervals all have a duration, or none; where none has a start, all; together they last as long as the report."""
    for at, report in _reports(message):
        intervals = report.intervals or ()
        told = [interval.duration for interval in intervals]
        following = len(intervals) > 1 and all(interval.dtstart is None for interval in intervals)
        if None in told and (following or told.count(None) < len(told)):
            path = f"{at}/intervals/interval[{told.index(None)}]/duration"
            yield Finding(path, "is missing, so nobody knows when the interval ends")
        elif report.duration is not None and None not in told and _sum(told) != length(report.duration):
            lasts = f"lasts {_said(length(report.duration))}, its intervals {_said(_sum(told))}"
            yield Finding(f"{at}/duration", lasts)


def metadata_ids(message: wire.OadrRegisterReport) -> Iterator[Finding]:
    """Each reportSpecifierID stands once in a registration, each rID once in a report.

    Interpretation: the schema does not say that ids differ; a request could name neither of two that are the same.
    """
    reports = list(_reports(message))
    yield from _again((f"{at}/reportSpecifierID", report.report_specifier_id) for at, report in reports)
    for at, report in reports:
        described = enumerate(report.oadr_report_descriptions)
        yield from _again((f"{at}/oadrReportDescription[{i}]/rID", one.r_id) for i, one in described)


def sampling(message: wire.OadrRegisterReport) -> Iterator[Finding]:
    """Telemetry tells how often each data point is sampled, at least once in the duration of the report.

    Interpretation: the schema lets it be absent; without it no granularity can be asked for that the VEN can keep.
    """
    for at, report in _reports(message):
        telemetry = (report.report_name or "").startswith(f"{names.METADATA}TELEMETRY")
        for i, described in enumerate(report.oadr_report_descriptions):
            path = f"{at}/oadrReportDescription[{i}]/oadrSamplingRate"
            rate = described.oadr_sampling_rate
            if rate is None:
                if telemetry:
                    yield Finding(path, "is missing")
            elif report.duration is not None and length(rate.oadr_max_period).about() > length(report.duration).about():
                yield Finding(f"{path}/oadrMaxPeriod", f"is {rate.oadr_max_period}, the report lasts {report.duration}")


def transport_address(message: wire.OadrCreatePartyRegistration) -> Iterator[Finding]:
    """Over simpleHttp a VEN says whether it polls; where it does not, it tells its address.

    Interpretation: over XMPP the connection tells both.
    """
    if message.oadr_transport_name is not names.TransportName.SIMPLE_HTTP:
        return
    if message.oadr_http_pull_model is None:
        yield Finding("oadrHttpPullModel", "is missing, though the transport is simpleHttp")
    elif not message.oadr_http_pull_model and not message.oadr_transport_address:
        yield Finding("oadrTransportAddress", "is missing, though the VEN does not poll")
