"""What each rule of OpenADR 2.0b that is about one message alone looks for; the rows are in `rules`."""

from __future__ import annotations

from collections.abc import Iterator
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


def interval_uids(message: wire.OadrDistributeEvent) -> Iterator[Finding]:
    """Intervals of a signal are numbered 0, 1, 2, ..."""
    for at, _, signal in _signals(message):
        for i, interval in enumerate(signal.intervals):
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
    """The intervals of a signal are as long together as the event; a single one needs no duration."""
    for at, event, signal in _signals(message):
        whole = length(event.ei_active_period.properties.duration)
        told = [interval.duration for interval in signal.intervals]
        if whole == ZERO or told == [None]:
            continue
        if None in told:
            path = f"{at}/intervals/interval[{told.index(None)}]/duration"
            yield Finding(path, "is missing, so the intervals do not add up to the event")
            continue
        total = ZERO
        for text in told:
            total = total.plus(length(text or ""))
        if total != whole:
            yield Finding(f"{at}/intervals", f"last {_said(total)} together, the event {_said(whole)}")


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

    Interpretation: events for different targets may, since each resource has but one then; and one that is over
    overlaps with none.
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
    seen: set[str] = set()
    for i, answer in _answers(message):
        name = answer.qualified_event_id.event_id
        if name in seen:
            yield Finding(f"{_ANSWER.format(i)}/qualifiedEventID/eventID", f"{name[:40]!r} is answered already")
        seen.add(name)


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
    """An event of duration 0 has no end, and so has the last interval of its signals; no other interval.

    Interpretation: the intervals before the last have an end, or nothing could follow them.
    """
    for at, event, signal in _signals(message):
        endless = length(event.ei_active_period.properties.duration) == ZERO
        for i, interval in enumerate(signal.intervals):
            last = i == len(signal.intervals) - 1
            long = None if interval.duration is None else length(interval.duration)
            path = f"{at}/intervals/interval[{i}]/duration"
            if long == ZERO and not (endless and last):
                yield Finding(path, "is 0: only the last interval of an event without end has no end")
            elif endless and last and long not in (None, ZERO):
                yield Finding(path, f"is {interval.duration}, though the event has no end (its duration is 0)")


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


def _reports(message: wire.OadrRegisterReport | wire.OadrUpdateReport) -> Iterator[tuple[str, OadrReport]]:
    for i, report in enumerate(message.oadr_reports):
        yield f"oadrReport[{i}]", report


def metadata_specifier(message: wire.OadrCreateReport | wire.OadrRegisteredReport) -> Iterator[Finding]:
    """A request for metadata, which reads nothing, names the specifier METADATA, and nothing else does.

    Interpretation: that a request is for metadata shows in the readingType x-notApplicable.
    """
    for i, request in enumerate(message.oadr_report_requests):
        specifier = request.report_specifier
        metadata = specifier.report_specifier_id == names.METADATA_SPECIFIER
        for j, payload in enumerate(specifier.specifier_payloads):
            if (payload.reading_type == names.NOT_APPLICABLE) != metadata:
                at = f"oadrReportRequest[{i}]/reportSpecifier"
                if metadata:
                    path = f"{at}/specifierPayload[{j}]/readingType"
                    yield Finding(path, f"is {payload.reading_type}; metadata is no reading: {names.NOT_APPLICABLE}")
                else:
                    yield Finding(f"{at}/reportSpecifierID", "is not METADATA, though nothing is read")
                break


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
    """Names of metadata begin with METADATA_, and others don't."""
    metadata = isinstance(message, wire.OadrRegisterReport)
    kind = "oadrRegisterReport" if metadata else "oadrUpdateReport"
    for at, report in _reports(message):
        name = report.report_name
        if name is not None and not name.startswith("x-") and name.startswith(names.METADATA) != metadata:
            yield Finding(f"{at}/reportName", f"{name} is not the name of what an {kind} holds")


def interval_start(message: wire.OadrUpdateReport) -> Iterator[Finding]:
    """An interval without a start has that of its report, so one of them has one."""
    for at, report in _reports(message):
        for i, interval in enumerate(report.intervals or ()):
            if interval.dtstart is None and report.dtstart is None:
                yield Finding(f"{at}/intervals/interval[{i}]/dtstart", "is missing, and the report has none, either")


def transport_address(message: wire.OadrCreatePartyRegistration) -> Iterator[Finding]:
    """A VEN that is pushed to tells where.

    Interpretation: over XMPP that is told by the connection, so only simpleHttp needs the address.
    """
    pushed = message.oadr_transport_name is names.TransportName.SIMPLE_HTTP and not message.oadr_http_pull_model
    if pushed and not message.oadr_transport_address:
        yield Finding("oadrTransportAddress", "is missing, though the VEN does not poll")
