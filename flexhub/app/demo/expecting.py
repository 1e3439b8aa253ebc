"""A manager that expects what usually comes later: it plans around cars that have not arrived yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from flexhub.app.demo.grid import even
from flexhub.app.demo.scene import Scene
from flexhub.core.flexoffer import FlexOffer, Schedule
from flexhub.core.timegrid import QUARTER_HOUR_S, TimeGrid, instant_of, slot_of
from flexhub.core.timeseries import SeriesKind, TimeSeries
from flexhub.core.trading import Aggregate, Bid, Bill, Contract, FlexRequest
from flexhub.engines.slots import Acceptance, Account, Assignment, ManagerEngine, Offering, Plan, Portfolio, Terms


class Expected:
    """Load of arrivals that are still to come, the mean of earlier like days.

    A car that is to come is counted with its energy spread evenly over its stay: it will be planned, too, so it will
    not charge at once.
    """

    def __init__(self, scene: Scene) -> None:
        grid = TimeGrid(zone=scene.zone)
        self._parts: list[tuple[float, range, float]] = []
        for day, sessions in scene.like:
            # A like day's clock is laid over the day shown, local hour over local hour.
            shift_s = (scene.start - grid.day(day)[0]).total_seconds()
            for session in sessions:
                span, each = even(session, scene.power_kw, shift_s)
                self._parts.append((session.arrival.timestamp() + shift_s, span, each / len(scene.like)))

    def later_than(self, now: datetime) -> dict[int, float]:
        """Expected energy per slot (counted from the epoch) of cars that arrive after `now`, kWh."""
        load: dict[int, float] = {}
        for arrival, span, share in self._parts:
            if arrival > now.timestamp():
                for slot in span:
                    load[slot] = load.get(slot, 0.0) + share
        return load


class ExpectingManager:
    """A `ManagerEngine` that plans and offers as another one does, with the expected load beside what is committed.

    What is expected concerns the portfolio of `party` only; those who trade directly know nothing of it.
    """

    def __init__(self, engine: ManagerEngine, expected: Expected, party: str) -> None:
        self.name = engine.name
        self._party = party
        self._engine = engine
        self._expected = expected

    def plan(self, portfolio: Portfolio) -> Plan:
        """The plan of the engine behind, which is told what is expected as if it were committed."""
        if any(offer.recipient != self._party for offer in portfolio.offers):
            return self._engine.plan(portfolio)
        return self._engine.plan(self._expecting(portfolio))

    def _expecting(self, portfolio: Portfolio) -> Portfolio:
        expected = self._expected.later_than(portfolio.now)
        committed = portfolio.committed
        load = dict(expected)
        if committed is not None:
            first = slot_of(committed.start, committed.resolution_s)
            for i, value in enumerate(committed.values_kwh):
                load[first + i] = load.get(first + i, 0.0) + (value or 0.0)
        if not load:
            return portfolio
        first, last = min(load), max(load)
        series = TimeSeries(
            subject="expected" if committed is None else committed.subject,
            kind=SeriesKind.SCHEDULE,
            start=instant_of(first, QUARTER_HOUR_S),
            values_kwh=tuple(load.get(slot, 0.0) for slot in range(first, last + 1)),
        )
        return msgspec.structs.replace(portfolio, committed=series)

    def accept(self, offer: FlexOffer, contract: Contract, now: datetime) -> Acceptance:
        """As the engine behind."""
        return self._engine.accept(offer, contract, now)

    def aggregate(self, offers: Sequence[FlexOffer]) -> list[Aggregate]:
        """As the engine behind."""
        return self._engine.aggregate(offers)

    def disaggregate(self, aggregate: Aggregate, members: Sequence[FlexOffer], schedule: Schedule) -> list[Assignment]:
        """As the engine behind."""
        return self._engine.disaggregate(aggregate, members, schedule)

    def options(self, portfolio: Portfolio, request: FlexRequest, terms: Terms) -> Offering:
        """Those of the engine behind, which is told what is expected, as for a plan."""
        return self._engine.options(self._expecting(portfolio), request, terms)

    def activate(
        self, offering: Offering, offers: Sequence[FlexOffer], reference: str, factor: Decimal
    ) -> list[Assignment]:
        """As the engine behind."""
        return self._engine.activate(offering, offers, reference, factor)

    def bid(self, portfolio: Portfolio) -> list[Bid]:
        """As the engine behind."""
        return self._engine.bid(portfolio)

    def settle(self, account: Account, bill_id: str) -> Bill:
        """As the engine behind."""
        return self._engine.settle(account, bill_id)
