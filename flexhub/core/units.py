"""Units: the ones the core uses, and quantities and durations as people write them.

Energy kWh, power kW, prices EUR/kWh, money ``Decimal`` with a currency. Positive = consumption, negative = production,
everywhere in the core. Every other unit and sign is converted in a mapping or here, when configuration is read.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from flexhub.core.errors import InvalidError

TOLERANCE_KWH: Final = 1e-6
"""Energies closer than this are the same: about the resolution of a revenue meter divided by a thousand."""

LONGEST_S: Final = 31_622_400
MOST_SLOTS: Final = 35_136
"""The longest time that anything here is about: a leap year, in seconds and in quarter-hours."""

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199
"""Years of the instants that we hold; the sum of one and of a duration that we hold is far from a datetime's limits."""

# unit -> (dimension, factor to the core's unit of that dimension)
UNITS: Final[dict[str, tuple[str, float]]] = {
    "Wh": ("energy", 1e-3),
    "kWh": ("energy", 1.0),
    "MWh": ("energy", 1e3),
    "W": ("power", 1e-3),
    "kW": ("power", 1.0),
    "MW": ("power", 1e3),
    "EUR/kWh": ("price", 1.0),
    "EUR/MWh": ("price", 1e-3),
    "ct/kWh": ("price", 1e-2),
    "EUR": ("money", 1.0),
}

_QUANTITY: Final = re.compile(r"\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\s\d]\S*)\s*")
_DURATION: Final = re.compile(
    r"(?P<sign>-)?P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)


def parse_quantity(text: str, dimension: str) -> float:
    """Read "11 kW" as a number in the core's unit of `dimension` (energy kWh, power kW, price EUR/kWh, money EUR).

    Raises:
        InvalidError: no number, no unit, or a unit of another dimension.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise InvalidError(f"{text!r} is not a number with a unit, such as '11 kW'", value=text)
    number, unit = float(match[1]), match[2]
    known = UNITS.get(unit)
    if known is None or known[0] != dimension:
        allowed = ", ".join(name for name, (of, _) in UNITS.items() if of == dimension)
        raise InvalidError(f"{unit!r} is not a unit of {dimension}; allowed: {allowed}", value=text)
    if not math.isfinite(number):
        raise InvalidError(f"{text!r} is not finite", value=text)
    return number * known[1]


def parse_duration(text: str) -> timedelta:
    """Read an ISO 8601 duration of weeks, days, hours, minutes and seconds ("PT15M").

    Years and months are refused, since their length is not fixed.

    Raises:
        InvalidError: not such a duration.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not any(match[part] for part in ("weeks", "days", "hours", "minutes", "seconds")):
        raise InvalidError(
            f"{text!r} is not an ISO 8601 duration such as 'PT15M'", value=text, clause="ISO 8601-1 5.5.2"
        )
    part = {name: float(value) for name, value in match.groupdict().items() if name != "sign" and value}
    try:
        length = timedelta(**part)
    except OverflowError:
        raise InvalidError(f"{text!r} is too long", value=text) from None
    return -length if match["sign"] else length


def format_duration(length: timedelta) -> str:
    """Write a duration as ISO 8601, the inverse of `parse_duration`."""
    sign = "-" if length < timedelta(0) else ""
    length = abs(length)
    minutes, seconds = divmod(length.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{length.microseconds:06d}".rstrip("0") if length.microseconds else ""
    time = "".join(
        (
            f"{hours}H" if hours else "",
            f"{minutes}M" if minutes else "",
            f"{seconds}{fraction}S" if seconds or fraction else "",
        )
    )
    days = f"{length.days}D" if length.days else ""
    return f"{sign}P{days}T{time}" if time else f"{sign}P{days or 'T0S'}"


def parse_instant(text: str) -> datetime:
    """Read an RFC 3339 instant (also with an offset written +0000) and return it in UTC.

    Raises:
        InvalidError: not an instant, or one without an offset.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidError(f"{text!r} is not an RFC 3339 instant", value=text) from None
    return utc(instant)


def utc(instant: datetime) -> datetime:
    """The same instant in UTC.

    Raises:
        InvalidError: the instant has no time zone.
    """
    if instant.tzinfo is None:
        raise InvalidError(f"{instant.isoformat()} has no time zone", value=instant.isoformat())
    return instant.astimezone(UTC)


def money(amount: float | Decimal, digits: int = 2) -> Decimal:
    """Round an amount to the cent, half to even, once: the one rounding rule for bills and settlements.

    Raises:
        InvalidError: the amount is not finite.
    """
    exact = amount if isinstance(amount, Decimal) else Decimal(repr(float(amount)))
    if not exact.is_finite():
        raise InvalidError(f"{amount} is not an amount of money", value=str(amount))
    return exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)
