"""Options of 1,000 charging sessions of 96 quarter-hours for a request of two hours, and an order of one in part."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal

import msgspec

from benchmarks.figure import Figure
from benchmarks.planning import CARS, SLOTS, T0, portfolio
from flexhub.core.judge import violations
from flexhub.core.trading import Contract, FlexRequest, Reference, RequestInterval
from flexhub.engines.reference.manager import ReferenceManager
from flexhub.engines.slots import Portfolio, Terms

KINDS = 5
"""Contracts that pay differently for what is moved."""
CUT_KWH = 600.0
"""What is to be left out in each slot of the first two hours; by default cars charge at 7 kW there."""


def case() -> tuple[Portfolio, FlexRequest, Terms]:
    """The sessions of `benchmarks.planning` under contracts, and what is asked of them."""
    plain = portfolio()
    contracts = tuple(
        Contract(id=f"c{i}", prosumer="p", aggregator="agg", valid_from=T0, per_deviation_eur_per_kwh=0.02 * (i + 1))
        for i in range(KINDS)
    )
    offers = tuple(msgspec.structs.replace(o, contract=f"c{i % KINDS}") for i, o in enumerate(plain.offers))
    request = msgspec.structs.replace(
        plain.requests[0],
        reference=Reference.BASELINE,
        intervals=tuple(RequestInterval(slot=i, lo_kwh=-2 * CUT_KWH, hi_kwh=-CUT_KWH) for i in range(8)),
    )
    terms = Terms(until=T0, start=T0, end=T0 + timedelta(days=1), margin=0.1)
    return Portfolio(now=T0, offers=offers, contracts=contracts), request, terms


def run() -> list[Figure]:
    """Seconds from the portfolio to priced options with the members' schedules, and from an order to schedules."""
    asked, request, terms = case()
    manager = ReferenceManager()
    began = time.perf_counter()
    offering = manager.options(asked, request, terms)
    seconds = time.perf_counter() - began
    option = offering.options.options[0]
    began = time.perf_counter()
    parts = manager.activate(offering, asked.offers, option.reference, Decimal("0.5"))
    activated = time.perf_counter() - began
    by_id = {o.id: o for o in asked.offers}
    broken = sum(bool(violations(by_id[p.offer], p.schedule)) for p in parts)
    told = ", ".join(f"{o.reference} {o.price} EUR" for o in offering.options.options)
    return [
        Figure(
            name=f"options of {CARS:,} charging sessions x {SLOTS} slots",
            value=seconds,
            unit="s",
            target=3.0,
            at_most=True,
            note=f"{told}; {len(offering.behind[option.reference])} members move",
        ),
        Figure(
            name="activate half of an option",
            value=activated,
            unit="s",
            target=0.5,
            at_most=True,
            note=f"{len(parts)} schedules, {broken} break a bound",
        ),
    ]
