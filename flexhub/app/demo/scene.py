"""What a demo plays: a site, a day, its sessions, and what is usual there."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from flexhub.app.agent.session import Session
from flexhub.app.demo import builtin
from flexhub.app.demo.grid import Usual, usual_day
from flexhub.app.demo.sessions import busiest_day, like_days, read_sessions, sessions_of
from flexhub.core.errors import InvalidError
from flexhub.core.timegrid import TimeGrid

POWER_KW: Final = 6.656
"""32 A at 208 V."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A day at a site. `expected` are the sessions of earlier like days, by which the aggregator knows its site."""

    site: str
    zone: str
    day: date
    power_kw: float
    sessions: tuple[Session, ...]
    usual: Usual
    like: tuple[tuple[date, tuple[Session, ...]], ...]
    notes: tuple[str, ...] = ()

    @property
    def start(self) -> datetime:
        """First instant of the local day."""
        return TimeGrid(zone=self.zone).day(self.day)[0]

    @property
    def stations(self) -> list[str]:
        """The charging stations that are used."""
        return sorted({s.station for s in self.sessions})


def set_scene(path: Path | None, day: date | None, zone_name: str, seed: int, power_kw: float = POWER_KW) -> Scene:
    """The scene of a file (its busiest day, unless told), or of the built-in table.

    Raises:
        InvalidError: an unknown time zone.
        FlexhubError: as `read_sessions` and `sessions_of`.
    """
    try:
        zone = ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidError(f"{zone_name!r} is not a time zone of the tz database", path="zone") from None
    if path is None:
        day = day or builtin.DAY
        sessions = builtin.builtin_sessions(day, zone, seed)
        site = "garage"
    else:
        sessions = read_sessions(path)
        day = day or busiest_day(sessions, zone)
        site = path.name.partition("_")[0].partition(".")[0] or "site"
    chosen = sessions_of(sessions, day, zone)
    like = like_days(sessions, day, zone)
    notes: list[str] = []
    slots = TimeGrid(zone=zone_name).slots_in_day(day)
    if not like:
        notes.append(
            f"no earlier day like {day} in the file: the grid operator's peak hours are those of the day itself"
        )
    return Scene(
        site="".join(c if c.isalnum() or c in "-_." else "-" for c in site),
        zone=zone_name,
        day=day,
        power_kw=power_kw,
        sessions=tuple(chosen),
        usual=usual_day(like or [(day, chosen)], zone, slots, power_kw),
        like=tuple((known, tuple(known_sessions)) for known, known_sessions in like),
        notes=tuple(notes),
    )
