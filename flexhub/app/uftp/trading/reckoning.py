"""What a day's orders come to: either side reckons it from its own messages; the AGR judges the DSO's settlement by it.

Interpretation: Metering names no congestion point. A meter counts at the point whose own EAN it bears, or that it is
registered at (`Connection.ean`), or else at the only point that is traded with its sender.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple, TypeVar

from msgspec.structs import replace

from flexhub.app.exchange.market import value_of
from flexhub.app.exchange.portfolio import every
from flexhub.app.hub.contract import Answer, Decision, Key, Message, Question, Reads, View
from flexhub.app.uftp.hooks import Case, Hook, Work
from flexhub.app.uftp.papers import UftpMessage, place
from flexhub.app.uftp.participants import Own, derived_id
from flexhub.app.uftp.roles import FileSettlement
from flexhub.app.uftp.trading.papers import (
    Dispute,
    Subject,
    UftpReckoned,
    UftpTrade,
    end_of,
    file_reckoned,
    trade_id,
)
from flexhub.app.uftp.trading.reading import STANDING, Said, said
from flexhub.app.uftp.trading.sending import NOTHING, Head, Sending, plain
from flexhub.core.base import Model
from flexhub.core.documents import encode
from flexhub.core.effects import Notify, SetTimer
from flexhub.core.errors import InvalidError, NotFoundError
from flexhub.core.registry import Connection
from flexhub.core.trading import Bill
from flexhub.mappings.uftp.context import Day
from flexhub.mappings.uftp.settlement import Record, bill_of, judged, reckon, settlement_to_wire
from flexhub.protocols.uftp import messages as wire

M = TypeVar("M", bound=wire.Payload)

AGAIN: Final = "uftp.reckon"
"""Timer: a DSO tries again to settle a day; what it needed had not come."""
AGAIN_AFTER: Final = timedelta(hours=1)
AT_MOST: Final = timedelta(days=14)
"""A DSO tries again every hour, for this long after the day; then only when asked."""

KINDS: Final = (wire.DPrognosis, wire.FlexOffer, wire.FlexOrder, wire.Metering)


class Reckoned(Model, frozen=True, kw_only=True):
    """What a day's accepted orders come to, at all points; `why` there is nothing, where something is lacking."""

    trade: UftpTrade
    items: tuple[wire.FlexOrderSettlement, ...] = ()
    why: str | None = None


class Books(NamedTuple):
    """A day with a partner: what was said, what is traded, and where meters are registered."""

    trades: Sequence[UftpTrade]
    whole: Day
    told: Said
    registered: dict[str, str]


class ReckonAsker:
    """Answers ``uftp.reckon``."""

    async def gather(self, question: Question, reads: Reads, now: datetime) -> Books:  # noqa: ARG002 - as every asker
        """All messages of the day.

        Raises:
            NotFoundError: nothing is traded with the partner any more.
        """
        subject = Subject.of(question.subject)
        trades = [t for t in await every(reads, UftpTrade) if t.own == subject.own and subject.partner in t.partners]
        if not trades:
            raise NotFoundError("nothing is traded with it", path="Subject/partner", value=subject.partner)
        whole = trades[0].day(subject.day)
        told = await said(reads, trades[0].domain, subject.partner, whole, KINDS)
        connections = await every(reads, Connection)
        registered = {
            c.ean.removeprefix("ean."): c.congestion_point
            for c in connections
            if c.ean is not None and c.congestion_point is not None
        }
        return Books(trades, whole, told, registered)

    def answer(self, arguments: Books) -> Reckoned:
        """Reckoned, point by point."""
        trades, _, told, registered = arguments
        penalties = {t.point: t.penalty_eur for t in trades}
        accepted = [e.message for e in told.all(wire.FlexOrder) if e.stage in STANDING]
        by_point: dict[str, list[wire.FlexOrder]] = {}
        for order in accepted:
            assert isinstance(order, wire.FlexOrder)  # noqa: S101 - `all` says so
            by_point.setdefault(order.congestion_point, []).append(order)
        items: list[wire.FlexOrderSettlement] = []
        try:
            for point, found in sorted(by_point.items()):
                record = Record(
                    orders=found,
                    offers=_by_id(told, wire.FlexOffer),
                    prognoses=_by_id(told, wire.DPrognosis),
                    meterings=_metered(told, point, registered, [t.point for t in trades]),
                )
                items += reckon(record, penalties.get(point, Decimal(0)))
        except InvalidError as error:
            return Reckoned(trade=trades[0], why=str(error))
        return Reckoned(trade=trades[0], items=tuple(items))


def _by_id(told: Said, kind: type[M]) -> dict[str, M]:
    return {e.message.message_id: e.message for e in told.entries if isinstance(e.message, kind)}


def _metered(told: Said, point: str, registered: Mapping[str, str], points: Sequence[str]) -> tuple[wire.Metering, ...]:
    """The readings that count at a point."""
    found = (e.message for e in told.all(wire.Metering))
    own = {traded.removeprefix("ean."): traded for traded in points}

    def at(meter: wire.Metering) -> str | None:
        digits = meter.ean[1:]
        return own.get(digits) or registered.get(digits) or (points[0] if len(points) == 1 else None)

    return tuple(meter for meter in found if isinstance(meter, wire.Metering) and at(meter) == point)


class KeepReckoned(Sending):
    """``uftp.reckon.result``: an AGR keeps it, a DSO tells it, too.

    What came to the same as before is not told again; what is lacking, a DSO waits for.
    """

    def papers(self, message: Message) -> Iterable[Key]:
        """What was reckoned before."""
        return (self.subject(message).reckoned,)

    def outgoing(self, head: Head, message: Message, view: View | None) -> Iterable[wire.Payload]:
        """A DSO's settlement."""
        told, subject = value_of(message, Reckoned), self.subject(message)
        if told.items and head.own.role is wire.Role.DSO:
            known = None if view is None else view.get(UftpReckoned, subject.reckoned.id)
            yield self._settlement(head, subject, told, known)

    @staticmethod
    def _settlement(head: Head, subject: Subject, told: Reckoned, known: UftpReckoned | None) -> wire.FlexSettlement:
        before = "" if known is None else known.settlement
        context = told.trade.context(kept=head.kept(f"settlement {subject.day} after {before}"), items=told.items)
        return plain(settlement_to_wire(_bill(head, subject, told), context))

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Kept, and sent."""
        told, subject, head = value_of(message, Reckoned), self.subject(message), self.head(message, now)
        pays = head.own.role is wire.Role.DSO
        if told.why is not None:
            late = now >= end_of(told.trade.day(subject.day)) + AT_MOST
            again = () if late or not pays else (SetTimer(subject=subject.text, event=AGAIN, due=now + AGAIN_AFTER),)
            return Decision(answer=Answer(status=200, body=encode({"lacking": told.why})), effects=again)
        known = view.get(UftpReckoned, subject.reckoned.id)
        if not told.items or (known is not None and known.items == told.items):
            return NOTHING
        reckoned = UftpReckoned(items=told.items, bill=_bill(head, subject, told))
        if not pays:
            return Decision(answer=Answer(status=200), puts=(file_reckoned(subject, reckoned),))
        settlement = self._settlement(head, subject, told, known)
        puts, effects = self.send(head, (settlement,), view)
        puts.append(file_reckoned(subject, replace(reckoned, settlement=settlement.message_id)))
        return Decision(answer=Answer(status=202), puts=tuple(puts), effects=tuple(effects))


def _bill(head: Head, subject: Subject, told: Reckoned) -> Bill:
    """The AGR's bill: ours, or the partner's."""
    party = head.partner if head.own.role is wire.Role.DSO else head.own.party
    days = subject.day, subject.day
    return bill_of(told.items, told.trade.context(), derived_id("bill", subject.reckoned.id), party, days)


class JudgeSettlement(FileSettlement):
    """FlexSettlement: what is traded is judged by what we reckoned; the rest is accepted, since we know no better."""

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:
        """What is traded where, and what the days came to."""
        assert isinstance(message, wire.FlexSettlement)  # noqa: S101 - hooks are by type
        yield from super().needs(own, message)
        for item in message.flex_order_settlements:
            yield Key(UftpTrade, trade_id(own.name, item.congestion_point))
            yield _day(own, message, item).reckoned

    def work(self, case: Case) -> Work:
        """The bill as it is told, and a verdict on each item."""
        assert isinstance(case.message, wire.FlexSettlement)  # noqa: S101 - hooks are by type
        work, message = super().work(case), case.message
        own: dict[str, wire.FlexOrderSettlement] = {}
        for item in message.flex_order_settlements:
            known = case.view.get(UftpReckoned, _day(case.own, message, item).reckoned.id)
            own |= {mine.order_reference or "": mine for mine in (known.items if known is not None else ())}
        statuses = [
            status
            if case.view.get(UftpTrade, trade_id(case.own.name, item.congestion_point)) is not None
            else wire.FlexOrderSettlementStatus(order_reference=item.order_reference, disposition=wire.Verdict.ACCEPTED)
            for item, status in zip(message.flex_order_settlements, judged(message, own), strict=True)
        ]
        return work._replace(content={**work.content, "flex_order_settlement_statuses": tuple(statuses)})


def _day(own: Own, message: wire.FlexSettlement, item: wire.FlexOrderSettlement, partner: str | None = None) -> Subject:
    return Subject(own.name, partner or message.sender_domain, item.period[:10], "")


class KeepVerdicts(Hook):
    """FlexSettlementResponse: what the AGR disputes is kept, and our party told."""

    @staticmethod
    def _asked(own: Own, message: wire.Payload, view: View) -> list[Subject]:
        assert isinstance(message, wire.FlexSettlementResponse)  # noqa: S101 - hooks are by type
        other = message.sender_domain
        kept = view.get(UftpMessage, place(own.domain, other, message.flex_settlement_message_id))
        told = None if kept is None else kept.entry().message
        if not isinstance(told, wire.FlexSettlement):
            return []
        return list(dict.fromkeys(_day(own, told, item, other) for item in told.flex_order_settlements))

    def further(self, own: Own, message: wire.Payload, view: View) -> Iterable[Key]:
        """What the days came to."""
        return [subject.reckoned for subject in self._asked(own, message, view)]

    def work(self, case: Case) -> Work:
        """Kept."""
        assert isinstance(case.message, wire.FlexSettlementResponse)  # noqa: S101 - hooks are by type
        message = case.message
        disputed = {
            status.order_reference or "": status.dispute_reason or ""
            for status in message.flex_order_settlement_statuses
            if status.disposition is wire.Verdict.DISPUTED
        }
        puts, effects = [], []
        for subject in self._asked(case.own, message, case.view):
            known = case.view.get(UftpReckoned, subject.reckoned.id)
            if known is None or known.settlement != message.flex_settlement_message_id:
                continue
            references = [item.order_reference or "" for item in known.items]
            disputes = tuple(Dispute(order=r, reason=disputed[r]) for r in references if r in disputed)
            puts.append(file_reckoned(subject, replace(known, answered=True, disputes=disputes)))
            if disputes:
                effects.append(
                    Notify(party=case.own.party, topic="uftp.disputed", subject=known.settlement, body=disputes)
                )
        return Work(puts=tuple(puts), effects=tuple(effects))
