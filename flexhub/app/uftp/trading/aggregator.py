"""An AGR that trades by itself: what it makes of what it accepts, and of what its manager engine answers.

=================================== ======================================================================
D-Prognosis is asked for            the engine's baseline goes out
FlexRequest                         options are asked for; they go out as a FlexOffer, and members are held
D-Prognosis accepted                a request that waited for it is looked at again
FlexOffer rejected, revoked, over   its members are free
FlexOrder                           schedules are asked for, and assigned
Metering is asked for               readings go out, and what the day comes to is reckoned
FlexSettlement                      each item is accepted or disputed by that
=================================== ======================================================================

Interpretation: an offer is of the prognosis that it names. Where the courses of its members are no longer what the last
accepted D-Prognosis says, a new one goes out first, in the request's conversation; the offer follows once that is
accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from flexhub.app.exchange.market import value_of
from flexhub.app.exchange.papers import OFFERED, PLANNABLE, Fault, Held, file_held, file_offer
from flexhub.app.exchange.portfolio import course
from flexhub.app.exchange.running import assign, same_course
from flexhub.app.hub.contract import Answer, Decision, Further, Handler, Key, Message, Put, View
from flexhub.app.uftp.hooks import Case, Hook, Work
from flexhub.app.uftp.papers import UftpMessage, place
from flexhub.app.uftp.participants import Own, Participants
from flexhub.app.uftp.roles import FileOrder, FileRequest
from flexhub.app.uftp.trading.papers import (
    OPEN,
    OVER,
    TAKEN,
    Asked,
    Subject,
    UftpDay,
    UftpOffering,
    UftpTrade,
    file_day,
    file_offering,
    moved,
    trade_id,
    traded,
)
from flexhub.app.uftp.trading.reckoning import JudgeSettlement
from flexhub.app.uftp.trading.sending import NOTHING, Head, Sending, ask, asked_again, plain
from flexhub.app.uftp.trading.supply import Activated, Metered, Optioned, Prognosed
from flexhub.core.documents import decode
from flexhub.core.effects import Effect, SetTimer
from flexhub.core.errors import FlexhubError, NotFoundError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.timeseries import Measurement, Quality, SeriesKind, TimeSeries
from flexhub.core.trading import FlexRequest, Reference
from flexhub.engines.slots import Assignment, Offering
from flexhub.mappings.uftp.context import Context
from flexhub.mappings.uftp.offers import offer_to_wire
from flexhub.mappings.uftp.options import offer_of
from flexhub.mappings.uftp.requests import metering_to_wire, prognosis_to_core, prognosis_to_wire
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.times import instant

OFFERING: Final = "uftp.offering"
"""Timer: an offering can no longer be ordered."""
BEHIND: Final = timedelta(seconds=1)
"""An order of the last instant is in time; members are free this long after it."""


def trading(case: Case, point: str) -> UftpTrade | None:
    """What we trade at a point with who sent the message; None where nothing is."""
    trade = case.view.get(UftpTrade, trade_id(case.own.name, point))
    return trade if trade is not None and case.message.sender_domain in trade.partners else None


def free(offering: UftpOffering, view: View, now: datetime) -> tuple[tuple[Put, ...], tuple[Effect, ...]]:
    """The offering is over, and its members are free; `Held` of its portfolio was looked up."""
    held = view.get(Held, offering.portfolio) or Held()
    puts = file_offering(replace(offering, state=OVER)), file_held(offering.portfolio, held.freed(offering.id, now))
    return puts, (SetTimer(subject=offering.id, event=OFFERING, due=None),)


# -- what is accepted -------------------------------------------------------------------------------------------------


class AnswerRequest(FileRequest):
    """FlexRequest. Where we trade, it is no bound of ordinary plans: what is asked for is offered, and waits."""

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:
        """What is traded at its point, and what goes on about its day."""
        assert isinstance(message, wire.FlexRequest)  # noqa: S101 - hooks are by type
        yield from super().needs(own, message)
        yield traded(own, message.congestion_point)
        yield self._subject(own, message).about

    @staticmethod
    def _subject(own: Own, message: wire.Flex) -> Subject:
        return Subject(own.name, message.sender_domain, message.period[:10], message.congestion_point)

    def work(self, case: Case) -> Work:
        """Filed so that no plan keeps to it, and the engine asked."""
        assert isinstance(case.message, wire.FlexRequest)  # noqa: S101 - hooks are by type
        work = super().work(case)
        if trading(case, case.message.congestion_point) is None:
            return work
        message, subject = case.message, self._subject(case.own, case.message)
        filed, *others = work.puts
        asked = Asked(
            message=message.message_id,
            conversation=message.conversation_id,
            expires=instant(message.expiration_date_time),
        )
        day = moved(case.view.get(UftpDay, subject.about.id), request=asked)
        return work._replace(
            puts=(replace(filed, state=OFFERED), *others, file_day(subject, day)),
            effects=(*work.effects, ask("uftp.options", subject.text)),
        )

    def as_filed(self, case: Case, request: FlexRequest) -> FlexRequest:
        """Where we trade, absolute, by our newest prognosis, so that it says what the load may be."""
        assert isinstance(case.message, wire.FlexRequest)  # noqa: S101 - hooks are by type
        request = super().as_filed(case, request)
        if trading(case, case.message.congestion_point) is None:
            return request
        key = self._prognosis(case.own, case.message, case.view)
        kept = None if key is None else case.view.get(UftpMessage, key.id)
        told = None if kept is None else kept.entry().message
        if not isinstance(told, wire.DPrognosis):
            return request
        baseline = prognosis_to_core(told, Context()).value.values_kwh
        intervals = tuple(
            replace(
                i,
                lo_kwh=(i.lo_kwh or 0.0) + (baseline[i.slot] or 0.0),
                hi_kwh=(i.hi_kwh or 0.0) + (baseline[i.slot] or 0.0),
            )
            for i in request.intervals
        )
        return replace(request, intervals=intervals, reference=Reference.ABSOLUTE)

    def _prognosis(self, own: Own, message: wire.Payload, view: View) -> Key | None:
        assert isinstance(message, wire.FlexRequest)  # noqa: S101 - hooks are by type
        day = view.get(UftpDay, self._subject(own, message).about.id)
        if day is None or day.prognosis is None:
            return None
        return Key(UftpMessage, place(own.domain, message.sender_domain, day.prognosis))

    def further(self, own: Own, message: wire.Payload, view: View) -> Iterable[Key]:
        """Our newest prognosis of the day."""
        yield from super().further(own, message, view)
        key = self._prognosis(own, message, view)
        if key is not None:
            yield key


class GoOn(Hook):
    """D-PrognosisResponse: a request that waits is looked at again."""

    @staticmethod
    def _subject(own: Own, message: wire.Payload, view: View) -> Subject | None:
        assert isinstance(message, wire.DPrognosisResponse)  # noqa: S101 - hooks are by type
        kept = view.get(UftpMessage, place(own.domain, message.sender_domain, message.d_prognosis_message_id))
        told = None if kept is None else kept.entry().message
        if not isinstance(told, wire.DPrognosis):
            return None
        return Subject(own.name, message.sender_domain, told.period[:10], told.congestion_point)

    def further(self, own: Own, message: wire.Payload, view: View) -> Iterable[Key]:
        """What is traded, and goes on about the day."""
        subject = self._subject(own, message, view)
        return () if subject is None else (subject.trade, subject.about)

    def work(self, case: Case) -> Work:
        """It is our newest one, and the engine is asked again."""
        assert isinstance(case.message, wire.DPrognosisResponse)  # noqa: S101 - hooks are by type
        subject = self._subject(case.own, case.message, case.view)
        if subject is None or case.message.result is not wire.Result.ACCEPTED:
            return Work()
        if trading(case, subject.point) is None:
            return Work()
        day = moved(case.view.get(UftpDay, subject.about.id), prognosis=case.message.d_prognosis_message_id)
        waits = day.request is not None and day.request.expires >= case.now
        effects = (ask("uftp.options", subject.text),) if waits else ()
        return Work(puts=(file_day(subject, day),), effects=effects)


class FreeMembers(Hook):
    """FlexOfferResponse that rejects, and FlexOfferRevocationResponse that accepts: nobody can order any more."""

    @staticmethod
    def _offer(own: Own, message: wire.Payload, view: View) -> str | None:
        if isinstance(message, wire.FlexOfferResponse):
            return message.flex_offer_message_id if message.result is wire.Result.REJECTED else None
        assert isinstance(message, wire.FlexOfferRevocationResponse)  # noqa: S101 - hooks are by type
        about = message.flex_offer_revocation_message_id
        kept = view.get(UftpMessage, place(own.domain, message.sender_domain, about))
        told = None if kept is None else kept.entry().message
        revoked = isinstance(told, wire.FlexOfferRevocation) and message.result is wire.Result.ACCEPTED
        return told.flex_offer_message_id if revoked and isinstance(told, wire.FlexOfferRevocation) else None

    def further(self, own: Own, message: wire.Payload, view: View) -> Iterable[Key]:
        """The offering, then what is held."""
        offer = self._offer(own, message, view)
        if offer is None:
            return
        yield Key(UftpOffering, offer)
        yield Key(Held, own.party)

    def work(self, case: Case) -> Work:
        """Its members are free."""
        offer = self._offer(case.own, case.message, case.view)
        offering = None if offer is None else case.view.get(UftpOffering, offer)
        if offering is None or offering.state != OPEN or offering.portfolio != case.own.party:
            return Work()
        return Work(*free(offering, case.view, case.now))


class TakeOrder(FileOrder):
    """FlexOrder of an offering of ours."""

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:
        """The offering, and what is held."""
        assert isinstance(message, wire.FlexOrder)  # noqa: S101 - hooks are by type
        yield from super().needs(own, message)
        yield Key(Held, own.party)
        if message.flex_offer_message_id is not None:
            yield Key(UftpOffering, message.flex_offer_message_id)

    def work(self, case: Case) -> Work:
        """Its members stay held, and the engine is asked for their schedules."""
        assert isinstance(case.message, wire.FlexOrder)  # noqa: S101 - hooks are by type
        work = super().work(case)
        offer = case.message.flex_offer_message_id
        offering = None if offer is None else case.view.get(UftpOffering, offer)
        if offering is None or offering.state != OPEN or offering.day.partner != case.message.sender_domain:
            return work
        taken = replace(offering, state=TAKEN, order=case.message.message_id)
        held = (case.view.get(Held, offering.portfolio) or Held()).ordered(_starts(offering.offering.courses), case.now)
        return work._replace(
            puts=(*work.puts, file_offering(taken), file_held(offering.portfolio, held)),
            effects=(
                *work.effects,
                SetTimer(subject=offering.id, event=OFFERING, due=None),
                ask("uftp.activate", offering.id),
            ),
        )


def _starts(courses: Iterable[Assignment]) -> dict[str, datetime]:
    return {a.offer: a.schedule.start for a in courses}


# -- what the engine answers ------------------------------------------------------------------------------------------


def prognosis(head: Head, trade: UftpTrade, day: str, values_kwh: tuple[float, ...]) -> wire.DPrognosis:
    """A portfolio's baseline as a message."""
    whole = trade.day(day)
    series = TimeSeries(subject=trade.point, kind=SeriesKind.BASELINE, start=whole.first, values_kwh=values_kwh)
    return plain(prognosis_to_wire(series, trade.context(kept=head.kept("prognosis"))))


class SendPrognosis(Sending):
    """``uftp.prognosis.result``."""

    def papers(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the base's signature
        """None."""
        return ()

    def outgoing(self, head: Head, message: Message, view: View | None) -> Iterable[wire.Payload]:  # noqa: ARG002 - as the base's
        """The prognosis."""
        told = value_of(message, Prognosed)
        return (prognosis(head, told.trade, self.subject(message).day, told.values_kwh),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Sent."""
        head = self.head(message, now)
        puts, effects = self.send(head, self.outgoing(head, message, view), view)
        return Decision(answer=Answer(status=202), puts=tuple(puts), effects=tuple(effects))


class SendOffer(Sending):
    """``uftp.options.result``: the options go out, and their members are held; those of earlier offers are free."""

    def conversation(self, message: Message) -> str | None:
        """The request's."""
        return value_of(message, Optioned).conversation

    def papers(self, message: Message) -> Iterable[Key]:
        """What goes on about the day, what is held, members, and offerings that this one is instead of."""
        told = value_of(message, Optioned)
        yield self.subject(message).about
        yield Key(Held, told.trade.party)
        yield from (Key(UftpOffering, id_) for id_ in told.replaces)
        yield from (Key(FlexOffer, a.offer) for a in self._courses(told))

    @staticmethod
    def _courses(told: Optioned) -> tuple[Assignment, ...]:
        return () if told.offering is None or not told.offering.options.options else told.offering.courses

    def outgoing(self, head: Head, message: Message, view: View | None) -> Iterable[wire.Payload]:  # noqa: ARG002 - as the base's
        """A prognosis, or an offer and revocations of earlier ones."""
        told = value_of(message, Optioned)
        if told.request is None:
            return
        if told.offering is None:
            yield prognosis(head, told.trade, self.subject(message).day, told.baseline_kwh)
        elif told.offering.options.options:
            yield self._offer(head, told, told.offering)
            yield from (self._revocation(head, id_) for id_ in told.replaces)

    @staticmethod
    def _offer(head: Head, told: Optioned, offering: Offering) -> wire.FlexOffer:
        kept = head.kept(
            f"offer for {told.request}",
            congestion_point=told.trade.point,
            flex_request_message_id=told.request,
            d_prognosis_message_id=told.prognosis,
        )
        context = told.trade.context(kept=kept)
        return plain(offer_to_wire(offer_of(offering.options, context), context))

    @staticmethod
    def _revocation(head: Head, offer: str) -> wire.FlexOfferRevocation:
        return wire.FlexOfferRevocation(**head.kept(f"revocation of {offer}"), flex_offer_message_id=offer)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Sent, if the request still waits and all members are as they were when the engine was asked."""
        told, subject, head = value_of(message, Optioned), self.subject(message), self.head(message, now)
        day = view.get(UftpDay, subject.about.id)
        if day is None or day.request is None or day.request.message != told.request or day.request.expires < now:
            return NOTHING
        if told.offering is None:
            puts, effects = self.send(head, self.outgoing(head, message, view), view)
            return Decision(answer=Answer(status=202), puts=tuple(puts), effects=tuple(effects))
        offering = told.offering
        answered = file_day(subject, moved(day, request=None))
        if not offering.options.options or offering.options.expires <= now:
            return Decision(answer=Answer(status=200), puts=(answered,))
        held = view.get(Held, told.trade.party) or Held()
        if not all(self._as_it_was(a, told, held, view, now) for a in offering.courses):
            return asked_again("uftp.options", subject.text)
        offer = self._offer(head, told, offering)
        puts, effects = self.send(head, (offer,), view)
        for id_ in told.replaces:
            earlier = view.get(UftpOffering, id_)
            if earlier is None or earlier.state != OPEN:
                continue
            more = self.send(head, (self._revocation(head, id_),), view)
            held = held.freed(id_, now)
            puts += [*more[0], file_offering(replace(earlier, state=OVER))]
            effects += [*more[1], SetTimer(subject=id_, event=OFFERING, due=None)]
        kept = UftpOffering(id=offer.message_id, subject=subject.text, portfolio=told.trade.party, offering=offering)
        held = held.offered(kept.id, _starts(offering.courses), now)
        puts += [answered, file_offering(kept), file_held(kept.portfolio, held)]
        effects.append(SetTimer(subject=kept.id, event=OFFERING, due=offering.options.expires + BEHIND))
        return Decision(answer=Answer(status=202), puts=tuple(puts), effects=tuple(effects))

    @staticmethod
    def _as_it_was(member: Assignment, told: Optioned, held: Held, view: View, now: datetime) -> bool:
        offer = view.get(FlexOffer, member.offer)
        if offer is None or offer.recipient != told.trade.party or offer.state not in PLANNABLE:
            return False
        hold, own = held.holds(offer.id, now), course(offer)
        elsewhere = hold is not None and hold.by is not None and hold.by not in told.replaces
        return not elsewhere and own is not None and same_course(own, member.schedule)


class Expire(Further):
    """``timer.uftp.offering``: nobody has ordered."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The offering."""
        return (Key(UftpOffering, message.conversation),)

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """What is held."""
        offering = view.get(UftpOffering, message.conversation)
        return () if offering is None else (Key(Held, offering.portfolio),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Its members are free."""
        offering = view.get(UftpOffering, message.conversation)
        if offering is None or offering.state != OPEN:
            return NOTHING
        puts, _ = free(offering, view, now)
        return Decision(answer=Answer(status=200), puts=puts)


class Activate(Further):
    """``uftp.activate.result``: every member gets its schedule; a fault of one holds up no other."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The offering, and the members."""
        yield Key(UftpOffering, message.conversation)
        yield from (Key(FlexOffer, a.offer) for a in value_of(message, Activated).assignments)

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """What is held."""
        offering = view.get(UftpOffering, message.conversation)
        return () if offering is None else (Key(Held, offering.portfolio),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Assigned, and held until their schedules start.

        Raises:
            NotFoundError: no such offering.
        """
        offering, told = view.get(UftpOffering, message.conversation), value_of(message, Activated)
        if offering is None:
            raise NotFoundError("no such offering", path="UftpOffering/id", value=message.conversation)
        puts: list[Put] = []
        effects: list[Effect] = []
        faults = [Fault(offer=i, code="gone", message="it can no longer be assigned") for i in told.gone]
        starts: dict[str, datetime] = {}
        for assignment in told.assignments:
            try:
                step = assign(assignment, offering.portfolio, view, now)
            except FlexhubError as error:
                faults.append(Fault(offer=assignment.offer, code=error.code, message=str(error)))
                continue
            starts[assignment.offer] = assignment.schedule.start
            if step is not None:
                puts.append(file_offer(step[0]))
                effects += step[1]
        held = (view.get(Held, offering.portfolio) or Held()).ordered(starts, now)
        puts += [file_held(offering.portfolio, held), file_offering(replace(offering, faults=tuple(faults)))]
        return Decision(answer=Answer(status=200), puts=tuple(puts), effects=tuple(effects))


class NotActivated:
    """``uftp.activate.failed``: the engine has no schedules; the order stands, and so do the members' courses."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The offering."""
        return (Key(UftpOffering, message.conversation),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as every handler
        """Noted."""
        offering = view.get(UftpOffering, message.conversation)
        if offering is None:
            return NOTHING
        why = decode(Failed, message.body)
        fault = Fault(offer=offering.id, code=why.code, message=why.message)
        return Decision(answer=Answer(status=200), puts=(file_offering(replace(offering, faults=(fault,))),))


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a question that had no answer."""

    code: str
    message: str


class SendMetering(Sending):
    """``uftp.metering.result``: the readings go out, and what the day comes to is reckoned by them."""

    def papers(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the base's signature
        """None."""
        return ()

    def outgoing(self, head: Head, message: Message, view: View | None) -> Iterable[wire.Payload]:  # noqa: ARG002 - as the base's
        """A message for each meter that tells anything."""
        told, day = value_of(message, Metered), self.subject(message).day
        for meter in told.meters:
            if all(value is None for value in meter.values_kwh):
                continue
            flags = tuple(Quality.MISSING if value is None else Quality.MEASURED for value in meter.values_kwh)
            taken = Measurement(
                subject=meter.ean, start=told.trade.day(day).first, values_kwh=meter.values_kwh, quality=flags
            )
            yield plain(
                metering_to_wire(taken, told.trade.context(kept=head.kept(f"metering {meter.ean}", revision=1)))
            )

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Sent."""
        head = self.head(message, now)
        puts, effects = self.send(head, self.outgoing(head, message, view), view)
        effects.append(ask("uftp.reckon", self.subject(message)._replace(point="").text))
        return Decision(answer=Answer(status=202), puts=tuple(puts), effects=tuple(effects))


def hooks() -> dict[type[wire.Payload], Hook]:
    """Type -> what an AGR makes of it."""
    return {
        wire.FlexRequest: AnswerRequest(),
        wire.DPrognosisResponse: GoOn(),
        wire.FlexOfferResponse: FreeMembers(),
        wire.FlexOfferRevocationResponse: FreeMembers(),
        wire.FlexOrder: TakeOrder(),
        wire.FlexSettlement: JudgeSettlement(),
    }


def handlers(participants: Participants) -> dict[str, Handler]:
    """Kind -> handler."""
    return {
        "uftp.prognosis.result": SendPrognosis(participants),
        "uftp.options.result": SendOffer(participants),
        f"timer.{OFFERING}": Expire(),
        "uftp.activate.result": Activate(),
        "uftp.activate.failed": NotActivated(),
        "uftp.metering.result": SendMetering(participants),
    }
