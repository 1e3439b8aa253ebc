"""A VEN as a target: what it is told, what it says until its next poll, and the cases that judge that."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable
from copy import copy
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol, Self

from flexhub.conformance.suite import NotJudged
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import (
    EiActivePeriod,
    EiEvent,
    EiEventSignal,
    EiEventSignals,
    EiTarget,
    EventDescriptor,
    EventResponse,
    Interval,
    Message,
    OadrEvent,
    OadrReport,
    OadrReportRequest,
    PayloadFloat,
    Properties,
    ReportSpecifier,
    SignalPayload,
    SpecifierPayload,
    Tolerate,
)
from flexhub.protocols.openadr2b.names import (
    METADATA_RID,
    METADATA_SPECIFIER,
    NOT_APPLICABLE,
    EventStatus,
    OptType,
    ResponseRequired,
    SignalType,
)
from flexhub.protocols.openadr2b.rules import element, findings
from flexhub.protocols.uftp.times import text_of

SOUND: Final = "OADR-V1"
REGISTERS: Final = "OADR-V2"
REPORTS: Final = "OADR-V3"
NOBODY: Final = "nobody"


class Line(Protocol):
    """The VTN that a VEN polls, as the suite uses it."""

    @property
    def vtn_id(self) -> str:
        """The VTN's."""

    @property
    def ven_id(self) -> str:
        """The VEN's."""

    @property
    def market(self) -> str:
        """The market context that the VEN takes events of."""

    def now(self) -> datetime:
        """What time it is."""

    def everything(self) -> tuple[Message, ...]:
        """All that the VEN ever said, without polls."""

    async def exchange(self, message: Message, events: tuple[OadrEvent, ...] | None) -> list[Message]:
        """Give a message as the answer to the VEN's next poll; what it says until the poll after that.

        `events` are all that there are from now on, where they change.
        """

    async def following(self) -> set[str] | None:
        """EventIDs that the VEN acts on now; None where nothing can tell."""

    def switch(self, off: Iterable[str]) -> None:
        """Have the VEN keep no longer to these rules, where it is ours."""


class Ven:
    """The target.

    Args:
        line: the VTN that it polls.
        run: a word that no earlier run has used; ids begin with it.
    """

    def __init__(self, line: Line, run: str) -> None:
        self.line = line
        self.run = run
        self._off: tuple[str, ...] = ()
        self._heard: Callable[[Message], Message | None] = lambda message: message
        self._count = 0

    def over(self, *, off: tuple[str, ...] = (), heard: Callable[[Message], Message | None] | None = None) -> Self:
        """The same, made wrong: without these rules, or heard through something."""
        other = copy(self)
        other._off = off  # noqa: SLF001 - its own copy
        other._heard = heard or self._heard  # noqa: SLF001 - its own copy
        other.run = f"{self.run}m{uuid.uuid4().hex[:6]}"
        return other

    def name(self, rule: str) -> str:
        """An eventID that tells the rule that it is about."""
        self._count += 1
        return f"{self.run}/{rule}/{self._count}"

    async def hear(self, message: Message, events: tuple[OadrEvent, ...] | None = None) -> list[Message]:
        """As `Line.exchange`."""
        self.line.switch(self._off)
        found = [self._heard(one) for one in await self.line.exchange(message, events)]
        return [one for one in found if one is not None]

    async def tell(self, *events: OadrEvent, vtn: str | None = None) -> Told:
        """These are all events there are; what is answered."""
        self._count += 1
        request_id = f"{self.run}-d{self._count}"
        message = wire.OadrDistributeEvent(
            schema_version=wire.VERSION, request_id=request_id, vtn_id=vtn or self.line.vtn_id, oadr_events=events
        )
        heard = await self.hear(message, events if vtn is None else None)
        created = [one for one in heard if isinstance(one, wire.OadrCreatedEvent)]
        answers = [r for one in created for r in one.ei_created_event.event_responses or ()]
        return Told(request_id, created, answers)

    async def following(self) -> set[str]:
        """EventIDs that the target acts on.

        Raises:
            NotJudged: nothing can tell.
        """
        found = await self.line.following()
        if found is None:
            raise NotJudged("what the target makes of an event cannot be seen from outside")
        return found

    def metadata(self) -> tuple[OadrReport, ...]:
        """What the target can report.

        Raises:
            NotJudged: nothing.
        """
        told = [m for m in self.line.everything() if isinstance(m, wire.OadrRegisterReport)]
        reports = told[-1].oadr_reports if told else ()
        if not reports:
            raise NotJudged("the target has registered no reports")
        return reports

    def all_heard(self) -> list[Message]:
        """All that the target ever said."""
        found = [self._heard(one) for one in self.line.everything()]
        return [one for one in found if one is not None]


class Told(NamedTuple):
    """What came back: the messages, and the answers to events, in order."""

    request_id: str
    created: list[wire.OadrCreatedEvent]
    answers: list[EventResponse]

    def of(self, event: OadrEvent) -> EventResponse | None:
        """The answer to an event, by its id."""
        name = event.ei_event.event_descriptor.event_id
        return next((r for r in self.answers if r.qualified_event_id.event_id == name), None)


def event(  # noqa: PLR0913 - an event has so many parts that cases change
    x: Ven,
    name: str,
    *,
    number: int = 0,
    status: EventStatus = EventStatus.FAR,
    required: ResponseRequired = ResponseRequired.ALWAYS,
    level: float = 1.0,
    market: str | None = None,
    target: EiTarget | None = None,
    test: str | None = None,
    signal: str = "SIMPLE",
    uid: str = "0",
    duration: str = "PT1H",
    interval: str | None = None,
    startafter: str | None = None,
    hours: int = 24,
) -> OadrEvent:
    """One event of one signal and interval, which breaks no rule unless told."""
    properties = Properties(
        dtstart=text_of((x.line.now() + timedelta(hours=hours)).replace(microsecond=0, second=0, minute=0)),
        duration=duration,
        tolerance=None if startafter is None else Tolerate(startafter=startafter),
    )
    payload = SignalPayload(payload_base=PayloadFloat(value=level))
    made = EiEventSignal(
        intervals=(Interval(duration=interval or duration, uid=uid, stream_payload_base=(payload,)),),
        signal_name=signal,
        signal_type=SignalType.LEVEL,
        signal_id="s",
    )
    return OadrEvent(
        ei_event=EiEvent(
            event_descriptor=EventDescriptor(
                event_id=name,
                modification_number=number,
                ei_market_context=market or x.line.market,
                created_date_time=text_of(x.line.now()),
                event_status=status,
                test_event=test,
            ),
            ei_active_period=EiActivePeriod(properties=properties),
            ei_event_signals=EiEventSignals(ei_event_signals=(made,)),
            ei_target=target or EiTarget(ven_ids=(x.line.ven_id,)),
        ),
        oadr_response_required=required,
    )


# -- checks -----------------------------------------------------------------------------------------------------------


def answered(told: Told, one: OadrEvent, *, refused: bool = False) -> str | None:
    """What came instead of one answer of the right number: 200, or 4xx with optOut where it has to be refused."""
    found = [r for r in told.answers if r.qualified_event_id.event_id == one.ei_event.event_descriptor.event_id]
    if len(found) != 1:
        return f"{len(found)} answers"
    answer = found[0]
    number = one.ei_event.event_descriptor.modification_number
    said = f"{answer.response_code} {answer.opt_type} of modification {answer.qualified_event_id.modification_number}"
    if answer.qualified_event_id.modification_number != number:
        return said
    if refused:
        return None if answer.response_code[0] == "4" and answer.opt_type is OptType.OPT_OUT else said
    return None if answer.response_code == "200" else said


async def new(x: Ven) -> str | None:
    """A new event is answered before the next poll."""
    one = event(x, x.name("OADR-056"))
    return answered(await x.tell(one), one)


async def again(x: Ven) -> str | None:
    """The same again is answered again, in the same way."""
    one = event(x, x.name("OADR-056"))
    first, second = (await x.tell(one)).of(one), (await x.tell(one)).of(one)
    if first is None or second is None:
        return "no answer"
    same = (first.opt_type, first.response_code) == (second.opt_type, second.response_code)
    return None if same else f"{second.response_code} {second.opt_type}, after {first.response_code} {first.opt_type}"


async def higher(x: Ven) -> str | None:
    """A higher modificationNumber is answered under it."""
    name = x.name("OADR-057")
    await x.tell(event(x, name))
    later = event(x, name, number=1, level=2.0)
    return answered(await x.tell(later), later)


async def lower(x: Ven) -> str | None:
    """A lower modificationNumber is an error."""
    name = x.name("OADR-058")
    await x.tell(event(x, name, number=2))
    earlier = event(x, name, number=1)
    return answered(await x.tell(earlier), earlier, refused=True)


def cancelled(known: bool) -> Callable[[Ven], Awaitable[str | None]]:
    """A cancellation is acknowledged, whether the event is known or not."""

    async def check(x: Ven) -> str | None:
        name = x.name("OADR-059" if known else "OADR-060")
        if known:
            await x.tell(event(x, name))
        gone = event(x, name, number=1, status=EventStatus.CANCELLED)
        return answered(await x.tell(gone), gone)

    return check


async def missing(x: Ven) -> str | None:
    """An event that is no longer told of is no longer followed, and the other is."""
    first, second = x.name("OADR-061"), x.name("OADR-061")
    one, other = event(x, first), event(x, second, hours=30)
    await x.tell(one, other)
    if not {first, second} <= await x.following():
        raise NotJudged("the target does not follow what it opted in to")
    await x.tell(other)
    left = await x.following() & {first, second}
    return None if left == {second} else f"it follows {sorted(left)}"


def unanswered(status: EventStatus) -> Callable[[Ven], Awaitable[str | None]]:
    """No answer where none is wanted, and one where it is."""

    async def check(x: Ven) -> str | None:
        name = x.name("OADR-012")
        if status is EventStatus.CANCELLED:
            await x.tell(event(x, name, required=ResponseRequired.NEVER))
        number = int(status is EventStatus.CANCELLED)
        quiet = event(x, name, number=number, status=status, required=ResponseRequired.NEVER)
        told = await x.tell(quiet)
        return None if told.of(quiet) is None else "an answer"

    return check


async def tested(x: Ven) -> str | None:
    """A test event is answered, and not followed."""
    name = x.name("OADR-006")
    one = event(x, name, test="true")
    why = answered(await x.tell(one), one)
    if why is not None:
        return why
    return "it is followed" if name in await x.following() else None


def refused(rule: str, **spoiled: Any) -> Callable[[Ven], Awaitable[str | None]]:  # noqa: ANN401 - parts of an event
    """An event that breaks a rule is refused; its valid twin, told before, is not."""

    async def check(x: Ven) -> str | None:
        good = event(x, x.name("twin"))
        why = answered(await x.tell(good), good)
        if why is not None:
            return f"of the valid twin: {why}"
        bad = event(x, x.name(rule), **spoiled)
        return answered(await x.tell(bad), bad, refused=True)

    return check


def accepted(rule: str, **special: Any) -> Callable[[Ven], Awaitable[str | None]]:  # noqa: ANN401 - parts of an event
    """An event with something special is answered as any other."""

    async def check(x: Ven) -> str | None:
        one = event(x, x.name(rule), **special)
        return answered(await x.tell(one), one)

    return check


async def either_target(x: Ven) -> str | None:
    """Criteria are alternatives: another's venID beside ours is for us, too."""
    target = EiTarget(ven_ids=(NOBODY, x.line.ven_id))
    return await accepted("OADR-022", target=target)(x)


async def mixed(x: Ven) -> str | None:
    """Of a valid and an invalid event each is answered by itself."""
    good = event(x, x.name("OADR-019"))
    bad = event(x, x.name("twin"), market="http://nobody.example", hours=30)
    told = await x.tell(good, bad)
    if len(told.answers) != 2:
        return f"{len(told.answers)} answers"
    return answered(told, good) or answered(told, bad, refused=True)


async def other_vtn(x: Ven) -> str | None:
    """What another VTN tells is refused (452), and nothing of it is opted in to."""
    one = event(x, x.name("OADR-021"))
    told = await x.tell(one, vtn=NOBODY)
    codes = [m.ei_created_event.ei_response.response_code for m in told.created]
    codes += [r.response_code for r in told.answers]
    said = any(r.opt_type is OptType.OPT_IN for r in told.answers)
    return None if "452" in codes and not said else f"{', '.join(codes) or 'no answer'}{', optIn' if said else ''}"


async def echoed(x: Ven) -> str | None:
    """An answer names the requestID that told of the event."""
    one = event(x, x.name("OADR-042"))
    told = await x.tell(one)
    found = [r.request_id for r in told.answers]
    return None if found == [told.request_id] else f"{found}, for {told.request_id}"


# -- registration, reports, messages ----------------------------------------------------------------------------------


async def again_registered(x: Ven) -> str | None:
    """Who is asked to registers again, with its venID."""
    heard = await x.hear(wire.OadrRequestReregistration(schema_version=wire.VERSION, ven_id=x.line.ven_id))
    found = [m for m in heard if isinstance(m, wire.OadrCreatePartyRegistration)]
    if not found:
        return f"{', '.join(element(m) for m in heard) or 'nothing'}"
    return None if found[-1].ven_id == x.line.ven_id else f"as {found[-1].ven_id}"


async def not_its_registration(x: Ven) -> str | None:
    """The end of a registration that is not its own is refused."""
    message = wire.OadrCancelPartyRegistration(
        schema_version=wire.VERSION, request_id=f"{x.run}-c", registration_id=NOBODY, ven_id=x.line.ven_id
    )
    heard = await x.hear(message)
    found = [m for m in heard if isinstance(m, wire.OadrCanceledPartyRegistration)]
    if not found:
        return f"{', '.join(element(m) for m in heard) or 'nothing'}"
    code = found[0].ei_response.response_code
    return None if code == "452" else code


def request(x: Ven, name: str, specifier: str, points: Iterable[str], *, back: str = "PT1H") -> OadrReportRequest:
    """A request for a report from now on."""
    return OadrReportRequest(
        report_request_id=name,
        report_specifier=ReportSpecifier(
            report_specifier_id=specifier,
            granularity="PT15M",
            report_back_duration=back,
            report_interval=Properties(dtstart=text_of(x.line.now().replace(microsecond=0)), duration="PT0S"),
            specifier_payloads=tuple(SpecifierPayload(r_id=p, reading_type=NOT_APPLICABLE) for p in points),
        ),
    )


async def _created(x: Ven, asked: OadrReportRequest) -> tuple[str, list[Message]]:
    heard = await x.hear(
        wire.OadrCreateReport(
            schema_version=wire.VERSION,
            request_id=f"{x.run}-r",
            oadr_report_requests=(asked,),
            ven_id=x.line.ven_id,
        )
    )
    found = [m for m in heard if isinstance(m, wire.OadrCreatedReport)]
    return found[0].ei_response.response_code if found else "no answer", heard


async def _canceled(x: Ven, name: str) -> str:
    heard = await x.hear(
        wire.OadrCancelReport(
            schema_version=wire.VERSION,
            request_id=f"{x.run}-k",
            report_request_ids=(name,),
            report_to_follow=False,
            ven_id=x.line.ven_id,
        )
    )
    found = [m for m in heard if isinstance(m, wire.OadrCanceledReport)]
    return found[0].ei_response.response_code if found else "no answer"


async def reported(x: Ven) -> str | None:
    """A report that can be made is pending until it is cancelled; one that cannot is refused."""
    report = x.metadata()[0]
    points = [d.r_id for d in report.oadr_report_descriptions]
    name = x.name(REPORTS)
    code, heard = await _created(x, request(x, name, report.report_specifier_id, points))
    if code != "200":
        return code
    created = next(m for m in heard if isinstance(m, wire.OadrCreatedReport))
    if name not in created.oadr_pending_reports:
        return "it is not pending"
    refusal, _ = await _created(x, request(x, x.name(REPORTS), NOBODY, points))
    if refusal[0] != "4":
        return f"{refusal} for a report that it does not have"
    ended = await _canceled(x, name)
    return None if ended == "200" else f"{ended} at the end"


async def not_asked_for(x: Ven) -> str | None:
    """To end a report that nobody asked for is refused (452)."""
    x.metadata()
    code = await _canceled(x, x.name("OADR-304"))
    return None if code == "452" else code


async def metadata_asked(x: Ven) -> str | None:
    """Metadata that are asked for are registered under the request's id."""
    x.metadata()
    name = x.name("OADR-306")
    _, heard = await _created(x, request(x, name, METADATA_SPECIFIER, (METADATA_RID,), back="PT0S"))
    found = [m for m in heard if isinstance(m, wire.OadrRegisterReport)]
    if not found:
        return f"{', '.join(element(m) for m in heard) or 'nothing'}"
    return None if found[0].report_request_id == name else f"under {found[0].report_request_id}"


async def sound(x: Ven) -> str | None:
    """Nothing that it said so far breaks a rule about one message."""
    for message in x.all_heard():
        broken = findings(message)
        if broken:
            return str(broken[0])
    return None if x.all_heard() else "nothing was said"
