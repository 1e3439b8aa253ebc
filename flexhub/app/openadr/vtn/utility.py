"""What a utility does with its VTN: programs, VENs, events and requests for reports, as messages of the hub.

Each kind of message has a body of its own (`BODIES`), and is answered with what came of it. A VEN that is pushed to is
sent what follows in the same transaction; one that polls finds it at its next poll.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec

from flexhub.app.exchange.market import value_of
from flexhub.app.hub.contract import Answer, Decision, Further, Handler, Key, Message, View
from flexhub.app.openadr.vtn.handlers import PUSHED, RECEIVE, Desk, Follow, Receive, Reply, Undelivered
from flexhub.app.openadr.vtn.papers import VtnPushed, agenda, certificate, pushed
from flexhub.app.openadr.vtn.silence import SILENCE, Hush
from flexhub.app.openadr.vtn.views import event_view, request_view, ven_view
from flexhub.app.uftp.participants import derived_id
from flexhub.core.documents import encode
from flexhub.core.effects import Effect
from flexhub.core.errors import DuplicateError, ForbiddenError, InvalidError, NotFoundError
from flexhub.core.registry import Role
from flexhub.protocols.openadr2b.elements import OadrReportRequest, Properties, ReportSpecifier, SpecifierPayload
from flexhub.protocols.openadr2b.identity import normal
from flexhub.protocols.openadr2b.names import METADATA_RID, METADATA_SPECIFIER, NOT_APPLICABLE
from flexhub.protocols.openadr2b.session import registration, reports
from flexhub.protocols.openadr2b.session.events import cancelled, created, modified
from flexhub.protocols.openadr2b.session.state import (
    EventSpec,
    Happens,
    Length,
    Name,
    State,
    VenSpec,
    VtnAgenda,
    VtnCertificate,
    VtnEvent,
    VtnMetadata,
    VtnProgram,
    VtnVen,
)
from flexhub.protocols.uftp.times import text_of

EVENTS: Final = "openadr events"
"""What the hub orders by: all that changes events."""


class VenPut(State, frozen=True, kw_only=True):
    """A VEN, as the utility says it is."""

    id: Name
    ven: VenSpec


class EventPut(State, frozen=True, kw_only=True):
    """An event; without an id it is a new one."""

    id: Name | None = None
    event: EventSpec


class Named(State, frozen=True, kw_only=True):
    """Which one is meant."""

    id: Name


class ReportSpec(State, frozen=True, kw_only=True):
    """A report that is wanted: of the data points `r_ids` of what the VEN registered as `report_specifier_id`.

    With a `report_back_duration` of PT0S it is wanted once, else that often. `dtstart` and `duration` are the time that
    it is about, which for history lies behind; without them a periodic one goes on until it is cancelled.
    ``METADATA`` without data points asks what the VEN can report.
    """

    report_specifier_id: Name
    r_ids: tuple[Name, ...] = ()
    granularity: Length = "PT15M"
    report_back_duration: Length = "PT1H"
    dtstart: datetime | None = None
    duration: Length | None = None

    def request(self, id_: str) -> OadrReportRequest:
        """As it is sent.

        Raises:
            InvalidError: no data points, or half a time.
        """
        metadata = self.report_specifier_id == METADATA_SPECIFIER
        if not metadata and not self.r_ids:
            raise InvalidError("is empty", path="ReportSpec/r_ids")
        if (self.dtstart is None) is not (self.duration is None):
            raise InvalidError("dtstart and duration go together", path="ReportSpec/dtstart")
        if self.dtstart is not None and self.dtstart.tzinfo is None:
            raise InvalidError("has no time zone", path="ReportSpec/dtstart")
        return OadrReportRequest(
            report_request_id=id_,
            report_specifier=ReportSpecifier(
                report_specifier_id=self.report_specifier_id,
                granularity="PT0S" if metadata else self.granularity,
                report_back_duration="PT0S" if metadata else self.report_back_duration,
                report_interval=None
                if self.dtstart is None or self.duration is None
                else Properties(dtstart=text_of(self.dtstart), duration=self.duration),
                specifier_payloads=tuple(
                    SpecifierPayload(r_id=one, reading_type=NOT_APPLICABLE)
                    for one in (self.r_ids or ((METADATA_RID,) if metadata else ()))
                ),
            ),
        )


class ReportAsk(State, frozen=True, kw_only=True):
    """A report that a VEN is asked for."""

    ven_id: Name
    report: ReportSpec


class ReportStop(State, frozen=True, kw_only=True):
    """A report that is no longer wanted; with `follow`, what was gathered so far still is."""

    ven_id: Name
    report_request_id: Name
    follow: Annotated[bool, msgspec.Meta(description="Whether what was gathered so far is to be sent yet.")] = False


BODIES: Final[dict[str, type[State]]] = {
    "vtn.program.put": VtnProgram,
    "vtn.ven.put": VenPut,
    "vtn.ven.ask": Named,
    "vtn.ven.cancel": Named,
    "vtn.event.put": EventPut,
    "vtn.event.cancel": Named,
    "vtn.report.ask": ReportAsk,
    "vtn.report.stop": ReportStop,
}
"""Kind of message -> what it says."""


def answered(value: object, status: int = HTTPStatus.OK) -> Answer:
    """What came of it."""
    return Answer(status=status, body=encode(value))


class _Utility(Further):
    """Common to all of them: only who runs the hub may."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def further(self, message: Message, view: View) -> Iterable[Key]:  # noqa: ARG002 - for those that need it
        """Nothing more."""
        return ()

    @staticmethod
    def _told(message: Message) -> Any:  # noqa: ANN401 - of the kind's type
        if message.role is not Role.ADMIN:
            raise ForbiddenError("not yours to do", path="vtn")
        return value_of(message, BODIES[message.kind])

    def _sent(
        self, vens: Iterable[VtnVen], view: View, events: dict[str, VtnEvent], now: datetime, message: Message
    ) -> tuple[list[State | VtnPushed], list[Effect]]:
        """The VENs that are pushed to, after they were, and what pushes."""
        changed: list[State | VtnPushed] = []
        effects: list[Effect] = []
        for ven in vens:
            after, sends = self._desk.pushes(ven, events, now, f"{message.peer}/{message.id}")
            effects += sends
            if after is not ven and after != view.get(VtnVen, ven.id):
                changed.append(after)
        return changed, effects


class PutProgram(_Utility):
    """``vtn.program.put``."""

    def needs(self, message: Message) -> Iterable[Key]:
        """What is there."""
        return (Key(VtnProgram, self._told(message).market_context),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - the handler's signature
        """Stored."""
        told = self._told(message)
        fresh = view.get(VtnProgram, told.market_context) is None
        return self._desk.decision((told,), answered(told, HTTPStatus.CREATED if fresh else HTTPStatus.OK))


class _OfVen(_Utility):
    """What is about one VEN."""

    def _ven_id(self, message: Message) -> str:
        told = self._told(message)
        found: str = told.ven_id if isinstance(told, ReportAsk | ReportStop) else told.id
        return found

    def needs(self, message: Message) -> Iterable[Key]:
        """It, what it registered, and the events."""
        ven_id = self._ven_id(message)
        return [Key(VtnVen, ven_id), Key(VtnMetadata, ven_id), agenda()]

    def further(self, message: Message, view: View) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """The events themselves."""
        return self._desk.all_events(view)

    def _ven(self, message: Message, view: View) -> VtnVen:
        ven_id = self._ven_id(message)
        found = view.get(VtnVen, ven_id)
        if found is None:
            raise NotFoundError("no such VEN", path="VtnVen/id", value=ven_id)
        return found

    def _done(self, ven: VtnVen, message: Message, view: View, now: datetime, answer: Answer) -> Decision:
        after, effects = self._desk.pushes(ven, self._desk.events(view, now), now, f"{message.peer}/{message.id}")
        return self._desk.decision((after,), answer, effects=effects)


class PutVen(_OfVen):
    """``vtn.ven.put``."""

    def needs(self, message: Message) -> Iterable[Key]:
        """Whose the certificate is, too."""
        told = self._told(message)
        found = [*super().needs(message)]
        if told.ven.fingerprint is not None:
            found.append(Key(VtnCertificate, normal(told.ven.fingerprint)))
        return found

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """And who that is."""
        told = self._told(message)
        found = [*super().further(message, view)]
        holder = self._holder(told, view)
        return found if holder is None else [*found, Key(VtnVen, holder)]

    @staticmethod
    def _holder(told: VenPut, view: View) -> str | None:
        if told.ven.fingerprint is None:
            return None
        known = view.get(VtnCertificate, normal(told.ven.fingerprint))
        return None if known is None or known.ven_id in ("", told.id) else known.ven_id

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Allocated, or changed; its registration stays."""
        told = self._told(message)
        before = view.get(VtnVen, told.id)
        fingerprint = None if told.ven.fingerprint is None else normal(told.ven.fingerprint)
        holder = self._holder(told, view)
        other = None if holder is None else view.get(VtnVen, holder)
        if other is not None and other.fingerprint == fingerprint:
            raise DuplicateError(f"it is {other.id}'s", path="VenSpec/fingerprint", value=str(fingerprint))
        fields = {name: getattr(told.ven, name) for name in VenSpec.__struct_fields__}
        ven = msgspec.structs.replace(before or VtnVen(id=told.id), **fields | {"fingerprint": fingerprint})
        answer = answered(ven_view(ven), HTTPStatus.CREATED if before is None else HTTPStatus.OK)
        done = self._done(ven, message, view, now, answer)
        more = [] if fingerprint is None else [certificate(fingerprint, ven.id)]
        if before is not None and before.fingerprint not in (None, fingerprint):
            more.append(certificate(str(before.fingerprint), ""))  # nobody's any more
        return msgspec.structs.replace(done, puts=(*done.puts, *more))


class AskAgain(_OfVen):
    """``vtn.ven.ask``."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """It is asked to register again."""
        ven = registration.moved(self._ven(message, view), Happens.ASK)
        return self._done(ven, message, view, now, answered(ven_view(ven), HTTPStatus.ACCEPTED))


class CancelVen(_OfVen):
    """``vtn.ven.cancel``."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """It is told that its registration is cancelled."""
        ven = registration.moved(self._ven(message, view), Happens.CANCEL)
        return self._done(ven, message, view, now, answered(ven_view(ven), HTTPStatus.ACCEPTED))


class AskReport(_OfVen):
    """``vtn.report.ask``."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """It is asked for a report."""
        told: ReportAsk = self._told(message)
        request = told.report.request(derived_id(message.peer, message.id, "report"))
        ven = reports.ask(self._ven(message, view), request, view.get(VtnMetadata, told.ven_id), now)
        answer = answered(request_view(ven.requests[request.report_request_id]), HTTPStatus.ACCEPTED)
        return self._done(ven, message, view, now, answer)


class StopReport(_OfVen):
    """``vtn.report.stop``."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """It is told to end a report."""
        told: ReportStop = self._told(message)
        ven = self._ven(message, view)
        if told.report_request_id not in ven.requests:
            raise NotFoundError("it was not asked for", path="report_request_id", value=told.report_request_id)
        ven = reports.stop(ven, told.report_request_id, now, follow=told.follow)
        answer = answered(request_view(ven.requests[told.report_request_id]), HTTPStatus.ACCEPTED)
        return self._done(ven, message, view, now, answer)


class OfEvents(_Utility):
    """What changes events: it is judged beside all others, and whoever is pushed to is told."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The events, who is pushed to, and the program."""
        told = self._told(message)
        keys = [agenda(), pushed()]
        if told.id is not None:
            keys.append(Key(VtnEvent, told.id))
        if isinstance(told, EventPut):
            keys.append(Key(VtnProgram, told.event.market_context))
        return keys

    def further(self, message: Message, view: View) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """The events and VENs themselves."""
        known = view.get(VtnPushed, pushed().id) or VtnPushed()
        return [*self._desk.all_events(view), *(Key(VtnVen, id_) for id_ in known.ven_ids)]

    @staticmethod
    def event(id_: str, view: View) -> VtnEvent:
        """The event.

        Raises:
            NotFoundError: there is none.
        """
        found = view.get(VtnEvent, id_)
        if found is None:
            raise NotFoundError("no such event", path="VtnEvent/id", value=id_)
        return found

    def done(self, event: VtnEvent, message: Message, view: View, now: datetime, status: int) -> Decision:
        """The event stored, and whoever is pushed to sent what follows."""
        events = self._desk.events(view, now) | {event.id: event}
        known = view.get(VtnPushed, pushed().id) or VtnPushed()
        vens = [found for id_ in known.ven_ids if (found := view.get(VtnVen, id_)) is not None]
        changed, effects = self._sent(vens, view, events, now, message)
        before = view.get(VtnAgenda, agenda().id) or VtnAgenda()
        changed.append(event)
        if tuple(events) != before.events:
            changed.append(VtnAgenda(events=tuple(events)))
        return self._desk.decision(changed, answered(event_view(event, now), status), effects=effects)


class PutEvent(OfEvents):
    """``vtn.event.put``."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """A new event, or one that is changed."""
        told: EventPut = self._told(message)
        if view.get(VtnProgram, told.event.market_context) is None:
            context = told.event.market_context
            raise InvalidError("no such program", path="EventSpec/market_context", value=context)
        others = self._desk.events(view, now).values()
        if told.id is None:
            event = created(derived_id(message.peer, message.id, "event"), told.event, now, others)
            return self.done(event, message, view, now, HTTPStatus.CREATED)
        event = modified(self.event(told.id, view), told.event, now, others)
        return self.done(event, message, view, now, HTTPStatus.OK)


class CancelEvent(OfEvents):
    """``vtn.event.cancel``."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """It is called off."""
        event = cancelled(self.event(self._told(message).id, view), now)
        return self.done(event, message, view, now, HTTPStatus.OK)


class Nobody:
    """All of it, in a hub that is no VTN."""

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """Nothing."""
        return ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        """Refused."""
        raise NotFoundError("this hub is no VTN", path="openadr/vtn")


def nobody() -> dict[str, Handler]:
    """Kind -> handler, in a hub that is no VTN."""
    return dict.fromkeys(BODIES, Nobody())


def build(desk: Desk, off: Collection[str] = (), follow: Follow | None = None) -> Mapping[str, Handler]:
    """Kind -> handler; rules that are `off`, which may change meanwhile, are not judged; `follow` has more come."""
    return {
        RECEIVE: Receive(desk, off, follow),
        f"{PUSHED}.done": Reply(desk, follow=follow),
        f"{PUSHED}.failed": Undelivered(),
        SILENCE: Hush(desk),
        "vtn.program.put": PutProgram(desk),
        "vtn.ven.put": PutVen(desk),
        "vtn.ven.ask": AskAgain(desk),
        "vtn.ven.cancel": CancelVen(desk),
        "vtn.event.put": PutEvent(desk),
        "vtn.event.cancel": CancelEvent(desk),
        "vtn.report.ask": AskReport(desk),
        "vtn.report.stop": StopReport(desk),
    }
