"""Schedules of one DFO: a linear program of its running totals."""

from __future__ import annotations

import numpy as np

from flexhub.core.algebra.dfo import Dfo
from flexhub.core.algebra.program import Limits, solve
from flexhub.core.batch import Floats
from flexhub.core.errors import EngineError, InvalidError
from flexhub.core.units import TOLERANCE_KWH


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
        InvalidError: prices or targets of another length, or not finite; a penalty below 0; a prefix that breaks the
            polygons, so that it need not be one that can be completed.
        EngineError: the solver found none.
    """
    slots = dfo.slots
    target = np.zeros(slots) if target_kwh is None else target_kwh
    for column in (price, target):
        if column.shape != (slots,) or not np.isfinite(column).all():
            raise InvalidError(f"{column.shape} values for {slots} slots, all finite", path="price")
    if not 0 <= penalty < np.inf:
        raise InvalidError("a penalty is 0 or more", path="penalty")
    begun = np.zeros(0) if begun_kwh is None else begun_kwh
    missed = dfo.excess_kwh(begun)
    if not missed <= TOLERANCE_KWH:
        raise InvalidError(f"what has begun breaks the polygons by {missed:.6g} kWh", path="begun_kwh")
    # Columns are the running totals after each slot, then how far each energy is from its target.
    rows, lower, upper = _polygons(dfo, len(begun))
    if penalty:
        away = np.eye(slots) - np.eye(slots, k=-1)
        above = np.hstack((away, -np.eye(slots)))
        below = np.hstack((-away, -np.eye(slots)))
        rows = np.vstack((np.hstack((rows, np.zeros((len(rows), slots)))), above, below))
        lower, upper = np.append(lower, np.full(2 * slots, -np.inf)), np.concatenate((upper, target, -target))
    happened, cost = np.cumsum(begun), price - np.append(price[1:], 0.0)
    free = np.full(rows.shape[1] - len(happened), np.inf)
    found = solve(
        np.append(cost, np.full(rows.shape[1] - slots, penalty)),
        rows,
        Limits(lower, upper),
        Limits(np.append(happened, -free), np.append(happened, free)),
    )
    if found is None:
        raise EngineError("the solver found no schedule of the DFO", path="cheapest")
    energies: Floats = np.diff(found.values[:slots], prepend=0.0)
    return energies


def _polygons(dfo: Dfo, begun: int) -> tuple[Floats, Floats, Floats]:
    """Rows ``a X_t-1 + b (X_t - X_t-1) <= c`` of running totals, from slot `begun` on: float64[n, t], and bounds."""
    columns = [polygon.rows() for polygon in dfo.polygons[begun:]]
    slot = np.repeat(np.arange(begun, dfo.slots), [len(column) for column in columns])
    a, b, c = np.concatenate([np.zeros((0, 3)), *columns]).T
    scale = np.maximum(np.abs(a), np.abs(b))
    rows = np.zeros((len(slot), dfo.slots))
    every = np.arange(len(slot))
    rows[every, slot] = b / scale
    later = slot > 0
    rows[every[later], slot[later] - 1] = ((a - b) / scale)[later]
    return rows, np.full(len(slot), -np.inf), c / scale
