"""The reference generator: an electric vehicle's stay at a charger becomes a flex-offer with a total energy."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from flexhub.core.base import Id, Instant, Model, finite, in_utc
from flexhub.core.errors import InfeasibleError, InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.timegrid import QUARTER_HOUR_S, ceil_to_grid, floor_to_grid
from flexhub.core.units import TOLERANCE_KWH
from flexhub.engines.slots import SetPoint


class ChargingSession(Model, frozen=True, kw_only=True):
    """A stay at a charger: [arrival, departure), what the driver asks for and what the charger can do.

    Raises:
        InvalidError: a departure not after the arrival, or an energy or power that is negative or not finite.
    """

    id: Id
    station: Id
    arrival: Instant
    departure: Instant
    requested_kwh: float
    max_power_kw: float

    def __post_init__(self) -> None:
        in_utc(self, ("arrival", "departure"))
        finite(self, ("requested_kwh", "max_power_kw"))
        if self.departure <= self.arrival:
            raise InvalidError(f"{self.departure:%FT%TZ} is not after the arrival", path="departure")
        for name in ("requested_kwh", "max_power_kw"):
            if getattr(self, name) < 0:
                raise InvalidError(f"{getattr(self, name)} is negative", path=name)


class EvGenerator:
    """A `Generator` of charging sessions.

    Slots are those that the stay touches; in the first and last one the greatest energy is scaled to the part of the
    slot within the stay, so that no energy which the stay allows is lost to rounding. All slots stand in one profile
    with a fixed start: when to charge is a matter of energies, not of shifting. The total is what was asked for, or
    what the stay allows at full power if that is less; the default schedule charges at once at full power.
    """

    name = "ev"

    def __init__(self, *, resolution_s: int = QUARTER_HOUR_S) -> None:
        self.resolution_s = resolution_s

    def offer(self, load: ChargingSession, offer_id: str, issuer: str, now: datetime) -> FlexOffer:
        """The session's flex-offer. Its deadlines are the start of its first slot.

        A driver who has arrived already leaves what remains of the stay, from the next slot on.

        Raises:
            InfeasibleError: nothing is asked for, or the stay leaves no energy.
        """
        begin = max(load.arrival, ceil_to_grid(now, self.resolution_s))
        start, end = floor_to_grid(begin, self.resolution_s), ceil_to_grid(load.departure, self.resolution_s)
        slots = int((end - start).total_seconds()) // self.resolution_s
        if load.requested_kwh <= TOLERANCE_KWH or load.max_power_kw <= 0 or begin >= load.departure:
            raise InfeasibleError(
                f"no energy can be charged between {begin:%FT%TZ} and {load.departure:%FT%TZ}",
                path=f"ChargingSession/{load.id}",
            )
        hours = np.full(slots, self.resolution_s / 3600)
        hours[0] -= (begin - start).total_seconds() / 3600
        hours[-1] -= (end - load.departure).total_seconds() / 3600
        most = np.maximum(hours, 0.0) * load.max_power_kw
        total = min(load.requested_kwh, float(most.sum()))
        if total <= TOLERANCE_KWH:
            raise InfeasibleError("the stay leaves no energy", path=f"ChargingSession/{load.id}")
        at_once = np.diff(np.minimum(np.cumsum(most), total), prepend=0.0)
        return FlexOffer(
            id=offer_id,
            issuer=issuer,
            location=load.station,
            created=now,
            accept_before=start,
            assign_before=start,
            start_after=start,
            start_before=start,
            resolution_s=self.resolution_s,
            profiles=(
                Profile(
                    slices=tuple(Slice(energy_kwh=(EnergyRange(0.0, e),)) for e in most.tolist()),
                    total_energy_kwh=EnergyRange(total, total),
                ),
            ),
            default_schedule=Schedule(
                start=start,
                slices=tuple(ScheduleSlice(energy_kwh=e) for e in np.clip(at_once, 0.0, most).tolist()),
                profile=0,
            ),
        )

    def set_points(self, offer: FlexOffer, schedule: Schedule) -> list[SetPoint]:
        """Mean power of each slot, a change at a time, and 0 at the end."""
        points: list[SetPoint] = []
        hours = offer.resolution_s / 3600
        powers = [energy / hours for energy in schedule.per_slot_kwh()] + [0.0]
        for i, power in enumerate(powers):
            last = i == len(powers) - 1
            if last or not points or points[-1].power_kw != power:
                at = schedule.start + timedelta(seconds=i * offer.resolution_s)
                points.append(SetPoint(at=at, power_kw=power))
        return points
