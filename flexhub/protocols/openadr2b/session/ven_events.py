"""A VEN's events: what each modification, cancellation and absence means, and what is answered.

| told | known | answer | news |
| --- | --- | --- | --- |
| new, any number | no | the application's opt | new [56] |
| higher number | yes | the application's opt, anew | modified [57] |
| same number | yes | what was said before | - |
| lower number | yes | 450, optOut | - [58] |
| cancelled | yes | 200, optIn | cancelled [59] |
| cancelled | no | 200, optIn | - [60] |
| not at all | yes | - | cancelled [61] |
| completed | either | 200, what was said before | ended |
| a test | either | as one that is none | - [6] |

An answer goes out if and only if oadrResponseRequired is always [12, 62].
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b import names
from flexhub.protocols.openadr2b.checks import is_test
from flexhub.protocols.openadr2b.elements import (
    EiEvent,
    EiResponse,
    EiTarget,
    EventResponse,
    OadrEvent,
    QualifiedEventID,
)
from flexhub.protocols.openadr2b.names import EventStatus, OptType, ResponseCode, ResponseRequired
from flexhub.protocols.openadr2b.rules import code_of, findings
from flexhub.protocols.openadr2b.session.ven_state import (
    Heard,
    Judge,
    Refusal,
    Setup,
    State,
    Step,
    Told,
    What,
    husk,
    later,
    offset_s,
    startafter_s,
    storable,
)

HARMFUL: Final = frozenset(f"OADR-{n}" for n in ("002", "008", "009", "021", "047", "E3", "E4"))
"""Rules that an event has to keep for us to follow it.

Interpretation: order, overlap and a needless dtstart tell a careless VTN, but leave no doubt what is meant; so the
event is followed.
"""
_OVER: Final = (EventStatus.CANCELLED, EventStatus.COMPLETED)


def distributed(state: State, message: wire.OadrDistributeEvent, now: datetime, setup: Setup, judge: Judge) -> Step:
    """All events of this VEN, as the VTN has them now.

    Interpretation: each oadrDistributeEvent is complete, since this VEN never limits replies; so what is missing is
    cancelled.
    """
    asked = message.ei_response
    if asked is not None and not asked.response_code.startswith("2"):
        return Step(state)
    if state.vtn_id is not None and message.vtn_id != state.vtn_id:
        return Step(state, (_whole(state, message, f"{message.vtn_id[:80]!r} is not our VTN"),))
    wrong = _wrong(message)
    if "" in wrong:
        return Step(state, (_whole(state, message, wrong[""][1]),))
    events, told = dict(state.events), list[Told]()
    answers: list[tuple[str, Heard]] = []
    listed = set()
    for i, told_of in enumerate(message.oadr_events):
        one = storable(told_of)
        if one is None:
            one = husk(told_of)
            wrong[str(i)] = ResponseCode.INVALID_DATA, "a number that is none"
        name = one.ei_event.event_descriptor.event_id
        listed.add(name)
        before = events.get(name)
        after, what = _judged(one, before, message.request_id, now, state, setup, judge, wrong.get(str(i)))
        # An older modification changes nothing; it is answered all the same.
        kept = before if before is not None and after.number < before.number else after
        events[name] = kept
        if what is not None and (not is_test(one.ei_event) or "OADR-006" in setup.off):
            told.append(Told(what, name, after))
        if one.oadr_response_required is ResponseRequired.ALWAYS or "OADR-012" in setup.off:
            answers.append((name, after))
    missed, gone_news = _missing(state, listed, now) if "OADR-061" not in setup.off else ({}, [])
    events.update(missed)
    told += gone_news
    ready = [(name, said) for name, said in answers if said.opt is not None]
    sends = (answer(state, ready),) if ready else ()
    for name, said in ready:
        if events[name] is said:
            events[name] = replace(said, answered=True)
    return Step(replace(state, events=_kept(events, listed, now)), sends, tuple(told))


def _missing(state: State, listed: set[str], now: datetime) -> tuple[dict[str, Heard], list[Told]]:
    """Events that the VTN no longer tells of: what is not over yet is cancelled [rule 61]."""
    gone: dict[str, Heard] = {}
    told: list[Told] = []
    for name, held in state.events.items():
        if name not in listed:
            gone[name], what = _cancelled(held, now)
            if what is not None and not is_test(held.event.ei_event):
                told.append(Told(what, name, gone[name]))
    return gone, told


def _kept(events: dict[str, Heard], listed: set[str], now: datetime) -> dict[str, Heard]:
    """Without what is over and no longer told of."""

    def done(name: str, held: Heard) -> bool:
        end = held.cancelled or held.until()
        return name not in listed and (held.code[0] != "2" or (end is not None and end <= now))

    return {name: held for name, held in events.items() if not done(name, held)}


def _wrong(message: wire.OadrDistributeEvent) -> dict[str, Refusal]:
    """Number of an event -> what it breaks first; empty: the message itself."""
    found: dict[str, Refusal] = {}
    for broken in findings(message):
        if broken.rule in HARMFUL:
            rest = broken.path.partition("oadrEvent[")[2]
            found.setdefault(rest.partition("]")[0], (code_of(broken), broken.message))
    return found


def _judged(  # noqa: PLR0911, PLR0913, PLR0917 - a row of the table each; and all that is known around an event
    one: OadrEvent,
    before: Heard | None,
    request_id: str,
    now: datetime,
    state: State,
    setup: Setup,
    judge: Judge,
    wrong: Refusal | None,
) -> tuple[Heard, What | None]:
    """One event as it is kept afterwards, and what the application is told."""
    event = one.ei_event
    descriptor = event.event_descriptor
    if before is not None and descriptor.modification_number < before.number:
        said = f"modificationNumber {descriptor.modification_number} after {before.number}"
        return Heard(event=one, request_id=request_id, opt=OptType.OPT_OUT, code=_LATE, said=said), None
    if descriptor.event_status is EventStatus.CANCELLED:
        if before is None:  # rule 60: it is acknowledged, and nothing is to be done
            return Heard(event=one, request_id=request_id, opt=OptType.OPT_IN, cancelled=now), None
        gone, what = _cancelled(before, now)
        return replace(gone, event=one, request_id=request_id, code=_OK, said="OK", opt=OptType.OPT_IN), what
    if descriptor.event_status is EventStatus.COMPLETED:
        if before is None:
            return Heard(event=one, request_id=request_id, opt=OptType.OPT_OUT, said="over already"), None
        news = None if is_over(before) else What.ENDED
        return replace(before, event=one, request_id=request_id, opt=before.opt or OptType.OPT_OUT), news
    if before is not None and descriptor.modification_number == before.number and before.cancelled is None:
        return replace(before, event=one, request_id=request_id), None
    refusal = wrong or refused(event, state, setup) or judge.refuse(event)
    name = descriptor.event_id
    fields = {"event": one, "request_id": request_id}
    fields["offset_s"] = offset_s(state.ven_id or "", name, startafter_s(event))
    if refusal is not None:
        # What was followed so far is no longer: its terms have changed to ones that cannot be met.
        code, said = refusal
        held = Heard(**fields, opt=OptType.OPT_OUT, code=code.value, said=said)  # type: ignore[arg-type]  # as named
        return held, None if before is None or before.opt is not OptType.OPT_IN else What.CANCELLED
    opt = OptType.OPT_IN if is_test(event) else judge.opt(event)
    held = Heard(**fields, opt=opt)  # type: ignore[arg-type]  # as named
    fresh = before is None or before.cancelled is not None
    return held, What.NEW if fresh else What.MODIFIED


_OK: Final = ResponseCode.OK.value
_LATE: Final = ResponseCode.OUT_OF_SEQUENCE.value


def is_over(held: Heard) -> bool:
    """Whether nothing more is to be done for an event."""
    return held.event.ei_event.event_descriptor.event_status in _OVER or held.cancelled is not None


def _cancelled(held: Heard, now: datetime) -> tuple[Heard, What | None]:
    """An event called off: at once, or as much later as it began later, where it is under way [rules 30, 65]."""
    if is_over(held):
        return held, None
    return replace(held, cancelled=later(now, held.offset_s if held.starts() <= now else 0)), What.CANCELLED


def refused(event: EiEvent, state: State, setup: Setup) -> Refusal | None:
    """Why an event is not for us: another market context, or another's target [rules 22, 48]."""
    market = event.event_descriptor.ei_market_context
    if setup.markets and market not in setup.markets:
        return ResponseCode.NOT_RECOGNIZED, f"{market[:80]!r} is no market context of ours"
    if not is_target(event.ei_target, state, setup):
        return ResponseCode.TARGET_MISMATCH, "the target is another's"
    return None


def is_target(target: EiTarget, state: State, setup: Setup) -> bool:
    """Whether a target means us: an empty one does, and any criterion that we meet [rule 22].

    Interpretation: areas are not looked at; where nothing but areas is told, the VTN knows whom it sends to.
    """
    told = False
    for field in EiTarget.__struct_fields__:
        wanted = getattr(target, field)
        if not wanted or field in ("service_areas", "service_locations"):
            continue
        told = True
        own = set(getattr(setup.known_as, field))
        if field == "ven_ids" and state.ven_id is not None:
            own.add(state.ven_id)
        if own & set(wanted):
            return True
    return not told


# -- answers ----------------------------------------------------------------------------------------------------------


def answer(state: State, which: Iterable[tuple[str, Heard]]) -> wire.OadrCreatedEvent:
    """What is said of events, each with the requestID that told it [rules 35, 42]."""
    responses = tuple(
        EventResponse(
            response_code=held.code,
            response_description=held.said,
            request_id=held.request_id,
            qualified_event_id=QualifiedEventID(
                event_id=name, modification_number=held.event.ei_event.event_descriptor.modification_number
            ),
            opt_type=OptType.OPT_OUT if held.code[0] != "2" else held.opt or OptType.OPT_OUT,
        )
        for name, held in which
    )
    return wire.OadrCreatedEvent(
        schema_version=wire.VERSION,
        ei_created_event=wire.EiCreatedEvent(
            ei_response=EiResponse(response_code=_OK, response_description="OK", request_id=""),
            event_responses=responses,
            ven_id=state.ven_id or "",
        ),
    )


def _whole(state: State, message: wire.OadrDistributeEvent, said: str) -> wire.OadrCreatedEvent:
    response = EiResponse(
        response_code=names.ResponseCode.INVALID_ID, response_description=said, request_id=message.request_id
    )
    created = wire.EiCreatedEvent(ei_response=response, ven_id=state.ven_id or "")
    return wire.OadrCreatedEvent(schema_version=wire.VERSION, ei_created_event=created)


def called_off(state: State, now: datetime) -> Step:
    """All events end, as their registration does."""
    told = []
    events = dict(state.events)
    for name, held in state.events.items():
        gone, what = _cancelled(held, now)
        events[name] = gone
        if what is not None and not is_test(held.event.ei_event):
            told.append(Told(what, name, gone))
    return Step(replace(state, events=events), (), tuple(told))


def ended(state: State, now: datetime) -> Step:
    """Events whose time is over are news, once."""
    told = []
    events = dict(state.events)
    for name, held in state.events.items():
        end = held.until()
        if end is not None and end <= now and not is_over(held):
            done = replace(
                held,
                event=replace(
                    held.event,
                    ei_event=replace(
                        held.event.ei_event,
                        event_descriptor=replace(
                            held.event.ei_event.event_descriptor, event_status=EventStatus.COMPLETED
                        ),
                    ),
                ),
            )
            events[name] = done
            if not is_test(held.event.ei_event):
                told.append(Told(What.ENDED, name, done))
    return Step(replace(state, events=events), (), tuple(told))


def undecided(state: State) -> tuple[str, ...]:
    """Events whose answer is open: it is due before the next poll [rule 64]."""
    return tuple(name for name, held in state.events.items() if held.opt is None and not is_over(held))
