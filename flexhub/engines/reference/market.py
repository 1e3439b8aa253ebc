"""The reference market: a one-sided pool with a cut-off price (KIBERnet).

A grid operator or balance party demands an amount per slot and names the highest price. Sell bids are taken cheapest
first up to the amount; bids of the same price share what is left for them in proportion to their quantities.
"""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime, timedelta

import msgspec
import numpy as np

from flexhub.core.algebra.shape import Floats
from flexhub.core.errors import DuplicateError, ExpiredError, InvalidError
from flexhub.core.timegrid import on_grid
from flexhub.core.trading import Bid, Side, Trade
from flexhub.engines.slots import Book, Capabilities, Clearing, MarketSession, Pricing


class Pool:
    """A `MarketEngine`. Uniform: everyone gets the price of the last accepted bid; pay as bid: everyone its own."""

    name = "pool"
    capabilities = Capabilities(pricing=(Pricing.UNIFORM, Pricing.PAY_AS_BID))

    def open(self, session: MarketSession) -> Book:
        """An empty book.

        Raises:
            InvalidError: a session that cannot be held.
        """
        if session.closes <= session.opens:
            raise InvalidError("closes is not after opens", path="MarketSession/closes")
        if not on_grid(session.start, session.resolution_s):
            raise InvalidError(f"{session.start:%FT%TZ} is not the start of a slot", path="MarketSession/start")
        if not session.demand_kwh or not all(0 <= d < math.inf for d in session.demand_kwh):
            raise InvalidError("demand is a finite amount, 0 or more, of each slot", path="MarketSession/demand_kwh")
        if not math.isfinite(session.cutoff_eur_per_kwh):
            raise InvalidError("the cut-off price is a finite number", path="MarketSession/cutoff_eur_per_kwh")
        return Book(session=session)

    def submit(self, book: Book, bid: Bid, now: datetime) -> Book:
        """The book with the bid; the same bid again changes nothing.

        Raises:
            ExpiredError: the session has closed.
            InvalidError: it has not opened, or the pool cannot hold such a bid.
            DuplicateError: another bid has this id.
        """
        session = book.session
        if now >= session.closes:
            raise ExpiredError(f"closed at {session.closes:%FT%TZ}", path="Bid")
        if now < session.opens:
            raise InvalidError(f"opens at {session.opens:%FT%TZ}", path="Bid")
        self._check(session, bid)
        for known in book.bids:
            if known.id == bid.id:
                if known != bid:
                    raise DuplicateError("another bid has this id", path="Bid/id", value=bid.id)
                return book
        return msgspec.structs.replace(book, bids=(*book.bids, bid))

    def _check(self, session: MarketSession, bid: Bid) -> None:
        if bid.side is not Side.SELL:
            raise InvalidError("only sell bids: the demand is the session's", path="Bid/side", value=bid.side)
        if bid.resolution_s != session.resolution_s:
            raise InvalidError(f"slots have {session.resolution_s} s", path="Bid/resolution_s")
        if not on_grid(bid.start, bid.resolution_s) or not 0 <= _slot(session, bid) < len(session.demand_kwh):
            raise InvalidError(f"{bid.start:%FT%TZ} is not a slot of the session", path="Bid/start")
        if bid.min_share > 0:
            raise InvalidError("any part of a bid may be taken here, not a least share", path="Bid/min_share")
        if bid.exclusive_group is not None:
            raise InvalidError("bids are independent here, not exclusive", path="Bid/exclusive_group")
        if bid.zone != "all":
            raise InvalidError("this market has one zone, 'all'", path="Bid/zone", value=bid.zone)

    def clear(self, book: Book) -> Clearing:
        """Merit order, slot by slot; O(n log n). The slot's price is that of its last accepted bid.

        Bids are put in order of price and id first, so that not even rounding depends on how they came.
        """
        session = book.session
        by_slot: defaultdict[int, list[Bid]] = defaultdict(list)
        for bid in sorted(book.bids, key=lambda b: (b.price_eur_per_kwh, b.id)):
            by_slot[_slot(session, bid)].append(bid)
        trades: list[Trade] = []
        prices: list[float | None] = []
        unserved: list[float] = []
        for slot, demand in enumerate(session.demand_kwh):
            bids = [b for b in by_slot[slot] if b.price_eur_per_kwh <= session.cutoff_eur_per_kwh]
            taken = _merit_order(
                np.array([b.price_eur_per_kwh for b in bids]), np.array([b.quantity_kwh for b in bids]), demand
            )
            accepted = [(b, q) for b, q in zip(bids, taken.tolist(), strict=True) if q > 0]
            price = accepted[-1][0].price_eur_per_kwh if accepted else None
            prices.append(price)
            unserved.append(max(0.0, demand - float(taken.sum())))
            for bid, quantity in accepted:
                own = bid.price_eur_per_kwh if session.pricing is Pricing.PAY_AS_BID or price is None else price
                trades.append(
                    Trade(
                        bid=bid.id,
                        party=bid.party,
                        side=bid.side,
                        start=bid.start,
                        quantity_kwh=quantity,
                        price_eur_per_kwh=own,
                        resolution_s=bid.resolution_s,
                        zone=bid.zone,
                    )
                )
        return Clearing(
            session=session.id, trades=tuple(trades), prices_eur_per_kwh=tuple(prices), unserved_kwh=tuple(unserved)
        )

    def result(self, clearing: Clearing, party: str) -> list[Trade]:
        """The party's own trades."""
        return [t for t in clearing.trades if t.party == party]


def _slot(session: MarketSession, bid: Bid) -> int:
    return (bid.start - session.start) // timedelta(seconds=session.resolution_s)


def _merit_order(price: Floats, quantity: Floats, demand: float) -> Floats:
    """Accepted quantities, float64[n], of bids in order of price.

    Bids of one price form a class with quantity Q behind cheaper ones with quantity B: each gets the share
    ``clip((demand - B) / Q, 0, 1)``. Every class but one is taken wholly or not at all.
    """
    if not len(price):
        return quantity
    first = np.flatnonzero(np.diff(price, prepend=-np.inf))
    size = np.diff(np.append(first, len(price)))
    total = np.add.reduceat(quantity, first)
    before = np.concatenate(([0.0], np.cumsum(total)[:-1]))
    share = np.clip((demand - before) / total, 0.0, 1.0)
    return np.asarray(quantity * np.repeat(share, size))
