"""Texts of a message as times: durations as months and seconds, spans as instants."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from flexhub.protocols.openadr2b.elements import Properties
from flexhub.protocols.uftp.times import instant

_FORM: Final = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<days>\d+)D)?"
    r"T?(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?|(?P<weeks>\d+)W"
).fullmatch


class Length(NamedTuple):
    """A duration: calendar months, which have no number of seconds, and seconds."""

    months: int
    seconds: int

    def plus(self, other: Length) -> Length:
        """Both, one after the other."""
        return Length(self.months + other.months, self.seconds + other.seconds)

    def about(self) -> int:
        """Seconds, a month being 30 days: to compare durations only."""
        return 30 * 86400 * self.months + self.seconds


ZERO: Final = Length(0, 0)


@lru_cache(maxsize=1024)
def length(duration: str) -> Length:
    """A DurationValueType as months and seconds.

    Interpretation: the schema lets the T be left out; an M after P, or after years, is months then.
    """
    found = _FORM(duration)
    if found is None:
        raise ValueError(duration)  # the codec lets no such text in
    years, months, days, hours, minutes, seconds, weeks = (
        int(found[name] or 0) for name in ("years", "months", "days", "hours", "minutes", "seconds", "weeks")
    )
    way = -1 if found["sign"] == "-" else 1
    return Length(
        way * (12 * years + months), way * ((7 * weeks + days) * 86400 + hours * 3600 + minutes * 60 + seconds)
    )


def span(properties: Properties) -> tuple[datetime, datetime | None]:
    """First instant of a period, and the first after it; None where it has no end [rule 47], or no computable one.

    Interpretation: a month is 30 days here, since it serves to compare periods only.
    """
    start, long = instant(properties.dtstart), length(properties.duration)
    if long == ZERO:
        return start, None
    try:
        return start, start + timedelta(seconds=long.about())
    except OverflowError:
        return start, None
