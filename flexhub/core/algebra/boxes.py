"""The largest box within linear bounds: every choice of its sides is feasible, so it is safe, and simple to merge.

Of bounds ``R z <= u`` and proportions w > 0, the box with centre c and sides ``c -+ s w / 2`` lies within them exactly
where ``R c + s |R| w / 2 <= u``, as the greatest that a row takes on the box is at one of its corners. So the largest s
is a linear program in (c, s). Sides that still have room are then moved out, all lower ones alike and all upper ones
alike. With z the energies this gives slices; with z the running totals, a storage-like offer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flexhub.core.algebra.program import Limits, solve
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
    # Columns are the centre and the size.
    matrix, bound = [np.column_stack((rows, np.abs(rows) @ width / 2))], [upper]
    if through is not None:
        matrix.append(np.column_stack((through[0], np.zeros(len(through[0])))))
        bound.append(through[1])
    if holding is not None:
        sides = np.flatnonzero(width > 0)  # a side of width 0 is the point of all that is feasible
        for sign in (1.0, -1.0):
            matrix.append(np.column_stack((sign * np.eye(n)[sides], -width[sides] / 2)))
            bound.append(sign * holding[sides] + SLACK_KWH)
    every, most = np.vstack(matrix), np.concatenate(bound)
    size = _solved(np.append(np.zeros(n), -1.0), every, most, (0.0, 1.0))
    greatest = max(0.0, float(size[n]) - SLACK_KWH)
    if share < 1.0 or costs is not None:
        wanted = share * greatest
        size = _solved(np.append(np.zeros(n) if costs is None else costs, 0.0), every, most, (wanted, wanted))
        greatest = max(0.0, wanted - SLACK_KWH)
    centre = size[:n]
    box = Box(centre - greatest * width / 2, centre + greatest * width / 2)
    return box if share < 1.0 else _grown(box, rows, upper, (1.0 - greatest) * width)


def _solved(cost: Floats, rows: Floats, upper: Floats, size: tuple[float, float]) -> Floats:
    n = rows.shape[1] - 1
    open_end = np.full(n, np.inf)
    columns = Limits(np.append(-open_end, size[0]), np.append(open_end, size[1]))
    found = solve(cost, rows, Limits(np.full(len(rows), -np.inf), upper), columns)
    if found is None:
        raise InfeasibleError("nothing keeps all bounds", path="largest_box")
    return found.values


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
