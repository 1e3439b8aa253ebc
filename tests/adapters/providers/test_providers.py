"""The file of series and the lines of notices: what is read and written, and what is told of a bad file."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flexhub.adapters.providers.notices import NoticeLines
from flexhub.adapters.providers.series_file import SeriesFile
from flexhub.core.documents import encode
from flexhub.core.errors import ConfigError, FlexhubError, InvalidError, MalformedError
from flexhub.core.timeseries import SeriesKind, TimeSeries

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def series(slot: int, *values: float | None, kind: SeriesKind = SeriesKind.MEASUREMENT) -> TimeSeries:
    return TimeSeries(subject="m", kind=kind, start=NOON + slot * timedelta(minutes=15), values_kwh=values)


def test_lines_of_one_subject_make_one_series_and_the_last_known_value_counts(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    file.write_bytes(encode(series(0, 1.0, 2.0)) + b"\n\n" + encode(series(1, 5.0, None, 7.0)))
    provider = SeriesFile(file)
    assert provider.fetch("m", NOON, 5).values_kwh == (1.0, 5.0, None, 7.0, None)
    with file.open("ab") as more:
        more.write(b"\n" + encode(series(2, 6.0)))
    assert provider.fetch("m", NOON, 5).values_kwh == (1.0, 5.0, 6.0, 7.0, None)


@pytest.mark.parametrize(
    ("second", "kind", "says"),
    [
        (b"{", MalformedError, "not JSON"),
        (b'{"subject": "m"}', InvalidError, "kind"),
        (encode(series(4, 1.0, kind=SeriesKind.SCHEDULE)), InvalidError, "differ"),
    ],
)
def test_a_bad_line_is_told_with_file_and_line(
    tmp_path: Path, second: bytes, kind: type[FlexhubError], says: str
) -> None:
    file = tmp_path / "s.jsonl"
    file.write_bytes(encode(series(0, 1.0)) + b"\n" + second)
    with pytest.raises(kind, match=says) as told:
        SeriesFile(file).fetch("m", NOON, 1)
    assert told.value.path.startswith(f"{file}:2")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        SeriesFile(tmp_path / "none.jsonl").fetch("m", NOON, 1)


def test_a_notice_is_one_line_of_a_stream() -> None:
    stream = io.StringIO()
    notifier = NoticeLines(stream)
    notifier.notify("ann", "plan", "one\ntwo")
    notifier.notify("bob", "bill", "1.00 EUR")
    assert stream.getvalue() == (
        '{"party":"ann","subject":"plan","text":"one\\ntwo"}\n{"party":"bob","subject":"bill","text":"1.00 EUR"}\n'
    )
