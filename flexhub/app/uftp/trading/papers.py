"""What a hub keeps of its trading: what is traded where, what goes on about a day, offerings, and what days came to.

A `Subject` says what a question, a timer or a document is about; its text stands for it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from flexhub.app.exchange.papers import Fault
from flexhub.app.hub.contract import Key, Put
from flexhub.app.uftp.participants import Own
from flexhub.core.base import Id, Instant, Model
from flexhub.core.trading import Bill
from flexhub.engines.slots import Offering
from flexhub.mappings.uftp.context import Context, Day, day, day_of
from flexhub.protocols.uftp import messages as wire

OPEN, TAKEN, OVER = "open", "taken", "over"
"""Of an offering: nobody has ordered yet; an option was ordered; it expired, was revoked or rejected."""


class Subject(NamedTuple):
    """One of us (``ROLE.domain``), another's domain, a local day and a congestion point; empty: all of them."""

    own: str
    partner: str
    day: str
    point: str

    @property
    def text(self) -> str:
        """As questions, timers and documents name it; the point last, since anything may stand in one."""
        return "|".join(self)

    @staticmethod
    def of(text: str) -> Subject:
        """The inverse of `text`."""
        return Subject(*text.split("|", 3))

    @property
    def trade(self) -> Key:
        """What is traded there."""
        return Key(UftpTrade, trade_id(self.own, self.point))

    @property
    def about(self) -> Key:
        """What goes on about the day at the point, whoever the partner is."""
        return Key(UftpDay, self._replace(partner="").text)

    @property
    def reckoned(self) -> Key:
        """What the day came to with the partner, at all points."""
        return Key(UftpReckoned, self._replace(point="").text)


def trade_id(own: str, point: str) -> str:
    """What is traded at a point by one of us (``ROLE.domain``) is kept by this."""
    return f"{own}|{point}"


def traded(own: Own, point: str) -> Key:
    """What we trade at a point."""
    return Key(UftpTrade, trade_id(own.name, point))


class UftpTrade(Model, frozen=True, kw_only=True):
    """What one of us trades at a congestion point, as configured; kept by `trade_id`.

    Args:
        domain, role, party: of our participant.
        point: the congestion point.
        partners: the other domains: of an AGR its DSO, of a DSO its AGRs.
        zone: of local days.
        penalty_eur: for a MW that lacks over an ISP.
        margin, offer_for: of an AGR: added to what options cost, as a share; how long they can be ordered.
        prognosis_before, metering_after: of an AGR: so long before its day a D-Prognosis is sent, and so long after it
            Metering; None: only when asked.
        limit_kw, reserve_kw, highest_eur_per_kwh: of a DSO: what the load may be, what is asked for beyond that, and
            what a kWh outside the limit costs it at most.
        answer_within, choose_after: of a DSO: how long a request can be answered, and when it chooses among the
            offers; None: at every offer.
        settle_after: of a DSO: so long after its day a settlement is sent; None: only when asked.
    """

    domain: Id
    role: wire.Role
    party: Id
    point: str
    partners: tuple[Id, ...]
    zone: str
    penalty_eur: Decimal = Decimal(0)
    margin: float = 0.0
    offer_for: timedelta = timedelta(hours=1)
    prognosis_before: timedelta | None = None
    metering_after: timedelta | None = None
    limit_kw: float = 0.0
    reserve_kw: float = 0.0
    highest_eur_per_kwh: float = 0.0
    answer_within: timedelta = timedelta(hours=1)
    choose_after: timedelta | None = None
    settle_after: timedelta | None = None

    @property
    def own(self) -> str:
        """As `Own.name`."""
        return f"{self.role}.{self.domain}"

    @property
    def id(self) -> str:
        """What it is kept by."""
        return trade_id(self.own, self.point)

    def context(self, **more: object) -> Context:
        """For mappings."""
        return Context(time_zone=self.zone, **more)  # type: ignore[arg-type] # Context's own fields

    def day(self, period: str) -> Day:
        """The ISPs of a local day."""
        return day(period, self.zone, ISP)

    def day_at(self, moment: datetime) -> Day:
        """The local day that holds an instant."""
        return day_of(moment, self.context())

    def subject(self, partner: str, period: str) -> Subject:
        """A day of it."""
        return Subject(self.own, partner, period, self.point)


ISP: Final = "PT15M"
"""Interpretation: plans are made in quarter-hours, and so is what is traded by itself."""


def end_of(whole: Day) -> datetime:
    """First instant behind a local day."""
    return whole.start(whole.count + 1)


class Asked(Model, frozen=True, kw_only=True):
    """A FlexRequest, and until when it can be answered."""

    message: str
    conversation: str
    expires: Instant


class UftpDay(Model, frozen=True, kw_only=True):
    """What goes on about one local day at one point.

    Args:
        request: of an AGR: the newest FlexRequest that it has not answered yet.
        prognosis: of an AGR: its newest D-Prognosis that was accepted.
        prognoses: of a DSO: by AGR the newest D-Prognosis.
        asked: of a DSO: by AGR its own newest FlexRequest.
        orders: of a DSO: MessageIDs of its FlexOrders, rejected ones as well.
        refused: of a DSO: offers that it ordered in vain; it orders none twice.
    """

    request: Asked | None = None
    prognosis: str | None = None
    prognoses: dict[str, str] = {}
    asked: dict[str, Asked] = {}
    orders: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


class UftpOffering(Model, frozen=True, kw_only=True):
    """What stands behind a FlexOffer of ours, by whose MessageID it is kept.

    `order` is the MessageID of the FlexOrder that took it; `faults` tell which members do not do their part.
    """

    id: str
    subject: str
    portfolio: Id
    offering: Offering
    state: str = OPEN
    order: str | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def day(self) -> Subject:
        """What it is about."""
        return Subject.of(self.subject)


class Dispute(Model, frozen=True, kw_only=True):
    """An item of a settlement that the AGR disputes, and why."""

    order: str
    reason: str


class UftpReckoned(Model, frozen=True, kw_only=True):
    """What the orders of a day with one partner come to by our own messages; `Subject.reckoned`.

    `settlement` is the MessageID of the FlexSettlement that told it, and `answered` whether the other has said what it
    says to it; `disputes` are what it found wrong. Those are a DSO's.
    """

    items: tuple[wire.FlexOrderSettlement, ...]
    bill: Bill
    settlement: str | None = None
    answered: bool = False
    disputes: tuple[Dispute, ...] = ()


def file_trade(trade: UftpTrade) -> Put:
    """What is traded, filed under our party."""
    return Put(key=Key(UftpTrade, trade.id), value=trade, owner=trade.party)


def file_day(subject: Subject, value: UftpDay) -> Put:
    """What goes on about a day, filed under us."""
    return Put(key=subject.about, value=value, owner=subject.own)


def file_offering(offering: UftpOffering) -> Put:
    """An offering, filed under its portfolio; it is found by its state while it is open."""
    options = offering.offering.options
    ends = options.start + timedelta(seconds=options.resolution_s * len(options.baseline_kwh))
    return Put(
        key=Key(UftpOffering, offering.id),
        value=offering,
        owner=offering.portfolio,
        state=offering.state,
        starts=options.start,
        ends=ends,
    )


def file_reckoned(subject: Subject, value: UftpReckoned) -> Put:
    """What a day came to, filed under the partner."""
    return Put(key=subject.reckoned, value=value, owner=subject.partner, starts=value.bill.start, ends=value.bill.end)


def moved(day_: UftpDay | None, **changes: object) -> UftpDay:
    """A day with other values."""
    return msgspec.structs.replace(day_ or UftpDay(), **changes)
