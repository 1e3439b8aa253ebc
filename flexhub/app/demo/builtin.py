"""Sessions without a file: a workplace garage, drawn from a small table of arrival, stay and energy figures.

The figures are our own rough picture of such a garage; they copy nobody's data.
"""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from flexhub.app.agent.session import Session

DAY: Final = date(2025, 6, 11)
"""The day that the demo shows without a file: a Wednesday."""

DAYS_BEFORE: Final = 14
STATIONS: Final = 48


class Habit(NamedTuple):
    """People who come around `hour` (local), and what they do; `weekday` and `weekend` say how many come."""

    hour: float
    hour_spread: float
    stay_h: float
    stay_spread_h: float
    energy_kwh: float
    energy_spread_kwh: float
    weekday: int
    weekend: int


HABITS: Final = (
    # hour       stay        energy      a day
    Habit(6.4,  0.4,  9.0, 0.8,  19.0,  8.0,  12, 1),   # early shift
    Habit(8.2,  0.6,  8.3, 1.0,  15.0,  7.0,  24, 2),   # office
    Habit(9.6,  0.8,  6.5, 1.5,  11.0,  5.0,  10, 3),   # flexible hours
    Habit(12.2, 0.5,  2.2, 0.7,   8.0,  3.0,   5, 4),   # visitors, in a hurry
    Habit(13.6, 0.9,  4.0, 1.0,  10.0,  4.0,   6, 4),   # afternoon
    Habit(17.5, 1.2, 14.0, 2.0,  26.0, 10.0,   3, 2),   # stays overnight
)  # fmt: skip

_SHORTEST_H: Final = 0.4
_LEAST_KWH: Final = 1.0


def builtin_sessions(day: date, zone: ZoneInfo, seed: int) -> list[Session]:
    """Sessions of `DAYS_BEFORE` days and of `day`, by arrival; the same seed gives the same sessions.

    A car that finds no free station drives on.
    """
    draw = random.Random(seed)  # noqa: S311 - a simulation, nothing secret
    wishes: list[tuple[datetime, datetime, float]] = []
    for back in range(DAYS_BEFORE, -1, -1):
        local = day - timedelta(days=back)
        for habit in HABITS:
            mean = habit.weekday if local.weekday() < 5 else habit.weekend
            # The day shown gets the mean, so that it is as busy for every seed; days before vary by a fifth.
            count = mean if back == 0 else max(0, round(draw.gauss(mean, mean / 5)))
            wishes.extend(_wish(habit, local, zone, draw) for _ in range(count))
    free_at = [datetime.min.replace(tzinfo=UTC)] * STATIONS
    sessions = []
    for arrival, departure, energy_kwh in sorted(wishes):
        station = next((i for i, free in enumerate(free_at) if free < arrival), None)
        if station is None:
            continue
        free_at[station] = departure
        sessions.append(
            Session(
                id=f"garage-{arrival:%Y%m%dT%H%M%S}-{station + 1:02}",
                station=f"garage-{station + 1:02}",
                arrival=arrival,
                departure=departure,
                energy_kwh=energy_kwh,
            )
        )
    return sessions


def _wish(habit: Habit, day: date, zone: ZoneInfo, draw: random.Random) -> tuple[datetime, datetime, float]:
    hour = min(23.5, max(0.5, draw.gauss(habit.hour, habit.hour_spread)))
    stay_h = max(_SHORTEST_H, draw.gauss(habit.stay_h, habit.stay_spread_h))
    energy_kwh = max(_LEAST_KWH, draw.gauss(habit.energy_kwh, habit.energy_spread_kwh))
    local = datetime.combine(day, time(), zone) + timedelta(seconds=round(hour * 3600))
    arrival = local.astimezone(UTC)
    return arrival, arrival + timedelta(seconds=round(stay_h * 3600)), round(energy_kwh, 3)
