"""The same questions about storage-like members asked of HiGHS, written out as one program over all energies."""

from __future__ import annotations

from typing import NamedTuple

import highspy
import numpy as np

from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import Floats


class Answer(NamedTuple):
    value: float
    total_kwh: Floats


def solve(
    bounds: tuple[Floats, Floats, Floats, Floats],
    price: Floats,
    *,
    limit: Floats | None = None,
    penalty: float = 0.0,
    curvature: Floats | None = None,
) -> Answer:
    """Least of ``sum price s + 1/2 sum curvature s**2 + penalty sum max(0, s - limit)`` with s the members' sum.

    Variables are the running totals of each member, then s and the excess. ``bounds`` are lo, hi, floor and ceiling,
    float64[t, m], not tightened.
    """
    lo, hi, floor, ceiling = bounds
    slots, members = lo.shape
    count = slots * members
    inf = highspy.kHighsInf
    rows: list[tuple[float, float, list[int], list[float]]] = []
    for k in range(members):
        for t in range(slots):
            here = k * slots + t
            at, by = ([here, here - 1], [1.0, -1.0]) if t else ([here], [1.0])
            rows.append((float(lo[t, k]), float(hi[t, k]), at, by))
    for t in range(slots):
        last = [k * slots + t for k in range(members)]
        before = [i - 1 for i in last] if t else []
        rows.append((0.0, 0.0, [*last, *before, count + t], [1.0] * members + [-1.0] * len(before) + [-1.0]))
        if limit is not None:
            rows.append((-inf, float(limit[t]), [count + t, count + slots + t], [1.0, -1.0]))
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = count + 2 * slots, len(rows)
    program.col_cost_ = np.concatenate((np.zeros(count), price, np.full(slots, penalty)))
    program.col_lower_ = np.concatenate((floor.T.ravel(), np.full(slots, -inf), np.zeros(slots)))
    program.col_upper_ = np.concatenate((ceiling.T.ravel(), np.full(2 * slots, inf)))
    program.row_lower_, program.row_upper_ = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = np.cumsum([0, *(len(r[2]) for r in rows)])
    program.a_matrix_.index_ = np.array([i for r in rows for i in r[2]])
    program.a_matrix_.value_ = np.array([v for r in rows for v in r[3]])
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no annotations
    solver.setOptionValue("output_flag", False)
    solver.passModel(program)
    if curvature is not None:
        hessian = highspy.HighsHessian()
        size = count + 2 * slots
        hessian.dim_ = size
        hessian.format_ = highspy.HessianFormat.kTriangular
        diagonal = np.zeros(size)
        diagonal[count : count + slots] = curvature
        hessian.start_ = np.append(0, np.cumsum(diagonal > 0))
        hessian.index_ = np.flatnonzero(diagonal)
        hessian.value_ = diagonal[diagonal > 0]
        solver.passHessian(hessian)
    solver.run()
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    values = np.array(solver.getSolution().col_value)
    return Answer(float(solver.getInfo().objective_function_value), values[count : count + slots])


def fleet(members: int, slots: int, seed: int) -> tuple[tuple[Floats, Floats, Floats, Floats], Storage]:
    """Half batteries, half cars that take a fixed or a bounded total while they are there: bounds and members."""
    random = np.random.default_rng(seed)
    batteries = members // 2
    cars = members - batteries
    lo, hi = np.zeros((slots, members)), np.zeros((slots, members))
    floor, ceiling = np.full((slots, members), -np.inf), np.full((slots, members), np.inf)
    power = random.uniform(0.5, 3, batteries)
    capacity = power * random.uniform(0.5, 8, batteries)
    charge = capacity * random.uniform(0, 1, batteries)
    lo[:, :batteries], hi[:, :batteries] = -power, power
    floor[:, :batteries], ceiling[:, :batteries] = -charge, capacity - charge
    arrival = random.integers(0, slots, cars)
    departure = random.integers(arrival + 1, slots + 1)
    most = random.uniform(0.5, 3, cars)
    t = np.arange(slots)[:, None]
    lo[:, batteries:] = np.where((t >= arrival) & (t < departure), -most * random.integers(0, 2, cars), 0)  # V2G, some
    hi[:, batteries:] = np.where((t >= arrival) & (t < departure), most, 0)
    total = most * (departure - arrival) * random.uniform(0, 1, cars)
    last = departure - 1
    floor[last, batteries + np.arange(cars)] = total * random.choice([0.5, 1.0], cars)
    ceiling[last, batteries + np.arange(cars)] = total
    return (lo, hi, floor, ceiling), Storage.tightened(lo, hi, floor, ceiling)
