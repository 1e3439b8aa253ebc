"""Who answers what to bid: the portfolio is read from the store, the manager engine says what it can sell."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from flexhub.app.exchange.portfolio import every, portfolios
from flexhub.app.exchange.selling import OPEN, Position, Positions, Selling
from flexhub.app.exchange.sold import NOWHERE, Obligation
from flexhub.app.hub.contract import Asker, Question, Reads
from flexhub.core.errors import NotFoundError
from flexhub.engines.slots import ManagerEngine, Portfolio


class Supply(NamedTuple):
    """A session, and what there is to sell in it at each congestion point."""

    selling: Selling
    portfolios: dict[str, Portfolio]


class BidAsker:
    """Answers ``trader.bid``.

    Args:
        engine: says what a portfolio can sell, and what that costs by the offers' own prices.
        margin_eur_per_kwh: what the portfolio wants on top.
    """

    def __init__(self, engine: ManagerEngine, margin_eur_per_kwh: float) -> None:
        self._engine = engine
        self._margin_eur_per_kwh = margin_eur_per_kwh

    async def gather(self, question: Question, reads: Reads, now: datetime) -> Supply:
        """The offers that nothing was promised of yet: neither sold, nor on offer in another session."""
        selling = await reads.get(Selling, question.subject)
        if selling is None:
            raise NotFoundError("no such session", path="Selling/id", value=question.subject)
        name = selling.portfolio
        ahead = (now, now + timedelta(days=3660))
        others = await every(reads, Selling, owner=name, states=(OPEN,), overlapping=ahead)
        promised = {id_ for other in others for position in other.positions for id_ in position.offers}
        sold = await every(reads, Obligation, owner=name, overlapping=ahead)
        promised |= {id_ for obligation in sold for id_ in obligation.offers}
        found = await portfolios(name, reads, now)
        free = {
            point or NOWHERE: msgspec.structs.replace(
                portfolio, offers=tuple(o for o in portfolio.offers if o.id not in promised)
            )
            for point, portfolio in found.items()
        }
        return Supply(selling, {point: portfolio for point, portfolio in free.items() if portfolio.offers})

    def answer(self, arguments: Supply) -> Positions:
        """The engine's bids for slots of the session, in the portfolio's name."""
        selling, free = arguments
        session = selling.session
        ends = session.start + timedelta(seconds=session.resolution_s * len(session.demand_kwh))
        items: list[Position] = []
        for point, portfolio in sorted(free.items()):
            behind = tuple(o.id for o in portfolio.offers)
            for bid in self._engine.bid(portfolio):
                if not session.start <= bid.start < ends or bid.resolution_s != session.resolution_s:
                    continue
                named = msgspec.structs.replace(
                    bid,
                    id=f"{selling.portfolio}.{len(items) + 1}",
                    party=selling.portfolio,
                    price_eur_per_kwh=round(bid.price_eur_per_kwh + self._margin_eur_per_kwh, 6),
                )
                items.append(Position(bid=named, offers=behind, point=point))
        return Positions(items=tuple(items))


def askers(engine: ManagerEngine, margin_eur_per_kwh: float) -> dict[str, Asker]:
    """``<slot>.<question>`` -> who answers it."""
    return {"trader.bid": BidAsker(engine, margin_eur_per_kwh)}
