"""The test set of the market slot. Engines with more capabilities have more tests of their own."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import msgspec

from flexhub.core.errors import DuplicateError, ExpiredError, FlexhubError, InvalidError
from flexhub.core.trading import Bid, Side
from flexhub.core.units import TOLERANCE_KWH
from flexhub.engines.slots import Book, Clearing, MarketEngine, MarketSession, Pricing
from flexhub.engines.testing import SlotTests, expect, refused

T0 = datetime(2026, 1, 12, tzinfo=UTC)
STEP = timedelta(minutes=15)
SESSION = MarketSession(
    id="session", opens=T0, closes=T0 + STEP, start=T0 + 4 * STEP, demand_kwh=(10.0, 5.0, 0.0), cutoff_eur_per_kwh=0.3
)


def bid(name: str, slot: int, quantity: float, price: float, party: str = "seller") -> Bid:
    """A sell bid for a slot of the session."""
    start = SESSION.start + slot * STEP
    return Bid(id=name, party=party, side=Side.SELL, start=start, quantity_kwh=quantity, price_eur_per_kwh=price)


BIDS = (
    bid("a", 0, 4, 0.10, "anna"),
    bid("b", 0, 4, 0.20, "bela"),
    bid("c", 0, 12, 0.20, "carl"),
    bid("d", 0, 9, 0.31),  # above the cut-off
    bid("e", 1, 3, 0.30),  # at the cut-off
    bid("f", 1, 9, 0.40),
    bid("g", 2, 9, 0.01),
)


class MarketTests(SlotTests[MarketEngine]):
    """What every market does with one-sided bids."""

    def book(self, bids: tuple[Bid, ...] = BIDS, pricing: Pricing = Pricing.UNIFORM) -> tuple[MarketEngine, Book]:
        """An engine, and a book with these bids."""
        engine = self.make()
        book = engine.open(msgspec.structs.replace(SESSION, pricing=pricing))
        for one in bids:
            book = engine.submit(book, one, T0)
        return engine, book

    def cleared(self, pricing: Pricing, bids: tuple[Bid, ...] = BIDS) -> Clearing:
        """The outcome."""
        engine, book = self.book(bids, pricing)
        return engine.clear(book)

    def test_takes_the_cheapest_up_to_the_demand_and_the_cut_off(self) -> None:
        """By hand: a whole; b and c share 6 kWh as 4 to 12; e at the cut-off; the rest is unserved."""
        for pricing in self.make().capabilities.pricing:
            clearing = self.cleared(pricing)
            taken = {t.bid: t.quantity_kwh for t in clearing.trades if t.quantity_kwh > TOLERANCE_KWH}
            _near(taken, {"a": 4.0, "b": 1.5, "c": 4.5, "e": 3.0})
            _near(dict(enumerate(clearing.unserved_kwh)), {0: 0.0, 1: 2.0, 2: 0.0})
            expect(clearing.prices_eur_per_kwh[2] is None, "a price where nothing was traded")

    def test_prices_as_it_says(self) -> None:
        """Uniform pays everyone the last accepted price, pay-as-bid its own."""
        for pricing in self.make().capabilities.pricing:
            paid = {t.bid: t.price_eur_per_kwh for t in self.cleared(pricing).trades if t.quantity_kwh > TOLERANCE_KWH}
            _near(paid, {"a": 0.2 if pricing is Pricing.UNIFORM else 0.1, "b": 0.2, "c": 0.2, "e": 0.3})

    def test_does_not_depend_on_the_order_of_submission(self) -> None:
        """The same bids in another order clear the same."""
        shuffled = list(BIDS)
        random.Random(7).shuffle(shuffled)  # noqa: S311 - a fixed permutation, no secret
        one, other = self.cleared(Pricing.UNIFORM), self.cleared(Pricing.UNIFORM, tuple(shuffled))
        expect({t.bid: t for t in one.trades} == {t.bid: t for t in other.trades}, "the order changes the trades")
        expect(one.prices_eur_per_kwh == other.prices_eur_per_kwh, "the order changes the prices")

    def test_shows_a_party_its_own_trades(self) -> None:
        """And no others."""
        engine, book = self.book()
        own = engine.result(engine.clear(book), "bela")
        expect([t.bid for t in own] == ["b"], f"bela sees {own}")

    def test_closes(self) -> None:
        """A bid before closing is taken, one after it is too late."""
        engine, book = self.book(())
        expect(engine.submit(book, BIDS[0], SESSION.closes - STEP / 2).bids == BIDS[:1], "a bid in time is not taken")
        with refused(ExpiredError, "a bid after closing"):
            engine.submit(book, BIDS[0], SESSION.closes + STEP)

    def test_takes_a_bid_once(self) -> None:
        """A repeat changes nothing, another bid of the same id is refused."""
        engine, book = self.book(BIDS[:1])
        try:
            again = engine.submit(book, BIDS[0], T0)
        except DuplicateError:
            again = book
        expect(again.bids == BIDS[:1], "a repeated bid counts twice")
        with refused(DuplicateError, "another bid of the same id"):
            engine.submit(book, msgspec.structs.replace(BIDS[0], quantity_kwh=5.0), T0)

    def test_refuses_bids_it_cannot_hold(self) -> None:
        """Outside the session, and what goes beyond the declared capabilities."""
        engine, book = self.book(())
        declared = engine.capabilities
        bad: list[tuple[str, dict[str, object]]] = [("outside", {"start": SESSION.start + 9 * STEP})]
        bad += [("two-sided", {"side": Side.BUY})] * (not declared.two_sided)
        bad += [("all or nothing", {"min_share": 1.0}), ("exclusive", {"exclusive_group": "x"})] * (not declared.blocks)
        bad += [("zones", {"zone": "north"})] * (not declared.network)
        for why, change in bad:
            with refused(InvalidError, why):
                engine.submit(book, msgspec.structs.replace(BIDS[0], **change), T0)

    def test_refuses_pricing_that_it_has_not(self) -> None:
        """A session beyond the capabilities does not open."""
        engine = self.make()
        for pricing in Pricing:
            try:
                engine.open(msgspec.structs.replace(SESSION, pricing=pricing))
            except FlexhubError:
                expect(pricing not in engine.capabilities.pricing, f"{pricing} is declared, but refused")
            else:
                expect(pricing in engine.capabilities.pricing, f"{pricing} is not declared, but taken")


def _near(
    found: dict[object, float] | dict[str, float] | dict[int, float], wanted: dict[str, float] | dict[int, float]
) -> None:
    same = found.keys() == wanted.keys() and all(abs(v - wanted[k]) <= TOLERANCE_KWH for k, v in found.items())  # type: ignore[index]  # keys are equal
    expect(same, f"{found} instead of {wanted}")
