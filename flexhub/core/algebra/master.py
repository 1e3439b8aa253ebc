"""The best means of columns: a small convex program over their weights, by an interior-point method.

Columns belong to groups, of each of which one mean is taken: ``w >= 0`` with the weights of every group of sum 1. Least
is ``sum costs_j w_j`` and, with s = sum w_j s_j in slots that matter, either ``1/2 sum (s - target)**2 / give`` or
``penalty sum max(0, s - target)``. With prices x of the slots both are one program,

    columns w - give x + under - over = target,    x = (s - target) / give, or 0 <= x <= penalty,

under and over being what is left below the target and what is above it, where there is a penalty. Its conditions,

    z_j = costs_j + columns_j x - y_group >= 0,    w_j z_j = 0,    and likewise x under = 0, (penalty - x) over = 0,

are met up to ``w z = mu``, and mu is let go to 0 (Mehrotra's predictor and corrector). Each step is a system of as many
equations as slots: with d = w / z, and C the columns less the mean of their group in these weights d, its matrix is
``give + under / x + over / (penalty - x) + C d C'``.

Until the end the weights are well inside of what is allowed, and so are the prices; columns asked for at such prices
are better than those at the corners that a simplex method stops at.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from flexhub.core.batch import Floats, Ints

MOST_STEPS: Final = 100
SHARE: Final = 0.15
"""Of what is left to gain, what may be missed: the next column changes more."""
BACK: Final = 0.995
"""How far a step goes to where a weight would be 0."""
INWARDS: Final = 0.05
"""Share of the even mean that weights begin with."""
LEFT: Final = 0.3
"""Share of what is left to gain that a beginning may miss."""
PART: Final = 24
"""Rows that are squared at once."""
CLOSE: Final = 1e-8
"""Squares that are so small beside the greatest column's may come to nothing."""
SOME: Final = (1e-6, 1e-3)
"""Weights of columns that are tried without the others."""
FEWER: Final = 20
LEAST: Final = 1e-12
"""Times that columns are left out, and a weight that is none."""
HEAVY: Final = 1e3
"""How much more the sums of weights count than the target, which they must not be bent for."""
ROUNDING: Final = 1e-30
"""Products of amounts and reduced costs that are none: of squares, misses of 1e-15."""
NEAR: Final = 1e-3
"""Prices begin no nearer to 0 and the penalty than by this share of it."""


class Task(NamedTuple):
    """What is least of sums of columns, in r slots: float64[r] each, but for `rows`, their indices.

    Where `penalty` is None every give is above 0, otherwise all are 0.
    """

    rows: Ints
    target: Floats
    give: Floats
    penalty: float | None


class Columns(NamedTuple):
    """Energies (float64[n, r] kWh), costs (float64[n]) and groups of n columns (int64[n]; from 0 up, each there)."""

    kwh: Floats
    costs: Floats
    group: Ints


class Mix(NamedTuple):
    """Weights of the columns (float64[n]), and prices of the slots that matter (float64[r])."""

    weights: Floats
    prices: Floats


class _Point(NamedTuple):
    """Amounts of the columns, of under and over (float64[n + 2 r]), their reduced costs, and the prices x and y."""

    w: Floats
    z: Floats
    x: Floats
    y: Floats

    def moved(self, by: _Point, primal: float, dual: float) -> _Point:
        return _Point(self.w + primal * by.w, self.z + dual * by.z, self.x + dual * by.x, self.y + dual * by.y)


def mix(columns: Columns, task: Task, start: Mix, bound: float) -> Mix:
    """The best weights, as near as it is worth beside what further columns may gain.

    Args:
        columns: n of them, in the task's slots.
        task: what is least.
        start: weights that are allowed, and prices; a guess.
        bound: no sum of any columns costs less.
    """
    return _Program(columns, task).solved(start, bound)


class _Program:
    """The program, scaled: energies by the greatest of a column, prices by the greatest there is."""

    def __init__(self, columns: Columns, task: Task) -> None:
        kwh, costs, group = columns
        self.kwh = float(np.abs(kwh).max(initial=0.0)) or 1.0
        self.price = task.penalty if task.penalty is not None else self.kwh / float(task.give.min(initial=self.kwh))
        self.columns = kwh / self.kwh
        self.target, self.give = task.target / self.kwh, task.give * (self.price / self.kwh)
        self.group, self.counts = group, np.bincount(group)
        self.by, self.begins = np.argsort(group, kind="stable"), np.cumsum(self.counts) - self.counts
        self.n, self.slots = len(group), len(task.rows)
        self.bounded = task.penalty is not None
        beside = np.repeat([0.0, 1.0], self.slots) if self.bounded else np.zeros(0)
        self.costs = np.append(costs / (self.kwh * self.price), beside)

    def sums(self, w: Floats) -> Floats:
        """Columns w, with under and over: float64[r]."""
        total = along(w[: self.n], self.columns)
        if self.bounded:
            total += w[self.n : self.n + self.slots] - w[self.n + self.slots :]
        return total

    def worth(self, x: Floats) -> Floats:
        """What each column, under and over comes to at prices: float64[n + 2 r]."""
        mine = along(x, self.columns.T)
        return np.concatenate((mine, x, -x)) if self.bounded else mine

    def by_group(self, values: Floats) -> Floats:
        """Sums over the columns of each group."""
        sums: Floats = np.bincount(self.group, values[: self.n], len(self.counts)).astype(np.float64)
        return sums

    def spread(self, y: Floats) -> Floats:
        """The value of each column's group, and 0 beside: float64[n + 2 r]."""
        return np.append(y[self.group], np.zeros(len(self.costs) - self.n))

    def value(self, w: Floats) -> float:
        """What weights cost."""
        least = float(self.costs @ w)
        if not self.bounded and self.slots:
            least += float(np.sum((self.sums(w) - self.target) ** 2 / self.give)) / 2
        return least

    def first(self, start: Mix, bound: float) -> _Point:
        """A point inside, near to the guess, whose products come to about what is left to gain."""
        w = (1 - INWARDS) * start.weights + INWARDS / self.counts[self.group]
        over = along(w, self.columns) - self.target
        if self.bounded:
            x = np.clip(start.prices / self.price, NEAR, 1 - NEAR)
            above = np.maximum(over, 0.0)
            left = float(self.costs[: self.n] @ w + above.sum()) - bound
            mu = max(LEFT * left, ROUNDING) / len(self.costs)
            w = np.concatenate((w, np.maximum(-over, 0.0) + mu / x, above + mu / (1.0 - x)))
        else:
            x = over / self.give
            left = self.value(w) - bound
        worth = self.costs + self.worth(x)
        y = np.full(len(self.counts), np.inf)
        np.minimum.at(y, self.group, worth[: self.n])
        margin = max(LEFT * left / max(1, len(y)), ROUNDING)
        y -= margin
        return _Point(w, np.maximum(worth - self.spread(y), margin), x, y)

    def solved(self, start: Mix, bound: float) -> Mix:
        """Steps from there until what may be missed is little, or no more than rounding."""
        bound /= self.kwh * self.price
        point = self.first(start, bound)
        for _ in range(MOST_STEPS):
            products = float(point.w @ point.z)
            left = self.value(point.w) - bound
            dual = np.abs(self.costs + self.worth(point.x) - self.spread(point.y) - point.z).max(initial=0.0)
            if products <= max(SHARE * left, ROUNDING) and dual <= SHARE * float(point.z.max(initial=0.0)):
                break
            after = self.stepped(point, products / len(point.w))
            if after is None:
                break
            point = after
        weights = self.normal(point.w[: self.n])
        if not self.bounded and self.value(weights) <= CLOSE:
            weights = self.polished(weights)
        return Mix(weights, point.x * self.price)

    def normal(self, weights: Floats) -> Floats:
        """The same with sums of 1 in each group."""
        normal: Floats = weights / self.by_group(weights)[self.group]
        return normal

    def polished(self, weights: Floats) -> Floats:
        """Weights nearer to the target, exactly the best of those of some columns.

        A target on the border of what columns can make is approached by the square root of the products only. So here
        the best point of the affine hull of columns with weight is gone for by least squares; where that asks for a
        weight below 0, as far as weights stay above, and one column less.
        """
        best, value = weights, self.value(weights)
        ends = np.append(self.target, np.full(len(self.counts), HEAVY))
        for least in SOME:
            some = np.flatnonzero(weights >= least)
            mine = weights[some]
            for _ in range(FEWER):
                belongs = self.group[some] == np.arange(len(self.counts))[:, None]
                rows = np.vstack((self.columns[some].T, HEAVY * belongs)) * mine
                by, *_ = np.linalg.lstsq(rows, ends - rows.sum(axis=1), rcond=None)
                far = longest(np.ones(len(by)), by)
                moved = np.zeros(self.n)
                moved[some] = np.maximum(mine * (1.0 + far * by), 0.0)
                if not (self.by_group(moved) > 0).all():
                    break
                moved = self.normal(moved)
                if self.value(moved) < value:
                    best, value = moved, self.value(moved)
                if far == 1.0:
                    break
                some = some[moved[some] > LEAST]
                mine = moved[some]
        return best

    def stepped(self, point: _Point, mu: float) -> _Point | None:
        """The next point; None where rounding leaves no way on."""
        w, z, x, y = point
        d = w / z
        in_group = self.by_group(d)
        weighted = self.columns * d[: self.n, None]
        mean = np.add.reduceat(weighted[self.by], self.begins) / in_group[:, None]
        system = squares((self.columns - mean[self.group]) * np.sqrt(d[: self.n, None]))
        diagonal = self.give.copy()
        if self.bounded:
            diagonal += d[self.n : self.n + self.slots] + d[self.n + self.slots :]
        system[np.diag_indices(self.slots)] += diagonal
        try:
            half = np.linalg.inv(np.linalg.cholesky(system))
        except np.linalg.LinAlgError:
            return None
        missing = self.target - (self.sums(w) - self.give * x)
        short = 1.0 - self.by_group(w)
        off = -(self.costs + self.worth(x) - self.spread(y) - z)

        def towards(products: Floats) -> _Point:
            g = off + products / w
            spare = short - self.by_group(d * g)
            dx = along(along(self.sums(d * g) + along(spare, mean) - missing, half.T), half)
            dy = spare / in_group + along(dx, mean.T)
            dw = d * (g - self.worth(dx) + self.spread(dy))
            return _Point(dw, (products - z * dw) / w, dx, dy)

        straight = towards(-w * z)
        there = point.moved(straight, longest(w, straight.w), longest(z, straight.z))
        centre = mu * (float(there.w @ there.z) / (mu * len(w))) ** 3
        step = towards(centre - w * z - straight.w * straight.z)
        primal, dual = BACK * longest(w, step.w), BACK * longest(z, step.z)
        if not self.bounded:  # of a quadratic program the two sides hang together
            primal = dual = min(primal, dual)
        if not np.isfinite(step.w).all() or max(primal, dual) < 1e-6:
            return None
        return point.moved(step, primal, dual)


def along(weights: Floats, rows: Floats) -> Floats:
    """Weights times rows, by one thread: handing so little to several takes longer, and waits where they are busy."""
    total: Floats = np.einsum("i,ij->j", weights, rows)
    return total


def squares(rows: Floats) -> Floats:
    """Rows transposed times rows, in parts that are too small for several threads."""
    parts = -(-len(rows) // PART)
    padded = np.zeros((parts * PART, rows.shape[1]))
    padded[: len(rows)] = rows
    several = padded.reshape(parts, PART, rows.shape[1])
    total: Floats = (several.transpose(0, 2, 1) @ several).sum(axis=0)
    return total


def longest(values: Floats, step: Floats) -> float:
    """How much of the step, 1 at most, leaves all values at 0 or above."""
    down = step < 0
    return float((-values[down] / step[down]).min(initial=1.0))
