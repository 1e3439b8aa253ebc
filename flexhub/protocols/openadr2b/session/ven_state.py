"""What a VEN keeps of its VTN: one small document, and what it is told from outside."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from flexhub.protocols.openadr2b.elements import (
    EiEvent,
    EiEventSignal,
    EiEventSignals,
    EiTarget,
    Interval,
    Message,
    OadrEvent,
    OadrReport,
    OadrReportRequest,
    PayloadFloat,
    SignalPayload,
)
from flexhub.protocols.openadr2b.messages import OadrCreateOpt
from flexhub.protocols.openadr2b.names import OptType, ResponseCode, TransportName
from flexhub.protocols.openadr2b.times import length, span

POLL_S: Final = 10
"""How often is polled where the VTN does not say."""
_NAMESPACE: Final = uuid.UUID("5a1e0c2e-6d5c-5f3b-9d0f-0b8a4f2d7c11")


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """Who a VEN is, by agreement with its VTN's operator.

    Args:
        ven_name: how it calls itself when it registers.
        ven_id: the venID that was allocated beforehand [rules 402, 403]; None: the VTN assigns one.
        vtn_id: whom it listens to; None: whoever registers it first.
        transport: over which it speaks.
        push_to: where the VTN may push to, over XMPP our full JID; None: it polls.
        report_only: it takes no events.
        xml_signature: it signs.
        markets: market contexts whose events it takes; empty: all.
        known_as: groups, resources and assets that it answers to, besides its venID.
        reports: what it can report, as metadata.
        off: rules that it does not keep, for the conformance suite's self-check; they may change meanwhile.
    """

    ven_name: str
    ven_id: str | None = None
    vtn_id: str | None = None
    transport: TransportName = TransportName.SIMPLE_HTTP
    push_to: str | None = None
    report_only: bool = False
    xml_signature: bool = False
    markets: frozenset[str] = frozenset()
    known_as: EiTarget = EiTarget()
    reports: tuple[OadrReport, ...] = ()
    off: Collection[str] = ()


class Stage(enum.StrEnum):
    """Where a registration is."""

    NONE = "none"
    REGISTERED = "registered"
    AGAIN = "again"
    """The VTN asked to register again, or forgot us."""
    REFUSED = "refused"
    CANCELLED = "cancelled"
    """Either side ended it; only an operator begins anew."""


class Heard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event, as it was told last.

    Args:
        event: with its modificationNumber and whether an answer is wanted.
        request_id: of the message that told it, which its answer names.
        opt: what we say; None: not decided yet.
        code, said: the response code, where it is refused, and why.
        offset_s: how much later than told it begins for us, drawn once and kept [rule 30].
        answered: whether an answer to this modification went out.
        cancelled: from when on it is called off.
    """

    event: OadrEvent
    request_id: str
    opt: OptType | None = None
    code: str = ResponseCode.OK.value
    said: str = "OK"
    offset_s: int = 0
    answered: bool = False
    cancelled: datetime | None = None

    @property
    def number(self) -> int:
        """Its modificationNumber."""
        return self.event.ei_event.event_descriptor.modification_number

    def until(self) -> datetime | None:
        """First instant at which nothing of it is left; None: it has no end."""
        _, end = span(self.event.ei_event.ei_active_period.properties)
        return None if end is None else later(end, self.offset_s)

    def starts(self) -> datetime:
        """When it begins for us."""
        return later(span(self.event.ei_event.ei_active_period.properties)[0], self.offset_s)


class Wanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A report that the VTN asked for.

    Args:
        request: what it asked.
        since: start of what is not reported yet.
        due: when the next one goes out; its data end then.
        until: end of the last one; None: until it is cancelled.
        every_s: how often; 0: once.
    """

    request: OadrReportRequest
    since: datetime
    due: datetime
    until: datetime | None = None
    every_s: int = 0


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a VEN knows.

    Args:
        stage: of the registration; `why`: why it was refused.
        ven_id, registration_id, vtn_id: as registered.
        poll_s: how often the VTN wants to be polled.
        reported: whether our metadata are registered.
        events: by eventID.
        wanted: by reportRequestID.
        opts: ours that stand, by optID.
    """

    stage: Stage = Stage.NONE
    why: str = ""
    ven_id: str | None = None
    registration_id: str | None = None
    vtn_id: str | None = None
    poll_s: int = POLL_S
    reported: bool = False
    events: dict[str, Heard] = {}
    wanted: dict[str, Wanted] = {}
    opts: dict[str, OadrCreateOpt] = {}

    @property
    def registered(self) -> bool:
        """Whether the VTN takes our messages."""
        return self.stage is Stage.REGISTERED


class What(enum.StrEnum):
    """What became of an event."""

    NEW = "new"
    MODIFIED = "modified"
    CANCELLED = "cancelled"
    ENDED = "ended"


class Told(NamedTuple):
    """What the application is to know of an event; tests, and what was refused, are no news."""

    what: What
    event_id: str
    heard: Heard


class Step(NamedTuple):
    """State afterwards, messages for the VTN in their order, and news."""

    state: State
    sends: tuple[Message, ...] = ()
    told: tuple[Told, ...] = ()


Refusal = tuple[ResponseCode, str]


class Judge(NamedTuple):
    """What the application says of an event: why it cannot follow it (None: it can), and whether it opts in.

    `opt` may leave it undecided (None); the answer then goes out later (`ven_events.opted`).
    """

    refuse: Callable[[EiEvent], Refusal | None]
    opt: Callable[[EiEvent], OptType | None]


def new_id(seed: str, *what: str) -> str:
    """An id that follows from what it is made of, so that a replay comes to the same."""
    return str(uuid.uuid5(_NAMESPACE, "/".join((seed, *what))))


def offset_s(ven: str, event_id: str, startafter_s: int) -> int:
    """The offset of an event's start: the same for each modification, and spread evenly over VENs [rule 30]."""
    drawn = int.from_bytes(sha256(f"{ven}/{event_id}".encode()).digest()[:8], "big")
    return drawn % (startafter_s + 1)


MOST_STARTAFTER_S: Final = 366 * 86_400


def startafter_s(event: EiEvent) -> int:
    """Within how many seconds an event's start is drawn; a year at most."""
    tolerance = event.ei_active_period.properties.tolerance
    told = 0 if tolerance is None or tolerance.startafter is None else length(tolerance.startafter).seconds
    return min(MOST_STARTAFTER_S, max(0, told))


def later(moment: datetime, seconds: int) -> datetime:
    """An instant so much later, at the end of the calendar at most."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def storable(one: OadrEvent) -> OadrEvent | None:
    """The event, where it comes back from storage as it is: JSON has no numbers that are not finite."""
    try:
        same = msgspec.json.decode(msgspec.json.encode(one), type=OadrEvent)
    except msgspec.ValidationError:
        return None
    return one if same == one else None


def husk(one: OadrEvent) -> OadrEvent:
    """An event without its numbers, to be remembered as refused."""
    event = one.ei_event
    first = event.ei_event_signals.ei_event_signals[0]
    nothing = SignalPayload(payload_base=PayloadFloat(value=0.0))
    signal = EiEventSignal(
        intervals=(Interval(stream_payload_base=(nothing,)),),
        signal_name=first.signal_name,
        signal_type=first.signal_type,
        signal_id=first.signal_id,
    )
    bare = EiEvent(
        event_descriptor=event.event_descriptor,
        ei_active_period=event.ei_active_period,
        ei_event_signals=EiEventSignals(ei_event_signals=(signal,)),
        ei_target=EiTarget(),
    )
    return OadrEvent(ei_event=bare, oadr_response_required=one.oadr_response_required)
