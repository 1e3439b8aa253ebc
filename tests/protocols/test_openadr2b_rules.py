"""OpenADR 2.0b's rules beyond their corpus: laws by hypothesis, durations, and what stays linear."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.protocols.openadr2b import checks, names
from flexhub.protocols.openadr2b import elements as part
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.rules import RULES, findings
from flexhub.protocols.openadr2b.times import ZERO, Length, length, span
from tests.protocols.generated import EACH
from tests.protocols.openadr_generated import MESSAGES

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


def event(
    name: str, start: int = 0, minutes: int = 15, *, status: str = "far", context: str = "urn:a", ven: str = "v"
) -> part.OadrEvent:
    """An event that starts some minutes after noon; of 0 minutes, it has no end."""
    duration = f"PT{minutes}M"
    interval = part.Interval(
        duration=duration, uid="0", stream_payload_base=(part.SignalPayload(payload_base=part.PayloadFloat(value=1.0)),)
    )
    signal = part.EiEventSignal(
        intervals=(interval,), signal_name="SIMPLE", signal_type=names.SignalType.LEVEL, signal_id="s"
    )
    return part.OadrEvent(
        ei_event=part.EiEvent(
            event_descriptor=part.EventDescriptor(
                event_id=name,
                modification_number=1,
                ei_market_context=context,
                created_date_time="2026-03-28T10:00:00Z",
                event_status=names.EventStatus(status),
            ),
            ei_active_period=part.EiActivePeriod(
                properties=part.Properties(
                    dtstart=(NOON + timedelta(minutes=start)).isoformat().replace("+00:00", "Z"), duration=duration
                )
            ),
            ei_event_signals=part.EiEventSignals(ei_event_signals=(signal,)),
            ei_target=part.EiTarget(ven_ids=(ven,)),
        ),
        oadr_response_required=names.ResponseRequired.ALWAYS,
    )


def sent(*events: part.OadrEvent) -> wire.OadrDistributeEvent:
    return wire.OadrDistributeEvent(request_id="r", vtn_id="t", oadr_events=events)


def broken_by(*events: part.OadrEvent) -> set[str]:
    return {found.rule for found in findings(sent(*events))}


@pytest.mark.parametrize(
    ("events", "overlap"),
    [
        ([event("a"), event("b", 15)], False),
        ([event("a"), event("b", 14)], True),
        ([event("a"), event("b", 14, context="urn:b")], False),
        ([event("a"), event("b", 14, ven="w")], False),
        ([event("a"), event("b", 14, status="cancelled")], False),
        ([event("a", minutes=0), event("b", 100_000)], True),
        ([event("a", 100_000), event("b", 200_000, minutes=0)], False),
    ],
)
def test_events_of_one_market_context_overlap_or_not(events: list[part.OadrEvent], *, overlap: bool) -> None:
    assert ("OADR-018" in broken_by(*events)) is overlap


@EACH
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5), st.sampled_from(["urn:a", "urn:b"])), max_size=8))
def test_an_event_is_told_if_it_overlaps_one_that_starts_before_it(told: list[tuple[int, int, str]]) -> None:
    events = [event(str(i), start, minutes, context=context) for i, (start, minutes, context) in enumerate(told)]
    expected = set()
    for i, (start, _, context) in enumerate(told):
        for j, (begin, minutes, other) in enumerate(told):
            before = (begin, j) < (start, i) and other == context
            if before and (minutes == 0 or begin + minutes > start):
                expected.add(f"oadrEvent[{i}]/eiEvent/eiActivePeriod")
    assert {found.path for found in checks.overlaps(sent(*events))} == expected


@pytest.mark.parametrize(
    ("ranks", "ordered"),
    [
        ([("active", 1, 5), ("active", 2, 0), ("far", None, 1), ("near", None, 2)], True),
        ([("active", 2, 0), ("active", 1, 5)], False),
        ([("active", 0, 0), ("active", 1, 5)], False),
        ([("active", None, 0), ("active", 0, 5)], True),
        ([("far", None, 1), ("active", 1, 0)], False),
        ([("far", 1, 2), ("near", 2, 1)], False),
        ([("cancelled", None, 9), ("far", None, 1), ("completed", None, 0)], True),
    ],
)
def test_events_stand_in_order_or_not(ranks: list[tuple[str, int | None, int]], *, ordered: bool) -> None:
    events = []
    for i, (status, priority, start) in enumerate(ranks):
        one = event(str(i), 60 * start, status=status)
        descriptor = msgspec.structs.replace(one.ei_event.event_descriptor, priority=priority)
        inner = msgspec.structs.replace(one.ei_event, event_descriptor=descriptor)
        events.append(msgspec.structs.replace(one, ei_event=inner))
    assert ("OADR-E1" not in broken_by(*events)) is ordered


@pytest.mark.parametrize(
    ("text", "long"),
    [
        ("PT15M", Length(0, 900)),
        ("P15M", Length(15, 0)),
        ("P1Y2M3DT4H5M6S", Length(14, 3 * 86400 + 4 * 3600 + 5 * 60 + 6)),
        ("P1D5M", Length(0, 86400 + 300)),
        ("-PT5M", Length(0, -300)),
        ("+P1D", Length(0, 86400)),
        ("2W", Length(0, 14 * 86400)),
        ("P", ZERO),
        ("PT", ZERO),
        ("PT0S", ZERO),
    ],
)
def test_a_duration_is_months_and_seconds(text: str, long: Length) -> None:
    assert length(text) == long


def test_a_span_that_leads_out_of_the_calendar_has_no_end() -> None:
    assert span(part.Properties(dtstart="9999-12-31T00:00:00Z", duration="P1Y"))[1] is None
    assert span(part.Properties(dtstart="2026-01-01T00:00:00Z", duration="999999999W"))[1] is None
    assert span(part.Properties(dtstart="2026-01-01T00:00:00Z", duration="P1D"))[1] == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "test"), [(None, False), ("false", False), ("False ", False), ("true", True), ("", True), ("no", True)]
)
def test_whatever_is_not_false_is_a_test(told: str | None, *, test: bool) -> None:
    one = event("a").ei_event
    descriptor = msgspec.structs.replace(one.event_descriptor, test_event=told)
    assert checks.is_test(msgspec.structs.replace(one, event_descriptor=descriptor)) is test


@EACH
@given(MESSAGES)
def test_no_check_fails_on_whatever_the_schema_lets_in(message: part.Message) -> None:
    for found in findings(message):
        assert found.path.startswith("oadr")
        assert found.rule in {rule.id for rule in RULES}


def test_many_events_are_judged_in_time_that_grows_with_their_number_only() -> None:
    few, many = (sent(*(event(str(i), 15 * i) for i in range(n))) for n in (200, 4000))
    taken = []
    for message in (few, many):
        began = time.process_time()
        assert findings(message) == []
        taken.append(time.process_time() - began)
    assert taken[1] < 100 * taken[0], taken
