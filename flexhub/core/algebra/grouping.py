"""Which offers are merged: a grid over chosen dimensions, each with a tolerance."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, TypeVar

from flexhub.core.algebra.shape import bounds, starts
from flexhub.core.flexoffer import FlexOffer

T = TypeVar("T")


class Dimension(enum.StrEnum):
    """What offers can be told apart by. Times in s, energies in kWh, tariffs in EUR/kWh; words have no tolerance."""

    START_AFTER = "start_after"
    START_BEFORE = "start_before"
    TIME_FLEXIBILITY = "time_flexibility"
    ASSIGN_BEFORE = "assign_before"
    DURATION = "duration"
    SLICES = "slices"
    TOTAL_ENERGY = "total_energy"
    TARIFF = "tariff"
    LOCATION = "location"
    CONTRACT = "contract"
    SIGN = "sign"
    KIND = "kind"


def _sign(offer: FlexOffer) -> str:
    lo, hi = bounds(offer.profiles[0])
    return "consumption" if (lo >= 0).all() else "production" if (hi <= 0).all() else "both"


def _seconds_of(offer: FlexOffer, end: int) -> float:
    return starts(offer, offer.profiles[0].duration_slots()[1])[end] * float(offer.resolution_s)


def _tariff(offer: FlexOffer) -> float:
    """The most that a kWh above the default costs anywhere in the offer, EUR/kWh; 0 where nothing is priced.

    Interpretation: V1's maxTariff, of the offer's own price and those of its slices, stands for the tariff.
    """
    prices = [p for p in (offer.price, *(s.price for s in offer.profiles[0].slices)) if p is not None]
    return max((p.slopes_eur_per_kwh[-1] for p in prices), default=0.0)


VALUES: Final[Mapping[Dimension, Callable[[FlexOffer], float | str]]] = {
    Dimension.START_AFTER: lambda o: _seconds_of(o, 0),
    Dimension.START_BEFORE: lambda o: _seconds_of(o, 1),
    Dimension.TIME_FLEXIBILITY: lambda o: _seconds_of(o, 1) - _seconds_of(o, 0),
    Dimension.ASSIGN_BEFORE: lambda o: o.assign_deadline(o.created).timestamp(),
    Dimension.DURATION: lambda o: float(o.profiles[0].duration_slots()[1] * o.resolution_s),
    Dimension.SLICES: lambda o: float(len(o.profiles[0].slices)),
    Dimension.TOTAL_ENERGY: lambda o: float(bounds(o.profiles[0])[1].sum()),
    Dimension.TARIFF: _tariff,
    Dimension.LOCATION: lambda o: o.location or "",
    Dimension.CONTRACT: lambda o: o.contract or "",
    Dimension.SIGN: _sign,
    Dimension.KIND: lambda o: o.quantity.value,
}

DEFAULT: Final[Mapping[Dimension, float]] = {
    Dimension.START_AFTER: 3600.0,
    Dimension.TIME_FLEXIBILITY: 3600.0,
    Dimension.LOCATION: 0.0,
    Dimension.SIGN: 0.0,
}
"""An hour of start and of time flexibility: what start alignment loses stays below an hour per member."""


def cell(offer: FlexOffer, tolerances: Mapping[Dimension, float]) -> tuple[Hashable, ...]:
    """The offer's cell of the grid: floor(value / tolerance) per dimension; tolerance 0 asks for equality."""
    return tuple(
        value if isinstance(value, str) or not tolerance else math.floor(value / tolerance)
        for value, tolerance in ((VALUES[dimension](offer), t) for dimension, t in tolerances.items())
    )


def group(items: Sequence[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Items of equal key together, in the order in which keys and items come."""
    groups: dict[Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())
