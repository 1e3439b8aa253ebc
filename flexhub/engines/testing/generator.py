"""The test set of the generator slot. What a load is differs per generator, so a subclass brings its samples."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from flexhub.core.errors import InfeasibleError
from flexhub.core.judge import violations
from flexhub.core.units import TOLERANCE_KWH
from flexhub.engines.slots import Generator
from flexhub.engines.testing import SlotTests, expect, refused


class GeneratorTests(SlotTests[Generator[Any]]):
    """What every generator does."""

    def loads(self) -> tuple[datetime, Sequence[object]]:
        """Now, and loads with flexibility; to be overridden."""
        raise NotImplementedError

    def hopeless(self) -> Sequence[object]:
        """Loads that leave no flexibility at that time."""
        return ()

    def test_default_schedules_are_feasible(self) -> None:
        """Each offer carries a default schedule that it allows."""
        now, loads = self.loads()
        for i, load in enumerate(loads):
            offer = self.make().offer(load, f"offer-{i}", "prosumer", now)
            expect(offer.default_schedule is not None, "no default schedule")
            if offer.default_schedule is not None:
                broken = violations(offer, offer.default_schedule, now=now)
                expect(not broken, f"{offer.id}: {broken}")

    def test_identity_and_deadlines_are_as_given(self) -> None:
        """Id and issuer are the caller's; an offer is made now, and may be accepted until it starts."""
        now, loads = self.loads()
        offer = self.make().offer(loads[0], "my-offer", "my-party", now)
        expect(
            (offer.id, offer.issuer, offer.created) == ("my-offer", "my-party", now), "id, issuer or time is changed"
        )
        start = offer.window(now)[1]
        expect(offer.accept_before is None or now <= offer.accept_before <= start, "accept_before is not before start")

    def test_the_same_load_gives_the_same_offer(self) -> None:
        """Nothing hidden goes in."""
        now, loads = self.loads()
        for load in loads:
            expect(
                self.make().offer(load, "o", "p", now) == self.make().offer(load, "o", "p", now), "two different offers"
            )

    def test_set_points_carry_the_schedule_and_end_with_zero(self) -> None:
        """Power times time is the scheduled energy; times rise."""
        now, loads = self.loads()
        for load in loads:
            engine = self.make()
            offer = engine.offer(load, "o", "p", now)
            if offer.default_schedule is None:
                continue
            points = engine.set_points(offer, offer.default_schedule)
            expect(points and points[-1].power_kw == 0, "does not end with power 0")
            expect(all(a.at < b.at for a, b in pairwise(points)), "times do not rise")
            energy = sum(a.power_kw * (b.at - a.at).total_seconds() / 3600 for a, b in pairwise(points))
            wanted = offer.default_schedule.energy_kwh()
            expect(abs(energy - wanted) <= TOLERANCE_KWH, f"set-points hold {energy} kWh, the schedule {wanted}")

    def test_refuses_loads_without_flexibility(self) -> None:
        """An error, not an empty offer."""
        now, _ = self.loads()
        for load in self.hopeless():
            with refused(InfeasibleError, repr(load)):
                self.make().offer(load, "o", "p", now)
