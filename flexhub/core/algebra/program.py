"""A linear program of a few hundred columns, by HiGHS. Slow to import: loaded where needed only."""

from __future__ import annotations

from typing import NamedTuple

import highspy
import numpy as np

from flexhub.core.batch import Floats


class Limits(NamedTuple):
    """Least and greatest values: float64[n] each, or infinite."""

    least: Floats
    most: Floats


class Solved(NamedTuple):
    """Values of the columns, and what one more of each row's bound is worth: float64[n], float64[r]."""

    values: Floats
    duals: Floats


def solve(cost: Floats, rows: Floats, within: Limits, columns: Limits) -> Solved | None:
    """The least of ``cost x`` with ``rows x`` and x within limits; None where there is no optimum.

    ``cost: float64[n]``, ``rows: float64[r, n]``. Limits are kept to 1e-9.
    """
    program = highspy.HighsLp()
    program.num_row_, program.num_col_ = rows.shape
    program.col_cost_ = cost
    program.col_lower_, program.col_upper_ = columns
    program.row_lower_, program.row_upper_ = within
    row, column = np.nonzero(rows)
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = np.append(0, np.cumsum(np.bincount(row, minlength=len(rows))))
    program.a_matrix_.index_, program.a_matrix_.value_ = column, rows[row, column]
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no annotations
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
    solver.setOptionValue("dual_feasibility_tolerance", 1e-9)
    solver.passModel(program)
    for presolve in ("choose", "off"):  # which has called programs infeasible whose room is as narrow as the tolerance
        solver.setOptionValue("presolve", presolve)
        solver.run()
        if solver.getModelStatus() == highspy.HighsModelStatus.kOptimal:
            break
    else:
        return None
    solution = solver.getSolution()
    return Solved(np.array(solution.col_value), np.array(solution.row_dual))
