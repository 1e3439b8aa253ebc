"""Exact plans for the sum of many storage-like members: follow a target, limit a peak, or any cost of squares.

The sums of what m members may do are a polytope that nobody can list, but for any prices `oracle.answers` tells its
best point. So it is met by columns. Members that are alike make a group; each round asks all of them at prices p_c,
and the answer of each group is a new column of it. The master (`master.mix`) takes a mean of each group's columns,
``s = sum w_gc s_gc`` over groups g and columns c, with w >= 0 and sum 1 in each group. Groups whose answers differ mix
in many more ways than all members together could, so that a third of the rounds does. New prices p are a tangent of
the objective f near s; for every feasible s', convexity gives f(s') >= f(s) - slack + p (s' - s), so

    gap = slack + p s - min over s' of p s' = slack + p (s - sum of the answers)

bounds how far s is from the optimum, and the best bound of all rounds counts. The master misses at most a share of
what further columns may gain, and each round that goes on adds a point outside of the hull, of which there are finitely
many (fully corrective Frank-Wolfe; Dantzig-Wolfe where the objective is piecewise linear).

**Disaggregation** takes the same weights: ``e_k = sum w_gc e_k(p_c)``, with e_k(p) the answer of member k of group g
alone. It keeps all bounds of the member, as each answer does and they are convex; and sums to s, as the answers do.
Answers are found again from their prices, so that no column is ever stored member by member.

**Law.** For every s that the members can make in sum, `Squares` with that target finds weights whose sum is s, up to
`tolerance_kwh`, and so schedules of the members. For every feasible prefix of such an s, the same with weight on the
slots of the prefix alone finds schedules that begin with it and go on to the end: it can always be completed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np

from flexhub.core.algebra.master import Columns, Mix, Task, mix
from flexhub.core.algebra.oracle import answers, blend
from flexhub.core.algebra.packing import features, halves
from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import Floats, Ints
from flexhub.core.errors import EngineError, InvalidError

MOST_ROUNDS: Final = 2_000
"""After so many rounds something is wrong."""

ROUNDING: Final = 1e-13
"""A gap below this share of what it is the difference of is rounding."""

GROUPS: Final = 32
"""Groups of members that answer alike, each with a mean of its own; more need fewer rounds of a larger program."""

MOST_COLUMNS: Final = 10
LEAST: Final = 1e-7
"""From so many columns for each slot and group on those go whose weight is no more than this."""


class Objective(Protocol):
    """What is minimised: a convex function of the members' sum, float64[t] kWh."""

    def value(self, total: Floats) -> float:
        """What a sum costs."""

    def task(self) -> Task:
        """The same for means of columns, beside their `costs`."""

    def costs(self, columns: Floats) -> Floats:
        """What columns (float64[n, t]) cost apart from the task: float64[n]."""

    def gradient(self, total: Floats, prices: Floats) -> Tangent:
        """Prices that touch the objective near a sum, given those of the task's slots."""

    def met(self, total: Floats) -> bool:
        """Whether no other sum can be better, seen from the sum alone."""

    def least(self) -> float:
        """What no sum can cost less than, members or not; -inf where there is no such bound."""


class Tangent(NamedTuple):
    """For every sum s' the objective is at least ``value(s) - slack + prices (s' - s)``: float64[t], and from 0 up."""

    prices: Floats
    slack: float


@dataclass(frozen=True, slots=True, eq=False)
class Squares:
    """``1/2 sum weight_t (s_t - target_t)**2``, float64[t] each; slots of weight 0 do not matter.

    Raises:
        InvalidError: of different lengths, not finite, or a negative weight.
    """

    target_kwh: Floats
    weight: Floats
    tolerance_kwh: float = 1e-7

    def __post_init__(self) -> None:
        if self.target_kwh.shape != self.weight.shape or not np.isfinite(self.target_kwh).all():
            raise InvalidError("as many weights as targets, all finite", path="Squares/target_kwh")
        if not ((self.weight >= 0) & np.isfinite(self.weight)).all():
            raise InvalidError("weights are finite and not negative", path="Squares/weight")

    @classmethod
    def follow(cls, target_kwh: Floats, *, tolerance_kwh: float = 1e-7) -> Squares:
        """As near to the target as can be; where it is shorter than the plan, it is a prefix to be completed."""
        return cls(target_kwh, np.ones(len(target_kwh)), tolerance_kwh)

    @classmethod
    def quadratic(cls, price: Floats, curvature: Floats) -> Squares:
        """``sum price_t s_t + 1/2 curvature_t s_t**2`` up to a constant; a curvature above 0 in every slot.

        Raises:
            InvalidError: a curvature that is not.
        """
        if not (curvature > 0).all():
            raise InvalidError("a quadratic cost is curved in every slot", path="Squares/curvature")
        return cls(-price / curvature, curvature)

    def over(self, slots: int) -> Squares:
        """The same over more slots, with weight 0 in those that are added."""
        more = np.zeros(slots - len(self.weight))
        return Squares(np.append(self.target_kwh, more), np.append(self.weight, more), self.tolerance_kwh)

    def value(self, total: Floats) -> float:
        """As of `Objective`."""
        return float(self.weight @ (total - self.target_kwh) ** 2) / 2

    def task(self) -> Task:
        """As of `Objective`."""
        rows = np.flatnonzero(self.weight)
        return Task(rows, self.target_kwh[rows], 1.0 / self.weight[rows], None)

    def costs(self, columns: Floats) -> Floats:
        """As of `Objective`: none."""
        return np.zeros(len(columns))

    def gradient(self, total: Floats, prices: Floats) -> Tangent:  # noqa: ARG002 - the sum tells it
        """As of `Objective`."""
        return Tangent(self.weight * (total - self.target_kwh), 0.0)

    def met(self, total: Floats) -> bool:
        """As of `Objective`."""
        return bool((np.abs(total - self.target_kwh)[self.weight > 0] <= self.tolerance_kwh).all())

    def least(self) -> float:
        """As of `Objective`."""
        return 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Peak:
    """``sum price_t s_t + penalty sum max(0, s_t - limit_t)``, float64[t] each; EUR/kWh.

    With a penalty above every price that a slot can come to, the limit is kept wherever it can be.

    Raises:
        InvalidError: of different lengths, prices or penalty not finite, or a penalty that is not above 0.
    """

    limit_kwh: Floats
    price: Floats
    penalty: float

    def __post_init__(self) -> None:
        if self.limit_kwh.shape != self.price.shape or np.isnan(self.limit_kwh).any():
            raise InvalidError("as many prices as limits, and limits that are numbers", path="Peak/limit_kwh")
        if not np.isfinite(self.price).all() or not 0 < self.penalty < np.inf:
            raise InvalidError("prices are finite, and the penalty above 0", path="Peak/penalty")

    def value(self, total: Floats) -> float:
        """As of `Objective`."""
        return float(self.price @ total + self.penalty * np.maximum(total - self.limit_kwh, 0.0).sum())

    def task(self) -> Task:
        """As of `Objective`."""
        rows = np.flatnonzero(np.isfinite(self.limit_kwh))
        return Task(rows, self.limit_kwh[rows], np.zeros(len(rows)), self.penalty)

    def costs(self, columns: Floats) -> Floats:
        """As of `Objective`."""
        found: Floats = columns @ self.price
        return found

    def gradient(self, total: Floats, prices: Floats) -> Tangent:
        """As of `Objective`; a price of excess between 0 and the penalty touches where it is 0 below the limit."""
        limited = np.isfinite(self.limit_kwh)
        excess_price = np.zeros(len(self.price))
        excess_price[limited] = np.clip(prices, 0.0, self.penalty)
        over = np.where(limited, total - self.limit_kwh, 0.0)
        slack = float(np.sum(self.penalty * np.maximum(over, 0.0) - excess_price * over))
        return Tangent(self.price + excess_price, slack)

    def met(self, total: Floats) -> bool:  # noqa: ARG002 - only the gap tells
        """As of `Objective`."""
        return False

    def least(self) -> float:
        """As of `Objective`."""
        return -np.inf


class Plan(NamedTuple):
    """A sum of members (float64[t] kWh), of which each group does a mean of its answers to prices.

    ``prices: float64[c, t]``, ``weights: float64[c, g]``, not negative and of sum 1 in each group; ``of: int64[m]``,
    the group of each member. ``value`` is the objective's, within ``gap`` of its least.
    """

    total_kwh: Floats
    prices: Floats
    weights: Floats
    of: Ints
    value: float
    gap: float


def optimise(
    storage: Storage,
    objective: Objective,
    *,
    sizes: Floats | None = None,
    tolerance: float = 1e-6,
    compiled: bool | None = None,
) -> Plan:
    """The sum of all members that the objective likes best.

    Args:
        storage: t slots, m members.
        objective: what is minimised; `Squares` may be shorter than t.
        sizes: float64[m]; how often each member counts; by default once.
        tolerance: a gap that is small enough, as a share of what the first answer was improved by; that of rounding
            always is.
        compiled: as in `oracle.blend`.

    Raises:
        EngineError: no end was found.
    """
    if isinstance(objective, Squares) and len(objective.weight) < storage.slots:
        objective = objective.over(storage.slots)
    groups = halves(features(storage), -(-len(storage) // GROUPS)) if storage.slots else []
    order = np.concatenate(groups) if groups else np.arange(len(storage))
    edges = np.cumsum([0, *map(len, groups)])
    of = np.empty(len(storage), dtype=np.int64)
    of[order] = np.repeat(np.arange(len(groups)), np.diff(edges))
    members, counts = storage.take(order), None if sizes is None else sizes[order]
    task = objective.task()
    nothing, mean = np.zeros(storage.slots), Mix(np.ones(len(groups)), np.zeros(len(task.rows)))
    prices, slack = objective.gradient(nothing, mean.prices)
    hull = _Hull(prices, answers(members, prices, edges, counts, compiled=compiled))
    bound, begun = objective.value(nothing) - slack + float(prices @ hull.total()), objective.value(hull.total())
    bound, gap = max(bound, objective.least()), np.inf
    for _ in range(MOST_ROUNDS):
        mean = mix(hull.of(objective, task), task, mean, bound)
        hull.weights = mean.weights
        total = hull.total()
        value = objective.value(total)
        if objective.met(total):
            return hull.plan(of, total, value, 0.0)
        prices, slack = objective.gradient(total, mean.prices)
        answer = answers(members, prices, edges, counts, compiled=compiled)
        best = answer.sum(axis=0)
        bound = max(bound, value - slack - float(prices @ (total - best)))
        gap = min(value - bound, slack + float(prices @ (total - best)))
        rounding = ROUNDING * float(np.abs(prices) @ (np.abs(total) + np.abs(best)))
        near = gap <= tolerance * (begun - value) and not bound <= objective.least()
        if near or gap <= rounding:
            return hull.plan(of, total, value, max(gap, 0.0))
        hull.grow(prices, answer)
        mean = Mix(hull.weights, mean.prices)
    raise EngineError(f"no optimum within {MOST_ROUNDS} rounds; the gap is {gap:.3g}", path="optimise")


def disaggregate(storage: Storage, plan: Plan, *, compiled: bool | None = None) -> Floats:
    """Schedules of the members that add up to the plan: float64[t, m] kWh, each within its bounds."""
    return blend(storage, plan.prices, plan.weights[:, plan.of], compiled=compiled)


class _Hull:
    """Columns and their weights: ``columns: float64[n, t]``, group and price of each, ``prices: float64[c, t]``."""

    def __init__(self, prices: Floats, answer: Floats) -> None:
        self.prices = prices[None]
        self.columns = answer
        self.group = np.arange(len(answer))
        self.of_price = np.zeros(len(answer), dtype=np.int64)
        self.weights = np.ones(len(answer))
        self.most = MOST_COLUMNS * (len(answer) + len(prices))

    def total(self) -> Floats:
        """The sum of the groups' means."""
        total: Floats = self.weights @ self.columns
        return total

    def of(self, objective: Objective, task: Task) -> Columns:
        """The columns as the master takes them."""
        return Columns(self.columns[:, task.rows], objective.costs(self.columns), self.group)

    def grow(self, prices: Floats, answer: Floats) -> None:
        """One more column for each group, without weight; those without weight go where there are too many."""
        kept = np.arange(len(self.weights))
        if len(kept) + len(answer) > self.most:
            kept = np.flatnonzero(self.weights > LEAST)
            self.most = max(self.most, 2 * len(kept))
        self.columns = np.vstack((self.columns[kept], answer))
        self.group = np.append(self.group[kept], np.arange(len(answer)))
        self.of_price = np.append(self.of_price[kept], np.full(len(answer), len(self.prices)))
        self.prices = np.vstack((self.prices, prices))
        self.weights = np.append(self.weights[kept], np.zeros(len(answer)))

    def plan(self, of: Ints, total: Floats, value: float, gap: float) -> Plan:
        """What is used of it."""
        weights = np.zeros((len(self.prices), int(self.group.max(initial=-1)) + 1))
        np.add.at(weights, (self.of_price, self.group), self.weights)
        used = weights.any(axis=1)
        return Plan(total, self.prices[used], weights[used], of, value, gap)
