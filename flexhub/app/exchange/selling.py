"""Trading from a portfolio: sessions that a market tells of are bid in, and what was sold binds every later plan.

The market gets bids and nothing else. What stands behind each of them stays here: it is needed to know how much of what
was sold is planned already.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from flexhub.app.exchange.auction import Deal, Round
from flexhub.app.exchange.market import value_of
from flexhub.app.exchange.sold import NOWHERE, Obligation, file_obligation
from flexhub.app.hub.contract import Answer, Decision, Handler, Key, Message, Put, View
from flexhub.app.hub.told import Heard, stream_id, told_of
from flexhub.core.base import Id, Model
from flexhub.core.documents import decode, encode
from flexhub.core.effects import Ask, Send
from flexhub.core.errors import NotFoundError
from flexhub.core.timegrid import QUARTER_HOUR_S
from flexhub.core.trading import Bid
from flexhub.engines.slots import MarketSession

TRADER: Final = "trader"
TOPICS: Final = ("session", "trade")
"""What a market tells of."""

OPEN, CLEARED = "open", "cleared"


class Position(Model, frozen=True, kw_only=True):
    """A bid, and the offers that stand behind it at one congestion point."""

    bid: Bid
    offers: tuple[Id, ...]
    point: Id = NOWHERE


class Positions(Model, frozen=True, kw_only=True):
    """What a portfolio offers in a session."""

    items: tuple[Position, ...] = ()


class Selling(Model, frozen=True, kw_only=True):
    """A session of a market, as one portfolio takes part in it."""

    portfolio: Id
    market: Id
    session: MarketSession
    positions: tuple[Position, ...] = ()
    cleared: bool = False

    @property
    def id(self) -> str:
        """Each portfolio's own."""
        return selling_id(self.portfolio, self.session.id)


def selling_id(portfolio: str, session: str) -> str:
    """Where a session is filed."""
    return f"{portfolio}/{session}"


def file_selling(selling: Selling) -> Put:
    """A session, filed under the portfolio."""
    session = selling.session
    ends = session.start + timedelta(seconds=session.resolution_s * len(session.demand_kwh))
    state = CLEARED if selling.cleared else OPEN
    key = Key(Selling, selling.id)
    return Put(key=key, value=selling, owner=selling.portfolio, state=state, starts=session.start, ends=ends)


class SessionTold:
    """``told.session``: a session that is open is bid in; one that is cleared is over."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The session as the portfolio knows it."""
        told = told_of(message)
        return (Key(Selling, selling_id(told.party, decode(Round, told.body).id)),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Whoever bids for the portfolio is asked."""
        told = told_of(message)
        round_ = decode(Round, told.body)
        known = view.get(Selling, selling_id(told.party, round_.id))
        if round_.cleared:
            over = () if known is None else (file_selling(msgspec.structs.replace(known, cleared=True)),)
            return Decision(answer=Answer(status=204), puts=over)
        if known is not None or now >= round_.session.closes or round_.session.resolution_s != QUARTER_HOUR_S:
            return Decision(answer=Answer(status=204))
        selling = Selling(portfolio=told.party, market=told.peer, session=round_.session)
        ask = Ask(slot=TRADER, question="bid", subject=selling.id)
        return Decision(answer=Answer(status=202), puts=(file_selling(selling),), effects=(ask,))


class BidResult:
    """``bid.result``: what the portfolio offers is kept, and the bids go to the market."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The session."""
        return (Key(Selling, message.conversation),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Sent, while the gate is open."""
        selling = view.get(Selling, message.conversation)
        if selling is None:
            raise NotFoundError("no such session", path="Selling/id", value=message.conversation)
        positions = value_of(message, Positions).items
        session = selling.session
        if now >= session.closes or not positions:
            return Decision(answer=Answer(status=204))
        sends = tuple(
            Send(
                peer=stream_id(selling.market, selling.portfolio),
                message_id=f"{session.id}.{position.bid.id}",
                conversation=f"{session.id}/{position.bid.id}",
                path=f"/market/{session.id}/bid",
                media_type="application/json",
                body=encode(position.bid),
                expires=session.closes,
            )
            for position in positions
        )
        put = file_selling(msgspec.structs.replace(selling, positions=positions))
        return Decision(answer=Answer(status=200), puts=(put,), effects=sends)


class TradeTold:
    """``told.trade``: what was sold binds every later plan."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The session, where the bid stands."""
        told = told_of(message)
        return (Key(Selling, selling_id(told.party, decode(Deal, told.body).session)),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - the handler's signature
        """Kept.

        Raises:
            NotFoundError: it is of no bid of the portfolio.
        """
        told = told_of(message)
        deal = decode(Deal, told.body)
        selling = view.get(Selling, selling_id(told.party, deal.session))
        positions = () if selling is None else selling.positions
        behind = next((p for p in positions if p.bid.id == deal.trade.bid), None)
        if behind is None or deal.trade.party != told.party:
            raise NotFoundError("no such bid", path="Trade/bid", value=deal.trade.bid)
        obligation = Obligation(
            portfolio=told.party, session=deal.session, trade=deal.trade, offers=behind.offers, point=behind.point
        )
        return Decision(answer=Answer(status=204), puts=(file_obligation(obligation),))


def handlers() -> dict[str, Handler]:
    """Kind -> handler, for a hub that trades."""
    return {
        "told.session": Heard(SessionTold()),
        "told.trade": Heard(TradeTold()),
        "bid.result": BidResult(),
    }
