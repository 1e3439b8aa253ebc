"""A charging session: when a car is plugged in, and what it wants."""

from __future__ import annotations

from typing import Annotated

import msgspec

from flexhub.core.base import Id, Instant, Model, in_utc
from flexhub.core.errors import InvalidError


class Session(Model, frozen=True, kw_only=True):
    """A car is plugged in at `station` from `arrival` to `departure` and asks for `energy_kwh`.

    Raises:
        InvalidError: departure not after arrival.
    """

    id: Id
    station: Id
    arrival: Instant
    departure: Instant
    energy_kwh: Annotated[float, msgspec.Meta(gt=0)]

    def __post_init__(self) -> None:
        in_utc(self, ("arrival", "departure"))
        if self.departure <= self.arrival:
            raise InvalidError(f"{self.departure:%FT%TZ} is not after arrival", path="departure")

    def due_kwh(self, power_kw: float) -> float:
        """What the session gets from a charger of `power_kw`: what it asks for, or less if its stay allows less."""
        return min(self.energy_kwh, power_kw * (self.departure - self.arrival).total_seconds() / 3600)
