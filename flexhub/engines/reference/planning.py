"""One linear program over all slices of a portfolio, built as arrays and solved by HiGHS.

Slots count from the first slot of the program. Variables, all in kWh: of every slice its energy above the lower bound,
cut into the segments of its price; of every slot the load within the wanted bounds, above and below them; the peak.
Minimised, in EUR: payments for deviation, energy, what lies outside the wanted bounds times their penalty, and as
tie-breaks a peak that nobody asked for and the distance from the default schedules. Since every cost is convex and
piecewise linear, segments fill in the right order by themselves and no integer is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexhub.core.algebra.shape import Floats, joint_rows
from flexhub.core.errors import EngineError
from flexhub.core.flexoffer import FlexOffer, Profile
from flexhub.core.price import Price

Ints = NDArray[np.int64]

STEPS: Final = 24
"""Into how many steps of rising cost a slot's height is cut, where valleys are to be filled."""

LARGE: Final = 10_000
"""Columns from which the interior point method is faster than the simplex method."""

MOST_ITERATIONS: Final = 20_000
"""After so many the simplex method has stalled."""

FREE: Final = Price(slopes_eur_per_kwh=(0.0,))


class Slots(NamedTuple):
    """What is wanted of each slot, float64[t]: load in lo..hi kWh, EUR per kWh outside and of energy, fixed load.

    `peak` is the load (kWh per slot) that no slot should exceed for no reason.
    """

    lo: Floats
    hi: Floats
    penalty: Floats
    price: Floats
    fixed: Floats
    peak: float
    top: float


class Weights(NamedTuple):
    """Tie-breaks, EUR/kWh: distance from the default schedules; height of the highest slot above the wanted peak.

    With `height`, every slot's load costs a little as well: from 0 at no load to `height` at the baseline's highest
    slot, rising in steps. A convex cost of height fills valleys before it adds to hills, which leaves most room for
    what is not known yet.
    """

    shift: float
    peak: float
    height: float = 0.0


@dataclass(frozen=True)
class Unit:
    """What is planned as one: an offer with durations fixed. Slots are the program's, counted from the epoch.

    `lo`, `hi`, `default`: float64[n] kWh per slice; `slots`: int64[n] length of each slice; it may start every `step`
    slots from `first` to `last`; `default_start` is where it starts unplanned. `reward` is what a kWh of deviation
    costs beside the offer's own prices, EUR/kWh.
    """

    offer: FlexOffer
    profile: Profile
    first: int
    last: int
    step: int
    slots: Ints
    lo: Floats
    hi: Floats
    default: Floats
    default_start: int
    reward: float = 0.0

    def spread(self, energy: Floats) -> Floats:
        """Energy of each slot: float64[sum of slots], a slice's spread evenly."""
        return np.repeat(energy / self.slots, self.slots)


def lay(load: Floats, at: int, per_slot: Floats) -> None:
    """Add energies to the load from index `at` on; what lies outside the load's slots is left out."""
    first, last = max(at, 0), min(at + len(per_slot), len(load))
    if first < last:
        load[first:last] += per_slot[first - at : last - at]


class Segments(NamedTuple):
    """Columns that make up a unit's energies: slice, greatest amount (kWh) and cost (EUR/kWh) of each."""

    piece: Ints
    width: Floats
    cost: Floats


def segments(unit: Unit, shift: float) -> Segments:
    """Cut lo..hi of every slice where the marginal cost of deviation changes; O(slices x slopes).

    The tie-break ``shift * |e - default|`` is one more convex cost with its knot at 0, so it adds to the slopes; the
    unit's reward does, too.
    """
    slices, shift = unit.profile.slices, shift + unit.reward
    if any(s.price is not None for s in slices):
        parts = [_cut(unit, slice(i, i + 1), s.price or unit.offer.price, shift) for i, s in enumerate(slices)]
        return Segments(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return _cut(unit, slice(0, len(slices)), unit.offer.price, shift)


def _cut(unit: Unit, part: slice, price: Price | None, shift: float) -> Segments:
    lo, hi, default = unit.lo[part], unit.hi[part], unit.default[part]
    price = price or FREE
    knots = np.array(price.knots_kwh, dtype=np.float64)
    edges = np.unique(np.append(knots, 0.0))
    slopes = np.array(price.slopes_eur_per_kwh)
    # Segment j ends at edges[j] (the last nowhere); the price's slope there is that of its first knot not below.
    last_edges = np.append(edges, np.inf)
    cost = slopes[np.searchsorted(knots, last_edges, side="left")] + np.where(last_edges <= 0, -shift, shift)
    ends = np.concatenate(([-np.inf], edges, [np.inf]))
    width = np.diff(np.clip(ends[None, :], (lo - default)[:, None], (hi - default)[:, None]), axis=1)
    piece, segment = np.nonzero(width > 0)
    return Segments(piece + part.start, width[piece, segment], cost[segment])


class Program(NamedTuple):
    """``min cost x`` with columns and rows ``A x`` within lower..upper; A as (row, column, value), sorted by row."""

    cost: Floats
    col_lower: Floats
    col_upper: Floats
    row_lower: Floats
    row_upper: Floats
    row: Ints
    col: Ints
    value: Floats


def build(placed: Sequence[tuple[Unit, int]], slots: Slots, origin: int, weights: Weights) -> Program:
    """The program of the module's docstring, for units with their starts and the slots from `origin` on.

    Columns: all segments, unit by unit; then inside, above and below the wanted bounds for each slot; then the peak;
    then the steps of each slot's height, where that has a cost.
    """
    t = len(slots.fixed)
    fixed = slots.fixed.copy()
    widths, costs, lower, upper = [], [], [], []
    triplets: list[tuple[Ints, Ints, Floats]] = []
    columns, rows = 0, 2 * t
    for unit, start in placed:
        part = segments(unit, weights.shift)
        lay(fixed, start - origin, unit.spread(unit.lo))
        at = columns + np.arange(len(part.piece))
        first_slot = start - origin + np.cumsum(unit.slots) - unit.slots
        length = unit.slots[part.piece]
        inner = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        slot = np.repeat(first_slot[part.piece], length) + inner
        triplets.append((slot, np.repeat(at, length), np.repeat(1.0 / length, length)))
        matrix, low, high = joint_rows(unit.profile)
        if len(matrix):
            joint = matrix[:, part.piece]
            r, c = np.nonzero(joint)
            triplets.append((rows + r, at[c], joint[r, c]))
            used = matrix @ unit.lo
            lower.append(low - used)
            upper.append(high - used)
            rows += len(matrix)
        widths.append(part.width)
        costs.append(part.cost)
        columns += len(at)
    each, base = np.arange(t), columns
    inside, above, below, peak = base + each, base + t + each, base + 2 * t + each, np.full(t, base + 3 * t)
    one, nothing = np.ones(t), np.zeros(t)
    for row in (each, t + each):
        triplets += [(row, inside, -one), (row, above, -one), (row, below, one)]
    triplets.append((t + each, peak, one))
    steps = _steps(t, slots.top, weights)
    if weights.height:
        # The load once more: inside + above - below is the sum of its steps.
        triplets += [(rows + each, inside, one), (rows + each, above, one), (rows + each, below, -one)]
        at = base + 3 * t + 1 + np.arange(len(steps.cost))
        triplets.append((rows + np.repeat(each, STEPS), at, -np.ones(len(at))))
        lower.append(nothing)
        upper.append(nothing)
    row, col, value = (np.concatenate(part) for part in zip(*triplets, strict=True))
    order = np.lexsort((col, row))
    infinite = np.full(t, np.inf)
    return Program(
        cost=np.concatenate(
            [*costs, slots.price, slots.price + slots.penalty, slots.penalty - slots.price, [weights.peak], steps.cost]
        ),
        col_lower=np.concatenate([np.zeros(base), slots.lo, nothing, nothing, [slots.peak], steps.lower]),
        col_upper=np.concatenate([*widths, slots.hi, infinite, infinite, [np.inf], steps.upper]),
        row_lower=np.concatenate([-fixed, nothing, *lower]),
        row_upper=np.concatenate([-fixed, infinite, *upper]),
        row=row[order],
        col=col[order],
        value=value[order],
    )


class Steps(NamedTuple):
    """Columns of the slots' heights, slot by slot: cost and bounds, float64[t * STEPS], or none at all."""

    cost: Floats
    lower: Floats
    upper: Floats


def _steps(t: int, top_kwh: float, weights: Weights) -> Steps:
    """The lowest step takes what is below 0, too, and the highest what is above the top."""
    count = STEPS if weights.height else 0
    cost = np.tile(weights.height * np.arange(count) / max(1, STEPS - 1), t)
    lower, upper = np.zeros((t, count)), np.full((t, count), top_kwh / STEPS)
    lower[:, :1], upper[:, -1:] = -np.inf, np.inf
    return Steps(cost, lower.ravel(), upper.ravel())


def solve(program: Program, *, few_move: bool = False) -> Floats | None:
    """Values of the columns at the optimum, or None where nothing is feasible.

    `few_move` says that most energies are expected to be those of the default schedules.

    Raises:
        EngineError: the solver gave up.
    """
    import highspy  # noqa: PLC0415 - a slow import that only planning needs

    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no annotations
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
    n_col, n_row = len(program.cost), len(program.row_lower)
    starts = np.concatenate(([0], np.cumsum(np.bincount(program.row, minlength=n_row))))
    solver.passModel(
        n_col,
        n_row,
        len(program.value),
        int(highspy.MatrixFormat.kRowwise),
        int(highspy.ObjSense.kMinimize),
        0.0,
        program.cost,
        program.col_lower,
        program.col_upper,
        program.row_lower,
        program.row_upper,
        starts[:-1].astype(np.int32),
        program.col.astype(np.int32),
        program.value,
        np.zeros(n_col, dtype=np.int32),  # all continuous
    )
    # Many cars with equal bounds make the simplex method stall: 96,000 slices take it 22 s, the interior point 2.4 s.
    # Where few of them move it is the faster one (0.6 s against 1.4 s), and a stall is cut off.
    order = ("simplex",) if n_col <= LARGE else ("simplex", "ipm") if few_move else ("ipm", "simplex")
    for method in order:
        solver.setOptionValue("solver", method)
        limit = MOST_ITERATIONS if few_move and method != order[-1] else 2**31 - 1
        solver.setOptionValue("simplex_iteration_limit", limit)
        solver.run()
        if solver.getModelStatus() in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInfeasible):
            break
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        return np.array(solver.getSolution().col_value, dtype=np.float64)
    if status in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible):
        return None
    raise EngineError(f"the solver stopped: {solver.modelStatusToString(status)}", path="plan")


def read(units: Sequence[Unit], values: Floats, weights: Weights) -> list[Floats]:
    """The energies of each unit's slices, float64[n], from the columns that `build` laid out."""
    energies, column = [], 0
    for unit in units:
        part = segments(unit, weights.shift)
        amounts = values[column : column + len(part.piece)]
        energies.append(unit.lo + np.bincount(part.piece, weights=amounts, minlength=len(unit.lo)))
        column += len(part.piece)
    return energies
