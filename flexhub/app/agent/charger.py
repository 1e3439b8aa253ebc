"""A simulated charger and its meter: what a session really draws, slot by slot, and what is read of it.

Charging follows the plan with some noise, which it makes up for later, and never leaves so little for the rest of the
stay that the session would fall short. The meter is a register in whole watt-hours, so its readings add up to what was
charged, whatever the noise.
"""

from __future__ import annotations

import math
import random
from datetime import datetime
from typing import Annotated

import msgspec

from flexhub.app.agent.session import Session
from flexhub.core.base import Model
from flexhub.core.flexoffer import Schedule
from flexhub.core.timegrid import QUARTER_HOUR, QUARTER_HOUR_S, floor_to_grid, slot_of
from flexhub.core.timeseries import Measurement, Quality

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Behaviour(Model, frozen=True, kw_only=True):
    """How real the simulated charger is.

    `noise` is the standard deviation of a slot's energy, as a share of it; `missing` the share of readings that get
    lost; `deaf` the share of sessions that charge at once, whatever their schedule says.
    """

    noise: Share = 0.03
    missing: Share = 0.02
    deaf: Share = 0.04


class Charger:
    """One session at a charger of `power_kw`, from plugging in to unplugging.

    Args:
        session: the session.
        power_kw: the charger's power.
        behaviour: how real it is.
        draw: where chance comes from; two chargers with equal draws do the same.
    """

    def __init__(self, session: Session, power_kw: float, behaviour: Behaviour, draw: random.Random) -> None:
        self.session = session
        self.power_kw = power_kw
        self.behaviour = behaviour
        self.deaf = draw.random() < behaviour.deaf
        self.due_kwh = session.due_kwh(power_kw)
        self.charged_kwh = 0.0
        self.next_slot = floor_to_grid(session.arrival, QUARTER_HOUR_S)
        self._draw = draw
        self._plan: dict[int, float] | None = None
        self._plan_kwh = 0.0
        self._register: list[float] = [0.0]
        self._lost: list[bool] = []

    @property
    def finished(self) -> bool:
        """Whether the stay is over and every slot of it has run."""
        return self.next_slot >= self.session.departure

    def follow(self, schedule: Schedule | None) -> None:
        """Charge as `schedule` says from now on; None: at once."""
        self._plan = None
        if schedule is not None:
            self._plan = schedule.by_slot_kwh(QUARTER_HOUR_S)
            self._plan_kwh = schedule.energy_kwh()

    def run(self, until: datetime) -> None:
        """Let all slots pass that end at or before `until`, but none after the stay."""
        while not self.finished and self.next_slot + QUARTER_HOUR <= until:
            self._charge(self.next_slot)
            self.next_slot += QUARTER_HOUR

    def _charge(self, slot: datetime) -> None:
        left = self.due_kwh - self.charged_kwh
        most = min(left, self._reach_kwh(slot, slot + QUARTER_HOUR))
        least = left - self._reach_kwh(slot + QUARTER_HOUR, self.session.departure)
        wanted = self._wanted_kwh(slot)
        if wanted > 0 and self.behaviour.noise:
            wanted *= 1 + self._draw.gauss(0, self.behaviour.noise)
        self.charged_kwh += min(most, max(0.0, least, wanted))
        self._register.append(round(self.charged_kwh, 3))
        self._lost.append(self._draw.random() < self.behaviour.missing)

    def _wanted_kwh(self, slot: datetime) -> float:
        """What the plan wants by the end of the slot, less what is there already."""
        if self.deaf or self._plan is None:
            return math.inf
        # What is due beyond the plan had to be charged before its first slot.
        number = slot_of(slot, QUARTER_HOUR_S)
        by_now = sum(energy for planned, energy in self._plan.items() if planned <= number)
        return self.due_kwh - self._plan_kwh + by_now - self.charged_kwh

    def _reach_kwh(self, start: datetime, end: datetime) -> float:
        """What can be charged between the two instants."""
        start, end = max(start, self.session.arrival), min(end, self.session.departure)
        return max(0.0, self.power_kw * (end - start).total_seconds() / 3600)

    def readings(self, first: int, last: int, offer: str | None, *, substitutes: bool = False) -> Measurement:
        """Readings of slots `first` to `last` (counted from the slot of arrival; `last` not included).

        A lost reading is missing or, with `substitutes`, the gap's share of what the register rose by over it, flagged
        estimated. Posted under the same start, the second replaces the first.
        """
        values: list[float | None] = []
        quality = []
        for i in range(first, last):
            if not self._lost[i]:
                values.append(round(self._register[i + 1] - self._register[i], 3))
                quality.append(Quality.MEASURED)
            elif substitutes:
                values.append(self._substitute_kwh(i))
                quality.append(Quality.ESTIMATED)
            else:
                values.append(None)
                quality.append(Quality.MISSING)
        return Measurement(
            subject=self.session.station,
            start=floor_to_grid(self.session.arrival, QUARTER_HOUR_S) + first * QUARTER_HOUR,
            values_kwh=tuple(values),
            quality=tuple(quality),
            offer=offer,
        )

    def lost(self, first: int, last: int) -> bool:
        """Whether any of these readings got lost."""
        return any(self._lost[first:last])

    def _substitute_kwh(self, i: int) -> float:
        first = last = i
        while first > 0 and self._lost[first - 1]:
            first -= 1
        while last + 1 < len(self._lost) and self._lost[last + 1]:
            last += 1
        return (self._register[last + 1] - self._register[first]) / (last + 1 - first)

    @property
    def slots_run(self) -> int:
        """Number of slots that have passed since the one of arrival, that one included."""
        return len(self._lost)
