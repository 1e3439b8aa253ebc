"""Planning 1,000 charging sessions of 96 quarter-hours against a capacity that cannot be met by charging at once.

The peer is what a charging site does without a solver: car by car, each takes its energy from the earliest slots that
still have room, and what finds none is charged at once.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.figure import Figure
from flexhub.core.algebra.shape import Floats, bounds
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.judge import violations
from flexhub.core.trading import FlexRequest, Reference, RequestInterval
from flexhub.engines.reference.generator import ChargingSession, EvGenerator
from flexhub.engines.reference.manager import ReferenceManager
from flexhub.engines.slots import Portfolio

CARS = 1_000
SLOTS = 96
T0 = datetime(2026, 1, 12, tzinfo=UTC)


def portfolio() -> Portfolio:
    """Cars that stay a day, ask for 5 to 40 kWh, and a capacity that swings around what they need on average."""
    random = np.random.default_rng(1)
    wanted = random.uniform(5, 40, CARS)
    offers = tuple(
        EvGenerator().offer(
            ChargingSession(
                id=f"s{i}",
                station=f"cp{i}",
                arrival=T0,
                departure=T0 + timedelta(days=1),
                requested_kwh=kwh,
                max_power_kw=7.0,
            ),
            f"o{i}",
            "p",
            T0,
        )
        for i, kwh in enumerate(wanted.tolist())
    )
    room = wanted.sum() / SLOTS * (1.05 + 0.5 * np.sin(np.arange(SLOTS) / 8))
    request = FlexRequest(
        id="r",
        issuer="dso",
        recipient="agg",
        congestion_point="cp",
        created=T0,
        expires=T0 + timedelta(days=1),
        start=T0,
        reference=Reference.ABSOLUTE,
        intervals=tuple(RequestInterval(slot=i, hi_kwh=hi) for i, hi in enumerate(room.tolist())),
    )
    return Portfolio(now=T0, offers=offers, requests=(request,))


def greedy(offers: tuple[FlexOffer, ...], room: Floats) -> float:
    """Energy (kWh) beyond the room, filled first come, first served."""
    left, over = room.copy(), 0.0
    for offer in offers:
        _, hi = bounds(offer.profiles[0])
        total = offer.profiles[0].total_energy_kwh
        wanted = 0.0 if total is None else total.lo_kwh
        free = np.minimum(hi, np.maximum(left, 0.0))
        taken = np.diff(np.minimum(np.cumsum(free), wanted), prepend=0.0)
        left -= taken
        over += wanted - float(taken.sum())
    return over


def run() -> list[Figure]:
    """Seconds of the whole plan, from offers to judged member schedules, and how much of the request it serves."""
    case = portfolio()
    manager = ReferenceManager()
    began = time.perf_counter()
    plan = manager.plan(case)
    seconds = time.perf_counter() - began
    by_id = {o.id: o for o in case.offers}
    broken = sum(bool(violations(by_id[a.offer], a.schedule)) for a in plan.assignments)
    room = np.array([i.hi_kwh or 0.0 for i in case.requests[0].intervals])
    began = time.perf_counter()
    unmet = greedy(case.offers, room)
    naive = time.perf_counter() - began
    return [
        Figure(
            name=f"plan {CARS:,} charging sessions x {SLOTS} slots",
            value=seconds,
            unit="s",
            target=5.0,
            at_most=True,
            peer=naive,
            peer_name="first come, first served",
            note=f"{broken} schedules break a bound",
        ),
        Figure(
            name="load beyond the requested capacity",
            value=plan.unserved_kwh,
            unit="kWh",
            peer=unmet,
            peer_name="first come, first served",
        ),
    ]
