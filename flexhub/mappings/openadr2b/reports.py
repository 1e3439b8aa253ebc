"""Reports and the core: projected capacities and baseline are a flex-offer, telemetry is a measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.timeseries import Measurement, Quality
from flexhub.core.units import LAST_YEAR, MOST_SLOTS
from flexhub.mappings.fates import Kind, Loss, Mapped
from flexhub.mappings.openadr2b.context import (
    HOUR_S,
    Context,
    Point,
    Regulation,
    Told,
    common_s,
    cut,
    duration_of,
    needed,
    seconds_of,
)
from flexhub.mappings.openadr2b.inner import box
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import Interval, OadrReport, OadrReportPayload, PayloadFloat
from flexhub.protocols.uftp.times import instant, text_of

UP: Final = "upRegulationCapacityAvailable"
DOWN: Final = "downRegulationCapacityAvailable"
BASELINE: Final = "baseline"
POWERS: Final = ("demand", "avgDemand", "setPoint", "deltaDemand", "deltaSetPoint")
ENERGIES: Final = ("usage", "avgUsage", "deltaUsage", "reading", "storedEnergy")
_REPORT: Final = "oadrUpdateReport/oadrReport[0]"
MISSING: Final = "No Quality - No Value"
PREVIOUS: Final = "No New Value - Previous Value Used"
GOOD: Final = "Quality Good - Non Specific"
UNCERTAIN: Final = "Quality Uncertain - Non Specific"

_QUALITIES: Final = {
    Quality.MEASURED: GOOD,
    Quality.ESTIMATED: PREVIOUS,
    Quality.SUSPECT: UNCERTAIN,
    Quality.MISSING: MISSING,
}


def quality_of(word: str | None, point: Point) -> Quality:
    """A reading's quality: as flagged, estimated where the data point itself is no direct reading, else measured.

    Interpretation: what is at a limit is measured there; what is not of the standard's words is suspect.
    """
    if word is None or word.startswith(("Quality Good", "Quality Limit")):
        estimated = point.reading_type in ("Estimated", "Projected", "Allocated")
        return Quality.ESTIMATED if estimated else Quality.MEASURED
    if word == MISSING:
        return Quality.MISSING
    return Quality.ESTIMATED if word == PREVIOUS else Quality.SUSPECT


def report_of(m: wire.OadrUpdateReport) -> OadrReport:
    """The one report of a message.

    Raises:
        InvalidError: there are none, or several.
    """
    if len(m.oadr_reports) != 1:
        raise InvalidError(f"{len(m.oadr_reports)} reports; one is mapped at a time", path="oadrUpdateReport")
    return m.oadr_reports[0]


def kept_of(m: wire.OadrUpdateReport) -> dict[str, object]:
    """What the core has no place for, for `Context.kept`."""
    report = report_of(m)
    return {
        **{name: getattr(m, name) for name in ("schema_version", "request_id", "ven_id")},
        **{
            name: getattr(report, name)
            for name in (
                "ei_report_id",
                "report_request_id",
                "report_specifier_id",
                "report_name",
                "created_date_time",
            )
        },
    }


def _values(report: OadrReport, ctx: Context) -> Iterator[tuple[str, Told, OadrReportPayload]]:
    """(rID, span and number, payload) of every number of a known data point.

    An interval without a start follows the one before, the first the report's dtstart [rule 314]; without a duration
    it lasts a slot of the context's grid.
    """
    if report.dtstart is None or not report.intervals:
        raise InvalidError("no data", path=_REPORT)
    at = instant(report.dtstart)
    for i, interval in enumerate(report.intervals):
        here = f"{_REPORT}/intervals/interval[{i}]"
        if interval.dtstart is not None:
            at = instant(interval.dtstart)
        long = None if interval.duration is None else seconds_of(interval.duration, f"{here}/duration")
        seconds = long or ctx.resolution_s
        if at.year >= LAST_YEAR:
            raise InvalidError("not in this age", path=here, value=text_of(at))
        for payload in interval.stream_payload_base:
            if isinstance(payload, OadrReportPayload) and isinstance(payload.payload_base, PayloadFloat):
                yield payload.r_id, Told(at, seconds, payload.payload_base.value), payload
        at += timedelta(seconds=seconds)


def _countable(start: datetime, end: datetime, step_s: int) -> int:
    """Slots from start to end.

    Raises:
        InvalidError: more than anything may have.
    """
    count = int((end - start).total_seconds()) // step_s
    if count > MOST_SLOTS:
        raise InvalidError(f"{count} slots of {step_s} s, allowed: {MOST_SLOTS}", path=f"{_REPORT}/intervals")
    return count


# -- telemetry --------------------------------------------------------------------------------------------------------


def telemetry_to_core(m: wire.OadrUpdateReport, ctx: Context) -> Mapped[Measurement]:
    """The readings of one data point, of power or energy; others are told as losses.

    Raises:
        InvalidError: no data point of power or energy, readings that overlap, or too many slots.
    """
    report = report_of(m)
    told: dict[str, list[tuple[Told, str | None]]] = {}
    for r_id, one, payload in _values(report, ctx):
        told.setdefault(r_id, []).append((one, payload.oadr_data_quality))
    usable = [r for r in told if r in ctx.points and ctx.points[r].report_type in (*POWERS[:2], *ENERGIES[:2])]
    if not usable:
        raise InvalidError("no data point that is power or energy", path=f"{_REPORT}/intervals")
    r_id = usable[0]
    losses = [
        Loss(path=f"{_REPORT}/intervals", kind=Kind.DROPPED, value=other, why="one data point is read at a time")
        for other in told
        if other != r_id
    ]
    point, readings = ctx.points[r_id], sorted(told[r_id])
    step = common_s([one for one, _ in readings])
    start = readings[0][0].start
    _countable(start, max(one.end for one, _ in readings), step)
    slots: dict[int, tuple[float, Quality]] = {}
    for one, word in readings:
        flag = quality_of(word, point)
        for piece in cut((one,), step):
            slot = int((piece.start - start).total_seconds()) // step
            if slot in slots:
                raise InvalidError("two readings of one time", path=f"{_REPORT}/intervals", value=text_of(piece.start))
            whole = one.value * point.factor * (one.seconds / HOUR_S if point.report_type in POWERS else 1.0)
            slots[slot] = whole * step / one.seconds, flag
    last = max(slots) + 1
    flags = tuple(slots[n][1] if n in slots else Quality.MISSING for n in range(last))
    values = tuple(slots[n][0] if flags[n] is not Quality.MISSING else None for n in range(last))
    value = Measurement(
        subject=point.subject,
        start=start,
        values_kwh=values,
        quality=flags,
        offer=ctx.kept.get("offer"),
        resolution_s=step,
    )
    return Mapped(value, tuple(losses))


def telemetry_to_wire(taken: Measurement, ctx: Context) -> Mapped[wire.OadrUpdateReport]:
    """Readings as a report of one data point, which `Context.points` has.

    Raises:
        InvalidError: no such data point, or an identity that was not told.
    """
    r_id, point = _only_point(ctx, lambda p: p.report_type in (*POWERS, *ENERGIES))
    seconds, losses, intervals = taken.resolution_s, list[Loss](), list[Interval]()
    if point.subject != taken.subject:
        losses.append(Loss(path="Measurement/subject", kind=Kind.CONVERTED, value=taken.subject, why=point.subject))
    for i, kwh in enumerate(taken.values_kwh):
        number = (kwh or 0.0) * (HOUR_S / seconds if point.report_type in POWERS else 1.0) / point.factor
        flag = _QUALITIES[taken.flag(i)]
        payload = OadrReportPayload(r_id=r_id, payload_base=PayloadFloat(value=number), oadr_data_quality=flag)
        at = taken.start + timedelta(seconds=i * seconds)
        intervals.append(_interval(at, seconds, i, (payload,)))
    return Mapped(_report(taken.start, intervals, seconds * len(intervals), ctx), tuple(losses))


def _only_point(ctx: Context, fits: Callable[[Point], bool]) -> tuple[str, Point]:
    found = [(r_id, point) for r_id, point in ctx.points.items() if fits(point)]
    if len(found) != 1:
        raise InvalidError(f"{len(found)} data points could be meant", path="Context/points")
    return found[0]


def _interval(at: datetime, seconds: int, number: int, payloads: tuple[OadrReportPayload, ...]) -> Interval:
    """With its own start, since some readers do not let it inherit one [rule 314]."""
    return Interval(dtstart=text_of(at), duration=duration_of(seconds), uid=str(number), stream_payload_base=payloads)


def _report(start: datetime, intervals: Iterable[Interval], seconds: int, ctx: Context) -> wire.OadrUpdateReport:
    told = needed(ctx, "report_request_id", "report_specifier_id", "report_name")
    more = {name: ctx.kept[name] for name in ("ei_report_id",) if name in ctx.kept}
    message = {name: ctx.kept[name] for name in ("schema_version", "ven_id") if name in ctx.kept}
    report = OadrReport(
        **told,
        **more,
        dtstart=text_of(start),
        duration=duration_of(seconds),
        intervals=tuple(intervals),
        created_date_time=ctx.kept.get("created_date_time", text_of(ctx.now)),
    )
    return wire.OadrUpdateReport(
        **{"schema_version": wire.VERSION, **message}, **needed(ctx, "request_id"), oadr_reports=(report,)
    )


# -- projected capacities ---------------------------------------------------------------------------------------------


def projected_to_core(m: wire.OadrUpdateReport, ctx: Context) -> Mapped[FlexOffer]:
    """Capacities of regulation around a baseline as an offer with a fixed start.

    ``least = baseline - less, most = baseline + more`` in kWh of each slice, where less and more are up and down as
    `Context.regulation` has them. Where one is not told it is zero, and so is the baseline.

    Raises:
        InvalidError: no data point of regulation, a gap, a negative capacity, too many slots, or an identity that was
            not told.
    """
    report = report_of(m)
    told: dict[str, list[Told]] = {UP: [], DOWN: [], BASELINE: []}
    losses: list[Loss] = []
    dropped: set[str] = set()
    for r_id, one, _ in _values(report, ctx):
        point = ctx.points.get(r_id)
        if point is None or point.report_type not in told:
            dropped.add(r_id)
            continue
        told[point.report_type].append(one._replace(value=one.value * point.factor))
    losses += [
        Loss(path=f"{_REPORT}/intervals", kind=Kind.DROPPED, value=r_id, why="neither regulation nor baseline")
        for r_id in sorted(dropped)
    ]
    everything = [one for numbers in told.values() for one in numbers]
    if not told[UP] and not told[DOWN]:
        raise InvalidError("no capacity of regulation", path=f"{_REPORT}/intervals")
    step, start = common_s(everything), min(one.start for one in everything)
    end = max(one.end for one in everything)
    count = _countable(start, end, step)
    kw: dict[str, list[float | None]] = {}
    for kind, numbers in told.items():
        kw[kind] = [None] * count
        for piece in cut(numbers, step):
            kw[kind][int((piece.start - start).total_seconds()) // step] = piece.value
        if not numbers:
            why = "not reported; taken as zero"
            losses.append(Loss(path=f"{_REPORT}/intervals", kind=Kind.DEFAULTED, value=kind, why=why))
            kw[kind] = [0.0] * count
    less, more = (UP, DOWN) if ctx.regulation is Regulation.GRID else (DOWN, UP)
    slices, default = [], []
    for n in range(count):
        base, minus, plus = kw[BASELINE][n], kw[less][n], kw[more][n]
        if base is None or minus is None or plus is None or minus < 0 or plus < 0:
            raise InvalidError("a gap, or a negative capacity", path=f"{_REPORT}/intervals", value=str(n))
        lo, hi, mid = ((power * step / HOUR_S) for power in (base - minus, base + plus, base))
        slices.append(Slice(energy_kwh=(EnergyRange(min(lo, mid), max(hi, mid)),)))
        default.append(ScheduleSlice(energy_kwh=mid))
    more_kept = {name: ctx.kept[name] for name in _OFFERED if name in ctx.kept}
    value = FlexOffer(
        **needed(ctx, "id", "issuer"),
        **more_kept,
        created=ctx.kept.get("created", ctx.now),
        start_after=start,
        start_before=start,
        resolution_s=step,
        profiles=(Profile(slices=tuple(slices)),),
        default_schedule=Schedule(start=start, slices=tuple(default)),
    )
    return Mapped(value, tuple(losses))


_OFFERED: Final = ("recipient", "contract", "location", "accept_before", "assign_before", "price")


def projected_to_wire(offer: FlexOffer, ctx: Context) -> Mapped[wire.OadrUpdateReport]:
    """The greatest box within an offer as capacities around a schedule that it allows (`inner.box`).

    Raises:
        InfeasibleError: no schedule of it was found.
        InvalidError: data points or an identity that were not told.
    """
    by_type = {point.report_type: (r_id, point) for r_id, point in ctx.points.items()}
    if not {UP, DOWN, BASELINE} <= by_type.keys():
        raise InvalidError("up, down and baseline are needed", path="Context/points")
    best = box(offer, ctx.now)
    less, more = (UP, DOWN) if ctx.regulation is Regulation.GRID else (DOWN, UP)
    intervals, at = list[Interval](), best.schedule.start
    pieces = zip(best.schedule.slices, best.lo_kwh, best.hi_kwh, strict=True)
    for i, (piece, lo, hi) in enumerate(pieces):
        seconds = piece.duration * offer.resolution_s
        mid = piece.energy_kwh
        numbers = {BASELINE: mid, less: mid - lo, more: hi - mid}
        payloads = tuple(
            OadrReportPayload(
                r_id=by_type[kind][0],
                payload_base=PayloadFloat(value=kwh * HOUR_S / seconds / by_type[kind][1].factor),
            )
            for kind, kwh in numbers.items()
        )
        intervals.append(_interval(at, seconds, i, payloads))
        at += timedelta(seconds=seconds)
    losses = list(best.losses)
    priced = offer.price is not None or any(s.price is not None for p in offer.profiles for s in p.slices)
    if priced:
        losses.append(Loss(path="FlexOffer/price", kind=Kind.PRICE, why="a report of capacities has no price"))
    seconds = best.schedule.slots() * offer.resolution_s
    return Mapped(_report(best.schedule.start, intervals, seconds, ctx), tuple(losses))
