"""What is tried at a VTN: valid messages and what spoils each, and how it behaves from one message to the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeAlias

import msgspec

from flexhub.conformance.openadr.target import HEADERS, WRITER, UnexpectedError, Ven, Vtn, ok, registering, said
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import (
    EiResponse,
    EiTarget,
    EventResponse,
    Interval,
    Message,
    OadrReport,
    OadrReportDescription,
    OadrReportPayload,
    OadrReportRequest,
    OadrSamplingRate,
    PayloadFloat,
    Properties,
    QualifiedEventID,
    ReportSpecifier,
    SpecifierPayload,
)
from flexhub.protocols.openadr2b.names import EventStatus, OptType, ProfileName, ResponseRequired
from flexhub.protocols.openadr2b.rules import findings
from flexhub.protocols.uftp.times import text_of

WAY: Final = "OADR-N1"
VALID: Final = "OADR-N2"
XML: Final = "OADR-N3"

Make: TypeAlias = Callable[[Vtn], Awaitable[Message]]
Spoil: TypeAlias = Callable[[Vtn, Message], Awaitable[Message]]
Check: TypeAlias = Callable[[Vtn], Awaitable[str | None]]

ID: Final = "452"
ANY: Final = "4"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A message that is valid, and the one thing that spoils it.

    Args:
        name: of it.
        rule: that it breaks.
        sent: in words.
        make: a valid message; what it stands on is said before.
        spoil: makes it break the rule.
        code: what the code of the answer begins with, where the facts name none: 4.
    """

    name: str
    rule: str
    sent: str
    make: Make
    spoil: Spoil
    code: str = ANY

    async def twin(self, x: Vtn) -> str | None:
        """None where the valid message is accepted; else what came."""
        answer = await x.say(await self.make(x))
        if not ok(answer):
            return said(answer)
        broken = [one for one in findings(answer) if one.rule != "OADR-021"]
        return str(broken[0]) if broken else None

    async def check(self, x: Vtn) -> str | None:
        """None where the spoiled message is refused, and the valid one still accepted; else what came."""
        valid = await self.make(x)
        try:
            answer = await x.say(await self.spoil(x, valid))
        except UnexpectedError as error:
            return None if str(error).startswith("HTTP 4") else str(error)
        told = getattr(answer, "ei_response", None)
        if told is None or not told.response_code.startswith(self.code):
            return said(answer)
        after = await x.say(valid)
        return None if ok(after) else f"refused, but so is the valid one, after it: {said(after)}"


def put(**fields: Any) -> Spoil:  # noqa: ANN401 - fields of the message
    """Fields are others."""

    async def spoil(_x: Vtn, message: Message) -> Message:
        return msgspec.structs.replace(message, **fields)

    return spoil


# -- valid messages ---------------------------------------------------------------------------------------------------


async def _known(x: Vtn, rule: str) -> Ven:
    return await x.registered(f"conformance {rule}")


async def polling(x: Vtn) -> Message:
    """A poll."""
    return wire.OadrPoll(schema_version=wire.VERSION, ven_id=(await _known(x, "poll")).ven_id)


async def registering_again(x: Vtn) -> Message:
    """A registration by the registrationID."""
    ven = await _known(x, "again")
    return registering(x.new_id("r"), ven_id=ven.ven_id, registration_id=ven.registration_id)


async def registering_allocated(x: Vtn) -> Message:
    """A registration with a venID that was allocated."""
    ven_id = x.new_id("ven")
    await x.utility.allocate(ven_id)
    return registering(x.new_id("r"), ven_id=ven_id)


async def leaving(x: Vtn) -> Message:
    """A registration's end."""
    ven = await _known(x, "leaving")
    return wire.OadrCancelPartyRegistration(
        schema_version=wire.VERSION, request_id=x.new_id("r"), registration_id=ven.registration_id, ven_id=ven.ven_id
    )


def answering(ven: Ven, event_id: str, number: int, opt: OptType = OptType.OPT_IN) -> wire.OadrCreatedEvent:
    """An answer to an event."""
    one = EventResponse(
        response_code="200",
        request_id="d",
        qualified_event_id=QualifiedEventID(event_id=event_id, modification_number=number),
        opt_type=opt,
    )
    created = wire.EiCreatedEvent(
        ei_response=EiResponse(response_code="200", request_id=""), event_responses=(one,), ven_id=ven.ven_id
    )
    return wire.OadrCreatedEvent(schema_version=wire.VERSION, ei_created_event=created)


async def _sent(x: Vtn, comment: str, **more: Any) -> tuple[Ven, str]:  # noqa: ANN401 - fields of the event
    """A VEN that was sent an event, an hour ahead."""
    ven = await _known(x, comment)
    event_id = await x.utility.event(x.draft(comment, (ven.ven_id,), x.net.now() + timedelta(hours=1), **more))
    await _until_polled(ven, event_id)
    return ven, event_id


TRIES: Final = 200


async def _until_polled(ven: Ven, event_id: str, status: EventStatus | None = None) -> Any:  # noqa: ANN401 - an EiEvent
    """Poll until an event comes; a VTN may take a moment.

    Raises:
        UnexpectedError: it doesn't.
    """
    answer: Any = None
    for _ in range(TRIES):
        answer = await ven.poll()
        if isinstance(answer, wire.OadrDistributeEvent):
            for one in answer.oadr_events:
                told = one.ei_event.event_descriptor
                if told.event_id == event_id and status in (None, told.event_status):
                    return one.ei_event
    raise UnexpectedError(f"no such event; last came {said(answer)}")


async def answering_event(x: Vtn) -> Message:
    """An answer to an event."""
    ven, event_id = await _sent(x, "answer")
    return answering(ven, event_id, 0)


def _responses(change: Callable[[EventResponse], tuple[EventResponse, ...] | None]) -> Spoil:
    async def spoil(_x: Vtn, message: Message) -> Message:
        assert isinstance(message, wire.OadrCreatedEvent)  # noqa: S101 - a slip in a row of ours
        created = message.ei_created_event
        (one,) = created.event_responses or ()
        created = msgspec.structs.replace(created, event_responses=change(one))
        return msgspec.structs.replace(message, ei_created_event=created)

    return spoil


def _qualified(**fields: Any) -> Spoil:  # noqa: ANN401 - fields of the message
    def change(one: EventResponse) -> tuple[EventResponse, ...]:
        told = msgspec.structs.replace(one.qualified_event_id, **fields)
        return (msgspec.structs.replace(one, qualified_event_id=told),)

    return _responses(change)


async def _of_another(x: Vtn, message: Message) -> Message:
    _, other = await _sent(x, "another's")
    return await _qualified(event_id=other)(x, message)


async def opting(x: Vtn) -> Message:
    """A schedule of availability."""
    ven = await _known(x, "opt")
    start = text_of((x.net.now() + timedelta(days=1)).replace(microsecond=0))
    return wire.OadrCreateOpt(
        schema_version=wire.VERSION,
        opt_id=x.new_id("opt"),
        opt_type=OptType.OPT_OUT,
        opt_reason="economic",
        ven_id=ven.ven_id,
        vavailability=(Properties(dtstart=start, duration="PT1H"),),
        created_date_time=text_of(x.net.now()),
        request_id=x.new_id("r"),
        ei_target=EiTarget(ven_ids=(ven.ven_id,)),
    )


async def opting_out_of_event(x: Vtn) -> Message:
    """An opt of an event."""
    ven, event_id = await _sent(x, "opt of event")
    told = await opting(x)
    named = QualifiedEventID(event_id=event_id, modification_number=0)
    return msgspec.structs.replace(
        told, ven_id=ven.ven_id, vavailability=None, qualified_event_id=named, ei_target=EiTarget(ven_ids=(ven.ven_id,))
    )


async def opting_back(x: Vtn) -> Message:
    """An opt is taken back."""
    told: Any = await opting(x)
    await x.say(told)
    return wire.OadrCancelOpt(
        schema_version=wire.VERSION, request_id=x.new_id("r"), opt_id=told.opt_id, ven_id=told.ven_id
    )


def metadata(x: Vtn) -> OadrReport:
    """What a VEN can report."""
    rate = OadrSamplingRate(oadr_min_period="PT1M", oadr_max_period="PT1H", oadr_on_change=False)
    return OadrReport(
        duration="PT1H",
        oadr_report_descriptions=(
            OadrReportDescription(
                r_id="p",
                report_type="usage",
                reading_type="Direct Read",
                oadr_sampling_rate=rate,
            ),
        ),
        report_request_id="0",
        report_specifier_id="meter",
        report_name="METADATA_TELEMETRY_USAGE",
        created_date_time=text_of(x.net.now()),
    )


async def registering_reports(x: Vtn) -> Message:
    """What a VEN can report."""
    ven = await _known(x, "metadata")
    return wire.OadrRegisterReport(
        schema_version=wire.VERSION, request_id=x.new_id("r"), oadr_reports=(metadata(x),), ven_id=ven.ven_id
    )


def _report(**fields: Any) -> Spoil:  # noqa: ANN401 - fields of the report
    async def spoil(_x: Vtn, message: Message) -> Message:
        assert isinstance(message, wire.OadrRegisterReport | wire.OadrUpdateReport)  # noqa: S101 - as above
        report = msgspec.structs.replace(message.oadr_reports[0], **fields)
        return msgspec.structs.replace(message, oadr_reports=(report,))

    return spoil


async def reporting(x: Vtn) -> Message:
    """Data that were asked for."""
    told: Any = await registering_reports(x)
    await x.say(told)
    request_id = await x.utility.report(told.ven_id, "meter", "p", once=False)
    at = text_of(x.net.now().replace(microsecond=0))
    payload = OadrReportPayload(r_id="p", payload_base=PayloadFloat(value=1.5))
    report = OadrReport(
        dtstart=at,
        intervals=(Interval(dtstart=at, stream_payload_base=(payload,)),),
        report_request_id=request_id,
        report_specifier_id="meter",
        report_name="TELEMETRY_USAGE",
        created_date_time=at,
    )
    return wire.OadrUpdateReport(
        schema_version=wire.VERSION, request_id=x.new_id("r"), oadr_reports=(report,), ven_id=told.ven_id
    )


async def _other_point(_x: Vtn, message: Message) -> Message:
    assert isinstance(message, wire.OadrUpdateReport)  # noqa: S101 - as above
    (interval,) = message.oadr_reports[0].intervals or ()
    payload = OadrReportPayload(r_id="nobody's", payload_base=PayloadFloat(value=1.5))
    changed = msgspec.structs.replace(interval, stream_payload_base=(payload,))
    report = msgspec.structs.replace(message.oadr_reports[0], intervals=(changed,))
    return msgspec.structs.replace(message, oadr_reports=(report,))


async def asking_metadata(x: Vtn) -> Message:
    """What the VTN can report is asked for."""
    ven = await _known(x, "asking")
    specifier = ReportSpecifier(
        report_specifier_id="METADATA",
        granularity="PT0S",
        report_back_duration="PT0S",
        specifier_payloads=(SpecifierPayload(r_id="0", reading_type="x-notApplicable"),),
    )
    request = OadrReportRequest(report_request_id=x.new_id("m"), report_specifier=specifier)
    return wire.OadrCreateReport(
        schema_version=wire.VERSION, request_id=x.new_id("r"), oadr_report_requests=(request,), ven_id=ven.ven_id
    )


def _specifier(**fields: Any) -> Spoil:  # noqa: ANN401 - fields of the specifier
    async def spoil(_x: Vtn, message: Message) -> Message:
        assert isinstance(message, wire.OadrCreateReport)  # noqa: S101 - as above
        (request,) = message.oadr_report_requests
        told = msgspec.structs.replace(request.report_specifier, **fields)
        request = msgspec.structs.replace(request, report_specifier=told)
        return msgspec.structs.replace(message, oadr_report_requests=(request,))

    return spoil


async def _unregistered(x: Vtn, message: Message) -> Message:
    ven_id = x.new_id("ven")
    await x.utility.allocate(ven_id)
    return msgspec.structs.replace(message, ven_id=ven_id)


async def _unknown(x: Vtn, message: Message) -> Message:
    return msgspec.structs.replace(message, ven_id=x.new_id("nobody"))


async def _distributing(x: Vtn, _message: Message) -> Message:
    return wire.OadrDistributeEvent(schema_version=wire.VERSION, request_id=x.new_id("r"), vtn_id="V")


_ONE_POINT: Final = (SpecifierPayload(r_id="1", reading_type="x-notApplicable"),)

PROBES: Final = (
    Probe(
        name="venID-empty",
        rule="OADR-021",
        sent="a poll without a venID",
        make=polling,
        spoil=put(ven_id=""),
        code=ID,
    ),
    Probe(
        name="requestID-empty",
        rule="OADR-041",
        sent="a registration without a requestID",
        make=registering_again,
        spoil=put(request_id=""),
    ),
    Probe(
        name="twice",
        rule="OADR-019",
        sent="two answers to one event",
        make=answering_event,
        spoil=_responses(lambda one: (one, one)),
    ),
    Probe(
        name="none",
        rule="OADR-035",
        sent="an oadrCreatedEvent without an answer to any event",
        make=answering_event,
        spoil=_responses(lambda _: None),
    ),
    Probe(
        name="optIn",
        rule="OADR-048",
        sent="optIn with the code 460",
        make=answering_event,
        spoil=_responses(lambda one: (msgspec.structs.replace(one, response_code="460"),)),
    ),
    Probe(
        name="reportRequestID",
        rule="OADR-311",
        sent="metadata with a reportRequestID that is not 0",
        make=registering_reports,
        spoil=_report(report_request_id="1"),
    ),
    Probe(
        name="reportName",
        rule="OADR-R2",
        sent="metadata with the name of data",
        make=registering_reports,
        spoil=_report(report_name="TELEMETRY_USAGE"),
    ),
    Probe(
        name="no-intervals",
        rule="OADR-R3",
        sent="a report without intervals",
        make=reporting,
        spoil=_report(intervals=None),
    ),
    Probe(
        name="rID",
        rule="OADR-306",
        sent="metadata is asked for by another rID than 0",
        make=asking_metadata,
        spoil=_specifier(specifier_payloads=_ONE_POINT),
    ),
    Probe(
        name="no-address",
        rule="OADR-P1",
        sent="a VEN that does not poll, without an address",
        make=registering_again,
        spoil=put(oadr_http_pull_model=False),
    ),
    Probe(
        name="not-registered",
        rule="OADR-V01",
        sent="a poll of a VEN that is known and not registered",
        make=polling,
        spoil=_unregistered,
    ),
    Probe(
        name="unknown",
        rule="OADR-V02",
        sent="a poll of nobody that is known",
        make=polling,
        spoil=_unknown,
        code=ID,
    ),
    Probe(
        name="registrationID",
        rule="OADR-V04",
        sent="a registration again, by another registrationID",
        make=registering_again,
        spoil=put(registration_id="another"),
    ),
    Probe(
        name="cancel",
        rule="OADR-V04",
        sent="the end of another registrationID",
        make=leaving,
        spoil=put(registration_id="another"),
    ),
    Probe(
        name="profile",
        rule="OADR-V05",
        sent="a registration of 2.0a",
        make=registering_again,
        spoil=put(oadr_profile_name=ProfileName.A),
    ),
    Probe(
        name="distribute",
        rule="OADR-V06",
        sent="an oadrDistributeEvent",
        make=polling,
        spoil=_distributing,
    ),
    Probe(
        name="unknown-event",
        rule="OADR-V21",
        sent="an answer to an event that there is not",
        make=answering_event,
        spoil=_qualified(event_id="nothing"),
        code=ID,
    ),
    Probe(
        name="another-s-event",
        rule="OADR-V21",
        sent="an answer to an event of another VEN",
        make=answering_event,
        spoil=_of_another,
        code=ID,
    ),
    Probe(
        name="opt-of-unknown",
        rule="OADR-V21",
        sent="an opt of an event that there is not",
        make=opting_out_of_event,
        spoil=put(qualified_event_id=QualifiedEventID(event_id="nothing", modification_number=0)),
        code=ID,
    ),
    Probe(
        name="modification",
        rule="OADR-V48",
        sent="an answer to a modification that was not sent",
        make=answering_event,
        spoil=_qualified(modification_number=7),
    ),
    Probe(
        name="target",
        rule="OADR-V22",
        sent="an opt whose target is another VEN",
        make=opting,
        spoil=put(ei_target=EiTarget(ven_ids=("another",))),
    ),
    Probe(
        name="nothing",
        rule="OADR-V23",
        sent="an opt of neither an event nor times",
        make=opting,
        spoil=put(vavailability=None),
    ),
    Probe(
        name="optID",
        rule="OADR-V24",
        sent="an opt is taken back that there is not",
        make=opting_back,
        spoil=put(opt_id="nothing"),
    ),
    Probe(
        name="reportRequestID",
        rule="OADR-V304",
        sent="data that were not asked for",
        make=reporting,
        spoil=_report(report_request_id="nothing"),
        code=ID,
    ),
    Probe(
        name="rID",
        rule="OADR-V305",
        sent="data of a point that was not asked for",
        make=reporting,
        spoil=_other_point,
    ),
    Probe(
        name="specifier",
        rule="OADR-V306",
        sent="a report is asked for that the VTN does not have",
        make=asking_metadata,
        spoil=_specifier(report_specifier_id="nothing"),
    ),
)


# -- how it behaves ---------------------------------------------------------------------------------------------------


async def way(x: Vtn) -> str | None:
    """Services take POST, and nothing else is served."""
    body = WRITER.encode(await polling(x))
    for method, service, allowed in (("GET", "OadrPoll", (404, 405)), ("POST", "EiNothing", (404,))):
        status, _, _ = await x.post(service, body, method=method)
        if status not in allowed:
            return f"{method} {service}: HTTP {status}"
    return None


async def headers(x: Vtn) -> str | None:
    """What is said is XML [rule 53], and so is what is answered."""
    body = WRITER.encode(await polling(x))
    status, told, _ = await x.post("OadrPoll", body)
    kind = told.get("content-type", "").partition(";")[0]
    if status != 200 or kind not in ("application/xml", "text/xml"):
        return f"HTTP {status}, {kind}"
    status, _, _ = await x.post("OadrPoll", body, headers=HEADERS | {"Content-Type": "application/json"})
    return None if 400 <= status < 500 else f"JSON is taken: HTTP {status}"


async def malformed(x: Vtn) -> str | None:
    """What is no payload is refused."""
    body = WRITER.encode(await polling(x))
    for bad in (body[:-5], body.replace(b"<oadr:oadrPayload", b"<!DOCTYPE x><oadr:oadrPayload", 1), b"", b"A & B"):
        status, _, answer = await x.post("OadrPoll", bad)
        if not 400 <= status < 500:
            return f"{bad[:40]!r}: HTTP {status} {answer[:80].decode(errors='replace')}"
    return None


async def echoed(x: Vtn) -> str | None:
    """The requestID of a question is that of its answer [rule 42]."""
    name = x.new_id("echo")
    answer = await x.say(wire.OadrQueryRegistration(schema_version=wire.VERSION, request_id=name))
    return None if answer.ei_response.request_id == name else answer.ei_response.request_id


async def allocated(x: Vtn) -> str | None:
    """A venID that was allocated is the one that is registered, to the letter [rules 402 and 403]."""
    ven_id = f"0042-{x.new_id('v')}&é"
    await x.utility.allocate(ven_id)
    answer = await x.ven("allocated").register(ven_id)
    return None if answer.ven_id == ven_id else str(answer.ven_id)


async def begins_at_0(x: Vtn) -> str | None:
    """ModificationNumber begins at 0 [rule 4]."""
    ven, event_id = await _sent(x, "OADR-004")
    event = await ven.event(event_id)
    number = event.event_descriptor.modification_number
    return None if number == 0 else str(number)


async def rises(x: Vtn) -> str | None:
    """ModificationNumber rises by 1 with a change and with a cancel [rule 5]."""
    ven, event_id = await _sent(x, "OADR-005")
    before = await ven.event(event_id)
    start = x.net.now() + timedelta(hours=2)
    context = before.event_descriptor.ei_market_context
    draft = x.draft("OADR-005", (ven.ven_id,), start, market_context=context, value=2.0)
    await x.utility.change(event_id, draft)
    numbers = []
    for cancelled in (False, True):
        if cancelled:
            await x.utility.cancel(event_id)
        wanted = EventStatus.CANCELLED if cancelled else None
        for _ in range(TRIES):
            one = await ven.event(event_id)
            number = one.event_descriptor.modification_number if one is not None else None
            if number == len(numbers) + 1 and wanted in (None, one.event_descriptor.event_status):
                break
        numbers.append(number)
    return None if numbers == [1, 2] else f"{numbers}, expected 1 and 2"


async def until_answered(x: Vtn) -> str | None:
    """An event is sent at each poll until it is answered [rules 12 and 64]."""
    ven, event_id = await _sent(x, "OADR-012")
    again = await ven.poll()
    if not isinstance(again, wire.OadrDistributeEvent):
        return f"not answered, and not sent again: {said(again)}"
    await x.say(answering(ven, event_id, 0))
    after = await ven.poll()
    return said(after) if isinstance(after, wire.OadrDistributeEvent) else None


async def never_answered(x: Vtn) -> str | None:
    """What wants no answer is not sent at every poll."""
    ven, _ = await _sent(x, "OADR-062", response_required=ResponseRequired.NEVER)
    after = await ven.poll()
    return said(after) if isinstance(after, wire.OadrDistributeEvent) else None


async def opts(x: Vtn) -> str | None:
    """OptIn is taken, and a later optOut [rules 16 and 17]."""
    ven, event_id = await _sent(x, "OADR-016")
    for opt in (OptType.OPT_IN, OptType.OPT_OUT):
        answer = await x.say(answering(ven, event_id, 0, opt))
        if not ok(answer):
            return f"{opt}: {said(answer)}"
    return None


async def only_its_own(x: Vtn) -> str | None:
    """A VEN is sent the events that mean it, and no others [rule 22]."""
    mine, event_id = await _sent(x, "OADR-022")
    other = await _known(x, "OADR-022 other")
    if await other.event(event_id) is not None:
        return "another VEN is sent it"
    return None if await mine.event(event_id) is not None else "the VEN that is meant is not sent it"


async def all_in_order(x: Vtn) -> str | None:
    """All events are sent [rule 50], the active ones first."""
    ven = await _known(x, "OADR-050")
    now = x.net.now()
    far = await x.utility.event(x.draft("OADR-050", (ven.ven_id,), now + timedelta(hours=3)))
    active = await x.utility.event(x.draft("OADR-050", (ven.ven_id,), now - timedelta(minutes=1)))
    found: list[str] = []
    for _ in range(TRIES):
        found = [one.event_descriptor.event_id for one in await ven.events()]
        if found == [active, far]:
            return None
    names = {active: "active", far: "far"}
    return f"{[names.get(one, one) for one in found]}, expected active and far"


async def cancel_until_acknowledged(x: Vtn) -> str | None:
    """A cancel is sent until it is acknowledged [rules 36 and 52]."""
    ven, event_id = await _sent(x, "OADR-052")
    await x.say(answering(ven, event_id, 0))
    await x.utility.cancel(event_id)
    for _ in range(2):
        event = await _until_polled(ven, event_id, EventStatus.CANCELLED)
    await x.say(answering(ven, event_id, event.event_descriptor.modification_number, OptType.OPT_OUT))
    after = await ven.event(event_id)
    return None if after is None else "acknowledged, and sent again"


async def limited(x: Vtn) -> str | None:
    """No more events are sent than replyLimit says."""
    ven, _ = await _sent(x, "OADR-L1")
    second = x.draft("OADR-L1", (ven.ven_id,), x.net.now() + timedelta(hours=4))
    await x.utility.event(second)
    for _ in range(TRIES):
        if len(await ven.events()) == 2:
            break
    found = await ven.events(1)
    return None if len(found) == 1 else f"{len(found)} events"


async def empty(x: Vtn) -> str | None:
    """Where there are none, an oadrDistributeEvent without events says so."""
    ven = await _known(x, "OADR-L2")
    found = await ven.events()
    return None if not found else f"{len(found)} events"


async def opt_stays(x: Vtn) -> str | None:
    """What an oadrCreateOpt says of an event, no later oadrCreatedEvent changes [rule 206]."""
    ven, event_id = await _sent(x, "OADR-206")
    told: Any = await opting(x)
    named = QualifiedEventID(event_id=event_id, modification_number=0)
    opt = msgspec.structs.replace(
        told, ven_id=ven.ven_id, vavailability=None, qualified_event_id=named, ei_target=EiTarget(ven_ids=(ven.ven_id,))
    )
    for message in (opt, answering(ven, event_id, 0, OptType.OPT_IN)):
        answer = await x.say(message)
        if not ok(answer):
            return said(answer)
    found = await x.utility.opt(event_id, ven.ven_id)
    return None if found == OptType.OPT_OUT else str(found)


BEHAVIOURS: Final[dict[str, tuple[str, str, Check]]] = {
    # rule -> where, what has to be so, and whether it is
    WAY: ("2.0b transports", "Services take POST at their paths, and nothing else.", way),
    "OADR-053": ("2.0b rule 53", "What is said and answered is XML, by its Content-Type.", headers),
    XML: ("XSD 2.0b", "What is no payload is refused by HTTP.", malformed),
    "OADR-042": ("2.0b rule 42", "An answer names the requestID of what it answers.", echoed),
    "OADR-402": ("2.0b rules 402 and 403", "A venID that was allocated is kept to the letter.", allocated),
    "OADR-004": ("2.0b rule 4", "modificationNumber begins at 0.", begins_at_0),
    "OADR-005": ("2.0b rule 5", "modificationNumber rises by 1 with each change and with a cancel.", rises),
    "OADR-012": ("2.0b rules 12 and 64", "An event is sent until it is answered.", until_answered),
    "OADR-062": ("2.0b rule 62", "What wants no answer is not sent again and again.", never_answered),
    "OADR-016": ("2.0b rules 16 and 17", "optIn is taken, and a later optOut.", opts),
    "OADR-022": ("2.0b rule 22", "A VEN is sent the events that mean it, and no others.", only_its_own),
    "OADR-050": ("2.0b rule 50", "All events are sent, the active ones first.", all_in_order),
    "OADR-052": ("2.0b rules 36 and 52", "A cancel is sent until it is acknowledged.", cancel_until_acknowledged),
    "OADR-L1": ("2.0b EiEvent, replyLimit", "No more events are sent than replyLimit says.", limited),
    "OADR-L2": ("2.0b EiEvent", "Without events an oadrDistributeEvent without any is answered.", empty),
    "OADR-206": ("2.0b rule 206", "What an oadrCreateOpt says of an event stays.", opt_stays),
}
"""How a VTN behaves from one message to the next; each is a case of its own."""
