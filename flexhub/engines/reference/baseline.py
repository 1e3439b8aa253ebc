"""Reference baselines: what would have been consumed, told from like days before.

Like days are of the same kind (workdays, or Saturdays and Sundays) in local time; slots are matched by local clock
time, so that a day of 92 or 100 quarter-hours fits one of 96. The history is expected to hold no intervention.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from flexhub.core.errors import InfeasibleError, InvalidError
from flexhub.core.timeseries import SeriesKind, TimeSeries

ADJUSTMENT: Final = (timedelta(hours=4), timedelta(hours=2))
"""The window before the start that CAISO's adjustment looks at: hours -4 to -2."""


class _LikeDays:
    """What both baselines share: the last `days` like days, and a statistic of their values."""

    name: str

    def __init__(self, *, days: int = 10, zone: str = "UTC") -> None:
        self._days = days
        self._zone = ZoneInfo(zone)

    def baseline(self, history: Sequence[TimeSeries], start: datetime, slots: int) -> TimeSeries:
        """Most probable energy of `slots` slots from `start`; None for slots that no like day tells of.

        Only readings from before `start` count, and the last of several for the same slot.

        Raises:
            InfeasibleError: no like day tells of any slot.
            InvalidError: series of different subjects or resolutions.
        """
        if not history:
            raise InfeasibleError("no history to tell from", path="history")
        head = history[0]
        if any((s.subject, s.resolution_s) != (head.subject, head.resolution_s) for s in history):
            raise InvalidError("series differ in subject or resolution", path="history")
        step = timedelta(seconds=head.resolution_s)
        known = {at: value for s in history for at, value in s.items() if value is not None and at < start}
        values = self._values(known, start, slots, step)
        if all(v is None for v in values):
            raise InfeasibleError("no like day to tell from", path="history")
        return TimeSeries(
            subject=head.subject,
            kind=SeriesKind.BASELINE,
            start=start,
            values_kwh=tuple(values),
            resolution_s=head.resolution_s,
        )

    def _values(self, known: dict[datetime, float], start: datetime, slots: int, step: timedelta) -> list[float | None]:
        by_clock: dict[tuple[bool, time], list[tuple[date, float]]] = {}
        for at in sorted(known):
            day, clock = self._local(at)
            by_clock.setdefault((_weekend(day), clock), []).append((day, known[at]))
        values: list[float | None] = []
        for i in range(slots):
            day, clock = self._local(start + i * step)
            like = [v for d, v in by_clock.get((_weekend(day), clock), []) if d < day][-self._days :]
            values.append(self._typical(like) if like else None)
        return values

    def _typical(self, values: list[float]) -> float:
        raise NotImplementedError

    def _local(self, at: datetime) -> tuple[date, time]:
        local = at.astimezone(self._zone)
        return local.date(), local.time()


def _weekend(day: date) -> bool:
    return day.weekday() >= 5


class MedianOfLikeDays(_LikeDays):
    """Median of the last like days: "most probable consumption from past data" [KIBERnet, which gives no formula]."""

    name = "median"

    def _typical(self, values: list[float]) -> float:
        return statistics.median(values)


class TenInTen(_LikeDays):
    """Mean of the last ten like days, scaled by what was measured shortly before the start [CAISO 10-in-10].

    The factor is measured over raw baseline of hours -4 to -2, within 0.8 to 1.2; 1 where that cannot be told.
    """

    name = "ten-in-ten"

    def _typical(self, values: list[float]) -> float:
        return statistics.fmean(values)

    def _values(self, known: dict[datetime, float], start: datetime, slots: int, step: timedelta) -> list[float | None]:
        raw = super()._values(known, start, slots, step)
        before = start - ADJUSTMENT[0]
        count = (ADJUSTMENT[0] - ADJUSTMENT[1]) // step
        expected = super()._values(known, before, count, step)
        pairs = [(known.get(before + i * step), e) for i, e in enumerate(expected)]
        told = [(m, e) for m, e in pairs if m is not None and e is not None]
        usual = sum(e for _, e in told)
        factor = min(max(sum(m for m, _ in told) / usual, 0.8), 1.2) if usual > 0 else 1.0
        return [None if v is None else factor * v for v in raw]
