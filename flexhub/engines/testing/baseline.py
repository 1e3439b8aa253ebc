"""The test set of the baseline slot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flexhub.core.errors import InfeasibleError
from flexhub.core.timeseries import SeriesKind, TimeSeries
from flexhub.engines.slots import Baseline
from flexhub.engines.testing import SlotTests, expect, refused

START = datetime(2026, 2, 16, tzinfo=UTC)  # a Monday
DAY = tuple(float(slot % 7) for slot in range(96))


def days(count: int, scale: float = 1.0) -> list[TimeSeries]:
    """The same day, so many times before START."""
    return [
        TimeSeries(
            subject="meter",
            kind=SeriesKind.MEASUREMENT,
            start=START - timedelta(days=back),
            values_kwh=tuple(scale * v for v in DAY),
        )
        for back in range(1, count + 1)
    ]


class BaselineTests(SlotTests[Baseline]):
    """What every baseline does."""

    def test_repeats_a_load_that_repeats(self) -> None:
        """Equal days before give the same day again."""
        found = self.make().baseline(days(28), START, 96)
        expect((found.start, found.subject, found.kind) == (START, "meter", SeriesKind.BASELINE), f"is {found}")
        expect(len(found.values_kwh) == 96, "another number of slots")
        worst = max(abs((v if v is not None else 1e9) - w) for v, w in zip(found.values_kwh, DAY, strict=True))
        expect(worst < 1e-6, f"off by {worst} kWh")

    def test_does_not_look_at_what_it_is_to_tell(self) -> None:
        """Readings from the start on change nothing."""
        event = TimeSeries(subject="meter", kind=SeriesKind.MEASUREMENT, start=START, values_kwh=(99.0,) * 96)
        plain = self.make().baseline(days(28), START, 96)
        expect(self.make().baseline([*days(28), event], START, 96) == plain, "readings of the event itself count")

    def test_does_not_invent(self) -> None:
        """No history, no baseline; unknown readings are not zeros."""
        with refused(InfeasibleError, "no history"):
            self.make().baseline([], START, 4)
        blank = TimeSeries(
            subject="meter", kind=SeriesKind.MEASUREMENT, start=START - timedelta(days=7), values_kwh=(None,) * 96
        )
        with refused(InfeasibleError, "a history without readings"):
            self.make().baseline([blank], START, 4)
        full = self.make().baseline([*days(28), blank], START, 96)
        expect(full.values_kwh == self.make().baseline(days(28), START, 96).values_kwh, "gaps count as values")
