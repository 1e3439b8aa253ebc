"""Schedules of one DFO: a linear program of its running totals."""

from __future__ import annotations

import highspy
import numpy as np

from flexhub.core.algebra.dfo import Dfo
from flexhub.core.batch import Floats
from flexhub.core.errors import EngineError, InvalidError


def cheapest(
    dfo: Dfo, price: Floats, *, target_kwh: Floats | None = None, penalty: float = 0.0, begun_kwh: Floats | None = None
) -> Floats:
    """Energies (float64[t] kWh) that minimise ``sum price_t e_t + penalty sum |e_t - target_t|``.

    Args:
        dfo: t slots.
        price: float64[t]; EUR/kWh.
        target_kwh: float64[t].
        penalty: EUR/kWh.
        begun_kwh: a prefix that has happened: float64[at most t].

    Raises:
        InvalidError: prices or targets of another length, or not finite; a penalty below 0.
        EngineError: the solver found none; a prefix that breaks the polygons cannot be completed.
    """
    slots = dfo.slots
    target = np.zeros(slots) if target_kwh is None else target_kwh
    for column in (price, target):
        if column.shape != (slots,) or not np.isfinite(column).all():
            raise InvalidError(f"{column.shape} values for {slots} slots, all finite", path="price")
    if not 0 <= penalty < np.inf:
        raise InvalidError("a penalty is 0 or more", path="penalty")
    begun = np.zeros(0) if begun_kwh is None else begun_kwh
    # Columns are the running totals after each slot, then how far each energy is from its target.
    rows, lower, upper = _polygons(dfo)
    if penalty:
        away = np.eye(slots) - np.eye(slots, k=-1)
        above = np.hstack((away, -np.eye(slots)))
        below = np.hstack((-away, -np.eye(slots)))
        rows = np.vstack((np.hstack((rows, np.zeros((len(rows), slots)))), above, below))
        lower, upper = np.append(lower, np.full(2 * slots, -np.inf)), np.concatenate((upper, target, -target))
    happened = np.cumsum(begun)
    program = highspy.HighsLp()
    program.num_row_, program.num_col_ = rows.shape
    cost = price - np.append(price[1:], 0.0)
    program.col_cost_ = np.append(cost, np.full(rows.shape[1] - slots, penalty))
    free = np.full(rows.shape[1] - len(happened), np.inf)
    program.col_lower_, program.col_upper_ = np.append(happened, -free), np.append(happened, free)
    program.row_lower_, program.row_upper_ = lower, upper
    at, column = np.nonzero(rows)
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = np.append(0, np.cumsum(np.bincount(at, minlength=len(rows))))
    program.a_matrix_.index_ = column
    program.a_matrix_.value_ = rows[at, column]
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no annotations
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
    solver.passModel(program)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise EngineError("the solver found no schedule of the DFO", path="cheapest")
    energies: Floats = np.diff(np.array(solver.getSolution().col_value[:slots]), prepend=0.0)
    return energies


def _polygons(dfo: Dfo) -> tuple[Floats, Floats, Floats]:
    """Rows ``a X_t-1 + b (X_t - X_t-1) <= c`` of running totals: float64[n, t], and their bounds."""
    columns = [polygon.rows() for polygon in dfo.polygons]
    slot = np.repeat(np.arange(dfo.slots), [len(column) for column in columns])
    a, b, c = np.concatenate(columns).T
    scale = np.maximum(np.abs(a), np.abs(b))
    rows = np.zeros((len(slot), dfo.slots))
    every = np.arange(len(slot))
    rows[every, slot] = b / scale
    later = slot > 0
    rows[every[later], slot[later] - 1] = ((a - b) / scale)[later]
    return rows, np.full(len(slot), -np.inf), c / scale
