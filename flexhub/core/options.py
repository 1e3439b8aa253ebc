"""Mutually exclusive options: of several deviations from a baseline one is taken, wholly or in part, at its price.

An option is a ray from the baseline: activated by a factor a, every slot deviates by a times what was offered, for a
times the price. As a profile of a flex-offer (`ray`) that is a range in each slot, and rows that keep the proportions.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from flexhub.core.base import Id, Instant, Model, ResolutionS, in_utc
from flexhub.core.errors import InvalidError, NotFoundError
from flexhub.core.flexoffer import EnergyRange, Polytope, Profile, Slice
from flexhub.core.price import Price
from flexhub.core.timegrid import QUARTER_HOUR_S, check_on_grid
from flexhub.core.trading import Currency, Disposition, RequestInterval

HUNDREDTH: Final = Decimal("0.01")
"""Step, and least, of an activation factor."""


class Option(Model, frozen=True, kw_only=True):
    """A deviation that is offered, kWh per slot, positive = consume more; `price` is for all of it, in EUR.

    Activated by any factor from `min_activation_factor` to 1, in hundredths, it costs that share of the price.

    Raises:
        InvalidError: a factor outside 0.01 to 1.
    """

    reference: Annotated[str, msgspec.Meta(min_length=1)]
    deviation_kwh: Annotated[tuple[float, ...], msgspec.Meta(min_length=1)]
    price: Decimal
    min_activation_factor: Decimal = Decimal(1)

    def __post_init__(self) -> None:
        check_factor(self.min_activation_factor, HUNDREDTH, "min_activation_factor")

    def at(self, factor: Decimal) -> tuple[float, ...]:
        """The deviation at this factor, kWh per slot."""
        return tuple(float(factor) * kwh for kwh in self.deviation_kwh)


def check_factor(factor: Decimal, least: Decimal, path: str) -> None:
    """Refuse a factor outside `least` to 1, or of more than two decimals.

    Raises:
        InvalidError: it is one.
    """
    if not least <= factor <= 1 or factor % HUNDREDTH:
        raise InvalidError(f"{factor} is no hundredth from {least} to 1", path=path, clause="UFTP-45")


class Options(Model, frozen=True, kw_only=True):
    """Options of one local day, of which one at most is taken; slots count from `start`, its first instant.

    `baseline_kwh` is what is consumed where nothing is taken, kWh per slot; they can be taken until `expires`.

    Raises:
        InvalidError: an option of another length than the baseline, or a reference twice.
    """

    start: Instant
    baseline_kwh: tuple[float, ...]
    options: tuple[Option, ...]
    expires: Instant
    request: Id | None = None
    currency: Currency = "EUR"
    resolution_s: ResolutionS = QUARTER_HOUR_S

    def __post_init__(self) -> None:
        in_utc(self, ("start", "expires"))
        check_on_grid(self.start, self.resolution_s, "start")
        for i, option in enumerate(self.options):
            if len(option.deviation_kwh) != len(self.baseline_kwh):
                message = f"{len(option.deviation_kwh)} slots, the baseline has {len(self.baseline_kwh)}"
                raise InvalidError(message, path=f"options[{i}]/deviation_kwh")
        if len({o.reference for o in self.options}) != len(self.options):
            raise InvalidError("a reference stands twice", path="options", clause="UFTP-37")

    def option(self, reference: str) -> Option:
        """The option of this reference.

        Raises:
            NotFoundError: there is none.
        """
        for option in self.options:
            if option.reference == reference:
                return option
        raise NotFoundError("no such option", path="Options/options", value=reference)


def wanted_kwh(interval: RequestInterval) -> tuple[float, float]:
    """Least and greatest deviation that meets a request's interval, kWh.

    Interpretation: where "no change" lies within the bounds of a requested slot, as in -300 to 0 kW, the change that is
    requested is the bound away from zero (the standard gives both a bound and no target). Bounds that exclude zero, as
    -500 to -300 kW, are met anywhere between them.
    """
    lo = float("-inf") if interval.lo_kwh is None else interval.lo_kwh
    hi = float("inf") if interval.hi_kwh is None else interval.hi_kwh
    if interval.disposition is not Disposition.REQUESTED:
        return lo, hi
    if hi == 0 > lo > float("-inf"):
        return lo, lo
    if lo == 0 < hi < float("inf"):
        return hi, hi
    return lo, hi


def ray(baseline_kwh: Sequence[float], deviation_kwh: Sequence[float], least: float, price: Price | None) -> Profile:
    """The profile whose schedules are ``baseline + a * deviation`` for a from `least` to 1; kWh per slot of one each.

    Rows keep ``deviation_i * offered_r == deviation_r * offered_i`` for the slot r that deviates most and every other i
    that deviates; one factor, or one such slot, needs none.
    """
    slices = []
    for base, deviation in zip(baseline_kwh, deviation_kwh, strict=True):
        edges = sorted((base + least * deviation, base + deviation))
        slices.append(Slice(energy_kwh=(EnergyRange(*edges),), price=price))
    return Profile(slices=tuple(slices), polytope=_scaling(baseline_kwh, deviation_kwh, least))


def _scaling(baseline_kwh: Sequence[float], deviation_kwh: Sequence[float], least: float) -> Polytope | None:
    moving = [k for k, deviation in enumerate(deviation_kwh) if deviation]
    if least == 1.0 or len(moving) < 2:
        return None
    pivot = max(moving, key=lambda k: abs(deviation_kwh[k]))
    rows, limits = [], []
    for k in moving:
        if k == pivot:
            continue
        ratio = deviation_kwh[k] / deviation_kwh[pivot]
        row = [0.0] * len(deviation_kwh)
        row[k], row[pivot] = 1.0, -ratio
        at = baseline_kwh[k] - ratio * baseline_kwh[pivot]
        rows += [tuple(row), tuple(-v for v in row)]
        limits += [at, -at]
    return Polytope(a=tuple(rows), b_kwh=tuple(limits))
