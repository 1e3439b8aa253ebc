"""What a DSO finds by the reference operator: whether to ask an AGR, and which option of which offer to order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from flexhub.app.hub.contract import Question, Reads
from flexhub.app.uftp.participants import derived_id
from flexhub.app.uftp.trading.papers import Subject, UftpDay, UftpTrade
from flexhub.app.uftp.trading.reading import Said, said, trade_of
from flexhub.core.base import Model
from flexhub.core.options import Options
from flexhub.core.timeseries import TimeSeries
from flexhub.core.trading import FlexRequest, Order
from flexhub.engines.reference import operator
from flexhub.mappings.uftp.context import Context, Day
from flexhub.mappings.uftp.options import options_of
from flexhub.mappings.uftp.requests import prognosis_to_core
from flexhub.mappings.uftp.settlement import as_delivered
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.checks import powers
from flexhub.protocols.uftp.session import Stage

KINDS = (wire.DPrognosis, wire.FlexOffer, wire.FlexOrder)


class Requested(Model, frozen=True, kw_only=True):
    """What an AGR is asked; None where its load is within the limit. `prognosis` is what that was found from."""

    trade: UftpTrade
    prognosis: str | None = None
    conversation: str | None = None
    request: FlexRequest | None = None


class Chosen(Model, frozen=True, kw_only=True):
    """What is ordered; None where nothing is, or nothing more.

    `prognosis` is what the offer refers to, `conversation` the offer's, and `seen` how many orders there were before.
    """

    trade: UftpTrade
    partner: str = ""
    order: Order | None = None
    prognosis: str | None = None
    conversation: str | None = None
    seen: int = 0


class Grid(NamedTuple):
    """What is known of a day at a point: by AGR what was said; when it is, and what was tried."""

    trade: UftpTrade
    whole: Day
    told: Mapping[str, Said]
    day: UftpDay
    partner: str
    now: datetime
    id: str

    def prognosis(self, partner: str) -> wire.DPrognosis | None:
        """The newest."""
        found = self.told[partner].all(wire.DPrognosis, self.trade.point, ours=False)
        last = found[-1].message if found else None
        return last if isinstance(last, wire.DPrognosis) else None

    def load(self, partner: str) -> TimeSeries | None:
        """What an AGR takes: its newest prognosis, and what was ordered of it on that; None where it has told none."""
        last = self.prognosis(partner)
        if last is None:
            return None
        series = prognosis_to_core(last, Context()).value
        moved: dict[int, float] = {}
        offers = {e.message.message_id: e.message for e in self.told[partner].all(wire.FlexOffer)}
        for entry in self.told[partner].all(wire.FlexOrder, self.trade.point):
            order = entry.message
            assert isinstance(order, wire.FlexOrder)  # noqa: S101 - `all` says so
            if order.d_prognosis_message_id == last.message_id:
                offer = offers.get(order.flex_offer_message_id or "")
                ordered = as_delivered(order, offer if isinstance(offer, wire.FlexOffer) else None)
                for number, watts in powers(ordered.isps).items():
                    moved[number] = moved.get(number, 0.0) + self.whole.kwh(watts)
        values = tuple(None if kwh is None else kwh + moved.get(n, 0.0) for n, kwh in enumerate(series.values_kwh, 1))
        return msgspec.structs.replace(series, values_kwh=values)

    def needed(self, partner: str, expires: datetime, reserve_kw: float = 0.0) -> FlexRequest | None:
        """What is to change of an AGR's load, from then on, beside that of all others; None where nothing is."""
        load = self.load(partner)
        if load is None:
            return None
        others: dict[datetime, float] = {}
        for other in self.told:
            series = self.load(other) if other != partner else None
            for at, kwh in series.items() if series is not None else ():
                others[at] = others.get(at, 0.0) + (kwh or 0.0)
        ahead = tuple(kwh if at >= expires else None for at, kwh in load.items())
        asked = operator.Ask(
            id=derived_id("need", self.id, partner),
            issuer=self.trade.domain,
            recipient=partner,
            congestion_point=self.trade.point,
            created=self.now,
            expires=expires,
        )
        return operator.request(
            asked, msgspec.structs.replace(load, values_kwh=ahead), self.trade.limit_kw - reserve_kw, others
        )


async def grid(question: Question, reads: Reads, now: datetime) -> Grid:
    """What is known of a day at a point."""
    subject = Subject.of(question.subject)
    trade = await trade_of(reads, subject)
    whole = trade.day(subject.day)
    told = {p: await said(reads, trade.domain, p, whole, KINDS) for p in trade.partners}
    day = await reads.get(UftpDay, subject.about.id) or UftpDay()
    return Grid(trade, whole, told, day, subject.partner, now, question.id)


class RequestAsker:
    """Answers ``uftp.request``: what is asked of one AGR.

    Interpretation: ISPs that begin before the request expires are not asked about, since an order of the last instant
    would come too late for them.
    """

    async def gather(self, question: Question, reads: Reads, now: datetime) -> Grid:
        """All prognoses and orders."""
        return await grid(question, reads, now)

    def answer(self, arguments: Grid) -> Requested:
        """The request."""
        trade = arguments.trade
        last = arguments.prognosis(arguments.partner)
        if last is None:
            return Requested(trade=trade)
        wanted = arguments.needed(arguments.partner, arguments.now + trade.answer_within, trade.reserve_kw)
        return Requested(trade=trade, prognosis=last.message_id, conversation=last.conversation_id, request=wanted)


class ChooseAsker:
    """Answers ``uftp.choose``: which option of all open offers serves best.

    Interpretation: of several AGRs' offers, the one that leaves least unmet goes first, then the cheaper one; what is
    still needed then is looked for again.
    """

    async def gather(self, question: Question, reads: Reads, now: datetime) -> Grid:
        """All offers, and what they are about."""
        return await grid(question, reads, now)

    def answer(self, arguments: Grid) -> Chosen:
        """The best, by `operator.choose`; a kWh outside of the limit costs the highest price."""
        trade, now = arguments.trade, arguments.now
        seen = len(arguments.day.orders)
        best: tuple[tuple[float, Decimal, str], Chosen] | None = None
        for partner in trade.partners:
            needed = arguments.needed(partner, now)
            offers = self._open(arguments, partner) if needed is not None else {}
            if needed is None or not offers:
                continue
            options = {id_: one for id_, (one, _) in offers.items()}
            choice = operator.choose(needed, options, now, trade.highest_eur_per_kwh)
            if choice is None:
                continue
            offer = offers[choice.offer][1]
            found = Chosen(
                trade=trade,
                partner=partner,
                order=operator.order(choice, needed, derived_id("order", arguments.id, partner)),
                prognosis=offer.d_prognosis_message_id,
                conversation=offer.conversation_id,
                seen=seen,
            )
            key = choice.unmet_kwh, choice.price, partner
            if best is None or key < best[0]:
                best = key, found
        return Chosen(trade=trade, seen=seen) if best is None else best[1]

    @staticmethod
    def _open(found: Grid, partner: str) -> dict[str, tuple[Options, wire.FlexOffer]]:
        """Offers that can be ordered; those of an older prognosis can't: what they deviate from is not so any more."""
        last = found.prognosis(partner)
        offers: dict[str, tuple[Options, wire.FlexOffer]] = {}
        for entry in found.told[partner].all(wire.FlexOffer, found.trade.point):
            offer = entry.message
            assert isinstance(offer, wire.FlexOffer)  # noqa: S101 - `all` says so
            if entry.stage is not Stage.ACCEPTED or offer.message_id in found.day.refused or offer.currency != "EUR":
                continue
            if last is not None and offer.d_prognosis_message_id == last.message_id:
                offers[offer.message_id] = options_of(offer, prognosis_to_core(last, Context()).value), offer
        return offers
