"""The linear program of `columns.Peak` over the columns that there are."""

from __future__ import annotations

import highspy
import numpy as np

from flexhub.core.batch import Floats
from flexhub.core.errors import EngineError


def linear_master(columns: Floats, costs: Floats, limit_kwh: Floats, penalty: float) -> tuple[Floats, Floats]:
    """Weights of the columns (float64[c]), and what a kWh more costs in each slot for the limit (float64[t], EUR/kWh).

    Minimises ``sum costs_c w_c + penalty sum u_t`` with ``sum w_c s_c,t - u_t <= limit_t``, sum w = 1, w and u >= 0.

    Args:
        columns: float64[c, t] kWh.
        costs: float64[c] EUR.
        limit_kwh: float64[t].
        penalty: EUR/kWh.

    Raises:
        EngineError: the solver found no optimum.
    """
    count, slots = columns.shape
    inf = highspy.kHighsInf
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = count + slots, slots + 1
    program.col_cost_ = np.concatenate((costs, np.full(slots, penalty)))
    program.col_lower_, program.col_upper_ = np.zeros(count + slots), np.full(count + slots, inf)
    program.row_lower_ = np.append(np.full(slots, -inf), 1.0)
    program.row_upper_ = np.append(limit_kwh, 1.0)
    rows = np.tile(np.arange(slots + 1), count)
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_ = np.append(np.arange(count) * (slots + 1), count * (slots + 1) + np.arange(slots + 1))
    program.a_matrix_.index_ = np.append(rows, np.arange(slots))
    program.a_matrix_.value_ = np.append(np.hstack((columns, np.ones((count, 1)))).ravel(), -np.ones(slots))
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no annotations
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
    solver.setOptionValue("dual_feasibility_tolerance", 1e-9)
    solver.passModel(program)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise EngineError("the solver found no optimum of the columns", path="linear_master")
    solution = solver.getSolution()
    weights = np.maximum(np.array(solution.col_value[:count]), 0.0)
    return weights / weights.sum(), np.maximum(-np.array(solution.row_dual[:slots]), 0.0)
