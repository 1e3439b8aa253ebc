"""What energy costs, slot by slot, as somebody told a manager to plan with."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Annotated

import msgspec

from flexhub.core.base import Id, Instant, Model, ResolutionS, in_utc
from flexhub.core.errors import InvalidError
from flexhub.core.timegrid import QUARTER_HOUR_S, check_on_grid
from flexhub.core.units import MOST_SLOTS


class Tariff(Model, frozen=True, kw_only=True):
    """Prices of energy bought, EUR/kWh, of consecutive slots from `start`; None where this one says nothing.

    Raises:
        InvalidError: a start off the grid, or a price that is not finite.
    """

    id: Id
    issuer: Id
    recipient: Id
    created: Instant
    start: Instant
    prices_eur_per_kwh: Annotated[tuple[float | None, ...], msgspec.Meta(min_length=1, max_length=MOST_SLOTS)]
    resolution_s: ResolutionS = QUARTER_HOUR_S

    def __post_init__(self) -> None:
        in_utc(self, ("created", "start"))
        check_on_grid(self.start, self.resolution_s, "start")
        if any(price is not None and not math.isfinite(price) for price in self.prices_eur_per_kwh):
            raise InvalidError("prices are finite numbers or null", path="prices_eur_per_kwh")

    @property
    def end(self) -> Instant:
        """First instant after the last slot."""
        return self.start + timedelta(seconds=self.resolution_s * len(self.prices_eur_per_kwh))
