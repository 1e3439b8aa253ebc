"""EiOpt at a VTN, and oadrCreatedEvent: who opts in or out, of which event or when."""

from __future__ import annotations

import msgspec

from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EventResponse, QualifiedEventID
from flexhub.protocols.openadr2b.session.book import Arrived, Step, ok, plain, refuse, response
from flexhub.protocols.openadr2b.session.events import over
from flexhub.protocols.openadr2b.session.state import Known, State, VtnAnswer, VtnEvent, VtnOpt, VtnVen, meets


def _event(arrived: Arrived, named: QualifiedEventID, at: str) -> VtnEvent | None:
    """The event that a VEN names, as it is now; None only where a rule is switched off."""
    ven, event = arrived.known, arrived.events.get(named.event_id)
    mine = (
        event is not None
        and not over(event, arrived.now)
        and (meets(event.event.target, ven) or event.id in ven.events)
    )
    if event is None or not mine:
        refuse(arrived, "OADR-V21", f"{at}qualifiedEventID/eventID", f"{named.event_id[:40]!r} is none of its events")
        return None
    if named.modification_number != event.modification_number:
        said = f"is {named.modification_number}, that of the event {event.modification_number}"
        refuse(arrived, "OADR-V48", f"{at}qualifiedEventID/modificationNumber", said)
    return event


def _under_way(arrived: Arrived) -> dict[str, Known]:
    """What the VEN knows of events that are not over; the rest is forgotten with the next change."""
    return {id_: known for id_, known in arrived.known.events.items() if id_ in arrived.events}


def created_event(arrived: Arrived) -> Step:
    """A VEN answers events: any number of times, so that a later optOut counts [rules 16 and 17].

    Interpretation: all answers are taken, or none; a VEN that was refused is sent the events again.
    """
    message, ven = arrived.message, arrived.known
    assert isinstance(message, wire.OadrCreatedEvent)  # noqa: S101 - the table says so
    answers: list[State] = []
    events = _under_way(arrived)
    for i, told in enumerate(message.ei_created_event.event_responses or ()):
        at = f"eiCreatedEvent/eventResponses/eventResponse[{i}]/"
        event = _event(arrived, told.qualified_event_id, at)
        if event is None:
            continue
        known = events.get(event.id, Known())
        if known.opt_id is not None and "OADR-V206" not in arrived.off:
            # What an oadrCreateOpt said stays [rule 206]; but that the event was heard of is true.
            events[event.id] = msgspec.structs.replace(known, answered=told.qualified_event_id.modification_number)
            continue
        number = told.qualified_event_id.modification_number
        events[event.id] = Known(got=known.got, answered=number, opt=told.opt_type)
        answers.append(_answer(arrived, event.id, told))
    changed = ven if events == ven.events else msgspec.structs.replace(ven, events=events, changed=arrived.now)
    puts = (*answers, changed) if changed is not ven else tuple(answers)
    return Step(plain(arrived, response("200", _echo(message))), puts)


def _echo(message: wire.OadrCreatedEvent) -> str:
    """The requestID that the answer names [rule 42]: that of the answers, where only they have one."""
    created = message.ei_created_event
    answers = created.event_responses or ()
    return created.ei_response.request_id or next((one.request_id for one in answers), "")


def _answer(arrived: Arrived, event_id: str, told: EventResponse) -> VtnAnswer:
    return VtnAnswer(
        ven_id=arrived.known.id,
        event_id=event_id,
        modification_number=told.qualified_event_id.modification_number,
        opt=told.opt_type,
        code=told.response_code,
        at=arrived.now,
    )


def create_opt(arrived: Arrived) -> Step:
    """A VEN opts in or out: of an event, which then no oadrCreatedEvent changes [rule 206], or at times.

    Interpretation: the same optID again replaces what it said.
    """
    message, ven = arrived.message, arrived.known
    assert isinstance(message, wire.OadrCreateOpt)  # noqa: S101 - the table says so
    others = [name for name in message.ei_target.ven_ids if name != ven.id]
    if others:
        refuse(arrived, "OADR-V22", "eiTarget/venID", f"{others[0][:40]!r} is another's")
    named = message.qualified_event_id
    if named is None and not message.vavailability:
        refuse(arrived, "OADR-V23", "vavailability", "is missing, and so is the event")
    puts: list[State] = [
        VtnOpt(
            ven_id=ven.id,
            opt_id=message.opt_id,
            opt=message.opt_type,
            reason=message.opt_reason,
            market_context=message.market_context,
            event_id=None if named is None else named.event_id,
            modification_number=None if named is None else named.modification_number,
            target=message.ei_target,
            device_class=message.oadr_device_class,
            available=message.vavailability or (),
            created=message.created_date_time,
        )
    ]
    event = None if named is None else _event(arrived, named, "")
    if named is not None and event is not None:
        puts += _opted(arrived, ven, event, named, message)
    answer = wire.OadrCreatedOpt(schema_version=wire.VERSION, ei_response=ok(arrived), opt_id=message.opt_id)
    return Step(answer, tuple(puts))


def _opted(
    arrived: Arrived, ven: VtnVen, event: VtnEvent, named: QualifiedEventID, message: wire.OadrCreateOpt
) -> list[State]:
    number = named.modification_number
    known = msgspec.structs.replace(
        ven.events.get(event.id, Known()), answered=number, opt=message.opt_type, opt_id=message.opt_id
    )
    answer = VtnAnswer(
        ven_id=ven.id,
        event_id=event.id,
        modification_number=number,
        opt=message.opt_type,
        by_opt=True,
        at=arrived.now,
    )
    return [answer, msgspec.structs.replace(ven, events=_under_way(arrived) | {event.id: known}, changed=arrived.now)]


def cancel_opt(arrived: Arrived) -> Step:
    """A VEN takes an opt back.

    Interpretation: of an event, what it said last stays until it says otherwise, by oadrCreatedEvent again.
    """
    message, ven, opt = arrived.message, arrived.known, arrived.opt
    assert isinstance(message, wire.OadrCancelOpt)  # noqa: S101 - the table says so
    answer = wire.OadrCanceledOpt(schema_version=wire.VERSION, ei_response=ok(arrived), opt_id=message.opt_id)
    if opt is None or opt.cancelled:
        refuse(arrived, "OADR-V24", "optID", f"{message.opt_id[:40]!r} is not under way")
        return Step(answer)
    puts: list[State] = [msgspec.structs.replace(opt, cancelled=True)]
    known = ven.events.get(opt.event_id or "")
    if known is not None and known.opt_id == opt.opt_id:
        events = ven.events | {opt.event_id or "": msgspec.structs.replace(known, opt_id=None)}
        puts.append(msgspec.structs.replace(ven, events=events, changed=arrived.now))
    return Step(answer, tuple(puts))
