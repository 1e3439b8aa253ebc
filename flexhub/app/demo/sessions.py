"""Charging sessions: read from a file of ACN-Data's columns, or drawn from a table of our own.

A session is seen on the local day on which it arrives; a stay past midnight keeps its whole length.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from flexhub.app.agent.session import Session
from flexhub.core.errors import InvalidError, MalformedError, NotFoundError
from flexhub.core.units import parse_instant

ARRIVAL: Final = "arrival"
DEPARTURE: Final = "departure"
ENERGY: Final = "requested_energy (kWh)"
STATION: Final = "station_id"
SESSION: Final = "session_id"
COLUMNS: Final = (ARRIVAL, DEPARTURE, ENERGY, STATION, SESSION)

MAX_BYTES: Final = 256 * 1024 * 1024
"""More than this is not a file of sessions; it also bounds what a small gzip file may grow to."""

_GZIP: Final = b"\x1f\x8b"


def read_sessions(path: Path) -> list[Session]:
    """The sessions of a CSV file (plain or gzip), by arrival. Columns beyond `COLUMNS` are not looked at.

    Raises:
        NotFoundError: no such file.
        MalformedError: not CSV text, or a column is missing.
        InvalidError: a row with a bad time, energy or identifier, or a session id that stands twice;
            the path names file, line and column.
    """
    rows = csv.DictReader(io.StringIO(_text(path)), strict=True)
    try:
        missing = [c for c in COLUMNS if c not in (rows.fieldnames or ())]
        if missing:
            raise MalformedError(f"no column {', '.join(map(repr, missing))}", path=f"{path.name}:1")
        sessions = [_session(row, f"{path.name}:{rows.line_num}") for row in rows]
    except csv.Error as error:
        raise MalformedError(f"not CSV: {error}", path=f"{path.name}:{rows.line_num + 1}", clause="RFC 4180") from error
    twice = [name for name, count in Counter(s.id for s in sessions).items() if count > 1]
    if twice:
        raise InvalidError(f"session {twice[0]!r} stands twice", path=f"{path.name}/{SESSION}", value=twice[0])
    if not sessions:
        raise InvalidError("no sessions", path=path.name)
    return sorted(sessions, key=lambda s: (s.arrival, s.id))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
        with gzip.open(path) if packed else path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MalformedError(f"not a whole gzip file: {error}", path=path.name, clause="RFC 1952") from error
    except OSError as error:
        raise NotFoundError(f"cannot be read: {error.strerror}", path=str(path)) from error
    if len(raw) > MAX_BYTES:
        raise MalformedError(f"more than {MAX_BYTES} bytes", path=path.name)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedError(f"not UTF-8 text: {error.reason} at byte {error.start}", path=path.name) from error


def _session(row: dict[str, str | None], where: str) -> Session:
    def cell(column: str) -> str:
        text = row[column]
        if not text:
            raise InvalidError("empty", path=f"{where}/{column}")
        return text

    def instant(column: str) -> datetime:
        try:
            return parse_instant(cell(column))
        except InvalidError as error:
            raise InvalidError(error.message, path=f"{where}/{column}", value=error.value, clause="RFC 3339") from None

    try:
        energy_kwh = float(cell(ENERGY))
    except ValueError:
        raise InvalidError(f"{row[ENERGY]!r} is not a number", path=f"{where}/{ENERGY}") from None
    arrival, departure = instant(ARRIVAL), instant(DEPARTURE)
    if departure <= arrival:
        raise InvalidError(f"{row[DEPARTURE]} is not after arrival", path=f"{where}/{DEPARTURE}")
    if not (math.isfinite(energy_kwh) and energy_kwh > 0):
        raise InvalidError(f"{row[ENERGY]} kWh is not above 0", path=f"{where}/{ENERGY}")
    # Identifiers of ours can stand in a URL; session ids of ACN-Data hold a space.
    name, station = ("_".join(cell(column).split()) for column in (SESSION, STATION))
    return Session(id=name, station=station, arrival=arrival, departure=departure, energy_kwh=energy_kwh)


def day_of(session: Session, zone: ZoneInfo) -> date:
    """The local day on which the session arrives."""
    return session.arrival.astimezone(zone).date()


def busiest_day(sessions: Iterable[Session], zone: ZoneInfo) -> date:
    """The local day with most arrivals; the earliest of several."""
    counts = Counter(day_of(s, zone) for s in sessions)
    return min(counts, key=lambda day: (-counts[day], day))


def sessions_of(sessions: Sequence[Session], day: date, zone: ZoneInfo) -> list[Session]:
    """The sessions that arrive on this local day, by arrival.

    Raises:
        NotFoundError: there are none; the message says which days there are.
    """
    chosen = [s for s in sessions if day_of(s, zone) == day]
    if not chosen:
        days = sorted({day_of(s, zone) for s in sessions})
        raise NotFoundError(
            f"no session arrives on {day}; there are {len(days)} days from {days[0]} to {days[-1]}, "
            f"the busiest {busiest_day(sessions, zone)}",
            path="day",
            value=str(day),
        )
    return chosen


def like_days(
    sessions: Sequence[Session], day: date, zone: ZoneInfo, most: int = 10
) -> list[tuple[date, list[Session]]]:
    """The last `most` days before `day` that are like it (working day, or weekend), the latest first."""
    past: dict[date, list[Session]] = {}
    for session in sessions:
        arrived = day_of(session, zone)
        if arrived < day and (arrived.weekday() < 5) == (day.weekday() < 5):
            past.setdefault(arrived, []).append(session)
    return [(known, past[known]) for known in sorted(past, reverse=True)[:most]]
