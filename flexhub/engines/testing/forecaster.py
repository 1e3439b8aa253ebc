"""The test set of the forecaster slot."""

from __future__ import annotations

from datetime import timedelta

from flexhub.core.documents import decode, encode
from flexhub.core.errors import InfeasibleError
from flexhub.core.timeseries import TimeSeries
from flexhub.engines.slots import Forecaster
from flexhub.engines.testing import SlotTests, expect, refused
from flexhub.engines.testing.baseline import DAY, START, days


class ForecasterTests(SlotTests[Forecaster]):
    """What every forecaster does."""

    def test_expects_a_load_that_repeats_to_repeat(self) -> None:
        """Equal days before give the same day again, within a tenth of its energy."""
        found = self.make().forecast(days(28), START, 96)
        expect((found.start, found.subject, found.resolution_s) == (START, "meter", 900), f"is {found}")
        expect(len(found.values_kwh) == 96, "another number of slots")
        off = sum(abs((v if v is not None else 1e9) - w) for v, w in zip(found.values_kwh, DAY, strict=True))
        expect(off < 0.1 * sum(DAY), f"off by {off} kWh")

    def test_does_not_look_ahead(self) -> None:
        """Readings from the start on change nothing."""
        (later,) = days(1, scale=50.0)
        ahead = TimeSeries(subject="meter", kind=later.kind, start=START, values_kwh=later.values_kwh)
        plain = self.make().forecast(days(28), START, 96)
        expect(self.make().forecast([*days(28), ahead], START, 96) == plain, "what is still to come counts")

    def test_does_not_invent(self) -> None:
        """No history, or one without readings, tells nothing."""
        with refused(InfeasibleError, "no history"):
            self.make().forecast([], START, 4)
        past = days(1)[0]
        blank = TimeSeries(subject="meter", kind=past.kind, start=START - timedelta(days=7), values_kwh=(None,) * 96)
        with refused(InfeasibleError, "a history without readings"):
            self.make().forecast([blank], START, 4)

    def test_can_be_journalled(self) -> None:
        """What is written as JSON is read as the same."""
        found = self.make().forecast(days(28), START, 96)
        expect(decode(TimeSeries, encode(found)) == found, "does not survive JSON")
