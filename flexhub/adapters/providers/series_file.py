"""A data provider that reads a file: time series as JSON lines."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from flexhub.core.documents import decode
from flexhub.core.errors import ConfigError, FlexhubError, InvalidError, NotFoundError
from flexhub.core.timegrid import slot_of
from flexhub.core.timeseries import TimeSeries

FILE: Final = Path("series.jsonl")
"""The file that is read where no other is named, in the folder that the program runs in."""


class SeriesFile:
    """Series from a file with one `TimeSeries` document a line; empty lines are passed over.

    It is read at each fetch, so that what another program adds is seen. Of several values for the same slot the last
    one counts, as long as it is known.
    """

    name = "series-file"

    def __init__(self, path: Path = FILE) -> None:
        self._path = path

    def fetch(self, subject: str, start: datetime, slots: int) -> TimeSeries:
        """`slots` values of the subject from `start`; None where no line tells one.

        Raises:
            ConfigError: the file cannot be read.
            NotFoundError: no line is about that subject.
            InvalidError, MalformedError: a line that is no time series, or lines of the subject that differ in kind or
                resolution; the path begins with file and line.
        """
        known: dict[int, float] = {}
        head: TimeSeries | None = None
        for number, line in enumerate(self._lines(), 1):
            if not line.strip():
                continue
            where = f"{self._path}:{number}"
            series = _series(line, where)
            if series.subject != subject:
                continue
            head = head or series
            if (series.kind, series.resolution_s) != (head.kind, head.resolution_s):
                raise InvalidError(f"series of {subject} differ in kind or resolution", path=where)
            first = slot_of(series.start, series.resolution_s)
            known |= {first + i: v for i, v in enumerate(series.values_kwh) if v is not None}
        if head is None:
            raise NotFoundError("no series of this subject", path=str(self._path), value=subject)
        at = slot_of(start, head.resolution_s)
        return TimeSeries(
            subject=subject,
            kind=head.kind,
            start=start,
            values_kwh=tuple(known.get(at + i) for i in range(slots)),
            resolution_s=head.resolution_s,
        )

    def _lines(self) -> list[bytes]:
        try:
            return self._path.read_bytes().split(b"\n")
        except OSError as error:
            raise ConfigError(f"{self._path}: {error.strerror}", path="provider", value=str(self._path)) from error


def _series(line: bytes, where: str) -> TimeSeries:
    try:
        return decode(TimeSeries, line)
    except FlexhubError as error:
        raise type(error)(
            error.message, path=f"{where}: {error.path}", value=error.value, clause=error.clause
        ) from error
