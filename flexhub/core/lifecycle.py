"""What may happen to a flex-offer. Nothing that changes a state lives anywhere else.

`step` is pure: it returns the offer after the event and what the world is asked to do about it. An event that the table
does not list for a state is illegal; one that comes too late, or carries a schedule that breaks the offer's bounds, is
refused, and the offer stays as it was.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from flexhub.core.base import Model, renewed
from flexhub.core.effects import Effect, Notify, SetTimer
from flexhub.core.errors import ExpiredError, IllegalTransitionError, InvalidError
from flexhub.core.flexoffer import FlexOffer, Schedule, State
from flexhub.core.judge import violations


class Event(Model, frozen=True, kw_only=True, tag=True):
    """Base of what may happen to a flex-offer; subclasses are tagged by name in JSON."""


class Submitted(Event, frozen=True, kw_only=True):
    """The issuer has offered it."""


class Accepted(Event, frozen=True, kw_only=True):
    """The recipient takes it into its portfolio."""


class Rejected(Event, frozen=True, kw_only=True):
    """The recipient does not take it."""

    reason: str


class Revised(Event, frozen=True, kw_only=True):
    """The issuer replaces it by another version of itself (same id and issuer)."""

    offer: FlexOffer


class Assigned(Event, frozen=True, kw_only=True):
    """The recipient says when and how much. A new schedule replaces the old until execution starts."""

    schedule: Schedule


class Confirmed(Event, frozen=True, kw_only=True):
    """The issuer will carry the schedule out."""


class Declined(Event, frozen=True, kw_only=True):
    """The issuer won't carry the schedule out."""

    reason: str


class Started(Event, frozen=True, kw_only=True):
    """Execution has begun."""


class Finished(Event, frozen=True, kw_only=True):
    """Execution is over."""


class Settled(Event, frozen=True, kw_only=True):
    """It is billed."""


class Canceled(Event, frozen=True, kw_only=True):
    """The issuer takes it back."""

    reason: str = "canceled by its issuer"


class DeadlinePassed(Event, frozen=True, kw_only=True):
    """Nobody decided in time."""


class Invalidated(Event, frozen=True, kw_only=True):
    """It turned out to be impossible or fraudulent."""

    reason: str


AnyEvent = (
    Submitted
    | Accepted
    | Rejected
    | Revised
    | Assigned
    | Confirmed
    | Declined
    | Started
    | Finished
    | Settled
    | Canceled
    | DeadlinePassed
    | Invalidated
)

TRANSITIONS: Final[dict[tuple[State, type[Event]], State]] = {
    # (state,          event)           -> next state
    (State.INITIAL,    Submitted):      State.OFFERED,
    (State.INITIAL,    Invalidated):    State.INVALID,
    (State.OFFERED,    Accepted):       State.ACCEPTED,
    (State.OFFERED,    Rejected):       State.REJECTED,
    (State.OFFERED,    Revised):        State.OFFERED,
    (State.OFFERED,    Canceled):       State.CANCELED,
    (State.OFFERED,    DeadlinePassed): State.EXPIRED,
    (State.OFFERED,    Invalidated):    State.INVALID,
    (State.ACCEPTED,   Assigned):       State.ASSIGNED,
    (State.ACCEPTED,   Revised):        State.OFFERED,    # a changed offer is judged afresh
    (State.ACCEPTED,   Canceled):       State.CANCELED,
    (State.ACCEPTED,   DeadlinePassed): State.EXPIRED,    # nobody needed it: the default schedule stands
    (State.ACCEPTED,   Invalidated):    State.INVALID,
    (State.ASSIGNED,   Assigned):       State.ASSIGNED,   # a new schedule replaces the old until execution starts
    (State.ASSIGNED,   Confirmed):      State.CONFIRMED,
    (State.ASSIGNED,   Declined):       State.CANCELED,
    (State.ASSIGNED,   Started):        State.EXECUTING,
    (State.ASSIGNED,   Invalidated):    State.INVALID,
    (State.CONFIRMED,  Assigned):       State.ASSIGNED,   # a new schedule wants a new confirmation
    (State.CONFIRMED,  Started):        State.EXECUTING,
    (State.CONFIRMED,  Invalidated):    State.INVALID,
    (State.EXECUTING,  Finished):       State.EXECUTED,
    (State.EXECUTING,  Invalidated):    State.INVALID,
    (State.EXECUTED,   Settled):        State.SETTLED,
}  # fmt: skip

FINAL: Final = frozenset(State) - {state for state, _ in TRANSITIONS}
"""States that nothing leads out of."""


def allowed(state: State) -> tuple[type[Event], ...]:
    """Events that may happen in this state."""
    return tuple(event for at, event in TRANSITIONS if at is state)


def diagram() -> str:
    """The table as the text of a Mermaid state diagram, for the docs."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.INITIAL}"]
    lines += [f"    {state} --> {target}: {event.__name__}" for (state, event), target in TRANSITIONS.items()]
    lines += [f"    {state} --> [*]" for state in State if state in FINAL]
    return "\n".join(lines) + "\n"


def step(offer: FlexOffer, event: AnyEvent, now: datetime) -> tuple[FlexOffer, list[Effect]]:
    """The offer after the event, and the effects.

    Raises:
        IllegalTransitionError: the table has no such event for the offer's state.
        ExpiredError: the event comes after its deadline.
        InvalidError: a schedule that breaks the offer's bounds, or a revision of another offer.
    """
    target = TRANSITIONS.get((offer.state, type(event)))
    if target is None:
        names = ", ".join(e.__name__ for e in allowed(offer.state)) or "nothing"
        raise IllegalTransitionError(
            f"{type(event).__name__} may not happen to an offer that is {offer.state}; allowed: {names}",
            path="FlexOffer/state",
            value=offer.state,
        )
    _guard(offer, event, now)
    changed = _apply(offer, event, target)
    effects: list[Effect] = [Notify(party=offer.issuer, topic="flexoffer", subject=offer.id, body=changed.state)]
    return changed, effects + _timers(changed, now)


def _guard(offer: FlexOffer, event: AnyEvent, now: datetime) -> None:
    if isinstance(event, Submitted):
        _in_time(offer, now)
    elif isinstance(event, Revised):
        if event.offer.id != offer.id or event.offer.issuer != offer.issuer:
            raise InvalidError("a revision keeps id and issuer", path="FlexOffer/id", value=event.offer.id)
        _in_time(event.offer, now)
    elif isinstance(event, (Accepted, Rejected)):
        _not_after(now, offer.accept_before, "FlexOffer/accept_before")
    elif isinstance(event, Assigned):
        _may_assign(offer, event.schedule, now)


def _not_after(now: datetime, deadline: datetime | None, path: str) -> None:
    if deadline is not None and now > deadline:
        raise ExpiredError(f"{now:%FT%TZ} is after {deadline:%FT%TZ}", path=path, value=f"{deadline:%FT%TZ}")


def _in_time(offer: FlexOffer, now: datetime) -> None:
    """Refuse an offer that comes so late that nobody could accept or assign it any more."""
    _not_after(now, offer.accept_before, "FlexOffer/accept_before")
    _not_after(now, offer.assign_deadline(now), "FlexOffer/assign_before")
    _not_after(now, offer.start_before, "FlexOffer/start_before")


def _may_assign(offer: FlexOffer, schedule: Schedule, now: datetime) -> None:
    if offer.schedule is None:
        _not_after(now, offer.assign_deadline(now), "FlexOffer/assign_before")
    else:
        # Re-assignment is bounded by the start it replaces, not by the deadline of the first assignment.
        _not_after(now, offer.schedule.start, "FlexOffer/schedule/start")
        if schedule.update <= offer.schedule.update:
            raise InvalidError(
                f"update {schedule.update} does not follow {offer.schedule.update}",
                path="Schedule/update",
                value=str(schedule.update),
            )
    notice = timedelta(seconds=offer.assign_before_start_s or 0)
    _not_after(now, schedule.start - notice, "FlexOffer/assign_before_start_s" if notice else "Schedule/start")
    broken = violations(offer, schedule, now=now)
    if broken:
        raise InvalidError("; ".join(str(v) for v in broken[:3]), path="Schedule", clause=broken[0].clause)


def _apply(offer: FlexOffer, event: AnyEvent, target: State) -> FlexOffer:
    if isinstance(event, Revised):
        return renewed(event.offer, state=target, state_reason=None, schedule=None)
    if isinstance(event, Assigned):
        return renewed(offer, state=target, state_reason=None, schedule=event.schedule)
    return renewed(offer, state=target, state_reason=getattr(event, "reason", None))


def _timers(offer: FlexOffer, now: datetime) -> list[Effect]:
    """The one deadline that matters in the offer's new state; setting it replaces the one before."""
    due: datetime | None = None
    if offer.state is State.OFFERED:
        due = offer.accept_before or offer.assign_deadline(now)
    elif offer.state is State.ACCEPTED:
        due = offer.assign_deadline(now)
    elif offer.schedule is not None and offer.state in (State.ASSIGNED, State.CONFIRMED):
        due = offer.schedule.start
    elif offer.schedule is not None and offer.state is State.EXECUTING:
        due = offer.schedule.end(offer.resolution_s)
    return [SetTimer(subject=offer.id, event="deadline", due=due)]


def on_deadline(offer: FlexOffer) -> AnyEvent | None:
    """The event that the passing of the offer's own deadline stands for; None where it has none."""
    if offer.state in (State.OFFERED, State.ACCEPTED):
        return DeadlinePassed()
    if offer.state in (State.ASSIGNED, State.CONFIRMED):
        return Started()
    if offer.state is State.EXECUTING:
        return Finished()
    return None
