"""A VTN's session: states are tables, events go by the clock, and what a VEN says is judged by what was said before."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.errors import IllegalTransitionError, InvalidError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
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
from flexhub.protocols.openadr2b.names import EventStatus, OptType, ResponseRequired, Scale
from flexhub.protocols.openadr2b.rules import findings
from flexhub.protocols.openadr2b.session import events, registration, reports, state, vtn
from flexhub.protocols.openadr2b.session.book import Arrived, Settings, Step
from flexhub.protocols.openadr2b.session.state import Asking, Known, Place, Stage, Target, VtnEvent, VtnMetadata, VtnVen
from tests.app.openadr.vtn_stage import NOW, draft, registering

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
VEN = VtnVen(id="v1", stage=Stage.REGISTERED, registration_id="r1")
CODEC = OadrCodec(check=False)
SETTINGS = Settings(vtn_id="VTN-1")
IN, OUT = OptType.OPT_IN, OptType.OPT_OUT


def event(id_: str = "e1", *, start: datetime = NOW + HOUR, number: int = 0, **more: Any) -> VtnEvent:
    own: dict[str, Any] = {name: more.pop(name) for name in ("cancelled", "created") if name in more}
    fields: dict[str, Any] = {"created": NOW} | own
    return VtnEvent(id=id_, modification_number=number, event=draft(start, **more), **fields)


def arrived(message: Message, *, ven: VtnVen | None = VEN, of: tuple[VtnEvent, ...] = (), **more: Any) -> Arrived:
    numbers = itertools.count()
    fields: dict[str, Any] = {"now": NOW, "settings": SETTINGS, "events": {one.id: one for one in of}} | more
    return Arrived(message=message, new=lambda word: f"{word}-{next(numbers)}", ven=ven, **fields)


def receive(message: Message, **more: Any) -> Step:
    step = vtn.receive(arrived(message, **more))
    CODEC.decode(CODEC.encode(step.answer))  # it can be written
    assert [one for one in findings(step.answer) if one.rule != "OADR-021"] == []
    return step


def code(step: Step) -> str:
    answer: Any = step.answer
    return answer.ei_response.response_code  # type: ignore[no-any-return]  # an eiResponse's


def refused(step: Step, rule: str, expected: str) -> None:
    assert ([one.rule for one in step.broken], code(step), step.changed) == ([rule], expected, ())


def after(step: Step, kind: type) -> Any:
    return next((one for one in step.changed if isinstance(one, kind)), None)


# -- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "happens"), list(itertools.product(Stage, state.Happens)))
def test_every_stage_of_a_registration_against_everything_that_may_happen(stage: Stage, happens: state.Happens) -> None:
    ven = msgspec.structs.replace(VEN, stage=stage, events={"e": Known(answered=1)})
    if (stage, happens) not in state.STAGES:
        with pytest.raises(IllegalTransitionError, match=str(stage)):
            registration.moved(ven, happens)
        return
    moved = registration.moved(ven, happens)
    assert moved.stage is state.STAGES[stage, happens]
    assert (moved.events == {}) is (moved.stage is Stage.KNOWN), "what belonged to it ends with it"


@pytest.mark.parametrize(("stage", "happens"), list(itertools.product(Asking, state.Answers)))
def test_every_stage_of_a_request_against_everything_that_may_happen(stage: Asking, happens: state.Answers) -> None:
    request = msgspec.structs.replace(asked("q"), stage=stage)
    if (stage, happens) not in state.ASKING:
        with pytest.raises(IllegalTransitionError):
            reports.moved(request, happens)
    else:
        assert reports.moved(request, happens).stage is state.ASKING[stage, happens]


# -- events by the clock ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOW, EventStatus.FAR),
        (NOW + 50 * MINUTE - timedelta(seconds=1), EventStatus.FAR),
        (NOW + 50 * MINUTE, EventStatus.NEAR),
        (NOW + HOUR, EventStatus.ACTIVE),
        (NOW + 2 * HOUR, EventStatus.ACTIVE),
        (NOW + 2 * HOUR + 5 * MINUTE, EventStatus.COMPLETED),
    ],
)
def test_an_event_goes_by_the_clock_to_its_end_and_startafter(at: datetime, expected: EventStatus) -> None:
    one = event(ramp_up="PT10M", startafter="PT5M")
    assert events.status(one, at) is expected
    assert events.status(msgspec.structs.replace(one, cancelled=True), at) is EventStatus.CANCELLED


def test_an_event_without_an_end_is_active_for_ever() -> None:
    assert events.status(event(minutes=0), NOW + timedelta(days=36500)) is EventStatus.ACTIVE


def test_the_current_value_is_the_interval_s_while_it_is_active_and_else_0() -> None:
    def current(at: datetime) -> float | None:
        told = events.to_wire(event(level=2), VEN, at)
        return told.ei_event.ei_event_signals.ei_event_signals[0].current_value

    assert [current(NOW), current(NOW + HOUR), current(NOW + 3 * HOUR)] == [0, 2, 0]


def test_changes_raise_the_modification_number_and_a_cancel_does_too() -> None:
    one = events.created("e1", draft(NOW + HOUR), NOW, ())
    two = events.modified(one, draft(NOW + HOUR, level=2), NOW, (one,))
    three = events.cancelled(two, NOW)
    assert [x.modification_number for x in (one, two, three)] == [0, 1, 2]
    assert events.modified(one, one.event, NOW, (one,)) is one, "nothing changed"
    assert events.cancelled(three, NOW) is three
    for late in (three, msgspec.structs.replace(one, event=draft(NOW - 3 * HOUR))):
        with pytest.raises(IllegalTransitionError):
            events.modified(late, draft(NOW + HOUR, level=3), NOW, ())


@pytest.mark.parametrize(
    ("bad", "clause"),
    [
        (draft(NOW + HOUR, level=4), "OADR-009"),
        (draft(NOW + HOUR, duration="PT2H"), "OADR-008"),
        (draft(NOW + HOUR, duration="PT0S"), "OADR-008"),
    ],
)
def test_an_event_that_would_break_a_rule_on_the_wire_is_not_made(bad: Any, clause: str) -> None:
    with pytest.raises(InvalidError, match=clause):
        events.created("e1", bad, NOW, ())
    events.created("e1", draft(NOW + HOUR), NOW, ())


def test_events_of_one_market_context_do_not_overlap_unless_they_are_of_different_vens() -> None:
    one = event(target=Target(ven_ids=("v1",)))
    for target in (Target(), Target(ven_ids=("v2", "v1"))):
        with pytest.raises(InvalidError, match="rule 18"):
            events.created("e2", draft(NOW + HOUR, target=target), NOW, (one,))
    events.created("e2", draft(NOW + HOUR, target=Target(ven_ids=("v2",))), NOW, (one,))
    events.created("e2", draft(NOW + HOUR, market_context="http://other.example"), NOW, (one,))
    events.created("e2", draft(NOW + 2 * HOUR), NOW, (one,))


def test_who_is_found_by_two_targets_gets_one_of_two_events_that_overlap() -> None:
    low = event("e1", target=Target(group_ids=("g",)), priority=2)
    high = event("e2", target=Target(resource_ids=("r",)), priority=1)
    both = msgspec.structs.replace(VEN, found_by=Target(group_ids=("g",), resource_ids=("r",)))
    assert [x.id for x in events.for_ven((low, high), both, NOW)] == ["e2"]
    group = msgspec.structs.replace(VEN, found_by=Target(group_ids=("g",)))
    assert [x.id for x in events.for_ven((low, high), group, NOW)] == ["e1"]


SQUARE = (46.0, 14.0, 47.0, 14.0, 47.0, 15.0, 46.0, 15.0)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (Target(), True),
        (Target(ven_ids=("v1",)), True),
        (Target(ven_ids=("v2",)), False),
        (Target(ven_ids=("v2",), group_ids=("g",)), True),
        (Target(group_ids=("h",)), False),
        (Target(meter_assets=("m1",)), True),
        (Target(service_areas=(SQUARE,)), True),
        (Target(service_areas=(tuple(x + 2 for x in SQUARE),)), False),
    ],
)
def test_a_target_is_met_by_any_of_its_criteria_and_says_no_other_ven(target: Target, *, found: bool) -> None:
    ven = msgspec.structs.replace(
        VEN,
        found_by=Target(group_ids=("g",), meter_assets=("m1",)),
        location=Place(latitude=46.5, longitude=14.5),
    )
    assert state.meets(target, ven) is found
    told = state.shown(target, ven)
    assert set(told.ven_ids) <= {"v1"}
    assert "v2" not in str(told)
    assert told != EiTarget()


moments = st.integers(0, 400).map(lambda m: NOW + m * MINUTE)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(moments, st.integers(0, 3), st.sampled_from(("a", "b", "c")), st.booleans()), max_size=8),
    moments,
)
def test_whatever_events_there_are_what_a_ven_is_sent_breaks_no_rule(
    told: list[tuple[datetime, int, str, bool]], now: datetime
) -> None:
    made = [
        event(f"e{i}", start=at, priority=p, market_context=f"http://{c}.example", cancelled=off, number=int(off))
        for i, (at, p, c, off) in enumerate(told)
    ]
    sent = events.for_ven(made, VEN, now)
    message = wire.OadrDistributeEvent(
        request_id="r", vtn_id="V", oadr_events=tuple(events.to_wire(one, VEN, now) for one in sent)
    )
    assert findings(message) == []
    assert OadrCodec().decode(OadrCodec().encode(message)) == message


# -- registration -----------------------------------------------------------------------------------------------------


def test_a_ven_that_is_known_beforehand_registers_and_registers_again() -> None:
    known = VtnVen(id="0042")
    first = receive(registering(ven_id="0042"), ven=known)
    ven = after(first, VtnVen)
    assert (ven.id, ven.stage, code(first)) == ("0042", Stage.REGISTERED, "200")
    again = receive(registering(ven_id="0042", registration_id=ven.registration_id), ven=ven)
    assert after(again, VtnVen).registration_id == ven.registration_id
    lost = receive(registering(ven_id="0042"), ven=msgspec.structs.replace(ven, registration_id="x"))
    assert after(lost, VtnVen).registration_id != "x"
    refused(receive(registering(ven_id="0042", registration_id="other"), ven=ven), "OADR-V04", "452")


def test_a_ven_that_is_not_known_is_assigned_an_id_only_where_anyone_may_register() -> None:
    refused(receive(registering(), ven=None), "OADR-V07", "463")
    refused(receive(registering(ven_id="v9"), ven=None), "OADR-V02", "452")
    open_ = msgspec.structs.replace(SETTINGS, anyone=True)
    assert after(receive(registering(), ven=None, settings=open_), VtnVen).id == "ven-0"


def test_a_certificate_is_the_one_ven_s() -> None:
    mine = msgspec.structs.replace(VEN, fingerprint="AA")
    poll = wire.OadrPoll(ven_id="v1")
    assert code(receive(poll, ven=mine, fingerprint="AA")) == "200"
    for shown in ("BB", None):
        refused(receive(poll, ven=mine, fingerprint=shown), "OADR-V03", "463")
    refused(receive(registering(ven_id="v1"), ven=mine, fingerprint="BB"), "OADR-V03", "463")


def test_who_is_not_registered_gets_nothing() -> None:
    refused(receive(wire.OadrPoll(ven_id="v1"), ven=VtnVen(id="v1")), "OADR-V01", "463")
    refused(receive(wire.OadrPoll(ven_id="v9"), ven=None), "OADR-V02", "452")
    assert code(receive(wire.OadrQueryRegistration(request_id="r"), ven=None)) == "200"


def test_a_registration_ends_from_either_side() -> None:
    leave = wire.OadrCancelPartyRegistration(request_id="r", registration_id="r1", ven_id="v1")
    assert after(receive(leave), VtnVen).stage is Stage.KNOWN
    refused(receive(msgspec.structs.replace(leave, registration_id="r2")), "OADR-V04", "452")
    told = registration.moved(VEN, state.Happens.CANCEL)
    call: Any = receive(wire.OadrPoll(ven_id="v1"), ven=told, of=(event(),)).answer
    assert isinstance(call, wire.OadrCancelPartyRegistration)
    answer = wire.OadrCanceledPartyRegistration(
        ei_response=EiResponse(response_code="200", request_id=call.request_id), registration_id="r1", ven_id="v1"
    )
    assert after(receive(answer, ven=told), VtnVen).stage is Stage.KNOWN
    refused(receive(answer, ven=VEN), "OADR-V04", "452")


def test_who_is_asked_to_register_again_is_told_until_it_does() -> None:
    told = registration.moved(VEN, state.Happens.ASK)
    poll = wire.OadrPoll(ven_id="v1")
    assert isinstance(receive(poll, ven=told).answer, wire.OadrRequestReregistration)
    done = after(receive(registering(ven_id="v1", registration_id="r1"), ven=told), VtnVen)
    assert isinstance(receive(poll, ven=done).answer, wire.OadrResponse)


def test_what_only_a_vtn_sends_is_refused() -> None:
    refused(receive(wire.OadrDistributeEvent(request_id="r", vtn_id="V")), "OADR-V06", "459")


# -- events and opts --------------------------------------------------------------------------------------------------


def created(number: int, opt: OptType = IN, *, of: str = "e1", told: str = "200") -> wire.OadrCreatedEvent:
    answer = EventResponse(
        response_code=told,
        request_id="d1",
        qualified_event_id=QualifiedEventID(event_id=of, modification_number=number),
        opt_type=opt,
    )
    return wire.OadrCreatedEvent(
        ei_created_event=wire.EiCreatedEvent(
            ei_response=EiResponse(response_code="200", request_id=""), event_responses=(answer,), ven_id="v1"
        )
    )


POLL = wire.OadrPoll(ven_id="v1")


def test_an_event_is_sent_until_it_is_answered_and_again_once_it_is_changed() -> None:
    one = event()
    for _ in range(2):
        step = receive(POLL, of=(one,))
        assert isinstance(step.answer, wire.OadrDistributeEvent)
        assert step.changed == (), "reading writes nothing"
    ven = after(receive(created(0), of=(one,)), VtnVen)
    assert isinstance(receive(POLL, ven=ven, of=(one,)).answer, wire.OadrResponse)
    two = events.modified(one, draft(NOW + HOUR, level=2), NOW, ())
    assert isinstance(receive(POLL, ven=ven, of=(two,)).answer, wire.OadrDistributeEvent)


def test_a_later_opt_out_counts_and_one_to_another_modification_does_not() -> None:
    one = event(number=1)
    ven = after(receive(created(1), of=(one,)), VtnVen)
    assert after(receive(created(1, OUT), ven=ven, of=(one,)), VtnVen).events["e1"].opt is OUT
    refused(receive(created(0), of=(one,)), "OADR-V48", "450")
    refused(receive(created(2), of=(one,)), "OADR-V48", "450")
    refused(receive(created(1, of="e9"), of=(one,)), "OADR-V21", "452")
    others = event(target=Target(ven_ids=("v2",)))
    refused(receive(created(0), of=(others,)), "OADR-V21", "452")


def test_a_cancelled_event_is_sent_until_it_is_acknowledged() -> None:
    one = event()
    ven = after(receive(created(0), of=(one,)), VtnVen)
    gone = events.cancelled(one, NOW)
    answer: Any = receive(POLL, ven=ven, of=(gone,)).answer
    (told,) = answer.oadr_events
    assert told.ei_event.event_descriptor.event_status is EventStatus.CANCELLED
    acknowledged = after(receive(created(1, OUT), ven=ven, of=(gone,)), VtnVen)
    assert isinstance(receive(POLL, ven=acknowledged, of=(gone,)).answer, wire.OadrResponse)


def test_an_event_that_wants_no_answer_is_sent_once_and_so_is_its_cancel() -> None:
    one = event(response_required=ResponseRequired.NEVER)
    ven = after(receive(POLL, of=(one,)), VtnVen)
    assert isinstance(receive(POLL, ven=ven, of=(one,)).answer, wire.OadrResponse)
    gone = events.cancelled(one, NOW)
    step = receive(POLL, ven=ven, of=(gone,))
    assert isinstance(step.answer, wire.OadrDistributeEvent)
    assert isinstance(receive(POLL, ven=after(step, VtnVen), of=(gone,)).answer, wire.OadrResponse)


def test_an_event_that_is_withdrawn_from_a_ven_is_told_by_its_absence() -> None:
    one = event()
    ven = after(receive(created(0), of=(one,)), VtnVen)
    others = events.modified(one, draft(NOW + HOUR, target=Target(ven_ids=("v2",))), NOW, ())
    step = receive(POLL, ven=ven, of=(others,))
    assert isinstance(step.answer, wire.OadrDistributeEvent)
    assert step.answer.oadr_events == ()
    assert isinstance(receive(POLL, ven=after(step, VtnVen), of=(others,)).answer, wire.OadrResponse)


def test_a_reply_limit_is_kept_and_the_active_come_first() -> None:
    far = event("far")
    now = event("now", start=NOW - MINUTE, market_context="http://b.example", priority=1)
    ask = wire.OadrRequestEvent(ei_request_event=wire.EiRequestEvent(request_id="q", ven_id="v1", reply_limit=1))
    answer: Any = receive(ask, of=(far, now)).answer
    assert [one.ei_event.event_descriptor.event_id for one in answer.oadr_events] == ["now"]
    assert answer.ei_response.request_id == "q"
    none: Any = receive(ask).answer
    assert none.oadr_events == ()


def opting(**more: Any) -> wire.OadrCreateOpt:
    fields: dict[str, Any] = {
        "request_id": "q",
        "opt_id": "o1",
        "opt_type": OUT,
        "opt_reason": "economic",
        "ven_id": "v1",
        "ei_target": EiTarget(),
        "created_date_time": "2026-03-28T10:00:00Z",
    }
    return wire.OadrCreateOpt(**fields | more)


AVAILABLE = (Properties(dtstart="2026-03-28T12:00:00Z", duration="PT1H"),)


def test_what_an_opt_says_of_an_event_no_created_event_changes_until_it_is_cancelled() -> None:
    one = event()
    step = receive(opting(qualified_event_id=QualifiedEventID(event_id="e1", modification_number=0)), of=(one,))
    ven, opt = after(step, VtnVen), after(step, state.VtnOpt)
    later = after(receive(created(0, IN), ven=ven, of=(one,)), VtnVen)
    assert later is None, "nothing changes"
    cancel = wire.OadrCancelOpt(request_id="c", opt_id="o1", ven_id="v1")
    freed = after(receive(cancel, ven=ven, opt=opt), VtnVen)
    assert after(receive(created(0, IN), ven=freed, of=(one,)), VtnVen).events["e1"].opt is IN
    refused(receive(cancel, ven=ven), "OADR-V24", "452")
    refused(receive(cancel, ven=ven, opt=msgspec.structs.replace(opt, cancelled=True)), "OADR-V24", "452")


def test_an_opt_is_of_an_event_or_of_times_and_of_the_ven_itself() -> None:
    assert after(receive(opting(vavailability=AVAILABLE)), state.VtnOpt).available == AVAILABLE
    refused(receive(opting()), "OADR-V23", "454")
    others = opting(vavailability=AVAILABLE, ei_target=EiTarget(ven_ids=("v2",)))
    refused(receive(others), "OADR-V22", "462")
    unknown = opting(qualified_event_id=QualifiedEventID(event_id="e9", modification_number=0))
    refused(receive(unknown), "OADR-V21", "452")


# -- reports ----------------------------------------------------------------------------------------------------------

METADATA = OadrReport(
    duration="PT1H",
    oadr_report_descriptions=(
        OadrReportDescription(
            r_id="p",
            report_type="usage",
            reading_type="Direct Read",
            oadr_sampling_rate=OadrSamplingRate(oadr_min_period="PT1M", oadr_max_period="PT1H", oadr_on_change=False),
        ),
    ),
    report_request_id="0",
    report_specifier_id="s1",
    report_name="METADATA_TELEMETRY_USAGE",
    created_date_time="2026-03-28T10:00:00Z",
)


def request(id_: str = "q", *, back: str = "PT1H", specifier: str = "s1", **more: Any) -> Any:
    point = SpecifierPayload(r_id="0" if specifier == "METADATA" else "p", reading_type="x-notApplicable")
    fields = {"report_specifier_id": specifier, "granularity": "PT15M", "report_back_duration": back} | more
    return OadrReportRequest(
        report_request_id=id_, report_specifier=ReportSpecifier(**fields, specifier_payloads=(point,))
    )


def asked(id_: str, **more: Any) -> state.Request:
    return state.Request(request=request(id_, **more), since=NOW)


def asking(stage: Asking = Asking.WAITING, **more: Any) -> VtnVen:
    return msgspec.structs.replace(VEN, requests={"q": msgspec.structs.replace(asked("q", **more), stage=stage)})


def data(id_: str = "q", *, r_id: str = "p", specifier: str = "s1") -> wire.OadrUpdateReport:
    payload = OadrReportPayload(r_id=r_id, payload_base=PayloadFloat(value=1.5))
    report = OadrReport(
        dtstart="2026-03-28T10:00:00Z",
        intervals=(Interval(dtstart="2026-03-28T10:00:00Z", stream_payload_base=(payload,)),),
        report_request_id=id_,
        report_specifier_id=specifier,
        report_name="TELEMETRY_USAGE",
        created_date_time="2026-03-28T10:00:00Z",
    )
    return wire.OadrUpdateReport(request_id="u", oadr_reports=(report,), ven_id="v1")


def test_a_report_is_asked_for_until_it_is_taken_and_one_that_is_wanted_once_ends_with_the_data() -> None:
    ven = asking(back="PT0S")
    call: Any = receive(POLL, ven=ven).answer
    assert isinstance(call, wire.OadrCreateReport)
    taken = wire.OadrCreatedReport(ei_response=EiResponse(response_code="200", request_id="q"), ven_id="v1")
    ven = after(receive(taken, ven=ven), VtnVen)
    assert ven.requests["q"].stage is Asking.PENDING
    assert isinstance(receive(POLL, ven=ven).answer, wire.OadrResponse)
    step = receive(data(), ven=ven)
    assert after(step, state.VtnReport).report.report_request_id == "q"
    assert after(step, VtnVen).requests["q"].stage is Asking.DONE


def test_a_periodic_report_goes_on_until_it_is_cancelled() -> None:
    ven = asking(Asking.PENDING)
    assert after(receive(data(), ven=ven), VtnVen) is None, "no stage changes"
    ven = reports.stop(ven, "q", NOW, follow=True)
    call: Any = receive(POLL, ven=ven).answer
    assert (call.report_request_ids, call.report_to_follow) == (("q",), True)
    assert code(receive(data(), ven=ven)) == "200", "what was gathered may come yet"
    ended = wire.OadrCanceledReport(ei_response=EiResponse(response_code="200", request_id="cancel-q"), ven_id="v1")
    ven = after(receive(ended, ven=ven), VtnVen)
    assert ven.requests["q"].stage is Asking.CANCELLED
    refused(receive(data(), ven=ven), "OADR-V304", "452")
    with pytest.raises(IllegalTransitionError):
        reports.stop(ven, "q", NOW, follow=False)


def test_data_that_was_not_asked_for_is_refused() -> None:
    ven = asking(Asking.PENDING)
    assert code(receive(data(), ven=ven)) == "200"
    refused(receive(data("other"), ven=ven), "OADR-V304", "452")
    refused(receive(data(r_id="x"), ven=ven), "OADR-V305", "452")
    refused(receive(data(specifier="s2"), ven=ven), "OADR-V305", "452")


def test_history_ends_with_its_time() -> None:
    interval = Properties(dtstart="2026-03-27T10:00:00Z", duration="PT1H")
    ven = asking(Asking.PENDING, report_interval=interval)
    assert after(receive(data(), ven=ven), VtnVen).requests["q"].stage is Asking.DONE


def test_what_is_registered_anew_drops_requests_for_what_is_gone() -> None:
    register = wire.OadrRegisterReport(request_id="r", oadr_reports=(METADATA,), ven_id="v1")
    step = receive(register, ven=asking(Asking.PENDING))
    assert after(step, VtnMetadata).reports == (METADATA,)
    assert after(step, VtnVen) is None
    none = msgspec.structs.replace(register, oadr_reports=())
    assert after(receive(none, ven=asking(Asking.PENDING)), VtnVen).requests["q"].stage is Asking.CANCELLED
    refused(receive(msgspec.structs.replace(register, report_request_id="zz")), "OADR-V304", "452")


def test_metadata_goes_both_ways_by_request() -> None:
    ven = asking(specifier="METADATA", back="PT0S")
    call: Any = receive(POLL, ven=ven).answer
    assert call.oadr_report_requests[0].report_specifier.report_specifier_id == "METADATA"
    told = wire.OadrRegisterReport(request_id="r", oadr_reports=(METADATA,), ven_id="v1", report_request_id="q")
    assert after(receive(told, ven=ven), VtnVen).requests["q"].stage is Asking.DONE
    ask = wire.OadrCreateReport(
        request_id="c", oadr_report_requests=(request("m", specifier="METADATA", back="PT0S"),), ven_id="v1"
    )
    ven = after(receive(ask), VtnVen)
    ours: Any = receive(POLL, ven=ven).answer
    assert (ours.report_request_id, ours.oadr_reports) == ("m", ())
    got = wire.OadrRegisteredReport(
        ei_response=EiResponse(response_code="200", request_id=ours.request_id), ven_id="v1"
    )
    assert isinstance(receive(POLL, ven=after(receive(got, ven=ven), VtnVen)).answer, wire.OadrResponse)
    other = msgspec.structs.replace(ask, oadr_report_requests=(request("m"),))
    refused(receive(other), "OADR-V306", "461")


def test_only_what_a_ven_registered_can_be_asked_for() -> None:
    known = VtnMetadata(ven_id="v1", reports=(METADATA,))
    assert reports.ask(VEN, request(), known, NOW).requests["q"].stage is Asking.WAITING
    for bad, of in ((request(specifier="s2"), known), (request(), None), (request("0"), known)):
        with pytest.raises(InvalidError):
            reports.ask(VEN, bad, of, NOW)
    with pytest.raises(IllegalTransitionError):
        reports.ask(VtnVen(id="v1"), request(), known, NOW)


def test_what_waits_takes_turns() -> None:
    ven = asking()
    kinds = [type(receive(POLL, ven=ven, of=(event(),), turn=turn).answer) for turn in range(3)]
    assert kinds == [wire.OadrDistributeEvent, wire.OadrCreateReport, wire.OadrDistributeEvent]


def test_a_message_that_breaks_a_rule_of_its_own_is_answered_by_its_code() -> None:
    refused(receive(wire.OadrPoll(ven_id="")), "OADR-021", "452")
    lenient = receive(msgspec.structs.replace(created(0), schema_location="x"), of=(event(),))
    assert code(lenient) == "200", "what says what it means is taken"


@pytest.mark.parametrize("kind", state.ItemKind)
def test_every_kind_of_quantity_goes_over_the_wire_and_what_lacks_its_unit_does_not(kind: state.ItemKind) -> None:
    units = {state.ItemKind.CUSTOM: "widgets", state.ItemKind.TEMPERATURE: "fahrenheit", state.ItemKind.POWER_REAL: "W"}
    unit = "EUR" if kind.startswith("currency") else units.get(kind)
    told = state.SignalItem(kind=kind, unit=unit, scale=Scale.KILO, description="what")
    signals = tuple(
        msgspec.structs.replace(one, signal_name="LOAD_DISPATCH", signal_type="setpoint", item_base=told)
        for one in draft(NOW + HOUR).signals
    )
    made = events.created("e1", draft(NOW + HOUR, signals=signals), NOW, ())
    message = wire.OadrDistributeEvent(request_id="r", vtn_id="V", oadr_events=(events.to_wire(made, VEN, NOW),))
    assert OadrCodec().decode(OadrCodec().encode(message)) == message
    for wrong in (None, "parsecs") if unit is not None and kind is not state.ItemKind.CUSTOM else ():
        if wrong is None and kind in (state.ItemKind.TEMPERATURE, state.ItemKind.POWER_REAL):
            continue  # these have a unit of their own
        bad = tuple(
            msgspec.structs.replace(one, item_base=msgspec.structs.replace(told, unit=wrong)) for one in signals
        )
        with pytest.raises(InvalidError):
            events.created("e1", draft(NOW + HOUR, signals=bad), NOW, ())


def test_a_ven_is_pushed_to_over_the_web_only() -> None:
    def pushed(address: str) -> Step:
        message = registering(ven_id="v1", oadr_http_pull_model=False, oadr_transport_address=address)
        return receive(message, ven=VtnVen(id="v1"))

    assert after(pushed("https://ven.example"), VtnVen).address == "https://ven.example"
    refused(pushed("file:///etc/passwd"), "OADR-V05", "451")
