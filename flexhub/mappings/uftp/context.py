"""What UFTP's mappings must be told, and the grid of ISPs that they share.

Watts over an ISP and kWh: ``kWh = W * minutes / 60000``. An ISP is a slot of the time grid, counted through the local
day: ISP 1 begins at local midnight, and a day has 92, 96 or 100 of 15 minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import Schedule
from flexhub.core.timeseries import TimeSeries
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.times import bounds, isps_in, minutes_of, start_of

_ID: Final = re.compile(r"[^\x00-\x20/?#\x7f]{1,128}")
"""As `flexhub.core.base.Id`."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Choices of one conversion, and on the way out what the core has no place for.

    Args:
        kept: fields of the written message by name: identity, references, revision (`kept_of` takes them from one).
        time_zone, isp_minutes: the grid that is written.
        places: congestion point -> the core's location; one that is not in it stands for itself.
        baseline: what offers deviate from; without it they deviate from zero, and a loss says so.
        offer: the offer that an order is of: tells whether its powers were copied or scaled.
        copied: whether an order that is written copies the option's powers, and leaves scaling to the factor.
        items, contracts: what a settlement that is written is made of.
    """

    kept: dict[str, Any] = {}
    time_zone: str = "Europe/Amsterdam"
    isp_minutes: int = 15
    places: dict[str, str] = {}
    baseline: TimeSeries | Schedule | None = None
    offer: wire.FlexOffer | None = None
    copied: bool = True
    items: tuple[wire.FlexOrderSettlement, ...] = ()
    contracts: tuple[wire.ContractSettlement, ...] = ()

    def location(self, congestion_point: str) -> str:
        """The core's name of a congestion point, or of a meter.

        Raises:
            InvalidError: an address that cannot stand in a URL has no name in `places`.
        """
        place = self.places.get(congestion_point, congestion_point)
        if not _ID.fullmatch(place):
            raise InvalidError(f"{place!r} needs a name of its own", path="Context/places", value=place)
        return place

    def congestion_point(self, location: str) -> str:
        """The inverse of `location`."""
        return next((point for point, place in self.places.items() if place == location), location)


META = ("version", "sender_domain", "recipient_domain", "time_stamp", "message_id", "conversation_id")
"""What every message is written with, from `Context.kept`."""


def kept_of(message: wire.Payload) -> dict[str, Any]:
    """Every field of a message that is no list of elements, for `Context.kept`."""
    told = {name: getattr(message, name) for name in message.__struct_fields__}
    return {name: value for name, value in told.items() if not isinstance(value, tuple)}


class Day(msgspec.Struct, frozen=True):
    """The ISPs of one local day."""

    period: str
    time_zone: str
    minutes: int
    first: datetime
    count: int

    def start(self, number: int) -> datetime:
        """First instant of an ISP."""
        return self.first + timedelta(minutes=self.minutes * (number - 1))

    def number(self, moment: datetime) -> int:
        """The ISP that begins at the instant.

        Raises:
            InvalidError: none of the day does.
        """
        number, rest = divmod(int((moment - self.first).total_seconds()), 60 * self.minutes)
        if rest or not 0 <= number < self.count:
            where = f"{self.period} in {self.time_zone}"
            raise InvalidError(f"{moment.isoformat()} is the start of none of the {self.count} ISPs of {where}")
        return number + 1

    def kwh(self, power_w: float) -> float:
        """Energy of a power over one ISP."""
        return power_w * self.minutes / 60_000

    def watts(self, energy_kwh: float) -> int:
        """Whole watts of an energy over one ISP; the nearest, half to even."""
        return round(energy_kwh * 60_000 / self.minutes)


def day(period: str, time_zone: str, duration: str) -> Day:
    """The day of a message.

    Raises:
        InvalidError: no such zone, or a duration that cuts no day.
    """
    minutes, count = minutes_of(duration), isps_in(period, time_zone, duration)
    first = start_of(period, time_zone, duration, 1)
    if minutes is None or count is None or first is None:
        raise InvalidError(f"{duration} does not cut {period} in {time_zone} into ISPs", path="ISP-Duration")
    return Day(period[:10], time_zone, minutes, first, count)


def day_of(moment: datetime, ctx: Context) -> Day:
    """The local day that holds an instant, on the grid that is written.

    Raises:
        InvalidError: as `day`.
    """
    for shift in (0, -1, 1):
        period = (moment + timedelta(days=shift)).date().isoformat()
        whole = bounds(period, ctx.time_zone)
        if whole is not None and whole[0] <= moment < whole[1]:
            return day(period, ctx.time_zone, f"PT{ctx.isp_minutes}M")
    raise InvalidError(f"{ctx.time_zone!r} is not a time zone", path="TimeZone", value=ctx.time_zone)


def flex_fields(ctx: Context, whole: Day, location: str, *names: str) -> dict[str, Any]:
    """Fields of a written message about one day: identity and `names` as kept, the rest of the day.

    Raises:
        InvalidError: an identity that was not told.
    """
    for name in META:
        if name not in ctx.kept:
            raise InvalidError("is needed to write a message", path=f"Context/kept/{name}")
    return {
        **{name: ctx.kept[name] for name in (*META, *names) if name in ctx.kept},
        "isp_duration": f"PT{whole.minutes}M",
        "time_zone": whole.time_zone,
        "period": whole.period,
        "congestion_point": ctx.congestion_point(location),
    }


def runs(values: Mapping[int, Any]) -> Iterable[tuple[int, int, Any]]:
    """(first, number, value) of ISPs in order, equal ones in a row together."""
    at = length = 0
    held: Any = None
    for number in sorted(values):
        if length and number == at + length and values[number] == held:
            length += 1
            continue
        if length:
            yield at, length, held
        at, length, held = number, 1, values[number]
    if length:
        yield at, length, held


def decimal(value: float, places: int = 9) -> Decimal:
    """A float as the decimal that people would write; `places` are far below any meter's resolution."""
    short = Decimal(repr(round(value, places)))
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short.normalize()
