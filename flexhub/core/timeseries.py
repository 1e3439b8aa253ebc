"""Values on a time grid: measured, planned or expected."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from flexhub.core.base import Id, Instant, Model, ResolutionS, in_utc
from flexhub.core.errors import InvalidError
from flexhub.core.timegrid import QUARTER_HOUR_S, check_on_grid
from flexhub.core.units import MOST_SLOTS


class SeriesKind(enum.StrEnum):
    """What a series tells of its subject."""

    MEASUREMENT = "measurement"
    BASELINE = "baseline"
    SCHEDULE = "schedule"


class Quality(enum.StrEnum):
    """How far a reading can be trusted. Only `measured` and `estimated` readings are paid on."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    SUSPECT = "suspect"
    MISSING = "missing"


def _check_values(values: tuple[float | None, ...]) -> None:
    if any(v is not None and not math.isfinite(v) for v in values):
        raise InvalidError("values are finite numbers or null", path="values")


class TimeSeries(Model, frozen=True, kw_only=True):
    """Energies of consecutive slots from `start`; None where nothing is known.

    Raises:
        InvalidError: a start off the grid, or a value that is not finite.
    """

    subject: Id
    kind: SeriesKind
    start: Instant
    values_kwh: tuple[float | None, ...]
    resolution_s: ResolutionS = QUARTER_HOUR_S

    def __post_init__(self) -> None:
        in_utc(self, ("start",))
        check_on_grid(self.start, self.resolution_s, "start")
        _check_values(self.values_kwh)

    def items(self) -> Iterator[tuple[datetime, float | None]]:
        """(start of slot, energy) of every slot."""
        for i, value in enumerate(self.values_kwh):
            yield self.start + timedelta(seconds=i * self.resolution_s), value


class Measurement(Model, frozen=True, kw_only=True):
    """Meter readings of one resource or connection, slot by slot, each with its quality.

    `offer` names the flex-offer under whose schedule it was taken. Active energy in kWh, positive = consumption.

    Raises:
        InvalidError: a start off the grid, flags that do not match the readings, or a value that is not finite.
    """

    subject: Id
    start: Instant
    values_kwh: Annotated[tuple[float | None, ...], msgspec.Meta(min_length=1, max_length=MOST_SLOTS)]
    quality: tuple[Quality, ...] = ()
    offer: Id | None = None
    resolution_s: ResolutionS = QUARTER_HOUR_S

    def __post_init__(self) -> None:
        in_utc(self, ("start",))
        check_on_grid(self.start, self.resolution_s, "start")
        _check_values(self.values_kwh)
        if self.quality and len(self.quality) != len(self.values_kwh):
            raise InvalidError(f"{len(self.quality)} flags for {len(self.values_kwh)} readings", path="quality")
        for i, value in enumerate(self.values_kwh):
            if (value is None) != (self.flag(i) is Quality.MISSING):
                raise InvalidError("a reading is null exactly where its flag is missing", path=f"quality[{i}]")

    def flag(self, i: int) -> Quality:
        """Quality of reading `i`: as flagged; without flags, measured or (null) missing."""
        if self.quality:
            return self.quality[i]
        return Quality.MISSING if self.values_kwh[i] is None else Quality.MEASURED
