"""How a VTN behaves from one message to the next: each is a case of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeAlias

import msgspec

from flexhub.conformance.openadr.target import HEADERS, WRITER, Ven, Vtn, ok, said
from flexhub.conformance.openadr.vtn import (
    TRIES,
    WAY,
    XML,
    answering,
    opting,
    polling,
    registered,
    sent_event,
    until_polled,
)
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiTarget, QualifiedEventID
from flexhub.protocols.openadr2b.names import EventStatus, OptType, ResponseRequired

Check: TypeAlias = Callable[[Vtn], Awaitable[str | None]]


async def way(x: Vtn) -> str | None:
    """Services take POST, and nothing else is served."""
    body = WRITER.encode(await polling(x))
    for method, service, allowed in (("GET", "OadrPoll", (404, 405)), ("POST", "EiNothing", (404,))):
        status, _, _ = await x.post(service, body, method=method)
        if status not in allowed:
            return f"{method} {service}: HTTP {status}"
    return None


async def headers(x: Vtn) -> str | None:
    """What is said is XML [rule 53], and so is what is answered."""
    body = WRITER.encode(await polling(x))
    status, told, _ = await x.post("OadrPoll", body)
    kind = told.get("content-type", "").partition(";")[0]
    if status != 200 or kind not in ("application/xml", "text/xml"):
        return f"HTTP {status}, {kind}"
    status, _, _ = await x.post("OadrPoll", body, headers=HEADERS | {"Content-Type": "application/json"})
    return None if 400 <= status < 500 else f"JSON is not refused: HTTP {status}"


async def malformed(x: Vtn) -> str | None:
    """What is no payload is refused."""
    body = WRITER.encode(await polling(x))
    for bad in (body[:-5], body.replace(b"<oadr:oadrPayload", b"<!DOCTYPE x><oadr:oadrPayload", 1), b"", b"A & B"):
        status, _, answer = await x.post("OadrPoll", bad)
        if not 400 <= status < 500:
            return f"{bad[:40]!r}: HTTP {status} {answer[:80].decode(errors='replace')}"
    return None


async def echoed(x: Vtn) -> str | None:
    """The requestID of a question is that of its answer [rule 42]."""
    name = x.new_id("echo")
    answer = await x.say(wire.OadrQueryRegistration(schema_version=wire.VERSION, request_id=name))
    return None if answer.ei_response.request_id == name else answer.ei_response.request_id


async def allocated(x: Vtn) -> str | None:
    """A venID that was allocated is the one that is registered, to the letter [rules 402 and 403]."""
    ven_id = f"0042-{x.new_id('v')}&é"
    await x.utility.allocate(ven_id)
    answer = await x.ven("allocated").register(ven_id)
    return None if answer.ven_id == ven_id else str(answer.ven_id)


async def begins_at_0(x: Vtn) -> str | None:
    """ModificationNumber begins at 0 [rule 4]."""
    ven, event_id = await sent_event(x, "OADR-004")
    event = await ven.event(event_id)
    number = event.event_descriptor.modification_number
    return None if number == 0 else str(number)


async def rises(x: Vtn) -> str | None:
    """ModificationNumber rises by 1 with a change and with a cancel [rule 5]."""
    ven, event_id = await sent_event(x, "OADR-005")
    before = await ven.event(event_id)
    start = x.net.now() + timedelta(hours=2)
    context = before.event_descriptor.ei_market_context
    draft = x.draft("OADR-005", (ven.ven_id,), start, market_context=context, value=2.0)
    await x.utility.change(event_id, draft)
    if not await _comes_to(ven, event_id, 1):
        return "changed, and its modificationNumber is not 1"
    await x.utility.cancel(event_id)
    return None if await _comes_to(ven, event_id, 2) else "cancelled, and its modificationNumber is not 2"


async def _comes_to(ven: Ven, event_id: str, number: int) -> bool:
    """Whether an event comes to this modificationNumber; a VTN may take a moment."""
    for _ in range(TRIES):
        event = await ven.event(event_id)
        if event is not None and event.event_descriptor.modification_number == number:
            return True
    return False


async def until_answered(x: Vtn) -> str | None:
    """An event is sent at each poll until it is answered [rules 12 and 64]."""
    ven, event_id = await sent_event(x, "OADR-012")
    again = await ven.poll()
    if not isinstance(again, wire.OadrDistributeEvent):
        return f"not answered, and not sent again: {said(again)}"
    await x.say(answering(ven, event_id, 0))
    after = await ven.poll()
    return said(after) if isinstance(after, wire.OadrDistributeEvent) else None


async def never_answered(x: Vtn) -> str | None:
    """What wants no answer is not sent at every poll."""
    ven, _ = await sent_event(x, "OADR-062", response_required=ResponseRequired.NEVER)
    after = await ven.poll()
    return said(after) if isinstance(after, wire.OadrDistributeEvent) else None


async def opts(x: Vtn) -> str | None:
    """OptIn is taken, and a later optOut [rules 16 and 17]."""
    ven, event_id = await sent_event(x, "OADR-016")
    for opt in (OptType.OPT_IN, OptType.OPT_OUT):
        answer = await x.say(answering(ven, event_id, 0, opt))
        if not ok(answer):
            return f"{opt}: {said(answer)}"
    return None


async def only_its_own(x: Vtn) -> str | None:
    """A VEN is sent the events that mean it, and no others [rule 22]."""
    mine, event_id = await sent_event(x, "OADR-022")
    other = await registered(x, "OADR-022 other")
    if await other.event(event_id) is not None:
        return "another VEN is sent it"
    return None if await mine.event(event_id) is not None else "the VEN that is meant is not sent it"


async def all_in_order(x: Vtn) -> str | None:
    """All events are sent [rule 50], the active ones first."""
    ven = await registered(x, "OADR-050")
    now = x.net.now()
    far = await x.utility.event(x.draft("OADR-050", (ven.ven_id,), now + timedelta(hours=3)))
    active = await x.utility.event(x.draft("OADR-050", (ven.ven_id,), now - timedelta(minutes=1)))
    found: list[str] = []
    for _ in range(TRIES):
        found = [one.event_descriptor.event_id for one in await ven.events()]
        if found == [active, far]:
            return None
    names = {active: "active", far: "far"}
    return f"{[names.get(one, one) for one in found]}, expected active and far"


async def cancel_until_acknowledged(x: Vtn) -> str | None:
    """A cancel is sent until it is acknowledged [rules 36 and 52]."""
    ven, event_id = await sent_event(x, "OADR-052")
    await x.say(answering(ven, event_id, 0))
    await x.utility.cancel(event_id)
    await until_polled(ven, event_id, EventStatus.CANCELLED)
    event = await until_polled(ven, event_id, EventStatus.CANCELLED)
    await x.say(answering(ven, event_id, event.event_descriptor.modification_number, OptType.OPT_OUT))
    after = await ven.event(event_id)
    return None if after is None else "acknowledged, and sent again"


async def limited(x: Vtn) -> str | None:
    """No more events are sent than replyLimit says."""
    ven, _ = await sent_event(x, "OADR-L1")
    second = x.draft("OADR-L1", (ven.ven_id,), x.net.now() + timedelta(hours=4))
    await x.utility.event(second)
    for _ in range(TRIES):
        if len(await ven.events()) == 2:
            break
    found = await ven.events(1)
    return None if len(found) == 1 else f"{len(found)} events"


async def empty(x: Vtn) -> str | None:
    """Where there are none, an oadrDistributeEvent without events says so."""
    ven = await registered(x, "OADR-L2")
    answer = await ven.ask()
    told = isinstance(answer, wire.OadrDistributeEvent) and not answer.oadr_events
    return None if told else said(answer)


async def opt_stays(x: Vtn) -> str | None:
    """What an oadrCreateOpt says of an event, no later oadrCreatedEvent changes [rule 206]."""
    ven, event_id = await sent_event(x, "OADR-206")
    told: Any = await opting(x)
    named = QualifiedEventID(event_id=event_id, modification_number=0)
    opt = msgspec.structs.replace(
        told, ven_id=ven.ven_id, vavailability=None, qualified_event_id=named, ei_target=EiTarget(ven_ids=(ven.ven_id,))
    )
    for message in (opt, answering(ven, event_id, 0, OptType.OPT_IN)):
        answer = await x.say(message)
        if not ok(answer):
            return said(answer)
    found = await x.utility.opt(event_id, ven.ven_id)
    return None if found == OptType.OPT_OUT else str(found)


BEHAVIOURS: Final[dict[str, tuple[str, str, Check]]] = {
    # rule -> where, what has to be so, and whether it is
    WAY: ("2.0b transports", "Services take POST at their paths, and nothing else.", way),
    "OADR-053": ("2.0b rule 53", "What is said and answered is XML, by its Content-Type.", headers),
    XML: ("XSD 2.0b", "What is no payload is refused by HTTP.", malformed),
    "OADR-042": ("2.0b rule 42", "An answer names the requestID of what it answers.", echoed),
    "OADR-402": ("2.0b rules 402 and 403", "A venID that was allocated is kept to the letter.", allocated),
    "OADR-004": ("2.0b rule 4", "modificationNumber begins at 0.", begins_at_0),
    "OADR-005": ("2.0b rule 5", "modificationNumber rises by 1 with each change and with a cancel.", rises),
    "OADR-012": ("2.0b rules 12 and 64", "An event is sent until it is answered.", until_answered),
    "OADR-062": ("2.0b rule 62", "What wants no answer is not sent again and again.", never_answered),
    "OADR-016": ("2.0b rules 16 and 17", "optIn is taken, and a later optOut.", opts),
    "OADR-022": ("2.0b rule 22", "A VEN is sent the events that mean it, and no others.", only_its_own),
    "OADR-050": ("2.0b rule 50", "All events are sent, the active ones first.", all_in_order),
    "OADR-052": ("2.0b rules 36 and 52", "A cancel is sent until it is acknowledged.", cancel_until_acknowledged),
    "OADR-L1": ("2.0b EiEvent, replyLimit", "No more events are sent than replyLimit says.", limited),
    "OADR-L2": ("2.0b EiEvent", "Without events an oadrDistributeEvent without any is answered.", empty),
    "OADR-206": ("2.0b rule 206", "What an oadrCreateOpt says of an event stays.", opt_stays),
}
"""How a VTN behaves from one message to the next; each is a case of its own."""
