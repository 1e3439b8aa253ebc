"""Exact plans for the sum of many storage-like members: follow a target, limit a peak, or any cost of squares.

The sums of what m members may do are a polytope that nobody can list, but for any prices `oracle.respond` tells its
best point. So it is met by columns: some of its points s_c, each the answer to prices p_c. The master takes the best
point of their hull, ``s = sum w_c s_c`` with w >= 0 and sum w = 1; the gradient g of the objective there is a new set
of prices, whose answer is a new column. For every feasible s', convexity gives f(s') >= f(s) + g (s' - s), so

    gap = g s - min over s' of g s' = g (s - respond(g))

bounds how far s is from the optimum, and at gap 0 s is it. Each round that goes on adds a point outside of the hull, of
which there are finitely many, and the master finds the best of the hull exactly, so it ends (fully corrective
Frank-Wolfe; Dantzig-Wolfe where the objective is piecewise linear).

**Disaggregation** takes the same weights: ``e_k = sum w_c e_k(p_c)``, with e_k(p) the answer of member k alone. It
keeps all bounds of the member, as each answer does and they are convex; and sums to s, as the answers do. Answers are
found again from their prices, so that no column is ever stored member by member.

**Law.** For every s that the members can make in sum, `Squares` with that target finds weights whose sum is s, up to
`tolerance_kwh`, and so schedules of the members. For every feasible prefix of such an s, the same with weight on the
slots of the prefix alone finds schedules that begin with it and go on to the end: it can always be completed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np

from flexhub.core.algebra.oracle import blend, respond
from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import Floats
from flexhub.core.errors import EngineError, InvalidError

MOST_ROUNDS: Final = 2_000
"""After so many rounds something is wrong."""

ROUNDING: Final = 1e-13
"""A gap below this share of what it is the difference of is rounding."""


class Best(NamedTuple):
    """The best point of the hull of columns: their weights (float64[c]), the prices there (float64[t]), the value."""

    weights: Floats
    prices: Floats
    value: float


class Objective(Protocol):
    """What is minimised: a convex function of the members' sum, float64[t] kWh."""

    def first(self) -> Floats:
        """Prices to begin with: float64[t]."""

    def best(self, columns: Floats, weights: Floats) -> Best:
        """The best point of the hull; ``columns: float64[c, t]``, with weights that are a good beginning."""

    def met(self, total: Floats) -> bool:
        """Whether no other sum can be better, seen from the sum alone."""

    def within_reach(self, bound: float) -> bool:
        """Whether a sum may still be found of which that is so, where no value is below this bound."""


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

    def first(self) -> Floats:
        """As of `Objective`."""
        prices: Floats = -self.weight * self.target_kwh
        return prices

    def best(self, columns: Floats, weights: Floats) -> Best:
        """As of `Objective`."""
        root = np.sqrt(self.weight)
        weights = nearest(columns * root, self.target_kwh * root, weights)
        miss = weights @ columns - self.target_kwh
        return Best(weights, self.weight * miss, float(self.weight @ miss**2) / 2)

    def met(self, total: Floats) -> bool:
        """As of `Objective`."""
        return bool((np.abs(total - self.target_kwh)[self.weight > 0] <= self.tolerance_kwh).all())

    def within_reach(self, bound: float) -> bool:
        """As of `Objective`: the target itself, unless every sum is proven to miss it."""
        return bound <= 0


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

    def first(self) -> Floats:
        """As of `Objective`."""
        return self.price

    def best(self, columns: Floats, weights: Floats) -> Best:
        """As of `Objective`; a linear program, of which only the columns' weights and the excesses are variables."""
        from flexhub.core.algebra.master import linear_master  # noqa: PLC0415 - the solver is slow to import

        weights, excess_price = linear_master(columns, columns @ self.price, self.limit_kwh, self.penalty)
        total = weights @ columns
        excess = np.maximum(total - self.limit_kwh, 0.0).sum()
        return Best(weights, self.price + excess_price, float(self.price @ total + self.penalty * excess))

    def met(self, total: Floats) -> bool:  # noqa: ARG002 - only the gap tells
        """As of `Objective`."""
        return False

    def within_reach(self, bound: float) -> bool:  # noqa: ARG002 - as above
        """As of `Objective`."""
        return False


class Plan(NamedTuple):
    """A sum of members (float64[t] kWh) as a mean of their answers to prices.

    ``prices: float64[c, t]``, ``weights: float64[c]``, above 0 and adding up to 1. ``value`` is the objective's, within
    ``gap`` of its least.
    """

    total_kwh: Floats
    prices: Floats
    weights: Floats
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
    prices = objective.first()[None]
    columns = respond(storage, prices[0], sizes, compiled=compiled)[None]
    weights = np.ones(1)
    gap, begun = np.inf, objective.best(columns, weights).value
    for _ in range(MOST_ROUNDS):
        best = objective.best(columns, weights)
        total: Floats = best.weights @ columns
        if objective.met(total):
            return _plan(total, prices, best, 0.0)
        answer = respond(storage, best.prices, sizes, compiled=compiled)
        gap = float(best.prices @ (total - answer))
        rounding = ROUNDING * float(np.abs(best.prices) @ (np.abs(total) + np.abs(answer)))
        near = gap <= tolerance * (begun - best.value) and not objective.within_reach(best.value - gap)
        if near or gap <= rounding:
            return _plan(total, prices, best, max(gap, 0.0))
        kept = best.weights > 0
        columns, prices = np.vstack((columns[kept], answer)), np.vstack((prices[kept], best.prices))
        weights = np.append(best.weights[kept], 0.0)
    raise EngineError(f"no optimum within {MOST_ROUNDS} rounds; the gap is {gap:.3g}", path="optimise")


def disaggregate(storage: Storage, plan: Plan, *, compiled: bool | None = None) -> Floats:
    """Schedules of the members that add up to the plan: float64[t, m] kWh, each within its bounds."""
    return blend(storage, plan.prices, plan.weights, compiled=compiled)


def _plan(total: Floats, prices: Floats, best: Best, gap: float) -> Plan:
    kept = best.weights > 0
    return Plan(total, prices[kept], best.weights[kept], best.value, gap)


def nearest(columns: Floats, target: Floats, weights: Floats) -> Floats:
    """Weights (float64[c], not negative, of sum 1) of the point of the columns' hull that is nearest to the target.

    An active set: of the columns with weight, the nearest point of their affine hull, by least squares; where that lies
    outside of their hull, as far towards it as weights stay above 0, and one column less; where it lies inside, one
    more column that leads nearer. Each time the distance falls, and of every set it is the least, so it ends.

    Args:
        columns: float64[c, t].
        target: float64[t].
        weights: float64[c]; to begin with.
    """
    weights = weights.copy()
    scale = float(np.abs(columns).max(initial=0.0) + np.abs(target).max(initial=0.0))
    for _ in range(10 * len(columns) + 100):
        weights = _descend(columns, target, weights)
        miss = weights @ columns - target
        slope = columns @ miss
        lead = float(weights @ slope) - slope
        entering = int(np.argmax(np.where(weights > 0, -np.inf, lead)))
        if weights[entering] > 0 or lead[entering] <= 1e-15 * scale * float(np.abs(miss).sum()):
            break
        before = weights
        weights = weights.copy()
        weights[entering] = np.finfo(np.float64).tiny
        moved = _descend(columns, target, weights)
        if not float(np.sum((moved @ columns - target) ** 2)) < float(np.sum(miss**2)):
            return before  # what is left to gain is less than rounding
        weights = moved
    return weights


def _descend(columns: Floats, target: Floats, weights: Floats) -> Floats:
    """Weights of the best point of the hull of some of the columns that have weight."""
    weights = weights.copy()
    while True:
        support = np.flatnonzero(weights)
        if len(support) == 1:
            weights[support] = 1.0
            return weights
        last = columns[support[-1]]
        wanted, *_ = np.linalg.lstsq((columns[support[:-1]] - last).T, target - last, rcond=None)
        wanted = np.append(wanted, 1.0 - wanted.sum())
        if (wanted > 0).all():
            weights[support] = wanted
            return weights
        now = weights[support]
        down = wanted <= 0
        step = now[down] / (now[down] - wanted[down])
        fraction = float(step.min())
        moved = np.maximum(now + fraction * (wanted - now), 0.0)
        moved[np.flatnonzero(down)[step <= fraction]] = 0.0
        weights[support] = moved / moved.sum()
