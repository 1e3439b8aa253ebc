"""20,000 and 200,000 batteries and cars of 96 quarter-hours: what each does at given prices, and plans for their sum.

The peer of the oracle is HiGHS, on the members one by one as a linear program, of a few of them and scaled up.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Final

import highspy
import msgspec
import numpy as np

from benchmarks.algebra_slices import timed
from benchmarks.figure import Figure
from flexhub.core.algebra.columns import Squares, disaggregate, optimise
from flexhub.core.algebra.oracle import has_compiler, respond
from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import Floats

SLOTS: Final = 96
TARGETS: Final = {20_000: (0.1, 1.5), 200_000: (0.5, 15.0)}
"""Members -> seconds at most, compiled and with numpy alone."""
SOLVED: Final = 50
ROUNDS: Final = 3


def fleet(members: int, seed: int = 1) -> Storage:
    """Half batteries of half an hour to four hours at full power, half cars with a fixed total."""
    random = np.random.default_rng(seed)
    batteries = members // 2
    cars = members - batteries
    lo, hi = np.zeros((SLOTS, members)), np.zeros((SLOTS, members))
    floor, ceiling = np.full((SLOTS, members), -np.inf), np.full((SLOTS, members), np.inf)
    power = random.uniform(0.5, 3, batteries)
    capacity = power * random.uniform(2, 16, batteries)
    charge = capacity * random.uniform(0, 1, batteries)
    lo[:, :batteries], hi[:, :batteries] = -power, power
    floor[:, :batteries], ceiling[:, :batteries] = -charge, capacity - charge
    arrival = random.integers(0, SLOTS - 30, cars)
    stay = random.integers(8, 30, cars)
    most = random.uniform(0.9, 2.75, cars)
    t = np.arange(SLOTS)[:, None]
    hi[:, batteries:] = np.where((t >= arrival) & (t < arrival + stay), most, 0)
    floor[-1, batteries:] = ceiling[-1, batteries:] = most * stay * random.uniform(0.2, 0.9, cars)
    return Storage.tightened(lo, hi, floor, ceiling)


def solved(storage: Storage, price: Floats) -> Floats:
    """The same by HiGHS, member by member: float64[t]."""
    total = np.zeros(SLOTS)
    index = np.array([i for t in range(SLOTS) for i in ((t, t - 1) if t else (t,))], dtype=np.int32)
    value = np.array([v for t in range(SLOTS) for v in ((1.0, -1.0) if t else (1.0,))])
    start = np.array([max(0, 2 * t - 1) for t in range(SLOTS)], dtype=np.int32)
    cost = price - np.append(price[1:], 0.0)
    for k in range(len(storage)):
        solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no annotations
        solver.setOptionValue("output_flag", False)
        solver.addVars(SLOTS, storage.floor_kwh[:, k].copy(), storage.ceiling_kwh[:, k].copy())
        solver.changeColsCost(SLOTS, np.arange(SLOTS, dtype=np.int32), cost)
        bounds = storage.lo_kwh[:, k].copy(), storage.hi_kwh[:, k].copy()
        solver.addRows(SLOTS, *bounds, len(index), start, index, value)
        solver.run()
        total += np.diff(np.array(solver.getSolution().col_value), prepend=0.0)
    return total


def _priced(members: int, storage: Storage, peer_s: float) -> list[Figure]:
    price = np.random.default_rng(2).normal(size=SLOTS)
    figures = []
    for compiled, target in zip((True, False), TARGETS[members], strict=True):
        if compiled and not has_compiler():
            continue
        respond(storage.take(slice(0, 1)), price, compiled=compiled)  # compiles
        seconds = min(timed(partial(respond, storage, price, compiled=compiled))[0] for _ in range(ROUNDS))
        figures.append(
            Figure(
                name=f"prices answered by {members:,} batteries and cars, {'compiled' if compiled else 'numpy'}",
                value=seconds,
                unit="s",
                target=target,
                at_most=True,
                peer=peer_s * members,
                peer_name=f"HiGHS, {SOLVED} one by one, scaled up",
            )
        )
    return figures


def run() -> list[Figure]:
    """The oracle for both sizes, and a target followed and handed down to its members."""
    small = fleet(20_000)
    price = np.random.default_rng(2).normal(size=SLOTS)
    few = small.take(slice(None, None, len(small) // SOLVED))
    began = time.perf_counter()
    exact = solved(few, price)
    peer_s = (time.perf_counter() - began) / len(few)
    off = abs(float(price @ (exact - respond(few, price)))) / abs(float(price @ exact))
    figures = _priced(20_000, small, peer_s)
    figures[0] = msgspec.structs.replace(figures[0], note=f"its cost differs from HiGHS's by a share of {off:.1e}")
    random = np.random.default_rng(3)
    target = np.mean([respond(small, random.normal(size=SLOTS)) for _ in range(5)], axis=0)
    seconds, plan = timed(lambda: optimise(small, Squares.follow(target)))
    after, energies = timed(lambda: disaggregate(small, plan))
    figures += [
        Figure(
            name="a target followed by 20,000 batteries and cars",
            value=seconds,
            unit="s",
            note=f"{len(plan.weights)} columns, {np.abs(plan.total_kwh - target).max():.1e} kWh off at most",
        ),
        Figure(
            name="that plan handed down to 20,000 members",
            value=after,
            unit="s",
            note=f"bounds broken by {small.excess_kwh(energies).max():.1e} kWh at most",
        ),
    ]
    return figures + _priced(200_000, fleet(200_000), peer_s)
