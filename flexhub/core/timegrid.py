"""The time grid: instants in UTC cut into slots of equal length, and the local days that people count in."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from flexhub.core.errors import InvalidError
from flexhub.core.units import utc

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
QUARTER_HOUR_S: Final = 900
QUARTER_HOUR: Final = timedelta(seconds=QUARTER_HOUR_S)


def on_grid(instant: datetime, resolution_s: int) -> bool:
    """Whether the instant is the edge of a slot; slots count from the epoch, as V1's ``...Interval`` fields do."""
    return instant.microsecond == 0 and int(instant.timestamp()) % resolution_s == 0


def check_on_grid(instant: datetime, resolution_s: int, path: str, clause: str = "") -> None:
    """Refuse an instant that is not the edge of a slot.

    Raises:
        InvalidError: it is not; `path` is where it stands, `clause` what demands it.
    """
    if not on_grid(instant, resolution_s):
        raise InvalidError(
            f"{instant.isoformat()} is not the start of a slot of {resolution_s} s",
            path=path,
            value=instant.isoformat(),
            clause=clause,
        )


def floor_to_grid(instant: datetime, resolution_s: int) -> datetime:
    """The last slot edge at or before the instant."""
    return instant_of(slot_of(instant, resolution_s), resolution_s)


def ceil_to_grid(instant: datetime, resolution_s: int) -> datetime:
    """The first slot edge at or after the instant."""
    return instant_of(slot_from(instant, resolution_s), resolution_s)


def slot_from(instant: datetime, resolution_s: int) -> int:
    """The first slot that begins at or after the instant."""
    return -int(-instant.timestamp() // resolution_s)


def slot_of(instant: datetime, resolution_s: int) -> int:
    """The slot that holds the instant: whole resolutions since the epoch."""
    return int(instant.timestamp() // resolution_s)


def instant_of(slot: int, resolution_s: int) -> datetime:
    """The first instant of a slot."""
    return EPOCH + timedelta(seconds=slot * resolution_s)


class TimeGrid(msgspec.Struct, frozen=True, kw_only=True):
    """Slots of `resolution_s` seconds, seen as local days of `zone`.

    A local day has 96 quarter-hours, but 92 when clocks go forward and 100 when they go back.

    Raises:
        InvalidError: an unknown zone, or a resolution that does not divide an hour.
    """

    resolution_s: int = QUARTER_HOUR_S
    zone: str = "UTC"

    def __post_init__(self) -> None:
        if self.resolution_s <= 0 or 3600 % self.resolution_s:
            raise InvalidError(f"{self.resolution_s} s does not divide an hour", path="TimeGrid/resolution_s")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidError(f"{self.zone!r} is not a time zone of the tz database", path="TimeGrid/zone") from None

    def day(self, local_day: date) -> tuple[datetime, datetime]:
        """First instant of the local day and of the next, in UTC."""
        zone = ZoneInfo(self.zone)
        first, last = (datetime.combine(d, time(), zone) for d in (local_day, local_day + timedelta(days=1)))
        return first.astimezone(UTC), last.astimezone(UTC)

    def slots_in_day(self, local_day: date) -> int:
        """Number of slots of the local day (92, 96 or 100 at 15 minutes).

        Raises:
            InvalidError: the day is no whole number of slots, as where clocks move by half an hour.
        """
        first, last = self.day(local_day)
        count, rest = divmod(int((last - first).total_seconds()), self.resolution_s)
        if rest:
            raise InvalidError(f"{local_day} in {self.zone} is {count} slots and {rest} s", value=str(local_day))
        return count

    def slots(self, local_day: date) -> list[datetime]:
        """First instant of every slot of the local day, in UTC."""
        first, _ = self.day(local_day)
        return [first + timedelta(seconds=i * self.resolution_s) for i in range(self.slots_in_day(local_day))]

    def locate(self, instant: datetime) -> tuple[date, int]:
        """Local day and 1-based slot number of the instant (the numbering of UFTP's ISPs)."""
        local_day = utc(instant).astimezone(ZoneInfo(self.zone)).date()
        first, _ = self.day(local_day)
        return local_day, int((instant - first).total_seconds()) // self.resolution_s + 1

    def at(self, local_day: date, number: int) -> datetime:
        """First instant of the slot with this 1-based number, the inverse of `locate`.

        Raises:
            InvalidError: the day has no such slot.
        """
        count = self.slots_in_day(local_day)
        if not 1 <= number <= count:
            raise InvalidError(
                f"{number} is outside 1..{count} ({local_day} has {count} slots in {self.zone})", value=str(number)
            )
        return self.day(local_day)[0] + timedelta(seconds=(number - 1) * self.resolution_s)

    def floor(self, instant: datetime) -> datetime:
        """The last slot edge at or before the instant."""
        return floor_to_grid(instant, self.resolution_s)

    def ceil(self, instant: datetime) -> datetime:
        """The first slot edge at or after the instant."""
        return ceil_to_grid(instant, self.resolution_s)
