"""A VEN's session: registration, events by every rule, reports and opts; each bad message beside its valid twin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import (
    EiActivePeriod,
    EiEvent,
    EiEventSignal,
    EiEventSignals,
    EiResponse,
    EiTarget,
    EventDescriptor,
    Interval,
    Message,
    OadrEvent,
    OadrProfile,
    OadrReport,
    OadrReportDescription,
    OadrReportRequest,
    OadrSamplingRate,
    PayloadFloat,
    Properties,
    ReportSpecifier,
    SignalPayload,
    SpecifierPayload,
    Tolerate,
)
from flexhub.protocols.openadr2b.names import (
    EventStatus,
    OptType,
    ProfileName,
    ResponseCode,
    ResponseRequired,
    SignalType,
    TransportName,
)
from flexhub.protocols.openadr2b.rules import findings
from flexhub.protocols.openadr2b.session import ven, ven_events, ven_opts, ven_reports
from flexhub.protocols.openadr2b.session.ven_state import (
    Judge,
    Setup,
    Stage,
    State,
    Step,
    offset_s,
)
from flexhub.protocols.uftp.times import text_of

NOW = datetime(2026, 3, 29, 10, tzinfo=UTC)
CODEC = OadrCodec()
MARKET = "http://market.example/dispatch"
RATE = OadrSamplingRate(oadr_min_period="PT1M", oadr_max_period="PT15M", oadr_on_change=False)
SETUP = Setup(
    ven_name="hub",
    markets=frozenset((MARKET,)),
    known_as=EiTarget(group_ids=("north",)),
    reports=(
        OadrReport(
            duration="PT1H",
            oadr_report_descriptions=(
                OadrReportDescription(
                    r_id="p", report_type="usage", reading_type="Direct Read", oadr_sampling_rate=RATE
                ),
            ),
            report_request_id="0",
            report_specifier_id="telemetry",
            report_name="METADATA_TELEMETRY_USAGE",
            created_date_time=text_of(NOW),
        ),
        OadrReport(
            duration="P1D",
            oadr_report_descriptions=(
                OadrReportDescription(r_id="p", report_type="usage", reading_type="Direct Read"),
            ),
            report_request_id="0",
            report_specifier_id="history",
            report_name="METADATA_HISTORY_USAGE",
            created_date_time=text_of(NOW),
        ),
    ),
)
REGISTERED = State(stage=Stage.REGISTERED, ven_id="ven-1", registration_id="reg-1", vtn_id="vtn-1")
YES = Judge(refuse=lambda _: None, opt=lambda _: OptType.OPT_IN)
LATER = Judge(refuse=lambda _: None, opt=lambda _: None)
DEAF = Judge(refuse=lambda _: (ResponseCode.SIGNAL_NOT_SUPPORTED, "no such signal"), opt=lambda _: OptType.OPT_IN)


def event(
    name: str = "e-1",
    number: int = 0,
    status: EventStatus = EventStatus.FAR,
    required: ResponseRequired = ResponseRequired.ALWAYS,
    **more: Any,
) -> OadrEvent:
    start = more.pop("start", NOW + timedelta(hours=1))
    properties = Properties(
        dtstart=text_of(start), duration=more.pop("duration", "PT1H"), tolerance=more.pop("tolerance", None)
    )
    signal = EiEventSignal(
        intervals=(
            Interval(
                duration=properties.duration,
                uid=more.pop("uid", "0"),
                stream_payload_base=(SignalPayload(payload_base=PayloadFloat(value=more.pop("level", 1.0))),),
            ),
        ),
        signal_name="SIMPLE",
        signal_type=SignalType.LEVEL,
        signal_id="s",
    )
    return OadrEvent(
        ei_event=EiEvent(
            event_descriptor=EventDescriptor(
                event_id=name,
                modification_number=number,
                ei_market_context=more.pop("market", MARKET),
                created_date_time=text_of(NOW),
                event_status=status,
                test_event=more.pop("test", None),
            ),
            ei_active_period=EiActivePeriod(properties=properties),
            ei_event_signals=EiEventSignals(ei_event_signals=(signal,)),
            ei_target=more.pop("target", EiTarget()),
        ),
        oadr_response_required=required,
    )


def told(*events: OadrEvent, vtn: str = "vtn-1", request: str = "d-1") -> wire.OadrDistributeEvent:
    return wire.OadrDistributeEvent(schema_version="2.0b", request_id=request, vtn_id=vtn, oadr_events=events)


def hear(state: State, message: Message, judge: Judge = YES, now: datetime = NOW, setup: Setup = SETUP) -> Step:
    """A step whose messages are all sound, and whose state survives its storage."""
    step = ven.receive(state, message, now, setup, judge, seed="x")
    for sent in step.sends:
        assert findings(sent) == []
        assert CODEC.decode(CODEC.encode(sent)) == sent
    assert msgspec.json.decode(msgspec.json.encode(step.state), type=State) == step.state
    return step


def answers(step: Step) -> list[tuple[str, int, str, OptType]]:
    """(eventID, number, code, opt) of every answer."""
    return [
        (r.qualified_event_id.event_id, r.qualified_event_id.modification_number, r.response_code, r.opt_type)
        for sent in step.sends
        if isinstance(sent, wire.OadrCreatedEvent)
        for r in sent.ei_created_event.event_responses or ()
    ]


def news(step: Step) -> list[tuple[str, str]]:
    return [(t.what.value, t.event_id) for t in step.told]


IN, OUT = OptType.OPT_IN, OptType.OPT_OUT
OLD = hear(REGISTERED, told(event(number=2))).state
"""Knows the event e-1, modification 2."""


# -- events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "one", "answer", "heard"),
    [
        pytest.param(REGISTERED, event(), ("e-1", 0, "200", IN), ("new", "e-1"), id="56 new"),
        pytest.param(OLD, event(number=3), ("e-1", 3, "200", IN), ("modified", "e-1"), id="57 higher"),
        pytest.param(OLD, event(number=2), ("e-1", 2, "200", IN), None, id="the same again"),
        pytest.param(OLD, event(number=1), ("e-1", 1, "450", OUT), None, id="58 lower"),
        pytest.param(
            OLD, event(number=3, status=EventStatus.CANCELLED), ("e-1", 3, "200", IN), ("cancelled", "e-1"),
            id="59 cancel known",
        ),
        pytest.param(
            REGISTERED, event(number=3, status=EventStatus.CANCELLED), ("e-1", 3, "200", IN), None,
            id="60 cancel unknown",
        ),
        pytest.param(
            OLD, event(number=2, status=EventStatus.COMPLETED), ("e-1", 2, "200", IN), ("ended", "e-1"), id="completed"
        ),
        pytest.param(REGISTERED, event(test="true"), ("e-1", 0, "200", IN), None, id="6 a test"),
        pytest.param(REGISTERED, event(test="false"), ("e-1", 0, "200", IN), ("new", "e-1"), id="6 no test"),
        pytest.param(REGISTERED, event(market="http://other.example"), ("e-1", 0, "453", OUT), None, id="48 market"),
        pytest.param(
            REGISTERED, event(target=EiTarget(ven_ids=("ven-2",))), ("e-1", 0, "462", OUT), None, id="48 target"
        ),
        pytest.param(
            REGISTERED, event(target=EiTarget(ven_ids=("ven-2",), group_ids=("north",))), ("e-1", 0, "200", IN),
            ("new", "e-1"), id="22 criteria are alternatives",
        ),
        pytest.param(REGISTERED, event(level=4.0), ("e-1", 0, "454", OUT), None, id="9 no such level"),
        pytest.param(REGISTERED, event(uid="1"), ("e-1", 0, "454", OUT), None, id="2 numbered wrongly"),
    ],
)  # fmt: skip
def test_each_kind_of_event_is_answered_and_told(
    state: State, one: OadrEvent, answer: tuple[str, int, str, OptType], heard: tuple[str, str] | None
) -> None:
    step = hear(state, told(one))
    assert answers(step) == [answer]
    assert news(step) == ([] if heard is None else [heard])


def test_a_lower_number_changes_nothing() -> None:
    assert hear(OLD, told(event(number=1))).state == OLD


@pytest.mark.parametrize("status", [EventStatus.FAR, EventStatus.CANCELLED])
def test_an_answer_goes_out_if_and_only_if_it_is_wanted(status: EventStatus) -> None:
    for required, count in ((ResponseRequired.ALWAYS, 1), (ResponseRequired.NEVER, 0)):
        assert len(hear(OLD, told(event(number=3, status=status, required=required))).sends) == count


def test_a_missing_event_is_cancelled_and_one_that_is_there_is_not() -> None:
    both = hear(REGISTERED, told(event("a"), event("b", start=NOW + timedelta(hours=3)))).state
    step = hear(both, told(event("b", start=NOW + timedelta(hours=3))))
    assert news(step) == [("cancelled", "a")]
    assert hear(step.state, told()).told[0].event_id == "b"
    assert news(hear(both, told(event("a"), event("b", start=NOW + timedelta(hours=3))))) == []


def test_an_event_that_comes_back_is_new() -> None:
    gone = hear(OLD, told()).state
    assert news(hear(gone, told(event(number=2)))) == [("new", "e-1")]


def test_each_of_several_gets_its_own_answer() -> None:
    step = hear(REGISTERED, told(event("a"), event("b", level=7.0, start=NOW + timedelta(hours=3))))
    assert answers(step) == [("a", 0, "200", IN), ("b", 0, "454", OUT)]


def test_what_cannot_be_followed_is_opted_out_of_with_its_code() -> None:
    assert answers(hear(REGISTERED, told(event()), DEAF)) == [("e-1", 0, "460", OUT)]
    changed = hear(OLD, told(event(number=3)), DEAF)
    assert answers(changed) == [("e-1", 3, "460", OUT)]
    assert news(changed) == [("cancelled", "e-1")]


def test_another_vtn_is_refused_as_a_whole() -> None:
    step = hear(REGISTERED, told(event(), vtn="other"))
    created = step.sends[0]
    assert isinstance(created, wire.OadrCreatedEvent)
    assert created.ei_created_event.ei_response.response_code == "452"
    assert created.ei_created_event.event_responses is None
    assert step.state == REGISTERED
    assert answers(hear(REGISTERED, told(event()))) == [("e-1", 0, "200", IN)]


def test_a_vtn_that_answers_with_an_error_tells_of_no_events() -> None:
    refused = replace(told(), ei_response=EiResponse(response_code="463", request_id="r"))
    assert hear(OLD, refused) == Step(OLD)
    assert news(hear(OLD, replace(told(), ei_response=EiResponse(response_code="200", request_id="r")))) != []


def test_an_unregistered_ven_hears_of_no_events() -> None:
    assert hear(State(), told(event())) == Step(State())


def test_an_undecided_event_is_answered_later_and_once() -> None:
    open_ = hear(REGISTERED, told(event(), request="d-7"), LATER)
    assert open_.sends == ()
    assert news(open_) == [("new", "e-1")]
    assert ven_events.undecided(open_.state) == ("e-1",)
    done = ven_opts.opted(open_.state, "e-1", OUT, NOW, seed="y", said="too much")
    assert answers(done) == [("e-1", 0, "200", OUT)]
    created = done.sends[0]
    assert isinstance(created, wire.OadrCreatedEvent)
    assert [(r.request_id, r.response_description) for r in created.ei_created_event.event_responses or ()] == [
        ("d-7", "too much")
    ]
    assert ven_opts.opted(done.state, "e-1", OUT, NOW, seed="z") == Step(done.state)
    assert ven_events.undecided(done.state) == ()


def test_a_change_of_mind_is_an_opt_and_of_what_is_over_nothing_is_said() -> None:
    step = ven_opts.opted(OLD, "e-1", OUT, NOW, seed="y")
    opt = step.sends[0]
    assert isinstance(opt, wire.OadrCreateOpt)
    assert findings(opt) == []
    assert opt.qualified_event_id is not None
    assert (opt.qualified_event_id.event_id, opt.qualified_event_id.modification_number, opt.opt_type) == (
        "e-1", 2, OUT
    )  # fmt: skip
    assert step.state.opts == {opt.opt_id: opt}
    back = ven_opts.withdrawn(step.state, opt.opt_id, seed="z")
    assert isinstance(back.sends[0], wire.OadrCancelOpt)
    assert back.state.opts == {}
    assert ven_opts.withdrawn(back.state, opt.opt_id, seed="z").sends == ()
    assert ven_opts.opted(OLD, "e-1", OUT, NOW + timedelta(hours=3), seed="y") == Step(OLD)
    assert ven_opts.opted(OLD, "other", OUT, NOW, seed="y") == Step(OLD)


@settings(max_examples=30, deadline=None)
@given(most=st.integers(0, 3600), name=st.text(min_size=1, max_size=8), number=st.integers(0, 5))
def test_an_offset_is_within_startafter_and_kept(most: int, name: str, number: int) -> None:
    drawn = offset_s("ven-1", name, most)
    assert 0 <= drawn <= most
    tolerance = Tolerate(startafter=f"PT{most}S")
    one = hear(REGISTERED, told(event("e", 0, tolerance=tolerance))).state
    other = hear(one, told(event("e", number + 1, tolerance=tolerance))).state
    assert one.events["e"].offset_s == other.events["e"].offset_s <= most


def test_a_cancellation_under_way_holds_as_much_later_as_the_event_began() -> None:
    tolerance = Tolerate(startafter="PT30M")
    state = hear(REGISTERED, told(event(tolerance=tolerance))).state
    offset = timedelta(seconds=state.events["e-1"].offset_s)
    assert offset
    cancel = told(event(number=1, status=EventStatus.CANCELLED, tolerance=tolerance))
    assert hear(state, cancel).told[0].heard.cancelled == NOW
    begun = NOW + timedelta(hours=1) + offset
    assert hear(state, cancel, now=begun).told[0].heard.cancelled == begun + offset


def test_an_event_ends_once_by_the_clock() -> None:
    step = ven_events.ended(OLD, NOW + timedelta(hours=2))
    assert news(step) == [("ended", "e-1")]
    assert ven_events.ended(step.state, NOW + timedelta(hours=2)).told == ()
    assert ven_events.ended(OLD, NOW + timedelta(minutes=119)).told == ()
    endless = hear(REGISTERED, told(event(duration="PT0S"))).state
    assert ven_events.ended(endless, NOW + timedelta(days=999)).told == ()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308])
def test_a_number_that_cannot_be_kept_is_refused_and_one_that_can_is_not(value: float) -> None:
    one = event("bad")
    signals = one.ei_event.ei_event_signals
    signal = replace(signals.ei_event_signals[0], signal_name="LOAD_DISPATCH", current_value=value)
    bad = replace(one, ei_event=replace(one.ei_event, ei_event_signals=replace(signals, ei_event_signals=(signal,))))
    step = hear(REGISTERED, told(bad, event("good", start=NOW + timedelta(hours=3))))
    refused = value != 1e308
    assert [code for _, _, code, _ in answers(step)] == ["454" if refused else "200", "200"]


@pytest.mark.parametrize("duration", ["PT0S", "P999999999D", "P999999999Y", "PT1H"])
@pytest.mark.parametrize("start", [NOW, datetime(9999, 12, 31, 23, 59, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)])
def test_times_at_the_ends_of_the_calendar_do_no_harm(duration: str, start: datetime) -> None:
    tolerance = Tolerate(startafter="P999999999D")
    state = hear(REGISTERED, told(event(duration=duration, start=start, tolerance=tolerance))).state
    ven_events.ended(state, NOW)
    cancel = told(event(number=1, duration=duration, start=start, status=EventStatus.CANCELLED, tolerance=tolerance))
    assert answers(hear(state, cancel)) == [("e-1", 1, "200", IN)]
    for one in (
        request(back=duration, interval=(start, "PT0S")),
        request(back="PT1H", interval=(start, duration)),
        request("h", "history", "PT0S", interval=(start, duration)),
    ):
        later = hear(state, asks(one)).state
        assert all(due.since <= due.until for due in ven_reports.due(later, NOW))
        ven_reports.sent(later, one.report_request_id, NOW)


# -- registration -----------------------------------------------------------------------------------------------------


def created(code: str = "200", **fields: Any) -> wire.OadrCreatedPartyRegistration:
    return wire.OadrCreatedPartyRegistration(
        ei_response=EiResponse(response_code=code, request_id="r"),
        **{"registration_id": "reg-1", "ven_id": "ven-1", "vtn_id": "vtn-1", **fields},
        oadr_profiles=(OadrProfile(oadr_profile_name=ProfileName.B, oadr_transports=(TransportName.SIMPLE_HTTP,)),),
    )


AGAIN = wire.OadrRequestReregistration(ven_id="ven-1")
CANCEL = wire.OadrCancelPartyRegistration(request_id="c", registration_id="reg-1", ven_id="ven-1")
MOVES: dict[str, Message] = {"created": created(), "error": created("452"), "again": AGAIN, "cancel": CANCEL}
TABLE = {
    Stage.NONE: ("registered", "refused", "none", "cancelled"),
    Stage.REGISTERED: ("registered", "refused", "again", "cancelled"),
    Stage.AGAIN: ("registered", "refused", "again", "cancelled"),
    Stage.REFUSED: ("registered", "refused", "refused", "cancelled"),
    Stage.CANCELLED: ("registered", "refused", "cancelled", "cancelled"),
}


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("move", list(MOVES))
def test_the_registration_moves_by_its_table(stage: Stage, move: str) -> None:
    after = hear(replace(REGISTERED, stage=stage), MOVES[move]).state
    assert after.stage.value == TABLE[stage][list(MOVES).index(move)]


def test_an_allocated_ven_id_and_a_known_vtn_are_insisted_on() -> None:
    setup = replace(SETUP, ven_id="ven-1", vtn_id="vtn-1")
    assert ven.register(State(), setup, seed="x").ven_id == "ven-1"
    assert hear(State(), created(), setup=setup).state.registered
    assert hear(State(), created(ven_id="ven-2"), setup=setup).state.stage is Stage.REFUSED
    assert hear(State(), created(vtn_id="other"), setup=setup).state.stage is Stage.REFUSED


def test_information_is_no_registration() -> None:
    asked = hear(State(), created(registration_id=None, ven_id=None, oadr_requested_oadr_poll_freq="PT30S")).state
    assert (asked.stage, asked.poll_s) == (Stage.NONE, 30)


def test_a_registration_again_keeps_events_and_another_ven_id_does_not() -> None:
    assert ven.register(OLD, SETUP, seed="x").registration_id == "reg-1"
    assert hear(OLD, created()).state.events == OLD.events
    other = hear(OLD, created(ven_id="ven-9"))
    assert other.state.events == {}
    assert news(other) == [("cancelled", "e-1")]


def test_a_cancelled_registration_ends_its_events_and_anothers_does_not() -> None:
    step = hear(OLD, CANCEL)
    assert news(step) == [("cancelled", "e-1")]
    other = hear(OLD, replace(CANCEL, registration_id="reg-2"))
    assert other.state == OLD
    canceled = other.sends[0]
    assert isinstance(canceled, wire.OadrCanceledPartyRegistration)
    assert canceled.ei_response.response_code == "452"
    assert hear(OLD, replace(AGAIN, ven_id="ven-2")).state == OLD


def test_463_says_that_we_are_forgotten_and_other_codes_do_not() -> None:
    for code, stage in (("463", Stage.AGAIN), ("452", Stage.REGISTERED), ("200", Stage.REGISTERED)):
        response = wire.OadrResponse(ei_response=EiResponse(response_code=code, request_id="r"))
        assert hear(REGISTERED, response).state.stage is stage


def test_what_a_ven_is_never_told_is_a_compliance_error() -> None:
    response = hear(REGISTERED, wire.OadrPoll(ven_id="ven-2")).sends[0]
    assert isinstance(response, wire.OadrResponse)
    assert response.ei_response.response_code == "459"


# -- reports ----------------------------------------------------------------------------------------------------------


def request(name: str = "q-1", specifier: str = "telemetry", back: str = "PT1H", **more: Any) -> OadrReportRequest:
    interval = more.get("interval", (NOW, "PT0S"))
    return OadrReportRequest(
        report_request_id=name,
        report_specifier=ReportSpecifier(
            report_specifier_id=specifier,
            granularity="PT15M",
            report_back_duration=back,
            report_interval=None
            if interval is None
            else Properties(dtstart=text_of(interval[0]), duration=interval[1]),
            specifier_payloads=(SpecifierPayload(r_id=more.get("point", "p"), reading_type="x-notApplicable"),),
        ),
    )


def asks(*requests: OadrReportRequest) -> wire.OadrCreateReport:
    return wire.OadrCreateReport(request_id="r-1", oadr_report_requests=requests, ven_id="ven-1")


def code_of(step: Step) -> str:
    sent = step.sends[0]
    assert isinstance(sent, wire.OadrCreatedReport | wire.OadrCanceledReport)
    return sent.ei_response.response_code


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (request(), "200"),
        (request(specifier="other"), "452"),
        (request(point="other"), "452"),
        (request(back="P1M"), "461"),
        (request(interval=(NOW, "P1M")), "461"),
    ],
)
def test_a_report_is_pending_where_it_can_be_made(one: OadrReportRequest, code: str) -> None:
    step = hear(REGISTERED, asks(one))
    assert code_of(step) == code
    assert set(step.state.wanted) == ({"q-1"} if code == "200" else set())


def test_one_bad_request_leaves_all_as_it_was() -> None:
    before = hear(REGISTERED, asks(request("q-0"))).state
    assert hear(before, asks(request("q-1"), request("q-2", point="other"))).state == before


def test_metadata_that_are_asked_for_are_registered_under_their_request() -> None:
    step = hear(REGISTERED, asks(request("q-9", "METADATA", "PT0S", point="0")))
    registered = step.sends[1]
    assert isinstance(registered, wire.OadrRegisterReport)
    assert registered.report_request_id == "q-9"
    assert step.state.wanted == {}


def test_a_periodic_report_is_due_again_and_again() -> None:
    state = hear(REGISTERED, asks(request())).state
    assert ven_reports.due(state, NOW + timedelta(minutes=59)) == []
    hour = timedelta(hours=1)
    for n in range(1, 4):
        (found,) = ven_reports.due(state, NOW + n * hour)
        assert (found.since, found.until) == (NOW + (n - 1) * hour, NOW + n * hour)
        state = ven_reports.sent(state, "q-1", NOW + n * hour)
        assert ven_reports.next_due(state) == NOW + (n + 1) * hour


def test_what_was_missed_for_long_comes_in_one_and_an_end_is_kept() -> None:
    state = hear(REGISTERED, asks(request(interval=(NOW, "PT5H")))).state
    (found,) = ven_reports.due(state, NOW + timedelta(hours=3, minutes=20))
    assert (found.since, found.until) == (NOW, NOW + timedelta(hours=3))
    state = ven_reports.sent(state, "q-1", NOW + timedelta(hours=3, minutes=20))
    (last,) = ven_reports.due(state, NOW + timedelta(days=1))
    assert last.until == NOW + timedelta(hours=5)
    assert ven_reports.sent(state, "q-1", NOW + timedelta(days=1)).wanted == {}


def test_one_report_of_telemetry_and_one_of_history_go_out_once() -> None:
    once = hear(REGISTERED, asks(request(back="PT0S"))).state
    assert ven_reports.next_due(once) == NOW + timedelta(minutes=15)
    past = hear(REGISTERED, asks(request("h", "history", "PT0S", interval=(NOW - timedelta(hours=4), "PT4H")))).state
    (found,) = ven_reports.due(past, NOW)
    assert (found.since, found.until) == (NOW - timedelta(hours=4), NOW)
    assert ven_reports.sent(past, "h", NOW).wanted == {}


def test_reports_are_cancelled_all_or_none() -> None:
    state = hear(REGISTERED, asks(request("a"), request("b"))).state

    def cancel(*names: str, follow: bool = False) -> Step:
        told_ = wire.OadrCancelReport(request_id="c", report_request_ids=names, report_to_follow=follow)
        return hear(state, told_, now=NOW + timedelta(minutes=5))

    assert code_of(cancel("a", "other")) == "452"
    assert cancel("a", "other").state == state
    assert set(cancel("a").state.wanted) == {"b"}
    last = cancel("a", follow=True).state
    (found,) = ven_reports.due(last, NOW + timedelta(minutes=5))
    assert (found.since, found.until) == (NOW, NOW + timedelta(minutes=5))
    assert set(ven_reports.sent(last, "a", NOW + timedelta(minutes=5)).wanted) == {"b"}
    updated = wire.OadrUpdatedReport(
        ei_response=EiResponse(response_code="200", request_id="u"),
        oadr_cancel_report=wire.OadrCancelReport(request_id="c", report_request_ids=("a",), report_to_follow=False),
    )
    assert set(hear(state, updated).state.wanted) == {"b"}


def test_registered_metadata_may_ask_for_reports_at_once() -> None:
    registered = wire.OadrRegisteredReport(
        ei_response=EiResponse(response_code="200", request_id="r"), oadr_report_requests=(request(),)
    )
    step = hear(REGISTERED, registered)
    assert step.state.reported
    assert set(step.state.wanted) == {"q-1"}
    assert code_of(step) == "200"
    refused = replace(registered, ei_response=EiResponse(response_code="461", request_id="r"))
    assert not hear(REGISTERED, refused).state.reported


def test_what_we_begin_is_sound() -> None:
    begun = [
        ven.query(seed="x"),
        ven.register(State(), SETUP, seed="x"),
        ven.register(State(), replace(SETUP, push_to="http://127.0.0.1:1/OpenADR2/Simple/2.0b"), seed="x"),
        *ven.unregister(REGISTERED, seed="x").sends,
        ven.poll(REGISTERED),
        ven.request_events(REGISTERED, seed="x"),
        ven_reports.register(REGISTERED, SETUP, NOW, seed="x"),
        *ven_opts.available(
            REGISTERED, (Properties(dtstart=text_of(NOW), duration="PT1H"),), OUT, NOW, seed="x"
        ).sends,
    ]  # fmt: skip
    for message in begun:
        assert findings(message) == []
        assert CODEC.decode(CODEC.encode(message)) == message
        assert type(message) in ven.SERVICE
    assert ven.unregister(State(), seed="x").sends == ()
