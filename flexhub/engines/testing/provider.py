"""The test set of data providers. What one knows is set up outside, so a subclass brings samples."""

from __future__ import annotations

from datetime import timedelta

from flexhub.core.documents import decode, encode
from flexhub.core.errors import NotFoundError
from flexhub.core.timeseries import TimeSeries
from flexhub.engines.slots import DataProvider
from flexhub.engines.testing import SlotTests, expect, refused


class ProviderTests(SlotTests[DataProvider]):
    """What every data provider does."""

    def sample(self) -> TimeSeries:
        """A series of at least two known slots that the provider made by `make` has; to be overridden."""
        raise NotImplementedError

    def test_gives_what_it_has(self) -> None:
        """The very values, on the very slots."""
        sample = self.sample()
        found = self.make().fetch(sample.subject, sample.start, len(sample.values_kwh))
        expect((found.subject, found.start) == (sample.subject, sample.start), f"is {found.subject} at {found.start}")
        expect(found.values_kwh == sample.values_kwh, f"{found.values_kwh} instead of {sample.values_kwh}")
        expect(found.resolution_s == sample.resolution_s, "another resolution")

    def test_gives_part_of_it(self) -> None:
        """From any slot on, as many as are asked for."""
        sample = self.sample()
        second = sample.start + timedelta(seconds=sample.resolution_s)
        found = self.make().fetch(sample.subject, second, 1)
        expect((found.start, found.values_kwh) == (second, sample.values_kwh[1:2]), f"is {found}")

    def test_does_not_invent(self) -> None:
        """Slots that it does not know are None, an unknown subject is refused."""
        sample = self.sample()
        before = sample.start - timedelta(days=3650)
        expect(self.make().fetch(sample.subject, before, 3).values_kwh == (None,) * 3, "made values up")
        with refused(NotFoundError, "an unknown subject"):
            self.make().fetch("nobody-has-heard-of-it", sample.start, 1)

    def test_can_be_journalled(self) -> None:
        """What is written as JSON is read as the same."""
        sample = self.sample()
        found = self.make().fetch(sample.subject, sample.start, len(sample.values_kwh))
        expect(decode(TimeSeries, encode(found)) == found, "does not survive JSON")
