"""What a flex-offer message says, whichever dialect says it. Total: text that is no value of its kind reads as None.

That such text is wrong is a rule's business (`rules`); so a rule about two times needs no care for broken ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

from msgspec import UNSET, UnsetType

from flexhub.core.units import FIRST_YEAR, LAST_YEAR
from flexhub.protocols.flexoffer.messages import (
    Bounds,
    FlexOffer,
    Number,
    PriceSeries,
    PriceSlice,
    Schedule,
    Slice,
    TariffConstraint,
)

T = TypeVar("T")

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DEFAULT_SECONDS: Final = 900
MAX_SECONDS: Final = 86_400

_NUMERIC: Final = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_DATETIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[-+]\d\d:?\d\d)", re.ASCII)

TIMES: Final = {
    "creation": ("creationTime", "creationInterval"),
    "accept_before": ("acceptBeforeTime", "acceptBeforeInterval"),
    "acceptance_before": ("acceptanceBeforeTime", "acceptanceBeforeInterval"),
    "assignment_before": ("assignmentBeforeTime", "assignmentBeforeInterval"),
    "start_after": ("startAfterTime", "startAfterInterval"),
    "start_before": ("startBeforeTime", "startBeforeInterval"),
    "end_after": ("endAfterTime", "endAfterInterval"),
    "end_before": ("endBeforeTime", "endBeforeInterval"),
}
"""Attribute stem -> the wire names of the time and of its twin that counts intervals since the epoch."""


class Price(NamedTuple):
    """A pair of prices as read; either may be missing."""

    low: float | None
    high: float | None


def first(*spellings: T | UnsetType | None) -> T | None:
    """The value of whichever spelling is there."""
    for value in spellings:
        if value is not UNSET and value is not None:
            return value
    return None


def number(*spellings: Number | UnsetType | None) -> float | None:
    """The number in whichever spelling is there, also one written as text; None where there is none."""
    for value in spellings:
        if isinstance(value, float):
            return value
        if isinstance(value, str):
            read = float(value) if _NUMERIC.fullmatch(value) else math.inf
            return read if math.isfinite(read) else None
    return None


@lru_cache(maxsize=4096)
def instant(text: str) -> datetime | None:
    """An instant in UTC, or None where the text is not one that we hold (`core.units.FIRST_YEAR`) or has no offset."""
    if not _DATETIME.fullmatch(text):
        return None
    try:
        return _held(datetime.fromisoformat(text).astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _held(moment: datetime) -> datetime | None:
    return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else None


def seconds_per_interval(offer: FlexOffer) -> int:
    """Length of an interval; 900 s where the message does not say, or says nonsense."""
    told = offer.num_seconds_per_interval
    return told if isinstance(told, int) and 1 <= told <= MAX_SECONDS else DEFAULT_SECONDS


def of_interval(interval: int, seconds: int) -> datetime | None:
    """First instant of an interval counted from the epoch; None where it is not one that we hold."""
    try:
        return _held(EPOCH + timedelta(seconds=interval * seconds))
    except OverflowError:
        return None


def interval_of(moment: datetime, seconds: int) -> int:
    """The interval that holds an instant: whole intervals since the epoch (V1: epoch value / numSecondsPerInterval)."""
    return int((moment - EPOCH).total_seconds() // seconds)


def moment(offer: FlexOffer, stem: str) -> datetime | None:
    """The instant that the time of this stem names, or else its interval twin."""
    text = getattr(offer, f"{stem}_time")
    if isinstance(text, str):
        return instant(text)
    interval = getattr(offer, f"{stem}_interval")
    return of_interval(interval, seconds_per_interval(offer)) if isinstance(interval, int) else None


def accept_before(offer: FlexOffer) -> datetime | None:
    """Acceptance deadline in either spelling."""
    return moment(offer, "accept_before") or moment(offer, "acceptance_before")


def bounds(value: Bounds) -> tuple[float | None, float | None]:
    """(lower, upper) in either spelling."""
    return number(value.lower, value.lower_bound), number(value.upper, value.upper_bound)


def prices(value: TariffConstraint | PriceSeries) -> Price:
    """(min, max) in either spelling."""
    return Price(number(value.min_tariff, value.min_price), number(value.max_tariff, value.max_price))


def slices(offer: FlexOffer) -> tuple[Slice, ...]:
    """Slices of the profile; none where the flexibility is withdrawn."""
    return offer.flex_offer_profile_constraints or ()


def rows(piece: Slice) -> tuple[tuple[Number, ...], ...]:
    """Dependency rows ``[a, b, c]`` of a slice."""
    return first(piece.dependency_energy_constraint_list, piece.dependency_energy_constraint_list_v1) or ()


def rows_name(piece: Slice) -> str:
    """How the message spells the field of the dependency rows."""
    lower = isinstance(piece.dependency_energy_constraint_list, tuple)
    return "dependencyEnergyConstraintList" if lower else "DependencyEnergyConstraintList"


def functions(piece: Slice) -> Any:  # noqa: ANN401 - V1 leaves the form of uncertain functions open
    """Uncertain functions of a slice as they stand."""
    return first(piece.uncertain_functions, piece.uncertain_functions_v1)


def functions_name(piece: Slice) -> str:
    """How the message spells the field of the uncertain functions."""
    return "uncertainFunctions" if first(piece.uncertain_functions) is not None else "UncertainFunctions"


def points(value: object) -> list[tuple[float, float]] | None:
    """Uncertain functions that are points ``[energy, probability]`` with rising energies; None for other forms.

    Interpretation: V1 leaves the encoding open ("piecewise polynomials"); points are the piecewise linear case.
    """
    if not isinstance(value, list | tuple) or len(value) < 2:
        return None
    read: list[tuple[float, float]] = []
    for point in value:
        if not isinstance(point, list | tuple) or len(point) != 2:
            return None
        energy, probability = point
        if isinstance(energy, bool) or isinstance(probability, bool):
            return None
        if not isinstance(energy, int | float) or not isinstance(probability, int | float):
            return None
        if not 0 <= probability <= 1 or abs(energy) > 1e300 or (read and energy <= read[-1][0]):
            return None
        read.append((float(energy), float(probability)))
    return read


def threshold(piece: Slice) -> float | None:
    """Least acceptable probability of a slice."""
    return number(piece.uncertain_threshold, piece.uncertain_threshold_v1)


def price_slices(series: PriceSeries | tuple[PriceSlice, ...]) -> tuple[PriceSlice, ...]:
    """Slices of an offer-level price, in either spelling."""
    if isinstance(series, tuple):
        return series
    return first(series.price_slices, series.tariff_slices) or ()


def schedules(offer: FlexOffer) -> Iterator[tuple[str, Schedule]]:
    """(wire name, schedule) of the schedules that are there."""
    if isinstance(offer.default_schedule, Schedule):
        yield "defaultSchedule", offer.default_schedule
    if isinstance(offer.flex_offer_schedule, Schedule):
        yield "flexOfferSchedule", offer.flex_offer_schedule
