"""A VTN's side of every conversation: one answer to each message, and what is to be stored.

`receive` is a function of what was looked up (`Arrived`). Nothing else is needed to judge a message; what it changes
is in the `Step`. A poll and an oadrRequestEvent mostly change nothing: then nothing needs to be written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flexhub.protocols.openadr2b import identity
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiResponse, Message
from flexhub.protocols.openadr2b.names import TransportName
from flexhub.protocols.openadr2b.rules import findings
from flexhub.protocols.openadr2b.session import opts, registration, reports
from flexhub.protocols.openadr2b.session.book import Arrived, Refused, Step, ok, plain, refusal, refuse, ven_id_of
from flexhub.protocols.openadr2b.session.events import for_ven, got, news, to_wire
from flexhub.protocols.openadr2b.session.judging import TOLERATED
from flexhub.protocols.openadr2b.session.state import VtnEvent, VtnVen


def request_event(arrived: Arrived) -> Step:
    """All events of a VEN, or the first of them, as many as it takes."""
    message, ven = arrived.message, arrived.known
    assert isinstance(message, wire.OadrRequestEvent)  # noqa: S101 - the table says so
    events = for_ven(arrived.events.values(), ven, arrived.now)
    limit = message.ei_request_event.reply_limit
    whole = limit is None or limit >= len(events)
    answer = distribute(arrived, events[:limit], ok(arrived))
    after = got(events, ven, arrived.now, arrived.events) if whole else ven
    return Step(answer, () if after is ven else (after,))


def distribute(arrived: Arrived, events: list[VtnEvent], ei_response: EiResponse | None) -> wire.OadrDistributeEvent:
    """An oadrDistributeEvent; without an eiResponse where nobody asked."""
    return wire.OadrDistributeEvent(
        schema_version=wire.VERSION,
        ei_response=ei_response,
        request_id=arrived.new("events"),
        vtn_id=arrived.settings.vtn_id,
        oadr_events=tuple(to_wire(event, arrived.known, arrived.now) for event in events),
    )


def poll(arrived: Arrived) -> Step:
    """What waits for a VEN, one at a time: about its registration first, then events and reports in turn.

    Interpretation: what is not answered comes again, and the others have their turns in between.
    """
    ven = arrived.known
    about = registration.call(ven)
    if about is not None:
        return Step(about)
    waiting: list[Callable[[], Step]] = []
    events = for_ven(arrived.events.values(), ven, arrived.now) if arrived.events or ven.events else []
    if (events or ven.events) and news(events, ven, arrived.now, arrived.events):
        waiting.append(lambda: _events(arrived, events))
    if ven.requests or ven.metadata_for:
        waiting += [_saying(call) for call in reports.calls(ven)]
    return waiting[arrived.turn % len(waiting)]() if waiting else Step(plain(arrived, ok(arrived)))


def _saying(call: Message) -> Callable[[], Step]:
    return lambda: Step(call)


def _events(arrived: Arrived, events: list[VtnEvent]) -> Step:
    ven = arrived.known
    after = got(events, ven, arrived.now, arrived.events)
    return Step(distribute(arrived, events, None), () if after is ven else (after,))


def pushed(arrived: Arrived) -> tuple[list[Message], VtnVen]:
    """All that a VEN that does not poll is to be sent now, and the VEN once it was."""
    ven = arrived.known
    about = registration.call(ven)
    if about is not None:
        return [about], ven
    events = for_ven(arrived.events.values(), ven, arrived.now)
    calls: list[Message] = list(reports.calls(ven))
    if not news(events, ven, arrived.now, arrived.events):
        return calls, ven
    return [distribute(arrived, events, None), *calls], got(events, ven, arrived.now, arrived.events)


def noted(arrived: Arrived) -> Step:
    """A VEN confirms what needs no more."""
    return Step(plain(arrived))


STEPS: Final[dict[type[Message], Callable[[Arrived], Step]]] = {
    wire.OadrQueryRegistration: registration.query,
    wire.OadrCreatePartyRegistration: registration.register,
    wire.OadrCancelPartyRegistration: registration.leave,
    wire.OadrCanceledPartyRegistration: registration.left,
    wire.OadrRequestEvent: request_event,
    wire.OadrCreatedEvent: opts.created_event,
    wire.OadrRegisterReport: reports.registered,
    wire.OadrRegisteredReport: reports.taken,
    wire.OadrCreateReport: reports.create,
    wire.OadrCreatedReport: reports.created,
    wire.OadrUpdateReport: reports.updated,
    wire.OadrUpdatedReport: noted,
    wire.OadrCancelReport: reports.cancel,
    wire.OadrCanceledReport: reports.canceled,
    wire.OadrCreateOpt: opts.create_opt,
    wire.OadrCancelOpt: opts.cancel_opt,
    wire.OadrPoll: poll,
    wire.OadrResponse: noted,
}
"""What a VEN may send -> what becomes of it."""

ALL_EVENTS: Final = (wire.OadrRequestEvent, wire.OadrPoll, wire.OadrCreatedEvent, wire.OadrCreateOpt)
"""Messages for which the events have to be looked up."""
READING: Final = (wire.OadrPoll, wire.OadrRequestEvent, wire.OadrQueryRegistration)
"""Messages that mostly change nothing."""


def receive(arrived: Arrived) -> Step:
    """Take a message of a VEN. A refusal changes nothing."""
    message = arrived.message
    try:
        _judge(arrived)
        step = STEPS.get(type(message), noted)
        if arrived.ven is None and not isinstance(message, _FROM_ANYONE):
            # Only where the rules that would have refused it are switched off.
            arrived = arrived._replace(ven=VtnVen(id=ven_id_of(message) or "nobody"))
        return step(arrived)
    except Refused as refused:
        return Step(refusal(arrived, refused.found), broken=(refused.found,))


def barred(arrived: Arrived) -> Step | None:
    """The refusal of a message that nothing needs to be looked up for but its VEN; None where there is none so far."""
    try:
        _judge(arrived)
    except Refused as refused:
        return Step(refusal(arrived, refused.found), broken=(refused.found,))
    return None


_FROM_ANYONE: Final = (wire.OadrQueryRegistration, wire.OadrCreatePartyRegistration)


def _judge(arrived: Arrived) -> None:
    """Refuse what breaks a rule by itself, is not a VEN's to send, or not this one's."""
    found = [one for one in findings(arrived.message, off=arrived.off) if one.rule not in TOLERATED]
    if found:
        raise Refused(found[0])
    if type(arrived.message) not in STEPS:
        refuse(arrived, "OADR-V06", "", "is what a VTN sends")
    else:
        _admit(arrived)


def _admit(arrived: Arrived) -> None:
    """Who speaks is whom it says it is, and is registered, unless it is about to.

    Interpretation: of messages whose venID is optional, one without it is of nobody.
    """
    message, ven = arrived.message, arrived.ven
    if isinstance(message, wire.OadrQueryRegistration):
        return
    if ven is not None and ven.fingerprint != arrived.fingerprint and _has_to_match(arrived, ven):
        said = "none was shown" if arrived.fingerprint is None else f"{arrived.fingerprint} was shown"
        refuse(arrived, "OADR-V03", "venID", said)
    if isinstance(message, wire.OadrCreatePartyRegistration):
        if arrived.holder is not None and ven is not None and arrived.holder != ven.id:
            refuse(arrived, "OADR-V03", "venID", f"{arrived.fingerprint} is another VEN's")
        return
    if ven is None:
        told = ven_id_of(message)
        refuse(arrived, "OADR-V02", "venID", "is missing" if told is None else f"{told[:40]!r} is not known")
    elif not ven.registered and not isinstance(message, wire.OadrCanceledPartyRegistration | wire.OadrResponse):
        refuse(arrived, "OADR-V01", "venID", f"{ven.id!r} is not registered")


def _has_to_match(arrived: Arrived, ven: VtnVen) -> bool:
    """Whether a VEN may speak only by the identity that it is bound to.

    Interpretation: over XMPP, where everyone has an identity, always; but a registration may be the first to bind it.
    """
    over_xmpp = identity.transport_of(arrived.fingerprint) is TransportName.XMPP
    registers = isinstance(arrived.message, wire.OadrCreatePartyRegistration)
    return ven.fingerprint is not None or (over_xmpp and not registers)
