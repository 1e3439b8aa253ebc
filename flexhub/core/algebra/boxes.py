"""The largest box within linear bounds: every choice of its sides is feasible, so it is safe, and simple to merge.

Of bounds ``R z <= u`` and proportions w > 0, the box with centre c and sides ``c -+ s w / 2`` lies within them exactly
where ``R c + s |R| w / 2 <= u``, as the greatest that a row takes on the box is at one of its corners. So the largest s
is a linear program in (c, s). Sides that still have room are then moved out, all lower ones alike and all upper ones
alike. With z the energies this gives slices; with z the running totals, a storage-like offer.
"""

from __future__ import annotations

from typing import NamedTuple

import highspy
import numpy as np

from flexhub.core.algebra.shape import Floats
from flexhub.core.errors import InfeasibleError

SLACK_KWH = 1e-9
"""How far inside of the rows the box is kept, so that a solver's rounding does not leave them."""


class Box(NamedTuple):
    """float64[n] each; lo <= hi."""

    lo: Floats
    hi: Floats


class Within(NamedTuple):
    """What boxes lie within, and their proportions.

    ``rows: float64[r, n]`` R and ``upper: float64[r]`` u bound the box, and those of `through` its centre alone;
    ``width: float64[n]`` is w, where a side of width 0 stays a point.
    """

    rows: Floats
    upper: Floats
    width: Floats
    through: tuple[Floats, Floats] | None = None


def largest_box(
    within: Within, *, holding: Floats | None = None, share: float = 1.0, costs: Floats | None = None
) -> Box:
    """The largest box of these proportions, or the cheapest one of a share of its size.

    Args:
        within: its bounds.
        holding: float64[n]; a point of the box.
        share: of the greatest size; below 1 the box is not grown.
        costs: float64[n]; of boxes of that size the one whose centre costs least.

    Raises:
        InfeasibleError: no point keeps the rows.
    """
    rows, upper, width, through = within
    n = rows.shape[1]
    solver = _program(rows, upper, width, through)
    if holding is not None:
        for t in np.flatnonzero(width > 0).tolist():  # a side of width 0 is the point of all that is feasible
            at = np.array([t, n], dtype=np.int32)
            solver.addRow(float(holding[t]) - SLACK_KWH, highspy.kHighsInf, 2, at, np.array([1.0, width[t] / 2]))
            solver.addRow(-highspy.kHighsInf, float(holding[t]) + SLACK_KWH, 2, at, np.array([1.0, -width[t] / 2]))
    solution = _solved(solver)
    if share < 1.0 or costs is not None:
        size = share * max(0.0, float(solution[n]) - SLACK_KWH)
        solver.changeColBounds(n, size, size)
        for t, cost in enumerate((np.zeros(n) if costs is None else costs).tolist()):
            solver.changeColCost(t, cost)
        solution = _solved(solver)
    centre, size = solution[:n], max(0.0, float(solution[n]) - SLACK_KWH)
    box = Box(centre - size * width / 2, centre + size * width / 2)
    return box if share < 1.0 else _grown(box, rows, upper, (1.0 - size) * width)


def _program(rows: Floats, upper: Floats, width: Floats, through: tuple[Floats, Floats] | None) -> highspy.Highs:
    """Variables are the centre and the size, which is made greatest."""
    n = rows.shape[1]
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no annotations
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
    inf = highspy.kHighsInf
    for _ in range(n):
        solver.addVar(-inf, inf)
    solver.addVar(0.0, 1.0)
    solver.changeColCost(n, -1.0)
    matrix, bound = np.column_stack((rows, np.abs(rows) @ width / 2)), upper
    if through is not None:
        matrix = np.vstack((matrix, np.column_stack((through[0], np.zeros(len(through[0]))))))
        bound = np.concatenate((upper, through[1]))
    for row, most in zip(matrix, bound.tolist(), strict=True):
        at = np.flatnonzero(row)
        solver.addRow(-inf, most, len(at), at.astype(np.int32), row[at])
    return solver


def _solved(solver: highspy.Highs) -> Floats:
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise InfeasibleError("nothing keeps all bounds", path="largest_box")
    return np.array(solver.getSolution().col_value)


def _grown(box: Box, rows: Floats, upper: Floats, more: Floats) -> Box:
    """The box with its upper sides, and then its lower ones, moved out by the share of `more` that the rows allow."""
    lo, hi = box
    up, down = np.maximum(rows, 0.0), np.maximum(-rows, 0.0)
    for upwards in (True, False):
        room = np.maximum(upper - (up @ hi - down @ lo) - SLACK_KWH, 0.0)
        needs = (up if upwards else down) @ more
        shares = np.divide(room, needs, out=np.ones_like(room), where=needs > SLACK_KWH)
        grow = min(1.0, float(shares.min(initial=1.0))) * more
        lo, hi = (lo, hi + grow) if upwards else (lo - grow, hi)
    return Box(lo, hi)
