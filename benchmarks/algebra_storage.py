"""20,000 and 200,000 batteries and cars of 96 quarter-hours: what each does at given prices, and plans for their sum.

The peer of the oracle is HiGHS, on the members one by one as a linear program, of a few of them and scaled up. That of
plans is HiGHS on a peak limit for a few hundred, all energies in one program.
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
from flexhub.core.algebra.classes import hand_down, split
from flexhub.core.algebra.columns import Peak, Squares, disaggregate, optimise
from flexhub.core.algebra.oracle import has_compiler, respond
from flexhub.core.algebra.storage import Bounds, Storage
from flexhub.core.batch import Floats

SLOTS: Final = 96
TARGETS: Final = {20_000: (0.1, 1.5), 200_000: (0.5, 15.0)}
"""Members -> seconds at most, compiled and with numpy alone."""
SOLVED: Final = 200
ROUNDS: Final = 3
LIMITED: Final = 200


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
        if compiled:
            respond(storage, price, compiled=True)  # compiles
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


def _classes() -> Figure:
    """200,000 batteries as classes, in numpy, told to do half of a mean of what they would at five prices.

    That mean itself lies on the border of what they can do, where it takes some 270 rounds instead of 50.
    """
    random = np.random.default_rng(4)
    power = random.uniform(0.5, 3, (1, 200_000))
    capacity = power * random.uniform(2, 16, power.shape)
    charge = capacity * random.uniform(0, 1, power.shape)
    bounds = Bounds(-power, power, -charge, capacity - charge)
    began = time.perf_counter()
    classes = split(SLOTS, bounds)
    built = time.perf_counter() - began
    storage, sizes = classes.storage, classes.sizes
    reached = [respond(storage, random.normal(size=SLOTS), sizes, compiled=False) for _ in range(5)]
    target = np.mean(reached, axis=0) / 2
    seconds, plan = timed(
        lambda: optimise(storage, Squares.follow(target, tolerance_kwh=1e-6), sizes=sizes, compiled=False)
    )
    after, energies = timed(lambda: hand_down(classes, plan, compiled=False))
    running = np.cumsum(energies, axis=0)
    lo, hi, floor, ceiling = bounds
    broken = max(float(side.max()) for side in (lo - energies, energies - hi, floor - running, running - ceiling))
    coarse, price = split(SLOTS, bounds, grid=2), random.normal(size=SLOTS)
    best, kept = (float(price @ respond(c.storage, price, c.sizes, compiled=False)) for c in (classes, coarse))
    return Figure(
        name="a target followed by 200,000 batteries as classes, and handed down, numpy",
        value=built + seconds + after,
        unit="s",
        target=3.0,
        at_most=True,
        note=f"{len(classes)} classes in {built:.2f} s, {seconds:.2f} s and {after:.2f} s; "
        f"{np.abs(plan.total_kwh - target).max():.1e} kWh off at most, gap {plan.gap:.1e}; "
        f"bounds broken by {broken:.1e} kWh at most; {len(coarse)} classes keep {100 * kept / best:.1f} %",
    )


def _peak() -> Figure:
    """A limit of 60 % of the peak, exactly, beside one linear program over all energies."""
    storage = fleet(LIMITED)
    price = 0.2 + 0.1 * np.sin(np.arange(SLOTS) / SLOTS * 4 * np.pi)
    limit = np.full(SLOTS, 0.6 * respond(storage, price).max())
    seconds, plan = timed(lambda: optimise(storage, Peak(limit, price, 10.0), tolerance=1e-9))
    peer_s, value = timed(lambda: limited(storage, price, limit, 10.0))
    return Figure(
        name=f"a peak limited for {LIMITED} batteries and cars",
        value=seconds,
        unit="s",
        peer=peer_s,
        peer_name="HiGHS, all energies in one program",
        note=f"costs {plan.value:.6f} EUR, gap {plan.gap:.1e}; the program {value:.6f} EUR",
    )


def limited(storage: Storage, price: Floats, limit: Floats, penalty: float) -> float:
    """Least of ``price s + penalty sum max(0, s - limit)`` by HiGHS; columns: running totals, then the excess."""
    slots, members = storage.lo_kwh.shape
    count = slots * members
    k, t = np.divmod(np.arange(count), slots)
    later = np.flatnonzero(t > 0)
    rows = [np.arange(count), later, count + t, (count + t)[later], count + np.arange(slots)]
    columns = [np.arange(count), later - 1, np.arange(count), later - 1, count + np.arange(slots)]
    values = [np.ones(count), -np.ones(len(later)), np.ones(count), -np.ones(len(later)), -np.ones(slots)]
    row, column, value = (np.concatenate(part) for part in (rows, columns, values))
    order = np.argsort(row, kind="stable")
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = count + slots, count + slots
    lp.col_cost_ = np.append((price - np.append(price[1:], 0.0))[t], np.full(slots, penalty))
    lp.col_lower_ = np.append(storage.floor_kwh[t, k], np.zeros(slots))
    lp.col_upper_ = np.append(storage.ceiling_kwh[t, k], np.full(slots, np.inf))
    lp.row_lower_ = np.append(storage.lo_kwh[t, k], np.full(slots, -np.inf))
    lp.row_upper_ = np.append(storage.hi_kwh[t, k], limit)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.append(0, np.cumsum(np.bincount(row)))
    lp.a_matrix_.index_, lp.a_matrix_.value_ = column[order], value[order]
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no annotations
    solver.setOptionValue("output_flag", False)
    solver.passModel(lp)
    solver.run()
    return float(solver.getInfo().objective_function_value)


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
    first = fleet(2000)
    disaggregate(first, optimise(first, Squares.follow(np.full(SLOTS, 50.0), tolerance_kwh=1.0)))  # compiles
    seconds, plan = timed(lambda: optimise(small, Squares.follow(target, tolerance_kwh=1e-3)))
    after, energies = timed(lambda: disaggregate(small, plan))
    figures.append(
        Figure(
            name="a target followed by 20,000 batteries and cars, and handed down",
            value=seconds + after,
            unit="s",
            target=3.0 if has_compiler() else None,
            at_most=True,
            note=f"{seconds:.2f} s and {after:.2f} s; {len(plan.prices)} rounds of {plan.weights.shape[1]} groups; "
            f"{np.abs(plan.total_kwh - target).max():.1e} kWh off at most, gap {plan.gap:.1e}; "
            f"bounds broken by {small.excess_kwh(energies).max():.1e} kWh at most",
        )
    )
    figures += [_classes(), _peak()]
    return figures + _priced(200_000, fleet(200_000), peer_s)
