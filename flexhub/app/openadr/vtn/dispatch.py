"""Schedules of offers that VENs made, dispatched to them: an event each, changed and cancelled as its offer is.

Whatever decision changes such an offer asks in the same transaction to have it dispatched (`watched`); what that
brings up, ``openadr.dispatch.result``, looks at the offer as it is then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from flexhub.app.hub.contract import Answer, Decision, Further, Handler, Key, Message, Question, Reads, View
from flexhub.app.openadr.vtn.handlers import Desk
from flexhub.app.openadr.vtn.papers import agenda, filed, pushed
from flexhub.app.openadr.vtn.prosumers import PREFIX, Prosumers, party_of
from flexhub.app.openadr.vtn.spec import spec_of
from flexhub.app.openadr.vtn.utility import OfEvents, build
from flexhub.core.effects import Ask
from flexhub.core.errors import FlexhubError
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.registry import Role
from flexhub.protocols.openadr2b.session.events import LIVE, cancelled, created, modified, status
from flexhub.protocols.openadr2b.session.state import VtnEvent, VtnProgram, VtnVen

SLOT, QUESTION = "openadr", "openadr.dispatch"
DISPATCHED: Final = (State.ASSIGNED, State.CONFIRMED)
DEAD: Final = (State.CANCELED, State.REJECTED, State.EXPIRED, State.INVALID)
NOTHING: Final = Decision(answer=Answer(status=204))


class Dispatch(OfEvents):
    """``openadr.dispatch.result``: an offer's event is made, changed or cancelled, as its schedule now is."""

    def __init__(self, desk: Desk, exchange: Mapping[str, Handler], context: str) -> None:
        super().__init__(desk)
        self._exchange = exchange
        self._context = context

    def needs(self, message: Message) -> Iterable[Key]:
        """The offer, its event, all others, who is pushed to, and the program."""
        id_ = message.conversation
        return [Key(FlexOffer, id_), Key(VtnEvent, id_), agenda(), pushed(), Key(VtnProgram, self._context)]

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """The VEN, too."""
        offer = view.get(FlexOffer, message.conversation)
        ven_id = None if offer is None else offer.extras.get("ven_id")
        return [*super().further(message, view), *([Key(VtnVen, ven_id)] if isinstance(ven_id, str) else ())]

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Nothing where the event says it already. An event that cannot be made declines the schedule."""
        offer, event = view.get(FlexOffer, message.conversation), view.get(VtnEvent, message.conversation)
        ven_id = None if offer is None else offer.extras.get("ven_id")
        if offer is None or not isinstance(ven_id, str):
            return NOTHING
        ven = view.get(VtnVen, ven_id)
        if ven is None or party_of(ven) != offer.issuer:  # what an offer says of itself proves nothing
            return NOTHING
        try:
            after = self._event(offer, ven_id, event, view, now)
        except FlexhubError as error:
            return self._declined(offer, str(error), message, view, now)
        if after is None or after == event:
            return NOTHING
        done = self.done(after, message, view, now, 200)
        # It tells what a prosumer does, and is the prosumer's.
        puts = [msgspec.structs.replace(p, owner=offer.issuer) if p.value is after else p for p in done.puts]
        if view.get(VtnProgram, self._context) is None:
            puts.append(filed(VtnProgram(market_context=self._context, name="Dispatch")))
        return msgspec.structs.replace(done, puts=tuple(puts))

    def _event(
        self, offer: FlexOffer, ven_id: str, event: VtnEvent | None, view: View, now: datetime
    ) -> VtnEvent | None:
        if offer.state in DEAD:
            live = event is not None and not event.cancelled and status(event, now) in LIVE
            return cancelled(event, now) if event is not None and live else None
        if offer.state not in DISPATCHED or offer.schedule is None:
            return None
        spec, others = spec_of(offer, ven_id, self._context), self._desk.events(view, now).values()
        return created(offer.id, spec, now, others) if event is None else modified(event, spec, now, others)

    def _declined(self, offer: FlexOffer, why: str, message: Message, view: View, now: datetime) -> Decision:
        """In the issuer's stead, since nobody could tell its VEN."""
        if offer.state is not State.ASSIGNED:
            return NOTHING
        body = msgspec.json.encode({"reason": f"it cannot be dispatched: {why}"[:1000]})
        said = Message(
            peer=offer.issuer,
            id=message.id,
            kind="flexoffer.decline",
            conversation=offer.id,
            body=body,
            role=Role.PROSUMER,
        )
        return self._exchange["flexoffer.decline"].decide(said, view, now)


class Watched:
    """A handler whose decisions about such offers bring up `Dispatch`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def needs(self, message: Message) -> Iterable[Key]:
        """As it does."""
        return self._handler.needs(message)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """As it does, and a question for each offer that has to be dispatched, or no longer."""
        decision = self._handler.decide(message, view, now)
        due = [
            Ask(slot=SLOT, question=QUESTION, subject=put.key.id)
            for put in decision.puts
            if isinstance(put.value, FlexOffer)
            and put.key.id.startswith(PREFIX)
            and put.value.state in (State.ASSIGNED, *DEAD)
        ]
        return msgspec.structs.replace(decision, effects=(*decision.effects, *due)) if due else decision


class WatchedFurther(Watched, Further):
    """The same of one that names more documents."""

    def __init__(self, handler: Further) -> None:
        super().__init__(handler)
        self._further = handler

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """As it does."""
        return self._further.further(message, view)


def watched(handler: Handler) -> Handler:
    """A handler, watched."""
    return WatchedFurther(handler) if isinstance(handler, Further) else Watched(handler)


def chain(desk: Desk, exchange: Mapping[str, Handler], context: str, off: Collection[str] = ()) -> dict[str, Handler]:
    """All handlers of a hub whose VTN dispatches: what VENs offer goes to those of the exchange, and back to VENs."""
    vtn = build(desk, off, Prosumers(exchange, desk.party, context))
    return {kind: watched(handler) for kind, handler in {**exchange, **vtn}.items()} | {
        f"{QUESTION}.result": Dispatch(desk, exchange, context)
    }


class DispatchAsker:
    """Answers ``openadr.dispatch``: there is nothing to compute, so at once."""

    async def gather(self, question: Question, reads: Reads, now: datetime) -> dict[str, str]:  # noqa: ARG002 - the asker's signature
        """Which offer."""
        return {"offer": question.subject}

    def answer(self, arguments: dict[str, str]) -> dict[str, str]:
        """The same."""
        return arguments
