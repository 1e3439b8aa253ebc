"""The one price model: convex piecewise-linear cost of deviating from the default schedule."""

from __future__ import annotations

import math
from itertools import pairwise

from flexhub.core.base import Model
from flexhub.core.errors import InvalidError


class Price(Model, frozen=True, kw_only=True, gc=False):
    """Cost in EUR, paid to the issuer, of a deviation of d kWh in one slice from the default schedule.

    ``slopes_eur_per_kwh`` (n, never falling) hold between ``knots_kwh`` (n - 1, rising); the cost is 0 at d = 0:
    ``cost(d) = integral from 0 to d of slope(u) du``, convex because slopes never fall.

    V1's minTariff and maxTariff are the two-segment case with a knot at 0: every kWh above the default costs
    maxTariff, every kWh below costs ``-minTariff`` [GOFLEX manager: price = maxTariff when up, minTariff when down].

    Raises:
        InvalidError: not finite, slopes falling, knots not rising, or their numbers not matching.
    """

    slopes_eur_per_kwh: tuple[float, ...]
    knots_kwh: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        slopes, knots = self.slopes_eur_per_kwh, self.knots_kwh
        if len(slopes) != len(knots) + 1:
            raise InvalidError(f"{len(slopes)} slopes need {len(slopes) - 1} knots, not {len(knots)}", path="knots_kwh")
        if not all(map(math.isfinite, slopes + knots)):
            raise InvalidError("prices and knots are finite numbers", path="slopes_eur_per_kwh")
        if any(a > b for a, b in pairwise(slopes)):
            raise InvalidError("slopes fall, so the cost is not convex", path="slopes_eur_per_kwh", value=str(slopes))
        if any(a >= b for a, b in pairwise(knots)):
            raise InvalidError("knots do not rise", path="knots_kwh", value=str(knots))

    @classmethod
    def of_tariffs(cls, min_eur_per_kwh: float, max_eur_per_kwh: float) -> Price:
        """The two-segment price of V1's tariffConstraint."""
        if min_eur_per_kwh == max_eur_per_kwh:
            return cls(slopes_eur_per_kwh=(min_eur_per_kwh,))
        return cls(slopes_eur_per_kwh=(min_eur_per_kwh, max_eur_per_kwh), knots_kwh=(0.0,))

    def tariffs(self) -> tuple[float, float] | None:
        """(minTariff, maxTariff) where this price is such a pair, otherwise None."""
        if self.knots_kwh in ((), (0.0,)):
            return self.slopes_eur_per_kwh[0], self.slopes_eur_per_kwh[-1]
        return None

    def cost_eur(self, deviation_kwh: float) -> float:
        """EUR for consuming `deviation_kwh` more (less, if negative) than the default."""
        edges = (-math.inf, *self.knots_kwh, math.inf)
        low, high = min(0.0, deviation_kwh), max(0.0, deviation_kwh)
        area = sum(
            slope * max(0.0, min(high, right) - max(low, left))
            for slope, (left, right) in zip(self.slopes_eur_per_kwh, pairwise(edges), strict=True)
        )
        return math.copysign(1.0, deviation_kwh) * area
