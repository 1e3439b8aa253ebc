"""A DSO that trades by itself: what it makes of what it accepts.

==================== ===============================================================================
D-Prognosis          above the limit, a FlexRequest goes out
FlexOffer            at once, or at the moment that is configured, an option of one is ordered
FlexOrder rejected   that offer is not ordered again; another one may be
FlexSettlementResp.  what is disputed is kept
==================== ===============================================================================

Metering leads to a FlexSettlement at a time that is configured, or when it is asked for (`reckoning`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from flexhub.app.exchange.market import value_of
from flexhub.app.hub.contract import Answer, Decision, Handler, Key, Message, View
from flexhub.app.uftp.hooks import Case, Hook, Work
from flexhub.app.uftp.papers import UftpMessage, place
from flexhub.app.uftp.participants import Own, Participants
from flexhub.app.uftp.roles import FileOffer, FilePrognosis
from flexhub.app.uftp.trading.demand import Chosen, Requested
from flexhub.app.uftp.trading.papers import Asked, Subject, UftpDay, UftpTrade, file_day, moved, traded
from flexhub.app.uftp.trading.reckoning import KeepVerdicts
from flexhub.app.uftp.trading.sending import NOTHING, Head, Sending, ask, asked_again, plain, revised
from flexhub.core.effects import Effect, SetTimer
from flexhub.core.errors import FlexhubError
from flexhub.mappings.uftp.requests import order_to_wire, request_to_wire
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.times import instant

CHOOSE: Final = "uftp.choose"
"""Timer: it is time to choose among the offers of a day."""


def _about(own: Own, partner: str, message: wire.Flex) -> Subject:
    return Subject(own.name, partner, message.period[:10], message.congestion_point)


class AskForFlexibility(FilePrognosis):
    """D-Prognosis.

    Interpretation: one in the conversation of a request of ours that can still be answered precedes an offer, which
    refers to it; the request stands.
    """

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:
        """What is traded at its point, and what goes on about its day."""
        assert isinstance(message, wire.DPrognosis)  # noqa: S101 - hooks are by type
        yield from super().needs(own, message)
        yield traded(own, message.congestion_point)
        yield _about(own, message.sender_domain, message).about

    def work(self, case: Case) -> Work:
        """What to ask is found out."""
        message = case.message
        assert isinstance(message, wire.DPrognosis)  # noqa: S101 - hooks are by type
        work, other = super().work(case), message.sender_domain
        trade = case.view.get(UftpTrade, traded(case.own, message.congestion_point).id)
        if trade is None or other not in trade.partners:
            return work
        subject = _about(case.own, other, message)
        day = case.view.get(UftpDay, subject.about.id) or UftpDay()
        asked = day.asked.get(other)
        waits = asked is not None and asked.conversation == message.conversation_id and asked.expires >= case.now
        effects = () if waits else (ask("uftp.request", subject.text),)
        day = moved(day, prognoses={**day.prognoses, other: message.message_id})
        return work._replace(puts=(*work.puts, file_day(subject, day)), effects=(*work.effects, *effects))


class LookAtOffer(FileOffer):
    """FlexOffer."""

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:
        """What is traded at its point."""
        assert isinstance(message, wire.FlexOffer)  # noqa: S101 - hooks are by type
        yield from super().needs(own, message)
        yield traded(own, message.congestion_point)

    def work(self, case: Case) -> Work:
        """Looked at, unless there is a time for that."""
        message = case.message
        assert isinstance(message, wire.FlexOffer)  # noqa: S101 - hooks are by type
        work = super().work(case)
        trade = case.view.get(UftpTrade, traded(case.own, message.congestion_point).id)
        if trade is None or message.sender_domain not in trade.partners or trade.choose_after is not None:
            return work
        return work._replace(effects=(*work.effects, ask("uftp.choose", _about(case.own, "", message).text)))


class OrderAnother(Hook):
    """FlexOrderResponse that rejects."""

    @staticmethod
    def _order(own: Own, message: wire.Payload, view: View) -> wire.FlexOrder | None:
        assert isinstance(message, wire.FlexOrderResponse)  # noqa: S101 - hooks are by type
        if message.result is wire.Result.ACCEPTED:
            return None
        kept = view.get(UftpMessage, place(own.domain, message.sender_domain, message.flex_order_message_id))
        told = None if kept is None else kept.entry().message
        return told if isinstance(told, wire.FlexOrder) else None

    def further(self, own: Own, message: wire.Payload, view: View) -> Iterable[Key]:
        """What goes on about the day."""
        order = self._order(own, message, view)
        return () if order is None else (_about(own, "", order).about,)

    def work(self, case: Case) -> Work:
        """Its offer is not ordered again."""
        order = self._order(case.own, case.message, case.view)
        if order is None:
            return Work()
        subject = _about(case.own, "", order)
        day = case.view.get(UftpDay, subject.about.id)
        if day is None or order.message_id not in day.orders or order.flex_offer_message_id is None:
            return Work()
        day = moved(day, refused=(*day.refused, order.flex_offer_message_id))
        return Work(puts=(file_day(subject, day),), effects=(ask("uftp.choose", subject.text),))


class SendRequest(Sending):
    """``uftp.request.result``."""

    def conversation(self, message: Message) -> str | None:
        """The prognosis's."""
        return value_of(message, Requested).conversation

    def papers(self, message: Message) -> Iterable[Key]:
        """What goes on about the day."""
        return (self.subject(message).about,)

    def outgoing(self, head: Head, message: Message, view: View | None) -> Iterable[wire.Payload]:  # noqa: ARG002 - as the base's
        """The request."""
        told = value_of(message, Requested)
        if told.request is not None:
            yield self._request(head, told)

    @staticmethod
    def _request(head: Head, told: Requested) -> wire.FlexRequest:
        assert told.request is not None  # noqa: S101 - looked at before
        return plain(request_to_wire(told.request, told.trade.context(kept=head.kept("request"))))

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Sent, unless there is a newer prognosis by now: that has its own."""
        told, subject, head = value_of(message, Requested), self.subject(message), self.head(message, now)
        day = view.get(UftpDay, subject.about.id) or UftpDay()
        if told.request is None or day.prognoses.get(head.partner) != told.prognosis or told.request.expires < now:
            return NOTHING
        request = revised(head, self._request(head, told), view)
        puts, effects = self.send(head, (request,), view)
        asked = Asked(
            message=request.message_id,
            conversation=request.conversation_id,
            expires=instant(request.expiration_date_time),
        )
        puts.append(file_day(subject, moved(day, asked={**day.asked, head.partner: asked})))
        if told.trade.choose_after is not None:
            due = min(now + told.trade.choose_after, asked.expires)
            effects.append(SetTimer(subject=subject._replace(partner="").text, event=CHOOSE, due=due))
        return Decision(answer=Answer(status=202), puts=tuple(puts), effects=tuple(effects))


class SendOrder(Sending):
    """``uftp.choose.result``; its subject names no partner, the answer does."""

    def head(self, message: Message, now: datetime) -> Head:
        """To whom the order goes."""
        return super().head(message, now)._replace(partner=value_of(message, Chosen).partner)

    def conversation(self, message: Message) -> str | None:
        """The offer's."""
        return value_of(message, Chosen).conversation

    def papers(self, message: Message) -> Iterable[Key]:
        """What goes on about the day."""
        return (self.subject(message).about,)

    def outgoing(self, head: Head, message: Message, view: View | None) -> Iterable[wire.Payload]:  # noqa: ARG002 - as the base's
        """The order."""
        told = value_of(message, Chosen)
        if told.order is not None:
            yield self._order(head, told)

    @staticmethod
    def _order(head: Head, told: Chosen) -> wire.FlexOrder:
        """Interpretation: an OrderReference is the MessageID, so that none stands twice."""
        assert told.order is not None  # noqa: S101 - looked at before
        kept = head.kept(f"order of {told.order.offer}")
        kept |= {
            "congestion_point": told.trade.point,
            "order_reference": kept["message_id"],
            "d_prognosis_message_id": told.prognosis,
        }
        return plain(order_to_wire(told.order, told.trade.context(kept=kept)))

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Sent, unless another order went out meanwhile; then what is still needed is looked for."""
        told, subject, head = value_of(message, Chosen), self.subject(message), self.head(message, now)
        day = view.get(UftpDay, subject.about.id) or UftpDay()
        if told.order is None:
            return NOTHING
        if len(day.orders) != told.seen:
            return asked_again("uftp.choose", subject.text)
        order = self._order(head, told)
        effects: list[Effect] = []
        try:
            puts, effects = self.send(head, (order,), view)
            day = moved(day, orders=(*day.orders, order.message_id))
        except FlexhubError:  # it was revoked, or expired, since it was looked at
            puts = []
            day = moved(day, refused=(*day.refused, told.order.offer or ""))
        puts.append(file_day(subject, day))
        return Decision(
            answer=Answer(status=202), puts=tuple(puts), effects=(*effects, ask("uftp.choose", subject.text))
        )


class Choose:
    """``timer.uftp.choose``."""

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """Nothing."""
        return ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        """What to order is found out."""
        return asked_again("uftp.choose", message.conversation)


def hooks() -> dict[type[wire.Payload], Hook]:
    """Type -> what a DSO makes of it."""
    return {
        wire.DPrognosis: AskForFlexibility(),
        wire.FlexOffer: LookAtOffer(),
        wire.FlexOrderResponse: OrderAnother(),
        wire.FlexSettlementResponse: KeepVerdicts(),
    }


def handlers(participants: Participants) -> dict[str, Handler]:
    """Kind -> handler."""
    return {
        "uftp.request.result": SendRequest(participants),
        "uftp.choose.result": SendOrder(participants),
        f"timer.{CHOOSE}": Choose(),
    }
