"""OpenADR 2.0b to the core and back: what comes back is what went, and what is lost is told in kWh."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.errors import InfeasibleError, InvalidError, LossError
from flexhub.core.flexoffer import (
    EnergyRange,
    FlexOffer,
    HalfPlane,
    Polytope,
    Profile,
    Schedule,
    ScheduleSlice,
    Slice,
    TwoMode,
)
from flexhub.core.judge import violations
from flexhub.core.lifecycle import Confirmed, Declined
from flexhub.core.price import Price
from flexhub.core.tariff import Tariff
from flexhub.core.timeseries import Measurement, Quality, SeriesKind, TimeSeries
from flexhub.core.trading import FlexRequest, Reference, RequestInterval
from flexhub.mappings.fates import Kind, refuse_serious
from flexhub.mappings.openadr2b import events, inner, opts, reports
from flexhub.mappings.openadr2b.context import Context, Form, Point, Regulation
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b import names
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import Message, PayloadFloat, Tolerate
from flexhub.protocols.openadr2b.rules import findings

NOW = datetime(2026, 3, 29, 9, tzinfo=UTC)
START = datetime(2026, 3, 29, 10, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
CODEC = OadrCodec()
KEPT: dict[str, Any] = {
    "event_id": "e-1",
    "ei_market_context": "http://market.example/dispatch",
    "request_id": "d-1",
    "vtn_id": "vtn-1",
}
REQUEST: dict[str, Any] = {"id": "r-1", "issuer": "utility", "recipient": "agr", "congestion_point": "feeder"}
few = settings(max_examples=25, deadline=None)
energy = st.floats(-50, 50).map(lambda x: round(x, 3))
energies = st.lists(energy, min_size=1, max_size=12).map(tuple)


def sound(message: Message) -> Message:
    """As it comes out on the other side of the wire; the XSD and every rule accept it."""
    assert findings(message) == []
    again = CODEC.decode(CODEC.encode(message))
    assert again == message
    return again


def near(one: tuple[float | None, ...], other: tuple[float | None, ...]) -> bool:
    return len(one) == len(other) and all(a == pytest.approx(b, abs=1e-9) for a, b in zip(one, other, strict=True))


def course(values: tuple[float, ...], resolution_s: int = 900) -> TimeSeries:
    return TimeSeries(
        subject="heat-pump", kind=SeriesKind.SCHEDULE, start=START, values_kwh=values, resolution_s=resolution_s
    )


def slots(series: TimeSeries, resolution_s: int = 900) -> tuple[float, ...]:
    """The series cut into slots of so many seconds, which divides its own."""
    parts = series.resolution_s // resolution_s
    return tuple((v or 0.0) / parts for v in series.values_kwh for _ in range(parts))


# -- schedules --------------------------------------------------------------------------------------------------------


@few
@given(values=energies, form=st.sampled_from([Form.SETPOINT, Form.DELTA, Form.CHARGE]), data=st.data())
def test_a_schedule_comes_back_from_its_event(values: tuple[float, ...], form: Form, data: st.DataObject) -> None:
    base = tuple(data.draw(energy) for _ in values)
    baseline = TimeSeries(subject="b", kind=SeriesKind.BASELINE, start=START, values_kwh=base)
    ctx = Context(kept={**KEPT, "subject": "heat-pump"}, now=NOW, form=form, baseline=baseline)
    there = events.schedule_to_wire(course(values), ctx)
    message = sound(there.value)
    assert isinstance(message, wire.OadrDistributeEvent)
    back = events.schedule_to_core(message, ctx)
    assert there.losses == back.losses == ()
    assert near(slots(back.value), values)
    assert (back.value.subject, back.value.start) == ("heat-pump", START)


@few
@given(values=st.lists(st.floats(0, 30), min_size=1, max_size=8).map(tuple))
def test_what_a_level_cannot_say_is_told_to_the_kwh(values: tuple[float, ...]) -> None:
    baseline = TimeSeries(subject="b", kind=SeriesKind.BASELINE, start=START, values_kwh=(20.0,) * len(values))
    ctx = Context(kept=KEPT, now=NOW, form=Form.LEVEL, baseline=baseline, levels_kw=(0.0, 10.0, 25.0, 60.0))
    there = events.schedule_to_wire(course(values), ctx)
    back = slots(events.schedule_to_core(sound(there.value), ctx).value)  # type: ignore[arg-type]  # of its kind
    off = {int(loss.path.split("[")[1][:-1]): loss.value for loss in there.losses}
    assert all(loss.kind is Kind.BOUND for loss in there.losses)
    for i, (want, got) in enumerate(zip(values, back, strict=True)):
        assert got - want == pytest.approx(off.get(i, 0.0), abs=1e-6)
        assert got <= max(want, 20.0 - 60.0 / 4) + 1e-6 or want > 20.0


def test_a_share_of_the_rated_power_says_what_lies_within_it() -> None:
    ctx = Context(kept=KEPT, now=NOW, form=Form.CAPACITY, rating_kw=8.0)
    there = events.schedule_to_wire(course((0.0, 1.0, 2.0)), ctx)
    assert there.losses == ()
    assert near(slots(events.schedule_to_core(there.value, ctx).value), (0.0, 1.0, 2.0))
    beyond = events.schedule_to_wire(course((3.0, -1.0)), ctx)
    assert [loss.value for loss in beyond.losses] == [pytest.approx(-1.0), pytest.approx(1.0)]
    with pytest.raises(LossError, match="kWh that are off"):
        refuse_serious(beyond.losses)
    with pytest.raises(InvalidError, match="rated power"):
        events.schedule_to_wire(course((1.0,)), Context(kept=KEPT, now=NOW, form=Form.CAPACITY))


def test_equal_powers_in_a_row_are_one_interval_of_kilowatts() -> None:
    message = events.schedule_to_wire(course((1.0, 1.0, -0.5)), Context(kept=KEPT, now=NOW)).value
    signal = events.event_of(message).ei_event_signals.ei_event_signals[0]
    told = [(i.uid, i.duration, i.stream_payload_base[0].payload_base.value) for i in signal.intervals]  # type: ignore[union-attr]  # numbers
    assert told == [("0", "PT30M", 4.0), ("1", "PT15M", -2.0)]
    assert (signal.signal_name, signal.signal_type) == ("LOAD_DISPATCH", names.SignalType.SETPOINT)


def test_a_schedule_with_a_gap_is_not_dispatched_and_one_without_is() -> None:
    ctx = Context(kept=KEPT, now=NOW)
    gap = msgspec.structs.replace(course((1.0, 2.0)), values_kwh=(1.0, None))
    with pytest.raises(InvalidError, match="without gaps"):
        events.schedule_to_wire(gap, ctx)
    assert events.schedule_to_wire(course((1.0, 2.0)), ctx).losses == ()
    with pytest.raises(InvalidError, match="event_id"):
        events.schedule_to_wire(course((1.0,)), Context(now=NOW))


def test_the_assigned_schedule_of_an_offer_is_what_is_dispatched() -> None:
    with pytest.raises(InvalidError, match="nothing is assigned"):
        events.course_of(offer(Slice(energy_kwh=(EnergyRange(0, 2),))))
    schedule = Schedule(start=START, slices=(ScheduleSlice(energy_kwh=3.0, duration=2), ScheduleSlice(energy_kwh=1.0)))
    assigned = msgspec.structs.replace(offer(Slice(energy_kwh=(EnergyRange(0, 4),))), schedule=schedule)
    assert events.course_of(assigned).values_kwh == (1.5, 1.5, 1.0)


# -- requests ---------------------------------------------------------------------------------------------------------


@few
@given(values=energies, absolute=st.booleans())
def test_a_dispatch_is_a_request_with_both_bounds(values: tuple[float, ...], absolute: bool) -> None:
    reference = Reference.ABSOLUTE if absolute else Reference.BASELINE
    intervals = tuple(RequestInterval(slot=i, lo_kwh=v, hi_kwh=v) for i, v in enumerate(values))
    asked = FlexRequest(
        **REQUEST, created=NOW, expires=START + QUARTER * len(values), start=START, intervals=intervals,
        reference=reference, revision=3,
    )  # fmt: skip
    ctx = Context(kept={**KEPT, **REQUEST}, now=NOW)
    there = events.request_to_wire(asked, ctx)
    back = events.request_to_core(sound(there.value), ctx)  # type: ignore[arg-type]  # of its kind
    assert there.losses == back.losses == ()
    assert near(tuple(i.hi_kwh for i in back.value.intervals), values)
    assert near(tuple(i.lo_kwh for i in back.value.intervals), values)
    assert (back.value.reference, back.value.revision, back.value.start) == (reference, 3, START)


def test_a_level_asks_for_a_reduction_and_level_0_for_nothing() -> None:
    ctx = Context(kept={**KEPT, **REQUEST}, now=NOW, form=Form.LEVEL, levels_kw=(0.0, 8.0, 16.0, 40.0))
    asked = FlexRequest(
        **REQUEST, created=NOW, expires=START, start=START,
        intervals=(RequestInterval(slot=0), RequestInterval(slot=1, hi_kwh=-4.0), RequestInterval(slot=2, hi_kwh=-3.0)),
    )  # fmt: skip
    there = events.request_to_wire(asked, ctx)
    assert [(loss.kind, loss.value) for loss in there.losses] == [(Kind.BOUND, pytest.approx(-1.0))]
    back = events.request_to_core(there.value, ctx).value
    assert [(i.lo_kwh, i.hi_kwh) for i in back.intervals] == [(None, None), (None, -4.0), (None, -4.0)]


def test_room_between_two_bounds_and_a_price_are_lost_and_said_so() -> None:
    intervals = (RequestInterval(slot=0, lo_kwh=-5.0, hi_kwh=-2.0),)
    asked = FlexRequest(**REQUEST, created=NOW, expires=START, start=START, intervals=intervals, price_eur_per_kwh=0.1)
    there = events.request_to_wire(asked, Context(kept={**KEPT, **REQUEST}, now=NOW))
    assert [(loss.kind, loss.value) for loss in there.losses] == [(Kind.PRICE, 0.1), (Kind.BOUND, 3.0)]
    back = events.request_to_core(there.value, Context(kept={**KEPT, **REQUEST}, now=NOW)).value
    assert back.intervals[0].hi_kwh == pytest.approx(-2.0)


def dispatched(**context: Any) -> FlexRequest:
    return events.request_to_core(
        events.schedule_to_wire(course((1.0, 2.0)), Context(kept=KEPT, now=NOW)).value,
        Context(kept={**KEPT, **REQUEST}, now=NOW, **context),
    ).value


def test_an_offset_moves_an_event_and_the_grid_takes_whole_slots() -> None:
    assert dispatched().start == START
    assert dispatched(offset_s=1800).start == START + 2 * QUARTER
    moved = dispatched(offset_s=300)
    assert moved.start == START
    assert [i.hi_kwh for i in moved.intervals] == [pytest.approx(1.0), pytest.approx((1.0 * 5 + 2.0 * 10) / 15), 2.0]


def test_an_event_without_an_end_is_asked_for_as_long_as_the_context_says() -> None:
    message = events.schedule_to_wire(course((1.0,)), Context(kept=KEPT, now=NOW)).value
    event = message.oadr_events[0].ei_event
    properties = msgspec.structs.replace(event.ei_active_period.properties, duration="PT0S")
    endless = msgspec.structs.replace(
        message,
        oadr_events=(
            msgspec.structs.replace(
                message.oadr_events[0],
                ei_event=msgspec.structs.replace(
                    event,
                    ei_active_period=msgspec.structs.replace(event.ei_active_period, properties=properties),
                    ei_event_signals=msgspec.structs.replace(
                        event.ei_event_signals,
                        ei_event_signals=tuple(
                            msgspec.structs.replace(
                                s, intervals=tuple(msgspec.structs.replace(i, duration="PT0S") for i in s.intervals)
                            )
                            for s in event.ei_event_signals.ei_event_signals
                        ),
                    ),
                ),
            ),
        ),
    )
    got = events.request_to_core(sound(endless), Context(kept={**KEPT, **REQUEST}, now=NOW, open_ended_s=3600))  # type: ignore[arg-type]  # of its kind
    assert len(got.value.intervals) == 4
    assert [loss.kind for loss in got.losses] == [Kind.DEFAULTED]


def test_what_cannot_be_followed_is_refused_with_the_rule_and_its_twin_is_not() -> None:
    message = events.schedule_to_wire(course((1.0,)), Context(kept=KEPT, now=NOW)).value

    def spoiled(**fields: Any) -> wire.OadrDistributeEvent:
        told = message.oadr_events[0]
        signal = told.ei_event.ei_event_signals.ei_event_signals[0]
        signals = msgspec.structs.replace(
            told.ei_event.ei_event_signals, ei_event_signals=(msgspec.structs.replace(signal, **fields),)
        )
        event = msgspec.structs.replace(told.ei_event, ei_event_signals=signals)
        return msgspec.structs.replace(message, oadr_events=(msgspec.structs.replace(told, ei_event=event),))

    ctx = Context(kept={**KEPT, **REQUEST}, now=NOW)
    for fields, said in (
        ({"signal_name": "x-other"}, "no signal that can be followed"),
        ({"signal_type": names.SignalType.MULTIPLIER}, "no signal that can be followed"),
        ({"item_base": None}, "no unit; PowerReal is needed"),
    ):
        with pytest.raises(InvalidError, match=said):
            events.request_to_core(spoiled(**fields), ctx)
    assert events.request_to_core(spoiled(), ctx).losses == ()
    with pytest.raises(InvalidError, match="0 events"):
        events.request_to_core(msgspec.structs.replace(message, oadr_events=()), ctx)


# -- tariffs ----------------------------------------------------------------------------------------------------------


@few
@given(prices=st.lists(st.floats(-1, 1).map(lambda x: round(x, 4)), min_size=1, max_size=12).map(tuple))
def test_a_tariff_comes_back(prices: tuple[float, ...]) -> None:
    kept = {**KEPT, "id": "t-1", "issuer": "utility", "recipient": "agr"}
    tariff = Tariff(id="t-1", issuer="utility", recipient="agr", created=NOW, start=START, prices_eur_per_kwh=prices)
    there = events.tariff_to_wire(tariff, Context(kept=kept, now=NOW))
    back = events.tariff_to_core(sound(there.value), Context(kept=kept, now=NOW))  # type: ignore[arg-type]  # of its kind
    assert there.losses == back.losses == ()
    assert near(back.value.prices_eur_per_kwh, prices)
    assert back.value.end == START + QUARTER * len(prices)


def test_relative_prices_need_what_they_are_relative_to() -> None:
    kept = {**KEPT, "id": "t-1", "issuer": "utility", "recipient": "agr"}
    tariff = Tariff(id="t-1", issuer="utility", recipient="agr", created=NOW, start=START, prices_eur_per_kwh=(0.5,))
    message = events.tariff_to_wire(tariff, Context(kept=kept, now=NOW)).value
    told = message.oadr_events[0]
    for kind, want in ((names.SignalType.PRICE_RELATIVE, 0.7), (names.SignalType.PRICE_MULTIPLIER, 0.1)):
        signal = msgspec.structs.replace(told.ei_event.ei_event_signals.ei_event_signals[0], signal_type=kind)
        signals = msgspec.structs.replace(told.ei_event.ei_event_signals, ei_event_signals=(signal,))
        event = msgspec.structs.replace(told.ei_event, ei_event_signals=signals)
        other = msgspec.structs.replace(message, oadr_events=(msgspec.structs.replace(told, ei_event=event),))
        got = events.tariff_to_core(other, Context(kept=kept, now=NOW, base_price_eur_per_kwh=0.2))
        assert near(got.value.prices_eur_per_kwh, (want,))
        with pytest.raises(InvalidError, match="not known"):
            events.tariff_to_core(other, Context(kept=kept, now=NOW))


# -- telemetry --------------------------------------------------------------------------------------------------------

REPORT: dict[str, Any] = {
    "request_id": "u-1",
    "report_request_id": "q-1",
    "report_specifier_id": "s-1",
    "report_name": "TELEMETRY_USAGE",
}


@few
@given(values=st.lists(st.none() | energy, min_size=1, max_size=10).map(tuple), power=st.booleans())
def test_readings_come_back_of_power_and_of_energy(values: tuple[float | None, ...], power: bool) -> None:
    point = Point(subject="meter", report_type="demand" if power else "usage", factor=0.001)
    ctx = Context(kept=REPORT, now=NOW, points={"p": point})
    quality = tuple(Quality.MISSING if v is None else Quality.ESTIMATED for v in values)
    taken = Measurement(subject="meter", start=START, values_kwh=values, quality=quality)
    there = reports.telemetry_to_wire(taken, ctx)
    back = reports.telemetry_to_core(sound(there.value), ctx)  # type: ignore[arg-type]  # of its kind
    assert there.losses == back.losses == ()
    assert near(back.value.values_kwh, values)
    assert back.value.quality == quality


def test_a_report_without_a_known_data_point_is_refused() -> None:
    ctx = Context(kept=REPORT, now=NOW, points={"p": Point(subject="meter", report_type="usage")})
    message = reports.telemetry_to_wire(Measurement(subject="meter", start=START, values_kwh=(1.0,)), ctx).value
    assert reports.telemetry_to_core(message, ctx).value.values_kwh == (1.0,)
    for points in ({}, {"p": Point(subject="meter", report_type="powerFactor")}):
        with pytest.raises(InvalidError, match="power or energy"):
            reports.telemetry_to_core(message, msgspec.structs.replace(ctx, points=points))


@pytest.mark.parametrize(
    ("word", "reading", "want"),
    [
        (None, "Direct Read", Quality.MEASURED),
        (None, "Projected", Quality.ESTIMATED),
        ("Quality Good - Local Override", "Direct Read", Quality.MEASURED),
        ("Quality Bad - Sensor Failure", "Direct Read", Quality.SUSPECT),
        ("No New Value - Previous Value Used", "Direct Read", Quality.ESTIMATED),
        ("No Quality - No Value", "Direct Read", Quality.MISSING),
        ("x-odd", "Direct Read", Quality.SUSPECT),
    ],
)
def test_data_quality_says_how_far_a_reading_is_trusted(word: str | None, reading: str, want: Quality) -> None:
    assert reports.quality_of(word, Point(subject="m", report_type="usage", reading_type=reading)) is want


# -- projected capacities ---------------------------------------------------------------------------------------------

POINTS = {
    "up": Point(subject="site", report_type=reports.UP),
    "down": Point(subject="site", report_type=reports.DOWN),
    "base": Point(subject="site", report_type=reports.BASELINE),
}


def offer(*slices: Slice, **fields: Any) -> FlexOffer:
    profile = Profile(
        slices=slices, **{k: fields.pop(k) for k in ("total_energy_kwh", "polytope", "two_mode") if k in fields}
    )
    return FlexOffer(
        **{
            "id": "o-1",
            "issuer": "site",
            "created": NOW,
            "start_after": START,
            "start_before": START,
            "profiles": (profile,),
            **fields,
        }
    )


def ctx_of(**more: Any) -> Context:
    kept = {**REPORT, "report_name": "TELEMETRY_USAGE", "id": "o-1", "issuer": "site", "created": NOW}
    return Context(kept=kept, now=NOW, points=POINTS, **more)


ranges = st.tuples(energy, st.floats(0, 20), st.floats(0, 1)).map(lambda t: (t[0], t[0] + t[1], t[0] + t[1] * t[2]))


@few
@given(told=st.lists(ranges, min_size=1, max_size=8), regulation=st.sampled_from(Regulation))
def test_an_offer_of_plain_ranges_comes_back_whole(
    told: list[tuple[float, float, float]], regulation: Regulation
) -> None:
    default = Schedule(start=START, slices=tuple(ScheduleSlice(energy_kwh=mid) for _, _, mid in told))
    made = offer(*(Slice(energy_kwh=(EnergyRange(lo, hi),)) for lo, hi, _ in told), default_schedule=default)
    ctx = ctx_of(regulation=regulation)
    there = reports.projected_to_wire(made, ctx)
    back = reports.projected_to_core(sound(there.value), ctx)  # type: ignore[arg-type]  # of its kind
    assert there.losses == back.losses == ()
    got = [s.energy_kwh[0] for s in back.value.profiles[0].slices]
    for (lo, hi, mid), r, piece in zip(told, got, back.value.default_schedule.slices, strict=True):  # type: ignore[union-attr]  # it has one
        assert near((r.lo_kwh, r.hi_kwh, piece.energy_kwh), (lo, hi, mid))


@few
@given(data=st.data(), told=st.lists(st.tuples(st.floats(0, 5), st.floats(0, 10)), min_size=2, max_size=6))
def test_every_choice_within_the_box_keeps_the_offer(data: st.DataObject, told: list[tuple[float, float]]) -> None:
    slices = [Slice(energy_kwh=(EnergyRange(lo, lo + width),)) for lo, width in told]
    least, most = sum(lo for lo, _ in told), sum(lo + width for lo, width in told)
    at = data.draw(st.floats(0, 1))
    total = EnergyRange(least + 0.5 * at * (most - least), least + (0.5 + 0.5 * at) * (most - least))
    kind = data.draw(st.sampled_from(["total", "polygon", "polytope"]))
    fields: dict[str, Any] = {"total_energy_kwh": total}
    if kind == "polygon":
        row = HalfPlane(a=1.0, b=1.0, c_kwh=max(most * 0.7, least + 1.0))
        slices[-1] = msgspec.structs.replace(slices[-1], polygon=(row,))
        fields = {}
    elif kind == "polytope":
        row_ = tuple(1.0 if i % 2 else -1.0 for i in range(len(told)))
        fields = {"polytope": Polytope(a=(row_,), b_kwh=(most / 2,))}
    made = offer(*slices, **fields)
    try:
        found = inner.box(made, NOW)
    except InfeasibleError:
        return
    corners = data.draw(st.lists(st.booleans(), min_size=len(told), max_size=len(told)))
    chosen = [hi if up else lo for up, lo, hi in zip(corners, found.lo_kwh, found.hi_kwh, strict=True)]
    picked = msgspec.structs.replace(
        found.schedule,
        slices=tuple(
            msgspec.structs.replace(s, energy_kwh=e) for s, e in zip(found.schedule.slices, chosen, strict=True)
        ),
    )
    assert violations(made, picked, now=NOW) == []
    lost = sum(loss.value for loss in found.losses)
    assert found.flexibility_kwh + lost == pytest.approx(most - least, abs=1e-5)


def test_what_a_report_has_no_place_for_is_told_in_kwh() -> None:
    wide = Slice(energy_kwh=(EnergyRange(0, 4),))
    ctx = ctx_of()
    default = Schedule(start=START, slices=(ScheduleSlice(energy_kwh=2.0), ScheduleSlice(energy_kwh=2.0)))

    def lost(*slices: Slice, **fields: Any) -> list[tuple[Kind, Any]]:
        return [(x.kind, x.value) for x in reports.projected_to_wire(offer(*slices, **fields), ctx).losses]

    assert lost(wide, wide) == []
    fixed = {"total_energy_kwh": EnergyRange(4, 4), "default_schedule": default}
    assert lost(wide, wide, **fixed) == [(Kind.BOUND, pytest.approx(8.0))]
    assert lost(wide, wide, start_before=START + 2 * QUARTER) == [(Kind.BOUND, pytest.approx(2 * 8.0))]
    assert lost(Slice(amounts_kwh=(0.0, 3.0))) == [(Kind.BOUND, pytest.approx(3.0))]
    assert lost(wide, price=Price(slopes_eur_per_kwh=(0.1,))) == [(Kind.PRICE, None)]
    assert lost(wide, two_mode=TwoMode(after_time_s=900, after_portion=1.0)) == [(Kind.BOUND, pytest.approx(4.0))]
    both = (Profile(slices=(wide,)), Profile(slices=(wide, wide)))
    assert lost(wide, profiles=both) == [(Kind.BOUND, pytest.approx(4.0))]


def test_an_offer_without_any_schedule_has_no_box() -> None:
    impossible = Polytope(a=((1.0,),), b_kwh=(-1.0,))
    with pytest.raises(InfeasibleError, match="no schedule"):
        inner.box(offer(Slice(energy_kwh=(EnergyRange(0, 4),)), polytope=impossible), NOW)
    assert inner.box(offer(Slice(energy_kwh=(EnergyRange(0, 4),))), NOW).flexibility_kwh == pytest.approx(4.0)


def test_capacities_below_zero_and_gaps_are_refused() -> None:
    ctx = ctx_of()
    good = reports.projected_to_wire(offer(Slice(energy_kwh=(EnergyRange(0, 4),))), ctx).value
    report = good.oadr_reports[0]
    assert report.intervals is not None
    interval = report.intervals[0]
    payloads = tuple(
        msgspec.structs.replace(p, payload_base=PayloadFloat(value=-8.0)) for p in interval.stream_payload_base
    )
    bad = msgspec.structs.replace(
        good,
        oadr_reports=(
            msgspec.structs.replace(
                report, intervals=(msgspec.structs.replace(interval, stream_payload_base=payloads),)
            ),
        ),
    )
    with pytest.raises(InvalidError, match="negative capacity"):
        reports.projected_to_core(bad, ctx)
    assert reports.projected_to_core(good, ctx).losses == ()
    with pytest.raises(InvalidError, match="no capacity of regulation"):
        reports.projected_to_core(good, msgspec.structs.replace(ctx, points={"base": POINTS["base"]}))


# -- opts and answers -------------------------------------------------------------------------------------------------

OPT: dict[str, Any] = {"request_id": "c-1", "opt_id": "opt-1", "ven_id": "ven-1"}


@few
@given(slots_=st.integers(0, 20), longest=st.integers(1, 6))
def test_a_window_of_starts_comes_back(slots_: int, longest: int) -> None:
    made = offer(
        *(Slice(energy_kwh=(EnergyRange(0, 1),)) for _ in range(longest)), start_before=START + slots_ * QUARTER
    )
    there = opts.availability_to_wire(made, Context(kept=OPT, now=NOW))
    assert there.losses == ()
    fixed = msgspec.structs.replace(made, start_before=START)
    back = opts.availability_to_core(sound(there.value), Context(now=NOW, offer=fixed))  # type: ignore[arg-type]  # of its kind
    assert back.value.window(NOW) == (START, START + slots_ * QUARTER)
    assert back.losses == ()


def test_of_several_windows_the_widest_is_taken_and_the_rest_told() -> None:
    made = offer(Slice(energy_kwh=(EnergyRange(0, 2),)), start_before=START + 4 * QUARTER)
    one = opts.availability_to_wire(made, Context(kept=OPT, now=NOW)).value
    assert one.vavailability is not None
    other = msgspec.structs.replace(one.vavailability[0], dtstart="2026-03-29T20:00:00Z", duration="PT30M")
    both = msgspec.structs.replace(one, vavailability=(other, *one.vavailability))
    got = opts.availability_to_core(both, Context(now=NOW, offer=made))
    assert got.value.window(NOW) == (START, START + 4 * QUARTER)
    assert [(loss.kind, loss.value) for loss in got.losses] == [(Kind.BOUND, pytest.approx(2 * 2.0))]
    short = msgspec.structs.replace(one, vavailability=(msgspec.structs.replace(other, duration="PT5M"),))
    with pytest.raises(InvalidError, match="shorter"):
        opts.availability_to_core(short, Context(now=NOW, offer=made))
    out = msgspec.structs.replace(one, opt_type=names.OptType.OPT_OUT)
    assert opts.availability_to_core(out, Context(now=NOW, offer=made)).value.withdrawn


@pytest.mark.parametrize("answer", [Confirmed(), Declined(reason="460 no signal"), Declined(reason="too cold")])
def test_an_answer_comes_back(answer: Confirmed | Declined) -> None:
    ctx = Context(kept={"request_id": "d-1", "event_id": "e-1", "modification_number": 2, "ven_id": "ven-1"}, now=NOW)
    message = sound(opts.answer_to_wire(answer, ctx).value)
    back = opts.answer_to_core(message, ctx).value  # type: ignore[arg-type]  # of its kind
    assert type(back) is type(answer)
    assert isinstance(back, Confirmed) or back.reason.endswith(answer.reason)  # type: ignore[union-attr]  # declined
    with pytest.raises(InvalidError, match="0 answers"):
        opts.answer_to_core(message, msgspec.structs.replace(ctx, kept={"event_id": "other"}))  # type: ignore[arg-type]  # of its kind


def test_a_start_by_chance_is_at_most_startafter_later() -> None:
    message = events.schedule_to_wire(
        course((1.0,)), Context(kept={**KEPT, "tolerance": Tolerate(startafter="PT5M")}, now=NOW)
    ).value
    assert events.startafter_s(events.event_of(sound(message))) == 300  # type: ignore[arg-type]  # of its kind
    assert events.kept_of(message)["tolerance"] == Tolerate(startafter="PT5M")
