"""What the grid operator wants: a limit to the load of the site, which matters in its own peak hours.

It knows the site from earlier days that were like the day to come, not the day itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from flexhub.app.agent.session import Session
from flexhub.core.timegrid import QUARTER_HOUR_S, TimeGrid, slot_of

PEAK_SHARE: Final = 0.5
"""A slot is one of the peak hours where the usual load is above this share of its highest."""

CUT: Final = 0.1
"""The grid operator wants this share less than the peak of a usual day whose cars charge evenly."""

_HOUR_KWH: Final = 3600 / QUARTER_HOUR_S


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """The site on a usual day, when every car charges at once.

    `load_kwh` is the mean energy of each slot of the local day, `peak_kwh` the mean of the days' own highest slots
    (the peak of the mean is lower, since days do not peak together), `even_peak_kwh` the same if every car charges
    evenly over its stay, `days` what the figures come from.
    """

    load_kwh: tuple[float, ...]
    peak_kwh: float
    even_peak_kwh: float
    days: tuple[date, ...]


def at_once(sessions: Sequence[Session], start: datetime, slots: int, power_kw: float) -> list[float]:
    """Energy per slot from `start` if every session charges at full power from its arrival, kWh."""
    load = [0.0] * slots
    for session in sessions:
        hours = session.due_kwh(power_kw) / power_kw
        begin = (session.arrival - start).total_seconds() / QUARTER_HOUR_S
        end = begin + hours * _HOUR_KWH
        for i in range(max(0, int(begin)), min(slots, int(end) + 1)):
            load[i] += power_kw / _HOUR_KWH * max(0.0, min(i + 1, end) - max(i, begin))
    return load


def evenly(sessions: Sequence[Session], power_kw: float) -> dict[int, float]:
    """Energy per slot (counted from the epoch) if every session charges evenly over its stay, kWh."""
    load: dict[int, float] = {}
    for session in sessions:
        span, each = even(session, power_kw)
        for slot in span:
            load[slot] = load.get(slot, 0.0) + each
    return load


def even(session: Session, power_kw: float, shift_s: float = 0.0) -> tuple[range, float]:
    """The whole slots of a stay (counted from the epoch), so many seconds later, and what each takes, kWh."""
    arrival, departure = (moment.timestamp() + shift_s for moment in (session.arrival, session.departure))
    first = math.ceil(arrival / QUARTER_HOUR_S)
    slots = max(1, math.floor(departure / QUARTER_HOUR_S) - first)
    return range(first, first + slots), session.due_kwh(power_kw) / slots


def usual_day(like: Sequence[tuple[date, Sequence[Session]]], zone: ZoneInfo, slots: int, power_kw: float) -> Usual:
    """What the given days have in common, for a day of `slots` slots."""
    grid = TimeGrid(zone=zone.key)
    loads = [at_once(sessions, grid.day(day)[0], slots, power_kw) for day, sessions in like]
    return Usual(
        load_kwh=tuple(sum(column) / len(loads) for column in zip(*loads, strict=True)),
        peak_kwh=sum(max(load) for load in loads) / len(loads),
        even_peak_kwh=sum(max(evenly(sessions, power_kw).values()) for _, sessions in like) / len(like),
        days=tuple(day for day, _ in like),
    )


def limit_kwh(usual: Usual) -> float:
    """What the load of the site may be in a slot: less than the peak of a usual day whose cars charge evenly."""
    return round((1 - CUT) * usual.even_peak_kwh, 3)


def limit_kw(usual: Usual) -> float:
    """The same, as power."""
    return limit_kwh(usual) * _HOUR_KWH


def peak_hours(usual: Usual, start: datetime) -> dict[int, float]:
    """Slots of the usual peak hours (counted from the epoch) -> the limit, kWh.

    Args:
        usual: the site on a usual day.
        start: the first slot of the local day.
    """
    busy = PEAK_SHARE * max(usual.load_kwh)
    first = slot_of(start, QUARTER_HOUR_S)
    return {first + i: limit_kwh(usual) for i, load in enumerate(usual.load_kwh) if load >= busy}
