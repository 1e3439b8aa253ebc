"""Which files of sessions are read, which are refused and where, and how a day is chosen from them."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from flexhub.app.demo.builtin import DAY, STATIONS, builtin_sessions
from flexhub.app.demo.sessions import busiest_day, day_of, like_days, read_sessions, sessions_of
from flexhub.core.errors import FlexhubError, InvalidError, MalformedError, NotFoundError

PACIFIC = ZoneInfo("America/Los_Angeles")
HEAD = "arrival,departure,requested_energy (kWh),delivered_energy (kWh),station_id,session_id\n"
ROW = "2019-05-01 22:18:45-07:00,2019-05-02 05:52:36-07:00,60.0,44.069,CA-305,2_39 08:18\n"

ACCEPT = {
    "plain": HEAD + ROW,
    "with a byte order mark": "\ufeff" + HEAD + ROW,
    "columns in another order": "session_id,station_id,requested_energy (kWh),departure,arrival\n"
    "2_39 08:18,CA-305,60,2019-05-02 05:52:36-07:00,2019-05-01 22:18:45-07:00\n",
}

# Each is ACCEPT["plain"] with one thing changed.
REJECT: dict[str, tuple[str, type[FlexhubError], str]] = {
    "no rows": (HEAD, InvalidError, "f.csv"),
    "empty file": ("", MalformedError, "f.csv:1"),
    "column missing": (HEAD.replace("station_id", "station") + ROW, MalformedError, "f.csv:1"),
    "cell empty": (HEAD + ROW.replace("CA-305", ""), InvalidError, "f.csv:2/station_id"),
    "row too short": (HEAD + ROW.rsplit(",", 1)[0] + "\n", InvalidError, "f.csv:2/session_id"),
    "energy not a number": (HEAD + ROW.replace("60.0", "much"), InvalidError, "f.csv:2/requested_energy (kWh)"),
    "energy zero": (HEAD + ROW.replace("60.0", "0"), InvalidError, "f.csv:2/requested_energy (kWh)"),
    "energy infinite": (HEAD + ROW.replace("60.0", "inf"), InvalidError, "f.csv:2/requested_energy (kWh)"),
    "time without a zone": (HEAD + ROW.replace("45-07:00", "45"), InvalidError, "f.csv:2/arrival"),
    "not a time": (HEAD + ROW.replace("2019-05-02 05", "2019-05-32 05"), InvalidError, "f.csv:2/departure"),
    "departs before it arrives": (
        HEAD + ROW.replace("2019-05-02 05", "2019-05-01 05"),
        InvalidError,
        "f.csv:2/departure",
    ),
    "same session twice": (HEAD + ROW + ROW, InvalidError, "f.csv/session_id"),
    "quote that never ends": (HEAD + '"' + ROW, MalformedError, "f.csv:2"),
}


@pytest.mark.parametrize("name", ACCEPT)
def test_file_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(ACCEPT[name], encoding="utf-8")
    (session,) = read_sessions(tmp_path / "f.csv")
    assert (session.id, session.station, session.energy_kwh) == ("2_39_08:18", "CA-305", 60.0)
    assert session.arrival == datetime(2019, 5, 2, 5, 18, 45, tzinfo=UTC)
    assert session.departure == datetime(2019, 5, 2, 12, 52, 36, tzinfo=UTC)


@pytest.mark.parametrize("name", REJECT)
def test_file_is_refused_and_the_error_says_where(name: str, tmp_path: Path) -> None:
    text, kind, path = REJECT[name]
    (tmp_path / "f.csv").write_text(text, encoding="utf-8")
    with pytest.raises(kind) as caught:
        read_sessions(tmp_path / "f.csv")
    assert caught.value.path == path


def test_gzip_is_recognised_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(gzip.compress(ACCEPT["plain"].encode()))
    assert len(read_sessions(tmp_path / "f.csv")) == 1


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzip.compress((HEAD + ROW).encode())[:-9], MalformedError),
        (b"\x1f\x8bnot gzip at all", MalformedError),
        ((HEAD + ROW).encode("utf-16"), MalformedError),
    ],
)
def test_broken_bytes_are_refused(content: bytes, kind: type[FlexhubError], tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(content)
    with pytest.raises(kind):
        read_sessions(tmp_path / "f.csv")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_sessions(tmp_path / "none.csv")


def test_a_day_is_the_local_day_of_arrival(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(ACCEPT["plain"], encoding="utf-8")
    sessions = read_sessions(tmp_path / "f.csv")
    assert day_of(sessions[0], PACIFIC) == date(2019, 5, 1)
    assert day_of(sessions[0], ZoneInfo("UTC")) == date(2019, 5, 2)
    assert sessions_of(sessions, date(2019, 5, 1), PACIFIC) == sessions
    with pytest.raises(NotFoundError, match="busiest 2019-05-01"):
        sessions_of(sessions, date(2019, 5, 2), PACIFIC)


def test_what_a_stay_allows_bounds_what_a_session_gets(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(ACCEPT["plain"], encoding="utf-8")
    (session,) = read_sessions(tmp_path / "f.csv")
    assert session.due_kwh(11.0) == 60.0
    assert session.due_kwh(6.0) == pytest.approx(6.0 * (7 * 3600 + 33 * 60 + 51) / 3600)


@pytest.mark.parametrize(
    ("file", "day", "count"),
    [
        ("caltech_2019-05-01_2019-08-31", date(2019, 6, 14), 49),
        ("jpl_2019-05-01_2019-08-31", date(2019, 5, 3), 86),
        ("jpl_2020-02-01_2020-05-31", date(2020, 2, 3), 81),
    ],
)
def test_real_files(shared: Path, file: str, day: date, count: int) -> None:
    sessions = read_sessions(shared / "data/acn" / f"{file}.csv.gz")
    assert busiest_day(sessions, PACIFIC) == day
    assert len(sessions_of(sessions, day, PACIFIC)) == count
    before = like_days(sessions, day, PACIFIC)
    assert all(d < day and d.weekday() < 5 for d, _ in before)
    assert [d for d, _ in before] == sorted((d for d, _ in before), reverse=True)


def test_the_builtin_table_is_drawn_by_its_seed() -> None:
    one, same, other = (builtin_sessions(DAY, PACIFIC, seed) for seed in (1, 1, 2))
    assert one == same != other
    assert len(sessions_of(one, DAY, PACIFIC)) >= 50
    assert len(like_days(one, DAY, PACIFIC)) == 10
    assert len({s.station for s in one}) <= STATIONS


def test_the_builtin_table_never_fills_a_station_twice() -> None:
    by_station: dict[str, list[tuple[datetime, datetime]]] = {}
    for session in builtin_sessions(DAY, PACIFIC, 1):
        by_station.setdefault(session.station, []).append((session.arrival, session.departure))
    for stays in by_station.values():
        assert all(left[1] < right[0] for left, right in pairwise(stays))
