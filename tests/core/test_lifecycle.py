"""The life of a flex-offer: the full product of states and events, deadlines, schedules and effects."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import get_args

import msgspec
import pytest

from flexhub.core import documents
from flexhub.core.effects import Notify, SetTimer
from flexhub.core.errors import ExpiredError, FlexhubError, IllegalTransitionError, InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Slice, State
from flexhub.core.lifecycle import (
    FINAL,
    TRANSITIONS,
    Accepted,
    AnyEvent,
    Assigned,
    Canceled,
    Confirmed,
    DeadlinePassed,
    Declined,
    Event,
    Finished,
    Invalidated,
    Rejected,
    Revised,
    Settled,
    Started,
    Submitted,
    allowed,
    diagram,
    on_deadline,
    step,
)
from tests.core.test_judge import NOON, QUARTER, plan

CREATED = NOON - 8 * QUARTER
NOW = NOON - 6 * QUARTER
OFFER = FlexOffer(
    id="o",
    issuer="p",
    created=CREATED,
    accept_before=NOON - 4 * QUARTER,
    assign_before=NOON - 2 * QUARTER,
    start_after=NOON,
    start_before=NOON + 4 * QUARTER,
    profiles=(Profile(slices=(Slice(energy_kwh=(EnergyRange(0.0, 2.0),)),) * 2),),
)
FIRST = plan(1, 1, start=NOON + QUARTER)
SECOND = msgspec.structs.replace(FIRST, update=1)
EVENTS: dict[type[Event], AnyEvent] = {
    Submitted: Submitted(),
    Accepted: Accepted(),
    Rejected: Rejected(reason="no room"),
    Revised: Revised(offer=msgspec.structs.replace(OFFER, label="second thought")),
    Assigned: Assigned(schedule=SECOND),
    Confirmed: Confirmed(),
    Declined: Declined(reason="the car is gone"),
    Started: Started(),
    Finished: Finished(),
    Settled: Settled(),
    Canceled: Canceled(),
    DeadlinePassed: DeadlinePassed(),
    Invalidated: Invalidated(reason="impossible"),
}
ASSIGNED = {State.ASSIGNED, State.CONFIRMED, State.EXECUTING, State.EXECUTED, State.SETTLED}


def at(state: State, offer: FlexOffer = OFFER) -> FlexOffer:
    return msgspec.structs.replace(offer, state=state, schedule=FIRST if state in ASSIGNED else None)


def test_there_is_an_example_of_every_event() -> None:
    assert set(EVENTS) == set(get_args(AnyEvent)) == {event for _, event in TRANSITIONS}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
@pytest.mark.parametrize("state", State)
def test_what_the_table_says_happens_and_nothing_else(state: State, event: type[Event]) -> None:
    offer = at(state)
    target = TRANSITIONS.get((state, event))
    if target is None:
        with pytest.raises(IllegalTransitionError) as caught:
            step(offer, EVENTS[event], NOW)
        assert event.__name__ in str(caught.value)
        assert state in str(caught.value)
        assert caught.value.path == "FlexOffer/state"
        return
    changed, effects = step(offer, EVENTS[event], NOW)
    assert changed.state is target
    assert offer == at(state), "the offer before is untouched"
    assert effects[0] == Notify(party="p", topic="flexoffer", subject="o", body=target)
    assert isinstance(effects[1], SetTimer)
    assert event in allowed(state)


def test_nothing_leads_out_of_final_states() -> None:
    assert {State.REJECTED, State.SETTLED, State.CANCELED, State.EXPIRED, State.INVALID} == FINAL
    assert all(allowed(state) == () for state in FINAL)


def test_every_state_is_reached_from_the_initial_one() -> None:
    reached = {State.INITIAL}
    for _ in State:
        reached |= {target for (state, _), target in TRANSITIONS.items() if state in reached}
    assert reached == set(State)


def moved(**fields: object) -> FlexOffer:
    return msgspec.structs.replace(OFFER, **fields)


LATE_START = plan(1, 1, start=NOON + 4 * QUARTER)
DEADLINES: dict[str, tuple[FlexOffer, AnyEvent, datetime, str]] = {
    # the offer, the event, the last moment at which it may happen, what is named a second later
    "submit, by accept_before": (at(State.INITIAL), Submitted(), NOON - 4 * QUARTER, "FlexOffer/accept_before"),
    "submit, by assign_before": (
        at(State.INITIAL, moved(accept_before=None)),
        Submitted(),
        NOON - 2 * QUARTER,
        "FlexOffer/assign_before",
    ),
    "submit, by the earliest start": (
        at(State.INITIAL, moved(accept_before=None, assign_before=None)),
        Submitted(),
        NOON,
        "FlexOffer/assign_before",
    ),
    "submit, by the latest start": (
        at(State.INITIAL, moved(accept_before=None, assign_before=NOON + 9 * QUARTER)),
        Submitted(),
        NOON + 4 * QUARTER,
        "FlexOffer/start_before",
    ),
    "revise": (at(State.OFFERED), Revised(offer=OFFER), NOON - 4 * QUARTER, "FlexOffer/accept_before"),
    "accept": (at(State.OFFERED), Accepted(), NOON - 4 * QUARTER, "FlexOffer/accept_before"),
    "reject": (at(State.OFFERED), Rejected(reason="-"), NOON - 4 * QUARTER, "FlexOffer/accept_before"),
    "assign, by assign_before": (
        at(State.ACCEPTED),
        Assigned(schedule=FIRST),
        NOON - 2 * QUARTER,
        "FlexOffer/assign_before",
    ),
    "assign, with notice before the start": (
        at(State.ACCEPTED, moved(assign_before=None, assign_before_start_s=1800)),
        Assigned(schedule=FIRST),
        NOON - QUARTER,
        "FlexOffer/assign_before_start_s",
    ),
    "assign, not into the past": (
        at(State.ACCEPTED, moved(assign_before=NOON + 4 * QUARTER)),
        Assigned(schedule=FIRST),
        NOON + QUARTER,
        "Schedule/start",
    ),
    "assign again, before the start it replaces": (
        at(State.ASSIGNED),
        Assigned(schedule=msgspec.structs.replace(LATE_START, update=1)),
        NOON + QUARTER,
        "FlexOffer/schedule/start",
    ),
}


@pytest.mark.parametrize("name", DEADLINES)
def test_a_deadline_holds_to_the_second(name: str) -> None:
    offer, event, last, path = DEADLINES[name]
    step(offer, event, last)
    with pytest.raises(ExpiredError) as caught:
        step(offer, event, last + timedelta(seconds=1))
    assert caught.value.path == path


REFUSED: dict[str, tuple[State, AnyEvent, AnyEvent, str]] = {
    # state, an event that may happen, its twin that may not, where
    "a schedule out of bounds": (
        State.ACCEPTED,
        Assigned(schedule=FIRST),
        Assigned(schedule=plan(1, 3, start=NOON + QUARTER)),
        "Schedule",
    ),
    "an update that does not count on": (
        State.ASSIGNED,
        Assigned(schedule=SECOND),
        Assigned(schedule=FIRST),
        "Schedule/update",
    ),
    "a revision of another offer": (
        State.OFFERED,
        Revised(offer=OFFER),
        Revised(offer=moved(id="other")),
        "FlexOffer/id",
    ),
    "a revision by another issuer": (
        State.OFFERED,
        Revised(offer=OFFER),
        Revised(offer=moved(issuer="other")),
        "FlexOffer/id",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_breaks_a_guard_is_refused_and_its_twin_is_not(name: str) -> None:
    state, good, bad, path = REFUSED[name]
    step(at(state), good, NOW)
    with pytest.raises(InvalidError) as caught:
        step(at(state), bad, NOW)
    assert caught.value.path == path


def test_a_refused_schedule_says_which_bound_it_breaks() -> None:
    with pytest.raises(InvalidError, match=r"Schedule/slices\[1\]/energy_kwh: 3 is outside 0..2 kWh"):
        step(at(State.ACCEPTED), Assigned(schedule=plan(1, 3, start=NOON + QUARTER)), NOW)


def test_a_revision_starts_afresh() -> None:
    revised = moved(label="new", schedule=FIRST, state=State.SETTLED, state_reason="old")
    changed, _ = step(at(State.ACCEPTED), Revised(offer=revised), NOW)
    assert changed == moved(label="new", state=State.OFFERED)


def test_reasons_are_kept_until_the_next_event() -> None:
    rejected, _ = step(at(State.OFFERED), Rejected(reason="no room"), NOW)
    assert rejected.state_reason == "no room"
    noted = msgspec.structs.replace(at(State.OFFERED), state_reason="odd")
    assert step(noted, Accepted(), NOW)[0].state_reason is None


TIMERS: dict[str, tuple[FlexOffer, AnyEvent, datetime | None]] = {
    "offered waits for a decision": (at(State.INITIAL), Submitted(), OFFER.accept_before),
    "without accept_before, for assignment": (
        at(State.INITIAL, moved(accept_before=None)),
        Submitted(),
        OFFER.assign_before,
    ),
    "accepted waits for a schedule": (at(State.OFFERED), Accepted(), OFFER.assign_before),
    "assigned waits for the start": (at(State.ACCEPTED), Assigned(schedule=FIRST), FIRST.start),
    "executing waits for the end": (at(State.CONFIRMED), Started(), FIRST.start + 2 * QUARTER),
    "canceled waits for nothing": (at(State.OFFERED), Canceled(), None),
}


@pytest.mark.parametrize("name", TIMERS)
def test_each_state_has_its_one_timer(name: str) -> None:
    offer, event, due = TIMERS[name]
    changed, effects = step(offer, event, NOW)
    assert effects[1:] == [SetTimer(subject="o", event="deadline", due=due)]
    follows = on_deadline(changed)
    assert (follows is None) == (due is None)
    if follows is not None and due is not None:
        step(changed, follows, due)  # what the timer stands for may happen when it is due


@pytest.mark.parametrize("state", State)
def test_timers_stand_for_events_that_may_happen(state: State) -> None:
    event = on_deadline(at(state))
    assert event is None or type(event) in allowed(state)


def test_implicit_time_flexibility_is_assigned_from_now_on() -> None:
    implicit = moved(
        accept_before=None, assign_before=None, start_after=None, start_before=None, start_before_duration_s=1800
    )
    accepted = at(State.ACCEPTED, implicit)
    assert step(accepted, Assigned(schedule=plan(1, 1, start=NOW + 2 * QUARTER)), NOW)[0].state is State.ASSIGNED
    for start in (NOW - QUARTER, NOW + 3 * QUARTER):
        with pytest.raises(FlexhubError):
            step(accepted, Assigned(schedule=plan(1, 1, start=start)), NOW)


def test_events_survive_json() -> None:
    for event in EVENTS.values():
        assert documents.decode(AnyEvent, documents.encode(event)) == event  # type: ignore[arg-type]  # a union


def test_the_diagram_shows_every_transition_once() -> None:
    lines = diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> initial"]
    arrows = [f"    {state} --> {target}: {event.__name__}" for (state, event), target in TRANSITIONS.items()]
    assert sorted(lines[2:]) == sorted(arrows + [f"    {state} --> [*]" for state in FINAL])
