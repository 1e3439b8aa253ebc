"""What a VTN says to the hub as its VEN, and what comes of it, in the hub loop.

Kinds of messages:

- ``openadr.ven.receive``: something that the VTN said: the answer to a poll or request of ours, or what it pushed.
  Body: `Received` as JSON; conversation: the VTN's name in the configuration. Answered 200 with `Said`.
- ``openadr.ven.sent.done``, ``.failed``: what came of a message of ours; a reply is worked as what was received is.
- ``openadr.ven.late``: events whose answer is due and not decided are opted out of [rule 64].
- ``openadr.ven.opt``: an operator's word about an event. Body: `Opt`.
- ``ven.opt.result``, ``.failed``: what the engine says of an event. ``ven.report.result``: readings for reports.
- ``timer.openadr.ven``: an event has ended, or a report is due.

Of an event that we take comes a `FlexRequest` with the VTN's name as issuer, a `Tariff`, or both, filed in the decision
itself; what the engine is still asked about binds no plan (`ASKED`). A cancellation ends both.

Notices, topic ``openadr.event``: subject is the eventID, body an `OpenadrNotice`; for the portfolio that it is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from flexhub.app.exchange.market import value_of
from flexhub.app.exchange.papers import BINDING, file_request
from flexhub.app.hub.contract import Answer, Decision, Delivery, Further, Handler, Key, Message, Put, View
from flexhub.app.openadr.simple_http import MEDIA_TYPE
from flexhub.app.openadr.ven.papers import OpenadrAnswered, OpenadrNotice, OpenadrReadings, OpenadrVen
from flexhub.app.openadr.ven.reporting import updated
from flexhub.app.openadr.ven.settings import Ven, document_id
from flexhub.core.documents import encode
from flexhub.core.effects import Ask, Effect, Notify, Send, SetTimer
from flexhub.core.errors import ForbiddenError, IllegalTransitionError, NotFoundError
from flexhub.core.registry import Role
from flexhub.core.tariff import Tariff
from flexhub.core.trading import FlexRequest
from flexhub.mappings.openadr2b import events
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import Message as Oadr
from flexhub.protocols.openadr2b.names import OptType
from flexhub.protocols.openadr2b.session import ven as session
from flexhub.protocols.openadr2b.session import ven_events, ven_opts, ven_reports
from flexhub.protocols.openadr2b.session.ven_state import State, Step, Told, What, new_id

PEER: Final = "openadr-ven:"
"""Begins the outbox's name of a VTN: ``openadr-ven:<name>``. Its path is the service."""
ASKED: Final = "asked"
"""State of a request that the engine is still asked about."""
TIMER: Final = "openadr.ven"
SLOT: Final = "openadr"
AGAIN: Final = timedelta(minutes=1)
"""So much later a report is tried again whose readings could not be had."""
_CODEC: Final = OadrCodec(check=False)
"""What is journalled was checked when it came."""


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What came, as it is journalled."""

    xml: str


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What becomes of it: the answer for a VTN that pushed, and events whose answer is still open."""

    xml: str | None = None
    undecided: tuple[str, ...] = ()


class Opt(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's word about an event."""

    event_id: str
    opt: OptType


class Desk:
    """Where VTNs are kept and answered; shared by the handlers."""

    def __init__(self, vens: Mapping[str, Ven]) -> None:
        self.vens: Final = vens

    def ven(self, name: str) -> Ven:
        """Who we are for a VTN.

        Raises:
            NotFoundError: none of that name is configured.
        """
        found = self.vens.get(name)
        if found is None:
            raise NotFoundError("no such VTN is configured", path="openadr/ven", value=name)
        return found

    @staticmethod
    def documents(name: str, event_ids: Iterable[str]) -> list[Key]:
        """The core's documents about events."""
        return [
            key
            for event_id in event_ids
            for key in (
                Key(FlexRequest, document_id("event", name, event_id)),
                Key(Tariff, document_id("event", name, event_id)),
            )
        ]

    def further(self, name: str, view: View, message: Oadr | None = None) -> list[Key]:
        """The documents of every event that is known, or told of."""
        kept = view.get(OpenadrVen, name)
        known = set() if kept is None else set(kept.state.events)
        if isinstance(message, wire.OadrDistributeEvent):
            known |= {one.ei_event.event_descriptor.event_id for one in message.oadr_events}
        return self.documents(name, sorted(known))

    def decided(self, ven: Ven, before: State, step: Step, view: View, now: datetime, seed: str) -> Decision:  # noqa: PLR0913, PLR0917 - whose, and before and after
        """The documents and effects of a step."""
        puts: list[Put] = []
        effects: list[Effect] = []
        if step.state != before:
            puts.append(_put(ven, step.state))
            effects.append(SetTimer(subject=ven.name, event=TIMER, due=moment(step.state, now)))
        effects += [self.send(ven, message, now, new_id(seed, "send", str(i))) for i, message in enumerate(step.sends)]
        plan = False
        for told in step.told:
            made, more, moved = self._filed(ven, told, view, now)
            puts += made
            effects += more
            plan = plan or moved
        if plan and ven.managing:
            effects.append(Ask(slot="manager", question="plan", subject=ven.portfolio))
        body = encode(Said(undecided=ven_events.undecided(step.state)))
        return Decision(answer=Answer(status=200, body=body), puts=tuple(puts), effects=tuple(effects))

    @staticmethod
    def send(ven: Ven, message: Oadr, now: datetime, message_id: str) -> Send:
        """A message of ours, on its way; reports go beside the rest, so that one that chokes holds up no answer."""
        return Send(
            peer=PEER + ven.name,
            message_id=message_id,
            conversation=f"{ven.name}/reports" if isinstance(message, wire.OadrUpdateReport) else ven.name,
            path=session.SERVICE[type(message)].value,
            media_type=MEDIA_TYPE,
            body=_CODEC.encode(message),
            reply_kind="openadr.ven.sent",
            expires=now + timedelta(hours=1),
        )

    @staticmethod
    def _filed(ven: Ven, told: Told, view: View, now: datetime) -> tuple[list[Put], list[Effect], bool]:
        """What becomes of one event: documents, effects, and whether plans have to change."""
        heard = told.heard
        id_ = document_id("event", ven.name, told.event_id)
        request, tariff = view.get(FlexRequest, id_), view.get(Tariff, id_)
        if told.what is What.ENDED:
            return [], [notice(ven, told)], False
        if told.what is What.CANCELLED or heard.opt is OptType.OPT_OUT:
            puts = [file_request(cut(request, heard.cancelled or now))] if request is not None else []
            puts += [_file_tariff(silenced(tariff, heard.cancelled or now))] if tariff is not None else []
            return puts, [notice(ven, told)], bool(puts)
        message, ctx = ven.mapped(heard, now)
        event = heard.event.ei_event
        puts, effects, moved = [], list[Effect](), False
        if events.signal_of(event) is not None:
            request = events.request_to_core(message, ctx).value
            puts.append(file_request(request, ASKED if heard.opt is None else BINDING))
            if heard.opt is None:
                effects.append(Ask(slot=SLOT, question="ven.opt", subject=request.id))
            else:
                moved = True
        elif request is not None:
            puts.append(file_request(cut(request, now)))
        if events.price_of(event) is not None:
            tariff = events.tariff_to_core(message, ctx).value
            puts.append(_file_tariff(tariff))
            moved = True
        effects.append(notice(ven, told, request=bool(puts) and request is not None, tariff=tariff is not None))
        return puts, effects, moved


def _put(ven: Ven, state: State) -> Put:
    return Put(key=Key(OpenadrVen, ven.name), value=OpenadrVen(state=state), owner=ven.hub, state=state.stage.value)


def _file_tariff(tariff: Tariff) -> Put:
    return Put(key=Key(Tariff, tariff.id), value=tariff, owner=tariff.issuer, starts=tariff.start, ends=tariff.end)


def cut(request: FlexRequest, at: datetime) -> FlexRequest:
    """A request that binds no plan from then on."""
    return replace(request, expires=max(request.created, min(request.expires, at)))


def silenced(tariff: Tariff, at: datetime) -> Tariff:
    """A tariff that says nothing from then on."""
    step = timedelta(seconds=tariff.resolution_s)
    prices = tuple(price if tariff.start + i * step < at else None for i, price in enumerate(tariff.prices_eur_per_kwh))
    return replace(tariff, prices_eur_per_kwh=prices)


def notice(ven: Ven, told: Told, *, request: bool = False, tariff: bool = False) -> Notify:
    """What the portfolio is told of an event."""
    heard, id_ = told.heard, document_id("event", ven.name, told.event_id)
    body = OpenadrNotice(
        vtn=ven.name,
        event_id=told.event_id,
        modification_number=heard.number,
        what=told.what.value,
        opt=None if heard.opt is None else heard.opt.value,
        said=heard.said,
        request=id_ if request else None,
        tariff=id_ if tariff else None,
    )
    return Notify(party=ven.portfolio, topic="openadr.event", subject=told.event_id, body=body)


def moment(state: State, now: datetime) -> datetime | None:
    """When something is next to be done by the clock: a report, or the end of an event."""
    moments = [one.due for one in state.wanted.values()]
    for held in state.events.values():
        end = held.until()
        if end is not None and end > now and held.cancelled is None:
            moments.append(end)
    return min(moments, default=None)


def state_of(view: View, name: str) -> State:
    """What we know of a VTN."""
    kept = view.get(OpenadrVen, name)
    return State() if kept is None else kept.state


class Receive(Further):
    """``openadr.ven.receive``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @staticmethod
    def _message(message: Message) -> Oadr:
        if isinstance(message.value, Oadr):
            return message.value
        return _CODEC.decode(value_of(message, Received).xml.encode())

    def needs(self, message: Message) -> Iterable[Key]:
        """What we know of the VTN."""
        return (Key(OpenadrVen, message.conversation),)

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """What is filed about its events."""
        return self._desk.further(message.conversation, view, self._message(message))

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Judged by the session, filed and answered."""
        if message.role is not Role.ADMIN:
            raise ForbiddenError("not yours to say", path="Received")
        ven, told = self._desk.ven(message.conversation), self._message(message)
        before, seed = state_of(view, ven.name), f"{message.peer}/{message.id}"
        step = session.receive(before, told, now, ven.setup, ven.judge(now), seed=seed)
        return self._desk.decided(ven, before, step, view, now, seed)


class SentDone(Further):
    """``openadr.ven.sent.done``: the VTN's reply, and nothing where it is empty or no message."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @staticmethod
    def _reply(message: Message) -> Oadr | None:
        sent = value_of(message, Delivery)
        if not sent.reply.strip():
            return None
        return _CODEC.decode(sent.reply.encode())  # who sent it has seen to it that it is one

    @staticmethod
    def _name(message: Message) -> str:
        return message.conversation.partition("/")[0]

    def needs(self, message: Message) -> Iterable[Key]:
        """What we know of the VTN."""
        return (Key(OpenadrVen, self._name(message)),)

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """What is filed about its events."""
        return self._desk.further(self._name(message), view)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """As what is received."""
        reply = self._reply(message)
        if reply is None or self._name(message) not in self._desk.vens:
            return Decision(answer=Answer(status=204))
        ven = self._desk.ven(self._name(message))
        before, seed = state_of(view, ven.name), f"{message.peer}/{message.id}"
        step = session.receive(before, reply, now, ven.setup, ven.judge(now), seed=seed)
        return self._desk.decided(ven, before, step, view, now, seed)


class _ByName(Further):
    """About a VTN and what is filed about its events; subclasses decide."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def needs(self, message: Message) -> Iterable[Key]:
        """What we know of the VTN."""
        return (Key(OpenadrVen, message.conversation),)

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """What is filed about its events."""
        return self._desk.further(message.conversation, view)


class Late(_ByName):
    """``openadr.ven.late``: what is not decided yet is opted out of."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Opted out, one after the other."""
        ven = self._desk.ven(message.conversation)
        before = state = state_of(view, ven.name)
        seed, sends, told = f"{message.peer}/{message.id}", list[Oadr](), list[Told]()
        for event_id in ven_events.undecided(before):
            step = ven_opts.opted(state, event_id, OptType.OPT_OUT, now, seed=seed, said="not decided in time")
            state = step.state
            sends += step.sends
            told.append(Told(What.MODIFIED, event_id, state.events[event_id]))
        return self._desk.decided(ven, before, Step(state, tuple(sends), tuple(told)), view, now, seed)


class SayOpt(_ByName):
    """``openadr.ven.opt``."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Said to the VTN; to opt out ends what was filed, to opt in files it anew."""
        if message.role is not Role.ADMIN:
            raise ForbiddenError("not yours to say", path="Opt")
        ven, word = self._desk.ven(message.conversation), value_of(message, Opt)
        before, seed = state_of(view, ven.name), f"{message.peer}/{message.id}"
        if word.event_id not in before.events:
            raise NotFoundError("no such event", path="Opt/event_id", value=word.event_id)
        step = ven_opts.opted(before, word.event_id, word.opt, now, seed=seed)
        if step.state != before:
            step = step._replace(told=(Told(What.MODIFIED, word.event_id, step.state.events[word.event_id]),))
        elif before.events[word.event_id].opt is not word.opt:
            raise IllegalTransitionError("it is over, or was refused", path="Opt/event_id", value=word.event_id)
        return self._desk.decided(ven, before, step, view, now, seed)


class Answered(Further):
    """``ven.opt.result`` and ``ven.opt.failed``: opted in where the engine can do it, and out otherwise."""

    def __init__(self, desk: Desk, *, failed: bool = False) -> None:
        self._desk = desk
        self._failed = failed

    def needs(self, message: Message) -> Iterable[Key]:
        """The request."""
        return (Key(FlexRequest, message.conversation),)

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """What we know of its VTN, and what is filed about the event."""
        request = view.get(FlexRequest, message.conversation)
        if request is None:
            return ()
        event_id = request.extras.get("event_id", "")
        return [Key(OpenadrVen, request.issuer), *self._desk.documents(request.issuer, (event_id,))]

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Of the modification that was asked about only; of another one the engine is asked again."""
        request = view.get(FlexRequest, message.conversation)
        if request is None or request.issuer not in self._desk.vens:
            return Decision(answer=Answer(status=204))
        ven, event_id = self._desk.ven(request.issuer), request.extras.get("event_id", "")
        before = state_of(view, ven.name)
        held = before.events.get(event_id)
        told = None if self._failed else value_of(message, OpenadrAnswered)
        if held is None or held.opt is not None or (told is not None and told.modification_number != held.number):
            return Decision(answer=Answer(status=204))
        opt, said = OptType.OPT_OUT, "the engine failed"
        if told is not None:
            opt = OptType.OPT_IN if told.served else OptType.OPT_OUT
            said = "OK" if told.served else f"{told.unserved_kwh:.3g} kWh of {told.asked_kwh:.3g} kWh cannot be done"
        seed = f"{message.peer}/{message.id}"
        step = ven_opts.opted(before, event_id, opt, now, seed=seed, said=said)
        if step.state != before:
            step = step._replace(told=(Told(What.MODIFIED, event_id, step.state.events[event_id]),))
        return self._desk.decided(ven, before, step, view, now, seed)


class Tick(_ByName):
    """``timer.openadr.ven``: events whose time is over end, and reports that are due are gathered."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Ended, and readings asked for; when those have come, the timer is set anew."""
        if message.conversation not in self._desk.vens:
            return Decision(answer=Answer(status=204))
        ven = self._desk.ven(message.conversation)
        before = state_of(view, ven.name)
        step = ven_events.ended(before, now)
        decision = self._desk.decided(ven, before, step, view, now, f"{message.peer}/{message.id}")
        effects = [effect for effect in decision.effects if not isinstance(effect, SetTimer)]
        if ven_reports.due(step.state, now):
            effects.append(Ask(slot=SLOT, question="ven.report", subject=ven.name))
            later = [end for held in step.state.events.values() if (end := held.until()) is not None and end > now]
            effects.append(SetTimer(subject=ven.name, event=TIMER, due=min(later, default=None)))
        else:
            effects.append(SetTimer(subject=ven.name, event=TIMER, due=moment(step.state, now)))
        return replace(decision, effects=tuple(effects))


class Report(_ByName):
    """``ven.report.result``: the reports go out, where they are still wanted."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Sent, and the next ones timed."""
        if message.conversation not in self._desk.vens:
            return Decision(answer=Answer(status=204))
        ven, found = self._desk.ven(message.conversation), value_of(message, OpenadrReadings)
        before = state = state_of(view, ven.name)
        seed, sends = f"{message.peer}/{message.id}", list[Oadr]()
        for reading in found.reports:
            wanted = state.wanted.get(reading.report_request_id)
            if wanted is not None and state.registered:
                sends.append(updated(ven, state, wanted.request, reading, now, new_id(seed, reading.report_request_id)))
                state = ven_reports.sent(state, reading.report_request_id, now)
        decision = self._desk.decided(ven, before, Step(state, tuple(sends)), view, now, seed)
        if state != before:
            return decision
        again = SetTimer(subject=ven.name, event=TIMER, due=now + AGAIN)  # not registered just now
        return replace(decision, effects=(*decision.effects, again))


class ReportFailed(_ByName):
    """``ven.report.failed``: a while later it is tried again."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - the handler's signature
        """The timer is set."""
        again = SetTimer(subject=message.conversation, event=TIMER, due=now + AGAIN)
        return Decision(answer=Answer(status=204), effects=(again,))


class Nothing:
    """``openadr.ven.sent.failed``: what could not be said is said anew when the VTN asks, or tells of it, again."""

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """Nothing."""
        return ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        """Journalled, and that is all."""
        return Decision(answer=Answer(status=204))


def build(vens: Mapping[str, Ven]) -> dict[str, Handler]:
    """Kind -> handler."""
    desk = Desk(vens)
    return {
        "openadr.ven.receive": Receive(desk),
        "openadr.ven.sent.done": SentDone(desk),
        "openadr.ven.sent.failed": Nothing(),
        "openadr.ven.late": Late(desk),
        "openadr.ven.opt": SayOpt(desk),
        "ven.opt.result": Answered(desk),
        "ven.opt.failed": Answered(desk, failed=True),
        "ven.report.result": Report(desk),
        "ven.report.failed": ReportFailed(desk),
        f"timer.{TIMER}": Tick(desk),
    }


def nobody() -> dict[str, Handler]:
    """Kind -> handler of what an operator may say, in a hub that is nobody's VEN: it is refused."""
    return {"openadr.ven.opt": SayOpt(Desk({}))}
