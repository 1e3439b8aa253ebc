"""Events and the core: a schedule to be dispatched, a utility's request, its tariff.

Each reads and writes an oadrDistributeEvent with one event, since that is what an answer is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.tariff import Tariff
from flexhub.core.timeseries import SeriesKind, TimeSeries
from flexhub.core.trading import Disposition, FlexRequest, Reference, RequestInterval
from flexhub.core.units import FIRST_YEAR, LAST_YEAR, TOLERANCE_KWH
from flexhub.mappings.fates import Kind, Loss, Mapped
from flexhub.mappings.openadr2b.context import (
    EUR_PER_KWH,
    HOUR_S,
    KW,
    KWH,
    PRICES,
    SIGNALS,
    Context,
    Form,
    Told,
    common_s,
    cut,
    duration_of,
    factor_of,
    needed,
    on_grid,
    runs,
    seconds_of,
    spans,
    target_of,
)
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b import names
from flexhub.protocols.openadr2b.elements import (
    CurrencyPerKWh,
    EiActivePeriod,
    EiEvent,
    EiEventSignal,
    EiEventSignals,
    EnergyReal,
    EventDescriptor,
    Interval,
    Item,
    OadrEvent,
    PayloadFloat,
    PowerReal,
    Properties,
    SignalPayload,
    Tolerate,
)
from flexhub.protocols.uftp.times import instant, text_of

NOT_SUPPORTED: Final = "2.0b rule 48"
_EVENT: Final = "oadrDistributeEvent/oadrEvent[0]/eiEvent"
_SIGNAL: Final = f"{_EVENT}/eiEventSignals/eiEventSignal"


def event_of(m: wire.OadrDistributeEvent) -> EiEvent:
    """The one event of a message.

    Raises:
        InvalidError: there are none, or several.
    """
    if len(m.oadr_events) != 1:
        raise InvalidError(f"{len(m.oadr_events)} events; one is mapped at a time", path="oadrDistributeEvent")
    return m.oadr_events[0].ei_event


def kept_of(m: wire.OadrDistributeEvent) -> dict[str, Any]:
    """What the core has no place for, for `Context.kept`."""
    event, told = event_of(m), m.oadr_events[0]
    descriptor, properties = event.event_descriptor, event.ei_active_period.properties
    return {
        "schema_version": m.schema_version,
        "request_id": m.request_id,
        "vtn_id": m.vtn_id,
        "ei_response": m.ei_response,
        "oadr_response_required": told.oadr_response_required,
        "ei_target": event.ei_target,
        "signal_id": event.ei_event_signals.ei_event_signals[0].signal_id,
        "current_value": event.ei_event_signals.ei_event_signals[0].current_value,
        **{name: getattr(descriptor, name) for name in descriptor.__struct_fields__},
        **{name: getattr(properties, name) for name in _AROUND},
    }


_AROUND: Final = ("tolerance", "x_ei_notification", "x_ei_ramp_up", "x_ei_recovery")
_MESSAGE: Final = ("schema_version", "request_id", "vtn_id", "ei_response")
_DESCRIBED: Final = EventDescriptor.__struct_fields__


def startafter_s(event: EiEvent) -> int:
    """Within how many seconds from its dtstart an event begins by chance [rule 30]."""
    tolerance: Tolerate | None = event.ei_active_period.properties.tolerance
    if tolerance is None or tolerance.startafter is None:
        return 0
    return seconds_of(tolerance.startafter, f"{_EVENT}/eiActivePeriod/properties/tolerance")


def window(event: EiEvent, ctx: Context) -> tuple[datetime, int]:
    """When an event begins for us, and for how many seconds it lasts; 0: without an end.

    Raises:
        InvalidError: a year that no document may have, or a duration without a number of seconds.
    """
    properties = event.ei_active_period.properties
    start = instant(properties.dtstart)
    if not FIRST_YEAR <= start.year < LAST_YEAR:
        raise InvalidError(
            "not in this age", path=f"{_EVENT}/eiActivePeriod/properties/dtstart", value=properties.dtstart
        )
    start += timedelta(seconds=ctx.offset_s)
    return start, seconds_of(properties.duration, f"{_EVENT}/eiActivePeriod/properties/duration")


def signal_of(event: EiEvent) -> tuple[int, Form] | None:
    """Which signal of an event tells what is to be done with loads; None: none that is known here."""
    kinds = [(signal.signal_name, signal.signal_type) for signal in event.ei_event_signals.ei_event_signals]
    for form, (name, type_) in SIGNALS.items():
        for i, told in enumerate(kinds):
            if told[1] is type_ and told[0] in (names.SIMPLE if form is Form.LEVEL else (name,)):
                return i, form
    return None


def price_of(event: EiEvent) -> int | None:
    """Which signal of an event is a tariff; None: none."""
    types = (names.SignalType.PRICE, names.SignalType.PRICE_MULTIPLIER, names.SignalType.PRICE_RELATIVE)
    for i, signal in enumerate(event.ei_event_signals.ei_event_signals):
        if signal.signal_name in PRICES and signal.signal_type in types:
            return i
    return None


def _others(event: EiEvent, used: int) -> list[Loss]:
    return [
        Loss(path=f"{_SIGNAL}[{i}]", kind=Kind.DROPPED, value=signal.signal_name, why="another signal is used")
        for i, signal in enumerate(event.ei_event_signals.ei_event_signals)
        if i != used
    ]


def _endless(event: EiEvent, ctx: Context) -> list[Loss]:
    if window(event, ctx)[1]:
        return []
    why = f"an event without an end [rule 47]; told for {ctx.open_ended_s} s"
    path = f"{_EVENT}/eiActivePeriod/properties/duration"
    return [Loss(path=path, kind=Kind.DEFAULTED, value=ctx.open_ended_s, why=why)]


def _read(event: EiEvent, ctx: Context) -> tuple[int, Form, list[Told], list[Loss]]:
    """What the event asks of loads: in kW, kWh (CHARGE_STATE), shares or levels."""
    found = signal_of(event)
    if found is None:
        told = ", ".join(f"{s.signal_name} {s.signal_type}" for s in event.ei_event_signals.ei_event_signals)
        raise InvalidError(f"no signal that can be followed: {told}", path=_EVENT, clause=NOT_SUPPORTED)
    i, form = found
    signal = event.ei_event_signals.ei_event_signals[i]
    start, whole_s = window(event, ctx)
    numbers = list(spans(signal.intervals, start, whole_s, ctx.open_ended_s, f"{_SIGNAL}[{i}]"))
    losses = [*_others(event, i), *_endless(event, ctx)]
    factor = 1.0
    if form in (Form.SETPOINT, Form.DELTA):
        factor = factor_of(signal.item_base, PowerReal, f"{_SIGNAL}[{i}]/itemBase")
    elif form is Form.CHARGE:
        factor = factor_of(signal.item_base, EnergyReal, f"{_SIGNAL}[{i}]/itemBase")
    elif form is Form.CAPACITY:
        if ctx.rating_kw is None:
            raise InvalidError("a share of what power is not known", path=f"{_SIGNAL}[{i}]", clause=NOT_SUPPORTED)
        factor = ctx.rating_kw
    elif any(one.value not in range(4) for one in numbers):
        raise InvalidError("not a level: 0, 1, 2 or 3", path=f"{_SIGNAL}[{i}]/intervals", clause="2.0b rule 9")
    return i, form, [one._replace(value=one.value * factor) for one in numbers], losses


def _kw(one: Told, form: Form, ctx: Context) -> float:
    """Mean power that a span is told to have."""
    if form is Form.CHARGE:
        return one.value * HOUR_S / one.seconds
    base = ctx.baseline_kw(one.start, one.seconds)
    if form is Form.LEVEL:
        return base - ctx.levels_kw[int(one.value)]
    return base + one.value if form is Form.DELTA else one.value


# -- a schedule -------------------------------------------------------------------------------------------------------


def schedule_to_core(m: wire.OadrDistributeEvent, ctx: Context) -> Mapped[TimeSeries]:
    """What a recipient is told to do, as energies from the event's start; slots are as long as all intervals allow.

    Raises:
        InvalidError: no signal that can be followed, or one without its unit.
    """
    event = event_of(m)
    _, form, told, losses = _read(event, ctx)
    powers = [one._replace(value=_kw(one, form, ctx)) for one in told]
    step = common_s(powers if ctx.baseline is None else [*powers, Told(ctx.baseline.start, _step(ctx), 0.0)])
    if ctx.baseline is not None and form in (Form.DELTA, Form.LEVEL):
        powers = [one._replace(value=_kw(one, form, ctx)) for one in cut(told, step)]
    value = TimeSeries(
        subject=ctx.kept.get("subject", event.event_descriptor.event_id),
        kind=SeriesKind.SCHEDULE,
        start=told[0].start,
        values_kwh=tuple(one.value * step / HOUR_S for one in cut(powers, step)),
        resolution_s=step,
    )
    return Mapped(value, tuple(losses))


def _step(ctx: Context) -> int:
    return 86_400 if ctx.baseline is None else ctx.baseline.resolution_s


def course_of(offer: FlexOffer) -> TimeSeries:
    """The assigned schedule of an offer, slot by slot.

    Raises:
        InvalidError: it has none.
    """
    if offer.schedule is None:
        raise InvalidError("nothing is assigned", path="FlexOffer/schedule")
    return TimeSeries(
        subject=offer.id,
        kind=SeriesKind.SCHEDULE,
        start=offer.schedule.start,
        values_kwh=tuple(offer.schedule.per_slot_kwh()),
        resolution_s=offer.resolution_s,
    )


def schedule_to_wire(series: TimeSeries, ctx: Context) -> Mapped[wire.OadrDistributeEvent]:
    """A schedule as an event, in the signal that the context chooses; equal powers in a row are one interval.

    A level of SIMPLE and a share of LOAD_CONTROL cannot say every power: of each, the nearest that asks for no more
    consumption is taken, and the energy that is off is a lost bound.

    Raises:
        InvalidError: no schedule, a gap in it, or a share of no known power.
    """
    if series.kind is not SeriesKind.SCHEDULE or None in series.values_kwh:
        raise InvalidError("a schedule without gaps is dispatched", path="TimeSeries/values_kwh")
    seconds, losses, numbers = series.resolution_s, list[Loss](), list[Told]()
    for i, (at, kwh) in enumerate(series.items()):
        power = (kwh or 0.0) * HOUR_S / seconds
        value = _number(power, at, seconds, ctx)
        numbers.append(Told(at, seconds, value))
        off = (_kw(Told(at, seconds, _meant(value, ctx)), ctx.form, ctx) - power) * seconds / HOUR_S
        if abs(off) > TOLERANCE_KWH:
            why = f"{SIGNALS[ctx.form][0]} cannot say it; kWh that are off"
            losses.append(Loss(path=f"TimeSeries/values_kwh[{i}]", kind=Kind.BOUND, value=off, why=why))
    told = numbers if ctx.form is Form.CHARGE else runs(numbers)
    return Mapped(_event(told, *SIGNALS[ctx.form], _ITEMS.get(ctx.form), ctx), tuple(losses))


_ITEMS: Final[dict[Form, Item]] = {Form.SETPOINT: KW, Form.DELTA: KW, Form.CHARGE: KWH}


def _number(power_kw: float, at: datetime, seconds: int, ctx: Context) -> float:
    """What a power is in the signal that is written."""
    if ctx.form is Form.SETPOINT:
        return power_kw
    if ctx.form is Form.CHARGE:
        return power_kw * seconds / HOUR_S
    if ctx.form is Form.CAPACITY:
        if not ctx.rating_kw:
            raise InvalidError("LOAD_CONTROL is a share of the rated power", path="Context/rating_kw")
        return min(1.0, max(0.0, power_kw / ctx.rating_kw))
    delta = power_kw - ctx.baseline_kw(at, seconds)
    if ctx.form is Form.DELTA:
        return delta
    return _level(delta, ctx)


def _meant(value: float, ctx: Context) -> float:
    return value * (ctx.rating_kw or 0.0) if ctx.form is Form.CAPACITY else value


def _event(
    told: Sequence[Told], name: str, kind: names.SignalType, item: Item | None, ctx: Context
) -> wire.OadrDistributeEvent:
    """A message with one event of one signal; all that the numbers do not say is as it was kept."""
    descriptor: dict[str, Any] = {
        "modification_number": 0,
        "event_status": names.EventStatus.FAR,
        "created_date_time": text_of(ctx.now),
        **{key: ctx.kept[key] for key in _DESCRIBED if key in ctx.kept},
        **needed(ctx, "event_id", "ei_market_context"),
    }
    start = told[0].start - timedelta(seconds=ctx.offset_s)
    properties = Properties(
        dtstart=text_of(start),
        duration=duration_of(sum(one.seconds for one in told)),
        **{key: ctx.kept[key] for key in _AROUND if key in ctx.kept},
    )
    intervals = tuple(
        Interval(
            duration=duration_of(one.seconds),
            uid=str(i),
            stream_payload_base=(SignalPayload(payload_base=PayloadFloat(value=one.value)),),
        )
        for i, one in enumerate(told)
    )
    signal = EiEventSignal(
        intervals=intervals,
        signal_name=name,
        signal_type=kind,
        signal_id=ctx.kept.get("signal_id", "0"),
        item_base=item,
        current_value=ctx.kept.get("current_value"),
    )
    event = EiEvent(
        event_descriptor=EventDescriptor(**descriptor),
        ei_active_period=EiActivePeriod(properties=properties),
        ei_event_signals=EiEventSignals(ei_event_signals=(signal,)),
        ei_target=target_of(ctx),
    )
    required = ctx.kept.get("oadr_response_required", names.ResponseRequired.ALWAYS)
    message: dict[str, Any] = {
        "schema_version": wire.VERSION,
        **{key: ctx.kept[key] for key in _MESSAGE if key in ctx.kept},
    }
    needed(ctx, "request_id", "vtn_id")
    return wire.OadrDistributeEvent(
        **message, oadr_events=(OadrEvent(ei_event=event, oadr_response_required=required),)
    )


# -- a request --------------------------------------------------------------------------------------------------------


def request_to_core(m: wire.OadrDistributeEvent, ctx: Context) -> Mapped[FlexRequest]:
    """What a utility asks for, by slots of the context's grid.

    A set-point and a charge are both bounds at once, a delta is so against the baseline; a share of LOAD_CONTROL is a
    most, and a level of SIMPLE the least reduction. The congestion point is the first resource that is named, or what
    the context tells.

    Interpretation: a slot of which the event covers a part only is asked for as a whole, with the mean of that part,
    since plans know no parts.

    Raises:
        InvalidError: no signal that can be followed, or an identity that was not told.
    """
    event = event_of(m)
    _, form, told, losses = _read(event, ctx)
    kept = needed(ctx, "id", "issuer", "recipient", "congestion_point")
    seconds = ctx.resolution_s
    powers = [one._replace(value=_asked(one, form, ctx)) for one in told]
    gridded = on_grid(powers, seconds)
    if any(one.start.timestamp() % seconds or one.seconds % seconds for one in told):
        moved = sum(one.value * one.seconds for one in gridded) - sum(one.value * one.seconds for one in powers)
        why = f"whole slots of {seconds} s; kWh more than told"
        losses.append(Loss(path=f"{_EVENT}/eiActivePeriod", kind=Kind.CONVERTED, value=moved / HOUR_S, why=why))
    first = gridded[0].start
    intervals = tuple(
        _interval(int((one.start - first).total_seconds()) // seconds, one.value * seconds / HOUR_S, form)
        for one in gridded
    )
    absolute = form in (Form.SETPOINT, Form.CHARGE, Form.CAPACITY)
    value = FlexRequest(
        **kept,
        created=ctx.now,
        expires=max(ctx.now, gridded[-1].end),
        start=first,
        intervals=intervals,
        reference=Reference.ABSOLUTE if absolute else Reference.BASELINE,
        resolution_s=seconds,
        revision=event.event_descriptor.modification_number,
        service_type=SIGNALS[form][0],
        extras={"event_id": event.event_descriptor.event_id, "form": form.value},
    )
    return Mapped(value, tuple(losses))


def _asked(one: Told, form: Form, ctx: Context) -> float:
    """The power that the request's bounds are of."""
    if form is Form.CHARGE:
        return one.value * HOUR_S / one.seconds
    return -ctx.levels_kw[int(one.value)] if form is Form.LEVEL else one.value


def _interval(slot: int, kwh: float, form: Form) -> RequestInterval:
    if form is Form.LEVEL:  # level 0 asks for nothing
        return RequestInterval(slot=slot, disposition=Disposition.REQUESTED, hi_kwh=kwh or None)
    return RequestInterval(slot=slot, lo_kwh=None if form is Form.CAPACITY else kwh, hi_kwh=kwh)


def request_to_wire(r: FlexRequest, ctx: Context) -> Mapped[wire.OadrDistributeEvent]:
    """A request as an event: a set-point where it is absolute, else a delta, or levels or shares where so chosen.

    Where the bounds differ, the signal says that one which is nearest to what would be anyway (no deviation, or of
    absolute ones the greater), and the room that this takes is a lost bound, in kWh.

    Raises:
        InvalidError: a slot without any bound amid others, or an identity that was not told.
    """
    losses: list[Loss] = []
    if r.price_eur_per_kwh is not None:
        why = "an event has no price for what is asked"
        losses.append(Loss(path="FlexRequest/price_eur_per_kwh", kind=Kind.PRICE, value=r.price_eur_per_kwh, why=why))
    form, seconds = _form_of(r, ctx), r.resolution_s
    numbers: list[Told] = []
    for i, asked in enumerate(r.intervals):
        at = r.start + timedelta(seconds=asked.slot * seconds)
        if numbers and numbers[-1].end != at:
            raise InvalidError("an event has no gaps", path=f"FlexRequest/intervals[{i}]/slot")
        kwh = _chosen(asked, r.reference)
        lost = (asked.hi_kwh if asked.hi_kwh is not None else kwh) - (asked.lo_kwh if asked.lo_kwh is not None else kwh)
        one_sided = form in (Form.LEVEL, Form.CAPACITY) and asked.lo_kwh is None
        if lost > TOLERANCE_KWH or (None in (asked.lo_kwh, asked.hi_kwh) and not one_sided):
            why = f"{SIGNALS[form][0]} says one number; kWh of room"
            value = lost if None not in (asked.lo_kwh, asked.hi_kwh) else None
            losses.append(Loss(path=f"FlexRequest/intervals[{i}]", kind=Kind.BOUND, value=value, why=why))
        power = kwh * HOUR_S / seconds
        number = _level(power, ctx) if form is Form.LEVEL else _number_of_request(power, kwh, form, ctx)
        if form is Form.LEVEL and abs(ctx.levels_kw[int(number)] + power) * seconds / HOUR_S > TOLERANCE_KWH:
            off = -(ctx.levels_kw[int(number)] + power) * seconds / HOUR_S
            losses.append(
                Loss(path=f"FlexRequest/intervals[{i}]", kind=Kind.BOUND, value=off, why="the next level; kWh off")
            )
        numbers.append(Told(at, seconds, number))
    told = numbers if form is Form.CHARGE else runs(numbers)
    filled = msgspec.structs.replace(ctx, kept={"modification_number": r.revision, **ctx.kept})
    return Mapped(_event(told, *SIGNALS[form], _ITEMS.get(form), filled), tuple(losses))


def _form_of(r: FlexRequest, ctx: Context) -> Form:
    absolute = (Form.SETPOINT, Form.CHARGE, Form.CAPACITY)
    if r.reference is Reference.ABSOLUTE:
        return ctx.form if ctx.form in absolute else Form.SETPOINT
    return Form.DELTA if ctx.form in absolute else ctx.form


def _chosen(asked: RequestInterval, reference: Reference) -> float:
    lo, hi = asked.lo_kwh, asked.hi_kwh
    if lo is None or hi is None:
        return (lo if hi is None else hi) or 0.0
    return hi if reference is Reference.ABSOLUTE else min(max(lo, 0.0), hi)


def _level(power_kw: float, ctx: Context) -> float:
    """The least level of SIMPLE that asks for so little power against the baseline; the highest where none does."""
    enough = [n for n, less in enumerate(ctx.levels_kw) if less >= -power_kw - TOLERANCE_KWH]
    return float(enough[0] if enough else 3)


def _number_of_request(power_kw: float, kwh: float, form: Form, ctx: Context) -> float:
    if form is Form.CAPACITY:
        if not ctx.rating_kw:
            raise InvalidError("LOAD_CONTROL is a share of the rated power", path="Context/rating_kw")
        return power_kw / ctx.rating_kw
    return kwh if form is Form.CHARGE else power_kw


# -- a tariff ---------------------------------------------------------------------------------------------------------


def tariff_to_core(m: wire.OadrDistributeEvent, ctx: Context) -> Mapped[Tariff]:
    """Prices of energy, slot by slot; relative ones are reckoned from the context's base price.

    Raises:
        InvalidError: no price signal, another currency than EUR, or no base price where one is needed.
    """
    event = event_of(m)
    i = price_of(event)
    if i is None:
        raise InvalidError("no price signal", path=_EVENT, clause=NOT_SUPPORTED)
    signal = event.ei_event_signals.ei_event_signals[i]
    path = f"{_SIGNAL}[{i}]"
    relative = signal.signal_type is not names.SignalType.PRICE
    if relative and ctx.base_price_eur_per_kwh is None:
        raise InvalidError("relative to a price that is not known", path=path, clause=NOT_SUPPORTED)
    multiplied = signal.signal_type is names.SignalType.PRICE_MULTIPLIER
    factor = 1.0 if multiplied else factor_of(signal.item_base, CurrencyPerKWh, f"{path}/itemBase")
    base = ctx.base_price_eur_per_kwh or 0.0
    start, whole_s = window(event, ctx)
    told = on_grid(spans(signal.intervals, start, whole_s, ctx.open_ended_s, path), ctx.resolution_s)
    losses = [*_others(event, i), *_endless(event, ctx)]
    if relative:
        why = f"reckoned from {base:g} EUR/kWh"
        losses.append(Loss(path=path, kind=Kind.CONVERTED, value=str(signal.signal_type), why=why))
    prices = tuple(base * one.value if multiplied else base * relative + one.value * factor for one in told)
    value = Tariff(
        **needed(ctx, "id", "issuer", "recipient"),
        created=ctx.now,
        start=told[0].start,
        prices_eur_per_kwh=prices,
        resolution_s=ctx.resolution_s,
    )
    return Mapped(value, tuple(losses))


def tariff_to_wire(tariff: Tariff, ctx: Context) -> Mapped[wire.OadrDistributeEvent]:
    """A tariff as ELECTRICITY_PRICE; equal prices in a row are one interval.

    Raises:
        InvalidError: a gap, or an identity that was not told.
    """
    numbers: list[Told] = []
    for i, price in enumerate(tariff.prices_eur_per_kwh):
        if price is None:
            raise InvalidError("an event has no gaps", path=f"Tariff/prices_eur_per_kwh[{i}]")
        at = tariff.start + timedelta(seconds=i * tariff.resolution_s)
        numbers.append(Told(at, tariff.resolution_s, price))
    return Mapped(_event(runs(numbers), PRICES[0], names.SignalType.PRICE, EUR_PER_KWH, ctx))
