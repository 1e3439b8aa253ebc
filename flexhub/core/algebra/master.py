"""The linear program of `columns.Peak` over the columns that there are."""

from __future__ import annotations

import numpy as np

from flexhub.core.algebra.program import Limits, solve
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
    found = solve(
        np.append(costs, np.full(slots, penalty)),
        np.vstack((np.hstack((columns.T, -np.eye(slots))), np.append(np.ones(count), np.zeros(slots)))),
        Limits(np.append(np.full(slots, -np.inf), 1.0), np.append(limit_kwh, 1.0)),
        Limits(np.zeros(count + slots), np.full(count + slots, np.inf)),
    )
    if found is None:
        raise EngineError("the solver found no optimum of the columns", path="linear_master")
    weights = np.maximum(found.values[:count], 0.0)
    return weights / weights.sum(), np.maximum(-found.duals[:slots], 0.0)
