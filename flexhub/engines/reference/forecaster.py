"""The reference forecaster: a load is expected to be what it was on like days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flexhub.core.timeseries import TimeSeries
from flexhub.engines.reference.baseline import MedianOfLikeDays


class LikeDays:
    """Median of the last like days before the start, by the reference baseline.

    Interpretation: without intervention the expected energy is the baseline, so the series is of that kind.
    """

    name = "like-days"

    def __init__(self, *, days: int = 10, zone: str = "UTC") -> None:
        self._baseline = MedianOfLikeDays(days=days, zone=zone)

    def forecast(self, history: Sequence[TimeSeries], start: datetime, slots: int) -> TimeSeries:
        """Expected energy, kWh per slot; None for slots that no like day tells of.

        Raises:
            InfeasibleError: no like day tells of any slot.
            InvalidError: series of different subjects or resolutions.
        """
        return self._baseline.baseline(history, start, slots)
