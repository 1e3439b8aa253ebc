"""What is tried at a VTN: valid messages and what spoils each, and how it behaves from one message to the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeAlias

import msgspec

from flexhub.conformance.openadr.target import UnexpectedError, Ven, Vtn, ok, registering, said
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
from flexhub.protocols.openadr2b.names import EventStatus, OptType, ProfileName
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


async def registered(x: Vtn, rule: str) -> Ven:
    """A VEN that is registered, whose name tells the rule that it is for."""
    return await x.registered(f"conformance {rule}")


async def polling(x: Vtn) -> Message:
    """A poll."""
    return wire.OadrPoll(schema_version=wire.VERSION, ven_id=(await registered(x, "poll")).ven_id)


async def registering_again(x: Vtn) -> Message:
    """A registration by the registrationID."""
    ven = await registered(x, "again")
    return registering(x.new_id("r"), ven_id=ven.ven_id, registration_id=ven.registration_id)


async def registering_allocated(x: Vtn) -> Message:
    """A registration with a venID that was allocated."""
    ven_id = x.new_id("ven")
    await x.utility.allocate(ven_id)
    return registering(x.new_id("r"), ven_id=ven_id)


async def leaving(x: Vtn) -> Message:
    """A registration's end."""
    ven = await registered(x, "leaving")
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


async def sent_event(x: Vtn, comment: str, **more: Any) -> tuple[Ven, str]:  # noqa: ANN401 - fields of the event
    """A VEN that was sent an event, an hour ahead."""
    ven = await registered(x, comment)
    event_id = await x.utility.event(x.draft(comment, (ven.ven_id,), x.net.now() + timedelta(hours=1), **more))
    await until_polled(ven, event_id)
    return ven, event_id


TRIES: Final = 200


async def until_polled(ven: Ven, event_id: str, status: EventStatus | None = None) -> Any:  # noqa: ANN401 - an EiEvent
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
    ven, event_id = await sent_event(x, "answer")
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
    _, other = await sent_event(x, "another's")
    return await _qualified(event_id=other)(x, message)


async def opting(x: Vtn) -> Message:
    """A schedule of availability."""
    ven = await registered(x, "opt")
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
    ven, event_id = await sent_event(x, "opt of event")
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
    ven = await registered(x, "metadata")
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
    ven = await registered(x, "asking")
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
