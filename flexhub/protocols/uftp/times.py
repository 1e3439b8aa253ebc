"""Texts of a message as times: instants, days, ISP lengths, and the ISPs of a local day (92, 96 or 100 of PT15M)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flexhub.core.units import FIRST_YEAR, LAST_YEAR

_LENGTH: Final = re.compile(r"PT(?:(?P<hours>\d{1,2})H)?(?:(?P<minutes>\d{1,4})M)?(?:0+(?:\.0+)?S)?")


def instant(text: str) -> datetime:
    """An xs:dateTime in UTC; more than microseconds are cut off.

    Interpretation: without a time zone it is UTC; a policy may refuse such a TimeStamp (rule 10).
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None or found.year in (date.min.year, date.max.year):
        return found.replace(tzinfo=UTC)  # at the ends of the calendar an offset of hours leads out of it
    return found.astimezone(UTC)


def has_zone(text: str) -> bool:
    """Whether an xs:dateTime says its time zone."""
    return datetime.fromisoformat(text).tzinfo is not None


def day_of(text: str) -> date:
    """The day of an xs:date; a time zone in it says nothing, since TimeZone does."""
    return date.fromisoformat(text[:10])


def text_of(moment: datetime) -> str:
    """An instant as xs:dateTime in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=64)
def minutes_of(duration: str) -> int | None:
    """Whole minutes of an ISP-Duration such as PT15M or PT1H; None where it is anything else, or doesn't cut a day."""
    found = _LENGTH.fullmatch(duration)
    if found is None:
        return None
    minutes = 60 * int(found["hours"] or 0) + int(found["minutes"] or 0)
    return minutes if minutes and 1440 % minutes == 0 else None


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo | None:
    """The zone of the tz database, None where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@lru_cache(maxsize=1024)
def bounds(period: str, zone: str) -> tuple[datetime, datetime] | None:
    """First instant of a local day and of the next, in UTC; None without such a zone, or such a year in the core."""
    place, day = zone_of(zone), day_of(period)
    if place is None or not FIRST_YEAR <= day.year <= LAST_YEAR:
        return None
    first, last = (datetime.combine(d, time(), place) for d in (day, day + timedelta(days=1)))
    return first.astimezone(UTC), last.astimezone(UTC)


def isps_in(period: str, zone: str, duration: str) -> int | None:
    """Number of ISPs of a local day: 92, 96 or 100 of 15 minutes; None where zone or duration say nothing."""
    whole, minutes = bounds(period, zone), minutes_of(duration)
    if whole is None or minutes is None:
        return None
    return int((whole[1] - whole[0]).total_seconds()) // (60 * minutes)


def start_of(period: str, zone: str, duration: str, number: int) -> datetime | None:
    """First instant of the ISP with this number (the first is 1), in UTC."""
    whole, minutes = bounds(period, zone), minutes_of(duration)
    return None if whole is None or minutes is None else whole[0] + timedelta(minutes=minutes * (number - 1))
