"""A small real manager engine, a clock that is set, and offers to post: what tests of the exchange share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from flexhub.core.documents import encode
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.options import Options
from flexhub.core.trading import (
    Aggregate,
    Basis,
    Bid,
    Bill,
    BillLine,
    Contract,
    FlexRequest,
    Member,
    RequestInterval,
)
from flexhub.core.units import money
from flexhub.engines.slots import Acceptance, Account, Assignment, Offering, Plan, Portfolio, Terms

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
AGGREGATOR = "agr"


class Clock:
    """The time that a test says it is."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Greedy:
    """A manager that starts everything at the earliest and uses the least energy; it takes no offer under 1 kWh."""

    name = "greedy"

    def accept(self, offer: FlexOffer, contract: Contract, now: datetime) -> Acceptance:
        del contract, now
        most = sum(s.span_kwh()[1] for s in offer.profiles[0].slices)
        return Acceptance(accepted=most >= 1.0, reason="" if most >= 1.0 else f"{most:g} kWh is too little")

    def aggregate(self, offers: Sequence[FlexOffer]) -> list[Aggregate]:
        return [Aggregate(offer=o, members=(Member(o.id),), method="none") for o in offers]

    def plan(self, portfolio: Portfolio) -> Plan:
        return Plan(
            assignments=tuple(Assignment(offer=o.id, schedule=least(o, portfolio.now)) for o in portfolio.offers)
        )

    def disaggregate(self, aggregate: Aggregate, members: Sequence[FlexOffer], schedule: Schedule) -> list[Assignment]:
        del aggregate
        return [Assignment(offer=m.id, schedule=schedule) for m in members]

    def options(self, portfolio: Portfolio, request: FlexRequest, terms: Terms) -> Offering:
        del portfolio
        return Offering(
            options=Options(start=terms.start, baseline_kwh=(), options=(), expires=terms.until, request=request.id)
        )

    def activate(
        self, offering: Offering, offers: Sequence[FlexOffer], reference: str, factor: Decimal
    ) -> list[Assignment]:
        del offers, factor
        offering.options.option(reference)  # there is none
        return []

    def bid(self, portfolio: Portfolio) -> list[Bid]:
        del portfolio
        return []

    def settle(self, account: Account, bill_id: str) -> Bill:
        """One EUR per offer; factual once something was measured under it."""
        measured = {m.offer for m in account.measurements}
        lines = tuple(
            BillLine(
                item="activation",
                quantity=1,
                unit="1",
                unit_price_eur=1.0,
                amount=money(Decimal(1)),
                basis=Basis.FACTUAL if o.id in measured else Basis.PREDICTED,
                offer=o.id,
            )
            for o in account.offers
        )
        return Bill(
            id=bill_id,
            contract=account.contract.id,
            party=account.contract.prosumer,
            start=account.start,
            end=account.end,
            lines=lines,
        )


def least(offer: FlexOffer, now: datetime) -> Schedule:
    """The earliest schedule with the least energy."""
    start = max(offer.window(now)[0], now)
    slices = tuple(ScheduleSlice(energy_kwh=s.span_kwh()[0]) for s in offer.profiles[0].slices)
    return Schedule(start=start, slices=slices)


def make_offer(id_: str, issuer: str, *, now: datetime = NOON, hi_kwh: float = 2.0, slots: int = 4) -> FlexOffer:
    """An offer of `slots` slices of 0.5 to `hi_kwh` kWh, that starts one to three hours from now."""
    start = now + timedelta(hours=1)
    slices = tuple(Slice(energy_kwh=(EnergyRange(min(0.5, hi_kwh), hi_kwh),)) for _ in range(slots))
    return FlexOffer(
        id=id_,
        issuer=issuer,
        created=now,
        accept_before=now + timedelta(minutes=30),
        assign_before=now + timedelta(minutes=45),
        start_after=start,
        start_before=start + timedelta(hours=2),
        profiles=(Profile(slices=slices),),
        default_schedule=Schedule(start=start, slices=tuple(ScheduleSlice(energy_kwh=hi_kwh) for _ in range(slots))),
    )


def make_request(id_: str, issuer: str = "dso", *, now: datetime = NOON, revision: int = 0) -> FlexRequest:
    """A request for less, an hour from now."""
    return FlexRequest(
        id=id_,
        issuer=issuer,
        recipient=AGGREGATOR,
        congestion_point="ean.871685900012636543",
        created=now,
        expires=now + timedelta(hours=1),
        start=now + timedelta(hours=1),
        intervals=(RequestInterval(slot=0, hi_kwh=-1.0),),
        revision=revision,
    )


def make_contract(prosumer: str, *, aggregator: str = AGGREGATOR) -> Contract:
    """A contract that is in force at NOON."""
    return Contract(id=f"c-{prosumer}", prosumer=prosumer, aggregator=aggregator, valid_from=NOON - timedelta(days=1))


def without(value: msgspec.Struct, *names: str, **changed: object) -> bytes:
    """The JSON of a value, with fields left out or set to anything."""
    fields = msgspec.json.decode(encode(value))
    for name in names:
        fields.pop(name, None)
    return msgspec.json.encode({**fields, **changed})
