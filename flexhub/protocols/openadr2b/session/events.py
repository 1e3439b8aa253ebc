"""A VTN's events by the clock: what each is by now, which of them a VEN is sent in which order, what is outstanding."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from flexhub.core.errors import IllegalTransitionError, InvalidError
from flexhub.core.units import FIRST_YEAR, LAST_YEAR
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import (
    EiActivePeriod,
    EiEvent,
    EiEventSignal,
    EiEventSignals,
    EventDescriptor,
    Interval,
    OadrEvent,
    PayloadFloat,
    Properties,
    SignalPayload,
    Tolerate,
)
from flexhub.protocols.openadr2b.names import SIMPLE, EventStatus, ResponseRequired
from flexhub.protocols.openadr2b.rules import findings
from flexhub.protocols.openadr2b.session.quantities import item
from flexhub.protocols.openadr2b.session.state import EventSpec, Known, VtnEvent, VtnVen, meets, shown
from flexhub.protocols.openadr2b.times import length
from flexhub.protocols.uftp.times import text_of

FAR_FUTURE: Final = datetime.max.replace(tzinfo=UTC)
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def seconds(duration: str | None) -> float:
    """Of a duration without months."""
    return 0.0 if duration is None else float(length(duration).seconds)


def begins(event: VtnEvent) -> datetime:
    """When its active period begins."""
    return event.event.dtstart.astimezone(UTC)


def ends(event: VtnEvent) -> datetime:
    """When the last VEN is through: its end, and startafter [rule 66]; one without an end never is [rule 47]."""
    told = event.event
    if seconds(told.duration) == 0:
        return FAR_FUTURE
    return _later(begins(event), seconds(told.duration) + seconds(told.startafter))


def _later(at: datetime, by_s: float) -> datetime:
    """So many seconds later (or, below zero, earlier), as far as the calendar goes."""
    try:
        return at + timedelta(seconds=by_s)
    except OverflowError:
        return FAR_FUTURE if by_s > 0 else LONG_AGO


def status(event: VtnEvent, now: datetime) -> EventStatus:
    """What it is by now.

    Interpretation: it is near from x-eiRampUp before its start, and active until the last VEN is through with it, since
    the VTN cannot know when within startafter each VEN began.
    """
    if event.cancelled:
        return EventStatus.CANCELLED
    start = begins(event)
    if now >= ends(event):
        return EventStatus.COMPLETED
    if now >= start:
        return EventStatus.ACTIVE
    return EventStatus.NEAR if now >= _later(start, -seconds(event.event.ramp_up)) else EventStatus.FAR


LIVE: Final = (EventStatus.FAR, EventStatus.NEAR, EventStatus.ACTIVE)


def over(event: VtnEvent, now: datetime) -> bool:
    """Whether nobody needs to hear of it any more.

    Interpretation: a cancel that was never acknowledged is over with the time that the event would have had; that of an
    event without an end is repeated for ever.
    """
    return now >= ends(event)


def to_wire(event: VtnEvent, ven: VtnVen, now: datetime) -> OadrEvent:
    """An event as a VEN is sent it."""
    told = event.event
    is_ = status(event, now)
    return OadrEvent(
        ei_event=EiEvent(
            event_descriptor=EventDescriptor(
                event_id=event.id,
                modification_number=event.modification_number,
                modification_date_time=None if event.modified is None else text_of(event.modified),
                modification_reason=told.modification_reason or None,
                priority=told.priority,
                ei_market_context=told.market_context,
                created_date_time=text_of(event.created),
                event_status=is_,
                test_event=told.test_event,
                vtn_comment=told.vtn_comment or None,
            ),
            ei_active_period=EiActivePeriod(
                properties=Properties(
                    dtstart=text_of(told.dtstart),
                    duration=told.duration,
                    tolerance=None if told.startafter is None else Tolerate(startafter=told.startafter),
                    x_ei_notification=told.notification,
                    x_ei_ramp_up=told.ramp_up,
                    x_ei_recovery=told.recovery,
                )
            ),
            ei_event_signals=EiEventSignals(
                ei_event_signals=tuple(
                    EiEventSignal(
                        intervals=tuple(
                            Interval(
                                duration=one.duration,
                                uid=str(k),
                                stream_payload_base=(SignalPayload(payload_base=PayloadFloat(value=one.value)),),
                            )
                            for k, one in enumerate(signal.intervals)
                        ),
                        signal_name=signal.signal_name,
                        signal_type=signal.signal_type,
                        signal_id=signal.signal_id or str(i),
                        item_base=None if signal.item_base is None else item(signal.item_base),
                        current_value=_current(event, i, now) if signal.signal_name in SIMPLE else None,
                    )
                    for i, signal in enumerate(told.signals)
                )
            ),
            ei_target=shown(told.target, ven),
        ),
        oadr_response_required=told.response_required,
    )


def _current(event: VtnEvent, i: int, now: datetime) -> float:
    """The level of SIMPLE now; 0 unless the event is active [rule 14]."""
    if status(event, now) is not EventStatus.ACTIVE:
        return 0.0
    passed = (now - begins(event)).total_seconds()
    intervals = event.event.signals[i].intervals
    for one in intervals:
        long = seconds(one.duration)
        if long == 0 or passed < long:
            return one.value
        passed -= long
    return intervals[-1].value  # within startafter: some VENs are still at it


def _rank(event: VtnEvent, now: datetime) -> tuple[int, float, datetime, datetime, str]:
    is_ = status(event, now)
    rank = {EventStatus.ACTIVE: 0, EventStatus.CANCELLED: 2}.get(is_, 1)
    priority = float(event.event.priority or "inf") if rank == 0 else 0.0
    return rank, priority, begins(event), event.created, event.id


def _prior(event: VtnEvent) -> tuple[float, datetime, str]:
    return float(event.event.priority or "inf"), event.created, event.id


def spans_meet(one: VtnEvent, other: VtnEvent) -> bool:
    """Whether two active periods share time."""
    mine, theirs = (begins(one), _end(one)), (begins(other), _end(other))
    return mine[0] < theirs[1] and theirs[0] < mine[1]


def _end(event: VtnEvent) -> datetime:
    long = seconds(event.event.duration)
    return FAR_FUTURE if long == 0 else _later(begins(event), long)


def for_ven(events: Iterable[VtnEvent], ven: VtnVen, now: datetime) -> list[VtnEvent]:
    """The events that a VEN is sent, in their order.

    They are all that are far, near or active [rule 50], and cancelled ones until it acknowledged them [rule 52]; the
    active ones first, by priority and then start, then the pending by start.

    Interpretation: of two events of one market context that overlap, which targets of several kinds can lead to, a VEN
    is sent that of the higher priority, or else the elder, so that none overlap for anybody [rule 18].
    """
    if ven.report_only:
        return []
    met = [
        event
        for event in events
        if (not ven.programs or event.event.market_context in ven.programs)
        and not over(event, now)
        and meets(event.event.target, ven)
        and not (event.cancelled and not outstanding(event, ven.events.get(event.id)))
    ]
    if len(met) > 1:
        met = _apart(met)
    return sorted(met, key=lambda event: _rank(event, now))


def _apart(met: list[VtnEvent]) -> list[VtnEvent]:
    kept: list[VtnEvent] = []
    for event in sorted(met, key=_prior):
        context = event.event.market_context
        if event.cancelled or not any(
            not one.cancelled and one.event.market_context == context and spans_meet(one, event) for one in kept
        ):
            kept.append(event)
    return kept


def outstanding(event: VtnEvent, known: Known | None) -> bool:
    """Whether a VEN has not answered an event as it is now, or where no answer is wanted, not got it."""
    if event.event.response_required is ResponseRequired.ALWAYS:
        return known is None or known.answered != event.modification_number
    return known is None or event.modification_number not in (known.got, known.answered)


def news(events: list[VtnEvent], ven: VtnVen, now: datetime, all_: dict[str, VtnEvent]) -> bool:
    """Whether a VEN is to be sent its events: one is outstanding, or one that it knows is withdrawn [rule 61]."""
    if any(outstanding(event, ven.events.get(event.id)) for event in events):
        return True
    names = {event.id for event in events}
    return any(id_ not in names and _withdrawn(all_.get(id_), now) for id_ in ven.events)


def _withdrawn(event: VtnEvent | None, now: datetime) -> bool:
    return event is not None and not event.cancelled and not over(event, now)


def got(events: list[VtnEvent], ven: VtnVen, now: datetime, all_: dict[str, VtnEvent]) -> VtnVen:
    """A VEN that was sent all of its events: done with are those that want no answer, and those withdrawn from it."""
    names = {event.id for event in events}
    held = {
        id_: known
        for id_, known in ven.events.items()
        if id_ in names or not (id_ not in all_ or over(all_[id_], now) or _withdrawn(all_[id_], now))
    }
    for event in events:
        if event.event.response_required is ResponseRequired.NEVER:
            known = held.get(event.id, Known())
            if known.got != event.modification_number:
                held[event.id] = msgspec.structs.replace(known, got=event.modification_number)
    return ven if _same(held, ven.events, all_, now) else msgspec.structs.replace(ven, events=held)


def _same(held: dict[str, Known], before: dict[str, Known], all_: dict[str, VtnEvent], now: datetime) -> bool:
    """Whether nothing changed but that events ended, which is noted with the next change that is."""
    if held == before:
        return True
    gone = before.keys() - held.keys()
    if any(held.get(id_) != before.get(id_) for id_ in held):
        return False
    return all(id_ not in all_ or over(all_[id_], now) for id_ in gone)


# What a utility does


def judge(event: VtnEvent, now: datetime) -> None:
    """Refuse an event that would break a rule on the wire.

    Raises:
        InvalidError: the rule, and where.
    """
    ven = VtnVen(id="ven")
    message = wire.OadrDistributeEvent(request_id="r", vtn_id="vtn", oadr_events=(to_wire(event, ven, now),))
    OadrCodec(check=False).encode(message)  # what is not of its declared type is told here
    found = findings(message)
    if found:
        one = found[0]
        raise InvalidError(
            one.message,
            path=one.path.replace("oadrDistributeEvent/oadrEvent[0]", "EventSpec"),
            clause=f"{one.rule}, {one.clause}",
        )


def meet(one: VtnEvent, other: VtnEvent) -> bool:
    """Whether it is certain that somebody would get two events of one market context that overlap [rule 18]."""
    if one.id == other.id or one.cancelled or other.cancelled:
        return False
    if one.event.market_context != other.event.market_context or not spans_meet(one, other):
        return False
    mine, theirs = one.event.target, other.event.target
    if mine.everybody or theirs.everybody:
        return True
    known = dict(theirs.names())
    return any(not names.isdisjoint(known.get(field, ())) for field, names in mine.names())


def created(id_: str, draft: EventSpec, now: datetime, others: Iterable[VtnEvent]) -> VtnEvent:
    """A new event; its modificationNumber is 0 [rule 4].

    Raises:
        InvalidError: it breaks a rule, or is over already.
    """
    event = VtnEvent(id=id_, created=now, event=draft)
    _admit(event, now, others)
    return event


def modified(event: VtnEvent, draft: EventSpec, now: datetime, others: Iterable[VtnEvent]) -> VtnEvent:
    """An event that is changed; its modificationNumber rises by 1 [rule 5].

    Raises:
        IllegalTransitionError: it is cancelled or over.
        InvalidError: it breaks a rule.
    """
    _changeable(event, now)
    if draft == event.event:
        return event
    number = event.modification_number + 1
    changed = msgspec.structs.replace(event, event=draft, modification_number=number, modified=now)
    _admit(changed, now, others)
    return changed


def cancelled(event: VtnEvent, now: datetime) -> VtnEvent:
    """An event that is called off, which raises its modificationNumber, too [rule 5].

    Raises:
        IllegalTransitionError: it is over.
    """
    if event.cancelled:
        return event
    _changeable(event, now)
    return msgspec.structs.replace(
        event, cancelled=True, modification_number=event.modification_number + 1, modified=now
    )


def _changeable(event: VtnEvent, now: datetime) -> None:
    is_ = status(event, now)
    if is_ not in LIVE:
        raise IllegalTransitionError(f"what is {is_} cannot be changed", path="VtnEvent/id", value=event.id)


def _admit(event: VtnEvent, now: datetime, others: Iterable[VtnEvent]) -> None:
    if event.event.dtstart.tzinfo is None:
        raise InvalidError("has no time zone", path="EventSpec/dtstart")
    if not FIRST_YEAR <= event.event.dtstart.year <= LAST_YEAR:
        raise InvalidError(f"is not of {FIRST_YEAR} to {LAST_YEAR}", path="EventSpec/dtstart")
    if over(event, now):
        raise InvalidError("it would be over already", path="EventSpec/dtstart", value=text_of(event.event.dtstart))
    judge(event, now)
    for other in others:
        if not over(other, now) and meet(event, other):
            raise InvalidError(
                f"overlaps {other.id} of the same market context", path="EventSpec/dtstart", clause="2.0b rule 18"
            )
