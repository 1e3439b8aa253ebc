"""Puts trading together: what is configured, the moments of a day, what is asked for by hand, and who answers what.

    [[uftp.trade]]                                # an AGR, at one congestion point, with its DSO
    congestion_point = "ean.871685900012636543"
    partners = ["dso.example.com"]
    prognosis_before = "PT14H"
    metering_after = "PT2H"

    [[uftp.trade]]                                # a DSO, with the AGRs there: it has a limit
    congestion_point = "ean.871685900012636543"
    partners = ["agr.example.com"]
    limit = "250 kW"
    highest_price = "0.40 EUR/kWh"
    settle_after = "P1D"

Messages of the hub: ``uftp.trade.put`` (from the configuration), ``uftp.run`` (`Run`, asked for by hand), and timers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from flexhub.app.config import Config, UftpParticipantSection, UftpTradeSection
from flexhub.app.exchange.market import value_of
from flexhub.app.hub.contract import Answer, Asker, Decision, Due, Handler, Key, Message, View
from flexhub.app.uftp.hooks import Hook
from flexhub.app.uftp.outgoing import Run, What
from flexhub.app.uftp.participants import Participants
from flexhub.app.uftp.trading import aggregator, operator
from flexhub.app.uftp.trading.demand import ChooseAsker, RequestAsker
from flexhub.app.uftp.trading.papers import Subject, UftpTrade, end_of, file_trade, trade_id
from flexhub.app.uftp.trading.reckoning import AGAIN, KeepReckoned, ReckonAsker
from flexhub.app.uftp.trading.sending import NOTHING, SLOT, ask, asked_again
from flexhub.app.uftp.trading.supply import ActivateAsker, MeteringAsker, OptionsAsker, PrognosisAsker
from flexhub.core.effects import Effect, SetTimer
from flexhub.core.errors import ForbiddenError, InvalidError, NotFoundError
from flexhub.core.registry import Role
from flexhub.engines.slots import ManagerEngine
from flexhub.mappings.uftp.context import Day
from flexhub.protocols.uftp import messages as wire

DAY: Final = timedelta(days=1)


QUESTIONS: Final = {
    What.PROGNOSIS: ("uftp.prognosis", wire.Role.AGR),
    What.METERING: ("uftp.metering", wire.Role.AGR),
    What.SETTLEMENT: ("uftp.reckon", wire.Role.DSO),
}
"""What -> the question that it is, and who it is for."""


def questions(trade: UftpTrade, what: What, day: str) -> list[Effect]:
    """The question, of each partner. A settlement is of all points that are traded with it."""
    question, _ = QUESTIONS[what]
    point = "" if what is What.SETTLEMENT else trade.point
    return [ask(question, Subject(trade.own, partner, day, point).text) for partner in trade.partners]


class Moment:
    """When something is done about each local day: so long before it begins, or after it ends."""

    def __init__(self, what: What, field: str) -> None:
        self.what = what
        self._field = field

    @property
    def event(self) -> str:
        """Its timer's."""
        return f"uftp.{self.what}"

    def due(self, trade: UftpTrade, whole: Day) -> datetime | None:
        """When it is due for a day; None: only when asked."""
        length: timedelta | None = getattr(trade, self._field)
        if length is None:
            return None
        return whole.first - length if self.what is What.PROGNOSIS else end_of(whole) + length

    def of(self, trade: UftpTrade, due: datetime) -> Day | None:
        """The day for which it is due just then; None where no day is, since the configuration has changed."""
        length: timedelta | None = getattr(trade, self._field)
        if length is None:
            return None
        about = due + length if self.what is What.PROGNOSIS else due - length - timedelta(seconds=1)
        whole = trade.day_at(about)
        return whole if self.due(trade, whole) == due else None

    def timer(self, trade: UftpTrade, after: datetime) -> SetTimer:
        """The first of its moments that is later."""
        length: timedelta | None = getattr(trade, self._field)
        due: datetime | None = None
        if length is not None:
            about = after + length if self.what is What.PROGNOSIS else after - length
            days = (trade.day_at(about + n * DAY) for n in (-1, 0, 1, 2))
            due = min(at for day in days if (at := self.due(trade, day)) is not None and at > after)
        return SetTimer(subject=trade.id, event=self.event, due=due)


MOMENTS: Final = {
    wire.Role.AGR: (Moment(What.PROGNOSIS, "prognosis_before"), Moment(What.METERING, "metering_after")),
    wire.Role.DSO: (Moment(What.SETTLEMENT, "settle_after"),),
}


class PutTrade:
    """``uftp.trade.put``: what is traded is kept, and the timers of its moments are set.

    One that stays as it is says nothing, so that a moment that came while the hub was down is made up for.
    """

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """Nothing."""
        return ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        """Stored, and the timers set."""
        trade = value_of(message, UftpTrade)
        timers = tuple(moment.timer(trade, now) for moment in MOMENTS[trade.role])
        return Decision(answer=Answer(status=200, body=b"{}"), puts=(file_trade(trade),), effects=timers)


class Daily:
    """The timer of a moment: it asks for what is due, and sets the next one; none is left out that was missed."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    def needs(self, message: Message) -> Iterable[Key]:
        """What is traded."""
        return (Key(UftpTrade, message.conversation),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Asked. A prognosis of a day that is over is none."""
        trade, due = view.get(UftpTrade, message.conversation), value_of(message, Due).due
        if trade is None:
            return NOTHING
        effects: list[Effect] = [self._moment.timer(trade, due)]
        whole = self._moment.of(trade, due)
        late = whole is not None and self._moment.what is What.PROGNOSIS and end_of(whole) <= now
        if whole is not None and not late:
            effects += questions(trade, self._moment.what, whole.period)
        return Decision(answer=Answer(status=202), effects=tuple(effects))


class Again:
    """``timer.uftp.reckon``: what was lacking may be there by now."""

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """Nothing."""
        return ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        """Asked."""
        return asked_again("uftp.reckon", message.conversation)


class DoNow:
    """``uftp.run``."""

    def __init__(self, participants: Participants) -> None:
        self._participants = participants

    def _trades(self, run: Run) -> list[str]:
        _, role = QUESTIONS[run.what]
        own = [one for one in self._participants.own if one.role is role and run.domain in (None, one.domain)]
        return [trade_id(one.name, run.congestion_point) for one in own]

    def needs(self, message: Message) -> Iterable[Key]:
        """What is traded."""
        return [Key(UftpTrade, id_) for id_ in self._trades(value_of(message, Run))]

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - the handler's signature
        """Asked.

        Raises:
            ForbiddenError: only an admin may.
            NotFoundError: nothing is traded there by one of us that could.
            InvalidError: several of us trade there, or it is no day.
        """
        if message.role is not Role.ADMIN:
            raise ForbiddenError("not yours to ask for", path="Run")
        run = value_of(message, Run)
        found = [trade for id_ in self._trades(run) if (trade := view.get(UftpTrade, id_)) is not None]
        if not found:
            raise NotFoundError("nothing is traded there", path="Run/congestion_point", value=run.congestion_point)
        if len(found) > 1:
            raise InvalidError("several of us trade there", path="Run/domain")
        try:
            whole = found[0].day(run.day)
        except ValueError:
            raise InvalidError("not a day as 2026-03-29", path="Run/day", value=run.day[:80]) from None
        return Decision(
            answer=Answer(status=202, body=b"{}"), effects=tuple(questions(found[0], run.what, whole.period))
        )


def hooks() -> dict[type[wire.Payload], Hook]:
    """Type -> what is made of it, for those who trade and those who don't."""
    return aggregator.hooks() | operator.hooks()


def handlers(participants: Participants) -> dict[str, Handler]:
    """Kind -> handler."""
    moments = (moment for several in MOMENTS.values() for moment in several)
    return {
        "uftp.trade.put": PutTrade(),
        "uftp.run": DoNow(participants),
        **{f"timer.{moment.event}": Daily(moment) for moment in moments},
        f"timer.{AGAIN}": Again(),
        "uftp.reckon.result": KeepReckoned(participants),
        **aggregator.handlers(participants),
        **operator.handlers(participants),
    }


def askers(engine: ManagerEngine) -> dict[str, Asker]:
    """``<slot>.<question>`` -> who answers it."""
    found: dict[str, Asker] = {
        "uftp.prognosis": PrognosisAsker(engine),
        "uftp.options": OptionsAsker(engine),
        "uftp.activate": ActivateAsker(engine),
        "uftp.metering": MeteringAsker(),
        "uftp.reckon": ReckonAsker(),
        "uftp.request": RequestAsker(),
        "uftp.choose": ChooseAsker(),
    }
    return {f"{SLOT}.{question}": asker for question, asker in found.items()}


def trades(config: Config) -> Mapping[str, UftpTrade]:
    """What is configured to be traded, by the name that it is kept by."""
    if config.uftp is None:
        return {}
    found = [_trade(section, config.uftp.trader(section), config.hub.name) for section in config.uftp.trade]
    return {trade.id: trade for trade in found}


def _trade(section: UftpTradeSection, own: UftpParticipantSection, hub: str) -> UftpTrade:
    def plain(length: timedelta | None) -> timedelta | None:
        return None if length is None else timedelta(seconds=length.total_seconds())  # JSON knows no other

    assert own.time_zone is not None  # noqa: S101 - the section sees to it
    return UftpTrade(
        domain=own.domain,
        role=own.role,
        party=own.party or hub,
        point=section.congestion_point,
        partners=section.partners,
        zone=own.time_zone,
        penalty_eur=Decimal(repr(float(section.penalty))),
        margin=section.margin,
        offer_for=plain(section.offer_for) or DAY,
        prognosis_before=plain(section.prognosis_before),
        metering_after=plain(section.metering_after),
        limit_kw=float(section.limit or 0.0),
        reserve_kw=float(section.reserve),
        highest_eur_per_kwh=float(section.highest_price or 0.0),
        answer_within=plain(section.answer_within) or DAY,
        choose_after=plain(section.choose_after),
        settle_after=plain(section.settle_after),
    )
