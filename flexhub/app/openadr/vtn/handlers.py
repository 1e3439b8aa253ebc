"""A VTN's conversations in the hub loop: decide, then reply; the answer is in the transaction of what it changes.

Kinds of messages:

- ``openadr.vtn.receive``: the endpoint's. Body: `Arrival` as JSON; answered 200 with an `Answered`.
- ``openadr.vtn.pushed.done`` and ``.failed``: the outbox's, with the reply of a VEN that is pushed to.
- those of `flexhub.app.openadr.vtn.utility`: what the utility does.

Notices to the hub's own party tell what changed: topic ``vtn.ven``, ``vtn.event``, ``vtn.answer``, ``vtn.opt``,
``vtn.report`` or ``vtn.metadata``; subject is the document's id, in which a VEN comes first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple, Protocol

import msgspec

from flexhub.app.exchange.market import value_of
from flexhub.app.hub.contract import Answer, Decision, Delivery, Further, Key, Message, Put, View
from flexhub.app.openadr.simple_http import MEDIA_TYPE
from flexhub.app.openadr.vtn.papers import VtnPushed, agenda, certificate, filed, pushed
from flexhub.app.uftp.participants import derived_id
from flexhub.core.documents import encode
from flexhub.core.effects import Effect, Notify, Send
from flexhub.core.errors import FlexhubError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import Message as Wire
from flexhub.protocols.openadr2b.identity import XMPP
from flexhub.protocols.openadr2b.messages import SERVICES
from flexhub.protocols.openadr2b.names import ResponseCode, TransportName
from flexhub.protocols.openadr2b.session import vtn
from flexhub.protocols.openadr2b.session.book import Arrived, Settings, Step, response, ven_id_of
from flexhub.protocols.openadr2b.session.events import over
from flexhub.protocols.openadr2b.session.state import (
    State,
    VtnAgenda,
    VtnCertificate,
    VtnEvent,
    VtnOpt,
    VtnVen,
    opt_place,
)

RECEIVE: Final = "openadr.vtn.receive"
PUSHED: Final = "openadr.vtn.pushed"
PEER: Final = "openadr:"
"""Begins the outbox's name of a VEN that is pushed to. Its path is the whole address."""
CODEC: Final = OadrCodec(check=False)
"""For what the endpoint has judged by the XSD already, and for what we write."""

SERVICE_OF: Final = {kind: str(service) for service, kinds in SERVICES.items() for kind in kinds}
_TOPICS: Final = {
    "VtnVen": "vtn.ven",
    "VtnEvent": "vtn.event",
    "VtnAnswer": "vtn.answer",
    "VtnOpt": "vtn.opt",
    "VtnReport": "vtn.report",
    "VtnMetadata": "vtn.metadata",
}


class Arrival(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came, as it is journalled: the payload, the fingerprint of the certificate that was shown, and whose turn.

    Over XMPP the fingerprint is the sender's JID (`flexhub.protocols.openadr2b.identity`).

    `ven_id`: whose it is, of what was replied to what was pushed.
    """

    xml: str
    fingerprint: str | None = None
    turn: int = 0
    ven_id: str | None = None


class Came(NamedTuple):
    """The same, read."""

    arrival: Arrival
    message: Wire


class Answered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is answered, and the rule that was broken, if any."""

    xml: str
    rule: str | None = None


class Desk:
    """Looks up what a VTN's decisions need, and files what comes of them; shared by its handlers.

    Args:
        settings: who it is.
        party: who is told what happens.
    """

    def __init__(self, settings: Settings, party: str) -> None:
        self.settings = settings
        self.party = party

    @staticmethod
    def events(view: View, now: datetime) -> dict[str, VtnEvent]:
        """All events that are not over; `agenda` and `all_events` were looked up."""
        known = view.get(VtnAgenda, agenda().id) or VtnAgenda()
        found = {id_: view.get(VtnEvent, id_) for id_ in known.events}
        return {id_: event for id_, event in found.items() if event is not None and not over(event, now)}

    @staticmethod
    def all_events(view: View) -> list[Key]:
        """What to look up once the agenda is seen."""
        known = view.get(VtnAgenda, agenda().id) or VtnAgenda()
        return [Key(VtnEvent, id_) for id_ in known.events]

    def decision(
        self,
        changed: Iterable[State | VtnPushed],
        answer: Answer,
        more: Iterable[Put] = (),
        effects: Iterable[Effect] = (),
    ) -> Decision:
        """A decision that files what changed, and tells of it."""
        puts = [*map(filed, changed), *more]
        told = [
            Notify(party=self.party, topic=_TOPICS[put.key.kind.__name__], subject=put.key.id)
            for put in puts
            if put.key.kind.__name__ in _TOPICS
        ]
        return Decision(answer=answer, puts=tuple(puts), effects=(*told, *effects))

    def pushes(self, ven: VtnVen, events: dict[str, VtnEvent], now: datetime, seed: str) -> tuple[VtnVen, list[Effect]]:
        """What a VEN that is pushed to is sent now, and the VEN after it."""
        if ven.pull or not ven.registered or ven.address is None:
            return ven, []
        new = partial(derived_id, seed, ven.id)
        arrived = Arrived(wire.OadrPoll(ven_id=ven.id), now, self.settings, new, ven=ven, events=events)
        messages, after = vtn.pushed(arrived)
        sends: list[Effect] = []
        for i, message in enumerate(messages):
            sends.append(
                Send(
                    peer=PEER + ven.id,
                    message_id=new(f"push {i}"),
                    conversation=place(ven.id),
                    path=_where(ven.transport, ven.address, message),
                    media_type=MEDIA_TYPE,
                    body=CODEC.encode(message),
                    reply_kind=PUSHED,
                )
            )
        return after, sends


def _where(transport: TransportName | None, address: str, message: Wire) -> str:
    """A whole address: over HTTP that of the message's service, over XMPP the JID, behind ``xmpp:``."""
    if transport is TransportName.XMPP:
        return XMPP + address
    return f"{address.rstrip('/')}/{SERVICE_OF[type(message)]}"


class Follow(Protocol):
    """Has more come of what VENs say than what the standard tells, in the same transaction."""

    def needs(self, told: Wire, ven_id: str) -> Iterable[Key]:
        """What to look up."""

    def further(self, told: Wire, ven: VtnVen, view: View) -> Iterable[Key]:
        """And what more, once that is seen."""

    def follow(self, arrived: Arrived, step: Step, view: View, seed: str) -> tuple[Step, list[Put], list[Effect]]:
        """The step, documents besides, and effects; `step` was not refused."""


def place(ven_id: str | None) -> str:
    """What the hub orders by: all that one VEN says."""
    return f"openadr {ven_id or 'new'}"


class Receive(Further):
    """``openadr.vtn.receive``; rules that are `off` are not judged, for the conformance suite's self-check."""

    def __init__(self, desk: Desk, off: Collection[str] = (), follow: Follow | None = None) -> None:
        self._desk = desk
        self._off = off
        self._follow = follow

    @staticmethod
    def _came(message: Message) -> Came:
        if isinstance(message.value, Came):
            return message.value
        arrival = value_of(message, Arrival)
        return Came(arrival, CODEC.decode(arrival.xml.encode()))

    def needs(self, message: Message) -> Iterable[Key]:
        """The VEN, and what the kind of message is about."""
        arrival, told = self._came(message)
        ven_id = arrival.ven_id or ven_id_of(told)
        keys = [pushed()]
        if ven_id is not None:
            keys.append(Key(VtnVen, ven_id))
        if arrival.fingerprint is not None and isinstance(told, wire.OadrCreatePartyRegistration):
            keys.append(Key(VtnCertificate, arrival.fingerprint))
        if isinstance(told, vtn.ALL_EVENTS):
            keys.append(agenda())
        if isinstance(told, wire.OadrCancelOpt):
            keys.append(Key(VtnOpt, opt_place(told.ven_id, told.opt_id)))
        if self._follow is not None and ven_id is not None:
            keys += self._follow.needs(told, ven_id)
        return keys

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """The events, and the VEN whose certificate it is."""
        arrival, told = self._came(message)
        keys = self._desk.all_events(view) if isinstance(told, vtn.ALL_EVENTS) else []
        ven_id = self._ven_id(arrival, told, view)
        if self._follow is not None and (known := arrival.ven_id or ven_id_of(told)) is not None:
            ven = view.get(VtnVen, known)
            keys += () if ven is None else self._follow.further(told, ven, view)
        return keys if ven_id is None else [*keys, Key(VtnVen, ven_id)]

    @staticmethod
    def _ven_id(arrival: Arrival, told: Wire, view: View) -> str | None:
        """The venID that it tells, or which the certificate of who registers has."""
        ven_id = arrival.ven_id or ven_id_of(told)
        if ven_id is not None or arrival.fingerprint is None or not isinstance(told, wire.OadrCreatePartyRegistration):
            return ven_id
        return Receive._holder(arrival, told, view)

    @staticmethod
    def _holder(arrival: Arrival, told: Wire, view: View) -> str | None:
        """Whose the certificate is that who registers shows."""
        if arrival.fingerprint is None or not isinstance(told, wire.OadrCreatePartyRegistration):
            return None
        known = view.get(VtnCertificate, arrival.fingerprint)
        return None if known is None else known.ven_id or None

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Judged, filed and answered."""
        arrival, told = self._came(message)
        ven_id = self._ven_id(arrival, told, view)
        seed = f"{message.peer}/{message.id}"
        ven = None if ven_id is None else view.get(VtnVen, ven_id)
        if arrival.ven_id is not None and ven_id_of(told) not in (None, arrival.ven_id):
            ven = None  # it says that it is another's
        arrived = Arrived(
            told,
            now,
            self._desk.settings,
            partial(derived_id, seed),
            ven=ven,
            fingerprint=arrival.fingerprint if arrival.ven_id is None or ven is None else ven.fingerprint,
            events=self._desk.events(view, now) if isinstance(told, vtn.ALL_EVENTS) else {},
            opt=view.get(VtnOpt, opt_place(told.ven_id, told.opt_id)) if isinstance(told, wire.OadrCancelOpt) else None,
            holder=self._holder(arrival, told, view),
            turn=arrival.turn,
            off=self._off,
        )
        step = vtn.receive(arrived)
        puts, effects = list[Put](), list[Effect]()
        if self._follow is not None and ven is not None and not step.broken:
            step, puts, effects = self._follow.follow(arrived, step, view, seed)
        changed, answer, more = self._filed(arrived, step, view)
        return self._desk.decision(changed, answer, [*more, *puts], effects)

    def _filed(self, arrived: Arrived, step: Step, view: View) -> tuple[list[State | VtnPushed], Answer, list[Put]]:
        """What changed, the answer, and what a registration changes besides."""
        rule = step.broken[0].rule if step.broken else None
        answer = Answer(status=200, body=encode(Answered(xml=CODEC.encode(step.answer).decode(), rule=rule)))
        changed: list[State | VtnPushed] = list(step.changed)
        more: list[Put] = []
        for ven in step.changed:
            if not isinstance(ven, VtnVen):
                continue
            if ven.fingerprint is not None and (arrived.ven is None or arrived.ven.fingerprint is None):
                more.append(certificate(ven.fingerprint, ven.id))
            known = view.get(VtnPushed, pushed().id) or VtnPushed()
            wanted = ven.registered and not ven.pull
            if wanted is not (ven.id in known.ven_ids):
                others = tuple(id_ for id_ in known.ven_ids if id_ != ven.id)
                changed.append(VtnPushed(ven_ids=(*others, ven.id) if wanted else others))
        return changed, answer, more


class Reply(Receive):
    """``openadr.vtn.pushed.done``: what a VEN replied to what it was sent is as if it had sent it by itself."""

    @staticmethod
    def _came(message: Message) -> Came:
        ven_id = value_of(message, Delivery).peer.removeprefix(PEER)
        try:
            told = CODEC.decode(value_of(message, Delivery).reply.encode())
        except FlexhubError:  # whatever else is said with HTTP's 200 says no more than that
            told = wire.OadrResponse(ei_response=response(ResponseCode.OK, ""))
        return Came(Arrival(xml="", ven_id=ven_id), told)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """As if it had come by itself; that it is the VEN's says the address that it was sent to."""
        decision = super().decide(message, view, now)
        return msgspec.structs.replace(decision, answer=Answer(status=204))


class Undelivered:
    """``openadr.vtn.pushed.failed``: nothing follows; the VEN learns of it when it asks, or with the next change."""

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """Nothing."""
        return ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        """Noted."""
        return Decision(answer=Answer(status=204))
