"""What the mappings of OpenADR 2.0b must be told, units, and the grid of intervals that they share.

``kW = kWh * 3600 / seconds of the slot``; positive = consumption on both sides.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from flexhub.core.base import Instant
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.timegrid import EPOCH
from flexhub.core.timeseries import TimeSeries
from flexhub.core.units import LONGEST_S
from flexhub.protocols.openadr2b import names
from flexhub.protocols.openadr2b.elements import (
    CurrencyPerKWh,
    EiTarget,
    EnergyReal,
    Interval,
    ItemBase,
    PayloadFloat,
    PowerAttributes,
    PowerReal,
    SignalPayload,
)
from flexhub.protocols.openadr2b.times import Length, length

HOUR_S: Final = 3600


class Form(enum.StrEnum):
    """Which signal says a schedule or a request."""

    SETPOINT = "setpoint"
    """LOAD_DISPATCH, setpoint: kW."""
    DELTA = "delta"
    """LOAD_DISPATCH, delta: kW against the baseline."""
    CAPACITY = "capacity"
    """LOAD_CONTROL, x-loadControlCapacity: share of the rated power."""
    LEVEL = "level"
    """SIMPLE, level: 0 to 3, each so many kW less than the baseline."""
    CHARGE = "charge"
    """CHARGE_STATE, delta: kWh to be taken in within the interval."""


SIGNALS: Final[dict[Form, tuple[str, names.SignalType]]] = {
    Form.SETPOINT: ("LOAD_DISPATCH", names.SignalType.SETPOINT),
    Form.DELTA: ("LOAD_DISPATCH", names.SignalType.DELTA),
    Form.CAPACITY: ("LOAD_CONTROL", names.SignalType.LOAD_CONTROL_CAPACITY),
    Form.CHARGE: ("CHARGE_STATE", names.SignalType.DELTA),
    Form.LEVEL: ("SIMPLE", names.SignalType.LEVEL),
}
"""Form -> signalName and signalType; of several in one event the first of these is read."""

PRICES: Final = ("ELECTRICITY_PRICE", "ENERGY_PRICE")
"""Names of signals that are a tariff."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A data point of a report, as its metadata described it.

    `factor` turns its numbers into kW (of a power) or kWh (of an energy).
    """

    subject: str
    report_type: str
    factor: float = 1.0
    reading_type: str = "Direct Read"


class Regulation(enum.StrEnum):
    """Which way "up" is in up- and downRegulationCapacityAvailable.

    Interpretation: the profile does not say. A grid's regulation up is more production, or less consumption.
    """

    GRID = "grid"
    LOAD = "load"


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Choices of one conversion, and on the way out what the core has no place for.

    Args:
        kept: fields of the written message by name (`kept_of` takes them from one), on the way in those of the core's
            document: id, issuer, recipient, ...
        now: created, where nothing says it.
        resolution_s: slots of requests and tariffs.
        form: the signal that is written.
        baseline: what deltas, levels and capacities of regulation deviate from; without it, zero.
        rating_kw: the power that LOAD_CONTROL is a share of.
        levels_kw: how much less each level of SIMPLE asks for.
        base_price_eur_per_kwh: what relative prices are added to or multiplied with.
        open_ended_s: how long of an event without an end is told.
        offset_s: how much later than its dtstart an event begins for this recipient [rule 30].
        points: rID -> data point of reports.
        regulation: which way is up.
        offer: the offer that an availability is of.
    """

    kept: dict[str, Any] = {}
    now: Instant = EPOCH
    resolution_s: int = 900
    form: Form = Form.SETPOINT
    baseline: TimeSeries | None = None
    rating_kw: float | None = None
    levels_kw: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    base_price_eur_per_kwh: float | None = None
    open_ended_s: int = 86_400
    offset_s: int = 0
    points: dict[str, Point] = {}
    regulation: Regulation = Regulation.GRID
    offer: FlexOffer | None = None

    def baseline_kw(self, start: datetime, seconds: int) -> float:
        """Mean power of the baseline over a span; 0 where it says nothing."""
        if self.baseline is None:
            return 0.0
        step, total = self.baseline.resolution_s, 0.0
        first = (start - self.baseline.start).total_seconds()
        values = self.baseline.values_kwh
        for i in range(max(0, int(first // step)), min(len(values), math.ceil((first + seconds) / step))):
            overlap = min(first + seconds, (i + 1) * step) - max(first, i * step)
            total += (values[i] or 0.0) * overlap / step
        return total * HOUR_S / seconds


# Units

_EXPONENTS: Final = {
    names.Scale.PICO: -12,
    names.Scale.NANO: -9,
    names.Scale.MICRO: -6,
    names.Scale.MILLI: -3,
    names.Scale.CENTI: -2,
    names.Scale.DECI: -1,
    names.Scale.NONE: 0,
    names.Scale.KILO: 3,
    names.Scale.MEGA: 6,
    names.Scale.GIGA: 9,
    names.Scale.TERA: 12,
}
KW: Final = PowerReal(
    item_units=names.RealPowerUnit.WATT,
    si_scale_code=names.Scale.KILO,
    power_attributes=PowerAttributes(hertz=Decimal(50), voltage=Decimal(230), ac=True),
)
KWH: Final = EnergyReal(si_scale_code=names.Scale.KILO)
EUR_PER_KWH: Final = CurrencyPerKWh(
    item_description=names.CurrencyItem.PER_KWH, item_units="EUR", si_scale_code=names.Scale.NONE
)


def factor_of(item: ItemBase | None, kind: type[ItemBase], path: str) -> float:
    """What turns numbers of a unit into kW, kWh or EUR/kWh.

    Raises:
        InvalidError: it is another kind of unit, or another currency.
    """
    if not isinstance(item, kind):
        told = "no unit" if item is None else type(item).__name__
        raise InvalidError(f"{told}; {kind.__name__} is needed", path=path, clause="2.0b EiEvent, signals")
    if isinstance(item, CurrencyPerKWh):
        if item.item_units != "EUR":
            raise InvalidError(f"{item.item_units}; the core reckons in EUR", path=path, value=item.item_units)
        return 10.0 ** _EXPONENTS[item.si_scale_code]
    assert isinstance(item, PowerReal | EnergyReal)  # noqa: S101 - all that is asked for
    return 10.0 ** (_EXPONENTS[item.si_scale_code] - 3)


# Spans


class Told(NamedTuple):
    """A number, and the span that it is told of."""

    start: datetime
    seconds: int
    value: float

    @property
    def end(self) -> datetime:
        """First instant after it."""
        return self.start + timedelta(seconds=self.seconds)


def seconds_of(duration: str, path: str) -> int:
    """Seconds of a duration.

    Raises:
        InvalidError: it has months, which have no number of seconds, is negative, or longer than a year.
    """
    long: Length = length(duration)
    if long.months or long.seconds < 0:
        raise InvalidError(f"{duration} is no number of seconds", path=path, value=duration)
    if long.seconds > LONGEST_S:
        raise InvalidError(f"{duration} is longer than a year", path=path, value=duration)
    return long.seconds


def duration_of(seconds: int) -> str:
    """Seconds as a duration, in the largest units that have no rest below them."""
    for size, unit in ((HOUR_S, "H"), (60, "M")):
        if seconds and seconds % size == 0:
            return f"PT{seconds // size}{unit}"
    return f"PT{seconds}S"


def spans(intervals: Sequence[Interval], start: datetime, whole_s: int, open_ended_s: int, path: str) -> Iterator[Told]:
    """What the intervals of a signal tell, one after the other.

    An event without an end, and an interval of one, are as long as `open_ended_s`.

    Raises:
        InvalidError: an interval that holds no number, or no length.
    """
    at, end = start, start + timedelta(seconds=whole_s or open_ended_s)
    for i, interval in enumerate(intervals):
        here = f"{path}/intervals/interval[{i}]"
        payload = interval.stream_payload_base[0]
        if not isinstance(payload, SignalPayload) or not isinstance(payload.payload_base, PayloadFloat):
            raise InvalidError("holds no number", path=here)
        long = 0 if interval.duration is None else seconds_of(interval.duration, f"{here}/duration")
        seconds = long or max(0, int((end - at).total_seconds()))
        if not seconds:
            raise InvalidError("lasts for no time", path=f"{here}/duration")
        yield Told(at, seconds, payload.payload_base.value)
        at += timedelta(seconds=seconds)
        if (at - start).total_seconds() > LONGEST_S:
            raise InvalidError("is longer than a year", path=f"{path}/intervals")


def on_grid(told: Iterable[Told], resolution_s: int) -> list[Told]:
    """The same on the slots of a grid: whole slots, each with the mean of what is told of parts of it."""
    sums: dict[int, tuple[float, float]] = {}
    for one in told:
        first, last = one.start.timestamp(), one.end.timestamp()
        for slot in range(int(first // resolution_s), math.ceil(last / resolution_s)):
            share = min(last, (slot + 1) * resolution_s) - max(first, slot * resolution_s)
            had, weight = sums.get(slot, (0.0, 0.0))
            sums[slot] = had + one.value * share, weight + share
    return [
        Told(EPOCH + timedelta(seconds=slot * resolution_s), resolution_s, total / weight)
        for slot, (total, weight) in sorted(sums.items())
    ]


def common_s(told: Sequence[Told]) -> int:
    """The longest slot that cuts all spans, and lies on the grid from the epoch; a day at most."""
    return math.gcd(86_400, *(s for one in told for s in (int(one.start.timestamp()), one.seconds)))


def cut(told: Iterable[Told], step_s: int) -> Iterator[Told]:
    """The same in pieces of one length."""
    for one in told:
        for i in range(one.seconds // step_s):
            yield Told(one.start + timedelta(seconds=i * step_s), step_s, one.value)


def runs(told: Iterable[Told]) -> list[Told]:
    """The same with equal values in a row together."""
    found: list[Told] = []
    for one in told:
        if found and found[-1].value == one.value and found[-1].end == one.start:
            found[-1] = found[-1]._replace(seconds=found[-1].seconds + one.seconds)
        else:
            found.append(one)
    return found


def target_of(ctx: Context) -> EiTarget:
    """Whom a written message is about."""
    told = ctx.kept.get("ei_target", EiTarget())
    assert isinstance(told, EiTarget)  # noqa: S101 - of `kept_of`, or the caller's
    return told


def needed(ctx: Context, *fields: str) -> dict[str, Any]:
    """Fields of a written message, or of the core's document, as they were told.

    Raises:
        InvalidError: one was not.
    """
    for name in fields:
        if name not in ctx.kept:
            raise InvalidError("is needed", path=f"Context/kept/{name}")
    return {name: ctx.kept[name] for name in fields}
