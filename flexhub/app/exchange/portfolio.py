"""Who answers the exchange's questions: the portfolio is read from the store, the manager engine works off the loop."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from flexhub.app.exchange import figures
from flexhub.app.exchange.papers import BINDING, PLANNABLE, Fault, Held, span
from flexhub.app.exchange.places import Places
from flexhub.app.exchange.running import Settlement
from flexhub.app.exchange.sold import NOWHERE, Obligation, sold_requests
from flexhub.app.hub.contract import Asker, Question, Reads
from flexhub.core.billing import BILLED, billed_at
from flexhub.core.errors import FlexhubError
from flexhub.core.flexoffer import FlexOffer, Schedule, State
from flexhub.core.registry import Connection, Resource
from flexhub.core.tariff import Tariff
from flexhub.core.timegrid import QUARTER_HOUR_S, TimeGrid, floor_to_grid, instant_of, slot_from, slot_of
from flexhub.core.timeseries import Measurement, SeriesKind, TimeSeries
from flexhub.core.trading import Basis, Bill, Contract, FlexRequest
from flexhub.engines.slots import Account, ManagerEngine, Plan, Portfolio, Refusal

T = TypeVar("T")

PAGE: Final = 1000
OPEN: Final = tuple(sorted(BILLED - {State.SETTLED, State.EXPIRED}))
"""States of offers whose part of a bill may still change."""

AHEAD: Final = timedelta(days=3660)
"""Later than anything that is on offer."""

RECENT: Final = timedelta(days=7)
"""So long after its time, what is no longer open is looked at again: offers that expired, and predictions on bills."""


async def every(reads: Reads, kind: type[T], **narrowed: object) -> list[T]:
    """All documents of a kind, page by page."""
    found: list[T] = []
    after: str | None = None
    while True:
        page = await reads.documents(kind, after=after, limit=PAGE, **narrowed)  # type: ignore[arg-type] # passed on
        found += page.items
        if page.next is None:
            return found
        after = page.next


class PlanAsker:
    """Answers ``manager.plan``: gathers an aggregator's portfolios and has the engine plan each of them.

    A portfolio is what stands behind one congestion point (`places`); one that fails holds up no other.
    """

    def __init__(self, engine: ManagerEngine) -> None:
        self._engine = engine

    async def gather(self, question: Question, reads: Reads, now: datetime) -> list[Portfolio]:
        """The aggregator's portfolios."""
        return list((await portfolios(question.subject, reads, now)).values())

    def answer(self, arguments: list[Portfolio]) -> Plan:
        """The engine's plans in one; nothing to plan is an empty plan. Offers of a plan that failed are refused."""
        plans = [self._plan(portfolio) for portfolio in arguments]
        return Plan(
            assignments=tuple(a for p in plans for a in p.assignments),
            refusals=tuple(r for p in plans for r in p.refusals),
            aggregates=tuple(a for p in plans for a in p.aggregates),
            aggregate_schedules=tuple(s for p in plans for s in p.aggregate_schedules),
            cost_eur=sum((p.cost_eur for p in plans), 0.0),
            unserved_kwh=sum((p.unserved_kwh for p in plans), 0.0),
        )

    def _plan(self, portfolio: Portfolio) -> Plan:
        try:
            return self._engine.plan(portfolio)
        except Exception as error:  # an engine is anyone's code
            reason = f"its portfolio could not be planned: {type(error).__name__}: {error}"
            return Plan(refusals=tuple(Refusal(offer=o.id, reason=reason) for o in portfolio.offers))


async def portfolios(
    aggregator: str, reads: Reads, now: datetime, *, also: tuple[FlexRequest, ...] = ()
) -> dict[str | None, Portfolio]:
    """Offers not started yet, what binds them, and the energy of offers that are executed or held; by point.

    What binds them are unexpired requests, and what was sold (`sold`); here `also` these, to see what would be.
    """
    held = await reads.get(Held, aggregator) or Held()
    states = (*PLANNABLE, State.EXECUTING)
    offers = [o for o in await every(reads, FlexOffer, states=states) if o.recipient == aggregator]
    kept = [o for o in offers if o.state is State.EXECUTING or held.holds(o.id, now)]
    open_ = [o for o in offers if o.state in PLANNABLE and movable(o, now) and not held.holds(o.id, now)]
    # What is asked for a time that no offer reaches can't be planned: it would only make the plan longer.
    until = max((span(o)[1] for o in open_), default=now)
    binding = {"states": (BINDING,), "overlapping": (now, until)}
    requests = await every(reads, FlexRequest, **binding) if until > now else []
    tried = {r.id for r in also}
    requests = [r for r in (*requests, *also) if r.recipient == aggregator and r.expires > now]
    requests = [r for r in requests if r.id not in tried or r in also]
    places = Places(
        await every(reads, Connection), await every(reads, Resource), {r.congestion_point for r in requests}
    )
    open_at, kept_at = by_point(places, open_), by_point(places, kept)
    sold = await every(reads, Obligation, owner=aggregator, overlapping=(now, until)) if until > now else []
    requests += sold_requests(sold, offers, now)
    tariffs = await every(reads, Tariff, overlapping=(now, until)) if until > now else []
    told = prices((t for t in tariffs if t.recipient == aggregator), now, until)
    found_at: dict[str | None, Portfolio] = {}
    for point, found in open_at.items():
        fixed = committed(kept_at.get(point, ()), aggregator)
        if told:
            fixed = covering(fixed, aggregator, now, until)
        found_at[point] = Portfolio(
            now=now,
            offers=tuple(found),
            requests=tuple(r for r in requests if r.congestion_point == (point or NOWHERE)),
            committed=fixed,
            prices_eur_per_kwh=() if fixed is None else priced(told, fixed),
        )
    return found_at


def prices(tariffs: Iterable[Tariff], now: datetime, until: datetime) -> dict[int, float]:
    """Slot since the epoch -> EUR/kWh, of what tariffs say between now and then; of several the newest counts."""
    found: dict[int, float] = {}
    for tariff in sorted(tariffs, key=lambda t: t.created):
        for i, price in enumerate(tariff.prices_eur_per_kwh):
            at = tariff.start + timedelta(seconds=i * tariff.resolution_s)
            if price is not None and tariff.resolution_s == QUARTER_HOUR_S and now <= at < until:
                found[slot_of(at, QUARTER_HOUR_S)] = price
    return found


def covering(series: TimeSeries | None, subject: str, now: datetime, until: datetime) -> TimeSeries:
    """The same energies on all slots that offers may reach, since prices stand on those."""
    since = floor_to_grid(now, QUARTER_HOUR_S)
    first, last = slot_of(since, QUARTER_HOUR_S), slot_from(until, QUARTER_HOUR_S)
    energies = dict.fromkeys(range(first, last), 0.0)
    if series is not None:
        at = slot_of(series.start, series.resolution_s)
        energies |= {at + i: kwh or 0.0 for i, kwh in enumerate(series.values_kwh)}
    slots = range(min(energies), max(energies) + 1)
    values = tuple(energies.get(slot, 0.0) for slot in slots)
    start = instant_of(slots[0], QUARTER_HOUR_S)
    return TimeSeries(subject=subject, kind=SeriesKind.SCHEDULE, start=start, values_kwh=values)


def priced(told: dict[int, float], fixed: TimeSeries) -> tuple[float, ...]:
    """Prices on the slots of a series; none where no tariff says any.

    Interpretation: a slot of which no tariff speaks costs what those that are told cost in the mean, so that it
    neither draws energy nor repels it.
    """
    if not told:
        return ()
    mean = sum(told.values()) / len(told)
    first = slot_of(fixed.start, QUARTER_HOUR_S)
    return tuple(told.get(first + i, mean) for i in range(len(fixed.values_kwh)))


def by_point(places: Places, offers: Iterable[FlexOffer]) -> dict[str | None, list[FlexOffer]]:
    """The offers behind each congestion point; None for those of which it isn't known."""
    found: dict[str | None, list[FlexOffer]] = {}
    for offer in offers:
        found.setdefault(places.point_of(offer), []).append(offer)
    return found


def movable(offer: FlexOffer, now: datetime) -> bool:
    """Whether a schedule may still be assigned: the first until its deadline, another until it starts."""
    return now < (offer.schedule.start if offer.schedule is not None else offer.assign_deadline(now))


def course(offer: FlexOffer) -> Schedule | None:
    """What the offer does if nothing more is asked of it: its schedule, or else its default schedule."""
    return offer.schedule or offer.default_schedule


def committed(offers: Iterable[FlexOffer], subject: str) -> TimeSeries | None:
    """Energy per quarter-hour of what these offers do if nothing more is asked of them."""
    parts = [
        figures.Part(o.id, own.start, o.resolution_s, own.per_slot_kwh())
        for o in offers
        if (own := course(o)) is not None
    ]
    if not parts:
        return None
    since = min(p.start for p in parts)
    until = max(p.start + timedelta(seconds=p.resolution_s * len(p.values_kwh)) for p in parts)
    series = figures.total(subject, SeriesKind.SCHEDULE, parts, since, until)
    values = tuple(v or 0.0 for v in series.values_kwh)
    return TimeSeries(subject=subject, kind=SeriesKind.SCHEDULE, start=series.start, values_kwh=values)


class Due(NamedTuple):
    """What a settlement run works on: an account and its bill's id, and which offers of it are not settled yet."""

    account: Account
    bill_id: str
    executed: tuple[str, ...]


class SettleAsker:
    """Answers ``manager.settle``: one account per contract and local day whose bill may change."""

    def __init__(self, engine: ManagerEngine, grid: TimeGrid) -> None:
        self._engine = engine
        self._grid = grid

    async def gather(self, question: Question, reads: Reads, now: datetime) -> tuple[datetime, list[Due]]:
        """Every account with an open offer, one that expired lately, or a prediction on its bill, with all its offers.

        The bill is looked at because the offer that was predicted may have been taken back, or moved to another day.
        """
        contracts = {c.id: c for c in await every(reads, Contract) if c.aggregator == question.subject}
        lately = (now - RECENT, now + AHEAD)
        open_offers = await every(reads, FlexOffer, states=OPEN)
        open_offers += await every(reads, FlexOffer, states=(State.EXPIRED,), overlapping=lately)
        days = {self._account(o) for o in open_offers if o.contract in contracts}
        bills = await every(reads, Bill, overlapping=lately)
        days |= {(b.contract, b.start, b.end) for b in bills if b.contract in contracts and _predicted(b)}
        due: list[Due] = []
        for contract_id, start, end in sorted(days):
            contract = contracts[contract_id]
            offers = await every(
                reads,
                FlexOffer,
                owner=contract.prosumer,
                states=sorted(BILLED),
                overlapping=(start, end + timedelta(days=1)),
            )
            offers = [o for o in offers if self._account(o) == (contract_id, start, end)]
            readings = await every(
                reads, Measurement, owner=contract.prosumer, overlapping=(start, end + timedelta(days=1))
            )
            own = {o.id for o in offers}
            account = Account(
                contract=contract,
                offers=tuple(offers),
                measurements=tuple(r for r in readings if r.offer in own),
                start=start,
                end=end,
            )
            executed = tuple(o.id for o in offers if o.state is State.EXECUTED)
            due.append(Due(account, f"{contract_id}@{start:%Y%m%dT%H%MZ}", executed))
        return now, due

    def _account(self, offer: FlexOffer) -> tuple[str, datetime, datetime]:
        """An offer is billed on the local day on which it starts."""
        return offer.contract or "", *self._grid.day(self._grid.locate(billed_at(offer))[0])

    def answer(self, arguments: tuple[datetime, list[Due]]) -> Settlement:
        """The engine's bills. What fails for one account is told, and holds up no other."""
        at, due = arguments
        bills: list[Bill] = []
        offers: list[str] = []
        faults: list[Fault] = []
        for item in due:
            try:
                bills.append(self._engine.settle(item.account, item.bill_id))
            except FlexhubError as error:
                faults.append(Fault(offer=item.bill_id, code=error.code, message=str(error)))
                continue
            offers += item.executed
        return Settlement(at=at, bills=tuple(bills), offers=tuple(offers), faults=tuple(faults))


def _predicted(bill: Bill) -> bool:
    return any(line.basis is Basis.PREDICTED for line in bill.lines)


def build(engine: ManagerEngine, grid: TimeGrid) -> dict[str, Asker]:
    """``<slot>.<question>`` -> who answers it."""
    return {"manager.plan": PlanAsker(engine), "manager.settle": SettleAsker(engine, grid)}
