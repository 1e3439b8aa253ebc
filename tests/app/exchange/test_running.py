"""Runs: their cadence, and what a plan's schedules do to offers."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

import msgspec

from flexhub.app.exchange.offers import change
from flexhub.app.exchange.papers import Held, Hold, PlanRecord
from flexhub.app.exchange.portfolio import movable
from flexhub.app.exchange.running import Cadence, PlanResult, Run, next_run
from flexhub.app.hub.contract import ENGINE, TIMER, Decision, Key, Message
from flexhub.core import lifecycle
from flexhub.core.effects import Ask, Effect, Notify, SetTimer
from flexhub.core.flexoffer import FlexOffer, Schedule, ScheduleSlice, State
from flexhub.core.registry import Role
from flexhub.engines.slots import Assignment, Plan, Refusal
from tests.app.market import AGGREGATOR, NOON, QUARTER, least, make_offer

T = TypeVar("T")


class View:
    """The documents of a test."""

    def __init__(self, held: Held | None, *offers: FlexOffer) -> None:
        self.offers = {o.id: o for o in offers}
        self.held = held

    def get(self, kind: type, id: str) -> object:  # noqa: A002 - as in the contract
        if kind is Held:
            return self.held
        assert kind is FlexOffer
        return self.offers.get(id)


class Cadenced:
    """A portfolio that is planned every quarter of an hour."""

    def get(self, kind: type[T], _id: str) -> T | None:
        cadence = Cadence(plan=QUARTER)
        return cadence if isinstance(cadence, kind) else None


def accepted(name: str, recipient: str = AGGREGATOR) -> FlexOffer:
    offer = msgspec.structs.replace(make_offer(name, "ann"), recipient=recipient)
    return change(offer, (lifecycle.Submitted(), lifecycle.Accepted()), NOON)[0]


def result(
    plan: Plan, *offers: FlexOffer, later: timedelta = timedelta(0), held: Held | None = None
) -> tuple[Decision, PlanRecord]:
    message = Message(
        peer=ENGINE, id="q1", kind="plan.result", conversation=AGGREGATOR, body=b"", role=Role.ADMIN, value=plan
    )
    handler = PlanResult()
    assert set(handler.needs(message)) == {Key(Held, AGGREGATOR), *(Key(FlexOffer, a.offer) for a in plan.assignments)}
    decision = handler.decide(message, View(held, *offers), NOON + later)  # type: ignore[arg-type] # only these are asked for
    record = decision.puts[-1].value
    assert isinstance(record, PlanRecord)
    return decision, record


def assign(*offers: FlexOffer) -> Plan:
    return Plan(assignments=tuple(Assignment(offer=o.id, schedule=least(o, NOON)) for o in offers))


def stored(decision: Decision) -> dict[str, FlexOffer]:
    return {p.key.id: p.value for p in decision.puts if isinstance(p.value, FlexOffer)}


def test_every_schedule_is_assigned_and_its_issuer_and_recipient_told() -> None:
    one, two = accepted("one"), accepted("two")
    decision, record = result(assign(one, two), one, two)
    assert {o.state for o in stored(decision).values()} == {State.ASSIGNED}
    told = [(e.party, e.subject) for e in decision.effects if isinstance(e, Notify) and e.topic == "flexoffer"]
    assert told == [("ann", "one"), (AGGREGATOR, "one"), ("ann", "two"), (AGGREGATOR, "two")]
    due = {e.subject: e.due for e in decision.effects if isinstance(e, SetTimer)}
    assert due == {"one": NOON + timedelta(hours=1), "two": NOON + timedelta(hours=1)}
    assert (record.assigned, record.faults) == (2, ())


def test_a_broken_schedule_changes_nothing_for_its_offer_and_all_others_are_assigned() -> None:
    good, bad = accepted("good"), accepted("bad")
    plan = assign(good, bad)
    slices = tuple(ScheduleSlice(energy_kwh=99.0) for _ in range(4))
    broken = Assignment(offer="bad", schedule=Schedule(start=NOON + timedelta(hours=1), slices=slices))
    decision, record = result(msgspec.structs.replace(plan, assignments=(broken, plan.assignments[0])), good, bad)
    assert set(stored(decision)) == {"good"}
    assert [(f.offer, f.code) for f in record.faults] == [("bad", "engine")]
    assert "99" in record.faults[0].message


def test_what_went_on_meanwhile_is_not_planned_over() -> None:
    canceled, late, foreign = accepted("canceled"), accepted("late"), accepted("foreign", "other-agr")
    canceled = change(canceled, (lifecycle.Canceled(),), NOON)[0]
    plan = assign(canceled, late, foreign, make_offer("unknown", "ann"))
    decision, record = result(plan, canceled, late, foreign, later=timedelta(minutes=50))
    assert stored(decision) == {}
    assert {f.offer: f.code for f in record.faults} == {
        "canceled": "illegal-transition",
        "late": "expired",
        "foreign": "engine",
        "unknown": "engine",
    }


def test_what_is_held_since_the_portfolio_was_gathered_keeps_its_course_and_its_twin_is_planned() -> None:
    held, free, over = accepted("held"), accepted("free"), accepted("over")
    until = NOON + timedelta(hours=1)
    holds = {"held": Hold(until=until, by="offering"), "over": Hold(until=NOON, by="offering")}
    decision, record = result(assign(held, free, over), held, free, over, held=Held(offers=holds))
    assert set(stored(decision)) == {"free", "over"}
    assert [(f.offer, f.code) for f in record.faults] == [("held", "illegal-transition")]


def test_what_was_ordered_stays_held_when_another_offering_of_it_is_over() -> None:
    at = {"one": NOON + QUARTER, "two": NOON + QUARTER}
    held = Held().offered("a", at, NOON).ordered({"one": NOON + QUARTER}, NOON).offered("b", at, NOON)
    assert [(h.by, h.ordered) for h in held.offers.values()] == [("b", True), ("b", False)]
    assert held.freed("a", NOON) == held, "another one"
    freed = held.freed("b", NOON)
    assert freed.holds("one", NOON) == Hold(until=NOON + QUARTER, ordered=True)
    assert freed.holds("two", NOON) is None
    assert freed.holds("one", NOON + QUARTER) is None, "it has started"
    assert held.ordered({}, NOON + QUARTER) == Held()


def test_a_refusal_is_on_record() -> None:
    _, record = result(Plan(refusals=(Refusal(offer="odd", reason="reactive energy"),)))
    assert [(f.offer, f.message) for f in record.faults] == [("odd", "reactive energy")]


def test_a_changed_schedule_counts_its_update_and_the_same_one_is_left_alone() -> None:
    offer = accepted("again")
    first = stored(result(assign(offer), offer)[0])["again"]
    decision, record = result(assign(offer), first)
    assert (stored(decision), record.unchanged) == ({}, 1)
    assert first.schedule is not None
    moved = msgspec.structs.replace(first.schedule, start=first.schedule.start + QUARTER)
    decision, _ = result(Plan(assignments=(Assignment(offer="again", schedule=moved),)), first)
    second = stored(decision)["again"]
    assert second.schedule is not None
    assert (second.schedule.start, second.schedule.update) == (moved.start, first.schedule.update + 1)


def test_runs_repeat_on_the_grid_of_their_cadence() -> None:
    assert next_run(NOON, QUARTER) == NOON + QUARTER
    assert next_run(NOON + timedelta(seconds=1), QUARTER) == NOON + QUARTER
    message = Message(peer=TIMER, id="t", kind="timer.plan", conversation=AGGREGATOR, body=b"", role=Role.ADMIN)
    asked: Effect = Ask(slot="manager", question="plan", subject=AGGREGATOR)
    late = NOON + timedelta(minutes=37)  # two runs were missed: one is made up for, the next is on the grid again
    every = Run("plan", repeats=True).decide(message, Cadenced(), late)
    again: Effect = SetTimer(subject=AGGREGATOR, event="plan", due=NOON + 3 * QUARTER)
    assert every.effects == (asked, again)
    once = Run("plan").decide(message, Cadenced(), late)
    assert once.effects == (asked,)


def test_an_offer_can_be_planned_until_its_deadline_and_then_until_it_starts() -> None:
    offer = accepted("until")
    assert movable(offer, NOON + timedelta(minutes=44))
    assert not movable(offer, NOON + timedelta(minutes=45))
    assigned = stored(result(assign(offer), offer)[0])["until"]
    assert movable(assigned, NOON + timedelta(minutes=59))
    assert not movable(assigned, NOON + timedelta(minutes=60))
